"""The ONNX fuzzer: `python -m tests.onnx.fuzz 100000 --seed 1` mutates small models and loads them.

A model is refused with a ByhandError, or it loads; then it, and the backend, must run an image or raise a ByhandError. All
else is a finding: another exception, a warning, a crash, memory that ran out (1 GB), more than 2 seconds. A finding is
printed with the command that shows it again. Children do the reading, so that a crash is one finding and not the end.
"""

import argparse
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
MAX_SECONDS = 2  # a file
MAX_BYTES = 2**30  # of memory
MODELS_PER_CHILD = 2500
# Networks up to this size are also run.
MAX_RUN_FLOPS = 1e8
MAX_RUN_ELEMENTS = 1e7
MAX_RUN_WINDOW_PIXELS = 5000
MAX_CRASHES = 50  # of children, each of which starts anew: more of them are one fault
HANG_SECONDS = 60  # without a sign of a child


class SlowError(BaseException):
    """More time than a file may take; no Exception, so that nothing catches it on its way."""


def main(arguments=None):
    """Read models that are broken in all ways; return the exit code, 1 where there are findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.onnx.fuzz")
    parser.add_argument("count", type=int, help="models")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="one model, in this process, with its whole traceback")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    given = parser.parse_args(arguments)
    if given.only is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(Reading(Path(folder)).read(given.seed, given.only, show=True))
        return 0
    start = time.perf_counter()
    seen, findings = fuzz(given.count, given.seed, given.jobs)
    seconds = time.perf_counter() - start
    for where, (index, what) in findings.items():
        print(f"{seen[where]:6} x {what}\n         python -m tests.onnx.fuzz 1 --seed {given.seed} --only {index}")
    kinds = ", ".join(f"{seen[kind]:,} {kind}" for kind in ("ran", "loaded", "refused"))
    print(f"{given.count:,} models in {seconds:.0f} s: {kinds}; {sum(seen[where] for where in findings):,} findings")
    return 1 if findings else 0


def fuzz(count, seed, jobs):
    """Return how often each thing was seen, and of each kind of finding the first: {where: (index, what)}."""
    seen, findings, running = Counter(), {}, []
    size = min(MODELS_PER_CHILD, -(-count // jobs))
    portions = [(first, min(first + size, count)) for first in range(0, count, size)]
    while portions or running:
        while portions and len(running) < max(1, jobs):
            running.append(Child(seed, *portions.pop(0)))
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
    """A process that reads the models from first to end, and what came of it."""

    def __init__(self, seed, first, end):
        self.end, self.seen, self.findings, self.rest = end, {}, [], None
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        home = Path(self.folder.name)
        self.sign, self.log, self.errors = home / "sign", home / "log", home / "errors"
        self.sign.write_text(str(first))
        environment = os.environ | {
            "BYHAND_CACHE": self.folder.name,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        with self.log.open("w") as log, self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"from tests.onnx.fuzz import child; child({seed}, {first}, {end}, {str(home)!r})",
                ],
                stdout=log,
                stderr=errors,
                cwd=ROOT,
                env=environment,
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


def child(seed, first, end, folder):
    """Read some models; write each finding as a line, at last the counts."""
    import byhand.nn  # (what a model asks for is imported before memory is counted)

    assert byhand.nn
    reading, seen = Reading(Path(folder)), Counter()
    reading.read(seed, -1)
    if Path("/proc/self/statm").exists():  # Linux
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MAX_BYTES, taken + MAX_BYTES))
    sign = os.open(Path(folder, "sign"), os.O_WRONLY)
    for index in range(first, end):
        os.pwrite(sign, f"{index:<12}".encode(), 0)
        kind, *finding = reading.read(seed, index)
        seen[kind] += 1
        if finding:
            print(json.dumps([index, *finding]), flush=True)
    print(json.dumps(seen), flush=True)


class Reading:
    """Reads one mutant after the other, in a folder."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "model.onnx"
        (folder / "numbers.bin").write_bytes(bytes(4096))
        signal.signal(signal.SIGPROF, self._slow)

    def _slow(self, *_):
        raise SlowError

    def read(self, seed, index, show=False):
        """Return ("ran" | "loaded" | "refused", or "finding", where, what)."""
        from byhand.errors import ByhandError
        from byhand.onnx import mapped_weights
        from tests.onnx.mutate import mutant

        # The seeds' numbers are few: of every other one they stay in the file.
        mapped_weights.MIN_MAPPED_BYTES = 16 if index % 2 else 4096
        self.path.write_bytes(mutant(random.Random(f"{seed} {index}")))
        stage = "load"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
                stage = self.go()
                return (stage,)
            except ByhandError as error:
                if show:
                    traceback.print_exc()
                if not str(error).isprintable():
                    return "finding", f"unprintable {place(error)}", f"{type(error).__name__}: {error!r}"
                cause = error
                while cause is not None:
                    if isinstance(cause, MemoryError):
                        return "finding", f"memory {place(cause)}", f"memory ran out: {error}"
                    cause = cause.__cause__ or cause.__context__
                return ("refused",)
            except SlowError as error:
                return "finding", f"slow {place(error)}", f"more than {MAX_SECONDS} s at {place(error)}"
            except (Exception, KeyboardInterrupt) as error:
                if show:
                    traceback.print_exc()
                return (
                    "finding",
                    f"{type(error).__name__} {place(error)}",
                    f"{type(error).__name__}: {str(error)[:200]} at {place(error)}",
                )
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)

    def go(self):
        """Load the model, and where its work is small run it, by itself and by the backend."""
        import numpy as np
        import onnx

        from byhand.onnx import backend, load

        model = load(self.path)
        calls = model.graph.plan(1, training=False)[0].values()
        size = sum(np.prod(shape, dtype=object) for call in calls for shape in call.shapes.values())
        places = sum(np.prod(call.window.kernel, dtype=object) for call in calls if call.window is not None)
        work = model.summary().flops
        if (
            work > MAX_RUN_FLOPS
            or size + model.parameter_count > MAX_RUN_ELEMENTS
            or places > MAX_RUN_WINDOW_PIXELS
            or len(calls) > 200
        ):
            return "loaded"
        image = np.random.default_rng(0).standard_normal((1, *model.input_shape)).astype(np.float32)
        model.logits_of(image, hand="arrays")
        proto = onnx.ModelProto()
        proto.ParseFromString(self.path.read_bytes())
        given = image.transpose(0, 3, 1, 2) if image.ndim == 4 else image
        backend.prepare(proto, hand="arrays").run([given])
        return "ran"


def place(error):
    """Return the last line of byhand's own that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "byhand" in frame.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"


if __name__ == "__main__":
    sys.exit(main())
