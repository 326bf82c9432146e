"""The tuning table: this machine's speed of each algorithm against its estimated cost, measured once by `byhand tune`.

    cost of a problem = estimated FLOPs * factor of (algorithm, pass)

The estimates are fitted to one kind of processor. On another one an algorithm may be slower, or faster, than they say, mostly
by the same factor for all shapes (tuning_measurement.py). Without a table all factors are 1. The choice stays a function of
sizes and table, so that it is the same in every run with the same table; a training records its table, and its checkpoints do.

A table belongs to the estimates that it corrects. Where a new version of byhand estimates otherwise, the table is left unused,
with a warning, and so is a damaged one. BYHAND_TUNING=off leaves the table unused.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from byhand.errors import ArgumentError, FileError
from byhand.files import cache_folder, outlives_process, write_whole
from byhand.hints import warn
from byhand.kernels.conv.problem import PASSES, Algorithm, Problem
from byhand.kernels.runtime.cpu import processor, vector_unit

Factors = Mapping[str, Mapping[str, float]]  # by algorithm and pass

# Factors that a table may hold: others are no measurement.
MIN_FACTOR, MAX_FACTOR = 0.1, 10.0


class TuningTable:
    """A table; those of the same factors are equal."""

    def __init__(self, factors: Factors) -> None:
        self.factors = factors
        self._key = json.dumps(factors, sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TuningTable) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def factor(self, algorithm: Algorithm, problem: Problem) -> float:
        """Return the factor of an algorithm's cost in a pass."""
        return self.factors.get(algorithm.name, {}).get(problem.pass_name, 1.0)


class _OfThread(threading.local):
    table: TuningTable | None = None  # in a block of `using`


_local = _OfThread()
_lock = threading.Lock()
_used: TuningTable | None = None  # what `use` gave
_own: TuningTable | None = None  # this machine's, once it was read


def in_use() -> TuningTable:
    """Return the table in use: of the block of `using`, else the one that `use` gave, else this machine's; or an empty one."""
    global _own  # noqa: PLW0603
    chosen = _local.table or _used
    if chosen is not None:
        return chosen
    own = _own
    if own is None:
        with _lock:
            own = _own = _own or TuningTable(_of_this_machine())
    return own


@contextmanager
def using(table: TuningTable) -> Iterator[None]:
    """Choose by a table, in this thread, within the block: by that of a trainer, or of a program's text."""
    before, _local.table = _local.table, table
    try:
        yield
    finally:
        _local.table = before


def use(factors: Factors | None) -> None:
    """Use a table from now on, such as that of a run which is resumed; None: that of this machine, read anew."""
    global _own, _used  # noqa: PLW0603
    table = None if factors is None else TuningTable(checked(factors))
    with _lock:
        _own = None
        _used = table


def checked(factors: object) -> Factors:
    """Return a table as it is, or raise ArgumentError where it is none."""
    if isinstance(factors, dict) and all(isinstance(passes, dict) for passes in factors.values()):
        numbers = [number for passes in factors.values() for number in passes.values()]
        names = {name for passes in factors.values() for name in passes}
        if names <= set(PASSES) and all(
            isinstance(number, (int, float)) and MIN_FACTOR <= number <= MAX_FACTOR for number in numbers
        ):
            return factors
    raise ArgumentError(
        f"a tuning table maps algorithms and passes to factors from {MIN_FACTOR} to {MAX_FACTOR}; "
        "`byhand tune` measures one"
    )


# The file of this machine ---------------------------------------------------------------------------------------------


def table_path() -> Path:
    """Return the file of this machine's table: its name holds the processor and the vector unit."""
    machine = hashlib.sha256(f"{processor()} {vector_unit()}".encode()).hexdigest()[:16]
    return cache_folder("tuning") / f"{machine}.json"


def _of_this_machine() -> Factors:
    """Return this machine's factors; none where there is no table, or it is left unused: with a warning, if it is wrong."""
    setting = os.environ.get("BYHAND_TUNING")
    if setting not in (None, "", "off"):
        raise ArgumentError(f"BYHAND_TUNING is {setting!r}; expected off, or nothing")
    if setting == "off":
        return {}
    try:
        path = table_path()
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "no regular file")
        text = path.read_bytes()
    except (FileNotFoundError, FileError):  # FileError: no folder can be written
        return {}
    except OSError as error:
        problem = f"it can't be read ({error.strerror})"
    else:
        factors, problem = _parsed(text)
        if not problem:
            return factors
    warn(
        f"the tuning table {path} is not used: {problem}; measure anew: byhand tune; or delete it: byhand tune --forget"
    )
    return {}


def _parsed(text: bytes) -> tuple[Factors, str]:
    """Return the factors in a file, or what is wrong with it."""
    from byhand.kernels.conv.tuning_measurement import estimates  # noqa: PLC0415  (it imports this module)

    try:
        content = json.loads(text)
        factors, theirs = checked(content["factors"]), content["estimates"]
    except (ArithmeticError, ArgumentError, LookupError, RecursionError, TypeError, ValueError):
        return {}, "it is damaged"
    return (factors, "") if theirs == estimates() else ({}, "it corrects the estimates of another version of byhand")


def check_folder() -> None:
    """Raise FileError where a table could not be kept: before it is measured."""
    if not outlives_process(table_path().parent):
        raise FileError(
            "the cache folder can't be written, so that no table can be kept; set BYHAND_CACHE to another one"
        )


def keep(factors: Factors) -> None:
    """Write this machine's table, whole or not at all; it is used unless another one is (`use`)."""
    from byhand.kernels.conv.tuning_measurement import estimates  # noqa: PLC0415  (it imports this module)

    global _own  # noqa: PLW0603
    content = {"processor": processor().split()[0], "estimates": estimates(), "factors": factors}
    with _lock:
        write_whole(table_path(), f"{json.dumps(content, indent=1)}\n".encode())
        _own = None


def forget() -> bool:
    """Delete this machine's table; return whether there was one."""
    global _own  # noqa: PLW0603
    with _lock:
        path = table_path()
        there = path.exists()
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"can't delete the tuning table {path}: {error.strerror}") from None
        _own = None
    return there
