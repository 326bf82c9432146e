"""Signals: Ctrl-C and SIGTERM stop a training after the step under way, or at once where no step is done yet."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from byhand.kernels.runtime import cache
from byhand.train.distributed.mpi import world
from byhand.train.state import TrainingState


@contextmanager
def stop_signals(quiet: bool, state: TrainingState) -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; the second one acts as it did before.

    Where kernels are compiled for the first step, which takes long, the first one acts so too: nothing is lost then.
    state: of the training. With several ranks all finish the step.
    """
    stop, first, builds = threading.Event(), state.steps_done, len(cache.BUILDS)
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield stop
        return
    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[number] or signal.SIG_DFL)
        if state.steps_done == first and len(cache.BUILDS) > builds and world().size == 1:
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
