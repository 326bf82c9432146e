"""A command as a person types it: what it prints, where, and its exit code."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from byhand.data import mnist

COMPILING = "compiling kernels for this processor, once"  # told once a machine; test_doctor and test_display look at it


@dataclass
class Typed:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def complaint(self):
        """The one line on standard error; fails where there are more, or a traceback."""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("byhand: "), self.err
        return self.err.removeprefix("byhand: ").strip()


def byhand(*words, folder=None, timeout=120, **environment):
    """Run `byhand` with these words, in a process of its own."""
    command = [sys.executable, "-m", "byhand", *map(str, words)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=timeout, env=_environment(environment), check=False
    )
    told = [line for line in done.stderr.splitlines(keepends=True) if not line.startswith(COMPILING)]
    return Typed(done.returncode, done.stdout, "".join(told))


def _environment(more):
    import os

    return os.environ | {"PYTHONWARNINGS": "error", "COLUMNS": "120"} | more


def write_idx(path, array):
    """Write uint8 numbers as an IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    Path(path).write_bytes(header + array.astype(np.uint8).tobytes())


def small_mnist(folder, train=1200, test=300):
    """Make a data set's folder of four IDX files from the first images of MNIST."""
    folder.mkdir()
    for part, images, labels, count in (
        ("train", mnist.train_images(), mnist.train_labels(), train),
        ("t10k", mnist.test_images(), mnist.test_labels(), test),
    ):
        write_idx(folder / f"{part}-images-idx3-ubyte", images[:count])
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels[:count])
    return folder
