"""Kernels: argument types, blocks, and agreement of compiled hands with their loops."""

import dis
import gc
import types
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import byhand.train
from byhand.kernels import cdiv, compiled, elementwise, kernel, launch, scratch
from byhand.kernels.runtime import cache
from byhand.kernels.runtime.arguments import kind_of
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS, Kernel
from byhand.kernels.runtime.source_key import _source, codes_within, is_ours, names_of, source_of
from byhand.kernels.runtime.thread_pool import limit, workers
from byhand.ops import REGISTRY
from byhand.ops.op import Op, positional

SOURCE = Path(byhand.__file__).parent
DTYPES = [np.float32, np.float64]
TENTH = 0.1


@kernel
def count(x, block):
    x[block] += 1


@kernel
def tell_worker(x, took, block, worker):
    """Say who does a block, after a millisecond or two."""
    last = 0.5
    for _ in range(took):
        last = last * 3.7 * (1.0 - last)  # each needs the last one
    x[block] = worker + 0.0 * last


@kernel
def tenths(x, y, z, factor, block):
    for i in range(x.size):
        y[i] = 0.1 * x[i]
        z[i] = TENTH * x[i] * factor


@kernel
def take_all(x, number, whole, flag, left_out, sizes, block):
    x[0] = number
    x[1] = whole
    x[2] = 1.0 if flag else 2.0
    x[3] = 3.0 if left_out is None else left_out[0]
    x[4] = sizes[0] * 100 + sizes[1] * 10 + len(sizes)


@kernel
def divide(x, y, z, block):
    for i in range(x.size):
        z[i] = x[i] / y[i]


@kernel
def turn_round(x, y, block):
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[j, i] = x[i, j]


@pytest.mark.parametrize("blocks", [0, 1, 2, 3, 7, 1000])
def test_every_block_is_done_once(blocks):
    x = np.zeros(1001, np.int64)
    launch(count, blocks, x)
    assert (x[:blocks] == 1).all()
    assert (x[blocks:] == 0).all()


TRIES = 500  # on a busy machine, a worker may have no core for a while


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_worker_is_the_number_of_a_thread(threads, restless):
    x, together = np.full(100, -1.0), workers()
    for _ in range(TRIES):
        with limit(threads):
            launch(tell_worker, 100, x, 100_000)
            assert workers() == threads
        assert set(x) <= set(range(threads))
        firsts = [int(x[worker * 100 // threads]) for worker in range(threads)]
        if firsts == [*range(threads)] or threads > together:  # where there are fewer cores, not all come
            return
    raise AssertionError(f"the threads do not begin with blocks of their own, but {firsts}")


@kernel
def tell_worker_late(x, block, worker):
    """Say who does a block: at once in the first half, after a tenth of a millisecond or two in the second."""
    last = 0.5
    for _ in range(100_000 if block >= x.size // 2 else 0):
        last = last * 3.7 * (1.0 - last)
    x[block] = worker + 0.0 * last


def test_a_worker_that_is_done_takes_over_what_another_has_not_begun(restless):
    x, together = np.full(100, -1.0), min(2, workers())
    for _ in range(TRIES):
        with limit(together):
            launch(tell_worker_late, 100, x)
        if set(x[:50]) == {0} and set(x[50:]) == set(range(together)):
            return
    raise AssertionError(f"blocks were run by {x}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_numbers_take_the_type_of_the_arrays(dtype):
    x = np.random.default_rng(0).standard_normal(1000).astype(dtype)
    y, z = np.empty_like(x), np.empty_like(x)
    launch(tenths, 1, x, y, z, 0.3)
    assert np.array_equal(y, dtype(0.1) * x)
    assert np.array_equal(z, dtype(0.1) * x * dtype(0.3))
    wide = (0.1 * x.astype(np.float64)).astype(dtype)
    assert (dtype is np.float64) == np.array_equal(y, wide)  # float32 rounds otherwise: the test can see it


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("left_out", [None, np.array([7.0, 8.0])])
def test_numbers_none_and_tuples_arrive(dtype, flag, left_out):
    x = np.zeros(5, dtype)
    launch(take_all, 1, x, -2.5, -(2**40), flag, None if left_out is None else left_out.astype(dtype), (3, 4))
    assert x.tolist() == [-2.5, -(2.0**40), 1.0 if flag else 2.0, 3.0 if left_out is None else 7.0, 342.0]


def test_a_number_of_numpy_is_a_number():
    x = np.zeros(5)
    launch(take_all, 1, x, np.float32(0.5), np.int64(12), True, None, (np.int64(1), 2))
    assert x.tolist() == [0.5, 12.0, 1.0, 3.0, 122.0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_division_by_zero_is_numpys(dtype):
    x = np.array([1, -1, 0, np.nan, np.inf, 1], dtype)
    y = np.array([0, 0, 0, 0, np.inf, -0.0], dtype)
    z = np.zeros_like(x)
    launch(divide, 1, x, y, z)
    with np.errstate(all="ignore"):
        assert np.array_equal(z, x / y, equal_nan=True)


def test_one_kernel_serves_all_types_of_arguments():
    for array in (np.zeros(3, np.float32), np.zeros(3, np.float64), np.zeros(3, np.int64), np.zeros(3, np.uint8)):
        launch(count, 3, array)
        assert array.tolist() == [1, 1, 1]


# elementwise ----------------------------------------------------------------------------------------------------------


def scale_loops(x, y, z, *, factor, shift):
    for i in np.ndindex(x.shape):
        z[i] = factor * x[i] + y[i] + shift


scale = elementwise(scale_loops)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape",
    [
        (0,),
        (1,),
        (3, 0, 2),
        (2, 3, 5, 7),
        (BLOCK_ELEMENTS - 1,),
        (BLOCK_ELEMENTS,),
        (BLOCK_ELEMENTS + 1,),
        (3, BLOCK_ELEMENTS),
    ],
    ids=str,
)
def test_loops_over_elements_are_cut_into_slices(shape, dtype):
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    memory = np.full(x.size + 64, 77, dtype)
    z = memory[32 : 32 + x.size].reshape(shape)
    scale(x, y, z, factor=0.5, shift=2)
    assert np.allclose(z, 0.5 * x + y + 2, atol=1e-6)
    assert (memory[:32] == 77).all()
    assert (memory[32 + x.size :] == 77).all()


def test_a_compiled_hand_has_the_name_and_the_arguments_of_its_loops():
    assert scale.__name__ == "scale_compiled"
    assert positional(scale) == ("x", "y", "z")


# arrays of any layout -------------------------------------------------------------------------------------------------


@compiled
def turned(x, y, *, rows=1):
    launch(turn_round, rows, x, y)


@compiled
def both(xs, y):
    for i, x in enumerate(xs):
        launch(turn_round, 1, x, y[i])


def misaligned(shape, dtype):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.zeros(size + 1, np.uint8)[1:].view(dtype).reshape(shape)


LAYOUTS = {
    "contiguous": np.zeros,
    "strided": lambda shape, dtype: np.zeros([2 * n for n in shape], dtype)[::2, ::2],
    "backwards": lambda shape, dtype: np.zeros(shape, dtype)[::-1, ::-1],
    "turned": lambda shape, dtype: np.zeros(shape[::-1], dtype).T,
    "misaligned": misaligned,
}


@pytest.mark.parametrize("layout_y", LAYOUTS)
@pytest.mark.parametrize("layout_x", LAYOUTS)
def test_a_hand_takes_arrays_of_any_layout(layout_x, layout_y):
    values = np.random.default_rng(2).standard_normal((3, 5)).astype(np.float32)
    x, y = LAYOUTS[layout_x]((3, 5), np.float32), LAYOUTS[layout_y]((5, 3), np.float32)
    x[...] = values
    x.flags.writeable = False
    turned(x, y)
    assert np.array_equal(y, values.T)
    assert np.array_equal(x, values)


def test_a_hand_takes_tuples_of_arrays_of_any_layout():
    xs = tuple(make((3, 4), np.float64) for make in LAYOUTS.values())
    for i, x in enumerate(xs):
        x[...] = np.arange(12).reshape(3, 4) + i
    y = np.zeros((len(xs), 4, 3))
    both(xs, y)
    assert all(np.array_equal(y[i], x.T) for i, x in enumerate(xs))


def test_scratch_memory_is_aligned_and_not_shared():
    arrays = []

    @compiled
    def hand(x):
        for shape, dtype in (((3, 5), np.float32), ((7,), np.int64), ((1, 2, 3), np.float64), ((0, 4), np.float32)):
            arrays.append(scratch(*shape, dtype=dtype))
            assert (arrays[-1].shape, arrays[-1].dtype) == (shape, dtype)

    hand(np.zeros(1))
    starts = [array.ctypes.data for array in arrays if array.size]
    assert all(start % 64 == 0 for start in starts)
    for i, array in enumerate(arrays):
        array[...] = i
    assert all((array == i).all() for i, array in enumerate(arrays))


@pytest.mark.parametrize(("size", "least", "blocks"), [(0, 4, 0), (1, 4, 1), (4, 4, 1), (5, 4, 2), (4001, 4, 1001)])
def test_cdiv(size, least, blocks):
    assert cdiv(size, least) == blocks


# every kernel ---------------------------------------------------------------------------------------------------------


def every_kernel():
    """Return all kernels of byhand: those of modules, and those that functions make and keep in closures and tuples."""
    assert REGISTRY
    assert byhand.train
    kernels = (value for value in gc.get_objects() if issubclass(type(value), Kernel))  # isinstance asks dead proxies
    return [found for found in kernels if found.function.__code__.co_filename.startswith(str(SOURCE))]


def unknown(function, seen):
    """Yield the names that a function uses and that its place in the cache does not depend on."""
    if function in seen:
        return
    seen.add(function)
    attributes = {
        instruction.argval
        for code in (function.__code__, *codes_within(function.__code__))
        for instruction in dis.get_instructions(code)
        if instruction.opname in ("LOAD_ATTR", "LOAD_METHOD")
    }
    for name, value in names_of(function):
        if name in attributes and isinstance(value, Op):
            continue  # np.log, not the op
        if isinstance(value, (Kernel, types.FunctionType)):
            yield from unknown(getattr(value, "function", value), seen)
        elif _source(value) is None:
            yield f"{function.__module__}.{function.__name__} uses {name}, {value!r:.60}"


def test_a_kernels_key_covers_everything_it_uses():
    kernels = every_kernel()
    assert len({found.function.__code__ for found in kernels}) > 60
    assert len(kernels) > len({found.function.__code__ for found in kernels})  # some are made by functions
    seen = set()
    assert [fault for found in kernels for fault in unknown(found.function, seen)] == []
    assert all(is_ours(function) for function in seen)


def test_no_two_intrinsics_have_one_key():
    intrinsics = [value for value in gc.get_objects() if issubclass(type(value), Intrinsic)]
    keys = [cache.key(_source(intrinsic)) for intrinsic in intrinsics]
    assert len(set(keys)) == len(keys) > 10


MAKER = """
import math
import numpy as np
from math import exp, log
from typing import NamedTuple

class Pair(NamedTuple):
    first: float
    second: float = 2.0

TABLE = np.array([1.0, 2.0])
PAIR = Pair(1.0)
FUNCTION = exp

def double(x):
    return 2.0 * x

def make(factor, change, mode):
    def made(x, y, block, step=1):
        pair = Pair(x[0], x[1])
        values = [change(value) for value in x]
        y[0] = factor * FUNCTION(pair.first) + values[1] + TABLE[0] + PAIR.second
        if mode == "add":
            y[0] += 1.0
    return made

made = make(3.0, double, "add")
"""


def maker_key(text):
    space = {"__name__": "byhand.made_here"}
    exec(text, space)
    return cache.key(source_of(space["made"]))


@pytest.mark.parametrize(
    "change",
    [
        ("make(3.0", "make(4.0"),
        ("double, ", "abs, "),
        ('"add")', '"take")'),
        ("2.0 * x", "2.5 * x"),
        ("first: float\n    second: float = 2.0", "second: float\n    first: float = 2.0"),
        ("second: float = 2.0", "second: float = 3.0"),
        ("first: float\n", "first: float\n    third: float = 0.0\n"),
        ("TABLE = np.array([1.0, 2.0])", "TABLE = np.array([1.0, 3.0])"),
        ("PAIR = Pair(1.0)", "PAIR = Pair(1.5)"),
        ("FUNCTION = exp", "FUNCTION = log"),
        ("change(value)", "change(value + 1.0)"),
        ('mode == "add"', 'mode == "sub"'),
        ("step=1", "step=2"),
    ],
    ids=lambda change: change[1],
)
def test_what_is_read_from_closures_and_operands_is_part_of_the_key(change):
    assert change[0] in MAKER
    assert maker_key(MAKER) == maker_key(MAKER)
    assert maker_key(MAKER.replace(*change)) != maker_key(MAKER)


class Sizes(NamedTuple):
    rows: int
    columns: int


class SizesTurned(NamedTuple):
    columns: int
    rows: int


def test_the_layout_of_an_operand_is_part_of_the_key():
    assert cache.key(kind_of(Sizes(1, 2))) == cache.key(kind_of(Sizes(3, 4)))
    SizesTurned.__qualname__ = Sizes.__qualname__
    assert repr(SizesTurned) == repr(Sizes)
    assert cache.key(kind_of(Sizes(1, 2))) != cache.key(kind_of(SizesTurned(1, 2)))
    assert cache.key(kind_of(Sizes(1, 2))) != cache.key(kind_of((1, 2)))
