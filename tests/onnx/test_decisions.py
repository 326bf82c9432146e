"""Outputs that are decisions or have no batch axis: the scores are read in their place; against onnxruntime."""

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node as node

from byhand.errors import UnsupportedError
from byhand.onnx import load
from tests.onnx.small_models import make_model, write_model
from tests.onnx.test_outputs import BODY, WEIGHTS, head, ours, theirs, write

SOFTMAX, SIGMOID = node("Softmax", ["z"], ["s"], axis=1), node("Sigmoid", ["z"], ["s"])
ARGMAX = node("ArgMax", ["s"], ["i"], axis=1, keepdims=0)
INT64 = TensorProto.INT64
NUMBERS = {
    "half": np.float32(0.5),
    "two": np.array([2]),
    "axis": np.array([1]),
    "words": np.array(["ant", "bee", "fly"], object),
}
LABELS = {"keys_int64s": [0, 1, 2], "values_strings": ["ant", "bee", "fly"]}
DECISIONS = {  # nodes after z, outputs, names
    "ArgMax": ([SOFTMAX, ARGMAX], ("i",), ("0", "1", "2")),
    "TopK, values and indices": ([SOFTMAX, node("TopK", ["s", "two"], ["v", "i"])], ("i", "v"), ("0", "1", "2")),
    "text of an ArgMax": (
        [SOFTMAX, ARGMAX, node("LabelEncoder", ["i"], ["t"], domain="ai.onnx.ml", **LABELS)],
        ("t",),
        ("ant", "bee", "fly"),
    ),
    "a word for an ArgMax": ([SOFTMAX, ARGMAX, node("Gather", ["words", "i"], ["t"])], ("t",), ("ant", "bee", "fly")),
    "label and ZipMap": (
        [SOFTMAX, ARGMAX, node("ZipMap", ["s"], ["m"], domain="ai.onnx.ml", classlabels_strings=["ant", "bee", "fly"])],
        ("i", "m"),
        ("ant", "bee", "fly"),
    ),
    "the largest and its index": (
        [SOFTMAX, ARGMAX, node("ReduceMax", ["s", "axis"], ["m"], keepdims=0)],
        ("m", "i"),
        ("0", "1", "2"),
    ),
    "true or false": ([SIGMOID, node("Greater", ["s", "half"], ["i"])], ("i",), ("0", "1", "2")),
    "rounded": ([SIGMOID, node("Round", ["s"], ["k"]), node("Cast", ["k"], ["i"], to=INT64)], ("i",), ("0", "1", "2")),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_the_scores_of_a_decision_are_read(name, tmp_path):
    tail, outputs, names = DECISIONS[name]
    path, notes = write(tmp_path, tail, outputs, numbers=NUMBERS), []
    model = load(path, notes=notes)
    assert model.classes == names and "s is read instead" in notes[0]
    assert load(path, output=outputs[-1]).task == model.task
    np.testing.assert_allclose(ours(model), theirs(write(tmp_path, tail[:1], ("s",))), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "node",
    [
        node("Less", ["z", "half"], ["i"]),
        node("Greater", ["half", "z"], ["i"]),
        node("TopK", ["z", "two"], ["v", "i"], largest=0),
        node("ArgMax", ["z"], ["i"], axis=0),
    ],
    ids=["smaller than", "not larger than", "the smallest", "among images"],
)
def test_decisions_for_smaller_scores_are_not_read(node, tmp_path):
    with pytest.raises(UnsupportedError, match=node.op_type):
        load(write(tmp_path, [node], ("i",), numbers=NUMBERS))


def test_a_threshold_is_told(tmp_path):
    notes = []
    load(write(tmp_path, [SIGMOID, node("Less", ["half", "s"], ["i"])], ("i",), numbers=NUMBERS), notes=notes)
    assert "i is made by Less 0.5 from s" in notes[0]


def test_a_decision_beside_its_scores_changes_nothing(tmp_path):
    notes = []
    assert load(write(tmp_path, [SOFTMAX, ARGMAX], ("i", "s")), notes=notes).output.name == "s"
    assert "i (not readable): s is taken" in notes[0]


def test_the_largest_score_alone_is_a_number(tmp_path):
    path = write(tmp_path, [SOFTMAX, node("ReduceMax", ["s", "axis"], ["m"])], ("m",), numbers=NUMBERS)
    assert load(path).task == "numbers"


@pytest.mark.parametrize("last", ["axis", "all axes", "shape", "first"])
def test_an_answer_without_a_batch_axis(last, tmp_path):
    tail = {
        "axis": node("Squeeze", ["s", "zero"], ["y"]),
        "all axes": node("Squeeze", ["s"], ["y"]),
        "shape": node("Reshape", ["s", "three"], ["y"]),
        "first": node("Gather", ["s", "first"], ["y"]),
    }[last]
    numbers = {"zero": np.array([0]), "three": np.array([3]), "first": np.array(0)}
    path = write(tmp_path, [SOFTMAX, tail], numbers=numbers, x=(1, 3, 8, 8))
    expected = theirs(write(tmp_path, [SOFTMAX], ("s",)))
    np.testing.assert_allclose(ours(load(path)), expected, rtol=1e-4, atol=1e-6)


def test_an_image_without_a_batch_axis(tmp_path):
    gemm, weight = head(3)
    nodes = [node("Unsqueeze", ["x", "zero"], ["image"]), *BODY, gemm, SOFTMAX, node("Squeeze", ["s", "zero"], ["y"])]
    nodes[1].input[0] = "image"
    try:
        model = make_model(nodes, WEIGHTS | weight | {"zero": np.array([0])}, x=(3, 8, 8))
        found = ours(load(write_model(model, tmp_path)))
    finally:
        nodes[1].input[0] = "x"
    np.testing.assert_allclose(found, theirs(write(tmp_path, [SOFTMAX], ("s",))), rtol=1e-4, atol=1e-6)
