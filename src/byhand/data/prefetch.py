"""Prefetching: threads prepare the next few items while the present one is used."""

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Prefetcher(Generic[R]):
    """Iterates over make(item) for each item, in order, computed by threads in advance.

    Pillow decodes, and byhand's kernels run, without Python's lock, so that threads are enough. An exception of `make` is
    raised when its item's turn comes. depth: how many results are computed in advance at most, which bounds memory;
    wait_seconds: how long the consumer has waited for results.

    >>> list(Prefetcher(lambda x: x * x, range(4)))
    [0, 1, 4, 9]
    """

    def __init__(
        self, make: Callable[[T], R], items: Iterable[T], *, threads: int | None = None, depth: int | None = None
    ) -> None:
        self.threads = threads or os.cpu_count() or 1
        self.depth = depth or 2 * self.threads
        self.wait_seconds = 0.0
        self._results = self._run(make, items)

    def __iter__(self) -> Iterator[R]:
        return self._results

    def __next__(self) -> R:
        return next(self._results)

    def close(self) -> None:
        """Stop; what has not been started is not computed."""
        self._results.close()

    def _run(self, make: Callable[[T], R], items: Iterable[T]) -> Generator[R]:
        pending, remaining = deque[Future[R]](), iter(items)
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="byhand-prefetch")
        try:
            for item in remaining:
                pending.append(pool.submit(make, item))
                if len(pending) >= self.depth:
                    break
            while pending:
                start = time.perf_counter()
                result = pending.popleft().result()
                self.wait_seconds += time.perf_counter() - start
                for item in remaining:
                    pending.append(pool.submit(make, item))
                    break
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
