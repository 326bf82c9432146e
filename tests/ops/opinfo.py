"""PyTorch's OpInfo samples as calls of byhand: `TABLE` maps ops and translates arguments.

A translation takes a sample (input, args, kwargs) and returns a `Case`. It raises `Uncovered` with a reason for what is
outside an op's contract. A `Case` names tensors of the sample with the layout in which byhand takes them, so that gradients
translate by the same layout. PyTorch's layout of images is (N, C, H, W) or (C, H, W), of filters (K, C / groups, R, S).
"""

from collections.abc import Mapping
from functools import partial
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

try:
    import torch
except ImportError:  # nothing is translated then
    torch = None


class Uncovered(Exception):
    """A sample that byhand's contract does not cover; the text says why."""


class In(NamedTuple):
    """A tensor of a sample, and the layout in which byhand takes it."""

    tensor: Any
    layout: Any = lambda t: t


class Case(NamedTuple):
    """A call of byhand: inputs, each an In, a tuple of them, or None; attributes; the layout of PyTorch's result."""

    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any] = MappingProxyType({})
    out: Any = lambda t: t


# layouts --------------------------------------------------------------------------------------------------------------


def channels_last(t):
    """(N, C, ...) -> (N, ..., C)."""
    return t.movedim(1, -1) if t.ndim > 1 else t


def image(t):
    """(N, C, H, W) or (C, H, W) -> (N, H, W, C)."""
    if t.ndim not in (3, 4):
        raise Uncovered("no image")
    return channels_last(t if t.ndim == 4 else t[None])


def filters(t):
    """(K, C, R, S) -> (R, S, C, K)."""
    return t.permute(2, 3, 1, 0)


# arguments ------------------------------------------------------------------------------------------------------------


def named(sample, *names, **defaults):
    """Return a sample's arguments by name, those given by position too; raise Uncovered for any but `names`."""
    found = dict(zip(names, sample.args)) | sample.kwargs
    if unknown := [name for name in found if name not in names] or len(sample.args) > len(names):
        raise Uncovered(f"an argument that byhand has not: {unknown}")
    return defaults | {name: value for name, value in found.items() if value is not None or name not in defaults}


def require(condition, reason):
    if not condition:
        raise Uncovered(reason)


def value(number):
    """Return a plain number where a tensor of one number may stand."""
    require(not isinstance(number, torch.Tensor), "a tensor where byhand takes a number")
    return number


# translations ---------------------------------------------------------------------------------------------------------


def unary(sample, **attributes):
    """attributes: PyTorch's name of each, and byhand's."""
    given = named(sample, *attributes)
    return Case((In(sample.input),), {attributes[name]: value(argument) for name, argument in given.items()})


def binary(sample):
    given = named(sample, "other", "alpha", "rounding_mode")
    require(given.get("alpha", 1) == 1, "alpha: a factor of the second argument")
    require(given.get("rounding_mode") is None, "a rounded quotient")
    other = given["other"]
    return Case((In(sample.input), In(other if isinstance(other, torch.Tensor) else torch.tensor(float(other)))))


def gelu(sample):
    require(named(sample, "approximate").get("approximate", "none") == "none", "gelu by its approximation with tanh")
    return Case((In(sample.input),))


def softplus(sample):
    """Translate log sigmoid(x), which is -softplus(-x): all of PyTorch's own samples of softplus have a coarse threshold."""
    named(sample)
    return Case((In(sample.input, torch.neg),), {}, torch.neg)


def prelu(sample):
    weight = named(sample, "weight")["weight"]
    return Case((In(sample.input, channels_last), In(weight)), {}, channels_last)


def clip(sample, low="min", high="max", **defaults):
    given = named(sample, *filter(None, (low, high)), **defaults)
    given = {"low": given.get(low), "high": given.get(high)}
    return Case(
        (In(sample.input),), {name: value(argument) for name, argument in given.items() if argument is not None}
    )


def conv2d(sample):
    given = named(sample, "weight", "bias", "stride", "padding", "dilation", "groups", bias=None, padding=0)
    return _conv(sample, given)


def conv_transpose2d(sample):
    given = named(
        sample, "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation", bias=None, padding=0
    )
    return _conv(sample, given)


def _conv(sample, given):
    weight, bias = given.pop("weight"), given.pop("bias")
    return Case((In(sample.input, image), In(weight, filters), None if bias is None else In(bias)), given, image)


def pool(sample, *more):
    given = named(
        sample,
        "kernel_size",
        "stride",
        "padding",
        *more,
        "ceil_mode",
        "count_include_pad",
        "divisor_override",
        "return_indices",
        stride=None,
        padding=0,
    )
    require(not given.pop("return_indices", False), "the same call, with indices returned")
    require(given.pop("divisor_override", None) is None, "a divisor of one's own")
    given["kernel"] = given.pop("kernel_size")
    if given["stride"] in ((), []):
        given["stride"] = None
    given = {name: tuple(argument) if isinstance(argument, list) else argument for name, argument in given.items()}
    given = {
        name: argument[0] if isinstance(argument, tuple) and len(argument) == 1 else argument
        for name, argument in given.items()
    }
    return Case((In(sample.input, image),), given, image)


def max_pool(sample):
    case = pool(sample, "dilation")
    kernel, stride, padding, dilation = (
        np.broadcast_to(np.array(argument), 2)
        for argument in (
            case.attributes["kernel"],
            case.attributes["stride"] or case.attributes["kernel"],
            case.attributes["padding"],
            case.attributes.get("dilation", 1),
        )
    )
    sizes = image(sample.input).shape[1:3]
    for axis in (0, 1):
        reach = (kernel[axis] - 1) * dilation[axis] + 1
        beyond = sizes[axis] + 2 * padding[axis] - reach
        count = (-(-beyond // stride[axis]) if case.attributes.get("ceil_mode") else beyond // stride[axis]) + 1
        if case.attributes.get("ceil_mode") and (count - 1) * stride[axis] >= sizes[axis] + padding[axis]:
            count -= 1  # the last window begins within the image
        seen = (
            np.arange(max(count, 0))[:, None] * stride[axis] - padding[axis] + np.arange(kernel[axis]) * dilation[axis]
        )
        require(((seen >= 0) & (seen < sizes[axis])).any(1).all(), "a window that sees no pixel")
    return case


def global_avg_pool(sample):
    """Translate a mean over two axes of four: PyTorch's samples of adaptive pooling ask for more than one number a channel."""
    given = named(sample, "dim", "keepdim", dim=None, keepdim=False)
    require(sample.input.ndim == 4 and given["dim"] == (1, 3), "no mean over two axes of four")
    last = partial(torch.movedim, source=2, destination=-1)
    return Case((In(sample.input, last),), {"keepdims": given["keepdim"]}, last if given["keepdim"] else lambda t: t)


def batch_norm(sample):
    given = named(
        sample,
        "running_mean",
        "running_var",
        "weight",
        "bias",
        "training",
        "momentum",
        "eps",
        running_mean=None,
        running_var=None,
        weight=None,
        bias=None,
        training=False,
    )
    require(sample.input.ndim > 1, "no channels")
    channels = sample.input.shape[1]
    mean, var, weight, bias = (given.pop(name) for name in ("running_mean", "running_var", "weight", "bias"))
    for statistic in (mean, var):
        if statistic is not None:
            statistic.requires_grad_(False)
    zeros, ones = (torch.full((channels,), number, dtype=torch.float64) for number in (0.0, 1.0))
    inputs = (
        In(default if statistic is None else statistic)
        for statistic, default in ((weight, ones), (bias, zeros), (mean, zeros), (var, ones))
    )
    return Case((In(sample.input, channels_last), *inputs), given, channels_last)


def layer_norm(sample):
    given = named(sample, "normalized_shape", "weight", "bias", "eps", weight=None, bias=None)
    shape, weight, bias = tuple(given.pop("normalized_shape")), given.pop("weight"), given.pop("bias")
    ones, zeros = torch.ones(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64)
    return Case((In(sample.input), In(ones if weight is None else weight), In(zeros if bias is None else bias)), given)


def linear(sample):
    given = named(sample, "weight", "bias", bias=None)
    weight, bias = given["weight"], given["bias"]
    require(weight.ndim == 2, "one unit, without an axis of its own")
    return Case((In(sample.input), In(weight, lambda t: t.T), None if bias is None else In(bias)))


def cross_entropy(sample):
    given = named(
        sample,
        "target",
        "weight",
        "reduction",
        "ignore_index",
        "label_smoothing",
        reduction="mean",
        ignore_index=-100,
        label_smoothing=0.0,
        weight=None,
    )
    target, logits = given["target"], sample.input
    require(given["reduction"] == "mean", "no mean over the images")
    require(given["weight"] is None, "classes with weights")
    require(not target.is_floating_point(), "probabilities for labels")
    require(not (target == given["ignore_index"]).any(), "labels that do not count")
    require(logits.ndim > 1, "one image, without an axis of its own")
    classes = logits.shape[1]
    rows = In(logits, lambda t: channels_last(t).reshape(-1, classes))
    return Case((rows, In(target, lambda t: t.reshape(-1))), {"label_smoothing": given["label_smoothing"]})


def soft_target_cross_entropy(sample):
    given = named(sample, "target", "weight", "reduction", "ignore_index", "label_smoothing", reduction="mean")
    target, logits = given["target"], sample.input
    require(given["reduction"] == "mean", "no mean over the images")
    require(given.get("weight") is None and not given.get("label_smoothing"), "weights or label smoothing")
    require(target.is_floating_point(), "labels")
    require(logits.ndim > 1, "one image, without an axis of its own")
    classes = logits.shape[1]
    rows = [In(tensor, lambda t: channels_last(t).reshape(-1, classes)) for tensor in (logits, target)]
    return Case(tuple(rows), {})


def mean_loss(sample):
    given = named(sample, "target", "weight", "reduction", "pos_weight", reduction="mean")
    require(given["reduction"] == "mean", "no mean over the elements")
    require(given.get("weight") is None and given.get("pos_weight") is None, "weights")
    require(given["target"].shape == sample.input.shape, "broadcasting")
    return Case((In(sample.input), In(given["target"])), {})


def dropout(sample):
    given = named(sample, "p", "training", "inplace", p=0.5, training=True)
    require(given["p"] == 0 or not given["training"], "random numbers, which are others here")
    require(not given.get("inplace"), "in place")
    attributes = {"rate": given["p"], "training": given["training"]}
    return Case((In(sample.input), In(torch.zeros(1, dtype=torch.int64))), attributes)


def channel_shuffle(sample):
    return Case((In(sample.input, channels_last),), named(sample, "groups"), channels_last)


def lrn(sample):
    """PyTorch looks one channel further down where size is even, byhand, as ONNX, up: here the channels are reversed."""
    given = named(sample, "size", "alpha", "beta", "k", k=1.0)
    given["bias"] = given.pop("k")
    turned = partial(_turned, channels_last)
    return Case((In(sample.input, turned),), given, turned)


def _turned(layout, t):
    return layout(t).flip(-1)


def pad(sample):
    given = named(sample, "pad", "mode", "value", mode="constant", value=0.0)
    require(len(given["pad"]) in (2, 4) and sample.input.ndim > 2, "padding of other axes than rows and columns")
    left, right, top, bottom = (*given["pad"], 0, 0)[:4]
    return Case((In(sample.input, image),), {"padding": (top, bottom, left, right), "value": given["value"]}, image)


def resize(sample, coordinates="half_pixel", **attributes):
    given = named(sample, "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
    require(sample.input.ndim == 4, "no image")
    sizes, size, scale = sample.input.shape[2:], given.get("size"), given.get("scale_factor")
    if size is None:
        scales = (scale, scale) if isinstance(scale, (int, float)) else tuple(scale)
        size = tuple(int(pixels * factor) for pixels, factor in zip(sizes, scales))
        if not given.get("recompute_scale_factor"):
            attributes["scales"] = scales
    else:
        size = (size, size) if isinstance(size, int) else tuple(size)
    if given.get("align_corners"):
        coordinates = "align_corners"
        attributes.pop("scales", None)
    return Case((In(sample.input, image),), {"size": size, "coordinates": coordinates} | attributes, image)


def concat(sample):
    given = named(sample, "dim")
    return Case((tuple(map(In, sample.input)),), {"axis": given.get("dim", 0)})


def flatten(sample):
    given = named(sample, "start_dim", "end_dim", start_dim=0, end_dim=-1)
    last = given["end_dim"] in (-1, sample.input.ndim - 1)
    require(given["start_dim"] == 1 and last and sample.input.ndim > 1, "not all axes but the first")
    return Case((In(sample.input),))


def reshape(sample):
    shape = named(sample, "shape")["shape"]
    require(sample.input.ndim and len(shape) > 0 and shape[0] == len(sample.input), "another first axis")
    return Case((In(sample.input),), {"shape": tuple(shape[1:])})


def permute(sample):
    axes = named(sample, "dims")["dims"]
    return Case((In(sample.input),), {"axes": tuple(axis % max(1, sample.input.ndim) for axis in axes)})


def transpose(sample):
    given = named(sample, "dim0", "dim1")
    axes = list(range(sample.input.ndim))
    require(axes, "a number")
    first, other = given["dim0"], given["dim1"]
    axes[first], axes[other] = axes[other], axes[first]
    return Case((In(sample.input),), {"axes": tuple(axes)})


def narrow(sample):
    given = named(sample, "dim", "start", "length")
    require(isinstance(given["start"], int), "a start that is a tensor")
    axis, start = given["dim"] % max(1, sample.input.ndim), given["start"]
    start += sample.input.shape[axis] if start < 0 else 0
    return Case((In(sample.input),), {"starts": (start,), "stops": (start + given["length"],), "axes": (axis,)})


def getitem(sample):
    places = sample.args[0] if isinstance(sample.args[0], tuple) else (sample.args[0],)
    require(all(isinstance(index, slice) for index in places), "indices that are no slices")
    starts, stops, steps = zip(*(index.indices(size) for index, size in zip(places, sample.input.shape)))
    return Case((In(sample.input),), {"starts": starts, "stops": stops, "steps": steps})


def softmax(sample):
    given = named(sample, "dim", "dtype")
    require(given.get("dtype") is None, "a result of another type")
    require(sample.input.ndim, "a number")
    last = partial(_axis_last, given["dim"])
    return Case((In(sample.input, last),), {}, last)


def _axis_last(axis, t):
    return t.movedim(axis, -1)


def reduction(sample, **fixed):
    given = named(sample, "dim", "keepdim", "dtype", *fixed, dim=None, keepdim=False)
    for name, wanted in fixed.items():
        require(given.get(name, 2) == wanted, "a norm of another order")
    require(given.get("dtype") is None, "a result of another type")
    axes = given["dim"]
    axes = axes if axes is None or isinstance(axes, int) else tuple(axes) or None
    return Case((In(sample.input),), {"axes": axes, "keepdims": given["keepdim"]})


# byhand's op -> PyTorch's, each with the variant of its samples where it has several, and the translation
TABLE = {
    "abs": [("abs", unary)],
    "add": [("add", binary)],
    "avg_pool": [("nn.functional.avg_pool2d", pool)],
    "batch_norm": [("nn.functional.batch_norm", batch_norm)],
    "celu": [("nn.functional.celu", partial(unary, alpha="alpha"))],
    "channel_shuffle": [("nn.functional.channel_shuffle", channel_shuffle)],
    "clip": [
        ("clamp", clip),
        ("clamp_min", partial(clip, high=None)),
        ("clamp_max", partial(clip, low=None)),
        ("nn.functional.hardtanh", partial(clip, low="min_val", high="max_val", min_val=-1.0, max_val=1.0)),
    ],
    "concat": [("cat", concat)],
    "conv2d": [("nn.functional.conv2d", conv2d)],
    "conv_transpose2d": [("nn.functional.conv_transpose2d", conv_transpose2d)],
    "divide": [("div.no_rounding_mode", binary), ("true_divide", binary)],
    "dropout": [("nn.functional.dropout", dropout)],
    "elu": [("nn.functional.elu", partial(unary, alpha="alpha"))],
    "erf": [("erf", unary)],
    "exp": [("exp", unary)],
    "flatten": [("flatten", flatten)],
    "gelu": [("nn.functional.gelu", gelu)],
    "global_avg_pool": [("mean", global_avg_pool)],
    "hard_sigmoid": [("nn.functional.hardsigmoid", unary)],
    "hard_swish": [("nn.functional.hardswish", unary)],
    "layer_norm": [("nn.functional.layer_norm", layer_norm)],
    "leaky_relu": [("nn.functional.leaky_relu", partial(unary, negative_slope="slope"))],
    "linear": [("nn.functional.linear", linear)],
    "log": [("log", unary)],
    "lrn": [("nn.functional.local_response_norm", lrn)],
    "max_pool": [("nn.functional.max_pool2d", max_pool)],
    "maximum": [("maximum", binary), ("max.binary", binary)],
    "minimum": [("minimum", binary), ("min.binary", binary)],
    "mse_loss": [("nn.functional.mse_loss", mean_loss)],
    "multiply": [("mul", binary)],
    "neg": [("neg", unary)],
    "pad": [("nn.functional.pad.constant", pad)],
    "power": [("pow", binary), ("float_power", binary)],
    "prelu": [("nn.functional.prelu", prelu)],
    "reciprocal": [("reciprocal", unary)],
    "reduce_l1": [("linalg.vector_norm", partial(reduction, ord=1))],
    "reduce_l2": [("linalg.vector_norm", partial(reduction, ord=2))],
    "reduce_log_sum_exp": [("logsumexp", reduction)],
    "reduce_max": [("amax", reduction)],
    "reduce_mean": [("mean", reduction)],
    "reduce_min": [("amin", reduction)],
    "reduce_prod": [("prod", reduction)],
    "reduce_sum": [("sum", reduction)],
    "relu": [("nn.functional.relu", unary)],
    "relu6": [("nn.functional.relu6", unary)],
    "reshape": [("reshape", reshape)],
    "resize": [
        ("nn.functional.interpolate.nearest", partial(resize, coordinates="asymmetric", nearest="floor")),
        ("nn.functional.interpolate.nearest-exact", partial(resize, nearest="round_prefer_ceil")),
        ("nn.functional.interpolate.bilinear", partial(resize, mode="linear")),
        ("nn.functional.interpolate.bicubic", partial(resize, mode="cubic")),
    ],
    "selu": [("nn.functional.selu", unary)],
    "sigmoid": [("sigmoid", unary)],
    "silu": [("nn.functional.silu", unary)],
    "slice": [("narrow", narrow), ("__getitem__", getitem)],
    "soft_target_cross_entropy": [("nn.functional.cross_entropy", soft_target_cross_entropy)],
    "softmax": [("softmax", softmax)],
    "softmax_cross_entropy": [("nn.functional.cross_entropy", cross_entropy)],
    "sigmoid_cross_entropy": [("nn.functional.binary_cross_entropy_with_logits", mean_loss)],
    "softplus": [("nn.functional.logsigmoid", softplus)],
    "softsign": [("nn.functional.softsign", unary)],
    "sqrt": [("sqrt", unary)],
    "subtract": [("sub", binary)],
    "tanh": [("tanh", unary)],
    "transpose": [("permute", permute), ("transpose", transpose)],
}

WITHOUT_COUNTERPART = {
    "batch_norm_relu": "several ops of PyTorch",
    "conv2d_block": "several ops of PyTorch",
    "conv2d_max_pool": "several ops of PyTorch",
    "conv2d_relu": "several ops of PyTorch",
    "linear_relu": "several ops of PyTorch",
    "reduce_log_sum": "several ops of PyTorch",
    "reduce_sum_square": "several ops of PyTorch",
}


def elements(case):
    """Return how many numbers a case reads."""
    tensors = (
        entry for value in case.inputs if value is not None for entry in (value if type(value) is tuple else (value,))
    )
    return sum(prod(entry.tensor.shape) for entry in tensors)
