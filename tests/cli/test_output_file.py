"""The rule for outputs: a command replaces what byhand wrote, and nothing else."""

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand.cli.output_file import check_output
from byhand.errors import FileError
from tests.cli.run_cli import byhand


@pytest.fixture
def folder(tmp_path):
    bh.models.create("article", seed=0).save(tmp_path / "m.safetensors")
    digit = np.full((28, 28), 255, np.uint8)
    digit[5:23, 12:15] = 0
    Image.fromarray(digit).save(tmp_path / "a.png")
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(3):
            image = np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path


def refuses(folder, complaint, *words):
    """Assert that a command ends with a complaint, and writes nothing."""
    before = sorted(folder.rglob("*"))
    done = byhand(*words, folder=folder)
    assert done.code == 2 and complaint in done.err.splitlines()[-1] and done.out == ""
    assert sorted(folder.rglob("*")) == before


COMMANDS = {
    "a-explained.png": ["explain", "m.safetensors", "a.png"],
    "conv1.png": ["trace", "m.safetensors", "a.png", "--layer", "conv1"],
    "article.svg": ["show", "m.safetensors", "--graph"],
    "photos-sheet.png": ["data", "photos", "--model", "tiny"],
    "m-look.html": ["look", "m.safetensors", "--no-open"],
    "m-classifier.html": ["export", "m.safetensors", "--html"],
    "m.onnx": ["export", "m.safetensors", "--onnx", "m.onnx"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_second_run_replaces_the_first_ones_file_and_no_other(name, folder):
    words = COMMANDS[name]
    for _ in range(2):
        done = byhand(*words, folder=folder)
        assert done.code == 0 and f"wrote {name}" in done.out, done.err
    content = (folder / name).read_bytes()
    marks = (b"Software", b"data-generator", b"generator", b"byhand")
    for mark in marks:
        content = content.replace(mark, b"x" * len(mark))
    (folder / name).write_bytes(content)  # of the same kind, but somebody else's
    refuses(folder, f"{name} exists already and was not written by byhand; choose another", *words)
    assert (folder / name).read_bytes() == content


def test_the_arguments_are_checked_first(folder):
    (folder / "mine.png").write_text("mine")
    refuses(folder, "can't read none.png", "explain", "m.safetensors", "none.png", "-o", "mine.png")
    refuses(
        folder, "there is no layer 'conv9'", "trace", "m.safetensors", "a.png", "--layer", "conv9", "-o", "mine.png"
    )


def test_an_input_is_never_written_over(folder):
    before = (folder / "a.png").read_bytes()
    refuses(folder, "a.png exists already and was not", "explain", "m.safetensors", "a.png", "-o", "a.png")
    assert (folder / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("path", "complaint"),
    [(".", "is a folder"), ("none/x.png", "there is no folder none"), ("/dev/null", "is no regular file")],
)
def test_what_is_no_file_is_refused(path, complaint, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(FileError, match=complaint):
        check_output(type(folder)(path))
