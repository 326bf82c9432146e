"""Signals: Ctrl-C and SIGTERM stop a training after the step under way, or at once where no step is done yet."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from byhand.train.distributed.mpi import world
from byhand.train.state import TrainingState


@contextmanager
def stop_signals(quiet: bool, state: TrainingState) -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; the second one acts as it did before.

    As long as the training under way, whose state is given, has done no step, the first one acts so too: nothing is lost then,
    and kernels may be compiled first, which takes long. With several ranks all finish the step.
    """
    stop, first = threading.Event(), state.steps_done
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield stop
        return
    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[number] or signal.SIG_DFL)
        if state.steps_done == first and world().size == 1:
            signal.raise_signal(number)
        elif not quiet:
            os.write(2, b"\nstopping after this step; Ctrl-C again stops at once\n")

    for number in before:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)  # None: the handler was not set from Python
