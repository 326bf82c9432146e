"""Kernels of the compiled hand: Python functions compiled by Numba, run block by block on threads.

README.md is the course: how a convolution is made fast, step by step, and the order in which to read these files.

Nothing here imports Numba before a kernel is needed: `import byhand` costs what NumPy costs.
"""

from byhand.kernels.runtime.kernel import cdiv, kernel
from byhand.kernels.runtime.launch import compiled, elementwise, launch, scratch
from byhand.kernels.runtime.launch_graph import (
    Replay,
    aligned,
    capture,
    fixed_weights,
    micro_batch,
    prepare_once,
    prepared,
)
from byhand.kernels.runtime.mode import mode

__all__ = [
    "Replay",
    "aligned",
    "capture",
    "cdiv",
    "compiled",
    "elementwise",
    "fixed_weights",
    "kernel",
    "launch",
    "micro_batch",
    "mode",
    "prepare_once",
    "prepared",
    "scratch",
]
