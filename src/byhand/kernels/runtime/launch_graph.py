"""Launches written down, to be run again without Python between them.

A compiled hand is Python that launches kernels. Which kernels it launches, on which memory, depends on shapes alone, so that it
is enough to let it run once and write its launches down: from then on one compiled loop runs the list.

    tape, result = record(step, images, labels, ...)   # written down, not run
    tape.run()                                         # as often as wanted, on the same arrays

Launches made within `lane()` form lanes: lists that need nothing of each other, which threads share out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from byhand.kernels.memory import poison


class Call(NamedTuple):
    """One launch: the kernel's name and address, its packed arguments, its blocks, and the arrays that must stay alive."""

    name: str
    entry: int
    words: Any
    blocks: int
    arguments: tuple[Any, ...]


class _Local(threading.local):
    tape: LaunchGraph | None = None


_local = _Local()


class LaunchGraph:
    """A list of launches and of groups of lanes, and the scratch memory that they use again and again."""

    def __init__(self, room: int = 0) -> None:
        self.calls: list[Call | list[list[Call]]] = []
        self.needed = 0  # bytes of scratch memory
        self.in_lane = False
        self._room, self._used = room, 0
        self._pools: dict[int, Any] = {}  # a lane has its own; the others' is that of lane -1
        self._table: Any = None

    def add(self, call: Call) -> None:
        """Write a launch down."""
        self.lanes[-1].append(call) if self.in_lane else self.calls.append(call)

    @property
    def lanes(self) -> list[list[Call]]:
        """The lanes of the group written last."""
        last = self.calls[-1] if self.calls else None
        return last if isinstance(last, list) else []

    @property
    def every(self) -> list[Call]:
        """All launches."""
        return [call for one in self.calls for lane in (one if isinstance(one, list) else [[one]]) for call in lane]

    def table(self) -> Any:
        """Return the launches as the compiled loop takes them."""
        if self._table is None:
            from byhand.kernels.runtime.thread_pool import Table  # noqa: PLC0415  (Numba)

            self._table = Table(self.calls)
        return self._table

    def move(self, arrays: Sequence[Any]) -> None:
        """Let each further step of a run see the next row of these arrays, of which the launches see the first."""
        rows = [(array.ctypes.data, array.strides[0]) for array in arrays if len(array) > 1]
        moves = []
        for call in self.every:
            at = 0
            for one in call.arguments:
                if isinstance(one, np.ndarray):
                    address = int(call.words[at])
                    moves += [
                        (call.words.ctypes.data + 8 * at, step) for base, step in rows if 0 <= address - base < step
                    ]
                    at += 1 + one.ndim
                else:
                    at += len(one) if isinstance(one, tuple) else one is not None
        self.table().moves = np.array(moves, np.int64).reshape(-1, 2)

    def run(self, steps: int = 1) -> None:
        """Run all launches in order, each shared out between the threads; `steps` times."""
        self.table().run(steps)

    def take(self, size: int) -> Any:
        """Return memory that the next hand may use again."""
        start, self._used = self._used, self._used + size
        self.needed = max(self.needed, self._used)
        if self._used > self._room:
            return _aligned(size)
        pool = len(self.lanes) - 1 if self.in_lane else -1
        if pool not in self._pools:
            self._pools[pool] = _aligned(self._room)
        return self._pools[pool][start : self._used]


def capture(function: Any, *arguments: Any, **settings: Any) -> tuple[LaunchGraph, Any]:
    """Return the launches of a call and what it returned; the first of two passes finds out how much scratch it takes."""
    room = 0
    while True:
        tape = LaunchGraph(room)
        before, _local.tape = _local.tape, tape
        try:
            result = function(*arguments, **settings)
        finally:
            _local.tape = before
        if tape.needed <= room:
            tape.table()  # now: it remembers how many threads the scratch memory serves
            return tape, result
        room = tape.needed


class Replay:
    """A call of a compiled hand on arrays that stay: written down at the first time, run without Python from then on."""

    def __init__(self, function: Any, *arrays: Any, **attributes: Any) -> None:
        self.function, self.arrays, self.attributes = function, arrays, attributes
        self.tape: LaunchGraph | None = None

    def __call__(self) -> None:
        """Run it."""
        from byhand.kernels.runtime.kernel import mode  # noqa: PLC0415  (it stands on this file)

        if mode() != "native":
            self.function(*self.arrays, **self.attributes)
            return
        if self.tape is None:
            self.tape, _ = capture(self.function, *self.arrays, **self.attributes)
        self.tape.run()


def add(call: Call) -> None:
    """Write a launch down, or run it where nothing is being recorded."""
    if _local.tape is not None:
        _local.tape.add(call)
        return
    from byhand.kernels.runtime.thread_pool import Table  # noqa: PLC0415  (Numba)

    Table([call]).run()


@contextmanager
def micro_batch() -> Iterator[None]:
    """Mark launches as a lane."""
    tape = _local.tape
    if tape is None:
        yield
        return
    if not tape.lanes:
        tape.calls.append([])
    tape.lanes.append([])
    tape.in_lane, before, tape._used = True, tape._used, 0
    yield
    tape.in_lane, tape._used = False, before


def workers() -> int:
    """Return how many threads a kernel's scratch memory must serve: within a lane, one."""
    if _local.tape is not None and _local.tape.in_lane:
        return 1
    from byhand.kernels.runtime import thread_pool  # noqa: PLC0415  (Numba)

    return thread_pool.workers()


@contextmanager
def hand() -> Iterator[None]:
    """Mark the extent of a hand: its scratch memory is free when it returns."""
    tape = _local.tape
    before = 0 if tape is None else tape._used
    yield
    if tape is not None:
        tape._used = before


@contextmanager
def at_once() -> Iterator[None]:
    """Run launches at once: for a hand that works on copies."""
    before, _local.tape = _local.tape, None
    try:
        yield
    finally:
        _local.tape = before


def scratch(shape: tuple[int, ...], dtype: Any) -> Any:
    """Return unwritten memory, aligned to cache lines."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = -(-size // 64) * 64
    memory = _aligned(room) if _local.tape is None else _local.tape.take(room)
    return memory[:size].view(dtype).reshape(shape)


def recording() -> bool:
    """Tell whether this thread's launches are written down."""
    return _local.tape is not None


def aligned(size: int) -> Any:
    """Return unwritten bytes that start at a cache line."""
    return poison(_aligned(size))


def _aligned(size: int) -> Any:
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size]
