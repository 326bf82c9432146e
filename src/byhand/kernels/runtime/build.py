"""Python to machine code: a kernel, all that it calls, and the entry through which threads reach it.

Every entry has the same signature, (address of the packed arguments, block, worker), so that one compiled loop runs them
all. As in NumPy, a plain number takes the type of the arrays it meets: `0.5 * x[i]` stays float32 where x is. Numba would
make it float64, so that literals, constants of the module or of a closure, and attributes are turned before it sees them.
"""

from __future__ import annotations

import math
import types as python_types
from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import cfunc, njit, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from byhand.kernels import vector_math as vector
from byhand.kernels.runtime import cache as disk
from byhand.kernels.runtime.cpu import host, processor
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.kernel import GRAIN, Kernel
from byhand.kernels.runtime.parallel_loop import revive

WORD = ir.IntType(64)
FAST = {"contract"}  # a * b + c in one rounding; never anything that assumes NaN or infinity away
FAST_SUMS = {"contract", "reassoc", "nsz"}
VECTORS = {math.exp: vector.exp, math.tanh: vector.tanh, math.erf: vector.erf}


def build(kernel: Kernel, kinds: tuple[str, ...], checked: bool) -> Any:
    """Return the address of a kernel's entry for arguments of these kinds; in a checked build, a function to call."""
    dtype = main_type(kinds)
    if checked:
        return _slicing(kernel, _machine(kernel.function, dtype, kernel.reassociate, True), len(kinds))
    name = disk.key(source_of(kernel.function), kinds, kernel.reassociate, kernel.sliced, host(), _world())
    found = disk.load(name)
    if found is None:
        disk.tell(kernel.function.__name__)
        entry = _entry(kernel, kinds, dtype)
        library, symbol = entry._library, entry.native_name
        disk.store(name, symbol, library.serialize_using_object_code())
    else:
        symbol, state = found
        library = revive(state)
    return library.get_pointer_to_function(symbol)


def run_checked(kernel: Kernel, arguments: tuple[Any, ...], blocks: int) -> None:
    """Run all blocks with every access checked; raises IndexError where one is out of bounds."""
    function = kernel.build(arguments, "debug")
    dtype = main_type(tuple(argument.dtype.str[1:] for argument in arguments if isinstance(argument, np.ndarray)))
    values = [np.dtype(dtype).type(one) if isinstance(one, float) else one for one in arguments]
    for block in range(blocks):
        function(*values, block, 0)


def _slicing(kernel: Kernel, function: Any, count: int) -> Any:
    """Return function(*arguments, block, worker) for any kernel."""
    names = [f"a{i}" for i in range(count)]
    values = names
    if kernel.sliced:
        values = [f"{name}[part] if hasattr({name}, 'ndim') and {name}.ndim else {name}" for name in names]
    given = values if kernel.sliced else [*values, "block", *["worker"] * kernel.takes_worker]
    text = f"def run({', '.join(names)}, block, worker):\n    part = slice(block * {GRAIN}, (block + 1) * {GRAIN})\n"
    space = {"function": function}
    exec(f"{text}    function({', '.join(given)})\n", space)
    return space["run"]


def _entry(kernel: Kernel, kinds: tuple[str, ...], dtype: str) -> Any:
    """Compile the entry: arguments unpacked from memory, then the kernel."""
    function = _machine(kernel.function, dtype, kernel.reassociate, False)
    names, arrays = [f"a{i}" for i in range(len(kinds))], [i for i, kind in enumerate(kinds) if "x" in kind]
    values = list(names)
    text = f"def entry(address, block, worker):\n    {', '.join(names)}, = unpack(address)\n"
    if kernel.sliced:
        text += f"    first, end = block * {GRAIN}, min((block + 1) * {GRAIN}, a{arrays[0]}.size)\n"
        for i in arrays:
            values[i] = f"a{i}[first:end]"
    given = values if kernel.sliced else [*values, "block", *["worker"] * kernel.takes_worker]
    space: dict[str, Any] = {"unpack": _unpack(kinds, dtype), "function": function}
    exec(f"{text}    function({', '.join(given)})\n", space)
    entry = space["entry"]
    entry.__name__ = entry.__qualname__ = (
        f"entry_{kernel.function.__name__}_{disk.key(kinds, source_of(kernel.function))}"
    )
    return cfunc(types.void(types.intp, types.intp, types.intp), error_model="numpy")(entry)


def _unpack(kinds: tuple[str, ...], dtype: str) -> Any:
    """Return an intrinsic that makes a tuple of arguments out of their packed form."""
    kinds_types = [_type(kind, dtype) for kind in kinds]

    @intrinsic
    def unpack(typing: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
            at = 0

            def word() -> Any:
                nonlocal at
                at += 1
                return builder.load(builder.gep(pointer, [WORD(at - 1)], source_etype=WORD), typ=WORD)

            values = []
            for kind in kinds_types:
                if isinstance(kind, types.Array):
                    values.append(_array(context, builder, kind, word(), [word() for _ in range(kind.ndim)]))
                elif isinstance(kind, types.UniTuple):
                    values.append(context.make_tuple(builder, kind, [word() for _ in range(kind.count)]))
                elif isinstance(kind, types.Float):
                    value = builder.bitcast(word(), ir.DoubleType())
                    values.append(builder.fptrunc(value, ir.FloatType()) if kind.bitwidth == 32 else value)
                elif kind is types.none:
                    values.append(context.get_dummy_value())
                else:
                    value = word()
                    values.append(builder.icmp_signed("!=", value, WORD(0)) if kind is types.boolean else value)
            return context.make_tuple(builder, signature.return_type, values)

        return types.Tuple(kinds_types)(types.intp), codegen

    return unpack


def _array(context: Any, builder: Any, kind: Any, address: Any, sizes: list[Any]) -> Any:
    """Return an array that lies at an address."""
    item = kind.dtype.bitwidth // 8
    strides: list[Any] = []
    step = WORD(item)
    for size in reversed(sizes):
        strides.insert(0, step)
        step = builder.mul(step, size)
    array = context.make_array(kind)(context, builder)
    data = builder.inttoptr(address, context.get_data_type(kind.dtype).as_pointer())
    populate_array(array, data=data, shape=sizes, strides=strides, itemsize=WORD(item), meminfo=None)
    return array._getvalue()


def _type(kind: str, dtype: str) -> Any:
    if "x" in kind:
        code, _, axes = kind.partition("x")
        return types.Array(numba.from_dtype(np.dtype(code)), int(axes), "C")
    if kind.startswith("("):
        return types.UniTuple(types.intp, int(kind[1:-1]))
    real = types.float32 if dtype == "f4" else types.float64
    return {"none": types.none, "bool": types.boolean, "int": types.intp}.get(kind, real)


def main_type(kinds: tuple[str, ...]) -> str:
    """Return the floating point type that plain numbers take: that of the first array of one."""
    return next((kind[:2] for kind in kinds if kind.startswith(("f4", "f8"))), "f8")


@cache
def _machine(function: Any, dtype: str, reassociate: bool, checked: bool) -> Any:
    """Return a function for Numba: its numbers of the arrays' type, and what it calls turned alike."""
    real = np.dtype(dtype).type

    def turn(value: Any) -> Any:
        if isinstance(value, Intrinsic):
            return value.native(dtype, checked)
        if isinstance(value, Kernel):
            return _machine(value.function, dtype, reassociate, checked)
        if isinstance(value, python_types.FunctionType) and value.__module__.startswith("byhand."):
            return _machine(value, dtype, reassociate, checked)
        if isinstance(value, float) and dtype == "f4":
            return real(value)
        if dtype == "f4" and isinstance(value, python_types.BuiltinFunctionType) and value in VECTORS:
            return _machine(VECTORS[value], dtype, False, checked)  # in the order that keeps them exact
        return value

    def turn_constant(one: Any) -> Any:
        return tuple(map(turn_constant, one)) if type(one) is tuple else real(one) if type(one) is float else one

    code = function.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    code = code.replace(co_argcount=count, co_kwonlyargcount=0)  # Numba muddles keyword-only arguments
    if dtype == "f4":
        code = code.replace(co_consts=tuple(map(turn_constant, code.co_consts)))
    space = {name: turn(function.__globals__[name]) for name in code.co_names if name in function.__globals__}
    cells = tuple(python_types.CellType(turn(cell.cell_contents)) for cell in function.__closure__ or ())
    copy = python_types.FunctionType(code, space, function.__name__, function.__defaults__, cells)
    copy.__module__ = function.__module__
    copy.__qualname__ = f"{function.__name__}_{disk.key(source_of(function), dtype, reassociate)}"
    lean = {} if checked else {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # nobody calls it but the entry
    return njit(error_model="numpy", fastmath=FAST_SUMS if reassociate else FAST, boundscheck=checked, **lean)(copy)


@cache
def source_of(function: Any) -> tuple[Any, ...]:
    """Return all that a function's machine code depends on: its own code and that of all it calls."""
    parts: list[Any] = []
    code = function.__code__
    values = [(name, function.__globals__.get(name)) for name in code.co_names]
    cells = zip(code.co_freevars, function.__closure__ or ())
    for name, value in (*values, *((name, cell.cell_contents) for name, cell in cells)):
        if isinstance(value, Kernel):
            value = value.function
        if isinstance(value, Intrinsic):
            parts.append((name, value.__name__, value.version()))
        elif isinstance(value, python_types.FunctionType) and value.__module__.startswith("byhand."):
            parts.append((name, source_of(value)))
        elif isinstance(value, (int, float, tuple)):
            parts.append((name, value))
        elif value in VECTORS if isinstance(value, python_types.BuiltinFunctionType) else False:
            parts.append((name, source_of(VECTORS[value])))
    constants = [one for one in code.co_consts if not isinstance(one, (str, python_types.CodeType))]
    return (function.__name__, code.co_code, repr(constants), code.co_names, code.co_varnames, tuple(parts))


@cache
def _world() -> tuple[str, ...]:
    """Return what else machine code depends on: this file, Numba, LLVM, Python's byte code, the processor."""
    from pathlib import Path  # noqa: PLC0415

    texts = tuple(
        disk.key((Path(__file__).parent / name).read_bytes()) for name in ("build.py", "kernel.py", "intrinsic.py")
    )
    return (*texts, numba.__version__, ".".join(map(str, binding.llvm_version_info)), np.__version__, processor())
