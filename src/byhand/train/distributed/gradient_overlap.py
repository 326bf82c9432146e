"""Bucketed all-reduce, overlapped with backward.

Gradients lie in the flat buffer in the order of the layers, and backward begins with the last layer: the finished part is the
end of the buffer, and grows. Each time it has grown by a bucket, an asynchronous all-reduce of the bucket starts. MPI makes
progress only inside its own calls, so it is polled after each backward op while a bucket is under way.

Source: Li et al. 2020, "PyTorch distributed: experiences on accelerating data parallel training", arXiv 2006.15704.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from byhand.nn import Model
from byhand.ops.op import Array, tree_leaves
from byhand.program.generated_file import Callee
from byhand.train.distributed.breakpoints import at_breakpoint
from byhand.train.distributed.mpi import Communicator

if TYPE_CHECKING:
    from mpi4py.MPI import Request

BUCKET_BYTES = 4 << 20  # smaller buckets cost messages, larger ones leave less to overlap

Function = Callable[..., None]


class GradientOverlap:
    """Sends a model's gradient in buckets while backward runs; the caller sends the rest.

    gradient: the buffer that is reduced; pack: writes a slice of the model's gradient to it, weighted;
    remaining: how many elements, from the first, were not sent; buckets: how many were sent in the latest step.
    """

    def __init__(
        self, model: Model, comm: Communicator, gradient: Array, pack: Callable[[slice], None], bucket_bytes: int
    ) -> None:
        self.comm, self.gradient, self.pack, self.bucket_bytes = comm, gradient, pack, bucket_bytes
        self.source = model.g.flat
        self.remaining, self.buckets = gradient.size, 0
        self._finished_from = self._sent_from = gradient.size
        self._starts: dict[int, int] = {}  # end of a finished parameter's gradient -> its start
        self._requests: list[Request] = []

    def with_reports(self, callees: Mapping[str, Callee]) -> dict[str, Callee]:
        """Return the functions that a program calls; the backward ones report the gradients that they finish."""
        return {
            name: callee._replace(function=self._with_report(callee.function)) if callee.backward else callee
            for name, callee in callees.items()
        }

    def begin(self) -> None:
        """Begin a step."""
        self._finished_from = self._sent_from = self.gradient.size
        self._starts.clear()

    def _with_report(self, function: Function) -> Function:
        def backward(*arrays: Any, **attributes: Any) -> None:
            function(*arrays, **attributes)
            self._report(arrays)

        return backward

    def _report(self, arrays: tuple[Any, ...]) -> None:
        """Note which of the arrays are gradients of parameters; send the finished end of the buffer once it fills a bucket."""
        base, itemsize = self.source.ctypes.data, self.source.itemsize
        for array in tree_leaves(arrays):
            if isinstance(array, np.ndarray) and 0 <= array.ctypes.data - base < self.source.nbytes:
                start = (array.ctypes.data - base) // itemsize
                self._starts[start + array.size] = start
        while self._finished_from in self._starts:
            self._finished_from = self._starts.pop(self._finished_from)
        if (self._sent_from - self._finished_from) * itemsize >= self.bucket_bytes:
            at_breakpoint(partial(self._send, slice(self._finished_from, self._sent_from)))
            self._sent_from = self._finished_from
        elif self._sent_from < self.gradient.size:
            at_breakpoint(self._poll)

    def _send(self, bucket: slice) -> None:
        self.pack(bucket)
        self._requests.append(self.comm.start_all_reduce(self.gradient[bucket]))
        self.remaining = bucket.start

    def _poll(self) -> None:
        for request in self._requests:
            request.Test()

    def wait(self) -> None:
        """Wait for the buckets that are under way."""
        for request in self._requests:
            self.comm.wait(request)
        self.buckets = len(self._requests)
        self._requests.clear()
        self.remaining = self.gradient.size


def can_overlap(model: Model) -> bool:
    """Return whether each gradient is final once an op has written it: not where a parameter is used twice."""
    uses = Counter(
        t.name for node in model.graph.nodes for t in tree_leaves(node.inputs.values()) if t.kind == "parameter"
    )
    return max(uses.values(), default=0) == 1
