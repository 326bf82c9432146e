"""Ctrl-C, so that it loses nothing."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_signals(quiet: bool) -> Iterator[threading.Event]:
    """Turn the first Ctrl-C (or a polite kill) into an event, so that a step is never cut in half; a second one interrupts."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield stop
        return
    before = {int(one): signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}

    def ask(asked: int, frame: FrameType | None) -> None:
        stop.set()
        if not quiet:
            os.write(2, b"\nstopping after this step; Ctrl-C again stops at once\n")
        signal.signal(asked, before[asked] or signal.SIG_DFL)

    for one in before:
        signal.signal(one, ask)
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler or signal.SIG_DFL)  # None: not set from Python
