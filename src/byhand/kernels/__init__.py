"""What the compiled hand stands on: Python functions handed to Numba, cut into blocks, run by threads.

    kernel.py    a kernel: a function and the blocks of its work; `launch` runs it
    build.py     Python to machine code: Numba's part, imported when the first kernel is built
    cache.py     machine code on disk, found again by the hash of all it was made from
    loop.py      the one parallel loop of the project; threads.py who runs it, on which threading layer
    memory.py    unwritten memory, and what the tests fill it with
    record.py    launches written down once and run again without Python between them
    host.py      this processor: vector width, caches, threads
    tile.py      the register tile that convolutions and matrix products are made of; emit.py, vectors.py its LLVM IR
    plans.py     how a convolution is walked; conv.py its kernels, pooled.py backward through a pooled one
    window.py    rows of pooled pixels; emit_window.py their LLVM IR
    sums.py      sums over rows and parts; pixels.py uint8 images looked up
    math.py      exp, tanh and erf in vectors
    native.py    a function with two forms, Python and IR

Nothing here imports Numba before a kernel is needed: `import byhand` costs what NumPy costs.
"""

from byhand.kernels.runtime.kernel import cdiv, compiled, elementwise, kernel, launch, mode, scratch
from byhand.kernels.runtime.launch_graph import Replay, aligned, capture, micro_batch

__all__ = [
    "Replay",
    "aligned",
    "capture",
    "cdiv",
    "compiled",
    "elementwise",
    "kernel",
    "launch",
    "micro_batch",
    "mode",
    "scratch",
]
