"""Command `byhand explain`."""

import json

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand import nn, onnx
from byhand.cli.explain import class_number
from byhand.data import Preprocessing, digits
from byhand.report.explain.attribution import explain
from tests.cli.run_cli import byhand, refuses
from tests.cli.small_files import write_feature_maps, write_images


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, and small networks in files."""
    folder = tmp_path_factory.mktemp("explain")
    write_images(folder)
    bh.models.create("article", preprocessing=Preprocessing("digit")).save(folder / "digits.safetensors")
    x, y = write_feature_maps(folder)
    model = nn.Model(
        x,
        nn.Linear(3, name="fc")(nn.GlobalAvgPool2d(name="pool")(y)),
        classes=("cat, puss", "dog", "2"),
        crop_pct=0.875,
    )
    onnx.save(model, folder / "pets.onnx")
    model.p.block_0_conv_bias[2] = np.nan
    model.save(folder / "broken.safetensors")
    x = nn.Input(28, 28, 1)
    nn.Model(x, nn.Sequential(nn.Flatten(), nn.Linear(3))(x), name="flat", crop_pct=1.0).save(
        folder / "flat.safetensors"
    )
    return folder


def test_a_digit_is_explained_once(folder, tmp_path):
    done = byhand("explain", folder / "digits.safetensors", folder / "one.png", folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    found = explain(bh.load(folder / "digits.safetensors"), digits.from_file(folder / "one.png"))
    (row, column), lines = np.unravel_index(found.cam.argmax(), found.cam.shape), done.out.splitlines()
    assert lines[0] == f"class      {found.name} (number {found.index} of 10), {found.score:.1%}"
    assert lines[1] == "layer      conv1, 26 x 26 x 8: the last layer with feature maps before pool1"
    assert lines[2] == f"Grad-CAM   largest at row {row}, column {column}"
    assert found.effect.max() < 0.01  # of an untrained network
    assert lines[4] == "occlusion  with a 6 x 6 gray patch, the probability drops by less than 1%"
    assert lines[5] == (
        "wrote one-explained.png: input, Grad-CAM, saliency, occlusion, first filters, most active feature maps"
    )
    with Image.open(tmp_path / "one-explained.png") as image:
        assert image.format == "PNG" and 1000 <= image.width <= 1400
    again = byhand("explain", folder / "digits.safetensors", folder / "one.png", folder=tmp_path)
    assert (again.code, again.out) == (0, done.out), "its own picture is replaced"


def test_json_is_one_object(folder, tmp_path):
    words = ["--class", "puss", "--layer", "/block_0/conv", "--output", "why.png", "--json"]
    done = byhand("explain", folder / "pets.onnx", folder / "photo.png", *words, folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert (told["class"], told["index"], told["file"]) == ("cat, puss", 0, "why.png")
    assert told["layer"] == {"name": "block_0_conv", "shape": [14, 18, 6], "before": ["act"]}
    assert 0 < told["occlusion"]["lowest"]["probability"] <= 1 and told["occlusion"]["patch"] == [4, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["why.png"]


def test_a_network_without_feature_maps_is_refused(folder, tmp_path):
    done = byhand("explain", folder / "flat.safetensors", folder / "one.png", "--class", "1", folder=tmp_path)
    assert done.code == 0
    assert "layer      none: no layer of flat has feature maps, so there is no Grad-CAM\n" in done.out
    assert done.out.endswith("wrote one-explained.png: input, saliency, occlusion\n")


def test_a_class_by_name_or_number():
    classes = "cat, puss", "dog, puss", "1", "0"
    assert [class_number(classes, name) for name in ("cat", "DOG", "dog, puss", "1", "0", "3")] == [0, 1, 1, 2, 3, 3]
    with pytest.raises(bh.ArgumentError, match="2 classes are called puss: numbers 0, 1; give the number"):
        class_number(classes, "puss")
    for unknown in ("4", "-1", "²", "9" * 5000):
        with pytest.raises(bh.UnknownNameError, match="there is no class"):
            class_number(classes, unknown)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["digits.safetensors", "none.png"], "can't read none.png: there is no such file"),
        (["digits.safetensors", "note.png"], "note.png"),
        (["none.onnx", "one.png"], "there is no file none.onnx"),
        (["lenet5", "one.png"], "lenet5 is an untrained architecture: train it first"),
        (
            ["maps.onnx", "photo.png"],
            "is no classifier, its output is 14 x 18 x 6; to see it: byhand trace maps.onnx photo.png",
        ),
        (["pets.onnx", "photo.png", "--class", "dig"], "there is no class 'dig'; did you mean 'dog'?"),
        (["pets.onnx", "photo.png", "--class", "3"], "there is no class '3'"),
        (["pets.onnx", "photo.png", "--layer", "acd"], "there is no layer 'acd'; did you mean 'act'?"),
        (["pets.onnx", "photo.png", "--layer", "fc"], "has no feature maps that the logits depend on"),
        (["flat.safetensors", "one.png", "--layer", "fc1"], "no layer of flat has any"),
        (["pets.onnx", "photo.png", "--output", "none/x.png"], "can't write none"),
        (["pets.onnx", "photo.png", "--output", "."], ". is a folder; expected a file as --output"),
        (
            ["pets.onnx", "photo.png", "--image-size", "28"],
            "--image-size is '28'; expected HEIGHTxWIDTH, such as 224x224",
        ),
        (["pets.onnx", "photo.png", "--labels", "note.png"], "note.png has 1 class names, but"),
        (["digits.safetensors"], "Missing argument"),
    ],
)
def test_bad_input_gets_one_line(folder, words, complaint):
    refuses(folder, complaint, "explain", *words)


def test_an_answer_that_is_no_number_is_told(folder):
    done = byhand("explain", "broken.safetensors", "photo.png", folder=folder)
    assert (done.code, done.out) == (1, "") and "gives NaN for this image" in done.complaint


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_number_is_explained(outputs, tmp_path):
    x = nn.Input(12, 12, 1)
    y = nn.Linear(outputs)(nn.GlobalAvgPool2d()(nn.ReLU()(nn.Conv2d(4, 3, padding="same")(x))))
    model = nn.Model(x, y, task="numbers", crop_pct=1.0)
    model.save(tmp_path / "age.safetensors")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    words = ["explain", "age.safetensors", "one.png"]
    if outputs == 3:
        refuses(tmp_path, "gives 3 numbers; name the one to explain, from 0 to 2", *words)
        refuses(tmp_path, "--class is '3'; expected the position of a number, from 0 to 2", *words, "--class", "3")
        words += ["--class", "2"]
    done = byhand(*words, "--json", folder=tmp_path)
    told = json.loads(done.out)
    number = float(model.predict(pixels[None, ..., None])[0, -1])
    assert done.code == 0 and told["index"] == outputs - 1 and told["number"] == pytest.approx(number, rel=1e-4)
    assert "probability" not in told and told["layer"]["shape"] == [12, 12, 4] and told["occlusion"]["largest_change"]
    shown = byhand(*words, "-o", "again.png", folder=tmp_path).out
    assert (
        shown.startswith(f"number     {number:.6g} (number {outputs - 1} of {outputs})\n")
        and "the number becomes" in shown
    )
