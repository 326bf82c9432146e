"""Command `byhand predict` with folders, standard input, CSV and JSON."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand.kernels.runtime.cpu import vector_unit
from byhand.program.precision import NO_BFLOAT16
from tests.cli.run_cli import byhand
from tests.data.image_folders import COLORS, write_image_folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a folder of pictures, and the file of a network for them."""
    root = tmp_path_factory.mktemp("predict")
    write_image_folder(root / "colors", 70, size=(12, 10))
    (root / "colors" / "red" / "notes.txt").write_text("no picture")
    model = bh.models.create("lenet5", tuple(COLORS), (16, 16, 3), crop_pct=1.0)
    model.save(root / "model.safetensors")
    return root / "colors", root / "model.safetensors", model


def expected(root, model):
    """Return (file, class, probability) of every picture in natural order, each looked at alone."""
    paths = [root / name / f"{number}.png" for name in COLORS for number in range(70)]
    answers = [model.predict(bh.data.photos.from_file(path, (16, 16), 3, 1.0)[None])[0] for path in paths]
    return [(str(path), model.classes[answer.argmax()], answer.max()) for path, answer in zip(paths, answers)]


def test_a_folder_as_csv(run):
    root, path, model = run
    done = byhand("predict", path, root, "--csv")
    assert (done.code, done.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    wanted = expected(root, model)
    assert [(row["image"], row["class"]) for row in rows] == [wanted_row[:2] for wanted_row in wanted]
    np.testing.assert_allclose(
        [float(row["probability"]) for row in rows], [wanted_row[2] for wanted_row in wanted], atol=1e-5
    )
    assert len(rows) == 210 and rows[0].keys() == {"image", "class", "probability", "index"}


def test_a_folder_in_every_form_says_the_same(run):
    root, path, _ = run
    table = byhand("predict", path, root / "red").out.splitlines()[1:]
    told = json.loads(byhand("predict", path, root / "red", "--json", "--top-k", 2).out)["predictions"]
    rows = list(csv.DictReader(io.StringIO(byhand("predict", path, root / "red", "--csv", "--top-k", 2).out)))
    assert len(table) == len(told) == len(rows) == 70
    for line, prediction, row in zip(table, told, rows):
        assert line.split()[:2] == [prediction["image"], prediction["class"]] == [row["image"], row["class"]]
        assert [entry["class"] for entry in prediction["probabilities"]] == [row["class"], row["class_2"]]


def test_bfloat16_answers_the_same_where_the_cpu_has_it(run):
    root, model, _ = run
    done = byhand("predict", model, root / "red", "--csv", "--precision", "bf16")
    said = "" if vector_unit().bfloat16 else f"byhand: {NO_BFLOAT16}\n"
    assert (done.code, done.err) == (0, said)
    classes = [
        [row[1] for row in csv.reader(io.StringIO(text))]
        for text in (done.out, byhand("predict", model, root / "red", "--csv").out)
    ]
    assert classes[0] == classes[1]


def test_one_picture_from_standard_input(run):
    root, path, _ = run
    picture = root / "green" / "3.png"
    command = [sys.executable, "-m", "byhand", "predict", path, "-", "--json"]
    done = subprocess.run(command, input=picture.read_bytes(), capture_output=True, check=True)
    (prediction,) = json.loads(done.stdout)["predictions"]
    (other,) = json.loads(byhand("predict", path, picture, "--json").out)["predictions"]
    assert prediction.pop("image") == "-" and other.pop("image") == str(picture) and prediction == other
    done = subprocess.run(command, input=b"no picture", capture_output=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith(b"byhand: standard input is no image")
    assert done.stderr.count(b"\n") == 1


def test_bad_images_are_reported_and_the_others_predicted(run, tmp_path):
    root, path, _ = run
    (tmp_path / "bad.png").write_text("no picture")
    good = [root / "red" / f"{number}.png" for number in range(3)]
    done = byhand("predict", path, good[0], tmp_path, *good[1:], "--csv")
    assert done.code == 2 and "bad.png is no image that can be read" in done.complaint
    assert [row["image"] for row in csv.DictReader(io.StringIO(done.out))] == [str(path) for path in good]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--csv", "--json"), "--json and --csv are two output formats"),
        (("--precision", "fp16"), "there is no precision 'fp16'; write bf16; CPUs have bfloat16 in place of float16"),
        (("--top-k", "0"), "--top-k is 0; expected a whole number, 1 or more"),
        (("empty",), "the folder empty contains no images"),
    ],
)
def test_wrong_options_are_refused(run, tmp_path, words, complaint):
    (tmp_path / "empty").mkdir()
    done = byhand("predict", run[1], run[0] / "red" / "0.png", *words, folder=tmp_path)
    assert done.code == 2 and complaint in done.complaint and done.out == ""


@pytest.mark.parametrize("shape", [(8, 8), (64,)])
def test_a_gray_network_without_a_channel_axis(shape, tmp_path):
    x = bh.nn.Input(*shape)
    y = x if len(shape) == 1 else bh.nn.Flatten()(x)
    model = bh.nn.Model(x, bh.nn.Linear(3)(y), crop_pct=1.0)
    model.save(tmp_path / "flat.safetensors")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "gray.png")
    done = byhand("predict", "flat.safetensors", "gray.png", "--json", folder=tmp_path)
    (found,) = json.loads(done.out)["predictions"]
    expected = model.predict(pixels.reshape(1, *shape))[0]
    assert done.code == 0 and found["index"] == expected.argmax()
    assert found["probability"] == pytest.approx(float(expected.max()), abs=1e-5)
