"""conv2d_relu: a convolution and its ReLU in one pass, to cut memory traffic.

    y = relu(conv2d(x))

The convolution's own output is not stored: backward needs y alone, as the ReLU's derivative is 1 where y > 0, else 0.

Sources: those of conv2d and relu.
"""

from math import prod

from byhand.kernels import compiled, conv
from byhand.ops.activation.piecewise import relu
from byhand.ops.conv.conv2d import conv2d, conv2d_backward_compiled, conv_shape
from byhand.ops.fused.composed import Part, composed
from byhand.ops.fused.relu_gradient import relu_gradient
from byhand.ops.op import CallSpec, Op
from byhand.shapes import Padding, Shape, Size2d


def contract(
    x: Shape,
    weight: Shape,
    bias: Shape | None = None,
    *,
    stride: Size2d = 1,
    padding: Padding = "valid",
    dilation: Size2d = 1,
    groups: int = 1,
) -> CallSpec:
    """Convolution and ReLU: `conv2d`, then `relu`.

    >>> import byhand as bh, numpy as np
    >>> bh.conv2d_relu(np.array([0.0, 9, 9, 0]).reshape(1, 1, 4, 1), np.array([[-1.0, 1.0]]).reshape(1, 2, 1, 1)).ravel()
    array([9., 0., 0.])
    """
    call = conv2d.contract(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return CallSpec(call.shapes, call.attributes, call.flops + prod(call.shapes["y"]), call.window)


@compiled
def conv2d_relu_compiled(x, weight, bias, y, *, stride, padding, dilation, groups):
    shape = conv_shape(x.shape, weight.shape, y.shape, stride, padding, dilation, groups)
    conv.forward(x, weight, y, conv.epilogue(x, bias, relu=True), shape)


@compiled
def conv2d_relu_backward_compiled(
    x, weight, y, grad_y, grad_x, grad_weight, grad_bias, *, stride, padding, dilation, groups
):
    attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    conv2d_backward_compiled(x, weight, relu_gradient(y, grad_y), grad_x, grad_weight, grad_bias, **attributes)


loops, arrays = composed((Part(conv2d), Part(relu)), like=(conv2d_relu_compiled, conv2d_relu_backward_compiled))
conv2d_relu_loops, conv2d_relu_backward_loops = loops
conv2d_relu_arrays, conv2d_relu_backward_arrays = arrays
conv2d_relu = Op(
    "conv2d_relu",
    contract,
    loops=loops,
    arrays=arrays,
    compiled=(conv2d_relu_compiled, conv2d_relu_backward_compiled),
    sample=conv2d.sample,
    algorithms=conv2d.algorithms,
)
