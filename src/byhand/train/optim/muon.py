"""Muon: each weight moves by an orthogonal matrix, so that no direction learns faster than another.

    v = momentum v + g,   u = g + momentum v
    a weight (..., K) as a matrix of K columns:   w = w - lr (orthogonal(u) sqrt(max(1, K / rows)) + decay w)
    the rest, biases and norms:                   p = p - lr rest u

From the singular value decomposition u = U S V', orthogonal(u) is about U V': Newton-Schulz steps bring every singular value
near 1 by matrix products alone. With x = u / |u|, whose singular values are 1 at most, a step is

    x = x (a I + b A + c A^2),   A = x' x        each singular value s becomes a s + b s^3 + c s^5

and a, b, c are those that lift small values fastest; large ones end between 0.7 and 1.2.

Source: Jordan, Jin, Boza, You, Cesista, Newhouse & Bernstein 2024, "Muon: An optimizer for hidden layers in neural networks".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from byhand.errors import ArgumentError
from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.ops import linear
from byhand.ops.op import Array
from byhand.shapes import Shape, integer
from byhand.train.optim.clip import sum_squares
from byhand.train.optim.hyperparameters import GRAIN, WIDE, Setting, check, setting

A, B, C = 3.4445, -4.7750, 2.0315
TINY = 1e-7  # added to a matrix's length, which may be 0
MOST_STEPS = 100  # each is written into a recorded program: a checkpoint from a stranger may name any number


@dataclass(frozen=True)
class Muon:
    """Muon: the momentum's direction, with every singular value near 1, times lr; for biases and norms, SGD's step.

    lr: how far a weight moves, measured in singular values; momentum: Nesterov's; weight_decay: a step also takes lr decay w
    off a weight; rest: how many times larger the learning rate of biases and norms is; steps: of Newton-Schulz.
    The weights' steps are those of `torch.optim.Muon`, which rounds to bfloat16. Source: Jordan et al. 2024.

    >>> import byhand as bh
    >>> bh.Muon(lr=0.05)
    Muon(lr=0.05, momentum=0.9, weight_decay=0.1, rest=4.0, steps=3)
    """

    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.1
    rest: float = 4.0
    steps: int = 3

    function: ClassVar[str] = "muon"
    buffers: ClassVar[tuple[str, ...]] = ("velocity",)

    def __post_init__(self) -> None:
        check(self, lr=None, momentum=1.0, weight_decay=None, rest=None)
        object.__setattr__(self, "steps", integer("Muon: steps", self.steps))
        if self.steps > MOST_STEPS:
            raise ArgumentError(f"Muon: steps is {self.steps}; expected {MOST_STEPS} at most, and 3 to 5 are enough")

    @property
    def call(self) -> str:
        """The update as a line of the generated program."""
        return (
            f"muon(p, g.flat, optimizer.velocity, lr=lr, momentum={self.momentum}, weight_decay={self.weight_decay}, "
            f"rest={self.rest}, steps={self.steps})"
        )


def parts(p: Any) -> Iterator[tuple[slice, Shape | None]]:
    """Yield all parameters in order: each weight with its shape as a matrix, and what lies between weights with None.

    >>> from types import SimpleNamespace
    >>> list(parts(SimpleNamespace(flat=np.zeros(84), w=np.zeros((3, 3, 1, 8)), gamma=np.zeros(8), beta=np.zeros(4))))
    [(slice(0, 72, None), (9, 8)), (slice(72, 84, None), None)]
    """
    begun = end = 0
    for array in (value for name, value in vars(p).items() if name != "flat"):
        start, end = end, end + array.size
        if array.ndim > 1:
            if begun < start:
                yield slice(begun, start), None
            yield slice(start, end), (array.size // array.shape[-1], array.shape[-1])
            begun = end
    if begun < end:
        yield slice(begun, end), None


def _stretch(shape: Shape) -> float:
    """Return how much larger a matrix's step is, so that outputs move alike however many inputs they have."""
    rows, columns = shape
    return sqrt(max(1, columns / rows))


def _square(x: Any, square: Any, hand: str) -> None:
    """Write the smaller one of x' x and x x'."""
    _, backward = linear.hand(hand)
    if x.shape[1] <= x.shape[0]:
        backward(x, square, x, None, square, None)
    else:
        backward(x, x, x, square, None, None)


def _multiply(x: Any, factor: Any, y: Any, hand: str) -> None:
    """Write y = x factor, or where `_square` wrote x x', factor x."""
    product, _ = linear.hand(hand)
    product(*((x, factor) if x.shape[1] <= x.shape[0] else (factor, x)), None, y)


# loops ----------------------------------------------------------------------------------------------------------------


def muon_loops(
    p: Any, g: Array, velocity: Array, *, lr: float, momentum: float, weight_decay: float, rest: float, steps: int
) -> None:
    """v = momentum v + g,  u = g + momentum v;  w = w - lr (orthogonal(u) + decay w),  the rest p - lr rest u."""
    flat, u = p.flat, np.empty_like(g)
    for i in range(g.size):
        velocity[i] = momentum * velocity[i] + g[i]
        u[i] = g[i] + momentum * velocity[i]
    for part, shape in parts(p):
        if shape is None:
            for i in range(part.start, part.stop):
                flat[i] -= lr * rest * u[i]
        else:
            step = orthogonal_loops(u[part].reshape(shape), steps).reshape(-1)
            for i in range(part.start, part.stop):
                flat[i] -= lr * (_stretch(shape) * step[i - part.start] + weight_decay * flat[i])


def orthogonal_loops(u: Array, steps: int) -> Array:
    """Return a matrix with u's directions, its singular values near 1."""
    total = sum(float(one) ** 2 for one in u.flat)
    x, y = u / (sqrt(total) + TINY), np.empty_like(u)
    square, fourth, factor = (np.empty((min(u.shape),) * 2, u.dtype) for _ in range(3))
    for _ in range(steps):
        _square(x, square, "loops")
        _multiply(square, square, fourth, "loops")
        for i, j in np.ndindex(square.shape):
            factor[i, j] = A * (i == j) + B * square[i, j] + C * fourth[i, j]
        _multiply(x, factor, y, "loops")
        x, y = y, x
    return x


# arrays ---------------------------------------------------------------------------------------------------------------


def muon_arrays(
    p: Any, g: Array, velocity: Array, *, lr: float, momentum: float, weight_decay: float, rest: float, steps: int
) -> None:
    """Do what `muon_loops` does."""
    velocity *= momentum
    velocity += g
    u = g + momentum * velocity
    for part, shape in parts(p):
        if shape is None:
            p.flat[part] -= lr * rest * u[part]
        else:
            step = orthogonal_arrays(u[part].reshape(shape), steps).reshape(-1)
            p.flat[part] -= lr * (_stretch(shape) * step + weight_decay * p.flat[part])


def orthogonal_arrays(u: Array, steps: int) -> Array:
    """Do what `orthogonal_loops` does."""
    x = u / (np.linalg.norm(u) + TINY)
    for _ in range(steps):
        if x.shape[1] <= x.shape[0]:
            square = x.T @ x
            x = A * x + x @ (B * square + C * (square @ square))
        else:
            square = x @ x.T
            x = A * x + (B * square + C * (square @ square)) @ x
    return np.asarray(x)


# compiled: the products are linear's -------------------------------------------------------------------------------------


@kernel
def muon_block(g, velocity, u, momentum, block):  # type: ignore[no-untyped-def]
    """Move the velocity of a slice, and look ahead along it."""
    part = slice(block * GRAIN, (block + 1) * GRAIN)
    g, velocity, u = g[part], velocity[part], u[part]
    for i in range(g.size):
        velocity[i] = momentum * velocity[i] + g[i]
        u[i] = g[i] + momentum * velocity[i]


@kernel
def length_block(sums, factor, block):  # type: ignore[no-untyped-def]
    """Turn the sums of squares into what makes a matrix as long as 1."""
    total = 0.0
    for i in range(sums.size):
        total += sums[i]
    factor[0] = 1.0 / (sqrt(total) + TINY)


@kernel
def scaled_block(u, factor, x, block):  # type: ignore[no-untyped-def]
    """Write a slice of x = factor u."""
    part = slice(block * GRAIN, (block + 1) * GRAIN)
    u, x, scale = u[part], x[part], factor[0]
    for i in range(u.size):
        x[i] = scale * u[i]


@kernel
def polynomial_row(square, fourth, factor, block):  # type: ignore[no-untyped-def]
    """Write a row of a I + b A + c A^2."""
    for j in range(len(square)):
        factor[block, j] = B * square[block, j] + C * fourth[block, j]
    factor[block, block] += A


@kernel
def step_block(p, step, lr, scale, decay, block):  # type: ignore[no-untyped-def]
    """p = p - lr (scale step + decay p), on a slice."""
    part = slice(block * GRAIN, (block + 1) * GRAIN)
    p, step = p[part], step[part]
    rate, kept = lr[0] * scale, 1.0 - lr[0] * decay
    for i in range(p.size):
        p[i] = kept * p[i] - rate * step[i]


@compiled
def muon_compiled(
    p: Any, g: Array, velocity: Array, *, lr: Setting, momentum: float, weight_decay: float, rest: float, steps: int
) -> None:
    """Do what `muon_loops` does."""
    u, lr = scratch(g.size, dtype=g.dtype), setting(lr)
    launch(muon_block, cdiv(g.size, GRAIN), g, velocity, u, momentum)
    for part, shape in parts(p):
        blocks = cdiv(part.stop - part.start, GRAIN)
        if shape is None:
            launch(step_block, blocks, p.flat[part], u[part], lr, rest, 0.0)
        else:
            step = orthogonal_compiled(u[part].reshape(shape), steps).reshape(-1)
            launch(step_block, blocks, p.flat[part], step, lr, _stretch(shape), weight_decay)


def orthogonal_compiled(u: Array, steps: int) -> Any:
    """Do what `orthogonal_loops` does."""
    blocks = cdiv(u.size, WIDE)
    sums, factor = scratch(blocks, dtype=np.float64), scratch(1, dtype=u.dtype)
    x, y = (scratch(*u.shape, dtype=u.dtype) for _ in range(2))
    launch(sum_squares, blocks, u.reshape(-1), sums)
    launch(length_block, 1, sums, factor)
    launch(scaled_block, cdiv(u.size, GRAIN), u.reshape(-1), factor, x.reshape(-1))
    side = min(u.shape)
    square, fourth, power = (scratch(side, side, dtype=u.dtype) for _ in range(3))
    for _ in range(steps):
        _square(x, square, "compiled")
        _multiply(square, square, fourth, "compiled")
        launch(polynomial_row, side, square, fourth, power)
        _multiply(x, power, y, "compiled")
        x, y = y, x
    return x
