"""Exported ONNX files: valid, equal in onnxruntime, and read back."""

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

import byhand as bh
from byhand import nn
from byhand.errors import UnsupportedError
from byhand.models import ARCHITECTURES
from byhand.onnx import load, save
from byhand.ops import REGISTRY
from tests.models.table import ONE_OF_EACH
from tests.nn import cases
from tests.onnx.small_models import random_array, randomized_model

TOLERANCE = 3e-5  # of the largest logit: float32, in another order
SETTINGS = {name: {"input_shape": (32, 32, 3), "classes": 10} for name in ARCHITECTURES if name.startswith("vgg")}
# Big in what follows the images alone.
SETTINGS["alexnet"] = SETTINGS["zfnet"] = {"input_shape": (96, 96, 3), "classes": 10}
GAINS = {"mobilenet_v3_large": {"gain": 1.0}}  # louder, its gates lose the last digits in float32, whoever computes


def runtime(path, images):
    """Return what onnxruntime makes of images (N, H, W, C), or of rows."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images = images.transpose(0, 3, 1, 2) if images.ndim == 4 else images
    return session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(images)})[0]


def relative_error(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


FAMILIES = [name if name in ONE_OF_EACH else pytest.param(name, marks=pytest.mark.long) for name in ARCHITECTURES]


@pytest.mark.parametrize("name", FAMILIES)
def test_onnxruntime_does_what_an_architecture_does_and_byhand_reads_it_back(name, tmp_path):
    model = randomized_model(name, **SETTINGS.get(name, {}), **GAINS.get(name, {}))
    images = random_array(2, *model.input_shape)
    expected = model.logits_of(images)
    assert np.ptp(expected, axis=0).max() > 20 * TOLERANCE * np.abs(expected).max(), "the images look alike"
    save(model, tmp_path / "model.onnx")
    assert relative_error(runtime(tmp_path / "model.onnx", images), expected) < TOLERANCE
    again = load(tmp_path / "model.onnx")
    assert relative_error(again.logits_of(images), expected) < 1e-6
    assert (again.name, again.parameter_count, again.classes) == (model.name, model.parameter_count, model.classes)
    assert [node.op.name for node in again.graph.nodes if node.op.name == "conv2d"] == [
        node.op.name for node in model.graph.nodes if node.op.name == "conv2d"
    ]


@pytest.mark.parametrize(("name", "case"), cases.ALL)
def test_every_layer_can_be_written(name, case, tmp_path):
    model, _ = case.model(dtype=np.float32)
    images = random_array(3, *model.input_shape)
    save(model, tmp_path / "layer.onnx")
    onnx.checker.check_model(str(tmp_path / "layer.onnx"), full_check=True)
    expected = model.logits_of(images)
    if "LRN" not in name or case.attributes["size"] % 2:  # onnxruntime has none of even sizes
        assert relative_error(runtime(tmp_path / "layer.onnx", images), expected) < 1e-5
    again = load(tmp_path / "layer.onnx")
    assert relative_error(again.logits_of(images), expected) < 1e-6


ELEMENTWISE_OPS = ["neg", "abs", "sqrt", "exp", "log", "reciprocal", "softplus", "softsign", "elu", "selu", "celu"]
CALLS = [
    *((op, {}) for op in ELEMENTWISE_OPS),
    ("clip", {"low": -0.5, "high": 0.25}),
    ("reduce_mean", {"axes": (1, 2), "keepdims": True}),
    ("reduce_max", {"axes": (3,)}),
    ("reduce_l2", {"axes": (1, 3)}),
    ("reduce_log_sum_exp", {"axes": (2,), "keepdims": True}),
    ("transpose", {"axes": (0, 2, 3, 1)}),
    ("slice", {"starts": (3, 0), "stops": (None, 4), "axes": (1, 2), "steps": (-2, 3)}),
    ("resize", {"size": (9, 4)}),
    ("resize", {"size": (3, 8), "mode": "linear", "coordinates": "align_corners"}),
    ("resize", {"size": (8, 9), "mode": "cubic", "cubic_a": -0.5, "exclude_outside": True}),
    ("lrn", {"size": 3, "alpha": 0.5, "beta": 0.75, "bias": 2.0}),
]


@pytest.mark.parametrize(("op", "attributes"), CALLS)
def test_ops_without_a_layer_are_written(op, attributes, tmp_path):
    x = nn.Input(5, 6, 4)
    model = nn.Model(x, nn.Flatten()(REGISTRY[op](nn.Sigmoid()(x), **attributes)), seed=1)
    images = random_array(3, 5, 6, 4)
    save(model, tmp_path / "op.onnx")
    onnx.checker.check_model(str(tmp_path / "op.onnx"), full_check=True)
    assert relative_error(runtime(tmp_path / "op.onnx", images), model.logits_of(images)) < 1e-5
    assert relative_error(load(tmp_path / "op.onnx").logits_of(images), model.logits_of(images)) < 1e-6


def test_names_classes_and_pixels_come_back(tmp_path):
    x = nn.Input(6, 6, 3)
    logits = nn.Linear(2)(nn.GlobalAvgPool2d()(nn.Conv2d(4, name="first")(x)))
    model = nn.Model(x, logits, name="tiny", classes=["a cat", "犬"], mean=[0.4, 0.5, 0.6], std=0.25)
    save(model, tmp_path / "tiny.onnx")
    again = load(tmp_path / "tiny.onnx")
    assert (again.name, again.classes, again.mean, again.std) == ("tiny", ("a cat", "犬"), [0.4, 0.5, 0.6], 0.25)
    assert "first" in again.graph.tensors and "first_weight" in again.parameters
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), np.uint8)
    np.testing.assert_allclose(again.predict(pixels), model.predict(pixels), atol=1e-6)
    notes = {entry.key: json.loads(entry.value) for entry in onnx.load(tmp_path / "tiny.onnx").metadata_props}
    assert notes["byhand.classes"] == ["a cat", "犬"]


def test_a_last_softmax_is_written(tmp_path):
    x = nn.Input(5)
    model = nn.Model(x, nn.Softmax()(nn.Linear(3)(x)))
    save(model, tmp_path / "softmax.onnx")
    images = random_array(2, 5)
    np.testing.assert_allclose(runtime(tmp_path / "softmax.onnx", images), model.predict(images), atol=1e-6)
    again = load(tmp_path / "softmax.onnx")
    np.testing.assert_allclose(again.predict(images), model.predict(images), atol=1e-6)
    np.testing.assert_allclose(again.logits_of(images), model.logits_of(images), atol=1e-6)


def test_double_precision_stays(tmp_path):
    x = nn.Input(4, 4, 2)  # onnxruntime has no convolution of doubles
    model = nn.Model(x, nn.Linear(3)(nn.Tanh()(nn.Flatten()(x))), dtype=np.float64)
    save(model, tmp_path / "double.onnx")
    images = random_array(2, 4, 4, 2, dtype=np.float64)
    assert load(tmp_path / "double.onnx").dtype == np.float64
    np.testing.assert_allclose(runtime(tmp_path / "double.onnx", images), model.logits_of(images), atol=1e-13)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    model = bh.models.create("article")
    save(model, tmp_path / "net.onnx")
    before = (tmp_path / "net.onnx").read_bytes()
    x = nn.Input(3)
    other = nn.Model(x, nn.Linear(2)(x))
    other.graph.nodes[0] = replace(other.graph.nodes[0], op=REGISTRY["linear_relu"])
    with pytest.raises(UnsupportedError, match="ONNX has no operator that does what linear_relu does"):
        save(other, tmp_path / "net.onnx")
    with pytest.raises(bh.FileError):
        save(model, tmp_path / "nowhere" / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == before


def test_class_labels_come_back_as_integers(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.random((12, 8, 8, 1)).astype(np.float32), np.array([3, 5, 9] * 4)
    x = nn.Input(8, 8, 1)
    model = nn.Model(x, nn.Linear(3)(nn.Flatten()(x)))
    model.fit(images, labels, epochs=1)
    save(model, tmp_path / "model.onnx")
    again = load(tmp_path / "model.onnx")
    assert again.classes == ("3", "5", "9") and again.classes_are_integers
    assert again.evaluate(images, labels)["accuracy"] == model.evaluate(images, labels)["accuracy"]
    assert not load(tmp_path / "model.onnx", classes=["a", "b", "c"]).classes_are_integers
