"""Seed models of the ONNX fuzzer: together they use every supported operator."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from byhand import nn
from byhand.onnx import save
from byhand.onnx.readers.activation import ELEMENTWISE_OPS
from byhand.onnx.readers.arithmetic import CONSTANT_FUNCTIONS
from byhand.onnx.readers.reduce import REDUCTIONS

IMAGE = (1, 3, 8, 8)
COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")


def chain(*steps, x="x", y="y"):
    """Return nodes, each of which reads what the one before it made: "Relu", or (name, *more inputs, {attributes})."""
    nodes = []
    for i, step in enumerate(steps):
        kind, *rest = (step,) if isinstance(step, str) else step
        attributes = rest.pop() if rest and isinstance(rest[-1], dict) else {}
        out = y if i == len(steps) - 1 else f"{y}_{i}"
        nodes.append(helper.make_node(kind, [x, *rest], [out], name=f"{kind}_{y}_{i}", **attributes))
        x = out
    return nodes


def model(nodes, numbers=None, opset=18, image=IMAGE, kind=TensorProto.FLOAT, functions=(), out=("y",), domains=()):
    """Return a model of nodes from "x" to "y"."""
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in (numbers or {}).items()]
    graph = helper.make_graph(
        nodes,
        "seed",
        [helper.make_tensor_value_info("x", kind, image)],
        [helper.make_tensor_value_info(name, kind, None) for name in out],
        held,
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=9)


def floats(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def int64_array(*values):
    return np.array(values, np.int64)


def classifier():
    return model(
        chain(
            ("Conv", "w1", "b1", {"pads": [1] * 4, "strides": [1, 1], "kernel_shape": [3, 3]}),
            ("BatchNormalization", "g", "b1", "b1", "v", {"epsilon": 1e-3}),
            "Relu",
            ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
            ("Conv", "w2", {"group": 4, "pads": [1] * 4, "dilations": [2, 2]}),
            ("Clip", "zero", "six"),
            "GlobalAveragePool",
            "Flatten",
            ("Gemm", "w3", "b3", {"transB": 1, "alpha": 0.5}),
            ("Softmax", {"axis": 1}),
        ),
        {
            "w1": floats(4, 3, 3, 3),
            "b1": floats(4),
            "g": floats(4),
            "v": np.ones(4, np.float32),
            "w2": floats(4, 1, 2, 2),
            "zero": np.float32(0),
            "six": np.float32(6),
            "w3": floats(5, 4),
            "b3": floats(5),
        },
    )


def windows():
    return model(
        chain(
            ("ConvTranspose", "w", "b", {"strides": [2, 2], "output_padding": [1, 1], "pads": [1, 1, 1, 1]}),
            (
                "AveragePool",
                {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER", "count_include_pad": 1},
            ),
            ("LpPool", {"kernel_shape": [2, 2], "p": 2}),
            ("InstanceNormalization", "b", "b"),
            ("LRN", {"size": 3}),
            y="t",
        )
        + chain("GlobalMaxPool", x="t", y="a")
        + chain(("GlobalLpPool", {"p": 2}), x="t", y="b_")
        + chain(("Concat", "b_", {"axis": 1}), "Flatten", ("LogSoftmax", {"axis": -1}), x="a"),
        {"w": floats(3, 4, 3, 3), "b": floats(4)},
    )


def activations():
    return model(
        chain(
            *ELEMENTWISE_OPS,
            ("Clip", "low"),
            ("PRelu", "slope"),
            "Mish",
            ("Gelu", {"approximate": "tanh"}),
            "Gelu",
            ("Swish", {"alpha": 1.5}),
            ("Dropout", "half"),
        ),
        {"low": np.float32(-3), "slope": floats(3, 1, 1), "half": np.float32(0.5)},
        opset=24,
    )


def arithmetic():
    return model(
        [
            *chain(
                ("Add", "c"),
                ("Sub", "s"),
                ("Mul", "c"),
                ("Div", "k"),
                "Abs",
                ("Pow", "two"),
                ("Max", "s"),
                ("Min", "k"),
                ("Sum", "x"),
                ("Mean", "x"),
                y="t",
            ),
            helper.make_node("Where", ["yes", "t", "x"], ["picked"]),
            *chain(("MatMul", "m"), "Flatten", ("Gemm", "g", "b"), x="picked"),
        ],
        {
            "c": floats(3, 1, 1),
            "s": np.float32(2),
            "k": floats(1, 3, 8, 8),
            "two": np.float32(2),
            "m": floats(8, 5),
            "yes": np.ones((1, 1, 1, 1), bool),
            "g": floats(120, 4),
            "b": floats(4),
        },
    )


def shapes():
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["to"], axis=0),
        helper.make_node("Cast", ["to"], ["to64"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["x", "to64"], ["r"]),
        helper.make_node("Size", ["to"], ["size"]),
        helper.make_node("Range", ["zero", "size", "one"], ["range"]),
        helper.make_node("ConstantOfShape", ["range"], ["many"], value=numpy_helper.from_array(floats(1))),
        helper.make_node("ConstantOfShape", ["sixty"], ["some"], value=numpy_helper.from_array(floats(1))),
        helper.make_node("Expand", ["some", "two64"], ["wide"]),
        helper.make_node("CastLike", ["wide", "r"], ["like"]),
        helper.make_node("Squeeze", ["like", "axes"], ["thin"]),
        helper.make_node("Add", ["r", "thin"], ["a"]),
        helper.make_node("Identity", ["a"], ["b"]),
        helper.make_node("Slice", ["s", "axes", "ends"], ["cut"]),
        helper.make_node("Expand", ["b", "two64"], ["c"]),
        helper.make_node("Flatten", ["c"], ["y"], axis=1),
    ]
    numbers = {
        "zero": np.int64(0),
        "one": np.int64(1),
        "axes": int64_array(0),
        "rest": int64_array(3, 64),
        "sixty": int64_array(64),
        "two64": int64_array(1, 1, 64),
        "ends": int64_array(2),
    }
    return model(nodes, numbers)


def logic():
    nodes, used = [], []
    for kind in CONSTANT_FUNCTIONS:
        unary = kind in ("Ceil", "Floor", "Cos", "Sin", "Round", "Sign", "IsNaN", "Not", "BitwiseNot")
        held = "t" if kind in ("And", "Or", "Xor", "Not") else "i" if kind.startswith("Bit") else "f"
        nodes.append(helper.make_node(kind, [held] if unary else [held, held], [f"k_{kind}"]))
        nodes.append(helper.make_node("Cast", [f"k_{kind}"], [f"c_{kind}"], to=TensorProto.FLOAT))
        used.append(f"c_{kind}")
    nodes.append(helper.make_node("Sum", used, ["total"]))
    return model(
        nodes + chain(("Add", "total"), x="x"), {"f": floats(8, 8), "t": floats(8, 8) > 0, "i": int64_array(*range(8))}
    )


def constants():
    made = {
        "conv": ("Conv", ["vol", "w"], {"pads": [1] * 6}),
        "back": ("ConvTranspose", ["vol", "w"], {"strides": [2, 2, 2]}),
        "pool": ("MaxPool", ["vol"], {"kernel_shape": [2, 2, 2]}),
        "mean": ("AveragePool", ["vol"], {"kernel_shape": [2, 2, 2], "dilations": [1, 1, 1]}),
        "erf": ("Erf", ["vol"], {}),
        "best": ("ArgMax", ["vol"], {"axis": 1, "select_last_index": 1}),
        "worst": ("ArgMin", ["vol"], {"axis": 1}),
        "found": ("NonZero", ["vol"], {}),
        "mod": ("Mod", ["i", "i"], {"fmod": 1}),
        "taken": ("GatherElements", ["i", "at"], {"axis": 0}),
        "padded": ("Pad", ["vol", "pads"], {"mode": "reflect"}),
        "tiled": ("Tile", ["i", "times"], {}),
        "text": ("Cast", ["i"], {"to": TensorProto.STRING}),
        "read": ("Cast", ["text"], {"to": TensorProto.FLOAT16}),
        "sized": ("Resize", ["vol", "", "", "sizes"], {"mode": "cubic", "antialias": 1}),
        "drop": ("Dropout", ["vol", "half", "yes"], {"seed": 1}),
        "whole": ("ReduceMax", ["i", "at"], {}),
        "flat": ("LayerNormalization", ["vol", "one"], {"axis": -1}),
        "trained": ("BatchNormalization", ["vol", "two", "two", "two", "two"], {"training_mode": 1}),
        "gemm": ("Gemm", ["sq", "sq", "sq"], {"beta": 2.0}),
        "dots": ("MatMul", ["vol", "sq"], {}),
        "quotient": ("Div", ["i", "times"], {}),
        "alpha": ("Constant", [], {"value_floats": [1.0, 2.0]}),
    }
    nodes = [helper.make_node(kind, inputs, [name], **attributes) for name, (kind, inputs, attributes) in made.items()]
    nodes += [helper.make_node("Size", [name], [f"n_{name}"]) for name in made]
    nodes += [
        helper.make_node("Sum", [f"n_{name}" for name in made], ["all"]),
        helper.make_node("Cast", ["all"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "f"], ["y"]),
    ]
    numbers = {
        "vol": floats(1, 2, 4, 4, 4),
        "w": floats(2, 2, 3, 3, 3),
        "i": int64_array(3, -2, 5),
        "at": int64_array(0),
        "sq": floats(4, 4),
        "pads": int64_array(0, 0, 1, 1, 1, 0, 0, 1, 1, 1),
        "times": int64_array(2),
        "sizes": int64_array(1, 2, 5, 3, 3),
        "half": np.float32(0.5),
        "yes": np.array(True),
        "one": floats(4),
        "two": np.ones(2, np.float32),
    }
    return model(nodes, numbers)


def moves():
    nodes = [
        *chain(
            ("Pad", "pads", "value"),
            ("Slice", "starts", "ends", "axes", "steps"),
            ("Transpose", {"perm": [0, 2, 3, 1]}),
            ("Transpose", {"perm": [0, 3, 1, 2]}),
            ("Tile", "times"),
            ("SpaceToDepth", {"blocksize": 2}),
            ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}),
            ("Gather", "order", {"axis": 1}),
            y="t",
        ),
        helper.make_node("Split", ["t", "parts"], ["a", "b"], axis=1),
        helper.make_node("Concat", ["b", "a"], ["c"], axis=1),
        *chain(
            ("Unsqueeze", "axes"), ("Squeeze", "axes"), ("Pad", "edges", {"mode": "edge"}), ("Reshape", "flat"), x="c"
        ),
    ]
    numbers = {
        "pads": int64_array(0, 0, 1, 1, 0, 0, 1, 1),
        "value": np.float32(1),
        "starts": int64_array(0),
        "ends": int64_array(8),
        "axes": int64_array(2),
        "steps": int64_array(1),
        "times": int64_array(1, 2, 1, 1),
        "order": int64_array(5, 4, 3, 0, 1, 2),
        "parts": int64_array(2, 4),
        "edges": int64_array(0, 0, 0, 2, 0, 0, 0, 1),
        "flat": int64_array(0, -1),
    }
    return model(nodes, numbers)


def sizes():
    return model(
        chain(
            ("Resize", "", "scales", {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
            ("Resize", "", "", "sizes", {"mode": "cubic", "antialias": 1}),
            ("Resize", "", "", "two", {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"}),
        ),
        {"scales": np.array([1, 1, 2, 1.5], np.float32), "sizes": int64_array(1, 3, 5, 7), "two": int64_array(9, 4)},
    )


def reductions():
    nodes = []
    for kind in REDUCTIONS:
        nodes += chain((kind, "axes", {"keepdims": 0}), x="x", y=f"r_{kind}")
    nodes.append(helper.make_node("Concat", [f"r_{kind}" for kind in REDUCTIONS], ["all"], axis=1))
    return model(
        nodes + chain(("LayerNormalization", "scale"), x="all"), {"axes": int64_array(2, 3), "scale": floats(30)}
    )


def old():
    return model(
        chain(
            ("Upsample", {"scales": [1.0, 1.0, 2.0, 2.0], "mode": "nearest"}),
            ("Clip", {"min": 0.0, "max": 6.0}),
            ("Slice", {"starts": [0, 0], "ends": [7, 7], "axes": [2, 3]}),
            ("Pad", {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "mode": "reflect"}),
            ("Dropout", {"ratio": 0.5}),
            ("ReduceMean", {"axes": [3], "keepdims": 1}),
            ("Squeeze", {"axes": [3]}),
            ("Unsqueeze", {"axes": [3]}),
            ("Softmax", {"axis": 1}),
        ),
        opset=8,
    )


def nested():
    def body(kind):
        return helper.make_graph(
            chain(kind, x="x", y="branch"), kind, [], [helper.make_tensor_value_info("branch", TensorProto.FLOAT, None)]
        )

    function = helper.make_function(
        "own", "Scaled", ["a", "k"], ["b"], chain(("Mul", "k"), "Relu", x="a", y="b"), [helper.make_opsetid("", 18)]
    )
    nodes = [
        helper.make_node("If", ["yes"], ["picked"], then_branch=body("Relu"), else_branch=body("Neg")),
        helper.make_node("Scaled", ["picked", "two"], ["scaled"], domain="own"),
        *chain(
            ("GroupNormalization", "k", "k", {"num_groups": 3}),
            ("MeanVarianceNormalization", {"axes": [2, 3]}),
            x="scaled",
        ),
    ]
    return model(
        nodes, {"yes": np.array(True), "k": floats(3), "two": np.float32(2)}, functions=[function], domains=["own"]
    )


def _saved(*layers):
    x = nn.Input(8, 8, 3)
    y = x
    for layer in layers:
        y = layer(y)
    with tempfile.TemporaryDirectory() as folder:
        save(nn.Model(x, y, classes=["cat", "dog"]), Path(folder, "seed.onnx"))
        return onnx.load(str(Path(folder, "seed.onnx")))


def saved():
    return _saved(
        nn.Conv2d(4, 3, padding="same"), nn.BatchNorm(), nn.SiLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2)
    )


def saved_norms():
    return _saved(nn.Conv2d(4, 2, stride=2), nn.LayerNorm(), nn.GELU(), nn.GlobalAvgPool2d(), nn.Linear(2))


SEEDS = (
    classifier,
    windows,
    activations,
    arithmetic,
    shapes,
    logic,
    constants,
    moves,
    sizes,
    reductions,
    old,
    nested,
    saved,
    saved_norms,
)


@cache
def seeds():
    """Return the models."""
    return tuple(make() for make in SEEDS)
