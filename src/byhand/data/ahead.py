"""Work done ahead: threads make the next few things while the present one is used."""

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Ahead(Generic[R]):
    """Iterates over make(item) for each item, in order, made by threads ahead of their use; `waited` counts the seconds.

    Pillow decodes, and byhand's kernels run, without Python's lock, so that threads are enough. What `make` raises is
    raised when its turn comes. depth: how many are made ahead at most, so that memory is bounded.

    >>> list(Ahead(lambda x: x * x, range(4)))
    [0, 1, 4, 9]
    """

    def __init__(
        self, make: Callable[[T], R], items: Iterable[T], *, threads: int | None = None, depth: int | None = None
    ) -> None:
        self.threads = threads or os.cpu_count() or 1
        self.depth = depth or 2 * self.threads
        self.waited = 0.0
        self._results = self._run(make, items)

    def __iter__(self) -> Iterator[R]:
        return self._results

    def __next__(self) -> R:
        return next(self._results)

    def close(self) -> None:
        """Make nothing more."""
        self._results.close()

    def _run(self, make: Callable[[T], R], items: Iterable[T]) -> Generator[R]:
        waiting, left = deque[Future[R]](), iter(items)
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="byhand-ahead")
        try:
            for item in left:
                waiting.append(pool.submit(make, item))
                if len(waiting) >= self.depth:
                    break
            while waiting:
                started = time.perf_counter()
                result = waiting.popleft().result()
                self.waited += time.perf_counter() - started
                for item in left:
                    waiting.append(pool.submit(make, item))
                    break
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
