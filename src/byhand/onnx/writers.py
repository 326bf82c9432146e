"""Each op as ONNX's operators: what `save` writes for a node. The counterpart of the folder `operators`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from byhand.graph import Node
from byhand.onnx.readers.activation import NAMES
from byhand.onnx.readers.reduce import REDUCTIONS
from byhand.ops.op import Call

if TYPE_CHECKING:
    from byhand.onnx.save import Writer

NCHW, OIHW = (0, 3, 1, 2), (3, 2, 0, 1)
WRITERS: dict[str, Callable[[Writer, Node, Call], None]] = {}
SIMPLE = {op: (kind, attributes) for kind, (op, attributes) in NAMES.items()}
PAIRS = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow", "maximum": "Max",
    "minimum": "Min", "prelu": "PRelu",
}  # fmt: skip


def writes(*names: str) -> Callable[[Any], Any]:
    """Enter a function under the names of the ops that it writes."""

    def enter(function: Any) -> Any:
        WRITERS.update(dict.fromkeys(names, function))
        return function

    return enter


def ends(padding: Any) -> list[int]:
    """Return (top, bottom, left, right) as ONNX's pads."""
    top, bottom, left, right = padding
    return [top, left, bottom, right]


@writes("conv2d", "conv_transpose2d")
def conv(writer: Writer, node: Node, call: Call) -> None:
    """Write a convolution, or a transposed one."""
    given = call.attributes
    inputs = [writer.take(node.inputs["x"], NCHW), writer.take(node.inputs["weight"], OIHW)]
    if node.inputs["bias"] is not None:
        inputs.append(writer.take(node.inputs["bias"]))
    more = {}
    if node.op.name == "conv_transpose2d":
        sizes = zip(
            node.output.shape[1:3], node.inputs["x"].shape[1:3], node.inputs["weight"].shape, given["stride"],
            given["dilation"], given["padding"][::2], given["padding"][1::2],
        )  # fmt: skip
        reached = [(y, (x - 1) * s + (k - 1) * d + 1 - before - after) for y, x, k, s, d, before, after in sizes]
        more["output_padding"] = [y - reach for y, reach in reached]
    writer.make(
        node, "ConvTranspose" if more else "Conv", inputs, kernel_shape=node.inputs["weight"].shape[:2],
        strides=given["stride"], pads=ends(given["padding"]), dilations=given["dilation"], group=given["groups"], **more,
    )  # fmt: skip


@writes("linear")
def linear(writer: Writer, node: Node, call: Call) -> None:
    """Write a fully connected layer."""
    inputs = [writer.take(node.inputs["x"], (0, 1)), writer.take(node.inputs["weight"], (1, 0))]
    if node.inputs["bias"] is not None:
        inputs.append(writer.take(node.inputs["bias"]))
    writer.make(node, "Gemm", inputs, transB=1)


@writes("max_pool", "avg_pool")
def pool(writer: Writer, node: Node, call: Call) -> None:
    """Write a pooling; where a last window hangs over the edge, ceil_mode says so."""
    assert call.window is not None
    given, size = call.attributes, node.inputs["x"].shape[1:3]
    kind = {"kernel_shape": given["kernel"], "strides": given["stride"], "pads": ends(given["padding"])}
    if any(
        (count - 1) * stride + (k - 1) * apart + 1 > pixels + before + after
        for count, stride, k, apart, pixels, before, after in zip(
            call.window.output, given["stride"], given["kernel"], call.window.dilation, size, given["padding"][::2],
            given["padding"][1::2],
        )
    ):  # fmt: skip
        kind["ceil_mode"] = 1
    if node.op.name == "max_pool":
        kind["dilations"] = given["dilation"]
    else:
        kind["count_include_pad"] = int(given["count_include_pad"])
    writer.make(
        node, "MaxPool" if node.op.name == "max_pool" else "AveragePool", [writer.take(node.inputs["x"], NCHW)], **kind
    )


@writes("global_avg_pool")
def global_avg_pool(writer: Writer, node: Node, call: Call) -> None:
    """Write the average over the whole image."""
    name = writer.take(node.inputs["x"], NCHW)
    if call.attributes["keepdims"]:
        writer.make(node, "GlobalAveragePool", [name])
    else:
        writer.make(node, "Flatten", [writer.node("GlobalAveragePool", [name], writer.free(f"{node.name}_image"))])


@writes("flatten", "reshape")
def reshape(writer: Writer, node: Node, call: Call) -> None:
    """Write a reshape, of numbers in our order."""
    x = node.inputs["x"]
    small = sum(size > 1 for size in x.shape[1:]) < 2
    name = writer.take(x, None if small else range(len(x.shape)))
    if node.op.name == "flatten":
        writer.make(node, "Flatten", [name])
    else:
        shape = writer.number(f"{node.name}_shape", [0, *node.output.shape[1:]], np.int64)
        writer.make(node, "Reshape", [name, shape], range(len(node.output.shape)))


@writes("transpose")
def transpose(writer: Writer, node: Node, call: Call) -> None:
    """Write nothing: the axes of the same value, seen in another order."""
    x, axes = node.inputs["x"], call.attributes["axes"]
    writer.alias(node, x, [axes.index(axis) for axis in writer.order(x)])


@writes("dropout")
def dropout(writer: Writer, node: Node, call: Call) -> None:
    """Write nothing: in inference it does nothing."""
    writer.alias(node, node.inputs["x"], writer.order(node.inputs["x"]))


@writes("channel_shuffle")
def channel_shuffle(writer: Writer, node: Node, call: Call) -> None:
    """Write the channels in another order: in groups, the groups turned, and laid out again."""
    x, groups = node.inputs["x"], call.attributes["groups"]
    last = len(x.shape) - 1
    order = (0, last, *range(1, last))
    apart = writer.number(f"{node.name}_apart", [0, groups, x.shape[-1] // groups, *x.shape[1:-1]], np.int64)
    name = writer.node("Reshape", [writer.take(x, order), apart], writer.free(f"{node.name}_groups"))
    name = writer.node("Transpose", [name], writer.free(f"{node.name}_moved"), perm=[0, 2, 1, *range(3, last + 2)])
    shape = writer.number(f"{node.name}_shape", [0, x.shape[-1], *x.shape[1:-1]], np.int64)
    writer.make(node, "Reshape", [name, shape], order)


@writes("concat")
def concat(writer: Writer, node: Node, call: Call) -> None:
    """Write a concatenation."""
    order = writer.order(node.inputs["xs"][0])
    names = [writer.take(x, order) for x in node.inputs["xs"]]
    writer.make(node, "Concat", names, order, axis=order.index(call.attributes["axis"]))


@writes("slice")
def cut(writer: Writer, node: Node, call: Call) -> None:
    """Write a slice."""
    order, starts, steps = writer.order(node.inputs["x"]), call.attributes["starts"], call.attributes["steps"]
    shape, taken = node.inputs["x"].shape, node.output.shape
    axes = [k for k, axis in enumerate(order) if (starts[axis], steps[axis], taken[axis]) != (0, 1, shape[axis])]
    stops = [starts[order[k]] + taken[order[k]] * steps[order[k]] for k in axes]
    parts = {
        "starts": [starts[order[k]] for k in axes], "ends": [stop if stop >= 0 else -(2**31) for stop in stops],
        "axes": axes, "steps": [steps[order[k]] for k in axes],
    }  # fmt: skip
    names = [writer.number(f"{node.name}_{key}", value, np.int64) for key, value in parts.items()]
    writer.make(node, "Slice", [writer.take(node.inputs["x"]), *names], order)


@writes("pad")
def pad(writer: Writer, node: Node, call: Call) -> None:
    """Write a frame around images."""
    order, (top, bottom, left, right) = writer.order(node.inputs["x"]), call.attributes["padding"]
    sides = [(0, 0), (top, bottom), (left, right), (0, 0)]
    pads = [*(sides[axis][0] for axis in order), *(sides[axis][1] for axis in order)]
    names = [
        writer.take(node.inputs["x"]), writer.number(f"{node.name}_pads", pads, np.int64),
        writer.number(f"{node.name}_value", call.attributes["value"]),
    ]  # fmt: skip
    writer.make(node, "Pad", names, order)


@writes(*PAIRS)
def pair(writer: Writer, node: Node, call: Call) -> None:
    """Write arithmetic of two tensors."""
    both = list(node.inputs.values())
    lead = max((one for one in both if one.name in writer.made), key=lambda one: (len(one.shape), one.shape))
    writer.make(node, PAIRS[node.op.name], [writer.beside(one, lead) for one in both], writer.order(lead))


@writes(*SIMPLE)
def simple(writer: Writer, node: Node, call: Call) -> None:
    """Write an op that takes each number for itself."""
    kind, attributes = SIMPLE[node.op.name]
    given = {theirs: float(call.attributes[ours]) for theirs, ours, _ in attributes}
    writer.make(node, kind, [writer.take(node.inputs["x"])], writer.order(node.inputs["x"]), **given)


@writes("relu6", "clip")
def clip(writer: Writer, node: Node, call: Call) -> None:
    """Write Clip with its bounds."""
    bounds = (0.0, 6.0) if node.op.name == "relu6" else (call.attributes["low"], call.attributes["high"])
    names = [writer.number(f"{node.name}_{what}", bound) for what, bound in zip(("low", "high"), bounds)]
    writer.make(node, "Clip", [writer.take(node.inputs["x"]), *names], writer.order(node.inputs["x"]))


@writes("silu")
def silu(writer: Writer, node: Node, call: Call) -> None:
    """Write x * sigmoid(x)."""
    name = writer.take(node.inputs["x"])
    gate = writer.node("Sigmoid", [name], writer.free(f"{node.name}_gate"))
    writer.make(node, "Mul", [name, gate], writer.order(node.inputs["x"]))


@writes("gelu")
def gelu(writer: Writer, node: Node, call: Call) -> None:
    """Write Gelu."""
    writer.make(node, "Gelu", [writer.take(node.inputs["x"])], writer.order(node.inputs["x"]))


@writes("softmax")
def softmax(writer: Writer, node: Node, call: Call) -> None:
    """Write Softmax along our last axis."""
    order = writer.order(node.inputs["x"])
    writer.make(node, "Softmax", [writer.take(node.inputs["x"])], order, axis=order.index(len(order) - 1))


@writes("batch_norm", "lrn")
def norm(writer: Writer, node: Node, call: Call) -> None:
    """Write a batch norm, or a local response norm: channels second."""
    x, last = node.inputs["x"], len(node.output.shape) - 1
    order = (0, last, *range(1, last))
    if node.op.name == "lrn":
        writer.make(node, "LRN", [writer.take(x, order)], order, **call.attributes)
        return
    keys = ("gamma", "beta", "running_mean", "running_var")
    names = [writer.take(x, order), *(writer.take(node.inputs[key]) for key in keys)]
    writer.make(node, "BatchNormalization", names, order, epsilon=call.attributes["eps"])


@writes("resize")
def resize(writer: Writer, node: Node, call: Call) -> None:
    """Write Resize, by the scales where they are told, else to the size."""
    given = call.attributes
    _, height, width, _ = node.inputs["x"].shape
    size = node.output.shape[1:3]
    told = tuple(given["scales"]) != (size[0] / height, size[1] / width)
    name = f"{node.name}_{'scales' if told else 'size'}"
    values = [1.0, 1.0, *given["scales"]] if told else size
    how = ["", writer.number(name, values, np.float32)] if told else ["", "", writer.number(name, values, np.int64)]
    axes = {} if told else {"axes": [2, 3]}
    writer.make(
        node, "Resize", [writer.take(node.inputs["x"], NCHW), *how], mode=given["mode"], nearest_mode=given["nearest"],
        coordinate_transformation_mode=given["coordinates"], cubic_coeff_a=given["cubic_a"],
        exclude_outside=int(given["exclude_outside"]), antialias=int(given["antialias"]), **axes,
    )  # fmt: skip


@writes("layer_norm")
def layer_norm(writer: Writer, node: Node, call: Call) -> None:
    """Write a layer norm over our last axes."""
    x, order = node.inputs["x"], range(len(node.output.shape))
    names = [writer.take(x, order), writer.take(node.inputs["gamma"]), writer.take(node.inputs["beta"])]
    axis = len(order) - len(node.inputs["gamma"].shape)
    writer.make(node, "LayerNormalization", names, order, axis=axis, epsilon=call.attributes["eps"])


@writes(*REDUCTIONS.values())
def reduction(writer: Writer, node: Node, call: Call) -> None:
    """Write a reduction."""
    kind = next(kind for kind, op in REDUCTIONS.items() if op == node.op.name)
    order, axes, keepdims = writer.order(node.inputs["x"]), call.attributes["axes"], call.attributes["keepdims"]
    theirs = writer.number(f"{node.name}_axes", sorted(order.index(axis) for axis in axes), np.int64)
    left = [axis for axis in range(len(order)) if axis not in axes]
    after = order if keepdims else [left.index(axis) for axis in order if axis in left]
    writer.make(node, kind, [writer.take(node.inputs["x"]), theirs], after, keepdims=int(keepdims))
