"""Two-input ops from functions of two numbers: y = f(a, b), element by element, with NumPy's broadcasting.

An op (binary.py, minmax.py, prelu.py) states f, and for each input its gradient function grad_a(a, b, grad_y) =
grad_y * df/da. The loops call these functions; `forward_kernel` and `backward_kernel` compile them into kernels.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from byhand.kernels import cdiv, kernel, launch, scratch
from byhand.kernels.indexing import row_start
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.ops.arithmetic.broadcast import broadcast_index, pair_steps, sum_to_shape, unbroadcast

# loops and arrays -----------------------------------------------------------------------------------------------------


def apply_function(function, a, b, y):
    """Write y = function(a, b), number by number."""
    for i in np.ndindex(y.shape):
        y[i] = function(a[broadcast_index(i, a.shape)], b[broadcast_index(i, b.shape)])


def apply_function_backward(gradients, a, b, grad_y, grad_a, grad_b):
    """Add each element's gradient to the inputs it came from; gradients: the gradient functions of a and of b."""
    for grad, gradient in zip((grad_a, grad_b), gradients):
        if grad is not None:
            grad[...] = 0
            for i in np.ndindex(grad_y.shape):
                value = gradient(a[broadcast_index(i, a.shape)], b[broadcast_index(i, b.shape)], grad_y[i])
                grad[broadcast_index(i, grad.shape)] += value


def sum_gradients(gradients, grad_a, grad_b):
    """Write the gradients that NumPy computes, each a function without arguments that returns an array like y."""
    for gradient, grad in zip(gradients, (grad_a, grad_b)):
        if grad is not None:
            grad[...] = sum_to_shape(gradient(), grad.shape)


# compiled -------------------------------------------------------------------------------------------------------------
# np.uintp(...) around an index: Numba tests a signed index for being negative, which keeps LLVM from vectorizing the loop.


class Kernels(NamedTuple):
    """The compiled forms of a function and of its gradient functions."""

    forward: object
    backward: tuple[object, ...]


def binary_kernels(function, gradients=()):
    """Compile a function of two numbers, and its gradient functions, into kernels."""
    return Kernels(forward_kernel(function), tuple(backward_kernel(gradient) for gradient in gradients))


def forward_kernel(function):
    """Return a kernel that writes rows of y = function(a, b); a step of 0 repeats an element."""

    @kernel
    def function_rows(a, b, y, steps, rows, block):
        sizes, steps_a, steps_b = steps
        size, step_a, step_b = sizes[-1], steps_a[-1], steps_b[-1]
        for row in range(block * rows, min((block + 1) * rows, y.size // size)):
            from_a, from_b = a[row_start(row, sizes, steps_a) :], b[row_start(row, sizes, steps_b) :]
            out = y[row * size : (row + 1) * size]
            if step_a == 1 and step_b == 1:
                for k in range(size):
                    out[k] = function(from_a[k], from_b[k])
            elif step_a == 1:
                q = from_b[0]
                for k in range(size):
                    out[k] = function(from_a[k], q)
            else:
                p = from_a[0]
                for k in range(size):
                    out[k] = function(p, from_b[np.uintp(k * step_b)])

    return function_rows


def backward_kernel(gradient):
    """Return a kernel that writes rows of gradient(a, b, grad_y), in the shape of y."""

    @kernel
    def gradient_rows(a, b, grad_y, part, steps, rows, block):
        sizes, steps_a, steps_b = steps
        size, step_a, step_b = sizes[-1], steps_a[-1], steps_b[-1]
        for row in range(block * rows, min((block + 1) * rows, part.size // size)):
            from_a, from_b = a[row_start(row, sizes, steps_a) :], b[row_start(row, sizes, steps_b) :]
            grad, out = grad_y[row * size : (row + 1) * size], part[row * size : (row + 1) * size]
            if step_a == 1 and step_b == 1:
                for k in range(size):
                    out[k] = gradient(from_a[k], from_b[k], grad[k])
            elif step_a == 1:
                q = from_b[0]
                for k in range(size):
                    out[k] = gradient(from_a[k], q, grad[k])
            else:
                p = from_a[0]
                for k in range(size):
                    out[k] = gradient(p, from_b[np.uintp(k * step_b)], grad[k])

    return gradient_rows


def launch_binary(rows_kernel, a, b, *arrays):
    """Launch one of these kernels over a, b and arrays in the shape of y."""
    steps = pair_steps(a, b, arrays[-1].shape)
    rows, flat = cdiv(BLOCK_ELEMENTS, steps.sizes[-1]), [array.reshape(-1) for array in (a, b, *arrays)]
    launch(rows_kernel, cdiv(prod(steps.sizes[:-1]), rows), *flat, steps, rows)


def launch_binary_backward(gradients, a, b, grad_y, grad_a, grad_b):
    """Launch the kernels of both gradients; sum over the axes that an input repeats."""
    for rows_kernel, grad in zip(gradients, (grad_a, grad_b)):
        if grad is None:
            continue
        if grad.size == grad_y.size:
            launch_binary(rows_kernel, a, b, grad_y, grad.reshape(grad_y.shape))
        else:
            part = scratch(*grad_y.shape, dtype=grad_y.dtype)
            launch_binary(rows_kernel, a, b, grad_y, part)
            unbroadcast(part, None, grad)
