"""A helper that runs the command line and returns its output and exit code."""

import io
import os
import signal
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from byhand.cli.app import main
from byhand.data import mnist

COMPILING = "compiling new kernels for this processor"  # told once a machine; test_doctor and test_display look at it

ENVIRONMENT = {"COLUMNS": "120"}


@dataclass
class Completed:
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


def byhand(*words, folder=None, timeout=300, process=False, **environment):
    """Run `byhand` with these words; in this process, but where `process` or an environment asks for one of its own."""
    words = [str(word) for word in words]
    if process or environment:
        return _own_process(words, folder, timeout, environment)
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="", write_through=True) for _ in range(2))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with (
        chdir(folder or Path.cwd()),
        patch.object(sys, "argv", ["byhand", *words]),
        patch.dict(os.environ, ENVIRONMENT),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
    assert handlers == {number: signal.getsignal(number) for number in handlers}, "a signal's handler is left behind"
    return _printed(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))


def refuses(folder, complaint, *words):
    """Assert that `byhand` refuses these words in one line that holds the complaint, and leaves the folder as it was."""
    before = {path.name for path in folder.iterdir()}
    done = byhand(*words, folder=folder)
    assert done.code == 2 and complaint in done.complaint and done.out == ""
    assert {path.name for path in folder.iterdir()} == before


def _own_process(words, folder, timeout, environment):
    done = subprocess.run(
        [sys.executable, "-m", "byhand", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=os.environ | ENVIRONMENT | {"PYTHONWARNINGS": "error"} | environment,
    )
    return _printed(done.returncode, done.stdout, done.stderr)


def _printed(code, out, err):
    told = [line for line in err.splitlines(keepends=True) if not line.startswith(COMPILING)]
    return Completed(code, out, "".join(told))


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
