"""MPI: this process among those that mpiexec started, and the collectives that training calls.

A program that was started alone is one rank and never imports mpi4py. Ranks end together. An error that all of them raise is
printed once, by rank 0. An error of a single rank is printed by that rank, which aborts the others: they would wait for it.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, cast

from byhand.errors import ArgumentError
from byhand.kernels.runtime.cpu import cores
from byhand.ops.op import Array

if TYPE_CHECKING:
    from mpi4py.MPI import Comm, Intracomm, Request

T = TypeVar("T")

# What the launchers of MPICH, Open MPI, PMIx and MVAPICH set.
LAUNCHER_VARIABLES = ("PMI_RANK", "PMI_SIZE", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
POLL_SECONDS = 1e-4  # between two looks at a message, where ranks share cores
FAILURE_TIMEOUT_SECONDS = 2.0  # how long a rank that failed waits for the others to fail too


@dataclass(frozen=True)
class Communicator:
    """The ranks of a job: `rank`, the number of this one, from 0, and `size`, how many there are. By default, one alone.

    Without an MPI communicator a rank computes its shard, and what the other ranks would contribute is 0.

    >>> Communicator().shard(10)
    slice(0, 10, None)
    >>> Communicator(rank=1, size=3).shard(10)
    slice(3, 6, None)
    """

    rank: int = 0
    size: int = 1
    comm: Intracomm | None = None
    failures: Intracomm | None = None  # a second communicator, for ranks that fail
    multi_node: bool = False  # whether the ranks run on several machines
    # Whether a machine has fewer cores than ranks. MPI waits in a busy loop, in which a rank keeps the core that the rank it
    # waits for would need: such ranks sleep until a message is there.
    oversubscribed: bool = False

    def __repr__(self) -> str:
        return f"<rank {self.rank} of {self.size}>"

    def shard(self, count: int) -> slice:
        """Return which of `count` items belong to this rank: a contiguous range, maybe empty.

        Sizes differ by one at most. A rank has at least two items or none, as batch norm has no variance over one number: with
        fewer than two items per rank, the last ranks have none.
        """
        ranks = max(1, min(self.size, count // 2))
        return slice(min(self.rank * count // ranks, count), min((self.rank + 1) * count // ranks, count))

    def shard_or_first(self, count: int) -> slice:
        """Return this rank's shard, or the first two items where it is empty: the rank then runs the step with weight 0."""
        shard = self.shard(count)
        return shard if shard.stop > shard.start else slice(0, min(2, count))

    def all_reduce(self, array: Array) -> Array:
        """Replace an array by the sum over all ranks, in place: the same bits on each rank."""
        if self.comm is not None:
            from mpi4py import MPI  # noqa: PLC0415  (only where there are ranks)

            if self.oversubscribed:
                self.wait(self.start_all_reduce(array))
            else:
                self.comm.Allreduce(MPI.IN_PLACE, array)
        return array

    def start_all_reduce(self, array: Array) -> Request:
        """Start what `all_reduce` does (MPI_Iallreduce); the array belongs to MPI until the returned request is complete."""
        from mpi4py import MPI  # noqa: PLC0415  (only where there are ranks)

        assert self.comm is not None
        return self.comm.Iallreduce(MPI.IN_PLACE, array)

    def broadcast(self, value: T) -> T:
        """Return the value of rank 0."""
        self._meet()
        return value if self.comm is None else cast(T, self.comm.bcast(value))

    def maximum(self, value: float) -> float:
        """Return the largest value of all ranks."""
        self._meet()
        return value if self.comm is None else max(self.comm.allgather(value))

    def barrier(self) -> None:
        """Wait for all ranks."""
        self._meet()
        if self.comm is not None:
            self.comm.Barrier()

    def wait(self, request: Request) -> None:
        """Wait for a message; where ranks share cores, without keeping one busy."""
        while self.oversubscribed and not request.Test():
            time.sleep(POLL_SECONDS)
        request.Wait()

    def _meet(self) -> None:
        """Wait asleep for all ranks, where they share cores."""
        if self.comm is not None and self.oversubscribed:
            self.wait(self.comm.Ibarrier())

    def all_failed(self) -> bool:
        """Return whether all ranks fail within two seconds. Only ranks that fail may call it."""
        if self.failures is None:
            return True
        request, end = self.failures.Ibarrier(), time.monotonic() + FAILURE_TIMEOUT_SECONDS
        while not request.Test():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def fail(self, line: str, code: int) -> int:
        """Print an error line on standard error, once for all ranks, and return the exit code.

        Where the other ranks have not failed, abort them.
        """
        if self.all_failed():
            if self.rank == 0:
                print(line, file=sys.stderr, flush=True)
            return code
        print(f"{line} (rank {self.rank} of {self.size})", file=sys.stderr, flush=True)
        self.abort(code)
        return code

    def abort(self, code: int) -> None:
        """End all ranks at once (MPI_Abort)."""
        from mpi4py import MPI  # noqa: PLC0415  (only where there are ranks)

        MPI.COMM_WORLD.Abort(code)


@cache
def world() -> Communicator:
    """Return the ranks that mpiexec started, or one rank for a process that was started alone.

    Ranks of one machine divide its cores between them, unless BYHAND_THREADS is set; call this before the first kernel runs.
    Raises ArgumentError where mpiexec started the process and mpi4py or its MPI is missing.
    """
    if not any(name in os.environ for name in LAUNCHER_VARIABLES):
        return Communicator()
    try:
        import mpi4py  # noqa: PLC0415  (not where there is no MPI)

        if "mpi4py.MPI" not in sys.modules:
            mpi4py.rc.thread_level = "serialized"
        from mpi4py import MPI  # noqa: PLC0415
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or "mpi4py fails"
        raise ArgumentError(f"mpiexec started this, but {reason}; pip install 'byhand[mpi]'") from None
    if MPI.COMM_WORLD.size == 1:
        return Communicator()
    comm = MPI.COMM_WORLD.Dup()
    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    shared = comm.allreduce(_divide_cores(node)) > 0
    communicator = Communicator(
        comm.rank, comm.size, comm, comm.Dup(), multi_node=node.size < comm.size, oversubscribed=shared
    )
    _install_excepthook(communicator)
    return communicator


def _divide_cores(node: Comm) -> bool:
    """Set the number of threads of each rank of this machine to the cores that it has to itself, at least one.

    Return whether there are fewer cores than ranks.
    """
    bound = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    sharing = node.allgather(bound).count(bound)  # mpiexec may have bound each rank to cores of its own
    if not os.environ.get("BYHAND_THREADS"):
        os.environ["BYHAND_THREADS"] = str(max(1, cores() // sharing))
    return sharing > cores()


def _install_excepthook(communicator: Communicator) -> None:
    """Let an uncaught exception end all ranks, its traceback printed once."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        all_failed = communicator.all_failed()
        if not all_failed or communicator.rank == 0:
            before(kind, error, trace)
        if not all_failed:
            last = traceback.format_exception_only(kind, error)[-1].strip()
            print(f"rank {communicator.rank} of {communicator.size} ends the job: {last}", file=sys.stderr, flush=True)
            communicator.abort(130 if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = hook
