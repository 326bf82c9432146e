"""What a kernel is: a plain Python function over arrays that does one block of some work.

    @kernel
    def double(x, y, block):                    # block: 0, 1, ... as many as `launch` is told
        for i in range(block * 1024, min(x.size, (block + 1) * 1024)):
            y[i] = 2.0 * x[i]

    launch(double, share(x.size, 1024), x, y)

`launch` hands the function to Numba, once for each set of argument types, and lets the threads share the blocks out. Blocks
are cut by the size of the work, never by the number of threads, so that the same numbers are added in the same order however
many threads there are. A kernel that needs memory of its own takes `worker` as its last argument, the number of the thread
that runs it, and indexes `scratch` with it.

With NUMBA_DISABLE_JIT=1 a kernel runs as the Python that it is, to be stepped through; with BYHAND_DEBUG=1 it runs compiled,
one block after the other, and each access to an array is checked against its bounds.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, update_wrapper
from types import FunctionType
from typing import Any

import numpy as np

from byhand.kernels import memory
from byhand.kernels.runtime import launch_graph

GRAIN = 16384  # elements of an elementwise block: 64 KB of float32, a few microseconds


@cache
def mode() -> str:
    """Return how kernels run in this process: "native", "debug" or "python"."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "python"
    return "debug" if os.environ.get("BYHAND_DEBUG", "0") not in ("", "0") else "native"


class Kernel:
    """A function that does one block of some work, and its machine code for each set of argument types.

    reassociate: the sums in it may be added in any order (the same one every time), which lets them run in vectors.
    """

    sliced = False

    def __init__(self, function: Callable[..., None], reassociate: bool = False) -> None:
        update_wrapper(self, function)  # type: ignore[arg-type]
        self.function, self.reassociate = function, reassociate
        code = function.__code__
        self.keywords = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        self.takes_worker = code.co_varnames[: code.co_argcount][-1:] == ("worker",)
        self.built: dict[tuple[Any, ...], Any] = {}

    def __repr__(self) -> str:
        return f"<kernel {self.function.__name__}>"

    def run(self, arguments: tuple[Any, ...], block: int, worker: int) -> None:
        """Do one block as plain Python."""
        self.function(*arguments, block, *([worker] if self.takes_worker else []))

    def build(self, arguments: tuple[Any, ...], how: str) -> Any:
        """Return the machine code for arguments like these: an address, or in a debug build a function."""
        key = (how, *map(kind, arguments))
        if key not in self.built:
            from byhand.kernels.runtime import build  # noqa: PLC0415  (Numba)

            self.built[key] = build.build(self, key[1:], checked=how == "debug")
        return self.built[key]


class Elementwise(Kernel):
    """Loops that do the same for every element: each block does a slice of all arrays, which are given flat."""

    sliced = True

    def run(self, arguments: tuple[Any, ...], block: int, worker: int) -> None:
        """Do one slice as plain Python."""
        part = slice(block * GRAIN, (block + 1) * GRAIN)
        values = [one[part] if isinstance(one, np.ndarray) else one for one in arguments]
        count = len(values) - len(self.keywords)
        self.function(*values[:count], **dict(zip(self.keywords, values[count:])))


def kernel(function: Any = None, *, reassociate: bool = False) -> Any:
    """Make a function a kernel."""
    return Kernel(function, reassociate) if function is not None else lambda one: Kernel(one, reassociate)


def variant(function: Any, **names: Any) -> Any:
    """Return a function that reads the same and calls other things by these names."""
    space = {**function.__globals__, **names}
    return FunctionType(function.__code__, space, function.__name__, function.__defaults__)


def kind(argument: Any) -> str:
    """Return what Numba has to know of an argument: of an array its type and axes, of a number its type."""
    if isinstance(argument, np.ndarray):
        return f"{argument.dtype.str[1:]}x{argument.ndim}"
    if isinstance(argument, tuple):
        return f"({len(argument)})"
    if isinstance(argument, np.integer):
        return "int"
    return {type(None): "none", bool: "bool", int: "int"}.get(type(argument), "float")


def launch(one: Kernel, blocks: int, *arguments: Any) -> None:
    """Run a kernel: as many blocks as told, shared out between the threads; arrays must be contiguous."""
    if blocks < 1:
        return
    how = mode()
    if how == "native":
        launch_graph.add(
            launch_graph.Call(one.function.__name__, one.build(arguments, how), pack(arguments), blocks, arguments)
        )
    elif how == "debug":
        from byhand.kernels.runtime import build  # noqa: PLC0415  (Numba)

        build.run_checked(one, arguments, blocks)
    else:
        for block in range(blocks):
            one.run(arguments, block, 0)


def pack(arguments: tuple[Any, ...]) -> Any:
    """Return arguments as 64-bit words: of an array its address and sizes, of a number its value."""
    words: list[int] = []
    for one in arguments:
        if isinstance(one, np.ndarray):
            words += (one.ctypes.data, *one.shape)
        elif isinstance(one, tuple):
            words += one
        elif isinstance(one, (bool, int, np.integer)):
            words.append(int(one))
        elif one is not None:
            words.append(int(np.float64(one).view(np.int64)))
    return np.array(words, np.int64)


def cdiv(size: int, least: int) -> int:
    """Return how many blocks of `least` cover `size`."""
    return -(-size // max(1, least))


def scratch(*shape: int, dtype: Any) -> Any:
    """Return unwritten memory that holds until the hand under way returns; a recorded program uses it again and again."""
    return poison(launch_graph.scratch(shape, dtype))


def poison(array: Any) -> Any:
    """Return an array, filled where memory is poisoned (memory.py): now, or at each run of what is being recorded."""
    if not (memory.POISON and launch_graph.recording() and mode() == "native"):
        return memory.poison(array)
    words = memory.words(array)
    launch(fill_words, cdiv(words.size, GRAIN), words, memory.WORD)
    return array


@kernel
def fill_words(words, number, block):
    """Write a number into a slice of some words."""
    for i in range(block * GRAIN, min((block + 1) * GRAIN, words.size)):
        words[i] = number


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Make a function a compiled hand: it sees contiguous arrays, whatever it is given."""

    def hand(*arrays: Any, **attributes: Any) -> None:
        if all(map(fits, arrays)):
            with launch_graph.hand():
                function(*arrays, **attributes)
            return
        copies = [each(lambda one: one if fits(one) else one.copy(order="C"), value) for value in arrays]
        with launch_graph.at_once(), launch_graph.hand():
            function(*copies, **attributes)
        for value, copy in zip(arrays, copies):
            for theirs, ours in zip(*((one if isinstance(one, tuple) else (one,)) for one in (value, copy))):
                if theirs is not ours and theirs.flags.writeable:
                    theirs[...] = ours

    update_wrapper(hand, function)
    hand.is_compiled_hand = True  # type: ignore[attr-defined]  # a program asks: all that it does is launch kernels
    return hand


def elementwise(function: Callable[..., None]) -> Callable[..., None]:
    """Make loops over the elements of arrays of one size a compiled hand: the loops themselves, handed to Numba."""
    one = Elementwise(function)

    def flat(*arrays: Any, **attributes: Any) -> None:
        values = tuple(value.reshape(-1) if isinstance(value, np.ndarray) else value for value in arrays)
        size = max(value.size for value in values if isinstance(value, np.ndarray))
        launch(one, cdiv(size, GRAIN), *values, *(attributes[key] for key in one.keywords))

    hand = compiled(update_wrapper(flat, function))
    hand.__name__ = hand.__qualname__ = function.__name__.replace("_loops", "_compiled")
    return hand


def fits(value: Any) -> bool:
    """Tell whether a kernel can take a value as it is."""
    if isinstance(value, tuple):
        return all(map(fits, value))
    return not isinstance(value, np.ndarray) or (value.flags.c_contiguous and value.flags.aligned)


def each(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to an array, or to each of a tuple of them."""
    if isinstance(value, tuple):
        return tuple(function(one) for one in value)
    return value if value is None else function(value)
