"""The compiler: turns a kernel and all that it calls into machine code, with an entry that threads call.

Every entry has the same signature, (address of the packed arguments, block, worker), so that one compiled loop runs them all.
As in NumPy, a plain number takes the type of the arrays it meets: `0.5 * x[i]` is float32 where x is. Numba would make it
float64. `specialize` therefore casts literals, constants and the fields of operands before Numba sees them.
"""

from __future__ import annotations

from functools import cache
from types import BuiltinFunctionType, CellType, FunctionType

import numba
import numpy as np
from llvmlite import binding, ir
from numba import cfunc, njit, types
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from byhand.kernels.runtime import cache as disk
from byhand.kernels.runtime.arguments import Kind, TupleKind, kind_of, main_dtype
from byhand.kernels.runtime.cache import LibraryState
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS, Kernel
from byhand.kernels.runtime.llvm import (
    WORD,
    CFunc,
    CodegenContext,
    CodeLibrary,
    Dispatcher,
    IntrinsicBody,
    IRBuilder,
    NumbaIntrinsic,
    NumbaType,
    Signature,
    TypingContext,
    Value,
    Values,
)
from byhand.kernels.runtime.source_key import VECTOR_FORMS, is_ours, source_of
from byhand.kernels.runtime.types import Argument

# LLVM's fast-math flags. contract: a * b + c in one rounding. None that assumes there is no NaN or infinity.
FAST = {"contract"}
FAST_SUMS = {"contract", "reassoc", "nsz"}


def build(kernel: Kernel, kinds: tuple[Kind, ...]) -> tuple[str, LibraryState]:
    """Compile a kernel for arguments of these kinds; return (the entry's symbol, the library)."""
    entry = _entry(kernel, kinds)
    return with_private_symbols(entry._library, entry.native_name)


def with_private_symbols(library: CodeLibrary, entry: str) -> tuple[str, LibraryState]:
    """Return (the entry's symbol, the serialized library), in which the entry is the only public function.

    A library has its own copy of each function that the entry calls. Numba gives these weak linkage: the linker takes the
    first function of that name, which in the process that compiles is another copy, optimized apart, that adds up in another
    order. The last bits of a result would depend on what was compiled or loaded before.
    """
    module = binding.parse_bitcode(library._final_module.as_bitcode())
    for function in module.functions:
        if not function.is_declaration:
            function.linkage = "external" if function.name == entry else "internal"
    symbol = f"byhand_{disk.key(module.as_bitcode())}"
    module.get_function(entry).name = symbol
    return symbol, (symbol, "object", (library._codegen._tm.emit_object(module), module.as_bitcode()))


def load_library(state: LibraryState) -> CodeLibrary:
    """Load a library through LLVM."""
    context = cpu_target.target_context
    rtsys.initialize(context)
    return context.codegen().unserialize_library(state)


def run_checked(kernel: Kernel, arguments: tuple[Argument, ...], blocks: int) -> None:
    """Run all blocks with every access checked; raises IndexError where one is out of bounds."""
    kinds = tuple(map(kind_of, arguments))
    if kinds not in kernel.checked:
        kernel.checked[kinds] = specialize(kernel.function, main_dtype(kinds), kernel.reassociate, True)
    arrays = [leaf for leaf in arguments if isinstance(leaf, np.ndarray)]
    real = next((array.dtype.type for array in arrays if array.dtype.kind == "f"), np.float64)
    values = tuple(real(value) if isinstance(value, float) else value for value in arguments)
    for block in range(blocks):
        kernel.checked[kinds](*kernel.arguments_of(values, block, 0))


def _entry(kernel: Kernel, kinds: tuple[Kind, ...]) -> CFunc:
    """Compile the entry: arguments unpacked from memory, then the kernel."""
    function = specialize(kernel.function, main_dtype(kinds), kernel.reassociate, False)
    unpack = _unpack(kernel, kinds)

    def entry(address: int, block: int, worker: int) -> None:
        function(*unpack(address, block, worker))

    entry.__name__ = entry.__qualname__ = (
        f"entry_{kernel.function.__name__}_{disk.key(kinds, source_of(kernel.function))}"
    )
    return cfunc(types.void(types.intp, types.intp, types.intp), error_model="numpy")(entry)


def _unpack(kernel: Kernel, kinds: tuple[Kind, ...]) -> NumbaIntrinsic:
    """Return an intrinsic that makes a kernel's arguments out of (address of their words, block, worker)."""
    dtype = main_dtype(kinds)
    packed = [numba_type(kind, dtype) for kind in kinds]
    counters = [] if kernel.elementwise else [types.intp, types.intp] if kernel.takes_worker else [types.intp]

    @intrinsic
    def unpack(typing: TypingContext, address: NumbaType, block: NumbaType, worker: NumbaType) -> IntrinsicBody:
        def codegen(context: CodegenContext, builder: IRBuilder, signature: Signature, values: Values) -> Value:
            words = Words(context, builder, values[0])
            arguments = [words.read(kind) for kind in packed]
            if kernel.elementwise:
                arguments = _slices(context, builder, packed, arguments, values[1])
            arguments += values[1 : 1 + len(counters)]
            return context.make_tuple(builder, signature.return_type, arguments)

        return types.Tuple([*packed, *counters])(types.intp, types.intp, types.intp), codegen

    return unpack


class Words:
    """Reads packed arguments (arguments.py), one word after the other."""

    def __init__(self, context: CodegenContext, builder: IRBuilder, address: Value) -> None:
        self.context, self.builder, self.index = context, builder, 0
        self.pointer = builder.inttoptr(address, WORD.as_pointer())

    def word(self) -> Value:
        """Return the next word."""
        index, self.index = WORD(self.index), self.index + 1
        return self.builder.load(self.builder.gep(self.pointer, [index], source_etype=WORD), typ=WORD)

    def read(self, kind: NumbaType) -> Value:
        """Return the next value of a Numba type."""
        if isinstance(kind, types.Array):
            return _array(self.context, self.builder, kind, self.word(), [self.word() for _ in range(kind.ndim)])
        if isinstance(kind, types.BaseTuple):
            return self.context.make_tuple(self.builder, kind, [self.read(member) for member in kind.types])
        if isinstance(kind, types.Float):
            value = self.builder.bitcast(self.word(), ir.DoubleType())
            return self.builder.fptrunc(value, ir.FloatType()) if kind.bitwidth == 32 else value
        if kind is types.none:
            return self.context.get_dummy_value()
        value = self.word()
        return self.builder.icmp_signed("!=", value, WORD(0)) if kind is types.boolean else value


def _array(context: CodegenContext, builder: IRBuilder, kind: NumbaType, address: Value, sizes: list[Value]) -> Value:
    """Return an array that lies at an address."""
    item = kind.dtype.bitwidth // 8
    strides: list[Value] = []
    step = WORD(item)
    for size in reversed(sizes):
        strides.insert(0, step)
        step = builder.mul(step, size)
    array = context.make_array(kind)(context, builder)
    data = builder.inttoptr(address, context.get_data_type(kind.dtype).as_pointer())
    populate_array(array, data=data, shape=sizes, strides=strides, itemsize=WORD(item), meminfo=None)
    return array._getvalue()


def _slices(
    context: CodegenContext, builder: IRBuilder, kinds: list[NumbaType], values: list[Value], block: Value
) -> list[Value]:
    """Return the arguments of elementwise loops: of each array, which is flat, a block's slice."""
    indices = [i for i, kind in enumerate(kinds) if isinstance(kind, types.Array)]
    arrays = {i: context.make_array(kinds[i])(context, builder, values[i]) for i in indices}
    size = builder.extract_value(next(iter(arrays.values())).shape, 0)
    first = builder.mul(block, WORD(BLOCK_ELEMENTS))
    left, full_block = builder.sub(size, first), WORD(BLOCK_ELEMENTS)
    count = builder.select(builder.icmp_signed("<", left, full_block), left, full_block)
    sliced = list(values)
    for i, array in arrays.items():
        item = context.get_data_type(kinds[i].dtype)
        start = builder.gep(array.data, [first], source_etype=item)
        sliced[i] = _array(context, builder, kinds[i], builder.ptrtoint(start, WORD), [count])
    return sliced


def numba_type(kind: Kind, dtype: str) -> NumbaType:
    """Return the Numba type of an argument's kind; dtype: that of plain numbers."""
    if isinstance(kind, TupleKind):
        cls = kind.cls if kind.fields else None
        return types.BaseTuple.from_types([numba_type(member, dtype) for member in kind.members], cls)
    if "x" in kind:
        code, _, axes = kind.partition("x")
        return types.Array(numba.from_dtype(np.dtype(code)), int(axes), "C")
    real = types.float32 if dtype == "f4" else types.float64
    return {"none": types.none, "bool": types.boolean, "int": types.intp}.get(kind, real)


@cache
def specialize(function: FunctionType, dtype: str, reassociate: bool, checked: bool) -> Dispatcher:
    """Return a copy for Numba, with its float literals, globals and callees cast to dtype ("f4" or "f8").

    reassociate: sums may be added in any order; checked: every access to an array is checked against its bounds.
    """
    real = np.dtype(dtype).type

    def cast(value: object) -> object:
        if isinstance(value, Intrinsic):
            return specialize(value.function, dtype, False, True) if checked else value.emitted(dtype)
        if isinstance(value, Kernel):
            return specialize(value.function, dtype, reassociate, checked)
        if is_ours(value):
            return specialize(value, dtype, reassociate, checked)
        if isinstance(value, float) and dtype == "f4":
            return real(value)
        if dtype == "f4" and isinstance(value, BuiltinFunctionType) and value in VECTOR_FORMS:
            return specialize(VECTOR_FORMS[value], dtype, False, checked)  # in the order that keeps them exact
        return value

    def cast_literal(value: object) -> object:
        if type(value) is tuple:
            return tuple(map(cast_literal, value))
        return real(value) if type(value) is float else value

    code = function.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    code = code.replace(co_argcount=count, co_kwonlyargcount=0)  # Numba muddles keyword-only arguments
    if dtype == "f4":
        code = code.replace(co_consts=tuple(map(cast_literal, code.co_consts)))
    namespace = {name: cast(function.__globals__[name]) for name in code.co_names if name in function.__globals__}
    cells = tuple(CellType(cast(cell.cell_contents)) for cell in function.__closure__ or ())
    copy = FunctionType(code, namespace, function.__name__, function.__defaults__, cells)
    copy.__module__ = function.__module__
    copy.__qualname__ = f"{function.__name__}_{disk.key(source_of(function), dtype, reassociate)}"
    lean = {} if checked else {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # only the entry calls it
    return njit(error_model="numpy", fastmath=FAST_SUMS if reassociate else FAST, boundscheck=checked, **lean)(copy)
