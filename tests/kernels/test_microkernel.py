"""The register tile against NumPy, on every target and at every tile size."""

import sys
from functools import partial

import numpy as np
import pytest

from byhand.kernels import kernel, launch
from byhand.kernels.microkernel.activation import activation_steps
from byhand.kernels.microkernel.microkernel import scatter, tile, tile_of_list, tile_per_channel
from byhand.kernels.microkernel.operands import ADD, BIAS, CAP, RELU, RESIDUAL, SCALE, ZERO, A, B, C, Epilogue, Extent
from byhand.kernels.runtime.cpu import TARGETS, vector_unit
from tests.kernels import process
from tests.kernels.guard_pages import GuardedBuffers

needs_mprotect = pytest.mark.skipif(sys.platform == "win32", reason="no mprotect here")


def run_kernel(form):
    """Return a kernel that runs one form of the tile."""

    @kernel
    def run_tile(a, b, c, extent, initial, epilogue, block):
        form(a, b, c, extent, initial, epilogue)

    return run_tile


@kernel
def run_scatter(source, places, numbers, target, rows, columns, block):
    scatter(source, places, numbers, target, rows, columns)


KINDS = {  # the kernel; whether a and b have a number for each column; whether segments are of length 1
    "tile": (run_kernel(tile), 0, 1, False),
    "tile_per_channel": (run_kernel(tile_per_channel), 1, 1, False),
    "tile_of_list": (run_kernel(tile_of_list), 1, 0, True),
}
DTYPES = (np.float32, np.float64)
OUT_OF_BOUNDS_OFFSET = 1 << 40  # a read there ends the process


class Case:
    """One call of a tile: tables and numbers, and what NumPy says of it."""

    def __init__(self, rng, dtype, kind, rows, columns, segments, length, initial, epilogue, place=np.array):
        _, self.a_wide, self.b_wide, flat = KINDS[kind]
        length = 1 if flat else length
        first, segment, a_start, b_start, c_start, bias_start = rng.integers(0, 3, 6)
        b_step = columns + 1 if self.b_wide else 1
        a_step = columns + 2 if self.a_wide else int(rng.integers(1, 3))
        self.a_rows = first_rows(rng.permutation(rows) * 5, first)
        self.a_segments = first_rows(rng.permutation(segments) * 7, segment)
        self.b_segments = first_rows(rng.permutation(segments) * (length * b_step + 1), segment)
        self.c_rows = first_rows(rng.permutation(rows) * (columns + int(rng.integers(0, 3))), first)
        m, n, t, k = np.ix_(*map(np.arange, (rows, columns, segments, length)))
        self.at_a = a_start + self.a_rows[first + m] + self.a_segments[segment + t] + k * a_step + self.a_wide * n
        self.at_b = (
            b_start + (self.b_segments[segment + t] if self.b_wide else t * b_step) + k * b_step + self.b_wide * n
        )
        self.at_c = (c_start + self.c_rows[first + m] + n)[..., 0, 0]
        a, b, c = (rng.standard_normal(at.max(initial=-1) + 1) for at in (self.at_a, self.at_b, self.at_c))
        bias, scale = rng.standard_normal((2, bias_start + columns))
        residual = rng.standard_normal(c.size)
        self.a, self.b, self.c, self.bias, self.scale, self.residual = (
            place(array.astype(dtype)) for array in (a, b, c, bias, scale, residual)
        )
        tables = self.a_rows, self.a_segments, self.b_segments, self.c_rows
        self.a_rows, self.a_segments, self.b_segments, self.c_rows = map(place, tables)
        self.arguments = (
            A(self.a, int(a_start), self.a_rows[first:], self.a_segments[segment:], a_step),
            B(self.b, int(b_start), self.b_segments[segment:], b_step),
            C(self.c, int(c_start), self.c_rows[first:], int(bias_start)),
            Extent(rows, columns, segments, length),
            initial,
            Epilogue(epilogue, self.bias, self.scale, self.residual),
        )
        self.initial, self.epilogue, self.bias_start = initial, epilogue, bias_start

    def expected(self):
        """Return c as it ought to be, in float64."""
        a, b, c = (array.astype(np.float64) for array in (self.a, self.b, self.c))
        total = np.zeros(self.at_c.shape)
        if self.initial == ADD:
            total = c[self.at_c]
        if self.initial == BIAS:
            total = total + self.bias[self.bias_start :]
        with np.errstate(invalid="ignore"):
            total = total + (a[self.at_a] * b[self.at_b]).sum((2, 3))
            if self.epilogue & SCALE:
                total = total * self.scale[self.bias_start :] + self.bias[self.bias_start :]
            if self.epilogue & RESIDUAL:
                total = total + self.residual.astype(np.float64)[self.at_c]
            total = np.where(total < 0, 0, total) if self.epilogue & RELU else total
            total = np.clip(total, 0, 6) if self.epilogue & CAP else total
        c[self.at_c] = total
        return c


def first_rows(table, first):
    """Return a table that begins at `first`; the entries before it point out of bounds."""
    return np.concatenate([np.full(first, OUT_OF_BOUNDS_OFFSET), table]).astype(np.int64)


def agree(got, expected, dtype, who):
    tolerance = (5e-6 if dtype is np.float32 else 1e-14) * max(
        1, np.abs(expected[np.isfinite(expected)]).max(initial=0)
    )
    good = np.allclose(got, expected, rtol=0, atol=tolerance, equal_nan=True)
    assert good, f"{who}: {got}\nnot\n{expected}"


def sizes():
    """Yield (rows, columns): all numbers of columns, with numbers of rows that need every kind of tile."""
    most = 2 * vector_unit().tile_rows + 2
    for columns in range(1, vector_unit().tile_columns(np.float32) + 1):
        yield from (
            (rows, columns)
            for rows in {
                1,
                2,
                3,
                5,
                7,
                vector_unit().tile_rows - 1,
                vector_unit().tile_rows,
                vector_unit().tile_rows + 1,
                most,
            }
        )


def check(place=np.array, clear=lambda: None):
    """Hold all tiles to NumPy."""
    rng = np.random.default_rng(0)
    variants = [(initial, epilogue) for initial in (ZERO, ADD, BIAS) for epilogue in range(RELU + SCALE + RESIDUAL + 1)]
    for dtype in DTYPES:
        for kind in KINDS:
            for i, (rows, columns) in enumerate(sizes()):
                if columns <= vector_unit().tile_columns(dtype):
                    clear()
                    initial, epilogue = variants[i % len(variants)]
                    segments, length = ((1, 1), (3, 5), (2, 1), (1, 9), (0, 4))[i % 5]
                    case = Case(rng, dtype, kind, max(1, rows), columns, segments, length, initial, epilogue, place)
                    expected = case.expected()
                    launch(KINDS[kind][0], 1, *case.arguments)
                    agree(
                        case.c,
                        expected,
                        dtype,
                        f"{kind}, {rows} x {columns}, {segments} x {length}, {initial}, {epilogue}",
                    )


def scatter_case(rng, dtype, rows, columns, several, place=np.array):
    first, offset, a_start, b_start, c_start = map(int, rng.integers(0, 3, 5))
    a_rows = first_rows(rng.permutation(rows) * (columns + 1), first)
    c_rows = first_rows(rng.permutation(rows) * (columns + 2), first)
    places = first_rows(rng.integers(0, 9, several), offset)
    m, n, t = np.ix_(*map(np.arange, (rows, columns, several)))
    at_a, at_c = (a_start + a_rows[first + m] + n)[..., 0], c_start + places[offset + t] + c_rows[first + m] + n
    sizes = (at_a.max() + 1, b_start + several, at_c.max(initial=-1) + 1)
    a, b, c = (rng.standard_normal(size).astype(dtype) for size in sizes)
    expected = c.astype(np.float64)
    np.add.at(expected, at_c, a.astype(np.float64)[at_a][..., None] * b[b_start:].astype(np.float64))
    a, b, c, a_rows, c_rows, places = map(place, (a, b, c, a_rows, c_rows, places))
    source, target = C(a, a_start, a_rows[first:], 0), C(c, c_start, c_rows[first:], 0)
    return (source, places[offset:], b[b_start:], target, rows, columns), c, expected


def check_scatter(place=np.array, clear=lambda: None):
    """Hold `scatter` to NumPy."""
    rng = np.random.default_rng(1)
    for dtype in DTYPES:
        for i, (rows, columns) in enumerate(sizes()):
            if columns <= vector_unit().tile_columns(dtype):
                clear()
                arguments, c, expected = scatter_case(rng, dtype, max(1, rows), columns, i % 4, place)
                launch(run_scatter, 1, *arguments)
                agree(c, expected, dtype, f"scatter, {rows} x {columns}")


def check_anywhere():
    """Hold all of them to NumPy."""
    check()
    check_scatter()


def check_at_the_edge():
    """Hold all of them to NumPy, on arrays that end where memory ends, and on such as begin there."""
    buffers = GuardedBuffers()
    for at_end in (True, False):
        place = partial(buffers.place, at_end=at_end)
        check(place, buffers.clear)
        check_scatter(place, buffers.clear)


WORK = """
from byhand.kernels.runtime.cpu import vector_unit
from tests.kernels.test_microkernel import {0}
{0}()
print(vector_unit().target)
"""


@pytest.mark.parametrize("target", TARGETS)
def test_a_tile_agrees_with_numpy(target):
    work = "check_anywhere" if sys.platform == "win32" else "check_at_the_edge"
    assert process.run(WORK.format(work), BYHAND_TARGET=target).strip() == target


@needs_mprotect
def test_an_out_of_bounds_access_is_detected():
    text = """
import numpy as np
from tests.kernels.guard_pages import GuardedBuffer
array = GuardedBuffer().place(np.zeros(3, np.float32), {})
np.lib.stride_tricks.as_strided(array, (4,), ({},))[3] = 1
"""
    for at_end, step in ((True, 4), (False, -4)):
        ended = process.start(text.format(at_end, step))
        ended.communicate()
        assert ended.returncode < 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_python_of_a_tile_does_what_its_code_does(kind, dtype):
    rng = np.random.default_rng(2)
    for initial in (ZERO, ADD, BIAS):
        for epilogue in (*range(RELU + SCALE + RESIDUAL + 1), SCALE + activation_steps("relu6")):
            case = Case(rng, dtype, kind, 3, min(5, vector_unit().tile_columns(dtype)), 2, 3, initial, epilogue)
            before = case.c.copy()
            launch(KINDS[kind][0], 1, *case.arguments)
            got = case.c.copy()
            case.c[...] = before
            KINDS[kind][0].run(case.arguments, 0, 0)
            agree(got, case.c.astype(np.float64), dtype, kind)


def test_the_python_of_scatter_does_what_its_code_does():
    arguments, c, expected = scatter_case(
        np.random.default_rng(3), np.float32, 4, min(3, vector_unit().tile_columns(np.float32)), 3
    )
    run_scatter.run(arguments, 0, 0)
    agree(c, expected, np.float32, "scatter in Python")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("epilogue", [0, RELU, SCALE + RESIDUAL, SCALE + RESIDUAL + RELU])
def test_nan_and_infinity_pass(kind, dtype, value, epilogue):
    rng = np.random.default_rng(4)
    for columns in range(1, vector_unit().tile_columns(dtype) + 1, 3):
        for where in ("a", "b", "c", "bias"):
            case = Case(rng, dtype, kind, 5, columns, 2, 3, {"c": ADD, "bias": BIAS}.get(where, ZERO), epilogue)
            array = getattr(case, where)
            array[rng.integers(0, array.size, 2)] = value
            expected = case.expected()
            launch(KINDS[kind][0], 1, *case.arguments)
            agree(case.c, expected, dtype, f"{kind}, {where}")
