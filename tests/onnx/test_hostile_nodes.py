"""Untrusted nodes: invalid attributes, inputs, names and metadata."""

import json

import numpy as np
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx.helper import make_node as node

from byhand.errors import FileError, UnsupportedError
from byhand.onnx import backend, load
from tests.memory import peak_below
from tests.onnx.small_models import make_model, random_array, write_model
from tests.onnx.untrusted import (
    MAX_BYTES,
    X,
    assert_refused,
    assert_runs_or_refuses,
    int64_array,
    model_adding_constant,
    one_node_model,
)

# attributes -----------------------------------------------------------------------------------------------------------

W = {"w": random_array(3, 3, 3, 3)}
ABSURD = {
    "pads below 0": ("Conv", {"pads": [-1] * 4}),
    "too few pads": ("Conv", {"pads": [1]}),
    "huge pads": ("Conv", {"pads": [2**40] * 4}),
    "a stride of 0": ("Conv", {"strides": [0, 0]}),
    "a stride below 0": ("Conv", {"strides": [-1, -1]}),
    "three strides": ("Conv", {"strides": [1, 1, 1]}),
    "a dilation of 0": ("Conv", {"dilations": [0, 1]}),
    "a huge dilation": ("Conv", {"dilations": [2**62, 2**62]}),
    "another kernel": ("Conv", {"kernel_shape": [5, 5]}),
    "no groups": ("Conv", {"group": 0}),
    "groups below 0": ("Conv", {"group": -3}),
    "groups that do not fit": ("Conv", {"group": 2}),
    "a number where a list is": ("Conv", {"strides": 1}),
    "text where a list is": ("Conv", {"pads": "1111"}),
    "floats where whole numbers are": ("Conv", {"strides": [1.5, 1.5]}),
    "a tensor where whole numbers are": ("Conv", {"strides": numpy_helper.from_array(int64_array(1, 1))}),
    "a graph where whole numbers are": ("Conv", {"dilations": helper.make_graph([], "g", [], [])}),
}


@pytest.mark.parametrize("what", ABSURD)
def test_absurd_convolutions(what, tmp_path):
    kind, attributes = ABSURD[what]
    assert_refused(
        one_node_model(kind, "w", initializers=W, **attributes),
        tmp_path,
        f"{kind} 'n'|'y' (has more elements|would hold more numbers)",
    )
    with pytest.raises(FileError, match=f"{kind} 'n'"), peak_below(MAX_BYTES):
        backend.prepare(one_node_model(kind, "w", initializers=W, **attributes)).run([X])


WRONG = {
    "an axis out of range": one_node_model("Concat", "x", axis=9),
    "softmax along none": one_node_model("Softmax", axis=7),
    "softmax before the first": one_node_model("Softmax", axis=-7),
    "layer norm before the first": one_node_model(
        "LayerNormalization", "w", axis=-(2**62), initializers={"w": random_array(8)}
    ),
    "layer norm beyond the last": one_node_model(
        "LayerNormalization", "w", axis=4, initializers={"w": random_array(8)}
    ),
    "reduction along none": one_node_model("ReduceSum", "a", initializers={"a": int64_array(2**62)}),
    "unsqueeze at a half": one_node_model("Unsqueeze", opset=11, axes=[1.5]),
    "squeeze at text": one_node_model("Squeeze", opset=11, axes=["1"]),
    "flatten at none": one_node_model("Flatten", axis=-9),
    "transpose twice": one_node_model("Transpose", perm=[0, 1, 1, 2]),
    "transpose by text": one_node_model("Transpose", perm="abcd"),
    "the batch is moved": one_node_model("Transpose", perm=[1, 0, 2, 3]),
    "squeeze what is not 1": one_node_model("Squeeze", "a", initializers={"a": int64_array(2)}),
    "unsqueeze twice": one_node_model("Unsqueeze", "a", initializers={"a": int64_array(1, 1)}),
    "reshape to too much": one_node_model("Reshape", "s", initializers={"s": int64_array(1, 193)}),
    "reshape with two unknown": one_node_model("Reshape", "s", initializers={"s": int64_array(1, -1, -1)}),
    "reshape below 0": one_node_model("Reshape", "s", initializers={"s": int64_array(1, -2, -96)}),
    "reshape to 0": one_node_model("Reshape", "s", initializers={"s": int64_array(1, 0)}, allowzero=1),
    "reshape by floats": one_node_model("Reshape", "s", initializers={"s": np.float32([1, 192])}),
    "reshape to many axes": one_node_model("Reshape", "s", initializers={"s": np.ones(1000, np.int64)}),
    "split that makes less": one_node_model(
        "Split", "s", outputs=("y", "z"), axis=1, initializers={"s": int64_array(1, 1)}
    ),
    "split below 0": one_node_model("Split", "s", outputs=("y", "z"), axis=1, initializers={"s": int64_array(4, -1)}),
    "slice along none": one_node_model(
        "Slice", "a", "b", "c", initializers={"a": int64_array(0), "b": int64_array(1), "c": int64_array(8)}
    ),
    "slice by 0": one_node_model(
        "Slice", "a", "b", "c", "a", initializers={"a": int64_array(0), "b": int64_array(1), "c": int64_array(1)}
    ),
    "gather out of range": one_node_model("Gather", "i", axis=1, initializers={"i": int64_array(3)}),
    "gather at floats": one_node_model("Gather", "i", axis=1, initializers={"i": np.float32([1])}),
    "a pool without a kernel": one_node_model("MaxPool"),
    "a pool larger than the image": one_node_model("MaxPool", kernel_shape=[9, 9]),
    "a pool of 0": one_node_model("AveragePool", kernel_shape=[0, 0]),
    "a pool along one axis of two": one_node_model("MaxPool", kernel_shape=[2]),
    "strides of text": one_node_model("MaxPool", kernel_shape=[2, 2], strides=["1", "1"]),
    "another mode": one_node_model("Pad", "p", mode="\x1b[2J", initializers={"p": int64_array(0, 0, 1, 1, 0, 0, 1, 1)}),
    "pads of one side": one_node_model("Pad", "p", initializers={"p": int64_array(1)}),
    "no slope": one_node_model("PRelu"),
    "blocks of 0": one_node_model("DepthToSpace", blocksize=0),
    "blocks below 0": one_node_model("SpaceToDepth", blocksize=-2),
    "no block": one_node_model("SpaceToDepth"),
    "a range of 0": model_adding_constant(
        [node("Range", ["a", "b", "a"], ["k"])], {"a": np.float32(0), "b": np.float32(1)}
    ),
    "a range to infinity": model_adding_constant(
        [node("Range", ["a", "b", "c"], ["k"])], {"a": np.float32(0), "b": np.float32(np.inf), "c": np.float32(1)}
    ),
    "a range to no number": model_adding_constant(
        [node("Range", ["a", "b", "c"], ["k"])], {"a": np.float32(0), "b": np.float32(np.nan), "c": np.float32(1)}
    ),
    "scales of no number": one_node_model("Resize", "", "s", initializers={"s": np.float32([1, 1, np.nan, 1])}),
    "infinite scales": one_node_model("Resize", "", "s", initializers={"s": np.float32([1, 1, np.inf, 1])}),
    "scales below 0": one_node_model("Resize", "", "s", initializers={"s": np.float32([1, 1, -1, -1])}),
    "too few scales": one_node_model("Resize", "", "s", initializers={"s": np.float32([2])}),
    "lrn over nothing": one_node_model("LRN", size=0),
    "a slope that is a list": one_node_model("LeakyRelu", alpha=[1.0, 2.0]),
    "a slope that is text": one_node_model("Elu", alpha="\x1b[31mred\x00"),
    "an epsilon that is a list": one_node_model(
        "InstanceNormalization", "w", "w", epsilon=[1, 2], initializers={"w": random_array(3)}
    ),
    "text added": one_node_model("Add", "s", initializers={"s": np.array(["a"], object)}),
    "matrices that do not fit": one_node_model("MatMul", "m", initializers={"m": random_array(3, 3)}),
    "C a row an image": make_model(
        [node("Gemm", ["x", "b", "c"], ["y"])], {"b": random_array(4, 2), "c": random_array(5, 2)}, (5, 4)
    ),
    "a constant without a number": model_adding_constant([node("Constant", [], ["k"])]),
    "a constant of a graph": model_adding_constant(
        [node("Constant", [], ["k"], value=helper.make_graph([], "g", [], []))]
    ),
    "cast to nothing": model_adding_constant([node("Cast", ["a"], ["k"], to=99)], {"a": random_array(1)}),
    "cast of words": model_adding_constant([node("Cast", ["a"], ["k"], to=1)], {"a": np.array(["word"], object)}),
    "an if without branches": make_model(
        [node("If", ["c"], ["z"]), node("Add", ["x", "z"], ["y"])], {"c": np.array(True)}
    ),
    "an if of many": make_model([node("If", ["c"], ["z"]), node("Add", ["x", "z"], ["y"])], {"c": np.ones(3, bool)}),
    "an if on the image": make_model([node("If", ["x"], ["y"])]),
}


@pytest.mark.parametrize("what", WRONG)
def test_operators_that_are_told_nonsense(what, tmp_path):
    line = assert_refused(WRONG[what], tmp_path, r"\(opset \d+\)")
    assert "\x1b" not in line


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e-45, 3e38])
@pytest.mark.parametrize(
    "kind, name",
    [("LeakyRelu", "alpha"), ("Elu", "alpha"), ("Selu", "gamma"), ("HardSigmoid", "beta"), ("Celu", "alpha")],
)
def test_attributes_that_are_no_number_warn_of_nothing(kind, name, number, tmp_path):
    assert_runs_or_refuses(one_node_model(kind, **{name: float(number)}), tmp_path)


def test_numbers_that_overflow_warn_of_nothing(tmp_path):
    nodes = [
        node("Div", ["a", "zero"], ["b"]),
        node("Mul", ["b", "zero"], ["c"]),
        node("Exp", ["a"], ["d"]),
        node("Sum", ["c", "d"], ["k"]),
    ]
    assert_runs_or_refuses(model_adding_constant(nodes, {"a": np.float32([3e38]), "zero": np.float32([0])}), tmp_path)
    assert_runs_or_refuses(
        model_adding_constant(
            [node("Div", ["a", "b"], ["c"]), node("Cast", ["c"], ["k"], to=1)],
            {"a": int64_array(1), "b": int64_array(0)},
        ),
        tmp_path,
    )
    assert_runs_or_refuses(
        model_adding_constant([node("Cast", ["a"], ["k"], to=TensorProto.FLOAT16)], {"a": np.float32([1e30])}), tmp_path
    )
    assert_runs_or_refuses(model_adding_constant([], {"k": np.float64([1e300])}), tmp_path)


# names and metadata ---------------------------------------------------------------------------------------------------

NAMES = [
    "",
    "a" * 100_000,
    "é",
    "变量",
    "for",
    "None",
    "lambda",
    "import",
    "p",
    "g",
    "state",
    "arena",
    "step",
    "labels",
    "loss",
    "_",
    "__class__",
    "grad_x",
    "images",
    "1",
    "a b",
    "a\nb",
    "a;b",
    "__import__('os').system('x')",
    '"""',
    "\x1b[31m",
    "\x00",
    "v",
    "relu1",
    "\u202e",
    "😀",
    "match",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_of_any_kind(name, tmp_path):
    inner = make_model(
        [node("Conv", ["x", "w"], [name or "n"]), node("Relu", [name or "n"], ["y"], name=name)], W, (1, 3, 8, 8)
    )
    model = load(write_model(inner, tmp_path))
    assert all(tensor.isidentifier() and tensor.isascii() and len(tensor) < 200 for tensor in model.graph.tensors)
    assert_runs_or_refuses(inner, tmp_path)
    weight = make_model([node("Conv", ["x", name or "n"], ["y"])], {name or "n": W["w"]}, (1, 3, 8, 8))
    assert_runs_or_refuses(weight, tmp_path)
    line = assert_refused(
        make_model([node("Frobnicate", ["x"], ["y"], name=name)]), tmp_path, "Frobnicate", UnsupportedError, runs=True
    )
    assert len(line) < 1000


def test_a_name_that_many_have(tmp_path):
    nodes = [
        node("Relu", ["x"], ["a"], name="n"),
        node("Neg", ["a"], ["a"], name="n"),
        node("Exp", ["a"], ["y"], name="n"),
    ]
    model = load(write_model(make_model(nodes, x=(1, 3, 8, 8)), tmp_path))
    np.testing.assert_allclose(
        model.predict(X.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), np.exp(-np.maximum(X, 0)), rtol=1e-6
    )
    twice = model_adding_constant([], {"k": np.float32([1])})
    twice.graph.initializer.append(numpy_helper.from_array(np.float32([2]), "k"))
    assert_runs_or_refuses(twice, tmp_path)


BAD_NOTES = {
    "classes": [
        "",
        "{",
        "null",
        "{}",
        '{"a": 1, "b": 2}',
        "[1, 2]",
        '["a"]',
        '"ab"',
        "[[]]",
        "[" * 100_000,
        "1",
        "true",
    ],
    "mean": [
        "",
        "NaN",
        "Infinity",
        '"a"',
        "[0.5, 0.5]",
        "[]",
        "{}",
        "null",
        "[NaN, 0, 0]",
        "9" * 10_000,
        "1e999",
        '["a", "b", "c"]',
    ],
    "std": ["0", "[1, 0, 1]", "NaN", "[[1]]", "null", "-Infinity"],
    "name": ["1", "[]", '"a b"', '"\\u001b[31m"', '"../up"', '"é"', '{"a": 1}', "null x"],
}


@pytest.mark.parametrize(
    "key, text", [(key, text) for key, texts in BAD_NOTES.items() for text in texts], ids=str.__len__
)
def test_notes_that_byhand_did_not_write(key, text, tmp_path):
    nodes = [node("GlobalAveragePool", ["x"], ["p"]), node("Flatten", ["p"], ["f"]), node("MatMul", ["f", "m"], ["y"])]
    model = make_model(nodes, {"m": random_array(3, 2)})
    helper.set_model_props(model, {f"byhand.{key}": text})
    if (key, text) in {("classes", "null"), ("mean", "null")}:
        assert_runs_or_refuses(model, tmp_path)
    else:
        assert_refused(model, tmp_path)
    helper.set_model_props(model, {"byhand.something": text, f"my_{key}": text})
    assert load(write_model(model, tmp_path)).classes == ("0", "1")


def test_a_type_that_no_attribute_has(tmp_path):
    for kind in range(15):
        model = one_node_model("Softmax", axis=1)
        model.graph.node[0].attribute[0].type = kind
        assert_runs_or_refuses(model, tmp_path)
    model = one_node_model("Relu")
    model.graph.node[0].attribute.append(AttributeProto(name="axis", ref_attr_name="nowhere"))
    assert_runs_or_refuses(model, tmp_path)


def test_the_backend_is_given_other_inputs():
    model = backend.prepare(one_node_model("Relu"))
    for given in ([], {}, {"z": X}, [None], ["text"], [[X]]):
        with pytest.raises(FileError):
            model.run(given)


def test_json_is_told_from_notes(tmp_path):
    model = one_node_model("Relu")
    helper.set_model_props(model, {"byhand.name": json.dumps("net"), "byhand.mean": "0.5", "byhand.std": "[1, 2, 4]"})
    loaded = load(write_model(model, tmp_path))
    assert (loaded.name, loaded.mean, loaded.std) == ("net", 0.5, [1, 2, 4])
