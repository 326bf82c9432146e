"""Launch graphs: launches captured once, then replayed without Python between them (as CUDA graphs are).

A compiled hand is Python that launches kernels. Which kernels it launches, on which memory, depends on shapes alone. So the
hand runs once while its launches are captured; from then on one compiled loop runs the list.

    graph, result = capture(step, images, labels, ...)   # captured, not run
    graph.run()                                          # as often as wanted, on the same arrays

Launches made within `micro_batch()` form a list of their own: micro-batches are independent, and threads share them out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from byhand.kernels.memory import poison
from byhand.kernels.runtime import thread_pool
from byhand.kernels.runtime.arguments import WORD_BYTES, address_words
from byhand.kernels.runtime.cpu import CACHE_LINE_BYTES
from byhand.kernels.runtime.kernel import cdiv
from byhand.kernels.runtime.mode import mode
from byhand.kernels.runtime.thread_pool import Launch, LaunchTable
from byhand.kernels.runtime.types import Array

T = TypeVar("T")


class _ActiveCapture(threading.local):
    graph: LaunchGraph | None = None  # the one that this Python thread is capturing
    fixed: FixedMemory | None = None
    prepared: dict[Hashable, PreparedArray] | None = None  # in a block of `prepare_once`


_local = _ActiveCapture()


class LaunchGraph:
    """A list of launches and of groups of micro-batches, and the scratch memory that they share.

    scratch_bytes: size of the scratch memory; each hand starts at its beginning again. prepared: arrays that were made of
    fixed weights during the capture, by what they are made of.
    """

    def __init__(self, scratch_bytes: int = 0) -> None:
        self.launches: list[Launch | list[list[Launch]]] = []
        self.prepared: dict[Hashable, Array] = {}
        self.scratch_bytes_needed = 0
        self.in_micro_batch = False
        self._scratch_bytes, self._used = scratch_bytes, 0
        self._pools: dict[int, Array] = {}  # by micro-batch; -1: the launches outside of all
        self._table: LaunchTable | None = None

    def add(self, launch: Launch) -> None:
        """Append a launch."""
        (self.micro_batches[-1] if self.in_micro_batch else self.launches).append(launch)

    @property
    def micro_batches(self) -> list[list[Launch]]:
        """The micro-batches of the group captured last."""
        last = self.launches[-1] if self.launches else None
        return last if isinstance(last, list) else []

    @property
    def all_launches(self) -> list[Launch]:
        """All launches, those of micro-batches too."""
        groups = (item if isinstance(item, list) else [[item]] for item in self.launches)
        return [launch for group in groups for micro_batch in group for launch in micro_batch]

    def table(self) -> LaunchTable:
        """Return the launches as the compiled loop takes them."""
        if self._table is None:
            self._table = LaunchTable(self.launches)
        return self._table

    def advance(self, arrays: Sequence[Array]) -> None:
        """Make step i of a run read row i of these arrays; the launches were captured on row 0."""
        rows = [(array.ctypes.data, array.strides[0]) for array in arrays if len(array) > 1]
        advances = []
        for launch in self.all_launches:
            for index in address_words(launch.arguments):
                offsets = ((int(launch.words[index]) - start, stride) for start, stride in rows)
                word = launch.words.ctypes.data + WORD_BYTES * index
                advances += [(word, stride) for offset, stride in offsets if 0 <= offset < stride]
        self.table().advances = np.array(advances, np.int64).reshape(-1, 2)

    def run(self, steps: int = 1) -> None:
        """Run all launches in order, each distributed over the threads; `steps` times."""
        self.table().run(steps)

    def allocate_scratch(self, size: int) -> Array:
        """Return scratch memory, which is free again when the hand returns."""
        start, self._used = self._used, self._used + size
        self.scratch_bytes_needed = max(self.scratch_bytes_needed, self._used)
        if self._used > self._scratch_bytes:
            return _aligned(size)
        pool = len(self.micro_batches) - 1 if self.in_micro_batch else -1
        if pool not in self._pools:
            self._pools[pool] = _aligned(self._scratch_bytes)
        return self._pools[pool][start : self._used]


def capture(function: Callable[..., T], *arguments: Any, **settings: Any) -> tuple[LaunchGraph, T]:
    """Return (the launches of a call, what it returned); the first of two passes measures its scratch memory."""
    scratch_bytes, prepared = 0, dict[Hashable, Array]()
    while True:
        graph = LaunchGraph(scratch_bytes)
        graph.prepared = prepared
        before, _local.graph = _local.graph, graph
        try:
            result = function(*arguments, **settings)
        finally:
            _local.graph = before
        if graph.scratch_bytes_needed <= scratch_bytes:
            graph.table()  # now: it remembers how many threads the scratch memory serves
            return graph, result
        scratch_bytes = graph.scratch_bytes_needed


class Replay:
    """A call of a compiled hand on fixed arrays: captured the first time, replayed without Python from then on."""

    def __init__(self, function: Callable[..., None], *arrays: Any, **attributes: Any) -> None:
        self.function, self.arrays, self.attributes = function, arrays, attributes
        self.graph: LaunchGraph | None = None

    def __call__(self) -> None:
        """Run it."""
        if mode() != "native":
            self.function(*self.arrays, **self.attributes)
            return
        if self.graph is None:
            self.graph, _ = capture(self.function, *self.arrays, **self.attributes)
        self.graph.run()


def add(launch: Launch) -> None:
    """Append a launch to the graph that is being captured, or run it at once where there is none."""
    if _local.graph is not None:
        _local.graph.add(launch)
    else:
        LaunchTable([launch]).run()


@contextmanager
def fixed_weights(*arrays: Array) -> Iterator[None]:
    """Mark what this thread captures as inference by weights that do not change: what is made of them is made once, now.

    arrays: the weights. What a launch writes is none: it is not there before the graph runs.
    """
    before, _local.fixed = _local.fixed, FixedMemory(arrays)
    try:
        yield
    finally:
        _local.fixed = before


def weights_are_fixed() -> bool:
    """Tell whether the weights do not change in what this thread captures."""
    return _local.fixed is not None


class FixedMemory:
    """The memory of arrays that do not change: what is made of them is of that kind too."""

    def __init__(self, arrays: Iterable[Array]) -> None:
        self.ranges = [_address_range(array) for array in arrays]

    def add(self, array: Array) -> None:
        """Add an array."""
        self.ranges.append(_address_range(array))

    def holds(self, array: Array) -> bool:
        """Tell whether an array lies in it."""
        start, end = _address_range(array)
        return any(first <= start and end <= last for first, last in self.ranges)


class PreparedArray(NamedTuple):
    """An array, and what it was made of: kept, so that no other array gets its address."""

    array: Array
    sources: tuple[Array, ...]


def prepared(name: Hashable, sources: tuple[Array, ...], size: int, fill: Callable[[Array], None]) -> Array:
    """Return an array that `fill` writes from weights: at each call, once in a block of `prepare_once`, or in a capture once.

    name: how it is made of the sources; it has the type of the first. In a capture it is made once, now, where all sources are
    weights that do not change (`fixed_weights`), or were made of such.
    """
    graph, dtype = _local.graph, sources[0].dtype
    key = name, *((source.ctypes.data, source.shape) for source in sources)
    if graph is not None and _local.fixed is not None and all(map(_local.fixed.holds, sources)):
        if key not in graph.prepared:
            with eager():
                graph.prepared[key] = _filled(size, dtype, fill)
        _local.fixed.add(graph.prepared[key])
        return graph.prepared[key]
    if _local.prepared is None:
        return _filled(size, dtype, fill)
    if key not in _local.prepared:
        _local.prepared[key] = PreparedArray(_filled(size, dtype, fill), sources)
    return _local.prepared[key].array


@contextmanager
def prepare_once() -> Iterator[None]:
    """Mark calls of kernels within one hand whose weights stay as they are: what is made of these is made once."""
    before, _local.prepared = _local.prepared, {}
    try:
        yield
    finally:
        _local.prepared = before


def _filled(size: int, dtype: npt.DTypeLike, fill: Callable[[Array], None]) -> Array:
    array = scratch((size,), dtype)
    fill(array)
    return array


def _address_range(array: Array) -> tuple[int, int]:
    """Return the addresses of a contiguous array's first byte, and of the one after its last."""
    return array.ctypes.data, array.ctypes.data + array.nbytes


@contextmanager
def micro_batch() -> Iterator[None]:
    """Mark launches as those of one micro-batch."""
    graph = _local.graph
    if graph is None:
        yield
        return
    if not graph.micro_batches:
        graph.launches.append([])
    graph.micro_batches.append([])
    graph.in_micro_batch, before, graph._used = True, graph._used, 0
    try:
        yield
    finally:
        graph.in_micro_batch, graph._used = False, before


def scratch_workers() -> int:
    """Return how many threads a kernel's scratch memory must serve: within a micro-batch, one."""
    if _local.graph is not None and _local.graph.in_micro_batch:
        return 1
    return thread_pool.workers()


@contextmanager
def hand() -> Iterator[None]:
    """Mark the extent of a hand: its scratch memory is free when it returns."""
    graph, outer = _local.graph, _local.prepared
    before = 0 if graph is None else graph._used
    _local.prepared = None  # what was prepared here would be freed with this hand
    try:
        yield
    finally:
        _local.prepared = outer
    if graph is not None:
        graph._used = before


@contextmanager
def eager() -> Iterator[None]:
    """Run launches at once, even during a capture: for a hand that works on copies."""
    before, _local.graph = _local.graph, None
    try:
        yield
    finally:
        _local.graph = before


def scratch(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Return unwritten memory, aligned to cache lines."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    rounded = cdiv(size, CACHE_LINE_BYTES) * CACHE_LINE_BYTES
    memory = _aligned(rounded) if _local.graph is None else _local.graph.allocate_scratch(rounded)
    result: Array = memory[:size].view(dtype).reshape(shape)
    return result


def capturing() -> bool:
    """Tell whether this thread's launches are being captured."""
    return _local.graph is not None


def aligned(size: int, zeros: bool = False) -> Array:
    """Return bytes that start at a cache line, unwritten or zeros; the system maps zeros when they are first touched."""
    return _aligned(size, np.zeros) if zeros else poison(_aligned(size))


def _aligned(size: int, allocate: Callable[..., Array] = np.empty) -> Array:
    memory = allocate(size + CACHE_LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE_BYTES
    return memory[start : start + size]
