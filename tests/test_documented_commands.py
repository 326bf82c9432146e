"""Commands of the documentation, run as they stand in a folder with what they name: a run, photos, an ONNX file.

`test_printed_commands.py` parses all of them, also those that take long.
"""

import shlex
import shutil
import webbrowser
from contextlib import chdir

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand import onnx
from byhand.kernels.conv import tuning, tuning_measurement
from tests.cli.run_cli import byhand, small_mnist
from tests.test_printed_commands import ALL, ROOT

LEFT_OUT = ("train", "bench", "tutorial", "read")  # they take long; `read` needs a network that has learned
PHOTO = "photos/cat/0.png"
PLACEHOLDERS = {"MODEL": "runs/RUN", "OTHER": "other.onnx", "RUN": "runs/RUN", "DATA": "photos"}
LINES = sorted({line for _, line in ALL if shlex.split(line)[1] not in LEFT_OUT} - {"byhand predict"})


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder as a reader of the documentation has it."""
    folder = tmp_path_factory.mktemp("documented")
    small_mnist(folder / "few", 256, 64)
    shutil.copytree(ROOT / "examples" / "digits", folder / "examples" / "digits")
    rng = np.random.default_rng(0)
    for name, red in (("cat", 60), ("dog", 200)):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
            pixels[..., 0] = red
            Image.fromarray(pixels).save(folder / "photos" / name / f"{i}.png")
    shutil.copytree(folder / "photos" / "cat", folder / "new-photos")
    for words in (
        ["train", "lenet5", "few", "--reader", "digit", "--output", "runs/lenet5-mnist"],
        ["train", "photos", "--model", "tiny", "--output", "runs/RUN"],
    ):
        done = byhand(*words, "--epochs", "1", "--lr", "0.01", folder=folder)
        assert done.code == 0, done.err
    with chdir(folder):
        model = bh.load("runs/RUN")
        onnx.save(model, "model.onnx")
        onnx.save(model, "other.onnx")
    return folder


def filled_in(line, folder):
    """Return the words of a command line, with files in place of the words in capitals and of patterns."""
    words = []
    for word in shlex.split(line)[1:]:
        image = "examples/digits/7.jpg" if "lenet5" in line else PHOTO
        word = {"IMAGE": image}.get(word) or PLACEHOLDERS.get(word, word)
        words += [str(path.relative_to(folder)) for path in sorted(folder.glob(word))] if "*" in word else [word]
    return words


def test_documented_commands_run(workplace, monkeypatch, tmp_path):
    """In one test: a worker of pytest-xdist prepares the folder once."""
    monkeypatch.setattr(webbrowser, "open", lambda address: True)
    monkeypatch.setattr(tuning, "cache_folder", lambda name: tmp_path)  # not the table of the person who runs the tests
    monkeypatch.setattr(tuning_measurement, "TURN_SECONDS", 1e-4)
    monkeypatch.setattr(tuning_measurement, "MAX_SPREAD", 1e9)  # other tests run beside
    calls = {tuple(filled_in(line, workplace)): line for line in LINES}
    assert len(calls) > 20
    for words, line in calls.items():
        done = byhand(*words, folder=workplace)
        assert done.code == 0 and done.out, f"{line}: {done.err}"
