"""The time of a call."""

import time
from collections.abc import Callable


def seconds_per_call(call: Callable[[], object], seconds: float) -> float:
    """Return the mean time of a call, which is repeated for `seconds`, at least once; waits for the last one's result."""
    calls, started = 0, time.perf_counter()
    end = started + seconds
    while True:
        result = call()
        calls += 1
        if time.perf_counter() >= end:
            break
    if hasattr(result, "block_until_ready"):  # JAX computes asynchronously
        result.block_until_ready()
    return (time.perf_counter() - started) / calls
