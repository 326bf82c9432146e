"""A captured step with breakpoints for MPI: its launches run without Python, except where ranks communicate.

    def step():
        forward(...)
        at_breakpoint(reduce)       # called each time the step comes here
        update(...)

    run = SegmentedReplay(step, "compiled")
    run()

The first call captures the launches and cuts their list at the breakpoints; each call runs segment, function, segment, ...
Hands other than the compiled one are not captured: the step is called as it is, and so are the functions at its breakpoints.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from byhand.kernels import capture, kernel, launch, mode

if TYPE_CHECKING:
    from byhand.kernels.runtime.launch_graph import LaunchGraph
    from byhand.kernels.runtime.thread_pool import LaunchTable


class _Local(threading.local):
    functions: list[Callable[[], None]] | None = None  # those at the breakpoints of the step that is being captured


_local = _Local()


class Segment(NamedTuple):
    """Launches up to a breakpoint, and the function to call there; None at the end of the step."""

    launches: LaunchTable
    function: Callable[[], None] | None


@kernel
def breakpoint_marker(number, block):  # type: ignore[no-untyped-def]
    """Mark a breakpoint in the list of captured launches. It never runs: the list is cut there."""


def at_breakpoint(function: Callable[[], None]) -> None:
    """Call a function here: now, or, while the step is being captured, in each run of the captured step."""
    if _local.functions is None:
        function()
        return
    _local.functions.append(function)
    launch(breakpoint_marker, 1, np.array([len(_local.functions) - 1]))


class SegmentedReplay:
    """Runs a function without arguments that launches kernels on arrays that stay, with breakpoints between them."""

    def __init__(self, function: Callable[[], None], hand: str) -> None:
        self.function, self.captured = function, hand == "compiled" and mode() == "native"
        self._segments: list[Segment] = []
        self._graph: LaunchGraph | None = None  # keeps the scratch memory of the launches

    def __call__(self) -> None:
        """Run it."""
        if not self.captured:
            with np.errstate(all="ignore"):
                self.function()
            return
        if self._graph is None:
            self._capture()
        for segment in self._segments:
            segment.launches.run()
            if segment.function is not None:
                segment.function()

    def _capture(self) -> None:
        from byhand.kernels.runtime.thread_pool import LaunchTable  # noqa: PLC0415  (Numba)

        before, _local.functions = _local.functions, []
        try:
            self._graph, _ = capture(self.function)
            calls = []
            for call in self._graph.launches:
                if isinstance(call, list) or call.name != breakpoint_marker.function.__name__:
                    calls.append(call)
                    continue
                number = call.arguments[0]
                assert isinstance(number, np.ndarray)
                self._segments.append(Segment(LaunchTable(calls), _local.functions[int(number[0])]))
                calls = []
            self._segments.append(Segment(LaunchTable(calls), None))
        finally:
            _local.functions = before
