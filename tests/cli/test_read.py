"""Command `byhand read`."""

import json

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand.data import mnist
from tests.cli.run_cli import byhand, refuses
from tests.data import dirty_paper
from tests.data.reader import reader
from tests.data.synthetic_photos import compose, score


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network that reads digits, two that do not, and photos."""
    folder = tmp_path_factory.mktemp("read")
    reader().save(folder / "digits.safetensors")
    bh.models.create("lenet5", classes=12).save(folder / "twelve.safetensors")
    bh.models.create("lenet5", input_shape=(32, 32, 3)).save(folder / "color.safetensors")
    (folder / "page.jpg").write_bytes(compose(20, "ruled").jpeg)
    (folder / "board.jpg").write_bytes(compose(21, "blackboard").jpeg)
    Image.new("L", (400, 300), 230).save(folder / "blank.png")
    (folder / "note.png").write_text("no picture")
    page = np.full((120, 500), 235, np.uint8)
    for k, left in enumerate((20, 70, 120, 280, 330)):  # 7 2 1  0 4
        ink = np.asarray(Image.fromarray(mnist.test_images()[k]).resize((42, 42)))
        page[40:82, left : left + 42] -= np.uint8(0.8 * ink)
    Image.fromarray(page).save(folder / "row.png")
    return folder


def test_a_photo_becomes_its_digits_a_table_and_a_picture(folder, tmp_path):
    done = byhand("read", folder / "digits.safetensors", folder / "row.png", folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    text, blank, head, *rows, gap, wrote = done.out.splitlines()
    assert (text, blank, gap, wrote) == ("721 04", "", "", "wrote row-read.png")
    assert head.split() == ["digit", "confidence", "line", "x", "y", "width", "height"]
    assert [row.split()[0] for row in rows] == list("72104")
    for row, left in zip(rows, (20, 70, 120, 280, 330)):
        _, confidence, line, x, y, width, height = row.split()
        assert 50 <= float(confidence.rstrip("%")) <= 100 and line == "1"
        assert left <= int(x) and int(x) + int(width) <= left + 43 and int(y) >= 40 and int(y) + int(height) <= 83
    with Image.open(tmp_path / "row-read.png") as image:
        assert image.format == "PNG" and image.width == 900


def test_json_tells_all_of_it(folder, tmp_path):
    photos = [folder / "page.jpg", folder / "board.jpg"]
    done = byhand("read", folder / "digits.safetensors", *photos, "--json", folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    for answer, photo, (seed, kind) in zip(
        json.loads(done.out)["readings"], photos, ((20, "ruled"), (21, "blackboard"))
    ):
        with Image.open(photo) as image:
            assert (answer["width"], answer["height"]) == image.size
        assert answer["photo"] == str(photo) and answer["file"] == f"{photo.stem}-read.png"
        assert (tmp_path / answer["file"]).is_file()
        found = [(symbol["digit"], symbol["box"]) for symbol in answer["digits"]]
        assert score(compose(seed, kind).truth, found).right >= 0.9 * len(found)
        told = "".join("".join(line.split()) for line in answer["lines"])
        assert told == "".join(symbol["digit"] for symbol in answer["digits"])
        assert all(0.5 <= symbol["confidence"] <= 1 for symbol in answer["digits"])
        assert all(symbol["sure"] == (symbol["confidence"] >= 0.9) for symbol in answer["digits"])
        assert answer["marks"] >= len(answer["digits"])
        assert [symbol["line"] for symbol in answer["digits"]] == sorted(symbol["line"] for symbol in answer["digits"])


def test_unknown_mean_and_std_of_an_onnx_file_are_told(folder, tmp_path):
    onnx, ours = pytest.importorskip("onnx"), pytest.importorskip("byhand.onnx")
    ours.save(reader(), tmp_path / "digits.onnx")
    proto = onnx.load(tmp_path / "digits.onnx")
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "digits.onnx")
    words = ["read", "digits.onnx", folder / "row.png"]
    assert "does not contain the pixels' mean and std" in byhand(*words, folder=tmp_path).err
    mean, std = (np.atleast_1d(value)[0] for value in (reader().mean, reader().std))
    done = byhand(*words, "--mean", mean, "--std", std, folder=tmp_path)
    assert done.out.startswith("721 04\n") and "mean and std" not in done.err


def test_one_bad_photo_does_not_keep_the_others_from_being_read(folder, tmp_path):
    photos = [folder / name for name in ("note.png", "blank.png", "row.png", "none.png")]
    done = byhand("read", folder / "digits.safetensors", *photos, folder=tmp_path)
    assert done.code == 2 and "Traceback" not in done.err
    told = done.err.splitlines()
    assert len(told) == 3
    for line, what in zip(told, ("note.png is no image", "blank.png: no digit was found", "can't read")):
        assert line.startswith("byhand: ") and what in line
    assert done.out.startswith(f"{folder / 'row.png'}:\n721 04\n")
    assert [path.name for path in tmp_path.iterdir()] == ["row-read.png"]


def test_blank_paper_is_told_and_no_picture_is_written(folder, tmp_path):
    done = byhand("read", folder / "digits.safetensors", folder / "blank.png", folder=tmp_path)
    assert (done.code, done.out) == (2, "") and "blank.png: no digit was found" in done.complaint
    done = byhand("read", folder / "digits.safetensors", folder / "blank.png", "--json", folder=tmp_path)
    (answer,) = json.loads(done.out)["readings"]
    assert done.code == 2 and (answer["lines"], answer["digits"], answer["file"]) == ([], [], None)
    assert list(tmp_path.iterdir()) == []


def test_marks_of_dirt_are_counted_and_not_read(folder, tmp_path):
    Image.fromarray(dirty_paper.sheet(0, "fibers", size=(700, 500))).save(tmp_path / "hairs.png")
    done = byhand("read", folder / "digits.safetensors", tmp_path / "hairs.png", folder=tmp_path)
    assert done.code == 2 and not done.out
    assert "no digit was found with certainty: " in done.complaint and "may be dirt" in done.complaint


def test_an_existing_file_is_kept(folder, tmp_path):
    words = ["read", folder / "digits.safetensors", folder / "row.png"]
    (tmp_path / "row-read.png").write_text("mine")
    done = byhand(*words, folder=tmp_path)
    assert done.code == 2 and done.complaint == (
        "row-read.png exists already and was not written by byhand; choose another --output"
    )
    assert (tmp_path / "row-read.png").read_text() == "mine"
    assert byhand(*words, "--output", "other.png", folder=tmp_path).out.endswith("wrote other.png\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["digits.safetensors", "none.png"], "can't read none.png: there is no such file"),
        (["digits.safetensors", "."], "it is a folder"),
        (["none", "row.png"], "none"),
        (["lenet5", "row.png"], "lenet5 is an untrained architecture: train it first"),
        (["twelve.safetensors", "row.png"], "(12 classes); expected 28 x 28 x 1 and the digits 0 to 9"),
        (["color.safetensors", "row.png"], "lenet5 takes 32 x 32 x 3"),
        (["efficientnet_lite0", "row.png"], "expected 28 x 28 x 1 and the digits 0 to 9"),
        (
            ["digits.safetensors", "row.png", "page.jpg", "--output", "x.png"],
            "--output names one file, but there are 2",
        ),
        (["digits.safetensors", "row.png", "--output", "none/x.png"], "can't write none"),
        (["digits.safetensors", "row.png", "--output", "."], ". is a folder; expected a file as --output"),
        (["digits.safetensors"], "Missing argument"),
    ],
)
def test_bad_input_gets_one_line(folder, words, complaint):
    refuses(folder, complaint, "read", *words)
