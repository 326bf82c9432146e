"""`byhand.load`: a network by any of its names."""

import numpy as np
import pytest

import byhand as bh
from byhand import onnx
from byhand.errors import ArgumentError, FileError

IMAGES = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)


@pytest.fixture(scope="module")
def model():
    """A small network, not trained."""
    return bh.models.create("tiny", classes=["cat", "dog"])


def test_a_saved_file_and_an_onnx_file_are_the_network(model, tmp_path):
    model.save(tmp_path / "pets.safetensors")
    onnx.save(model, tmp_path / "pets.ONNX")
    for path in (tmp_path / "pets.safetensors", str(tmp_path / "pets.ONNX")):
        loaded = bh.load(path)
        assert loaded.classes == ("cat", "dog")
        np.testing.assert_allclose(loaded.predict(IMAGES), model.predict(IMAGES), atol=1e-6)


def test_a_pretrained_network_has_its_name_unless_a_file_has_it(model, tmp_path, monkeypatch):
    assert bh.load("efficientnet_lite0", input_shape=(64, 64, 3)).input_shape == (64, 64, 3)
    monkeypatch.chdir(tmp_path)
    model.save("efficientnet_lite0")
    assert bh.load("efficientnet_lite0").classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("source", "settings", "error", "message"),
    [
        ("lenet5", {}, ArgumentError, "byhand.models.create('lenet5') makes it"),
        ("none.onnx", {}, FileError, "there is no file none.onnx"),
        ("none", {}, FileError, "there is no file none"),
        ("pets.safetensors", {"input_shape": (8, 8, 3)}, ArgumentError, "takes images of (32, 32, 3)"),
    ],
)
def test_what_is_no_network_is_told(model, tmp_path, monkeypatch, source, settings, error, message):
    monkeypatch.chdir(tmp_path)
    model.save("pets.safetensors")
    with pytest.raises(error, match=message.replace("(", r"\(").replace(")", r"\)")):
        bh.load(source, **settings)
