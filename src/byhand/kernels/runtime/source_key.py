"""What the machine code of a kernel depends on: its source and all that it calls, as a key of the kernel cache.

`source_of` follows the names that a function reads: functions of byhand are part of its source, and so are constants, the
fields of operands, and what an intrinsic says of the LLVM IR that it emits. Nothing here imports Numba.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType, NoneType
from typing import TypeGuard

import numpy as np

from byhand.kernels import vector_math
from byhand.kernels.runtime import cache as disk
from byhand.kernels.runtime.arguments import Kind
from byhand.kernels.runtime.cpu import processor, vector_unit
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.kernel import Kernel
from byhand.kernels.runtime.toolchain import toolchain

VECTOR_FORMS = {math.exp: vector_math.exp, math.tanh: vector_math.tanh, math.erf: vector_math.erf}


def kernel_name(kernel: Kernel, kinds: tuple[Kind, ...]) -> str:
    """Return the name of a kernel's file in the cache, for arguments of these kinds."""
    parts = (source_of(kernel.function), kinds, kernel.reassociate, kernel.elementwise, vector_unit(), compiler())
    return f"{kernel.function.__name__}-{disk.key(*parts)}"


def is_ours(value: object) -> TypeGuard[FunctionType]:
    """Tell whether a value is a Python function of byhand, to be compiled with what calls it."""
    return isinstance(value, FunctionType) and value.__module__.startswith("byhand.")


def names_of(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Yield (name, value) of all that a function reads of its module and of the functions around it."""
    for code in (function.__code__, *codes_within(function.__code__)):
        for name in code.co_names:
            if name in function.__globals__:
                yield name, function.__globals__[name]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        yield name, cell.cell_contents


def codes_within(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of the functions, lambdas and comprehensions within a function."""
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield value
            yield from codes_within(value)


@cache
def source_of(function: FunctionType) -> tuple[object, ...]:
    """Return all that a function's machine code depends on: its own code, and what it reads and calls."""
    parts = tuple((name, _source(value)) for name, value in names_of(function))
    codes = tuple(_own(code, function.__doc__) for code in (function.__code__, *codes_within(function.__code__)))
    return function.__name__, codes, repr(function.__defaults__), parts


def _own(code: CodeType, docstring: str | None) -> tuple[object, ...]:
    """Return what code says itself, without the docstring."""
    constants = [repr(value) for value in code.co_consts if not isinstance(value, CodeType) and value != docstring]
    return code.co_code, constants, code.co_names, code.co_freevars, code.co_varnames


def _source(value: object) -> object:
    """Return what machine code depends on of a value that a function reads; None: the value is of no kind known here."""
    function = value.function if isinstance(value, Kernel) else value
    if isinstance(function, BuiltinFunctionType):
        function = VECTOR_FORMS.get(function, function)
    if is_ours(function):
        return source_of(function)
    if isinstance(value, Intrinsic):
        return value.__name__, value.version()
    if isinstance(value, tuple):
        return _source(type(value)), tuple(map(_source, value))
    return _plain(value)


def _plain(value: object) -> object:
    """Return what machine code depends on of a value that holds no function."""
    if isinstance(value, type):  # of an operand: what its fields are called, and their order
        return (
            value.__module__,
            value.__qualname__,
            getattr(value, "_fields", ()),
            getattr(value, "_field_defaults", {}),
        )
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (ModuleType, BuiltinFunctionType, np.ufunc)):
        return value.__name__
    if isinstance(value, (int, float, str, bytes, np.generic, NoneType)):
        return repr(value)
    return None


@cache
def compiler() -> tuple[str, ...]:
    """Return what else machine code depends on: the compiler's own files, the versions of its libraries, the processor."""
    files = ("build.py", "kernel.py", "intrinsic.py", "arguments.py", "llvm.py", "source_key.py")
    texts = tuple(disk.key((Path(__file__).parent / name).read_bytes()) for name in files)
    return (*texts, toolchain().numba, toolchain().llvm, np.__version__, processor())
