"""conv2d_max_pool: a convolution whose output is pooled at once, with a ReLU between them or after them.

    y = max_pool(conv2d(x)),   with `relu`  y = max_pool(relu(conv2d(x)))

A program puts it together, so that the convolution's own output, four times as large, is not kept. Backward, a pixel has a
gradient only where it won its window, and with `relu` only where y > 0: `kernels/conv/pool_backward.py` visits those alone.

Sources: those of conv2d, relu and max_pool.
"""

import numpy as np

from byhand.kernels import compiled, conv, scratch
from byhand.kernels.conv import pool_backward
from byhand.kernels.conv.pool_backward import Gradients, PooledOutput, Pooling
from byhand.ops.conv.conv2d import contract as conv2d_contract
from byhand.ops.conv.conv2d import (
    conv2d_algorithms,
    conv2d_arrays,
    conv2d_backward_arrays,
    conv2d_backward_compiled,
    conv2d_backward_loops,
    conv2d_loops,
    conv_shape,
)
from byhand.ops.conv.conv2d import sample as conv2d_sample
from byhand.ops.fused.relu import masked
from byhand.ops.op import Call, Op
from byhand.ops.pool.max_pool import (
    max_contract,
    max_pool_arrays,
    max_pool_backward_arrays,
    max_pool_backward_compiled,
    max_pool_backward_loops,
    max_pool_compiled,
    max_pool_loops,
)

CHUNK = 1 << 20  # numbers of the convolution's output that wait to be pooled: they stay in the caches


def contract(
    x, weight, bias=None, *, stride=1, padding="valid", dilation=1, groups=1, relu=False, pool_kernel, pool_stride=None,
    pool_padding="valid", pool_dilation=1, ceil_mode=False,
):  # fmt: skip
    """Slide filters over an image and keep the largest of every window: as `conv2d`, `relu` where asked for, `max_pool`.

    >>> import byhand as bh, numpy as np
    >>> x, edge = np.array([0.0, 9, 9, 0, 0]).reshape(1, 1, 5, 1), np.array([[1.0, -1.0]]).reshape(1, 2, 1, 1)
    >>> bh.conv2d_max_pool(x, edge, pool_kernel=(1, 2), relu=True).ravel()
    array([0., 9.])
    """
    first = conv2d_contract(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    second = max_contract(
        first.shapes["y"], kernel=pool_kernel, stride=pool_stride, padding=pool_padding, dilation=pool_dilation,
        ceil_mode=ceil_mode,
    )  # fmt: skip
    attributes = (
        first.attributes | {"relu": bool(relu)} | {f"pool_{key}": one for key, one in second.attributes.items()}
    )
    attributes["between"] = first.shapes["y"][1:3]
    return Call(second.shapes, attributes, first.flops + second.flops, first.window)


def _between(x, weight, between):
    """Return an unwritten array for the convolution's output."""
    return np.empty((len(x), *between, weight.shape[3]), x.dtype)


def _pool(kernel, stride, padding, dilation):
    return {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}


# loops: those of the parts --------------------------------------------------------------------------------------------


def conv2d_max_pool_loops(
    x, weight, bias, y, argmax, *, stride, padding, dilation, groups, relu, pool_kernel, pool_stride, pool_padding,
    pool_dilation, between,
):  # fmt: skip
    middle = _between(x, weight, between)
    conv2d_loops(x, weight, bias, middle, stride=stride, padding=padding, dilation=dilation, groups=groups)
    if relu:
        middle[...] = np.where(middle < 0, 0, middle)
    max_pool_loops(middle, y, argmax, **_pool(pool_kernel, pool_stride, pool_padding, pool_dilation))


def conv2d_max_pool_backward_loops(
    x, weight, y, argmax, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups, relu, pool_kernel,
    pool_stride, pool_padding, pool_dilation, between,
):  # fmt: skip
    grad = _between(x, weight, between)
    alive = np.where(y <= 0, 0, grad_y) if relu else grad_y
    max_pool_backward_loops(argmax, alive, grad, **_pool(pool_kernel, pool_stride, pool_padding, pool_dilation))
    conv2d_backward_loops(
        x,
        weight,
        grad,
        grad_x,
        grad_weight,
        grad_bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


# arrays: those of the parts -------------------------------------------------------------------------------------------


def conv2d_max_pool_arrays(
    x, weight, bias, y, argmax, *, stride, padding, dilation, groups, relu, pool_kernel, pool_stride, pool_padding,
    pool_dilation, between,
):  # fmt: skip
    middle = _between(x, weight, between)
    conv2d_arrays(x, weight, bias, middle, stride=stride, padding=padding, dilation=dilation, groups=groups)
    if relu:
        np.maximum(middle, 0, out=middle)
    max_pool_arrays(middle, y, argmax, **_pool(pool_kernel, pool_stride, pool_padding, pool_dilation))


def conv2d_max_pool_backward_arrays(
    x, weight, y, argmax, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups, relu, pool_kernel,
    pool_stride, pool_padding, pool_dilation, between,
):  # fmt: skip
    grad = _between(x, weight, between)
    alive = np.where(y <= 0, 0, grad_y) if relu else grad_y
    max_pool_backward_arrays(argmax, alive, grad, **_pool(pool_kernel, pool_stride, pool_padding, pool_dilation))
    conv2d_backward_arrays(
        x,
        weight,
        grad,
        grad_x,
        grad_weight,
        grad_bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


# compiled: forward some images at a time, backward the winners alone --------------------------------------------------


@compiled
def conv2d_max_pool_compiled(
    x, weight, bias, y, argmax, *, stride, padding, dilation, groups, relu, pool_kernel, pool_stride, pool_padding,
    pool_dilation, between,
):  # fmt: skip
    size = between[0] * between[1] * weight.shape[3]
    some = max(1, min(len(x), CHUNK // max(1, size)))
    middle = scratch(some, *between, weight.shape[3], dtype=x.dtype)
    shape, epilogue = (
        conv_shape(x.shape, weight.shape, middle.shape, stride, padding, dilation, groups),
        conv.epilogue(x, bias, relu=relu),
    )
    for n in range(0, len(x), some):
        now = slice(n, n + some)
        part = middle[: len(x[now])]
        conv.forward(x[now], weight, part, epilogue, shape)
        max_pool_compiled(part, y[now], argmax[now], **_pool(pool_kernel, pool_stride, pool_padding, pool_dilation))


@compiled
def conv2d_max_pool_backward_compiled(
    x, weight, y, argmax, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups, relu, pool_kernel,
    pool_stride, pool_padding, pool_dilation, between,
):  # fmt: skip
    shape = (len(x), *between, weight.shape[3])
    convolution = conv_shape(x.shape, weight.shape, shape, stride, padding, dilation, groups)
    if pool_backward.applies(convolution, x.itemsize):
        pooled, gradients = PooledOutput(y, argmax, grad_y, relu), Gradients(grad_x, grad_weight, grad_bias)
        pooling = Pooling(pool_kernel, pool_stride, pool_padding, pool_dilation)
        pool_backward.backward(x, weight, pooled, gradients, convolution, pooling)
        return
    alive, grad = masked(y, grad_y) if relu else grad_y, scratch(*shape, dtype=x.dtype)
    max_pool_backward_compiled(argmax, alive, grad, **_pool(pool_kernel, pool_stride, pool_padding, pool_dilation))
    conv2d_backward_compiled(
        x,
        weight,
        grad,
        grad_x,
        grad_weight,
        grad_bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def algorithms(shapes, call, itemsize):
    """Return the algorithms that kernels choose for a call, by the array that each writes; sparse: the winners alone."""
    x, weight, *_ = shapes
    attributes = {name: call.attributes[name] for name in ("stride", "padding", "dilation", "groups")}
    between = (x[0], *call.attributes["between"], weight[3])
    found = conv2d_algorithms(shapes, Call({"y": between}, attributes), itemsize)
    if pool_backward.applies(conv_shape(x, weight, between, **attributes), itemsize):
        found |= {"grad_x": "sparse", "grad_weight": "sparse"}
    return found


# one op ---------------------------------------------------------------------------------------------------------------


def sample(draw):
    """Draw a legal call."""
    inputs, attributes = conv2d_sample(draw)
    between = conv2d_contract(*(None if one is None else one.shape for one in inputs), **attributes).shapes["y"]
    pool_kernel = tuple(draw.integer(1, min(3, size)) for size in between[1:3])
    return inputs, attributes | {
        "relu": draw.choice([True, False]), "pool_kernel": pool_kernel, "pool_stride": draw.choice([None, 1, 2]),
        "pool_padding": draw.choice(["valid", tuple(size // 2 for size in pool_kernel)]),
        "ceil_mode": draw.choice([True, False]),
    }  # fmt: skip


conv2d_max_pool = Op(
    "conv2d_max_pool",
    contract,
    loops=(conv2d_max_pool_loops, conv2d_max_pool_backward_loops),
    arrays=(conv2d_max_pool_arrays, conv2d_max_pool_backward_arrays),
    compiled=(conv2d_max_pool_compiled, conv2d_max_pool_backward_compiled),
    sample=sample,
    algorithms=algorithms,
    dtypes={"argmax": np.int32},
)
