"""conv2d_max_pool: a convolution whose output is max-pooled at once, with an optional ReLU between them.

    y = max_pool(conv2d(x)),   with `relu`  y = max_pool(relu(conv2d(x)))

The convolution's own output, four times as large for a 2x2 pooling, is not stored. Backward, a pixel of it has a gradient only
where it is the maximum of its window, and with `relu` only where y > 0: `kernels/conv/sparse.py` visits these alone.

Sources: those of conv2d, relu and max_pool.
"""

from math import prod

import numpy as np

from byhand.kernels import compiled, conv, prepare_once, scratch
from byhand.ops.activation.piecewise import relu as relu_op
from byhand.ops.conv.conv2d import conv2d, conv2d_backward_compiled, conv_shape
from byhand.ops.fused.composed import Part, composed
from byhand.ops.fused.relu_gradient import relu_gradient
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.ops.pool.max_pool import max_pool, max_pool_backward_compiled, max_pool_compiled
from byhand.shapes import Padding, Shape, Size2d

# Elements of the convolution's output that wait to be pooled: 4 MB of float32, which stay in the caches.
CHUNK_ELEMENTS = 1 << 20


def contract(
    x: Shape,
    weight: Shape,
    bias: Shape | None = None,
    *,
    stride: Size2d = 1,
    padding: Padding = "valid",
    dilation: Size2d = 1,
    groups: int = 1,
    relu: bool = False,
    pool_kernel: Size2d,
    pool_stride: Size2d | None = None,
    pool_padding: Padding = "valid",
    pool_dilation: Size2d = 1,
    ceil_mode: bool = False,
) -> CallSpec:
    """Convolution and max pooling: `conv2d`, with `relu` a ReLU, then `max_pool`; pool_*: the attributes of the pooling.

    >>> import byhand as bh, numpy as np
    >>> x, edge = np.array([0.0, 9, 9, 0, 0]).reshape(1, 1, 5, 1), np.array([[1.0, -1.0]]).reshape(1, 2, 1, 1)
    >>> bh.conv2d_max_pool(x, edge, pool_kernel=(1, 2), relu=True).ravel()
    array([0., 9.])
    """
    first = conv2d.contract(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    pooling = pool_attributes(pool_kernel, pool_stride, pool_padding, pool_dilation)
    convolved = first.shapes["y"]
    second = max_pool.contract(convolved, **pooling, ceil_mode=ceil_mode)
    attributes = first.attributes | {"relu": bool(relu)}
    attributes |= {f"pool_{key}": value for key, value in second.attributes.items()}
    attributes["between"] = convolved[1:3]
    flops = first.flops + second.flops + (prod(convolved) if relu else 0)
    return CallSpec(second.shapes, attributes, flops, first.window)


def pool_attributes(kernel, stride, padding, dilation):
    """Return the attributes of the pooling by max_pool's names."""
    return {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}


# compiled: forward a chunk of images at a time, backward only the maxima ----------------------------------------------


def chunk_images(images, between, filters):
    """Return how many images are convolved before they are pooled: their outputs stay in a cache."""
    return max(1, min(images, CHUNK_ELEMENTS // max(1, between[0] * between[1] * filters)))


@compiled
def conv2d_max_pool_compiled(
    x,
    weight,
    bias,
    y,
    argmax,
    *,
    stride,
    padding,
    dilation,
    groups,
    relu,
    pool_kernel,
    pool_stride,
    pool_padding,
    pool_dilation,
    between,
):
    images_per_chunk = chunk_images(len(x), between, weight.shape[3])
    convolved = scratch(images_per_chunk, *between, weight.shape[3], dtype=x.dtype)
    shape = conv_shape(x.shape, weight.shape, convolved.shape, stride, padding, dilation, groups)
    epilogue = conv.epilogue(x, bias, relu=relu)
    pooling = pool_attributes(pool_kernel, pool_stride, pool_padding, pool_dilation)
    with prepare_once():
        for n in range(0, len(x), images_per_chunk):
            chunk = slice(n, n + images_per_chunk)
            part = convolved[: len(x[chunk])]
            conv.forward(x[chunk], weight, part, epilogue, shape)
            max_pool_compiled(part, y[chunk], argmax[chunk], **pooling)


@compiled
def conv2d_max_pool_backward_compiled(
    x,
    weight,
    y,
    argmax,
    grad_y,
    grad_x,
    grad_weight,
    grad_bias,
    *,
    stride,
    padding,
    dilation,
    groups,
    relu,
    pool_kernel,
    pool_stride,
    pool_padding,
    pool_dilation,
    between,
):
    between_shape = (len(x), *between, weight.shape[3])
    shape = conv_shape(x.shape, weight.shape, between_shape, stride, padding, dilation, groups)
    pooling = conv.Pooling(pool_kernel, pool_stride, pool_padding, pool_dilation)
    pooled, gradients = conv.PooledOutput(y, argmax, grad_y, relu), conv.Gradients(grad_x, grad_weight, grad_bias)
    rest = conv.max_pool_backward(x, weight, pooled, gradients, shape, pooling)
    if all(gradient is None for gradient in rest):
        return
    pooled_grad, grad = relu_gradient(y, grad_y) if relu else grad_y, scratch(*between_shape, dtype=x.dtype)
    max_pool_backward_compiled(argmax, pooled_grad, grad, **pooling._asdict())
    attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    conv2d_backward_compiled(x, weight, grad, *rest, **attributes)


def conv2d_max_pool_algorithms(shapes, call, itemsize):
    """Return the algorithms that kernels choose for a call, by the array that each writes."""
    x, weight, *_ = shapes
    window = [call.attributes[name] for name in ("stride", "padding", "dilation", "groups")]
    shape = conv_shape(x, weight, (x[0], *call.attributes["between"], weight[3]), *window)
    pooling = conv.Pooling(*(call.attributes[f"pool_{name}"] for name in conv.Pooling._fields))
    names = conv.names(shape, x[0], itemsize, pooling=pooling)
    names["forward"] = conv.names(shape, chunk_images(x[0], call.attributes["between"], weight[3]), itemsize)["forward"]
    return {"y": names["forward"], "grad_x": names["backward_data"], "grad_weight": names["backward_weights"]}


# the op ---------------------------------------------------------------------------------------------------------------


def convolved_shape(arguments):
    """Return the shape of the convolution's output."""
    return (len(arguments["x"]), *arguments["between"], arguments["weight"].shape[3])


CONVOLUTION = Part(conv2d)
RELU = Part(relu_op, when="relu")
POOLING = Part(
    max_pool,
    names={key: f"pool_{key}" for key in ("kernel", "stride", "padding", "dilation")},
    input_shape=convolved_shape,
)
loops, arrays = composed(
    (CONVOLUTION, RELU, POOLING),
    like=(conv2d_max_pool_compiled, conv2d_max_pool_backward_compiled),
    backward_parts=(CONVOLUTION, POOLING, RELU),  # a maximum and a ReLU commute; y is kept, relu's output is not
)
conv2d_max_pool_loops, conv2d_max_pool_backward_loops = loops
conv2d_max_pool_arrays, conv2d_max_pool_backward_arrays = arrays


def sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    inputs, attributes = conv2d.sample(draw)
    between = conv2d.contract(*(None if array is None else array.shape for array in inputs), **attributes).shapes["y"]
    pool_kernel = tuple(draw.integer(1, min(3, size)) for size in between[1:3])
    pooling = {"relu": draw.choice([True, False]), "pool_kernel": pool_kernel, "pool_stride": draw.choice([None, 1, 2])}
    pooling["pool_padding"] = draw.choice(["valid", tuple(size // 2 for size in pool_kernel)])
    return inputs, attributes | pooling | {"ceil_mode": draw.choice([True, False])}


conv2d_max_pool = Op(
    "conv2d_max_pool",
    contract,
    loops=loops,
    arrays=arrays,
    compiled=(conv2d_max_pool_compiled, conv2d_max_pool_backward_compiled),
    sample=sample,
    algorithms=conv2d_max_pool_algorithms,
    dtypes={"argmax": np.int32},
)
