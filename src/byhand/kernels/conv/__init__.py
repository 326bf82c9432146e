"""Convolution: the passes, each by the algorithm that suits its shape.

algorithm.py is the door. Behind it stand direct.py, packed.py and depthwise.py, and matrix.py for matrix products;
they are made of sweep.py and backward_weights.py, which walk as plan.py says. pool_backward.py goes back through a pooled one.
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
