"""Fixtures of the tests of kernels."""

import ctypes

import pytest

from byhand.kernels.runtime import thread_pool
from byhand.kernels.runtime.worker_pool import MAX_LACK, MAX_LACK_PERCENT


@pytest.fixture
def restless():
    """Let no worker of this process rest: on a busy machine they do, and then the caller runs all blocks."""
    pool = getattr(thread_pool.start().loop, "__self__", None)
    if pool is None:  # a thread layer of Numba, whose threads never rest
        yield
        return
    word = ctypes.c_int64.from_address(pool._pool + MAX_LACK)
    word.value = 100
    yield
    word.value = MAX_LACK_PERCENT
