"""Functions with two forms: Python to be read and stepped through, and LLVM IR for Numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it imports Numba, which takes longest of a first use
    from byhand.kernels.runtime.llvm import NumbaIntrinsic


class Intrinsic:
    """A function that kernels call: `function` is what it does, `emit(dtype)` makes the Numba intrinsic that does it fast.

    version: what the emitted IR depends on, for the key of the kernel cache. A checked build compiles the Python form, so that
    every access it makes is checked.
    """

    def __init__(
        self, function: Callable[..., Any], emit: Callable[[str], NumbaIntrinsic], version: Callable[[], object]
    ) -> None:
        self.function, self.emit, self.version = function, emit, version
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        self._emitted: dict[str, NumbaIntrinsic] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Do it in Python."""
        return self.function(*arguments)

    def emitted(self, dtype: str) -> NumbaIntrinsic:
        """Return the Numba intrinsic for "f4" or "f8"."""
        if dtype not in self._emitted:
            self._emitted[dtype] = self.emit(dtype)
        return self._emitted[dtype]
