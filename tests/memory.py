"""A context manager that bounds the peak memory of a block."""

import tracemalloc
from contextlib import contextmanager


@contextmanager
def peak_below(limit):
    """Fail where what runs inside has asked for `limit` bytes or more at once, also where it ends in an error."""
    tracemalloc.start()
    try:
        yield
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < limit, f"{peak:,} bytes, more than {limit:,.0f}"
