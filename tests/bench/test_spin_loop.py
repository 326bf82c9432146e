"""The spin loop that tells a busy machine."""

import threading
import time

import pytest

from byhand.bench.spin_loop import SpinLoop


def test_the_spin_loop_measures_a_part_of_the_cores(monkeypatch):
    loop = SpinLoop(2)
    try:
        assert 0 < loop.measure() <= 1
        loop.fastest = 1.0  # of a loop that takes 20 ms on a quiet machine
        monkeypatch.setattr(loop, "_spin", lambda thread: ((2.0, 1.0), (4.0, 3.0))[thread])
        assert loop.measure() == (0.5 + 0.25) / 2, "CPU time by wall time, or the fastest time by this one"
    finally:
        loop.close()


def test_an_interrupted_loop_is_closed():
    loop = SpinLoop(2)
    waiting = loop.pool.submit(loop._spin, 0)  # the other thread's turn never comes
    time.sleep(0.05)
    loop.close()
    with pytest.raises(threading.BrokenBarrierError):
        waiting.result(timeout=5)
