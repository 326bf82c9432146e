"""Threads: which layer starts them, how many there are, and tables of launches handed to them.

On Linux the layer is `own`, a thread pool of ours (worker_threads.py): a launch costs 0.3 microseconds, and waits for no thread
that has no core. On other systems it is one of Numba's: `omp` starts a parallel loop in 1 to 3 microseconds; where the system
has no libgomp, `tbb` from PyPI takes 7, and `workqueue`, which is always there, 50 to 75. NUMBA_THREADING_LAYER asks for one.
`workqueue` aborts when two Python threads enter it at once, so that a lock stands before it.

After a fork the threads of any layer are gone. A forked child starts new ones where they are ours; else it has one thread.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import site
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from byhand.errors import ArgumentError
from byhand.hints import warn
from byhand.kernels.runtime.arguments import LAUNCH_ROW_BYTES
from byhand.kernels.runtime.cpu import MAX_THREADS, cores
from byhand.kernels.runtime.mode import mode
from byhand.kernels.runtime.types import Argument, Array

# GOMP_SPINCOUNT: iterations that a libgomp thread spins before it sleeps, about 50 us. The default makes a step ten times
# slower on a busy machine.
SPIN_COUNT = "20000"
# Systems for which atomics.py knows the numbers of system calls.
HAS_OWN_LAYER = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")
LAYERS = {
    "omp": "libgomp is there",
    "tbb": "libtbb is there, libgomp is not",
    "workqueue": "neither libgomp nor libtbb is there; `pip install tbb`: launches distribute their work 7 times as fast",
}


class Launch(NamedTuple):
    """A kernel to run: its name and address, its packed arguments, its blocks, and the arrays that must stay alive."""

    name: str
    entry: int
    words: Array
    blocks: int
    arguments: tuple[Argument, ...]


class Threads(NamedTuple):
    """The threads of this process: the layer, why, how many, the compiled loop, the lock to enter it, what ends them.

    asked: how many were asked for, where the system may have started fewer.
    """

    layer: str
    reason: str
    workers: int
    loop: Callable[..., None]
    lock: threading.Lock | None
    stop: Callable[[], None] | None = None
    asked: int = 0


class _WorkerLimit(threading.local):
    workers: int | None = None  # set by `limit`


_local = _WorkerLimit()
_starting = threading.RLock()
_threads: Threads | None = None
_forked = False  # the threads are those of the process that this one was forked from


def start() -> Threads:
    """Start the threads, once; where kernels run as plain Python there are none."""
    global _threads  # noqa: PLW0603
    if _threads is None:
        if mode() == "python":
            return Threads("none", "kernels run as plain Python", 1, _no_loop, None)
        with _starting:
            if _threads is None:
                _threads = _start()
                if _threads.workers < _threads.asked:
                    warn(
                        f"{_threads.workers} of {_threads.asked} threads could be started, and byhand computes with these; "
                        "the system limits threads (ulimit -u) or memory"
                    )
    return _threads


def _no_loop(*words: int) -> None:
    raise RuntimeError("kernels run as plain Python: there is no compiled loop")


def _start() -> Threads:
    wanted = os.environ.get("BYHAND_THREADS")
    if wanted:
        if not (wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= MAX_THREADS):
            raise ArgumentError(f"BYHAND_THREADS is {wanted!r}; expected a number of threads, 1 to {MAX_THREADS}")
        if "numba" not in sys.modules:
            os.environ.setdefault("NUMBA_NUM_THREADS", wanted)
    if HAS_OWN_LAYER and _numba_setting("NUMBA_THREADING_LAYER", "default").lower() == "default":
        numbas = _numba_setting("NUMBA_NUM_THREADS", "")
        return _start_own(int(wanted) if wanted else min(int(numbas) if numbas.isdigit() else cores(), cores()))
    import numba  # noqa: PLC0415  (slow to import)

    ours = not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ)
    if ours:
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
    try:
        layer, reason = _start_layer(numba)
        count = int(wanted) if wanted else min(numba.get_num_threads(), cores())
    finally:
        if ours:  # libgomp has read it; the programs that this one starts shall not
            del os.environ["GOMP_SPINCOUNT"]
    from byhand.kernels.runtime.parallel_loop import loop  # noqa: PLC0415

    return Threads(layer, reason, count, loop(), threading.Lock() if layer == "workqueue" else None)


def _numba_setting(name: str, default: str) -> str:
    """Return a setting of Numba by its environment variable, without importing Numba; where it is imported, its own."""
    config = getattr(sys.modules.get("numba"), "config", None)
    found = [getattr(config, attribute, None) for attribute in (name, name.removeprefix("NUMBA_"))]
    return next((str(value) for value in found if value is not None), os.environ.get(name) or default)


def _start_own(count: int) -> Threads:
    """Start a thread pool of ours."""
    from byhand.kernels.runtime.worker_threads import WorkerThreads  # noqa: PLC0415  (Linux)

    pool = WorkerThreads(count)
    return Threads("own", "byhand's, asleep until there is work", pool.workers, pool.run, None, pool.stop, count)


@atexit.register
def _stop() -> None:
    """End the threads of ours before Python frees the machine code that they run."""
    if _threads is not None and _threads.stop is not None:
        _threads.stop()


def _start_layer(numba: ModuleType) -> tuple[str, str]:
    """Let Numba start its threads; return (the layer, the reason for it)."""
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
    if _threads is not None and _threads.layer == "own":
        _threads, _starting = None, threading.RLock()
        return
    numbas = sys.modules.get("numba.np.ufunc.parallel")
    _forked = _forked or _threads is not None or bool(getattr(numbas, "_is_initialized", False))
    _starting = threading.RLock()
    if _threads is not None and _threads.lock is not None:
        _threads = _threads._replace(lock=threading.Lock())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def workers() -> int:
    """Return over how many threads work is distributed: BYHAND_THREADS, else one a core that this process may use."""
    if _forked:
        return 1
    return _local.workers or (_threads or start()).workers


@contextmanager
def limit(count: int | None) -> Iterator[None]:
    """Use this many threads for what this thread launches within the block; the results have the same bits. None: no limit."""
    before, _local.workers = _local.workers, count
    try:
        yield
    finally:
        _local.workers = before


class LaunchTable:
    """Launches as the compiled loop takes them: rows of (entry, address of the arguments, blocks).

    In place of a launch may stand a group of micro-batches, lists of launches that the threads distribute.
    """

    def __init__(self, launches: Sequence[Launch | Sequence[Sequence[Launch]]]) -> None:
        self.keep_alive: list[object] = [launches]
        self.max_workers = workers()  # their scratch memory serves no more
        self._rows, self._count = self._table(launches), len(launches)
        self._advances: Array | None = None
        self._table_arguments = (ctypes.addressof(self._rows), self._count, 0, 0)

    @property
    def advances(self) -> Array | None:
        """The words of arguments that advance after each step: rows of (address, stride)."""
        return self._advances

    @advances.setter
    def advances(self, advances: Array) -> None:
        self._advances = advances
        self._table_arguments = (ctypes.addressof(self._rows), self._count, advances.ctypes.data, len(advances))

    def _table(self, launches: Sequence[Launch | Sequence[Sequence[Launch]]]) -> ctypes.Array[ctypes.c_int64]:
        rows = (self._row(item) if isinstance(item, Launch) else self._group(item) for item in launches)
        words = [word for row in rows for word in row]
        return (ctypes.c_int64 * len(words))(*words)  # NumPy takes microseconds for as much

    def _row(self, launch: Launch) -> tuple[int, int, int]:
        return launch.entry, launch.words.ctypes.data, launch.blocks

    def _group(self, micro_batches: Sequence[Sequence[Launch]]) -> tuple[int, int, int]:
        rows = self._table([launch for micro_batch in micro_batches for launch in micro_batch])
        starts = accumulate(map(len, micro_batches), initial=0)
        ends = (ctypes.c_int64 * (len(micro_batches) + 1))(
            *(ctypes.addressof(rows) + LAUNCH_ROW_BYTES * start for start in starts)
        )
        self.keep_alive += [rows, ends]
        return 0, ctypes.addressof(ends), len(micro_batches)

    def run(self, steps: int = 1) -> None:
        """Run all launches in order, each distributed over the threads."""
        threads = _threads or start()
        count = 1 if _forked else min(_local.workers or threads.workers, self.max_workers)
        if threads.lock is None or count == 1:
            threads.loop(*self._table_arguments, steps, count)
        else:
            with threads.lock:
                threads.loop(*self._table_arguments, steps, count)
