"""Activations of an epilogue: one elementwise function over a block of rows that has just been written.

    c[m, n] = activation(c[m, n])

A ReLU and a ReLU6 are applied to the sums in registers. An exponential there would be repeated in the code of every size of
tile, so these functions run over the block after it was stored, while it is in the L1 cache: one loop serves all tiles. The
register tile calls it with the steps of its epilogue; a kernel that writes rows without a tile calls `activate`.

The steps of an `Epilogue` hold the activation as ACTIVATION_STEP times its number: 0 for none, 1 for the first of ACTIVATIONS.
"""

from __future__ import annotations

from math import erf, exp, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from byhand.kernels.microkernel.operands import ACTIVATION_STEP, CAP, RELU
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.intrinsic import Intrinsic

if TYPE_CHECKING:
    from byhand.kernels.runtime.llvm import NumbaIntrinsic

# By the names of their ops; hard_sigmoid with the slope 1/6 and the offset 1/2.
ACTIVATIONS = ("sigmoid", "silu", "hard_sigmoid", "hard_swish", "gelu")
SIGMOID, SILU, HARD_SIGMOID, HARD_SWISH, GELU = range(1, len(ACTIVATIONS) + 1)

# A ReLU and a ReLU6 are steps on the sums in registers.
REGISTER_STEPS = {None: 0, "relu": RELU, "relu6": RELU + CAP}


def activation_steps(name: str | None) -> int:
    """Return the steps of an epilogue that are an activation: None, "relu", "relu6" or one of ACTIVATIONS."""
    if name in REGISTER_STEPS:
        return REGISTER_STEPS[name]
    return ACTIVATION_STEP * (1 + ACTIVATIONS.index(name))


def clipped(steps, x):
    """Return a number after the ReLU or the ReLU6 of an epilogue."""
    if steps & RELU and x < 0.0:
        return 0.0
    return 6.0 if steps & CAP and x > 6.0 else x


def activated(kind, x):
    """Return one of the activations of a number."""
    result = x
    if kind == HARD_SIGMOID:
        result = clipped_gate(x) / 6.0
    elif kind == HARD_SWISH:
        result = x * clipped_gate(x) / 6.0
    elif kind == SIGMOID:
        result = logistic(x)
    elif kind == SILU:
        result = x * logistic(x)
    elif kind == GELU:
        result = x * (1.0 + erf(x / sqrt(2.0))) / 2.0
    return result


def clipped_gate(x):
    """Return x + 3, clipped to between 0 and 6."""
    return 0.0 if x < -3.0 else 6.0 if x > 3.0 else x + 3.0


def logistic(x):
    """Return 1 / (1 + e^-x)."""
    power = exp(-abs(x))  # cannot overflow
    return (1.0 if x > 0 else power) / (1.0 + power)


def _activate(array, start, count, steps):
    """Replace `count` numbers of an array, from `start` on, by their activation."""
    for i in range(start, start + count):
        array[i] = activated(steps // ACTIVATION_STEP, array[i])


def _emit(dtype: str) -> NumbaIntrinsic:
    from byhand.kernels.microkernel.activation_ir import activate_intrinsic  # noqa: PLC0415  (llvmlite)

    return activate_intrinsic(dtype)


def _version() -> object:
    files = ("activation.py", "activation_ir.py", "operands.py", "simd.py")
    return vector_unit(), [Path(__file__).with_name(name).read_bytes() for name in files]


# activate(array, start, count, steps)
activate = Intrinsic(_activate, _emit, _version)
