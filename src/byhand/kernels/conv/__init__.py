"""Convolution: the passes, each by the algorithm that suits its shape.

algorithm.py is the door. Behind it stand direct.py, packed.py and depthwise.py, and matrix.py for matrix products. Their
kernels are sweep.py (plan.py has its tables) and backward_weights.py (weights_plan.py). pool_backward.py has the gradients of
a max-pooled convolution.
"""

from byhand.kernels.conv.algorithm import backward_data, backward_weights, force, forward, names
from byhand.kernels.conv.problem import ConvShape
from byhand.kernels.microkernel.microkernel import epilogue
from byhand.kernels.reductions import column_sums as backward_bias

__all__ = [
    "ConvShape",
    "backward_bias",
    "backward_data",
    "backward_weights",
    "epilogue",
    "force",
    "forward",
    "names",
]
