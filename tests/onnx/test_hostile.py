"""A stranger's model is data: whatever is wrong with it, there is one printable line that says so, soon and without much memory."""

import json
import random
import re

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx.helper import make_node as node

from byhand.errors import FileError, UnsupportedError
from byhand.onnx import backend, load
from tests.memory import peak_below
from tests.onnx.make import array, graph, value, write

MEMORY = 1_500_000  # bytes that reading a small file may take
X = array(1, 3, 8, 8)


def refused(model, tmp_path, says="", error=FileError, runs=False):
    """Hold that a model is refused with one line that says what it must; runs: it is the backend's too."""
    path = tmp_path / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    with pytest.raises(error) as found, peak_below(MEMORY):
        load(path)
    line = str(found.value)
    assert line.startswith(str(path)), line
    assert line.isprintable(), line
    assert re.search(says, line), line
    assert len(line) < 1000
    if runs:
        with pytest.raises(error, match=says or None) as found, peak_below(MEMORY):
            backend.prepare(model).run([X])
        assert str(found.value).isprintable()
    return line


def one(kind, *more, outputs=("y",), opset=18, numbers=(), **attributes):
    """Return a model of one node that takes x."""
    return graph([node(kind, ["x", *more], list(outputs), name="n", **attributes)], numbers, (1, 3, 8, 8), opset)


def fold(nodes, numbers=(), opset=18):
    """Return a model whose nodes make "k", which no image changes, and which is added to x."""
    nodes = [*nodes, node("Add", ["x", "k"], ["y"])]
    return graph(nodes, numbers, (1, 3, 8, 8), opset)


def held(name, shape, kind=TensorProto.FLOAT, raw=b""):
    """Return stored numbers that may be wrong."""
    return TensorProto(name=name, dims=shape, data_type=kind, raw_data=raw)


def with_tensor(tensor):
    """Return a model that adds a stored tensor, k, to x."""
    model = fold([])
    model.graph.initializer.append(tensor)
    return model


def whole(*numbers):
    return np.array(numbers, np.int64)


# files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\x08", bytes(1000), b"\xff" * 1000, b"GIF89a", b"{}", random.Random(1).randbytes(10_000)],
    ids=range(8),
)
def test_files_that_are_no_model(data, tmp_path):
    refused(data, tmp_path)


def test_a_model_cut_off_anywhere(tmp_path):
    data = graph(
        [node("Relu", ["x"], ["r"]), node("Add", ["r", "k"], ["y"])], {"k": array(1, 3, 1, 1)}
    ).SerializeToString()
    path, loaded = tmp_path / "cut.onnx", []
    for length in range(len(data)):
        path.write_bytes(data[:length])
        try:
            load(path)
            loaded.append(length)
        except FileError as error:
            assert str(error).isprintable()
    assert len(data) - min(loaded, default=len(data)) < 10  # without its last words, the opset's or the format's


def test_what_is_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "missing.onnx", tmp_path / "no" / "folder.onnx"):
        with pytest.raises(FileError, match="no such file") as found:
            load(path)
        assert str(path) in str(found.value)


def test_no_graph_and_no_output(tmp_path):
    refused(onnx.ModelProto(ir_version=9), tmp_path, "no graph")
    empty = one("Relu")
    del empty.graph.output[:]
    refused(empty, tmp_path, "no output")
    del empty.graph.node[:]
    refused(empty, tmp_path, "no graph")


# graphs ---------------------------------------------------------------------------------------------------------------


def test_nodes_in_a_circle_out_of_order_or_missing(tmp_path):
    circle = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]
    refused(graph(circle), tmp_path, "Add 'a' .*makes 'b'", runs=True)
    refused(graph([node("Add", ["x", "y"], ["y"])]), tmp_path, "makes 'y'", runs=True)
    refused(
        graph([node("Relu", ["a"], ["y"]), node("Relu", ["x"], ["a"])]), tmp_path, "Relu 'y' .*makes 'a'", runs=True
    )
    refused(graph([node("Relu", ["x"], ["a"])]), tmp_path, "output.*makes 'y'", runs=True)
    refused(graph([node("Relu", [], ["a"]), node("Relu", ["x"], ["y"])]), tmp_path, "Relu 'a'", runs=True)
    refused(graph([node("Add", ["x", ""], ["y"])]), tmp_path, "Add 'y'", runs=True)
    refused(graph([node("Relu", ["x", "x", "x"], ["y"])]), tmp_path, "Relu 'y'", runs=True)


def test_operators_that_nobody_has(tmp_path):
    refused(one("Frobnicate", opset=17), tmp_path, r"Frobnicate 'n' \(opset 17\)", UnsupportedError, runs=True)
    refused(one("Relu", domain="com.example"), tmp_path, "Relu 'n'", UnsupportedError, runs=True)
    refused(one("LSTM", "x", "x"), tmp_path, "LSTM 'n'", UnsupportedError, runs=True)


@pytest.mark.parametrize("opset", [0, -1, 1000, 2**31, 2**62])
def test_an_opset_that_nobody_knows(opset, tmp_path):
    model = one("Relu")
    model.opset_import[0].version = opset
    refused(model, tmp_path, f"opset is {opset}", UnsupportedError, runs=True)


def test_inputs_that_are_not_one_image(tmp_path):
    model = graph([node("Add", ["x", "z"], ["y"])])
    model.graph.input.append(value("z", (1, 3, 8, 8)))
    refused(model, tmp_path, "2 inputs")
    del model.graph.input[:]
    refused(model, tmp_path, "0 inputs")
    refused(graph([node("Relu", ["k"], ["y"])], {"k": array(2)}), tmp_path, "0 inputs")
    fixed = graph([node("Relu", ["x"], ["z"]), node("Neg", ["k"], ["y"])], {"k": array(2)})
    refused(fixed, tmp_path, "does not depend on its input")
    for kind in (TensorProto.STRING, TensorProto.BOOL, TensorProto.COMPLEX64, TensorProto.UNDEFINED, 99):
        model = one("Relu")
        model.graph.input[0].type.tensor_type.elem_type = kind
        refused(model, tmp_path, "input 'x' has the type", UnsupportedError)


@pytest.mark.parametrize(
    "sizes", [(), (1,), (1, -3, 8, 8), (1, 0, 8, 8), (2**40, 3, 8, 8), (1, 2**40, 2**40, 3), (1,) * 5000]
)
def test_inputs_of_no_size(sizes, tmp_path):
    model = one("Relu")
    model.graph.input[0].CopyFrom(value("x", sizes))
    if sizes in ((1,), (2**40, 3, 8, 8)):  # an empty image is none; the batch is the caller's
        model = graph([node("Conv", ["x", "w"], ["y"])], {"w": array(2, 3, 9, 9)}, sizes)
    refused(model, tmp_path)


def test_functions_and_branches_without_an_end(tmp_path):
    def function(name, *calls):
        nodes = [node(kind, ["a"], [f"b{i}" if i else "b"], domain="own") for i, kind in enumerate(calls)]
        return helper.make_function("own", name, ["a"], ["b"], nodes, [helper.make_opsetid("own", 1)])

    def model(*functions):
        made = one("F0", domain="own")
        made.functions.extend(functions)
        made.opset_import.append(helper.make_opsetid("own", 1))
        return made

    refused(model(function("F0", "F0")), tmp_path, "F0.*inside one another", UnsupportedError, runs=True)
    refused(
        model(function("F0", "F1"), function("F1", "F0")), tmp_path, "inside one another", UnsupportedError, runs=True
    )
    laughs = [function(f"F{i}", *[f"F{i + 1}"] * 10) for i in range(15)]  # 10^15 nodes
    refused(model(*laughs, function("F15")), tmp_path, "more than", UnsupportedError, runs=True)

    inner = helper.make_graph([node("Relu", ["x"], ["z"])], "b", [], [value("z", None)])
    for _ in range(28):
        nested = node("If", ["yes"], ["z"], then_branch=inner, else_branch=inner)
        del nested.attribute[1:]
        inner = helper.make_graph([nested], "b", [], [value("z", None)])
    deep = graph([node("If", ["yes"], ["y"], then_branch=inner)], {"yes": np.array(True)})
    refused(deep, tmp_path, "inside one another|recursion|parse", runs=False)


def test_the_time_of_many_nodes_is_linear(tmp_path):
    def work(count, kind, name):
        names = ["x", *(name(i) for i in range(count - 1)), "y"]
        write(graph([node(kind, [a], [b]) for a, b in zip(names, names[1:])], x=(1, 3, 2, 2)), tmp_path)
        counted = 0

        def count_lines(frame, event, argument):
            nonlocal counted
            counted += 1

        import sys

        sys.setprofile(count_lines)
        try:
            model = load(tmp_path / "model.onnx")
        finally:
            sys.setprofile(None)
        assert len(model.graph.nodes) == (count if kind == "Relu" else 1)
        return counted

    for kind, name in (("Relu", "n{}".format), ("Relu", lambda i: "é" * (i % 300) + f"/{i % 3}")):
        assert work(800, kind, name) < 2.5 * work(400, kind, name)


# numbers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tensor",
    [
        held("k", [3, 1, 1], raw=bytes(8)), held("k", [3, 1, 1], raw=bytes(16)), held("k", [3, 1, 1]), held("k", [-1], raw=bytes(4)),
        held("k", [2**62, 2**62], raw=bytes(4)), held("k", [2**31], raw=bytes(4)), held("k", [10**9, 10**9, 0], raw=b"")
        , held("k", [1], 99, bytes(4)), held("k", [1], -1, bytes(4)), held("k", [1], 0, bytes(4)), held("k", [1], TensorProto.STRING, b"abcd"),
        held("k", [1], TensorProto.COMPLEX64, bytes(8)), held("k", [1] * 200, raw=bytes(4)),
        TensorProto(name="k", dims=[2], data_type=1, float_data=[1.0]), TensorProto(name="k", dims=[2**40], data_type=1, float_data=[1.0]),
        TensorProto(name="k", dims=[1], data_type=8, string_data=[b"word"]), TensorProto(name="k", dims=[1], data_type=1, int64_data=[1]),
        TensorProto(name="k", dims=[1], data_type=1, raw_data=bytes(4), segment=TensorProto.Segment(begin=0, end=9)),
    ],
    ids=range(18),
)  # fmt: skip
def test_stored_numbers_that_are_not_there(tensor, tmp_path):
    if list(tensor.dims) == [1] and tensor.HasField("segment"):
        tensor.ClearField("raw_data")
        tensor.float_data.append(1)
    refused(with_tensor(tensor), tmp_path, runs=True)


def test_sparse_numbers(tmp_path):
    model = fold([])
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(dims=[3]))
    refused(model, tmp_path, "sparse", UnsupportedError)


BIG = whole(2**20, 2**20)
HUGE = whole(2**40)
GROWTH = {
    "ConstantOfShape": [node("ConstantOfShape", ["n"], ["k"])],
    "below 0": [node("ConstantOfShape", ["minus"], ["k"])],
    "Expand": [node("Expand", ["one", "n"], ["k"])],
    "Tile": [node("Tile", ["ones", "n"], ["k"])],
    "Range": [node("Range", ["nil", "most", "step"], ["k"])],
    "Pad": [node("Pad", ["ones", "pads"], ["k"])],
    "Pad by its pixels": [node("Pad", ["ones", "far"], ["k"], mode="reflect")],
    "Resize": [node("Resize", ["image", "", "", "sizes"], ["k"])],
    "Resize by scales": [node("Resize", ["image", "", "scales"], ["k"])],
    "Resize to nothing": [node("Resize", ["image", "", "small"], ["k"], mode="linear", antialias=1)],
    "OneHot": [node("OneHot", ["i", "most", "ends"], ["k"])],
    "an outer product": [node("Expand", ["one", "long"], ["a"]), node("Reshape", ["a", "turned"], ["b"]), node("Mul", ["a", "b"], ["k"])],
    "of whole numbers": [node("ConstantOfShape", ["long"], ["a"], value=numpy_helper.from_array(whole(1))),
                         node("Reshape", ["a", "turned"], ["b"]), node("Add", ["a", "b"], ["k"])],
    "Equal": [node("Expand", ["one", "long"], ["a"]), node("Reshape", ["a", "turned"], ["b"]), node("Equal", ["a", "b"], ["k"])],
    "MatMul": [node("Expand", ["one", "row"], ["a"]), node("Transpose", ["a"], ["b"]), node("MatMul", ["b", "a"], ["k"])],
    "Gemm": [node("Expand", ["one", "row"], ["a"]), node("Gemm", ["a", "a"], ["k"], transA=1)],
    "Gather": [node("Expand", ["one", "row"], ["a"]), node("ConstantOfShape", ["long"], ["j"], value=numpy_helper.from_array(whole(0))),
               node("Gather", ["a", "j"], ["k"])],
    "Concat": [node("Expand", ["one", "long"], ["a"]), node("Concat", ["a"] * 100, ["k"], axis=0)],
    "a sum of what is repeated": [node("Expand", ["one", "most1"], ["a"]), node("ReduceSum", ["a"], ["k"])],
    "the largest of it": [node("Expand", ["one", "most1"], ["a"]), node("ArgMax", ["a"], ["k"])],
    "a copy of it": [node("Expand", ["ones3", "most3"], ["a"]), node("Reshape", ["a", "flat"], ["b"]), node("ReduceSum", ["b"], ["k"])],
    "Conv": [node("Conv", ["image", "w"], ["k"], pads=[2**20] * 4)],
    "ConvTranspose": [node("ConvTranspose", ["image", "w"], ["k"], strides=[2**20, 2**20])],
    "a volume": [node("Conv", ["volume", "w3"], ["k"], pads=[2**30, 0, 0, 2**30, 0, 0])],
    "AveragePool": [node("AveragePool", ["image"], ["k"], kernel_shape=[2, 2], pads=[2**20] * 4, count_include_pad=1)],
    "text": [node("Expand", ["one", "most1"], ["a"]), node("Cast", ["a"], ["k"], to=TensorProto.STRING)],
    "a long shape": [node("Expand", ["one_i", "most1"], ["a"]), node("Reshape", ["one", "a"], ["k"])],
    "many parts": [node("Split", ["ones"], ["k"], num_outputs=2**40)],
    "Erf": [node("Expand", ["one", "most1"], ["a"]), node("Erf", ["a"], ["k"])],
}  # fmt: skip
NUMBERS = {
    "n": BIG, "minus": whole(-5), "one": np.ones(1, np.float32), "one_i": whole(1), "ones": np.ones((1, 1), np.float32),
    "nil": np.int64(0), "most": np.int64(2**40), "step": np.int64(1), "pads": whole(2**40, 0, 0, 0), "far": whole(0, 0, 0, 2**24),
    "image": array(1, 3, 4, 4), "sizes": whole(1, 3, 2**30, 2**30), "scales": np.array([1, 1, 1e9, 1e9], np.float32),
    "small": np.array([1, 1, 1e-20, 1e-20], np.float32), "i": whole(1), "ends": np.array([0, 1], np.float32), "long": whole(2**20),
    "turned": whole(-1, 1), "row": whole(1, 2**20), "most1": whole(2**27), "ones3": np.ones(3, np.float32),
    "most3": whole(2**25, 3), "flat": whole(-1), "w": array(3, 3, 2, 2), "volume": array(1, 1, 2, 2, 2), "w3": array(1, 1, 1, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("what", GROWTH)
def test_numbers_made_of_nothing(what, tmp_path):
    used = {name for one in GROWTH[what] for name in one.input}
    refused(fold(GROWTH[what], {name: NUMBERS[name] for name in used & NUMBERS.keys()}), tmp_path, runs=True)


def test_work_made_of_nothing(tmp_path):
    """Each node is small; all of them are not."""
    size = {"one": np.ones(1, np.float32), "n": whole(2**22)}
    many = [node("Expand", ["one", "n"], ["a0"]), *(node("Exp", [f"a{i}"], [f"a{i + 1}"]) for i in range(2000))]
    write(fold([*many, node("ReduceSum", ["a2000"], ["k"])], size), tmp_path)
    with pytest.raises(FileError, match="more work"):
        load(tmp_path / "model.onnx")


def test_a_kernel_of_many_places(tmp_path):
    """A window of 4096 x 4096 over as large an image: few numbers come out, but it takes long."""
    numbers = {"one": np.ones(1, np.float32), "n": whole(1, 1, 4096, 4096)}
    pool = node("MaxPool", ["a"], ["k"], kernel_shape=[4096, 4096])
    refused(fold([node("Expand", ["one", "n"], ["a"]), pool], numbers), tmp_path, "work")


# attributes -----------------------------------------------------------------------------------------------------------

W = {"w": array(3, 3, 3, 3)}
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
    "a tensor where whole numbers are": ("Conv", {"strides": numpy_helper.from_array(whole(1, 1))}),
    "a graph where whole numbers are": ("Conv", {"dilations": helper.make_graph([], "g", [], [])}),
}


@pytest.mark.parametrize("what", ABSURD)
def test_absurd_convolutions(what, tmp_path):
    kind, attributes = ABSURD[what]
    refused(one(kind, "w", numbers=W, **attributes), tmp_path, f"{kind} 'n'", runs=True)


WRONG = {
    "an axis out of range": one("Concat", "x", axis=9),
    "softmax along none": one("Softmax", axis=7),
    "softmax before the first": one("Softmax", axis=-7),
    "flatten at none": one("Flatten", axis=-9),
    "transpose twice": one("Transpose", perm=[0, 1, 1, 2]),
    "transpose by text": one("Transpose", perm="abcd"),
    "the batch is moved": one("Transpose", perm=[1, 0, 2, 3]),
    "squeeze what is not 1": one("Squeeze", "a", numbers={"a": whole(2)}),
    "unsqueeze twice": one("Unsqueeze", "a", numbers={"a": whole(1, 1)}),
    "reshape to too much": one("Reshape", "s", numbers={"s": whole(1, 193)}),
    "reshape with two unknown": one("Reshape", "s", numbers={"s": whole(1, -1, -1)}),
    "reshape below 0": one("Reshape", "s", numbers={"s": whole(1, -2, -96)}),
    "reshape to 0": one("Reshape", "s", numbers={"s": whole(1, 0)}, allowzero=1),
    "reshape by floats": one("Reshape", "s", numbers={"s": np.float32([1, 192])}),
    "reshape to many axes": one("Reshape", "s", numbers={"s": np.ones(1000, np.int64)}),
    "split that makes less": one("Split", "s", outputs=("y", "z"), axis=1, numbers={"s": whole(1, 1)}),
    "split below 0": one("Split", "s", outputs=("y", "z"), axis=1, numbers={"s": whole(4, -1)}),
    "slice along none": one("Slice", "a", "b", "c", numbers={"a": whole(0), "b": whole(1), "c": whole(8)}),
    "slice by 0": one("Slice", "a", "b", "c", "a", numbers={"a": whole(0), "b": whole(1), "c": whole(1)}),
    "gather out of range": one("Gather", "i", axis=1, numbers={"i": whole(3)}),
    "gather at floats": one("Gather", "i", axis=1, numbers={"i": np.float32([1])}),
    "a pool without a kernel": one("MaxPool"),
    "a pool larger than the image": one("MaxPool", kernel_shape=[9, 9]),
    "a pool of 0": one("AveragePool", kernel_shape=[0, 0]),
    "a pool along one axis of two": one("MaxPool", kernel_shape=[2]),
    "strides of text": one("MaxPool", kernel_shape=[2, 2], strides=["1", "1"]),
    "another mode": one("Pad", "p", mode="\x1b[2J", numbers={"p": whole(0, 0, 1, 1, 0, 0, 1, 1)}),
    "pads of one side": one("Pad", "p", numbers={"p": whole(1)}),
    "no slope": one("PRelu"),
    "blocks of 0": one("DepthToSpace", blocksize=0),
    "blocks below 0": one("SpaceToDepth", blocksize=-2),
    "no block": one("SpaceToDepth"),
    "a range of 0": fold([node("Range", ["a", "b", "a"], ["k"])], {"a": np.float32(0), "b": np.float32(1)}),
    "a range to infinity": fold([node("Range", ["a", "b", "c"], ["k"])], {"a": np.float32(0), "b": np.float32(np.inf), "c": np.float32(1)}),
    "a range to no number": fold([node("Range", ["a", "b", "c"], ["k"])], {"a": np.float32(0), "b": np.float32(np.nan), "c": np.float32(1)}),
    "scales of no number": one("Resize", "", "s", numbers={"s": np.float32([1, 1, np.nan, 1])}),
    "infinite scales": one("Resize", "", "s", numbers={"s": np.float32([1, 1, np.inf, 1])}),
    "scales below 0": one("Resize", "", "s", numbers={"s": np.float32([1, 1, -1, -1])}),
    "too few scales": one("Resize", "", "s", numbers={"s": np.float32([2])}),
    "lrn over nothing": one("LRN", size=0),
    "a slope that is a list": one("LeakyRelu", alpha=[1.0, 2.0]),
    "a slope that is text": one("Elu", alpha="\x1b[31mred\x00"),
    "an epsilon that is a list": one("InstanceNormalization", "w", "w", epsilon=[1, 2], numbers={"w": array(3)}),
    "text added": one("Add", "s", numbers={"s": np.array(["a"], object)}),
    "matrices that do not fit": one("MatMul", "m", numbers={"m": array(3, 3)}),
    "C a row an image": graph([node("Gemm", ["x", "b", "c"], ["y"])], {"b": array(4, 2), "c": array(5, 2)}, (5, 4)),
    "a constant without a number": fold([node("Constant", [], ["k"])]),
    "a constant of a graph": fold([node("Constant", [], ["k"], value=helper.make_graph([], "g", [], []))]),
    "cast to nothing": fold([node("Cast", ["a"], ["k"], to=99)], {"a": array(1)}),
    "cast of words": fold([node("Cast", ["a"], ["k"], to=1)], {"a": np.array(["word"], object)}),
    "an if without branches": graph([node("If", ["c"], ["z"]), node("Relu", ["x"], ["y"])], {"c": np.array(True)}),
    "an if of many": graph([node("If", ["c"], ["z"]), node("Relu", ["x"], ["y"])], {"c": np.ones(3, bool)}),
    "an if on the image": graph([node("If", ["x"], ["y"])]),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_operators_that_are_told_nonsense(what, tmp_path):
    line = refused(WRONG[what], tmp_path, r"\(opset \d+\)")
    assert "\x1b" not in line


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e-45, 3e38])
@pytest.mark.parametrize("kind, name", [("LeakyRelu", "alpha"), ("Elu", "alpha"), ("Selu", "gamma"), ("HardSigmoid", "beta"), ("Celu", "alpha")])  # fmt: skip
def test_attributes_that_are_no_number_warn_of_nothing(kind, name, number, tmp_path):
    runs_or_refuses(one(kind, **{name: float(number)}), tmp_path)


def test_numbers_that_overflow_warn_of_nothing(tmp_path):
    nodes = [node("Div", ["a", "zero"], ["b"]), node("Mul", ["b", "zero"], ["c"]), node("Exp", ["a"], ["d"]), node("Sum", ["c", "d"], ["k"])]  # fmt: skip
    runs_or_refuses(fold(nodes, {"a": np.float32([3e38]), "zero": np.float32([0])}), tmp_path)
    runs_or_refuses(fold([node("Div", ["a", "b"], ["c"]), node("Cast", ["c"], ["k"], to=1)], {"a": whole(1), "b": whole(0)}), tmp_path)  # fmt: skip
    runs_or_refuses(fold([node("Cast", ["a"], ["k"], to=TensorProto.FLOAT16)], {"a": np.float32([1e30])}), tmp_path)
    runs_or_refuses(fold([], {"k": np.float64([1e300])}), tmp_path)


def runs_or_refuses(model, tmp_path):
    """Hold that what loads also runs, by itself and by the backend, and that else there is an error of byhand's."""
    path = write(model, tmp_path)
    try:
        loaded = load(path)
    except FileError as error:
        assert str(error).isprintable()
        return
    for hand in ("arrays", "compiled"):
        ours = loaded.predict(X.transpose(0, 2, 3, 1), hand=hand)
        (theirs,) = backend.prepare(model, hand=hand).run([X])
        assert ours.size == theirs.size


# names and notes ------------------------------------------------------------------------------------------------------

NAMES = [
    "", "a" * 100_000, "é", "变量", "for", "None", "lambda", "import", "p", "g", "state", "arena", "step", "labels", "loss", "_", "__class__",
    "grad_x", "images", "1", "a b", "a\nb", "a;b", "__import__('os').system('x')", "\"\"\"", "\x1b[31m", "\x00", "v", "relu1", "\u202e", "😀", "match",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_of_any_kind(name, tmp_path):
    inner = graph(
        [node("Conv", ["x", "w"], [name or "n"]), node("Relu", [name or "n"], ["y"], name=name)], W, (1, 3, 8, 8)
    )
    model = load(write(inner, tmp_path))
    assert all(one.isidentifier() and one.isascii() and len(one) < 200 for one in model.graph.tensors)
    runs_or_refuses(inner, tmp_path)
    weight = graph([node("Conv", ["x", name or "n"], ["y"])], {name or "n": W["w"]}, (1, 3, 8, 8))
    runs_or_refuses(weight, tmp_path)
    line = refused(
        graph([node("Frobnicate", ["x"], ["y"], name=name)]), tmp_path, "Frobnicate", UnsupportedError, runs=True
    )
    assert len(line) < 1000


def test_a_name_that_many_have(tmp_path):
    nodes = [
        node("Relu", ["x"], ["a"], name="n"),
        node("Neg", ["a"], ["a"], name="n"),
        node("Exp", ["a"], ["y"], name="n"),
    ]
    model = load(write(graph(nodes, x=(1, 3, 8, 8)), tmp_path))
    np.testing.assert_allclose(
        model.predict(X.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), np.exp(-np.maximum(X, 0)), rtol=1e-6
    )
    twice = fold([], {"k": np.float32([1])})
    twice.graph.initializer.append(numpy_helper.from_array(np.float32([2]), "k"))
    runs_or_refuses(twice, tmp_path)


BAD_NOTES = {
    "classes": ["", "{", "null", "{}", '{"a": 1, "b": 2}', "[1, 2]", '["a"]', '"ab"', "[[]]", "[" * 100_000, "1", "true"],
    "mean": ["", "NaN", "Infinity", '"a"', "[0.5, 0.5]", "[]", "{}", "null", "[NaN, 0, 0]", "9" * 10_000, "1e999", '["a", "b", "c"]'],
    "std": ["0", "[1, 0, 1]", "NaN", "[[1]]", "null", "-Infinity"],
    "name": ["1", "[]", '"a b"', '"\\u001b[31m"', '"../up"', '"é"', '{"a": 1}', "null x"],
}  # fmt: skip


@pytest.mark.parametrize(
    "key, text", [(key, text) for key, texts in BAD_NOTES.items() for text in texts], ids=str.__len__
)
def test_notes_that_byhand_did_not_write(key, text, tmp_path):
    nodes = [node("GlobalAveragePool", ["x"], ["p"]), node("Flatten", ["p"], ["f"]), node("MatMul", ["f", "m"], ["y"])]
    model = graph(nodes, {"m": array(3, 2)})
    helper.set_model_props(model, {f"byhand.{key}": text})
    if (key, text) in {("classes", "null"), ("mean", "null")}:
        runs_or_refuses(model, tmp_path)
    else:
        refused(model, tmp_path)
    helper.set_model_props(model, {"byhand.something": text, key: text})
    assert load(write(model, tmp_path)).classes == ("0", "1")


def test_a_type_that_no_attribute_has(tmp_path):
    for kind in range(15):
        model = one("Softmax", axis=1)
        model.graph.node[0].attribute[0].type = kind
        runs_or_refuses(model, tmp_path)
    model = one("Relu")
    model.graph.node[0].attribute.append(AttributeProto(name="axis", ref_attr_name="nowhere"))
    runs_or_refuses(model, tmp_path)


def test_the_backend_is_given_other_inputs():
    model = backend.prepare(one("Relu"))
    for given in ([], {}, {"z": X}, [None], ["text"], [[X]]):
        with pytest.raises(FileError):
            model.run(given)


def test_json_is_told_from_notes(tmp_path):
    model = one("Relu")
    helper.set_model_props(model, {"byhand.name": json.dumps("net"), "byhand.mean": "0.5", "byhand.std": "[1, 2, 4]"})
    loaded = load(write(model, tmp_path))
    assert (loaded.name, loaded.mean, loaded.std) == ("net", 0.5, [1, 2, 4])
