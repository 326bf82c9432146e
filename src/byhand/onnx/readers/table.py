"""The table of ONNX's operators: the name of each, and the function that reads it.

Such a function takes the node's `Use` and its inputs, and returns the output or a list of them.
"""

from collections.abc import Callable
from typing import Any

OPERATORS: dict[str, Callable[..., Any]] = {}


def operator(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function under the names of the operators that it reads."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return enter
