"""Child processes of the bench that end with their parent, however that ends.

The parent holds the only write end of the pipe that is a child's standard input. The system closes it when the parent ends, by
Ctrl-C, by SIGTERM or by SIGKILL, and the child kills its process group: itself and whatever it has started.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from subprocess import PIPE
from typing import IO


def start(
    words: Sequence[str], environment: Mapping[str, str], errors: IO[bytes] | int | None = None
) -> subprocess.Popen[str]:
    """Start `python -m WORDS` as the leader of a process group; errors: where its standard error goes."""
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        stdin=PIPE,
        stdout=PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,  # Ctrl-C reaches the parent alone
        env=dict(environment),
    )


def stop(process: subprocess.Popen[str]) -> None:
    """Kill a child and all that it has started, and wait for it."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.communicate()


def parent_lines() -> Iterator[str]:
    """Yield, in a child, the lines that its parent writes."""
    lines = SimpleQueue[str]()
    end_with_parent(lines.put)
    while True:
        yield lines.get()


def end_with_parent(receive: Callable[[str], None] = lambda line: None) -> None:
    """Start, in a child, the thread that ends it with its parent; receive: called with each line that the parent writes."""

    def read() -> None:
        for line in sys.stdin:
            receive(line)
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():  # not in the group of a shell that started it by hand
            os.killpg(0, signal.SIGKILL)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
