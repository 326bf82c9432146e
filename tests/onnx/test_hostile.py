"""Untrusted models: each fault is one printable line, fast and in little memory."""

import random
import sys
from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.helper import make_node as node

from byhand.errors import FileError, UnsupportedError
from byhand.onnx import load
from tests.memory import peak_below
from tests.onnx.small_models import make_model, random_array, value_info, write_model
from tests.onnx.untrusted import (
    assert_refused,
    int64_array,
    model_adding_constant,
    model_with_initializer,
    one_node_model,
    stored_tensor,
)

# files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\x08", bytes(1000), b"\xff" * 1000, b"GIF89a", b"{}", random.Random(1).randbytes(10_000)],
    ids=range(8),
)
def test_files_that_are_no_model(data, tmp_path):
    assert_refused(data, tmp_path)


def test_a_model_cut_off_anywhere(tmp_path):
    data = make_model(
        [node("Relu", ["x"], ["r"]), node("Add", ["r", "k"], ["y"])], {"k": random_array(1, 3, 1, 1)}
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


def test_a_path_that_is_no_regular_file_is_refused(tmp_path):
    missing = "there is no such file"
    for path, says in (
        (tmp_path, "it is a folder; expected an ONNX model"),
        (tmp_path / "missing.onnx", missing),
        (tmp_path / "no" / "folder.onnx", missing),
    ):
        with pytest.raises(FileError, match=says) as found:
            load(path)
        assert str(path) in str(found.value)


def test_a_model_without_graph_or_output_is_refused(tmp_path):
    assert_refused(onnx.ModelProto(ir_version=9), tmp_path, "no graph")
    empty = one_node_model("Relu")
    del empty.graph.output[:]
    assert_refused(empty, tmp_path, "no output")
    del empty.graph.node[:]
    assert_refused(empty, tmp_path, "no graph")


# graphs ---------------------------------------------------------------------------------------------------------------


def test_nodes_that_are_cyclic_out_of_order_or_missing(tmp_path):
    circle = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]
    assert_refused(make_model(circle), tmp_path, "Add 'a' .*makes 'b'", runs=True)
    assert_refused(make_model([node("Add", ["x", "y"], ["y"])]), tmp_path, "makes 'y'", runs=True)
    assert_refused(
        make_model([node("Relu", ["a"], ["y"]), node("Relu", ["x"], ["a"])]),
        tmp_path,
        "Relu 'y' .*makes 'a'",
        runs=True,
    )
    assert_refused(make_model([node("Relu", ["x"], ["a"])]), tmp_path, "output.*makes 'y'", runs=True)
    assert_refused(
        make_model([node("Relu", [], ["a"]), node("Add", ["x", "a"], ["y"])]), tmp_path, "Relu 'a'", runs=True
    )
    assert_refused(make_model([node("Add", ["x", ""], ["y"])]), tmp_path, "Add 'y'", runs=True)
    assert_refused(make_model([node("Relu", ["x", "x", "x"], ["y"])]), tmp_path, "Relu 'y'", runs=True)


def test_unknown_operators(tmp_path):
    assert_refused(
        one_node_model("Frobnicate", opset=17), tmp_path, r"Frobnicate 'n' \(opset 17\)", UnsupportedError, runs=True
    )
    assert_refused(one_node_model("Relu", domain="com.example"), tmp_path, "Relu 'n'", UnsupportedError, runs=True)
    assert_refused(one_node_model("LSTM", "x", "x"), tmp_path, "LSTM 'n'", UnsupportedError, runs=True)


@pytest.mark.parametrize("opset", [0, -1, 1000, 2**31, 2**62])
def test_unknown_opsets(opset, tmp_path):
    model = one_node_model("Relu")
    model.opset_import[0].version = opset
    assert_refused(model, tmp_path, f"opset is {opset}", UnsupportedError, runs=True)


def test_inputs_that_are_not_one_image(tmp_path):
    model = make_model([node("Add", ["x", "z"], ["y"])])
    model.graph.input.append(value_info("z", (1, 3, 8, 8)))
    assert_refused(model, tmp_path, "2 inputs")
    del model.graph.input[:]
    assert_refused(model, tmp_path, "0 inputs")
    constant = make_model([node("Relu", ["k"], ["y"])], {"k": random_array(2)})
    assert_refused(constant, tmp_path, "does not depend on its input")
    fixed = make_model([node("Relu", ["x"], ["z"]), node("Neg", ["k"], ["y"])], {"k": random_array(2)})
    assert_refused(fixed, tmp_path, "does not depend on its input")
    for kind in (TensorProto.STRING, TensorProto.BOOL, TensorProto.COMPLEX64, TensorProto.UNDEFINED, 99):
        model = one_node_model("Relu")
        model.graph.input[0].type.tensor_type.elem_type = kind
        assert_refused(model, tmp_path, "input 'x' has the type", UnsupportedError)


@pytest.mark.parametrize(
    "sizes", [(), (1,), (1, -3, 8, 8), (1, 0, 8, 8), (2**40, 3, 8, 8), (1, 2**40, 2**40, 3), (1,) * 5000]
)
def test_inputs_without_a_usable_size(sizes, tmp_path):
    model = one_node_model("Relu")
    model.graph.input[0].CopyFrom(value_info("x", sizes))
    if sizes in ((1,), (2**40, 3, 8, 8)):  # an empty image is none; the batch is the caller's
        model = make_model([node("Conv", ["x", "w"], ["y"])], {"w": random_array(2, 3, 9, 9)}, sizes)
    assert_refused(model, tmp_path)


def test_endless_functions_and_branches(tmp_path):
    def function(name, *calls):
        nodes = [node(kind, ["a"], [f"b{i}" if i else "b"], domain="own") for i, kind in enumerate(calls)]
        return helper.make_function("own", name, ["a"], ["b"], nodes, [helper.make_opsetid("own", 1)])

    def model(*functions):
        made = one_node_model("F0", domain="own")
        made.functions.extend(functions)
        made.opset_import.append(helper.make_opsetid("own", 1))
        return made

    assert_refused(model(function("F0", "F0")), tmp_path, "F0.*nested", UnsupportedError, runs=True)
    assert_refused(model(function("F0", "F1"), function("F1", "F0")), tmp_path, "nested", UnsupportedError, runs=True)
    laughs = [function(f"F{i}", *[f"F{i + 1}"] * 10) for i in range(15)]  # 10^15 nodes
    with pytest.raises(UnsupportedError, match=r"more than .* nodes"):
        load(write_model(model(*laughs, function("F15")), tmp_path))

    inner = helper.make_graph([node("Relu", ["x"], ["z"])], "b", [], [value_info("z", None)])
    for _ in range(28):
        inner = helper.make_graph([node("If", ["no"], ["z"], else_branch=inner)], "b", [], [value_info("z", None)])
    deep = make_model([node("If", ["no"], ["y"], else_branch=inner)], {"no": np.array(False)})
    assert_refused(deep, tmp_path, "nested", UnsupportedError, runs=True)


def calls(work):
    """Return how many calls of Python's functions some work takes: what time is measured by where others use the machine."""
    counted = 0

    def count(frame, event, argument):
        nonlocal counted
        counted += 1

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


def test_the_time_of_many_nodes_is_linear(tmp_path):
    made = []

    def work(count, kind, name):
        names = ["x", *(name(i) for i in range(count - 1)), "y"]
        write_model(make_model([node(kind, [a], [b]) for a, b in pairwise(names)], x=(1, 3, 2, 2)), tmp_path)
        counted = calls(lambda: made.append(load(tmp_path / "model.onnx")))
        model = made.pop()
        assert len(model.graph.nodes) == (count if kind == "Relu" else 1)
        return counted

    for kind, name in (("Relu", "n{}".format), ("Relu", lambda i: "é" * (i % 300) + f"/{i % 3}")):
        assert work(800, kind, name) < 2.5 * work(400, kind, name)


# numbers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tensor",
    [
        stored_tensor("k", [3, 1, 1], raw=bytes(8)),
        stored_tensor("k", [3, 1, 1], raw=bytes(16)),
        stored_tensor("k", [3, 1, 1]),
        stored_tensor("k", [-1], raw=bytes(4)),
        stored_tensor("k", [2**62, 2**62], raw=bytes(4)),
        stored_tensor("k", [2**31], raw=bytes(4)),
        stored_tensor("k", [10**9, 10**9, 0], raw=b""),
        stored_tensor("k", [1], 99, bytes(4)),
        stored_tensor("k", [1], -1, bytes(4)),
        stored_tensor("k", [1], 0, bytes(4)),
        stored_tensor("k", [1], TensorProto.STRING, b"abcd"),
        stored_tensor("k", [1], TensorProto.COMPLEX64, bytes(8)),
        stored_tensor("k", [1] * 200, raw=bytes(4)),
        TensorProto(name="k", dims=[2], data_type=1, float_data=[1.0]),
        TensorProto(name="k", dims=[2**40], data_type=1, float_data=[1.0]),
        TensorProto(name="k", dims=[1], data_type=8, string_data=[b"word"]),
        TensorProto(name="k", dims=[1], data_type=1, int64_data=[1]),
        TensorProto(name="k", dims=[1], data_type=1, raw_data=bytes(4), segment=TensorProto.Segment(begin=0, end=9)),
    ],
    ids=range(18),
)
def test_initializers_whose_data_is_missing(tensor, tmp_path):
    if list(tensor.dims) == [1] and tensor.HasField("segment"):
        tensor.ClearField("raw_data")
        tensor.float_data.append(1)
    assert_refused(model_with_initializer(tensor), tmp_path, runs=True)


def test_sparse_initializers(tmp_path):
    model = model_adding_constant([])
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(dims=[3]))
    assert_refused(model, tmp_path, "sparse", UnsupportedError)


BIG = int64_array(2**20, 2**20)
HUGE = int64_array(2**40)
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
    "an outer product": [
        node("Expand", ["one", "long"], ["a"]),
        node("Reshape", ["a", "turned"], ["b"]),
        node("Mul", ["a", "b"], ["k"]),
    ],
    "of whole numbers": [
        node("ConstantOfShape", ["long"], ["a"], value=numpy_helper.from_array(int64_array(1))),
        node("Reshape", ["a", "turned"], ["b"]),
        node("Add", ["a", "b"], ["k"]),
    ],
    "Equal": [
        node("Expand", ["one", "long"], ["a"]),
        node("Reshape", ["a", "turned"], ["b"]),
        node("Equal", ["a", "b"], ["k"]),
    ],
    "MatMul": [
        node("Expand", ["one", "row"], ["a"]),
        node("Transpose", ["a"], ["b"]),
        node("MatMul", ["b", "a"], ["k"]),
    ],
    "Gemm": [node("Expand", ["one", "row"], ["a"]), node("Gemm", ["a", "a"], ["k"], transA=1)],
    "Gather": [
        node("Expand", ["one", "row"], ["a"]),
        node("ConstantOfShape", ["long"], ["j"], value=numpy_helper.from_array(int64_array(0))),
        node("Gather", ["a", "j"], ["k"]),
    ],
    "Concat": [node("Expand", ["one", "long"], ["a"]), node("Concat", ["a"] * 100, ["k"], axis=0)],
    "a sum of what is repeated": [node("Expand", ["one", "most1"], ["a"]), node("ReduceSum", ["a"], ["k"])],
    "the largest of it": [node("Expand", ["one", "most1"], ["a"]), node("ArgMax", ["a"], ["k"])],
    "a copy of it": [
        node("Expand", ["ones3", "most3"], ["a"]),
        node("Reshape", ["a", "flat"], ["b"]),
        node("ReduceSum", ["b"], ["k"]),
    ],
    "Conv": [node("Conv", ["image", "w"], ["k"], pads=[2**20] * 4)],
    "ConvTranspose": [node("ConvTranspose", ["image", "w"], ["k"], strides=[2**20, 2**20])],
    "a volume": [node("Conv", ["volume", "w3"], ["k"], pads=[2**30, 0, 0, 2**30, 0, 0])],
    "AveragePool": [node("AveragePool", ["image"], ["k"], kernel_shape=[2, 2], pads=[2**20] * 4, count_include_pad=1)],
    "text": [node("Expand", ["one", "most1"], ["a"]), node("Cast", ["a"], ["k"], to=TensorProto.STRING)],
    "a long shape": [node("Expand", ["one_i", "most1"], ["a"]), node("Reshape", ["one", "a"], ["k"])],
    "many parts": [node("Split", ["ones"], ["k"], num_outputs=2**40)],
    "Erf": [node("Expand", ["one", "most1"], ["a"]), node("Erf", ["a"], ["k"])],
}
NUMBERS = {
    "n": BIG,
    "minus": int64_array(-5),
    "one": np.ones(1, np.float32),
    "one_i": int64_array(1),
    "ones": np.ones((1, 1), np.float32),
    "nil": np.int64(0),
    "most": np.int64(2**40),
    "step": np.int64(1),
    "pads": int64_array(2**40, 0, 0, 0),
    "far": int64_array(0, 0, 0, 2**24),
    "image": random_array(1, 3, 4, 4),
    "sizes": int64_array(1, 3, 2**30, 2**30),
    "scales": np.array([1, 1, 1e9, 1e9], np.float32),
    "small": np.array([1, 1, 1e-20, 1e-20], np.float32),
    "i": int64_array(1),
    "ends": np.array([0, 1], np.float32),
    "long": int64_array(2**20),
    "turned": int64_array(-1, 1),
    "row": int64_array(1, 2**20),
    "most1": int64_array(2**27),
    "ones3": np.ones(3, np.float32),
    "most3": int64_array(2**25, 3),
    "flat": int64_array(-1),
    "w": random_array(3, 3, 2, 2),
    "volume": random_array(1, 1, 2, 2, 2),
    "w3": random_array(1, 1, 1, 1, 1),
}


@pytest.mark.parametrize("what", GROWTH)
def test_large_arrays_from_small_files(what, tmp_path):
    used = {name for proto in GROWTH[what] for name in proto.input}
    assert_refused(
        model_adding_constant(GROWTH[what], {name: NUMBERS[name] for name in used & NUMBERS.keys()}),
        tmp_path,
        runs=True,
    )


def test_much_work_from_small_files(tmp_path):
    """Each node is small; all of them are not."""
    size = {"one": np.ones(1, np.float32), "n": int64_array(2**22)}
    many = [node("Expand", ["one", "n"], ["a0"]), *(node("Exp", [f"a{i}"], [f"a{i + 1}"]) for i in range(2000))]
    write_model(model_adding_constant([*many, node("ReduceSum", ["a2000"], ["k"])], size), tmp_path)
    with pytest.raises(FileError, match="more work"):
        load(tmp_path / "model.onnx")


def test_a_large_window(tmp_path):
    """A window of 4096 x 4096 over as large an image: few numbers come out, but it takes long."""
    numbers = {"one": np.ones(1, np.float32), "n": int64_array(1, 1, 4096, 4096)}
    pool = node("MaxPool", ["a"], ["k"], kernel_shape=[4096, 4096])
    assert_refused(model_adding_constant([node("Expand", ["one", "n"], ["a"]), pool], numbers), tmp_path, "work")


def test_an_output_of_many_numbers_names_no_classes(tmp_path):
    path = write_model(make_model([node("Flatten", ["x"], ["y"])], x=(1, 3, 2**14, 2**14)), tmp_path)
    with peak_below(2_000_000):
        assert load(path).classes == ()


def test_many_branches_take_linear_time(tmp_path):
    branch = helper.make_graph([node("Relu", ["x"], ["z"])], "b", [], [value_info("z", None)])

    def lines(count):
        nodes = [node("If", ["yes"], [f"i{i}"], then_branch=branch) for i in range(count)]
        write_model(make_model([*nodes, node("Relu", ["i5"], ["y"])], {"yes": np.array(True)}, (1, 3, 2, 2)), tmp_path)
        return calls(lambda: load(tmp_path / "model.onnx"))

    assert lines(800) < 2.5 * lines(400)
