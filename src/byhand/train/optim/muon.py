"""Muon: SGD with momentum whose step for each weight matrix is made orthogonal.

    v = momentum v + g,   u = g + momentum v                                 Nesterov momentum
    a weight (..., K) as a matrix of K columns:
        w = w - lr (orthogonal(u) sqrt(max(1, K / rows)) + weight_decay w)
    biases and the parameters of norms:
        p = p - lr bias_lr_scale u

With the singular value decomposition u = U S V', orthogonal(u) is about U V': no direction learns faster than another.
Newton-Schulz iterations bring every singular value near 1 by matrix products alone. They start at x = u / |u|, whose singular
values are at most 1:

    x = x (a I + b A + c A^2),   A = x' x        each singular value s becomes a s + b s^3 + c s^5

The coefficients a, b, c raise small singular values fastest; large ones end between 0.7 and 1.2.

Source: Jordan, Jin, Boza, You, Cesista, Newhouse & Bernstein 2024, "Muon: An optimizer for hidden layers in neural networks".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from types import SimpleNamespace

import numpy as np

from byhand.errors import ArgumentError
from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.ops import linear
from byhand.ops.op import Array
from byhand.shapes import Shape, integer
from byhand.train.optim.clip import sum_squares
from byhand.train.optim.hyperparameters import (
    BLOCK_PARAMETERS,
    REDUCTION_BLOCK_PARAMETERS,
    as_array,
    check_ranges,
)
from byhand.train.optim.optimizer import Optimizer, register

A, B, C = 3.4445, -4.7750, 2.0315  # a, b, c of an iteration
NORM_EPS = 1e-7  # added to |u|, which may be 0
MAX_NS_STEPS = 100  # checkpoints are untrusted, and each iteration is written into the generated program


@dataclass(frozen=True)
class Muon(Optimizer):
    """Muon: the direction of the momentum with all singular values near 1, times lr; for biases and norms, SGD's step.

    lr: how far a weight matrix moves, in singular values; momentum: Nesterov's; weight_decay: decoupled, for weight matrices;
    bias_lr_scale: the learning rate of biases and norms, as a multiple of lr; ns_steps: Newton-Schulz iterations.
    The steps of the weights are those of `torch.optim.Muon`, which rounds to bfloat16. Source: Jordan et al. 2024.

    >>> import byhand as bh
    >>> bh.Muon(lr=0.05)
    Muon(lr=0.05, momentum=0.9, weight_decay=0.1, bias_lr_scale=4.0, ns_steps=3)
    """

    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.1
    bias_lr_scale: float = 4.0
    ns_steps: int = 3

    def __post_init__(self) -> None:
        check_ranges(self, lr=None, momentum=1.0, weight_decay=None, bias_lr_scale=None)
        object.__setattr__(self, "ns_steps", integer("Muon: ns_steps", self.ns_steps))
        if self.ns_steps > MAX_NS_STEPS:
            raise ArgumentError(f"Muon: ns_steps is {self.ns_steps}; expected at most {MAX_NS_STEPS}, usually 3 to 5")


def segments(parameters: SimpleNamespace) -> Iterator[tuple[slice, Shape | None]]:
    """Yield all parameters in order: each weight with its shape as a matrix, and what lies between weights with None.

    >>> from types import SimpleNamespace
    >>> list(segments(SimpleNamespace(flat=np.zeros(84), w=np.zeros((3, 3, 1, 8)), gamma=np.zeros(8), beta=np.zeros(4))))
    [(slice(0, 72, None), (9, 8)), (slice(72, 84, None), None)]
    """
    begun = end = 0
    for array in (value for name, value in vars(parameters).items() if name != "flat"):
        start, end = end, end + array.size
        if array.ndim > 1:
            if begun < start:
                yield slice(begun, start), None
            yield slice(start, end), (array.size // array.shape[-1], array.shape[-1])
            begun = end
    if begun < end:
        yield slice(begun, end), None


def _scale(shape: Shape) -> float:
    """Return the factor of a matrix's step with which outputs move alike, however many inputs they have."""
    rows, columns = shape
    return sqrt(max(1, columns / rows))


def _gram(x: Array, gram: Array, hand: str) -> None:
    """Write the smaller one of x' x and x x'."""
    _, backward = linear.hand(hand)
    if x.shape[1] <= x.shape[0]:
        backward(x, gram, x, None, gram, None)
    else:
        backward(x, x, x, gram, None, None)


def _multiply(x: Array, factor: Array, y: Array, hand: str) -> None:
    """Write y = x factor, or factor x where `_gram` wrote x x'."""
    product, _ = linear.hand(hand)
    product(*((x, factor) if x.shape[1] <= x.shape[0] else (factor, x)), None, y)


# loops ----------------------------------------------------------------------------------------------------------------


def muon_loops(parameters, g, velocity, *, lr, momentum, weight_decay, bias_lr_scale, ns_steps):
    """Update parameter by parameter."""
    p, u = parameters.flat, np.empty_like(g)
    for i in range(g.size):
        velocity[i] = momentum * velocity[i] + g[i]
        u[i] = g[i] + momentum * velocity[i]
    for part, shape in segments(parameters):
        if shape is None:
            for i in range(part.start, part.stop):
                p[i] -= lr * bias_lr_scale * u[i]
        else:
            step = orthogonal_loops(u[part].reshape(shape), ns_steps).reshape(-1)
            for i in range(part.start, part.stop):
                p[i] -= lr * (_scale(shape) * step[i - part.start] + weight_decay * p[i])


def orthogonal_loops(u, ns_steps):
    """Return a matrix with the singular vectors of u and singular values near 1."""
    total = sum(float(value) ** 2 for value in u.flat)
    x, y = u / (sqrt(total) + NORM_EPS), np.empty_like(u)
    gram, gram_squared, factor = (np.empty((min(u.shape),) * 2, u.dtype) for _ in range(3))
    for _ in range(ns_steps):
        _gram(x, gram, "loops")
        _multiply(gram, gram, gram_squared, "loops")
        for i, j in np.ndindex(gram.shape):
            factor[i, j] = A * (i == j) + B * gram[i, j] + C * gram_squared[i, j]
        _multiply(x, factor, y, "loops")
        x, y = y, x
    return x


# arrays ---------------------------------------------------------------------------------------------------------------


def muon_arrays(parameters, g, velocity, *, lr, momentum, weight_decay, bias_lr_scale, ns_steps):
    """Update with NumPy."""
    velocity *= momentum
    velocity += g
    p, u = parameters.flat, g + momentum * velocity
    for part, shape in segments(parameters):
        if shape is None:
            p[part] -= lr * bias_lr_scale * u[part]
        else:
            step = orthogonal_arrays(u[part].reshape(shape), ns_steps).reshape(-1)
            p[part] -= lr * (_scale(shape) * step + weight_decay * p[part])


def orthogonal_arrays(u, ns_steps):
    """Return what `orthogonal_loops` returns."""
    x = u / (np.linalg.norm(u) + NORM_EPS)
    for _ in range(ns_steps):
        if x.shape[1] <= x.shape[0]:
            gram = x.T @ x
            x = A * x + x @ (B * gram + C * (gram @ gram))
        else:
            gram = x @ x.T
            x = A * x + (B * gram + C * (gram @ gram)) @ x
    return np.asarray(x)


# compiled: the matrix products are those of linear ----------------------------------------------------------------------


@kernel
def muon_block(g, velocity, u, momentum, block):
    """Update one block of the velocity, and write the Nesterov step."""
    part = slice(block * BLOCK_PARAMETERS, (block + 1) * BLOCK_PARAMETERS)
    g, velocity, u = g[part], velocity[part], u[part]
    for i in range(g.size):
        velocity[i] = momentum * velocity[i] + g[i]
        u[i] = g[i] + momentum * velocity[i]


@kernel
def inverse_norm(sums, factor, block):
    """Write 1 / |u| from the sums of squares of its blocks."""
    total = 0.0
    for i in range(sums.size):
        total += sums[i]
    factor[0] = 1.0 / (sqrt(total) + NORM_EPS)


@kernel
def scaled_block(u, factor, x, block):
    """Write one block of x = factor u."""
    part = slice(block * BLOCK_PARAMETERS, (block + 1) * BLOCK_PARAMETERS)
    u, x, scale = u[part], x[part], factor[0]
    for i in range(u.size):
        x[i] = scale * u[i]


@kernel
def polynomial_row(gram, gram_squared, factor, block):
    """Write one row of a I + b A + c A^2."""
    for j in range(len(gram)):
        factor[block, j] = B * gram[block, j] + C * gram_squared[block, j]
    factor[block, block] += A


@kernel
def step_block(p, step, lr, scale, decay, block):
    """Update one block: p = p - lr (scale step + decay p)."""
    part = slice(block * BLOCK_PARAMETERS, (block + 1) * BLOCK_PARAMETERS)
    p, step = p[part], step[part]
    rate, kept = lr[0] * scale, 1.0 - lr[0] * decay
    for i in range(p.size):
        p[i] = kept * p[i] - rate * step[i]


@compiled
def muon_compiled(parameters, g, velocity, *, lr, momentum, weight_decay, bias_lr_scale, ns_steps):
    """Update in parallel blocks."""
    p, u, lr = parameters.flat, scratch(g.size, dtype=g.dtype), as_array(lr)
    launch(muon_block, cdiv(g.size, BLOCK_PARAMETERS), g, velocity, u, momentum)
    for part, shape in segments(parameters):
        blocks = cdiv(part.stop - part.start, BLOCK_PARAMETERS)
        if shape is None:
            launch(step_block, blocks, p[part], u[part], lr, bias_lr_scale, 0.0)
        else:
            step = orthogonal_compiled(u[part].reshape(shape), ns_steps).reshape(-1)
            launch(step_block, blocks, p[part], step, lr, _scale(shape), weight_decay)


def orthogonal_compiled(u, ns_steps):
    """Launch what `orthogonal_loops` does, and return where the result will be."""
    blocks = cdiv(u.size, REDUCTION_BLOCK_PARAMETERS)
    sums, factor = scratch(blocks, dtype=np.float64), scratch(1, dtype=u.dtype)
    x, y = (scratch(*u.shape, dtype=u.dtype) for _ in range(2))
    launch(sum_squares, blocks, u.reshape(-1), sums)
    launch(inverse_norm, 1, sums, factor)
    launch(scaled_block, cdiv(u.size, BLOCK_PARAMETERS), u.reshape(-1), factor, x.reshape(-1))
    side = min(u.shape)
    gram, gram_squared, power = (scratch(side, side, dtype=u.dtype) for _ in range(3))
    for _ in range(ns_steps):
        _gram(x, gram, "compiled")
        _multiply(gram, gram, gram_squared, "compiled")
        launch(polynomial_row, side, gram, gram_squared, power)
        _multiply(x, power, y, "compiled")
        x, y = y, x
    return x


register(Muon, loops=muon_loops, arrays=muon_arrays, compiled=muon_compiled)
