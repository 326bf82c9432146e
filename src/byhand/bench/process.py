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
from byhand.bench.peers import Entry
from byhand.errors import ByhandError

Numbers = list[list[float]]


class Failed(ByhandError):
    """A peer that broke, or computed other numbers than byhand."""


class Process:
    """A peer's process; values: what it measured in each of its turns."""

    def __init__(self, benchmark: str, entry: Entry) -> None:
        self.benchmark, self.entry = benchmark, entry
        self.values: Numbers = []
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Numbers:
        """Start it; return the numbers that all peers must have in common."""
        job = {"benchmark": self.benchmark, "module": self.entry.module, "settings": self.entry.settings}
        environment = os.environ | self.entry.environment | {STARTED: str(time.time())}
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
        return self._answer("check")  # type: ignore[no-any-return]

    def turn(self, seconds: float) -> None:
        """Let it run for some seconds, and store its measurements."""
        assert self.process is not None and self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: its answer tells why
            print(seconds, file=self.process.stdin, flush=True)
        self.values.append(self._answer("values"))

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

    def _answer(self, what: str) -> Any:
        assert self.process is not None and self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            last = (self.errors.read().decode(errors="replace").strip().splitlines() or [""])[-1]
            raise Failed(f"its process ended early, with {self.process.wait()}: {last}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer[what]
