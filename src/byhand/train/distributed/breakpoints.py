"""A call that is written down once and run without Python, but for the places where it pauses: there, ranks talk.

    def step():
        forward(...)
        pause(reduce)       # called whenever the step comes here
        update(...)

    run = Paused(step, "compiled")
    run()

With another hand than the compiled one nothing is written down: the step is called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from byhand.kernels import capture, kernel, launch, mode


class _Local(threading.local):
    pauses: list[Callable[[], None]] | None = None  # of the call that is being written down


_local = _Local()


@kernel
def place(number, block):  # type: ignore[no-untyped-def]
    """Mark a place in a recording; it is cut there, and this never runs."""


def pause(function: Callable[[], None]) -> None:
    """Call a function now, or where a call is being written down, whenever that comes here."""
    if _local.pauses is None:
        function()
        return
    _local.pauses.append(function)
    launch(place, 1, np.array([len(_local.pauses) - 1]))


class Paused:
    """A function without arguments that launches kernels on arrays that stay, and pauses between them."""

    def __init__(self, function: Callable[[], None], hand: str) -> None:
        self.function, self.native = function, hand == "compiled" and mode() == "native"
        self._parts: list[tuple[Any, Callable[[], None] | None]] = []
        self._tape: Any = None

    def __call__(self) -> None:
        """Run it."""
        if not self.native:
            with np.errstate(all="ignore"):
                self.function()
            return
        if self._tape is None:
            self._write_down()
        for table, function in self._parts:
            table.run()
            if function is not None:
                function()

    def _write_down(self) -> None:
        from byhand.kernels.runtime.thread_pool import LaunchTable  # noqa: PLC0415  (Numba)

        before, _local.pauses = _local.pauses, []
        try:
            self._tape, _ = capture(self.function)
            part: list[Any] = []
            for one in self._tape.launches:
                if getattr(one, "name", None) == place.function.__name__:
                    self._parts.append((LaunchTable(part), _local.pauses[int(one.arguments[0][0])]))
                    part = []
                else:
                    part.append(one)
            self._parts.append((LaunchTable(part), None))
        finally:
            _local.pauses = before
