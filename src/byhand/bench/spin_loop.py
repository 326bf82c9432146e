"""Other load on this machine: a spin loop that measures it, and processes that make it.

`SpinLoop` does a fixed amount of work on each core at once. The part of a core that it got is its CPU time by its wall time,
or, where other guests of the host or a lower clock slow it down, its fastest time so far by its time now.
"""

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from byhand.bench import child_process

SPIN_SECONDS = 0.02  # of the loop on a quiet machine
SETTLE_SECONDS = 0.02  # before it: threads of the side that was measured last still spin
BUSY_BELOW = 0.9  # of the cores: below it, the machine was busy
SPINNING_PROCESSES = 2  # of `--busy`


class SpinLoop:
    """A fixed amount of work on each of some threads at once: iterations of PBKDF2, for which hashlib releases the GIL."""

    def __init__(self, threads: int) -> None:
        self.threads, self.iterations = threads, 1000
        self.pool = ThreadPoolExecutor(threads)
        self.barrier = threading.Barrier(threads)
        self.fastest = min(self._spin()[0] for _ in range(5))
        self.iterations = max(1, round(self.iterations * SPIN_SECONDS / self.fastest))
        self.fastest = min(self._spin()[0] for _ in range(5))

    def measure(self) -> float:
        """Return the part of the cores that the loop gets now, on average over the threads: 1 on a quiet machine."""
        time.sleep(SETTLE_SECONDS)
        times = list(self.pool.map(self._spin, range(self.threads)))
        self.fastest = min(self.fastest, *(wall for wall, _ in times))
        return sum(min(self.fastest, cpu) / wall for wall, cpu in times) / self.threads

    def close(self) -> None:
        """End the threads, also those that wait for others which an interruption kept from starting."""
        self.barrier.abort()
        self.pool.shutdown(cancel_futures=True)

    def _spin(self, thread: int | None = None) -> tuple[float, float]:
        """Return the wall time and the CPU time of the loop."""
        if thread is not None:
            self.barrier.wait()
        wall, cpu = time.perf_counter(), time.thread_time()
        hashlib.pbkdf2_hmac("sha256", b"spin", b"loop", self.iterations)
        return time.perf_counter() - wall, time.thread_time() - cpu


@contextmanager
def spinning_processes(number: int) -> Iterator[None]:
    """Let so many processes spin within the block."""
    processes: list[subprocess.Popen[str]] = []
    try:
        for _ in range(number):
            processes.append(child_process.start(["byhand.bench.spin"], os.environ))
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()  # it spins
        yield
    finally:
        for process in processes:
            child_process.stop(process)
