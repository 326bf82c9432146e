"""Convolution: the passes, each by the algorithm that suits its shape.

algorithm.py is the door. Behind it stand direct.py, packed.py and depthwise.py, whose kernels are sweep.py (plan.py has its
tables) and backward_weights.py (weights_plan.py); winograd.py for 3x3 convolutions (winograd_arrays.py, winograd_kernels.py);
gemv.py and transposed.py for matrix products with few rows; sparse.py for the gradients of a max-pooled convolution; and for
half of the bits bfloat16.py, with the kernels of direct.py, and winograd_pairs.py, with those of winograd.py.
"""

from byhand.kernels.conv.algorithm import (
    backward_data,
    backward_weights,
    force,
    forward,
    max_pool_backward,
    names,
    with_precision,
)
from byhand.kernels.conv.operands import Gradients, PooledOutput
from byhand.kernels.conv.problem import ConvShape, Pooling
from byhand.kernels.microkernel.microkernel import epilogue
from byhand.kernels.reductions import column_sums as backward_bias

__all__ = [
    "ConvShape",
    "Gradients",
    "PooledOutput",
    "Pooling",
    "backward_bias",
    "backward_data",
    "backward_weights",
    "epilogue",
    "force",
    "forward",
    "max_pool_backward",
    "names",
    "with_precision",
]
