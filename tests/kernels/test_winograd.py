"""Winograd's convolution: matrices, transforms, all passes, accuracy, bits."""

import sys
from contextlib import nullcontext
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import byhand as bh
from byhand.kernels import capture, compiled, conv, kernel, launch, scratch
from byhand.kernels.conv import winograd_arrays
from byhand.kernels.conv.algorithm import ALGORITHMS, force, names, supports, with_precision
from byhand.kernels.conv.problem import PASSES, ConvShape, Problem
from byhand.kernels.microkernel.bilinear_map import Grid, bilinear_map, bilinear_map_rounded, bilinear_map_with_epilogue
from byhand.kernels.microkernel.microkernel import epilogue
from byhand.kernels.runtime.cpu import TARGETS, vector_unit
from byhand.kernels.runtime.launch_graph import fixed_weights
from byhand.kernels.runtime.thread_pool import limit
from byhand.ops.conv.conv2d import conv_shape
from tests.kernels import process
from tests.kernels.guard_pages import GuardedBuffers

OUTPUTS = (2, 4, 6)
SHAPES = {  # images, channels, filters, groups, padding
    "7x7": ((2, 7, 7), 20, 36, 1, 1),
    "14x14": ((1, 14, 14), 16, 16, 1, 1),
    "odd, no padding": ((3, 9, 13), 5, 7, 1, 0),
    "uneven padding": ((1, 6, 5), 3, 33, 1, (2, 0, 1, 3)),
    "3x3": ((4, 3, 3), 1, 1, 1, 0),
    "grouped": ((2, 8, 10), 12, 66, 3, 1),
    "many tiles": ((9, 16, 16), 4, 40, 1, 1),
}


def case(name, dtype=np.float32):
    """Return (x, weight, grad_y, the attributes) of a shape."""
    rng = np.random.default_rng(0)
    size, channels, filters, groups, padding = SHAPES[name]
    x = rng.standard_normal((*size, channels)).astype(dtype)
    weight = rng.standard_normal((3, 3, channels // groups, filters)).astype(dtype)
    call = bh.conv2d.contract(x.shape, weight.shape, padding=padding, groups=groups)
    return x, weight, rng.standard_normal(call.shapes["y"]).astype(dtype), call.attributes


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("taps", [2, 3])
def test_the_matrices_are_exact(outputs, taps):
    matrices = winograd_arrays.matrices(outputs, taps)
    bt, g, at = ([[Fraction(value).limit_denominator(10**6) for value in row] for row in matrix] for matrix in matrices)
    size = outputs + taps - 1
    for i, r, j in product(range(outputs), range(taps), range(size)):
        total = sum(at[i][p] * g[p][r] * bt[p][j] for p in range(size))
        assert total == (j == i + r)  # y[i] = sum over r of weight[r] * x[i + r]


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("name", [name for name in SHAPES if name != "grouped"])
def test_the_arrays_convolve(name, outputs):
    x, weight, grad_y, attributes = case(name, np.float64)
    expected = bh.conv2d.backward(grad_y, x, weight, None, hand="arrays", **attributes)
    y, padding = bh.conv2d(x, weight, hand="arrays", **attributes), attributes["padding"]
    results = (
        winograd_arrays.forward_arrays(x, weight, padding, outputs),
        winograd_arrays.backward_data_arrays(grad_y, weight, padding, outputs),
        winograd_arrays.backward_weights_arrays(x, grad_y, padding, outputs),
    )
    for ours, theirs in zip(results, (y, *expected)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())


@pytest.mark.parametrize(("outputs", "dtype"), [*((size, np.float32) for size in OUTPUTS), (4, np.float64)])
@pytest.mark.parametrize("name", SHAPES)
def test_all_passes_agree_with_the_arrays_of_the_op(name, outputs, dtype):
    x, weight, grad_y, attributes = case(name, dtype)
    rng = np.random.default_rng(1)
    statistics = [rng.uniform(0.5, 1.5, weight.shape[3]).astype(dtype) for _ in range(5)]
    inputs = (x, weight, *statistics, rng.standard_normal(grad_y.shape).astype(dtype))
    expected = bh.conv2d_block(*inputs, activation="relu", hand="arrays", **attributes)
    gradients = bh.conv2d.backward(grad_y, x, weight, None, hand="arrays", **attributes)
    with force(f"winograd{outputs}x{outputs}"):
        y = bh.conv2d_block(*inputs, activation="relu", **attributes)
        ours = bh.conv2d.backward(grad_y, x, weight, None, **attributes)
    unit = 1e-5 if dtype is np.float32 else 1e-13
    for got, wanted in zip((y, *ours[:2]), (expected, *gradients[:2])):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=unit * 10 * np.abs(wanted).max())


def arguments(pass_name, x, weight, grad_y, shape, out):
    """Return the arguments of a pass, which writes `out`."""
    return {
        "forward": (x, weight, out, epilogue(out), shape),
        "backward_data": (weight, grad_y, out, shape),
        "backward_weights": (x, grad_y, out, shape),
    }[pass_name]


BFLOAT16 = "winograd2x2_bfloat16"
needs_bfloat16 = pytest.mark.skipif(not vector_unit().bfloat16, reason="this CPU has no vdpbf16ps")


@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize(
    ("name", "forced"),
    [
        ("14x14", "winograd4x4"),
        ("grouped", "winograd4x4"),
        ("many tiles", "winograd4x4"),
        pytest.param("14x14", BFLOAT16, marks=needs_bfloat16),
        pytest.param("many tiles", BFLOAT16, marks=needs_bfloat16),
    ],
)
def test_the_bits_do_not_depend_on_threads(name, forced, pass_name):
    x, weight, grad_y, attributes = case(name)
    shape = conv_shape(x.shape, weight.shape, grad_y.shape, **attributes)
    out = np.empty_like({"forward": grad_y, "backward_data": x, "backward_weights": weight}[pass_name])
    results = []
    for threads in (1, 2, 4):
        with limit(threads):
            graph, _ = capture(
                ALGORITHMS[forced].launcher(pass_name), *arguments(pass_name, x, weight, grad_y, shape, out)
            )
            graph.run()
        results.append(out.tobytes())
    assert len(set(results)) == 1


def test_fixed_weights_are_transformed_once():
    x, weight, grad_y, attributes = case("14x14")
    shape = conv_shape(x.shape, weight.shape, grad_y.shape, **attributes)
    y = np.empty_like(grad_y)
    forward = ALGORITHMS["winograd4x4"].forward
    changing, _ = capture(forward, x, weight, y, epilogue(y), shape)
    with fixed_weights(weight):
        fixed, _ = capture(forward, x, weight, y, epilogue(y), shape)
    assert "transform_filters" in [launch.name for launch in changing.all_launches]
    assert "transform_filters" not in [launch.name for launch in fixed.all_launches]
    changing.run()
    before = y.copy()
    weight[...] = 0
    fixed.run()
    np.testing.assert_array_equal(y, before)


def test_filters_that_two_norms_scale_are_transformed_for_each():
    x, weight, grad_y, _ = case("14x14")
    rng = np.random.default_rng(4)
    norms = [[rng.uniform(0.5, 1.5, 16).astype(np.float32) for _ in range(4)] for _ in range(2)]
    results = [np.empty_like(grad_y) for _ in norms]
    block = bh.conv2d_block.hands["compiled"].forward
    call = bh.conv2d_block.contract(x.shape, weight.shape, padding=1)

    def both():
        for norm, y in zip(norms, results):
            block(x, weight, None, *norm, None, y, **call.attributes)

    with fixed_weights(weight, *norms[0], *norms[1]), force("winograd4x4"):
        graph, _ = capture(both)
    graph.run()
    for norm, y in zip(norms, results):
        expected = bh.conv2d_block(x, weight, None, *norm, padding=1, hand="arrays")
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@compiled
def convolve_twice(x, first, second):
    """Write x convolved with filters of ones, then with such of twos, at one address."""
    weight, call = scratch(3, 3, 16, 16, dtype=x.dtype), bh.conv2d.contract(x.shape, (3, 3, 16, 16), padding=1)
    shape = conv_shape(x.shape, weight.shape, call.shapes["y"], **call.attributes)
    for number, y in ((1.0, first), (2.0, second)):
        launch(write, 1, weight.reshape(-1), number)
        conv.forward(x, weight, y, epilogue(x), shape)


@kernel
def write(array, number, block):
    for i in range(array.size):
        array[i] = number


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", ["packed", "winograd4x4"])
def test_filters_that_a_hand_computes_are_transformed_as_they_are(name, fixed):
    x = np.ones((1, 14, 14, 16), np.float32)
    first, second = np.empty_like(x), np.empty_like(x)
    with force(name), fixed_weights(x[:0]) if fixed else nullcontext():
        graph, _ = capture(convolve_twice, x, first, second)
    graph.run()
    np.testing.assert_allclose([first[0, 5, 5], second[0, 5, 5]], [[144.0] * 16, [288.0] * 16], rtol=1e-5)


PAIRED = {  # images, channels, filters, padding: even numbers of channels
    "7x7": ((3, 7, 7), 20, 36, 1),  # an odd number of tiles, panels that are not full
    "uneven padding": ((1, 6, 5), 2, 34, (2, 0, 1, 3)),
    "no padding": ((3, 9, 13), 18, 6, 0),
    "several chunks": ((9, 16, 16), 64, 40, 1),
    "several chunks, an odd last one": ((65, 7, 7), 70, 68, 1),
}


@needs_bfloat16
@pytest.mark.parametrize("name", PAIRED)
def test_products_of_bfloat16_keep_their_bound(name):
    rng, (size, channels, filters, padding) = np.random.default_rng(0), PAIRED[name]
    x_size, weight_size = (*size, channels), (3, 3, channels, filters)
    call = bh.conv2d.contract(x_size, weight_size, padding=padding)
    shape = conv_shape(x_size, weight_size, call.shapes["y"], **call.attributes)
    arrays = [rng.standard_normal(size).astype(np.float32) for size in (x_size, weight_size, call.shapes["y"])]
    for pass_name in PASSES:
        exact, unit = (run("packed", pass_name, np.float64, shape, function, arrays) for function in (np.array, np.abs))
        found = run(BFLOAT16, pass_name, np.float32, shape, np.array, arrays)
        assert np.abs(found - exact).max() <= 0.25 * ALGORITHMS[BFLOAT16].error * unit.max()


@needs_bfloat16
def test_products_of_bfloat16_are_chosen_where_they_are_asked_for_and_gain():
    large, odd = (
        ConvShape((14, 14), (14, 14), (3, 3), (1, 1), (1,) * 4, (1, 1), 1, *size) for size in ((256, 256), (33, 65))
    )
    assert BFLOAT16 not in names(large, 16, 4).values()
    with with_precision("bf16"):
        assert set(names(large, 16, 4).values()) == {BFLOAT16}
        assert BFLOAT16 not in names(odd, 16, 4).values()  # channels that make no pairs
        assert BFLOAT16 not in names(large, 16, 8).values()  # float64


@needs_bfloat16
def test_filters_of_bfloat16_are_transformed_once_with_the_scales_of_a_norm():
    x, weight, grad_y, _ = case("14x14")
    statistics = np.random.default_rng(4).uniform(0.5, 1.5, (4, 16)).astype(np.float32)
    y, block = np.empty_like(grad_y), bh.conv2d_block.hands["compiled"].forward
    call = bh.conv2d_block.contract(x.shape, weight.shape, padding=1)
    with fixed_weights(weight, statistics), force(BFLOAT16):
        graph, _ = capture(block, x, weight, None, *statistics, None, y, **call.attributes)
    graph.run()
    assert "transform_filters" not in [launch.name for launch in graph.all_launches]
    expected = bh.conv2d_block(x, weight, None, *statistics, padding=1, hand="arrays")
    np.testing.assert_allclose(y, expected, rtol=0, atol=0.02 * np.abs(expected).max())


# accuracy -------------------------------------------------------------------------------------------------------------


def values(rng, size, kind):
    """Return random numbers, or such as are hard to add up."""
    normal = rng.standard_normal(size)
    if kind == "equal signs":
        return np.abs(normal)
    if kind == "offset":
        return 100 + normal
    if kind == "alternating":
        return np.where(np.indices(size).sum(0) % 2, -1, 1) * (1 + 0.01 * normal)
    if kind == "wide":
        return normal * 10.0 ** rng.uniform(-6, 6, size)
    if kind == "outliers":
        normal.reshape(-1)[::97] *= 1e5
    return normal


KINDS = ("normal", "equal signs", "offset", "alternating", "wide", "outliers")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pass_name", PASSES)
def test_no_error_is_beyond_the_bound_of_the_algorithm(pass_name, kind):
    rng = np.random.default_rng(2)
    for n, size, channels, filters in ((2, 14, 64, 32), (1, 7, 256, 16), (1, 26, 3, 5)):
        x_size, weight_size = (n, size, size, channels), (3, 3, channels, filters)
        call = bh.conv2d.contract(x_size, weight_size, padding=1)
        shape = conv_shape(x_size, weight_size, call.shapes["y"], **call.attributes)
        problem = Problem(pass_name, shape, n, 4)
        able = [algorithm for algorithm in ALGORITHMS.values() if supports(algorithm, problem)]
        assert {"winograd2x2", "winograd4x4", "winograd6x6"} < {algorithm.name for algorithm in able}
        for weight_kind in KINDS:
            arrays = [
                values(rng, size, how).astype(np.float32)
                for size, how in ((x_size, kind), (weight_size, weight_kind), (call.shapes["y"], weight_kind))
            ]
            exact, unit = (
                run("packed", pass_name, np.float64, shape, function, arrays) for function in (np.array, np.abs)
            )
            for algorithm in able:
                found = run(algorithm.name, pass_name, np.float32, shape, np.array, arrays)
                assert np.abs(found - exact).max() <= algorithm.error * unit.max(), (algorithm.name, weight_kind)


# Images and filters, the same in all channels, so that roundings add up: the largest errors of 4x4 and of 6x6 in a search.
WORST = {
    "winograd4x4": (
        [[-0.24, -1.46, 1.37, 0.98], [0.23, -0.54, 0.91, 0.03], [1.05, 0.32, -1.89, 1.03], [-1.97, -1.08, 0.13, 0.99]],
        [[1.91, -0.31, 1.4], [-0.58, 1.17, -0.96], [0.4, -0.11, 1.98]],
    ),
    "winograd6x6": (
        [[1.03, 1.04, 1.56, -1.69], [-0.39, -0.11, 1.37, 1.72], [-1.32, -1.95, 1.1, 1.34], [1.91, 1.95, -1.9, -0.93]],
        [[2.0, 0.47, 0.38], [0.67, -0.17, -0.14], [-0.01, 0.75, -0.89]],
    ),
}


@pytest.mark.parametrize("worst", WORST)
def test_the_worst_that_a_search_finds_is_within_the_bounds(worst):
    image, filters = (np.array(values, np.float32)[..., None] for values in WORST[worst])
    x, weight = np.tile(image[None], (1, 1, 1, 256)), np.tile(filters[..., None], (1, 1, 256, 1))
    exact, unit = (
        bh.conv2d(*map(function, (x, weight)), padding=1, hand="arrays") for function in (np.float64, np.abs)
    )
    for name in ("direct", "packed", "winograd2x2", "winograd4x4", "winograd6x6"):
        with force(name):
            error = np.abs(bh.conv2d(x, weight, padding=1) - exact).max() / unit.max()
        assert error <= ALGORITHMS[name].error, name
        assert name != worst or error > ALGORITHMS[name].error / 10  # the bound is not far from what happens


def run(name, pass_name, dtype, shape, function, arrays):
    """Return the result of a pass on a function of arrays."""
    x, weight, grad_y = (function(array.astype(dtype)) for array in arrays)
    out = np.empty_like({"forward": grad_y, "backward_data": x, "backward_weights": weight}[pass_name])
    if ALGORITHMS[name].launcher(pass_name) is None:
        name = "direct"
    ALGORITHMS[name].launcher(pass_name)(*arguments(pass_name, x, weight, grad_y, shape, out))
    return out


# bilinear maps --------------------------------------------------------------------------------------------------------

MATRIX = ((1.0, -2.0, 0.0), (0.5, 0.0, 3.0), (0.5, 0.0, -3.0), (0.0, 1.0, 1.0))
apply_map, apply_map_with_epilogue = bilinear_map(MATRIX), bilinear_map_with_epilogue(MATRIX)
apply_map_rounded = bilinear_map_rounded(MATRIX)


@kernel
def run_map(x, y, length, block):
    apply_map(Grid(x, 1, 3 * length + 2, length), Grid(y, 2, 4 * length + 1, length), length)


@kernel
def run_map_with_epilogue(x, y, length, epilogue, block):
    apply_map_with_epilogue(Grid(x, 1, 3 * length + 2, length), Grid(y, 2, 4 * length + 1, length), length, epilogue)


@kernel
def run_map_rounded(x, y, length, block):
    apply_map_rounded(Grid(x, 1, 3 * length + 2, length), Grid(y, 2, 4 * length + 1, length), length)


@needs_bfloat16
@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 32, 39])
def test_rounded_maps_write_the_nearest_bfloat16_numbers(length):
    x = np.random.default_rng(5).standard_normal(2 * (3 * length + 2) + 3 * length + 1).astype(np.float32)
    y = np.zeros(2 + 4 * (4 * length + 1), np.float32)
    places = (2 + np.arange(4)[:, None] * (4 * length + 1) + np.arange(4) * length)[..., None] + np.arange(length)
    put_x, words = map(GuardedBuffers().place, (x, np.zeros((places.max() + 2) // 2, np.float32)))
    launch(run_map, 1, x, y, length)
    launch(run_map_rounded, 1, put_x, words, length)
    numbers = (words.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_allclose(numbers[places], y[places], rtol=2.0**-8)
    assert not np.delete(numbers, places.ravel()).any()
    twin = np.zeros_like(words)
    run_map_rounded.run((x, twin, length), 0, 0)
    np.testing.assert_allclose((twin.view(np.uint16).astype(np.uint32) << 16).view(np.float32), numbers, rtol=2.0**-7)


def check_bilinear_maps():
    """Hold both forms to NumPy, on memory that ends where the arrays end; print how many calls there were."""
    rng, buffers, calls = np.random.default_rng(3), GuardedBuffers(), 0
    matrix = np.array(MATRIX)
    for dtype, length in product((np.float32, np.float64), range(1, 40)):
        x = rng.standard_normal(2 * (3 * length + 2) + 3 * length + 1).astype(dtype)
        starts = np.arange(3)[:, None] * (3 * length + 2) + np.arange(3) * length + 1
        grid = x[starts[..., None] + np.arange(length)]
        expected = np.einsum("ip,pqk,jq->ijk", matrix, grid, matrix)
        places = (2 + np.arange(4)[:, None] * (4 * length + 1) + np.arange(4) * length)[..., None] + np.arange(length)
        y = np.zeros(places.max() + 1, dtype)
        residual = rng.standard_normal(y.size).astype(dtype)
        for steps in (None, *range(4)):
            buffers.clear()
            put_x, put_y, put_residual = map(buffers.place, (x, y, residual))
            wanted = expected
            if steps is None:
                launch(run_map, 1, put_x, put_y, length)
            else:
                added, relu = bool(steps & 1), bool(steps & 2)
                ep = epilogue(put_y, residual=put_residual if added else None, relu=relu)
                launch(run_map_with_epilogue, 1, put_x, put_y, length, ep)
                wanted = wanted + residual[places] if added else wanted
                wanted = np.maximum(wanted, 0) if relu else wanted
            np.testing.assert_allclose(put_y[places], wanted, rtol=0, atol=1e-5 if dtype is np.float32 else 1e-13)
            outside = np.delete(put_y, places.ravel())
            assert not outside.any()
            calls += 1
    print(calls)


@pytest.mark.parametrize("target", TARGETS)
def test_bilinear_maps_on_every_vector_unit(target):
    text = "from tests.kernels.test_winograd import check_bilinear_maps; check_bilinear_maps()"
    assert process.run(text, BYHAND_TARGET=target) == "390\n"


CHECKED = """
import numpy as np
import byhand as bh
from byhand.kernels.conv.algorithm import force
rng = np.random.default_rng(0)
x, weight = rng.standard_normal((1, 5, 6, 3)).astype(np.float32), rng.standard_normal((3, 3, 3, 4)).astype(np.float32)
residual = rng.standard_normal((1, 5, 6, 4)).astype(np.float32)
with force("winograd2x2"):
    y = bh.conv2d_block(x, weight, shortcut=residual, activation="relu", padding=1)
    gradients = bh.conv2d.backward(residual, x, weight, None, padding=1)
expected = bh.conv2d_block(x, weight, shortcut=residual, activation="relu", padding=1, hand="arrays")
theirs = bh.conv2d.backward(residual, x, weight, None, padding=1, hand="arrays")
print(max(np.abs(a - b).max() for a, b in zip((y, *gradients[:2]), (expected, *theirs[:2]))) < 1e-4)
"""


@pytest.mark.parametrize("mode", ["BYHAND_DEBUG", "NUMBA_DISABLE_JIT"])
def test_the_python_of_the_kernels_does_the_same(mode):
    assert process.run(CHECKED, **{mode: "1"}) == "True\n"


GUARDED = """
import numpy as np
import byhand as bh
from byhand.kernels.conv.algorithm import ALGORITHMS, supports
from byhand.kernels.conv.problem import Problem
from byhand.ops.conv.conv2d import conv_shape
from tests.kernels.guard_pages import GuardedBuffers
from tests.kernels.test_winograd import SHAPES, arguments, case
buffers = GuardedBuffers()
for name in SHAPES:
    x, weight, grad_y, attributes = case(name)
    shape = conv_shape(x.shape, weight.shape, grad_y.shape, **attributes)
    for at_end in (True, False):
        buffers.clear()
        x, weight, grad_y, y, grad_x, grad_weight = (buffers.place(a, at_end) for a in (x, weight, grad_y, grad_y, x, weight))
        for algorithm in ALGORITHMS.values():
            for pass_name, out in (("forward", y), ("backward_data", grad_x), ("backward_weights", grad_weight)):
                if "winograd" in algorithm.name and supports(algorithm, Problem(pass_name, shape, len(x), 4)):
                    algorithm.launcher(pass_name)(*arguments(pass_name, x, weight, grad_y, shape, out))
print("whole")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no mprotect here")
def test_nothing_outside_the_arrays_is_touched():
    assert process.run(GUARDED) == "whole\n"
