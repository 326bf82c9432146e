"""Command `byhand export`: the files it writes, its output and its errors."""

import json
import subprocess

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from tests.cli.run_cli import byhand, small_mnist
from tests.export.compile_c import compile_c, needs_cc


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder, as `byhand train` leaves it, on a small data set."""
    folder = tmp_path_factory.mktemp("export")
    data = small_mnist(folder / "data")
    done = byhand("train", "lenet5", "--data", data, "--epochs", 3, "--output", folder / "run", folder=folder)
    assert done.code == 0, done.err
    return folder / "run"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@needs_cc
@pytest.mark.parametrize("small", [False, True], ids=["float32", "int8"])
def test_a_run_goes_out_as_c(small, run, tmp_path):
    done = byhand("export", run, "--c", tmp_path / "c", *["--int8"] * small)
    assert done.code == 0 and not done.err, done.err
    assert ("int8 max error" in done.out) == small and "float32 max error" in done.out
    assert "accuracy on 300 held-out images: float32 9" in done.out and (", int8 9" in done.out) == small
    assert "RAM " in done.out and "flash " in done.out and f"wrote to {tmp_path / 'c'}" in done.out
    program = compile_c(tmp_path / "c", "lenet5.c", "main.c")
    result = subprocess.run([program], capture_output=True, text=True, check=False)
    assert result.returncode == 0 and "8 of 8 images as in Python" in result.stdout


def test_json_is_one_object(run, tmp_path):
    pytest.importorskip("onnx")
    done = byhand("export", run, "--c", tmp_path / "c", "--int8", "--onnx", tmp_path / "m.onnx", "--json")
    assert done.code == 0 and not done.err, done.err
    told = json.loads(done.out)
    assert told["model"] == "lenet5" and told["c"]["dtype"] == "int8" and told["c"]["test_images"] == 300
    assert [row["name"] for row in told["c"]["layer_errors"]][-1] == "fc3"
    assert abs(told["c"]["accuracy_int8"] - told["c"]["accuracy_float32"]) <= 0.01
    assert told["onnx"]["bytes"] == (tmp_path / "m.onnx").stat().st_size and told["onnx"]["mean"] == bh.load(run).mean


def test_onnx_tells_how_pixels_become_numbers_and_what_classes_are_called(tmp_path):
    onnx = pytest.importorskip("onnx")
    x = nn.Input(6, 6, 3)
    model = nn.Model(
        x, nn.Linear(2)(nn.Flatten()(x)), name="pets", classes=("cat", 'the "dog"'), mean=[0.1, 0.2, 0.3], std=[1, 2, 4]
    )
    model.save(tmp_path / "pets.safetensors")
    done = byhand("export", tmp_path / "pets.safetensors", "--onnx", tmp_path / "pets.onnx")
    assert done.code == 0 and "takes (N, 3, 6, 6) in float32" in done.out, done.err
    assert "mean 0.1, 0.2, 0.3, std 1, 2, 4; the names of 2 classes" in done.out
    notes = {entry.key: json.loads(entry.value) for entry in onnx.load(tmp_path / "pets.onnx").metadata_props}
    assert ["cat", 'the "dog"'] in notes.values() and [0.1, 0.2, 0.3] in notes.values()
    session = pytest.importorskip("onnxruntime").InferenceSession(tmp_path / "pets.onnx")
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 3), dtype=np.uint8)
    ((name),) = (node.name for node in session.get_inputs())
    (scores,) = session.run(None, {name: np.ascontiguousarray(model.prepare(images).transpose(0, 3, 1, 2))})
    np.testing.assert_allclose(scores, model.logits_of(images), atol=1e-5)


@needs_cc
def test_a_model_without_data_goes_out_in_float32(tmp_path):
    bh.models.create("article").save(tmp_path / "new.safetensors")
    done = byhand("export", tmp_path / "new.safetensors", "--c", tmp_path / "c")
    assert done.code == 0 and "accuracy" not in done.out and "8 random images" in done.out, done.err
    assert (
        subprocess.run([compile_c(tmp_path / "c", "article.c", "main.c")], capture_output=True, check=False).returncode
        == 0
    )


def test_onnx_tells_the_scale_of_pixels_of_more_than_8_bits(tmp_path):
    pytest.importorskip("onnx")
    x = nn.Input(6, 6, 1)
    record = bh.data.Preprocessing(pixel_range=(0, 1023), mean=0.5, std=0.25)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(x)), name="deep", preprocessing=record)
    model.save(tmp_path / "deep.safetensors")
    done = byhand("export", tmp_path / "deep.safetensors", "--onnx", tmp_path / "deep.onnx")
    assert done.code == 0 and "scale its pixels first: 0 is 0, 1023 is 255" in done.out


def test_an_onnx_file_goes_out_as_c_with_the_mean_that_is_given(tmp_path):
    pytest.importorskip("onnx")
    from byhand import onnx

    onnx.save(bh.models.create("article"), tmp_path / "a.onnx")
    done = byhand("export", tmp_path / "a.onnx", "--c", tmp_path / "c", "--mean", "0.25", "--std", "1/255")
    assert done.code == 0, done.err
    text = (tmp_path / "c" / "article.c").read_text()
    assert "pixel_mean[1] = {\n    0.25f\n" in text and "pixel_std[1] = {\n    0.003921569f\n" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no format given; give --html, --onnx FILE, --c DIR, or several"),
        (("--int8", "--onnx", "x.onnx"), "--int8 and --data are options of the C code; give --c DIR with them"),
        (("--c", "c", "--int8"), "does not contain its training data's name; give --data DATA to calibrate int8"),
        (("--c", "file"), "file is a file; expected a folder"),
        (("--c", "full"), "full exists already, and is not empty; choose another folder"),
        (("--c", "file/below"), "file is a file; expected a folder"),
        (("--onnx", "file"), "file exists already and was not written by byhand; choose another --onnx"),
        (("--onnx", "nowhere/x.onnx"), "can't write nowhere/x.onnx"),
        (("--c", "c", "--data", "nosuch"), "there is no data set, folder or file 'nosuch'"),
        (("--c", "c", "--data", "color"), "28 x 28 x 1"),
        (("--c", "c", "--label-column", "b"), "--label-column is for the table of --data; give --data with it"),
        (("--c", "c", "--data", "color", "--label-column", "b"), "--label-column is for tables; color.npz is none"),
        (("--c", "c", "--labels", "file"), "class names"),
    ],
)
def test_an_impossible_request_is_one_line(words, message, tmp_path):
    if "--onnx" in words:
        pytest.importorskip("onnx")
    bh.models.create("article").save(tmp_path / "m.safetensors")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    np.savez(
        tmp_path / "color.npz",
        x_train=np.zeros((4, 9, 9, 3), np.uint8),
        y_train=np.arange(4) % 2,
        x_test=np.zeros((4, 9, 9, 3), np.uint8),
        y_test=np.arange(4) % 2,
    )
    words = [word if word != "color" else "color.npz" for word in words]
    done = byhand("export", "m.safetensors", *words, folder=tmp_path)
    assert done.code == 2 and not done.out and message in done.complaint
    assert names(tmp_path) == ["color.npz", "file", "full", "m.safetensors"]
    assert (tmp_path / "file").read_text() == "mine" and names(tmp_path / "full") == ["mine"]


def test_no_onnx_file_is_left_when_c_export_fails(tmp_path):
    pytest.importorskip("onnx")
    x = nn.Input(8, 8, 1)
    nn.Model(x, nn.Linear(2)(nn.Flatten()(nn.ConvTranspose2d(2, 3)(x)))).save(tmp_path / "m.safetensors")
    done = byhand("export", "m.safetensors", "--c", "c", "--onnx", "m.onnx", folder=tmp_path)
    assert done.code == 2 and "conv1: the op conv_transpose2d can't be exported as C" in done.complaint
    assert names(tmp_path) == ["m.safetensors"]


def test_an_untrained_architecture_is_refused(tmp_path):
    done = byhand("export", "lenet5", "--c", "c", folder=tmp_path)
    assert done.code == 2 and "train it first" in done.complaint and not names(tmp_path)
