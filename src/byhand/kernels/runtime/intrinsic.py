"""Functions with two forms: Python to be read and stepped through, and LLVM IR for Numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Intrinsic:
    """A function that kernels call: `function` is what it does, `emit(dtype)` makes the intrinsic that does it fast.

    In a checked build the Python form itself is compiled, so that every access it makes is checked.
    """

    def __init__(self, function: Callable[..., Any], emit: Callable[[str], Any], version: Callable[[], Any]) -> None:
        self.function, self.emit, self.version = function, emit, version
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        self._made: dict[str, Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Do it in Python."""
        return self.function(*arguments)

    def native(self, dtype: str, checked: bool) -> Any:
        """Return what Numba is to call."""
        if checked:
            from byhand.kernels.runtime import build  # noqa: PLC0415

            return build._machine(self.function, dtype, False, True)
        if dtype not in self._made:
            self._made[dtype] = self.emit(dtype)
        return self._made[dtype]
