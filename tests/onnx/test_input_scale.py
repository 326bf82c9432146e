"""A normalization inside the graph: pixels come as it expects them, and are not normalized twice."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.helper import make_node as node

from byhand.onnx import load
from tests.onnx.small_models import make_model, write_model
from tests.onnx.test_outputs import WEIGHTS, head

BODY = [
    node("Conv", ["i", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
    node("GlobalAveragePool", ["c"], ["p"]),
    node("Flatten", ["p"], ["f"]),
    node("Softmax", ["z"], ["y"], axis=1),
]
MEAN, STD = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
NUMBERS = {
    "255": np.float32(255), "127.5": np.float32(127.5), "one": np.float32(1), "two": np.float32(2),
    "mean": MEAN, "std": STD, "mean255": 255 * MEAN, "std255": 255 * STD, "gains": 1 / (255 * STD),
    "ones": np.ones(3, np.float32), "zeros": np.zeros(3, np.float32), "third": np.full(3, 0.3, np.float32),
    "m": 255 * MEAN.reshape(3), "v": (255 * STD.reshape(3)) ** 2,
}  # fmt: skip
GRAPHS = {  # the first nodes, the pixel value of white
    "x / 255": ([node("Div", ["x", "255"], ["i"])], 255),
    "x / 127.5 - 1": ([node("Div", ["x", "127.5"], ["a"]), node("Sub", ["a", "one"], ["i"])], 255),
    "(x - 123.7) / 58.4": ([node("Sub", ["x", "mean255"], ["a"]), node("Mul", ["a", "gains"], ["i"])], 255),
    "x - 123.7": ([node("Sub", ["x", "mean255"], ["i"])], 255),
    "batch norm of bytes": ([node("BatchNormalization", ["x", "ones", "zeros", "m", "v"], ["i"])], 255),
    "(x - 0.485) / 0.229": ([node("Sub", ["x", "mean"], ["a"]), node("Div", ["a", "std"], ["i"])], 1),
    "2 x - 1": ([node("Mul", ["x", "two"], ["a"]), node("Sub", ["a", "one"], ["i"])], 1),
    "nothing": ([node("Identity", ["x"], ["i"])], None),
    "a batch norm of what is normalized": ([node("BatchNormalization", ["x", "ones", "zeros", "zeros", "ones"], ["i"])], None),
}  # fmt: skip
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)


def write(tmp_path, first, **metadata):
    gemm, weight = head(3)
    model = make_model([*first, *BODY[:3], gemm, BODY[3]], WEIGHTS | weight | NUMBERS)
    helper.set_model_props(model, metadata)
    return write_model(model, tmp_path)


@pytest.mark.parametrize("name", GRAPHS)
def test_pixels_come_as_the_graph_expects_them(name, tmp_path):
    first, white = GRAPHS[name]
    path, notes = write(tmp_path, first), []
    model = load(path, notes=notes)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    values = (PIXELS.transpose(0, 3, 1, 2) / 255 * (white or 1)).astype(np.float32)
    np.testing.assert_allclose(model.predict(PIXELS), session.run(None, {"x": values})[0], rtol=2e-4, atol=1e-5)
    assert any("normalizes the image itself" in note for note in notes) == (white is not None)
    assert ((model.mean, model.std) == (0.0, 1.0)) == (white is None), "known is told from unknown"


@pytest.mark.parametrize("name", ["(x - 0.485) / 0.229", "(x - 123.7) / 58.4", "x / 255"])
def test_metadata_of_the_same_normalization_are_not_applied_twice(name, tmp_path):
    first, white = GRAPHS[name]
    metadata = {"mean": "[0.485, 0.456, 0.406]", "std": "[0.229, 0.224, 0.225]"}
    notes = []
    model = load(write(tmp_path, first, **metadata), notes=notes)
    assert np.allclose(model.std, 1 / white) and "not as its metadata" in notes[0]
    other = load(write(tmp_path, GRAPHS["nothing"][0], **metadata))
    assert np.allclose(other.mean, MEAN.reshape(3))


def test_integers_in_channels_last_order(tmp_path):
    first = [
        node("Cast", ["x"], ["k"], to=TensorProto.FLOAT),
        node("Sub", ["k", "m"], ["a"]),
        node("Transpose", ["a"], ["i"], perm=[0, 3, 1, 2]),
    ]
    gemm, weight = head(3)
    model = make_model(
        [*first, *BODY[:3], gemm, BODY[3]], WEIGHTS | weight | NUMBERS, x=("N", 8, 8, 3), kind=TensorProto.UINT8
    )
    path = write_model(model, tmp_path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(load(path).predict(PIXELS), session.run(None, {"x": PIXELS})[0], rtol=2e-4, atol=1e-5)


def test_the_layout_of_an_image_of_open_size_is_that_of_the_graph(tmp_path):
    gemm, weight = head(3)
    nodes = [node("Transpose", ["x"], ["i"], perm=[0, 3, 1, 2]), *BODY[:3], gemm, BODY[3]]
    path = write_model(make_model(nodes, WEIGHTS | weight, x=("N", "h", "w", "c")), tmp_path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    images = (PIXELS / 255).astype(np.float32)
    found = load(path, input_shape=(8, 8, 3)).predict(images)
    np.testing.assert_allclose(found, session.run(None, {"x": images})[0], rtol=2e-4, atol=1e-5)
