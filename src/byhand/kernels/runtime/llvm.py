"""The types of llvmlite and Numba with which functions that emit LLVM IR are annotated, and the IR types of integers.

Both libraries come without type hints: mypy takes each of these for `Any`, and a reader still sees what is what. Only modules
that import Numba anyway may import this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
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
    "INT32",
    "WORD",
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

INT32 = ir.IntType(32)
WORD = ir.IntType(64)

Values = Sequence[Value]
IntrinsicBody = tuple[Signature, Callable[..., Value]]  # returned by a function under Numba's `@intrinsic`
