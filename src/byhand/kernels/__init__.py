"""What the compiled hand stands on: Python functions handed to Numba, cut into blocks, run by threads.

    kernel.py    a kernel: a function and the blocks of its work; `launch` runs it
    build.py     Python to machine code: Numba's part, imported when the first kernel is built
    cache.py     machine code on disk, found again by the hash of all it was made from
    threads.py   the one parallel loop of the project
    record.py    launches written down once and run again without Python between them
    host.py      this processor: vector width, caches, threads
    tile.py      the register tile that convolutions and matrix products are made of, as LLVM IR
    math.py      exp, tanh and sigmoid in vectors

Nothing here imports Numba before a kernel is needed: `import byhand` costs what NumPy costs.
"""

from byhand.kernels.kernel import compiled, elementwise, kernel, launch, mode, scratch, share
from byhand.kernels.record import Again, aligned, lane, record

__all__ = [
    "Again",
    "aligned",
    "compiled",
    "elementwise",
    "kernel",
    "lane",
    "launch",
    "mode",
    "record",
    "scratch",
    "share",
]
