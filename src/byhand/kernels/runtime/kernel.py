"""Kernels: plain Python functions over arrays that compute one block of work.

    @kernel
    def double(x, y, block):                    # block: 0, 1, ... up to the number of blocks - 1
        for i in range(block * 1024, min(x.size, (block + 1) * 1024)):
            y[i] = 2.0 * x[i]

    launch(double, cdiv(x.size, 1024), x, y)

Work is cut into blocks by its size, never by the number of threads, so that the same numbers are added in the same order
however many threads there are. A kernel that needs memory of its own takes `worker` as its last argument, the number of the
thread that runs it, and indexes its scratch memory with it.

Arguments are arrays, numbers, None, and NamedTuples of these: the operands of a kernel (arguments.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import overload

import numpy as np

from byhand.kernels.runtime.arguments import Kind
from byhand.kernels.runtime.types import Argument

BLOCK_ELEMENTS = 16384  # of an elementwise block: 64 KB of float32, a few microseconds


class Kernel:
    """A function that does one block of some work, and its machine code for each set of argument types.

    reassociate: the sums in it may be added in any order (the same one every time), which lets them run in vectors.
    """

    elementwise = False

    def __init__(self, function: Callable[..., None], reassociate: bool = False) -> None:
        update_wrapper(self, function)  # type: ignore[arg-type]
        self.function, self.reassociate = function, reassociate
        code = function.__code__
        self.keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        self.takes_worker = code.co_varnames[: code.co_argcount][-1:] == ("worker",)
        self.entries: dict[tuple[Kind, ...], int] = {}  # kinds of the arguments -> address of machine code (build.py)
        self.checked: dict[tuple[Kind, ...], Callable[..., None]] = {}  # the same -> a function that checks each access

    def __repr__(self) -> str:
        return f"<kernel {self.function.__name__}>"

    def arguments_of(self, arguments: tuple[Argument, ...], block: int, worker: int) -> tuple[Argument, ...]:
        """Return what the function is called with for one block."""
        return (*arguments, block, worker) if self.takes_worker else (*arguments, block)

    def run(self, arguments: tuple[Argument, ...], block: int, worker: int) -> None:
        """Do one block as plain Python."""
        self.function(*self.arguments_of(arguments, block, worker))


class Elementwise(Kernel):
    """Loops that do the same for every element: each block does a slice of all arrays, which are given flat."""

    elementwise = True

    def arguments_of(self, arguments: tuple[Argument, ...], block: int, worker: int) -> tuple[Argument, ...]:
        """Return the slices of a block, and the attributes."""
        part = slice(block * BLOCK_ELEMENTS, (block + 1) * BLOCK_ELEMENTS)
        return tuple(value[part] if isinstance(value, np.ndarray) else value for value in arguments)

    def run(self, arguments: tuple[Argument, ...], block: int, worker: int) -> None:
        """Do one slice as plain Python."""
        values = self.arguments_of(arguments, block, worker)
        count = len(values) - len(self.keywords)
        self.function(*values[:count], **dict(zip(self.keywords, values[count:])))


@overload
def kernel(function: Callable[..., None]) -> Kernel: ...


@overload
def kernel(*, reassociate: bool = False) -> Callable[[Callable[..., None]], Kernel]: ...


def kernel(
    function: Callable[..., None] | None = None, *, reassociate: bool = False
) -> Kernel | Callable[[Callable[..., None]], Kernel]:
    """Make a function a kernel."""
    return Kernel(function, reassociate) if function is not None else lambda late: Kernel(late, reassociate)


def cdiv(size: int, divisor: int) -> int:
    """Return size / divisor, rounded up: how many blocks of `divisor` cover `size`."""
    return -(-size // max(1, divisor))
