"""Peak memory of a program that reads an ONNX file and classifies a photo: `byhand predict`, or a script with onnxruntime."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from byhand import models
from byhand.bench.check import Check, PeerError, Session
from byhand.bench.memory import MB

NETWORKS = ("mobilenet_v2", "efficientnet_lite0")
TIMEOUT_SECONDS = 300
# The end of each program: the most memory that the process has had. resource is for systems without /proc.
PRINT_PEAK = """
import atexit, sys
def print_peak():
    try:
        lines = open("/proc/self/status").read().splitlines()
        print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024)
    except OSError:
        import resource
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
atexit.register(print_peak)
"""


class PredictPeer(Protocol):
    """A framework that classifies a photo."""

    # A Python program; its arguments are an ONNX file, a photo and the size of the image.
    predict_program: str


def sessions() -> dict[str, Callable[[PredictPeer], Session]]:
    """Return the sessions of the networks, by name."""
    return {name: partial(session, name) for name in NETWORKS}


def session(name: str, peer: PredictPeer) -> Session:
    """Yield, for each turn, the peak memory of a process in MB."""
    from byhand.onnx import save  # noqa: PLC0415  (needs the package onnx)

    model = models.create(name)
    height, width, channels = model.input_shape
    with tempfile.TemporaryDirectory() as folder:
        file, photo = Path(folder, f"{name}.onnx"), Path(folder, "photo.png")
        save(model, file)
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
        Image.fromarray(pixels).save(photo)
        yield Check([])
        while True:
            yield _run([PRINT_PEAK + peer.predict_program, str(file), str(photo), str(height)]) / MB


def _run(words: list[str]) -> int:
    """Run a Python program and return the number that it printed last."""
    done = subprocess.run(
        [sys.executable, "-c", *words], capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
    )
    if done.returncode:
        code = done.returncode
        raise PeerError(f"it ended with {code}: {(done.stderr.strip().splitlines() or [''])[-1]}")
    return int(done.stdout.splitlines()[-1])
