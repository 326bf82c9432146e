"""The fuzzer: `python -m tests.fuzz 100000 --seed 1` mutates good files and text, and reads them.

A mutant is read rightly, or refused with a ByhandError of one line. All else is a finding: another exception, a warning, a
crash, more memory than `MAX_BYTES`, more than `MAX_SECONDS`, an unprintable message. A finding is printed with the command
that shows it again. Children do the reading, so that a crash is one finding and not the end.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_SECONDS = 2  # a file, of CPU time
MAX_BYTES = 2**30  # of memory
MUTANTS_PER_CHILD = 10_000
MAX_CRASHES = 50  # of children, each of which starts anew: more of them are one fault
HANG_SECONDS = 60  # without a sign of a child


class SlowError(BaseException):
    """More time than a file may take; no Exception, so that nothing catches it on its way."""


def fuzz(count, seed, jobs, names=(), deadline=float("inf"), *, module=__name__, per_child=MUTANTS_PER_CHILD):
    """Read `count` mutants, or as many as there is time for, in processes that call the function `child` of a module.

    Return how often each thing was seen, and of each kind of finding the first: {where: (index, what)}.
    """
    seen, findings, running = Counter(), {}, []
    size = min(per_child, -(-count // jobs))
    portions = [(first, min(first + size, count)) for first in range(0, count, size)]
    while portions or running:
        while portions and len(running) < max(1, jobs) and time.time() < deadline:
            running.append(Child(module, seed, *portions.pop(0), names))
        if not running:
            break
        time.sleep(0.05)
        for child in [child for child in running if child.ended()]:
            running.remove(child)
            for kind, number in child.seen.items():
                seen[kind] += number
            for index, where, what in child.findings:
                seen[where] += 1
                if where not in findings:
                    findings[where] = (index, what)
                    print(f"{index}: {what}", flush=True)
            crashes = sum(number for where, number in seen.items() if where.startswith("crash"))
            if child.rest is not None and crashes < MAX_CRASHES:
                portions.insert(0, child.rest)
    return seen, findings


class Child:
    """A process that reads the mutants from first to end, and what came of it."""

    def __init__(self, module, seed, first, end, names):
        self.end, self.seen, self.findings, self.rest = end, {}, [], None
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        home = Path(self.folder.name)
        self.sign, self.log, self.errors = home / "sign", home / "log", home / "errors"
        self.sign.write_text(str(first))
        environment = os.environ | {
            "BYHAND_CACHE": str(home / "cache"),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        code = f"from {module} import child; child({seed}, {first}, {end}, {str(home)!r}, {tuple(names)!r})"
        with self.log.open("w") as log, self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], stdout=log, stderr=errors, cwd=ROOT, env=environment
            )

    def ended(self):
        """Tell whether it has ended, or kill it where it hangs; then its results are there."""
        code = self.process.poll()
        if code is None and time.time() - self.sign.stat().st_mtime < HANG_SECONDS:
            return False
        hung = code is None
        if hung:
            self.process.kill()
            self.process.wait()
        for line in self.log.read_text().splitlines():
            data = json.loads(line)
            if isinstance(data, dict):
                self.seen = data
            else:
                self.findings.append(data)
        if code != 0:
            index = int(self.sign.read_text())
            last = (self.errors.read_text().strip().splitlines() or [""])[-1]
            self.findings.append((index, f"crash {code} {last}"[:200], "hung" if hung else f"exit code {code}: {last}"))
            self.rest = (index + 1, self.end) if index + 1 < self.end else None
        self.folder.cleanup()
        return True


def limit_memory():
    """Let this process take `MAX_BYTES` more than it has."""
    if Path("/proc/self/statm").exists():  # Linux
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MAX_BYTES, taken + MAX_BYTES))


def child(seed, first, end, folder, names):
    """Read some mutants; write each finding as a line, at last the counts."""
    reader, seen = Reader(Path(folder), names), Counter()
    reader.warm_up(seed, Path(folder, "sign"))
    limit_memory()
    sign = os.open(Path(folder, "sign"), os.O_WRONLY)
    for index in range(first, end):
        os.pwrite(sign, f"{index:<12}".encode(), 0)
        kind, *finding = reader.read(seed, index)
        seen[kind] += 1
        if finding:
            print(json.dumps([index, *finding]), flush=True)
    print(json.dumps(seen), flush=True)


class Reader:
    """Reads one mutant after the other, of each target in turn, in a folder."""

    def __init__(self, folder, names=()):
        from tests.fuzz.targets import TARGETS

        chosen = [target for target in TARGETS if not names or target.__name__.lower() in names]
        made = {target: target(folder) for target in dict.fromkeys(chosen)}
        self.targets = [made[target] for target in chosen]
        signal.signal(signal.SIGPROF, self._slow)

    def _slow(self, *_):
        raise SlowError

    def warm_up(self, seed, sign):
        """Make the good files and import what reading takes, before time and memory are counted."""
        import numpy as np

        from byhand.ops import get

        for name in ("softmax", "sigmoid", "hard_sigmoid"):  # predict compiles them, whatever its hand
            for dtype in (np.float32, np.float64):
                sign.touch()
                get(name)(np.zeros((1, 2), dtype))
        for index in range(4 * len(self.targets)):
            sign.touch()
            self.read(f"warm {seed}", index, timed=False)

    def read(self, seed, index, *, show=False, timed=True):
        """Return ("used" | "loaded" | "refused",), or ("finding", where, what)."""
        from byhand.errors import ByhandError

        target = self.targets[index % len(self.targets)]
        name = type(target).__name__
        data = target.mutant(random.Random(f"{seed} {index}"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS if timed else 0)
                return (target.read(data),)
            except ByhandError as error:
                if show:
                    traceback.print_exc()
                if not str(error).isprintable():
                    return "finding", f"{name} unprintable {place(error)}", f"{name}: {type(error).__name__}: {error!r}"
                cause = error
                while cause is not None:
                    if isinstance(cause, MemoryError):
                        return "finding", f"{name} memory {place(cause)}", f"{name}: memory ran out: {error}"
                    cause = cause.__cause__ or cause.__context__
                return ("refused",)
            except SlowError as error:
                return "finding", f"{name} slow {place(error)}", f"{name}: more than {MAX_SECONDS} s at {place(error)}"
            except (Exception, KeyboardInterrupt) as error:
                if show:
                    traceback.print_exc()
                kind = f"{name} {type(error).__name__}"
                return "finding", f"{kind} {place(error)}", f"{kind}: {str(error)[:200]!r} at {place(error)}"
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)


def place(error):
    """Return the last line of byhand's own that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "byhand" in frame.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
