"""The ONNX fuzzer: `python -m tests.onnx.fuzz 100000 --seed 1` mutates small models and loads them.

A model is refused with a ByhandError, or it loads; then it, and the backend, must run an image or raise a ByhandError. All
else is a finding: another exception, a warning, a crash, memory that ran out (1 GB), more than 2 seconds. A finding is
printed with the command that shows it again. Children do the reading, so that a crash is one finding and not the end.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from tests.fuzz import driver
from tests.fuzz.driver import MAX_SECONDS, SlowError, limit_memory

MODELS_PER_CHILD = 2500
# Networks up to this size are also run.
MAX_RUN_FLOPS = 1e8
MAX_RUN_ELEMENTS = 1e7
MAX_RUN_WINDOW_PIXELS = 5000


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
    return driver.fuzz(count, seed, jobs, module="tests.onnx.fuzz", per_child=MODELS_PER_CHILD)


def child(seed, first, end, folder, names=()):
    """Read some models; write each finding as a line, at last the counts."""
    import byhand.nn  # (what a model asks for is imported before memory is counted)

    assert byhand.nn
    reading, seen = Reading(Path(folder)), Counter()
    reading.read(seed, -1)
    limit_memory()
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
