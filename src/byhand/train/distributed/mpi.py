"""Ranks: the processes that `mpiexec` started together, and what they say to each other, by MPI.

A program that was started alone is one rank and never imports mpi4py. Ranks end together: an error that all of them meet is
told once, by rank 0; one that a single rank meets is told by that rank, and ends the others too, which would wait for it.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any

from byhand.errors import ArgumentError
from byhand.kernels.runtime.cpu import cores
from byhand.ops.op import Array

LAUNCHED = ("PMI_RANK", "PMI_SIZE", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")  # what mpiexec sets
PATIENCE = 2.0  # seconds that a rank which failed waits for the others to fail too


@dataclass(frozen=True)
class Ranks:
    """The ranks of a job: this one's number, from 0, and how many there are; by default, one that is alone.

    Without a communicator a rank hears nobody: it does its share, and what the others would add is 0.

    >>> Ranks().share(10)
    slice(0, 10, None)
    >>> Ranks(rank=1, size=3).share(10)
    slice(3, 6, None)
    """

    rank: int = 0
    size: int = 1
    comm: Any = None  # mpi4py's communicator
    alarm: Any = None  # another, for ranks that fail
    apart: bool = False  # whether they are on several machines

    def __repr__(self) -> str:
        return f"<rank {self.rank} of {self.size}>"

    def share(self, count: int) -> slice:
        """Return which of `count` things this rank takes: neighbours, as many as the others or one more; maybe none."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def some(self, count: int) -> slice:
        """Return this rank's share, or where it has none the first thing: for a rank that must keep step, at no weight."""
        own = self.share(count)
        return own if own.stop > own.start else slice(0, 1)

    def all_reduce(self, array: Array) -> Array:
        """Replace an array by the sum of all ranks' arrays, in place: the same bits on all of them."""
        if self.comm is not None:
            from mpi4py import MPI  # noqa: PLC0415  (only where there are ranks)

            self.comm.Allreduce(MPI.IN_PLACE, array)
        return array

    def start_all_reduce(self, array: Array) -> Any:
        """Begin what `all_reduce` does; the array must stay as it is until the request that is returned has been waited for."""
        from mpi4py import MPI  # noqa: PLC0415  (only where there are ranks)

        return self.comm.Iallreduce(MPI.IN_PLACE, array)

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's value."""
        return value if self.comm is None else self.comm.bcast(value)

    def largest(self, value: float) -> float:
        """Return the largest of all ranks' values."""
        return value if self.comm is None else max(self.comm.allgather(value))

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        if self.comm is not None:
            self.comm.Barrier()

    def together(self) -> bool:
        """Return whether all ranks come here within two seconds; it is called by ranks that fail, and by no others."""
        if self.comm is None:
            return True
        request, end = self.alarm.Ibarrier(), time.monotonic() + PATIENCE
        while not request.Test():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def fail(self, line: str, code: int) -> int:
        """Print an error's line on standard error, once for all ranks, and return the exit code.

        Where the others have not failed, they are ended with this one.
        """
        if self.together():
            if self.rank == 0:
                print(line, file=sys.stderr, flush=True)
            return code
        print(f"{line} (rank {self.rank} of {self.size})", file=sys.stderr, flush=True)
        self.abort(code)
        return code

    def abort(self, code: int) -> None:
        """End all ranks, wherever they are."""
        from mpi4py import MPI  # noqa: PLC0415  (only where there are ranks)

        MPI.COMM_WORLD.Abort(code)


@cache
def world() -> Ranks:
    """Return the ranks that this process was started with: by mpiexec, or alone.

    Ranks of one machine share its cores between them, where BYHAND_THREADS does not say otherwise; call it before the first
    kernel runs. Raises ArgumentError where mpiexec started it, and mpi4py or its MPI is missing.
    """
    if not any(name in os.environ for name in LAUNCHED):
        return Ranks()
    try:
        import mpi4py  # noqa: PLC0415  (not where there is no MPI)

        if "mpi4py.MPI" not in sys.modules:
            mpi4py.rc.thread_level = "serialized"
        from mpi4py import MPI  # noqa: PLC0415
    except (ImportError, RuntimeError) as error:
        raise ArgumentError(
            f"mpiexec started this, but {' '.join(str(error).split()) or 'mpi4py fails'}; pip install 'byhand[mpi]'"
        ) from None
    if MPI.COMM_WORLD.size == 1:
        return Ranks()
    comm = MPI.COMM_WORLD.Dup()
    here = comm.Split_type(MPI.COMM_TYPE_SHARED)
    _share_cores(here)
    ranks = Ranks(comm.rank, comm.size, comm, comm.Dup(), apart=here.size < comm.size)
    _end_together(ranks)
    return ranks


def _share_cores(here: Any) -> None:
    """Give each rank of this machine as many threads as it has cores to itself."""
    bound = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    sharing = here.allgather(bound).count(bound)  # mpiexec may have bound each to cores of its own
    if not os.environ.get("BYHAND_THREADS"):
        os.environ["BYHAND_THREADS"] = str(max(1, cores() // sharing))


def _end_together(ranks: Ranks) -> None:
    """Let an exception that nobody catches end all ranks, its traceback printed once."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        together = ranks.together()
        if not together or ranks.rank == 0:
            before(kind, error, trace)
        if not together:
            last = traceback.format_exception_only(kind, error)[-1].strip()
            print(f"rank {ranks.rank} of {ranks.size} ends the job: {last}", file=sys.stderr, flush=True)
            ranks.abort(130 if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = hook
