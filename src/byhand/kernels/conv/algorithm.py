"""The choice of an algorithm for each pass of a convolution, and the door through which all algorithms are called.

Each algorithm has `applies` and an estimated `cost` (problem.py); `choose` takes the cheapest that applies. The choice
depends on sizes alone, and on the tuning table of the machine where `byhand tune` has made one (tuning.py): it is the same in
every run, and the generated program names it.

BYHAND_CONV=direct or `with force("direct"):` forces one, to compare algorithms or to find a fault. It is used for the passes
that it has; for the others the cheapest is chosen.

Of a max-pooled convolution, `max_pool_backward` writes the gradients for which an algorithm is chosen that takes the pooled
gradient, such as `sparse`. The others are left to the passes of the convolution itself, from the gradient of its output.

Add an algorithm: a file with `applies`, `cost` and the passes that it has, which ends with one line,

    fft = Algorithm("fft", applies, cost, forward=forward, backward_data=backward_data)

and its name in ALGORITHMS below. A fourth pass, `max_pool_backward`, computes both gradients of a max-pooled convolution at
once. Nothing else changes: programs name it, `byhand show` prints it, BYHAND_CONV takes it, and
tests/kernels/test_algorithm.py compares it with the others on every shape to which it applies, within its `error`. An algorithm
of lower precision (bfloat16) costs `math.inf` where `with_precision` does not ask for it: there it is only forced.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from byhand.errors import ArgumentError, UnknownNameError
from byhand.kernels.conv import tuning
from byhand.kernels.conv.bfloat16 import bfloat16
from byhand.kernels.conv.depthwise import depthwise
from byhand.kernels.conv.direct import direct
from byhand.kernels.conv.gemv import gemv
from byhand.kernels.conv.operands import Gradients, PooledOutput
from byhand.kernels.conv.packed import packed
from byhand.kernels.conv.problem import FLOAT32, PASSES, Algorithm, ConvShape, Pooling, Problem
from byhand.kernels.conv.sparse import sparse
from byhand.kernels.conv.transposed import transposed
from byhand.kernels.conv.winograd import winograd2x2, winograd2x2_bfloat16, winograd4x4, winograd6x6
from byhand.kernels.microkernel.operands import Epilogue
from byhand.kernels.runtime.launch_graph import weights_are_fixed
from byhand.kernels.runtime.types import Array

# Of algorithms with the same cost the first is chosen.
ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        *(sparse, direct, packed, depthwise, gemv, transposed),
        *(winograd4x4, winograd2x2, winograd6x6, bfloat16, winograd2x2_bfloat16),
    )
}


class _Settings(threading.local):
    forced: str | None = None
    precision: str = FLOAT32


_local = _Settings()


@contextmanager
def force(name: str) -> Iterator[None]:
    """Take an algorithm, by name, for what this thread launches or captures within the block, in the passes that it has."""
    before, _local.forced = _local.forced, name
    try:
        yield
    finally:
        _local.forced = before


@contextmanager
def with_precision(name: str) -> Iterator[None]:
    """Take algorithms of a precision for what this thread launches or captures within the block."""
    before, _local.precision = _local.precision, name
    try:
        yield
    finally:
        _local.precision = before


def choose(problem: Problem) -> Algorithm:
    """Return the algorithm of a problem: the one that is forced, else the cheapest of those that apply.

    Raises UnknownNameError where no algorithm has the forced name, ArgumentError where that one does not apply.
    """
    return _choose(problem, _local.forced or os.environ.get("BYHAND_CONV") or None, tuning.in_use())


@cache
def _choose(problem: Problem, forced: str | None, table: tuning.TuningTable) -> Algorithm:
    applicable = [algorithm for algorithm in ALGORITHMS.values() if supports(algorithm, problem)]
    if forced is not None:
        if forced not in ALGORITHMS:
            raise UnknownNameError("convolution algorithm", forced, ALGORITHMS)
        if ALGORITHMS[forced].has_pass(problem):
            if ALGORITHMS[forced] in applicable:
                return ALGORITHMS[forced]
            names = ", ".join(algorithm.name for algorithm in applicable)
            raise ArgumentError(f"the forced algorithm {forced} does not apply to the {problem}; use {names}")
    return min(applicable, key=lambda algorithm: algorithm.cost(problem) * table.factor(algorithm, problem))


def supports(algorithm: Algorithm, problem: Problem) -> bool:
    """Tell whether an algorithm has the pass of a problem and applies to its shape."""
    return algorithm.has_pass(problem) and algorithm.applies(problem)


def names(
    shape: ConvShape, images: int, itemsize: int, matrix: bool = False, pooling: Pooling | None = None
) -> dict[str, str]:
    """Return the name of the algorithm of each pass; pooling: the max pooling that follows, if any."""
    problem = _problem("forward", shape, images, itemsize, matrix, pooling)
    return {pass_name: choose(problem._replace(pass_name=pass_name)).name for pass_name in PASSES}


def forward(x: Array, weight: Array, y: Array, epilogue: Epilogue, shape: ConvShape, matrix: bool = False) -> None:
    """Write y = x convolved with weight, and the epilogue."""
    _chosen("forward", x, shape, matrix)(x, weight, y, epilogue, shape)


def backward_data(weight: Array, grad_y: Array, grad_x: Array, shape: ConvShape, matrix: bool = False) -> None:
    """Write the gradient of the images."""
    _chosen("backward_data", grad_x, shape, matrix)(weight, grad_y, grad_x, shape)


def backward_weights(x: Array, grad_y: Array, grad_weight: Array, shape: ConvShape, matrix: bool = False) -> None:
    """Write the gradient of the filters."""
    _chosen("backward_weights", x, shape, matrix)(x, grad_y, grad_weight, shape)


def max_pool_backward(
    x: Array, weight: Array, pooled: PooledOutput, gradients: Gradients, shape: ConvShape, pooling: Pooling
) -> Gradients:
    """Write the gradients of a max-pooled convolution by the algorithm that takes the pooled gradient; return the others.

    Those that are returned are left to algorithms that take the gradient of the convolution's own output. The gradient of the
    bias goes with that of the filters.
    """
    problem = _problem("backward_weights", shape, len(x), x.itemsize, False, pooling)
    weights_launcher = choose(problem).max_pool_backward
    data_launcher = choose(problem._replace(pass_name="backward_data")).max_pool_backward
    launchers = data_launcher, weights_launcher, weights_launcher  # of gradients: x, weight, bias
    rest = Gradients(None, None, None)
    for launcher in dict.fromkeys(launchers):
        own = Gradients(*(gradient if chosen is launcher else None for gradient, chosen in zip(gradients, launchers)))
        if launcher is None:
            rest = own
        elif any(gradient is not None for gradient in own):
            launcher(x, weight, pooled, own, shape, pooling)
    return rest


def _chosen(pass_name: str, images: Array, shape: ConvShape, matrix: bool) -> Callable[..., None]:
    """Return the function with which the chosen algorithm launches a pass."""
    launcher = choose(_problem(pass_name, shape, len(images), images.itemsize, matrix)).launcher(pass_name)
    assert launcher is not None
    return launcher


def _problem(
    pass_name: str, shape: ConvShape, images: int, itemsize: int, matrix: bool, pooling: Pooling | None = None
) -> Problem:
    """Return a problem, with the precision of this thread, and whether the weights are fixed in what it captures."""
    return Problem(pass_name, shape, images, itemsize, matrix, pooling, _local.precision, weights_are_fixed())
