"""The gradient before a ReLU, which the compiled backward hands of fused ops begin with."""

from byhand.kernels import cdiv, kernel, launch, scratch
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS


def relu_gradient(y, grad_y, out=None, relu=True):
    """Launch grad = grad_y where y > 0, else 0, and return grad; out: the array to write, by default scratch memory.

    relu False: there is no ReLU, and grad is a copy of grad_y.
    """
    grad = scratch(*y.shape, dtype=y.dtype) if out is None else out
    blocks = cdiv(y.size, BLOCK_ELEMENTS)
    launch(relu_gradient_block, blocks, y.reshape(-1), grad_y.reshape(-1), grad.reshape(-1), relu)
    return grad


@kernel
def relu_gradient_block(y, grad_y, grad, relu, block):
    first, last = block * BLOCK_ELEMENTS, min((block + 1) * BLOCK_ELEMENTS, y.size)
    y, grad_y, grad = y[first:last], grad_y[first:last], grad[first:last]
    for i in range(y.size):
        grad[i] = 0.0 if relu and y[i] <= 0.0 else grad_y[i]
