"""The types of llvmlite and Numba that functions which write LLVM IR are annotated with.

Both come without type hints, so that mypy takes each for `Any`; to a reader they say what is what. Only modules that import
Numba anyway may import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite.ir import Function, IRBuilder, Module, Type, Value
from numba.core.base import BaseContext as CodegenContext
from numba.core.ccallback import CFunc
from numba.core.codegen import CodeLibrary
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic as NumbaIntrinsic
from numba.core.types import Type as NumbaType
from numba.core.typing.context import BaseContext as TypingContext
from numba.core.typing.templates import Signature

__all__ = [
    "CFunc",
    "CodeLibrary",
    "CodegenContext",
    "Dispatcher",
    "Function",
    "IRBuilder",
    "IntrinsicBody",
    "Module",
    "NumbaIntrinsic",
    "NumbaType",
    "Signature",
    "Type",
    "TypingContext",
    "Value",
    "Values",
]

Values = Sequence[Value]
IntrinsicBody = tuple[Signature, Callable[..., Value]]  # what a function under Numba's `@intrinsic` returns
