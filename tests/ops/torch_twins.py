"""PyTorch twins of the ops: `TWINS` maps an op's name to the same function in PyTorch.

A twin gets tensors in byhand's layout, (N, H, W, C) and (R, S, C / groups, K), and the attributes as a user gives them. It
must be differentiable. Add one here for a new op, then record its results: `python -m tests.fixtures.record_ops`.
"""
# ruff: noqa: PLW0108 - a lambda asks for F when it is called: without PyTorch there is none

from functools import cache, partial

import numpy as np

from byhand.ops import REGISTRY
from byhand.shapes import frame, pair, window
from tests.ops.draw import each, plan

try:
    import torch
    import torch.nn.functional as F
except ImportError:  # the twins are not called then
    torch = F = None


def results(op, inputs, attributes, grad):
    """Return PyTorch's result, gradients and running statistics of a call, as float64 arrays under byhand's names."""
    assert op.name in TWINS, f"{op.name} has no twin: add it to TWINS in tests/ops/torch_twins.py"
    tensors = {
        name: each(partial(_leaf, differentiable=name in op.differentiable), value) for name, value in inputs.items()
    }
    y = TWINS[op.name](*tensors.values(), **attributes)
    y.backward(torch.tensor(grad, dtype=torch.float64))
    found = {op.outputs[0]: y.detach().numpy()}
    for name in op.differentiable:
        found[f"grad_{name}"] = each(lambda tensor: tensor.grad.numpy(), tensors[name])
    for name in op.state:
        if inputs[name].dtype.kind == "f":
            found[name] = tensors[name].numpy()
    return {name: value for name, value in found.items() if value is not None}


def _leaf(array, differentiable):
    array = np.array(array, np.float64 if array.dtype.kind == "f" else array.dtype, order="C")
    return torch.from_numpy(array).requires_grad_(differentiable)


def _first(x):
    """Channels first: (N, H, W, C) -> (N, C, H, W)."""
    return x.movedim(-1, 1)


def _last(x):
    """Channels last again."""
    return x.movedim(1, -1)


def _framed(x, padding, value=0.0):
    top, bottom, left, right = padding
    return F.pad(x, (left, right, top, bottom), value=value)


def conv2d(x, weight, bias, *, stride=1, padding="valid", dilation=1, groups=1):
    view = window(x.shape[1:3], weight.shape[:2], stride, padding, dilation)
    filters = weight.permute(3, 2, 0, 1).contiguous()  # its gradient's layout would follow, which PyTorch refuses
    framed = _framed(_first(x), view.padding)
    return _last(F.conv2d(framed, filters, bias, view.stride, 0, view.dilation, groups))


def conv_transpose2d(x, weight, bias, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """PyTorch's padding is the same on both sides, its output_padding smaller than stride or dilation: else cut to size."""
    stride, dilation, (below, beside) = pair("", stride), pair("", dilation), pair("", output_padding, 0)
    top, bottom, left, right = frame(padding)
    few = below < max(stride[0], dilation[0]) and beside < max(stride[1], dilation[1])
    filters = weight.permute(3, 2, 0, 1).contiguous()  # its gradient's layout would follow, which PyTorch refuses
    if few and (top, left) == (bottom, right):
        y = F.conv_transpose2d(_first(x), filters, bias, stride, (top, left), (below, beside), groups, dilation)
        return _last(y)
    whole = F.conv_transpose2d(_first(x), filters, None, stride, 0, 0, groups, dilation)
    y = _last(F.pad(whole, (0, beside, 0, below)))
    y = y[:, top : y.shape[1] - bottom, left : y.shape[2] - right]
    return y if bias is None else y + bias


def sliced(x, *, starts, stops, axes=None, steps=None):
    """PyTorch has no negative steps: Python says which places they are."""
    for i, axis in enumerate(range(len(starts)) if axes is None else axes):
        places = np.arange(x.shape[axis])[starts[i] : stops[i] : steps[i] if steps else 1].copy()
        x = x.index_select(axis, torch.from_numpy(places))
    return x


def _symmetric(view):
    top, bottom, left, right = view.padding
    return top == bottom and left == right


def max_pool(x, *, kernel, stride=None, padding="valid", dilation=1, ceil_mode=False):
    view = window(x.shape[1:3], kernel, stride or kernel, padding, dilation, ceil_mode=ceil_mode)
    if _symmetric(view) and view.dilation == (1, 1):  # of a window wholly in padding, PyTorch's gradient lands anywhere
        padding = view.padding[::2]
        return _last(F.max_pool2d(_first(x), view.kernel, view.stride, padding, view.dilation, ceil_mode))
    framed = _framed(_first(x), view.padding, -torch.inf)
    y = _last(F.max_pool2d(framed, view.kernel, view.stride, 0, view.dilation, ceil_mode))
    return y[:, : view.output[0], : view.output[1]]  # PyTorch takes the frame for image: a window may start behind it


def avg_pool(x, *, kernel, stride=None, padding="valid", ceil_mode=False, count_include_pad=True):
    view = window(x.shape[1:3], kernel, stride or kernel, padding, ceil_mode=ceil_mode)
    x = _first(x)
    if _symmetric(view):
        return _last(F.avg_pool2d(x, view.kernel, view.stride, view.padding[::2], ceil_mode, count_include_pad))
    # PyTorch has no such padding: the sum of each window, over the number of its pixels that count
    counts = _framed(torch.ones_like(x), view.padding, float(count_include_pad))
    beyond = (0, view.kernel[0], 0, view.kernel[1])
    sums, counts = (
        F.avg_pool2d(_framed(summed, beyond), view.kernel, view.stride, divisor_override=1)
        for summed in (_framed(x, view.padding), counts)
    )
    return _last(sums / counts.clamp(min=1))[:, : view.output[0], : view.output[1]]


def global_avg_pool(x, *, keepdims=False):
    y = _last(F.adaptive_avg_pool2d(_first(x), 1))
    return y if keepdims else y[:, 0, 0]


def linear(x, weight, bias):
    return F.linear(x, weight.T, bias)


def batch_norm(x, gamma, beta, running_mean, running_var, *, eps=1e-5, momentum=0.1, training=False):
    return _last(F.batch_norm(_first(x), running_mean, running_var, gamma, beta, training, momentum, eps))


def layer_norm(x, gamma, beta, *, eps=1e-5):
    return F.layer_norm(x, gamma.shape, gamma, beta, eps)


def softmax_cross_entropy(logits, labels, *, label_smoothing=0.0):
    return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)


def soft_target_cross_entropy(logits, targets):
    return F.cross_entropy(logits, targets)


def sigmoid_cross_entropy(logits, targets):
    return F.binary_cross_entropy_with_logits(logits, targets)


def mse_loss(x, targets):
    return F.mse_loss(x, targets)


def dropout(x, key, *, rate=0.5, training=True):
    """PyTorch draws other numbers: take byhand's own mask. It multiplies by it: 0 times infinity is NaN."""
    op = REGISTRY["dropout"]
    inputs = {"x": np.ones(x.shape), "key": key.numpy().copy()}
    call = plan(op, inputs, {"rate": rate, "training": training})
    outputs = op.allocate(call, np.float64)
    op.hands["loops"].forward(*inputs.values(), *outputs.values(), **call.attributes)
    return x * torch.from_numpy(outputs["mask"]) / (1 - rate if training else 1)


def channel_shuffle(x, *, groups):
    return _last(F.channel_shuffle(_first(x), groups))


def conv2d_max_pool(
    x,
    weight,
    bias,
    *,
    relu=False,
    pool_kernel,
    pool_stride=None,
    pool_padding="valid",
    pool_dilation=1,
    ceil_mode=False,
    **attributes,
):
    y = conv2d(x, weight, bias, **attributes)
    pool = {"kernel": pool_kernel, "stride": pool_stride, "padding": pool_padding, "dilation": pool_dilation}
    return max_pool(F.relu(y) if relu else y, **pool, ceil_mode=ceil_mode)


def batch_norm_relu(x, gamma, beta, running_mean, running_var, shortcut, **attributes):
    y = batch_norm(x, gamma, beta, running_mean, running_var, **attributes)
    return F.relu(y if shortcut is None else y + shortcut)


def hard_sigmoid(x, *, alpha=1 / 6, beta=0.5):
    """PyTorch's has no alpha, and takes 1/6 in float32 for its gradient; outside of the line, and at NaN, that is 0."""
    line = alpha * x + beta
    return torch.where((line > 0) & (line < 1), line, line.detach().clamp(0, 1))


def conv2d_block(
    x, weight, bias, gamma, beta, running_mean, running_var, shortcut, *, eps=1e-5, activation=None, **attributes
):
    y = conv2d(x, weight, bias, **attributes)
    if gamma is not None:
        y = batch_norm(y, gamma, beta, running_mean, running_var, eps=eps)
    y = y if shortcut is None else y + shortcut
    if activation is None:
        return y
    return (
        hard_sigmoid(y)
        if activation == "hard_sigmoid"
        else getattr(F, activation.replace("hard_swish", "hardswish"))(y)
    )


def clip(x, *, low=None, high=None):
    return x.clamp(-torch.inf if low is None else low, torch.inf if high is None else high)


def selu(x, *, alpha=None, gamma=None):
    return F.selu(x) if alpha is None else gamma * F.elu(x, alpha)


def prelu(x, slope):
    """PyTorch has a slope a channel, or one: here each number becomes a channel."""
    return F.prelu(x.reshape(1, -1), slope.expand(x.shape).reshape(-1)).reshape(x.shape)


def lrn(x, *, size, alpha=1e-4, beta=0.75, bias=1.0):
    """PyTorch looks one channel further down where size is even, ONNX up; and it wants an image."""
    channels_down = _first(x.flip(-1)).reshape(*x.shape[:1], x.shape[-1], -1)
    y = F.local_response_norm(channels_down, size, alpha, beta, bias).reshape(_first(x).shape)
    return _last(y).flip(-1)


def resize(x, *, size, scales=(None, None), **attributes):
    """PyTorch has some of the modes: here ONNX's own reference says what a pixel weighs, the rest is PyTorch.

    Pixels without weight are left out: 0 times infinity is NaN. test_resize.py compares with `F.interpolate`.
    """
    for axis in (1, 2):
        weights = torch.from_numpy(weights_of(x.shape[axis], size[axis - 1], scales[axis - 1], **attributes))
        weights = weights.reshape(*weights.shape, 1, 1, 1)
        terms = torch.where(weights != 0, weights * x.movedim(axis, 0), 0)
        x = terms.sum(1).movedim(0, axis)
    return x


@cache
def weights_of(
    length,
    out,
    scale,
    *,
    mode="nearest",
    coordinates="half_pixel",
    nearest="round_prefer_floor",
    cubic_a=-0.75,
    exclude_outside=False,
    antialias=False,
):
    """Return how much each pixel of an axis weighs in each place of the resized one: what becomes of the unit vectors."""
    from onnx.reference.ops.op_resize import Resize  # called as it is: an evaluator makes cubic_coeff_a a float32

    if coordinates == "pytorch_half_pixel":  # where there is one place, it is 0 by ONNX's text, -1/2 in its reference
        coordinates = "half_pixel" if out > 1 else "asymmetric"
    (weights,) = Resize._run(
        None,
        np.eye(length),
        None,
        scales=[scale, 1.0] if scale else None,
        sizes=None if scale else [out, length],
        mode=mode,
        coordinate_transformation_mode=coordinates,
        nearest_mode=nearest,
        cubic_coeff_a=cubic_a,
        exclude_outside=exclude_outside,
        antialias=antialias,
        keep_aspect_ratio_policy="stretch",
    )
    assert weights.shape == (out, length)
    return np.where(np.abs(weights) < 1e-12, 0, weights)  # rounding errors


def reduced(function):
    """PyTorch takes one axis or several, as the function will have it: here they are laid into one."""

    def twin(x, *, axes=None, keepdims=False):
        axes = range(x.ndim) if axes is None else axes if isinstance(axes, tuple) else (axes,)
        axes = sorted(axis % x.ndim for axis in axes)
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        y = function(x.permute(*kept, *axes).reshape(*(x.shape[axis] for axis in kept), -1))
        return y.reshape([1 if axis in axes else size for axis, size in enumerate(x.shape)]) if keepdims else y

    return twin


TWINS = {
    "abs": lambda x: x.abs(),
    "add": lambda a, b: a + b,
    "avg_pool": avg_pool,
    "batch_norm": batch_norm,
    "batch_norm_relu": batch_norm_relu,
    "celu": lambda x, alpha=1.0: F.celu(x, alpha),
    "channel_shuffle": channel_shuffle,
    "clip": clip,
    "concat": lambda xs, axis=-1: torch.cat(xs, axis),
    "conv2d": conv2d,
    "conv2d_max_pool": conv2d_max_pool,
    "conv2d_relu": lambda x, weight, bias, **attributes: F.relu(conv2d(x, weight, bias, **attributes)),
    "conv_transpose2d": conv_transpose2d,
    "divide": lambda a, b: a / b,
    "dropout": dropout,
    "elu": lambda x, alpha=1.0: F.elu(x, alpha),
    "erf": lambda x: x.erf(),
    "exp": lambda x: x.exp(),
    "flatten": lambda x: x.flatten(1),
    "conv2d_block": conv2d_block,
    "gelu": lambda x: F.gelu(x),
    "global_avg_pool": global_avg_pool,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": lambda x: F.hardswish(x),
    "layer_norm": layer_norm,
    "leaky_relu": lambda x, slope=0.01: F.leaky_relu(x, slope),
    "linear": linear,
    "linear_relu": lambda x, weight, bias: F.relu(linear(x, weight, bias)),
    "log": lambda x: x.log(),
    "lrn": lrn,
    "max_pool": max_pool,
    "maximum": lambda a, b: torch.maximum(a, b),
    "minimum": lambda a, b: torch.minimum(a, b),
    "multiply": lambda a, b: a * b,
    "neg": lambda x: -x,
    "pad": lambda x, padding, value=0.0: _last(_framed(_first(x), padding, value)),
    "power": lambda a, b: a**b,
    "prelu": prelu,
    "reciprocal": lambda x: x.reciprocal(),
    "reduce_l1": reduced(lambda x: torch.linalg.vector_norm(x, 1, -1)),
    "reduce_l2": reduced(lambda x: torch.linalg.vector_norm(x, 2, -1)),
    "reduce_log_sum": reduced(lambda x: x.sum(-1).log()),
    "reduce_log_sum_exp": reduced(lambda x: x.logsumexp(-1)),
    "reduce_max": reduced(lambda x: x.amax(-1)),
    "reduce_mean": reduced(lambda x: x.mean(-1)),
    "reduce_min": reduced(lambda x: x.amin(-1)),
    "reduce_prod": reduced(lambda x: x.prod(-1)),
    "reduce_sum": reduced(lambda x: x.sum(-1)),
    "reduce_sum_square": reduced(lambda x: x.square().sum(-1)),
    "relu": lambda x: F.relu(x),
    "relu6": lambda x: F.relu6(x),
    "reshape": lambda x, shape: x.reshape(x.shape[0], *shape),
    "resize": resize,
    "selu": selu,
    "sigmoid": lambda x: F.sigmoid(x),
    "silu": lambda x: F.silu(x),
    "slice": sliced,
    "softmax": lambda x: F.softmax(x, -1),
    "softmax_cross_entropy": softmax_cross_entropy,
    "soft_target_cross_entropy": soft_target_cross_entropy,
    "sigmoid_cross_entropy": sigmoid_cross_entropy,
    "mse_loss": mse_loss,
    "softplus": lambda x: F.softplus(x, threshold=700),  # its own, 20, is coarser
    "softsign": lambda x: F.softsign(x),
    "sqrt": lambda x: x.sqrt(),
    "subtract": lambda a, b: a - b,
    "tanh": lambda x: F.tanh(x),
    "transpose": lambda x, axes: x.permute(axes),
}
