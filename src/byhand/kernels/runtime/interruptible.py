"""Compiling that Ctrl-C can interrupt.

LLVM compiles a kernel for up to seconds, and Python runs no signal handler in that time. The main thread therefore waits
while another one compiles. Where a handler raises, the exception leaves the wait at once; the other thread finishes its kernel
and stores it in the cache.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

# Windows wakes no waiting thread for a signal: there it looks so often.
WAIT_SECONDS = 0.1 if os.name == "nt" else None

_threads: set[threading.Thread] = set()


def run(work: Callable[[], Result]) -> Result:
    """Return work(), which runs in another thread where this is the main one."""
    if threading.current_thread() is not threading.main_thread():
        return work()
    results: list[Result] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def compute() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            _threads.discard(thread)
            done.set()

    thread = threading.Thread(target=compute, name="byhand-compile", daemon=True)
    _threads.add(thread)
    thread.start()
    while not done.wait(WAIT_SECONDS):
        pass
    if errors:
        raise errors[0]
    return results[0]


@atexit.register
def wait() -> None:
    """Wait for the threads that compile: the process can't be torn down while LLVM runs in it."""
    for thread in list(_threads):
        thread.join()
