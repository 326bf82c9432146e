"""Threads: which layer starts them, how many there are, and a table of launches handed to them.

Numba's `omp` layer starts a parallel loop in 1 to 3 microseconds; where the system has no libgomp, `tbb` from PyPI takes 7,
and `workqueue`, which is always there, 50 to 75. `workqueue` aborts when two Python threads enter it at once, so that a lock
stands before it. After a fork the threads of any layer are gone: a forked child runs everything on its own one thread.
"""

from __future__ import annotations

import ctypes
import os
import site
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from byhand.errors import ArgumentError
from byhand.kernels.runtime.cpu import cores
from byhand.kernels.runtime.kernel import kernel, mode, pack
from byhand.kernels.runtime.launch_graph import Call

SPIN = "20000"  # turns that a thread waits awake, some 50 microseconds; by default it waits so long that, where another
# program has the core, a step takes ten times as long
LAYERS = {
    "omp": "libgomp is there",
    "tbb": "libtbb is there, libgomp is not",
    "workqueue": "neither libgomp nor libtbb is there; `pip install tbb` makes sharing out 7 times as cheap",
}
MOST = 1024  # threads
WORD, ROW = ctypes.c_int64, 24  # bytes of a row of a table: three words


class Threads(NamedTuple):
    """The threads of this process: the layer, why this one, how many, the compiled loop, and what must be held to enter it."""

    layer: str
    why: str
    workers: int
    loop: Any
    lock: Any


class _Local(threading.local):
    workers: int | None = None  # set by `limit`


_local = _Local()
_starting = threading.RLock()
_threads: Threads | None = None
_forked = False  # the threads are those of the process that this one was forked from


def start() -> Threads:
    """Start the threads, once; where kernels run as plain Python there are none."""
    global _threads  # noqa: PLW0603
    if _threads is None:
        if mode() == "python":
            return Threads("none", "kernels run as plain Python", 1, None, None)
        with _starting:
            if _threads is None:
                _threads = _start()
    return _threads


def _start() -> Threads:
    wanted = os.environ.get("BYHAND_THREADS")
    if wanted:
        if not (wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= MOST):
            raise ArgumentError(f"BYHAND_THREADS is {wanted!r}; expected a number of threads, 1 to {MOST}")
        if "numba" not in sys.modules:
            os.environ.setdefault("NUMBA_NUM_THREADS", wanted)
    ours = not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ)
    if ours:
        os.environ["GOMP_SPINCOUNT"] = SPIN
    try:
        import numba  # noqa: PLC0415  (what takes longest of a first use)

        layer, why = _start_layer(numba)
        count = int(wanted) if wanted else min(numba.get_num_threads(), cores())
    finally:
        if ours:  # libgomp has read it; the programs that this one starts shall not
            del os.environ["GOMP_SPINCOUNT"]
    from byhand.kernels.runtime.parallel_loop import loop  # noqa: PLC0415

    return Threads(layer, why, count, loop(), threading.Lock() if layer == "workqueue" else None)


def _start_layer(numba: Any) -> tuple[str, str]:
    """Let Numba start its threads; return (the layer, why it is this one)."""
    with suppress(ValueError):
        return numba.threading_layer(), "Numba had started it already"
    asked = str(numba.config.THREADING_LAYER).lower()
    for name in LAYERS if asked == "default" else (asked,):
        if name not in ("omp", "workqueue"):
            _load_tbb()
        numba.config.THREADING_LAYER = name
        with suppress(ValueError, ImportError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a tbb that is too old: the next layer takes its place
            numba.get_num_threads()  # starts them
            return numba.threading_layer(), LAYERS[name] if asked == "default" else f"Numba was told to use {asked}"
    expected = f"one that can be loaded here, of {', '.join(LAYERS)}, or none"
    raise ArgumentError(f"NUMBA_THREADING_LAYER is {asked!r}; expected {expected}")


def _load_tbb() -> None:
    """Make the libtbb of PyPI's `tbb` known to the system before Numba asks for it."""
    for prefix in dict.fromkeys((sys.prefix, sys.base_prefix, site.getuserbase())):
        for folder in ("lib", "Library/bin"):
            for path in Path(prefix, folder).glob("*tbb*12*"):
                with suppress(OSError):
                    ctypes.CDLL(str(path), mode=getattr(ctypes, "RTLD_GLOBAL", 0))


def _after_fork() -> None:
    """In a forked child: forget the threads, and locks that threads of the parent may have held."""
    global _forked, _starting, _threads  # noqa: PLW0603
    numbas = sys.modules.get("numba.np.ufunc.parallel")
    _forked = _forked or _threads is not None or bool(getattr(numbas, "_is_initialized", False))
    _starting = threading.RLock()
    if _threads is not None and _threads.lock is not None:
        _threads = _threads._replace(lock=threading.Lock())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def workers() -> int:
    """Return how many threads share work out: BYHAND_THREADS, else one a core that this process may use."""
    if _forked:
        return 1
    return _local.workers or (_threads or start()).workers


@contextmanager
def limit(count: int) -> Iterator[None]:
    """Use this many threads for what this thread launches within the block; the results are the same, bit for bit."""
    before, _local.workers = _local.workers, count
    try:
        yield
    finally:
        _local.workers = before


class Table:
    """Launches as the compiled loop takes them."""

    def __init__(self, calls: Sequence[Call | Sequence[Sequence[Call]]]) -> None:
        self.keep: list[Any] = [calls]
        self.most = workers()  # their scratch memory serves no more
        self._rows, self._count = self._table(calls), len(calls)
        self._moves: Any = None
        self._place = (ctypes.addressof(self._rows), self._count, 0, 0)

    @property
    def moves(self) -> Any:
        """Words of arguments to move on after each step: address, by how much."""
        return self._moves

    @moves.setter
    def moves(self, moves: Any) -> None:
        self._moves = moves
        self._place = (ctypes.addressof(self._rows), self._count, moves.ctypes.data, len(moves))

    def _table(self, calls: Sequence[Any]) -> Any:
        words = [word for one in calls for word in (self._row(one) if isinstance(one, Call) else self._lanes(one))]
        return (WORD * len(words))(*words)  # NumPy takes microseconds for as much

    def _row(self, call: Call) -> tuple[int, int, int]:
        return call.entry, call.words.ctypes.data, call.blocks

    def _lanes(self, lanes: Sequence[Sequence[Call]]) -> tuple[int, int, int]:
        rows = self._table([call for lane in lanes for call in lane])
        starts = accumulate(map(len, lanes), initial=0)
        ends = (WORD * (len(lanes) + 1))(*(ctypes.addressof(rows) + ROW * start for start in starts))
        self.keep += [rows, ends]
        return 0, ctypes.addressof(ends), len(lanes)

    def run(self, steps: int = 1) -> None:
        """Run all launches in order, each shared out between the threads."""
        threads = _threads or start()
        count = 1 if _forked else min(_local.workers or threads.workers, self.most)
        if threads.lock is None or count == 1:
            threads.loop(*self._place, steps, count)
        else:
            with threads.lock:
                threads.loop(*self._place, steps, count)


@kernel
def nothing(x, block):
    """Do nothing."""


def region_cost() -> float:
    """Return the seconds that sharing one launch out costs, measured: the shortest of many."""
    x, several = np.zeros(1, np.float32), 64
    table = Table([Call("nothing", nothing.build((x,), "native"), pack((x,)), workers(), (x,))] * several)
    times = []
    for _ in range(50):
        started = time.perf_counter()
        table.run()
        times.append(time.perf_counter() - started)
    return min(times) / several
