"""linear_relu: a linear layer and its ReLU in one pass, to cut memory traffic.

    y = relu(linear(x))

The layer's own output is not stored: backward needs y alone, as the ReLU's derivative is 1 where y > 0, else 0.

Sources: those of linear and relu.
"""

from math import prod

from byhand.kernels import compiled
from byhand.ops.activation.piecewise import relu
from byhand.ops.conv.linear import forward as linear_forward
from byhand.ops.conv.linear import linear, linear_backward_compiled
from byhand.ops.fused.composed import Part, composed
from byhand.ops.fused.relu_gradient import relu_gradient
from byhand.ops.op import CallSpec, Op
from byhand.shapes import Shape


def contract(x: Shape, weight: Shape, bias: Shape | None = None) -> CallSpec:
    """Linear layer and ReLU: `linear`, then `relu`.

    >>> import byhand as bh, numpy as np
    >>> bh.linear_relu(np.array([[1.0, -2.0]]), np.eye(2))
    array([[1., 0.]])
    """
    call = linear.contract(x, weight, bias)
    return CallSpec(call.shapes, call.attributes, call.flops + prod(call.shapes["y"]))


@compiled
def linear_relu_compiled(x, weight, bias, y):
    linear_forward(x, weight, bias, y, relu=True)


@compiled
def linear_relu_backward_compiled(x, weight, y, grad_y, grad_x, grad_weight, grad_bias):
    linear_backward_compiled(x, weight, relu_gradient(y, grad_y), grad_x, grad_weight, grad_bias)


loops, arrays = composed((Part(linear), Part(relu)), like=(linear_relu_compiled, linear_relu_backward_compiled))
linear_relu_loops, linear_relu_backward_loops = loops
linear_relu_arrays, linear_relu_backward_arrays = arrays
linear_relu = Op(
    "linear_relu",
    contract,
    loops=loops,
    arrays=arrays,
    compiled=(linear_relu_compiled, linear_relu_backward_compiled),
    sample=linear.sample,
    algorithms=linear.algorithms,
)
