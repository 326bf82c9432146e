"""A side's process: started, asked for a line of the benchmark, measured in turns, stopped."""

import json
import os
import subprocess
import tempfile
import time
from contextlib import suppress
from typing import IO, Any

from byhand.bench import child_process
from byhand.bench.check import Check, PeerError
from byhand.bench.peers import PeerSpec
from byhand.bench.sessions import STARTED


class Process:
    """A side's process, started when it is needed."""

    def __init__(self, benchmark: str, spec: PeerSpec) -> None:
        self.benchmark, self.spec = benchmark, spec
        self.process: subprocess.Popen[str] | None = None
        self.errors: IO[bytes] | None = None

    def prepare(self, line: str) -> Check:
        """Prepare a line of the benchmark; return the numbers that all sides must have in common. Raises PeerError."""
        return Check(**self._ask(line=line))

    def measure(self, seconds: float) -> tuple[float, float]:
        """Let it run for some seconds; return its measurement and the CPU seconds of each second. Raises PeerError."""
        reply = self._ask(seconds=seconds)
        return reply["value"], reply["cores"]

    def stop(self) -> None:
        """End it, and the compilers that it may have started."""
        if self.process is not None:
            child_process.stop(self.process)
            self.process = None
        if self.errors is not None:
            self.errors.close()
            self.errors = None

    def _start(self) -> None:
        job = {"benchmark": self.benchmark, "module": self.spec.module, "settings": self.spec.settings}
        environment = os.environ | self.spec.environment | {STARTED: str(time.time())}
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  (it is closed with the process)
        self.process = child_process.start(["byhand.bench.serve_peer", json.dumps(job)], environment, self.errors)

    def _ask(self, **command: Any) -> Any:
        if self.process is None:
            self._start()
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended: its errors tell why
            print(json.dumps(command), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            assert self.errors is not None
            code = self.process.wait()
            self.errors.seek(0)
            last = (self.errors.read().decode(errors="replace").strip().splitlines() or [""])[-1]
            self.stop()
            raise PeerError(f"its process ended early, with {code}: {last}")
        reply = json.loads(line)
        if "error" in reply:
            raise PeerError(reply["error"])
        return reply
