"""Launches: a kernel, its blocks and its arguments, given to the threads or to the launch graph that is being captured.

launch(kernel, blocks, *arguments)   run a kernel, or add it to the graph that is being captured
compiled(function)                   make a function that launches kernels the compiled hand of an op
elementwise(loops)                   make loops over elements a compiled hand: the loops themselves, compiled
scratch(*shape, dtype=...)           unwritten memory for a hand
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import numpy as np
import numpy.typing as npt

from byhand.kernels import memory
from byhand.kernels.runtime import launch_graph, thread_pool
from byhand.kernels.runtime.arguments import kind_of, pack
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS, Elementwise, Kernel, cdiv, kernel
from byhand.kernels.runtime.machine_code import kernel_address
from byhand.kernels.runtime.mode import mode
from byhand.kernels.runtime.types import Argument, Array


def launch(kernel: Kernel, blocks: int, *arguments: Argument) -> None:
    """Run `blocks` blocks of a kernel on all threads; arrays must be contiguous."""
    if blocks < 1:
        return
    if mode() == "native":
        name, entry = kernel.function.__name__, machine_code(kernel, arguments)
        launch_graph.add(thread_pool.Launch(name, entry, pack(arguments), blocks, arguments))
    elif mode() == "debug":
        from byhand.kernels.runtime import build  # noqa: PLC0415  (Numba)

        build.run_checked(kernel, arguments, blocks)
    else:
        for block in range(blocks):
            kernel.run(arguments, block, 0)


def machine_code(kernel: Kernel, arguments: tuple[Argument, ...]) -> int:
    """Return the address of a kernel's machine code for arguments like these."""
    kinds = tuple(map(kind_of, arguments))
    if kinds not in kernel.entries:
        kernel.entries[kinds] = kernel_address(kernel, kinds)
    return kernel.entries[kinds]


def scratch(*shape: int, dtype: npt.DTypeLike) -> Array:
    """Return unwritten memory that holds until the hand under way returns; a captured program uses it again and again."""
    return poison(launch_graph.scratch(shape, dtype))


def poison(array: Array) -> Array:
    """Return an array, filled where memory is poisoned (memory.py): now, or at each run of what is being captured."""
    if not (memory.POISON and launch_graph.capturing() and mode() == "native"):
        return memory.poison(array)
    words = memory.words(array)
    launch(fill_words, cdiv(words.size, BLOCK_ELEMENTS), words, memory.POISON_WORD)
    return array


@kernel
def fill_words(words, number, block):  # type: ignore[no-untyped-def]
    """Write a number into a slice of some words."""
    for i in range(block * BLOCK_ELEMENTS, min((block + 1) * BLOCK_ELEMENTS, words.size)):
        words[i] = number


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Make a function a compiled hand: it sees contiguous arrays, whatever it is given."""

    def hand(*arrays: Any, **attributes: Any) -> None:
        if all(map(is_contiguous, arrays)):
            with launch_graph.hand():
                function(*arrays, **attributes)
            return
        copies = [map_arrays(contiguous, value) for value in arrays]
        with launch_graph.eager(), launch_graph.hand():
            function(*copies, **attributes)
        for value, copy in zip(arrays, copies):
            for theirs, ours in zip(*((item if isinstance(item, tuple) else (item,)) for item in (value, copy))):
                if theirs is not ours and theirs.flags.writeable:
                    theirs[...] = ours

    hand.is_compiled_hand = True  # type: ignore[attr-defined]
    return update_wrapper(hand, function)


def elementwise(function: Callable[..., None]) -> Callable[..., None]:
    """Make loops over the elements of arrays of one size a compiled hand: the loops themselves, handed to Numba."""
    loops = Elementwise(function)

    def flat(*arrays: Any, **attributes: Any) -> None:
        values = tuple(value.reshape(-1) if isinstance(value, np.ndarray) else value for value in arrays)
        size = max(value.size for value in values if isinstance(value, np.ndarray))
        launch(loops, cdiv(size, BLOCK_ELEMENTS), *values, *(attributes[key] for key in loops.keywords))

    hand = compiled(update_wrapper(flat, function))
    hand.__name__ = hand.__qualname__ = function.__name__.replace("_loops", "_compiled")
    return hand


def is_contiguous(value: Any) -> bool:
    """Tell whether a kernel can take a value as it is."""
    if isinstance(value, tuple):
        return all(map(is_contiguous, value))
    return not isinstance(value, np.ndarray) or (value.flags.c_contiguous and value.flags.aligned)


def contiguous(array: Array) -> Array:
    """Return an array as kernels take it, a copy where need be."""
    return array if is_contiguous(array) else array.copy(order="C")


def map_arrays(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to an array, or to each of a tuple of them."""
    if isinstance(value, tuple):
        return tuple(map(function, value))
    return value if value is None else function(value)


@kernel
def do_nothing(x, block):  # type: ignore[no-untyped-def]
    """Do nothing."""


TIMED_LAUNCHES = 64  # in a table


def launch_seconds() -> float:
    """Return the seconds that it takes to distribute one launch over the threads, measured: the shortest of many."""
    return min(launch_times(50))


def launch_times(tables: int) -> list[float]:
    """Return the seconds of a launch of one empty block a thread, each the mean over a table of launches."""
    x = np.zeros(1, np.float32)
    call = thread_pool.Launch("do_nothing", machine_code(do_nothing, (x,)), pack((x,)), thread_pool.workers(), (x,))
    table = thread_pool.LaunchTable([call] * TIMED_LAUNCHES)
    times = []
    for _ in range(tables):
        started = time.perf_counter()
        table.run()
        times.append((time.perf_counter() - started) / TIMED_LAUNCHES)
    return times
