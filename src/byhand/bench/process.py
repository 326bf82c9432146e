"""A peer's process: started, measured in turns, stopped."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from statistics import median
from subprocess import PIPE
from typing import Any

from byhand.bench.benchmarks import STARTED
from byhand.bench.peers import PeerSpec
from byhand.errors import ByhandError

Numbers = list[list[float]]


class PeerError(ByhandError):
    """A peer that broke, or computed other numbers than byhand."""


class Process:
    """A peer's process; values: its measurements, a list for each turn."""

    def __init__(self, benchmark: str, spec: PeerSpec) -> None:
        self.benchmark, self.spec = benchmark, spec
        self.values: Numbers = []
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Numbers:
        """Start it; return the numbers that all peers must have in common."""
        job = {"benchmark": self.benchmark, "module": self.spec.module, "settings": self.spec.settings}
        environment = os.environ | self.spec.environment | {STARTED: str(time.time())}
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  (it is closed with the process)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "byhand.bench.serve_peer", json.dumps(job)],
            stdin=PIPE,
            stdout=PIPE,
            stderr=self.errors,
            text=True,
            start_new_session=True,
            env=environment,
        )
        return self._reply("check")  # type: ignore[no-any-return]

    def measure(self, seconds: float) -> None:
        """Let it run for some seconds, and store its measurements."""
        assert self.process is not None and self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: its reply tells why
            print(seconds, file=self.process.stdin, flush=True)
        self.values.append(self._reply("values"))

    def stop(self) -> None:
        """End it, and the compilers that it may have started."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
        self.process.communicate()
        self.errors.close()
        self.process = None

    @property
    def result(self) -> list[float]:
        """The median of every line over the turns."""
        return [median(values) for values in zip(*self.values)]

    def _reply(self, key: str) -> Any:
        assert self.process is not None and self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            last = (self.errors.read().decode(errors="replace").strip().splitlines() or [""])[-1]
            raise PeerError(f"its process ended early, with {self.process.wait()}: {last}")
        reply = json.loads(line)
        if "error" in reply:
            raise PeerError(reply["error"])
        return reply[key]
