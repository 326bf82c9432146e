"""The forecast of a training's time, and the lines of its epochs."""

import io
import time

import pytest
from rich.console import Console

from byhand.train.display import Display
from byhand.train.pace import Pace


def test_the_pace_follows_a_machine_that_becomes_busy():
    pace = Pace()
    for _ in range(100):
        pace.add(100, 1.0)
    assert pace.images_per_second == pytest.approx(100)
    for _ in range(6):
        pace.add(10, 10.0)
    assert pace.images_per_second == pytest.approx(1, rel=0.7), "after a minute, ten times slower"
    assert pace.seconds_left(100, 0) == pytest.approx(100, rel=0.5)


def test_a_forecast_is_told_again_where_it_was_wrong():
    pace = Pace()
    pace.tell(0.0, 100.0)
    assert not pace.differs(5.0, 300.0), "soon after it was told"
    assert not pace.differs(20.0, 90.0)
    assert pace.differs(20.0, 300.0) and pace.differs(20.0, 10.0)


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def shown(clock, epochs, epoch_seconds, steps=10):
    """Return what a display prints of a training whose steps take the same time."""
    told = io.StringIO()
    display = Display(epochs, 100, evaluated=10, console=Console(file=told, width=120))
    with display:
        for epoch in range(epochs):
            display.begin_epoch(epoch, 0)
            for step in range(1, steps + 1):
                clock[0] += epoch_seconds / steps
                display.update(100 * step // steps, 0.5, 0.5)
            display.end_epoch({"epoch": epoch + 1, "loss": 0.5, "accuracy": 0.5})
    return told.getvalue().splitlines()


def test_many_short_epochs_print_twenty_lines(clock):
    lines = [line for line in shown(clock, 300, 0.1) if line.startswith("epoch")]
    assert 15 <= len(lines) <= 22 and lines[0].startswith("epoch 1/300") and lines[-1].startswith("epoch 300/300")


def test_long_epochs_print_a_line_each_with_the_time_left(clock):
    lines = [line for line in shown(clock, 40, 5.0) if line.startswith("epoch")]
    assert len(lines) == 40 and lines[0].endswith("3 min 15 s left") and "left" not in lines[-1]


def test_a_slow_first_step_does_not_spoil_the_forecast(clock):
    told = io.StringIO()
    with Display(10, 100, console=Console(file=told, width=120)) as display:
        display.begin_epoch(0, 0)
        clock[0] += 60.0  # memory, programs, other processes
        display.update(10, 0.5, 0.5)
        for images in range(20, 101, 10):
            clock[0] += 0.5
            display.update(images, 0.5, 0.5)
    assert told.getvalue().startswith(("about 49 s of training", "about 50 s of training"))
