"""The algorithm `bfloat16`: rounding, every kind of convolution, accuracy, memory bounds, threads, modes."""

import sys

import numpy as np
import pytest

import byhand as bh
from byhand.kernels import capture, conv
from byhand.kernels.conv.algorithm import force, names, with_precision
from byhand.kernels.conv.bfloat16 import applies, bfloat16
from byhand.kernels.conv.direct import direct
from byhand.kernels.conv.packed import packed
from byhand.kernels.conv.problem import PASSES, Problem
from byhand.kernels.microkernel.rounding import half, pair_rows, round_pairs
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.kernel import kernel
from byhand.kernels.runtime.launch import launch
from byhand.kernels.runtime.launch_graph import fixed_weights
from byhand.kernels.runtime.thread_pool import limit
from byhand.ops.conv.conv2d import conv_shape
from byhand.ops.conv.linear import matrix_shape
from tests.kernels import process
from tests.kernels.guard_pages import GuardedBuffers

pytestmark = pytest.mark.skipif(not vector_unit().bfloat16, reason="this CPU has no vdpbf16ps")

CONVOLUTIONS = {  # images (N, H, W, C), filters (R, S, C / groups, K), attributes
    "first layer": ((2, 9, 10, 3), (3, 3, 3, 16), {"padding": 1}),
    "7x7, stride 2": ((1, 21, 20, 3), (7, 7, 3, 20), {"padding": 3, "stride": 2}),
    "one channel": ((3, 12, 11, 1), (5, 5, 1, 6), {}),
    "one pixel": ((5, 1, 1, 17), (1, 1, 17, 33), {}),
    "17 channels": ((1, 7, 7, 17), (3, 3, 17, 17), {"padding": 1}),
    "same": ((2, 8, 9, 6), (2, 4, 6, 5), {"padding": "same"}),
    "padding of each side": ((2, 6, 9, 4), (3, 3, 4, 7), {"padding": (2, 0, 1, 3)}),
    "padding of more than the window": ((1, 4, 5, 4), (3, 2, 4, 3), {"padding": 4}),
    "dilation": ((2, 11, 13, 8), (3, 3, 8, 9), {"padding": 2, "dilation": 2, "stride": (1, 2)}),
    "stride of more than the window": ((2, 11, 12, 5), (2, 1, 5, 4), {"stride": 3}),
    "1x1, stride 2": ((2, 9, 8, 16), (1, 1, 16, 40), {"stride": 2}),
    "1x1": ((3, 7, 7, 24), (1, 1, 24, 40), {}),
    "1x1, padded": ((2, 5, 5, 6), (1, 1, 6, 8), {"padding": 1}),
    "groups": ((2, 8, 8, 15), (3, 3, 5, 9), {"padding": 1, "groups": 3}),
    "groups, 1x1": ((2, 9, 9, 12), (1, 1, 6, 70), {"groups": 2}),
    "many blocks": ((19, 16, 16, 32), (3, 3, 32, 48), {"padding": 1}),
    "strips of an image": ((1, 70, 66, 32), (3, 3, 32, 16), {"padding": 1}),
    "many filters, few pixels": ((1, 4, 4, 64), (3, 3, 64, 640), {"padding": 1}),
}


def rounded(x):
    """Return numbers rounded to bfloat16: normal ones, by adding half of the last place."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)


def convolution(name, draw=lambda rng, shape: rng.standard_normal(shape)):
    """Return (the shape, x, weight, grad_y) of a convolution."""
    x_shape, w_shape, attributes = CONVOLUTIONS[name]
    call = bh.conv2d.contract(x_shape, w_shape, **attributes)
    rng = np.random.default_rng(0)
    arrays = [draw(rng, size).astype(np.float32) for size in (x_shape, w_shape, call.shapes["y"])]
    return conv_shape(x_shape, w_shape, call.shapes["y"], **call.attributes), *arrays


def passes(launchers, shape, x, weight, grad_y, plain=False):
    """Return what the three passes write, the forward one with bias, residual and ReLU, or plain."""
    rng = np.random.default_rng(1)
    bias, residual = (
        rng.standard_normal(weight.shape[3]).astype(x.dtype),
        rng.standard_normal(grad_y.shape).astype(x.dtype),
    )
    y, grad_x, grad_weight = (np.full_like(array, np.nan) for array in (grad_y, x, weight))
    epilogue = conv.epilogue(x) if plain else conv.epilogue(x, bias, None, residual, relu=True)
    forward, backward_data, backward_weights = launchers
    forward(x, weight, y, epilogue, shape)
    backward_data(weight, grad_y, grad_x, shape)
    backward_weights(x, grad_y, grad_weight, shape)
    return {"forward": y, "backward_data": grad_x, "backward_weights": grad_weight}


def float32_passes(shape, x, weight, grad_y):
    """Return the same by the direct algorithms of float32."""
    return passes(DIRECT, shape, x, weight, grad_y)


OURS = bfloat16.forward, bfloat16.backward_data, bfloat16.backward_weights
DIRECT = direct.forward, packed.backward_data, direct.backward_weights


def check(found, expected, tolerance):
    for name in PASSES:
        bound = tolerance * np.abs(expected[name]).max()
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=bound, err_msg=name)


@kernel
def round_some(x, y, start, words, block):
    round_pairs(x, start, words, 0, y)


@kernel
def pair_some(x, first, second, words, block):
    pair_rows(x, first, second, words, 0, words.size)


def bits_of(array):
    return array.view(np.uint32)


def numbers():
    """Return float32 numbers of all kinds: random bits, denormal, zero, infinite, NaN, halfway between two bfloat16."""
    rng = np.random.default_rng(0)
    special = [
        0x00000000,
        0x80000000,
        0x00000001,
        0x807FFFFF,
        0x7F800000,
        0xFF800000,
        0x7FFFFFFF,
        0x7F800001,
        0xFF800001,
    ]
    special += [0x3F808000, 0x3F818000, 0x7F7FFFFF, 0x7F7F8000, 0x7F7F7FFF, 0x00800000]
    return np.concatenate([np.array(special, np.uint32), rng.integers(0, 2**32, 1000, np.uint32)]).view(np.float32)


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 31, 32, 33, 1001])
def test_machine_code_rounds_as_the_python_twin(count):
    x = numbers()[:count]
    found, expected = np.zeros((2, (count + 1) // 2), np.float32)
    launch(round_some, 1, x, count, 0, found)
    round_pairs(x, 0, expected, 0, count)
    np.testing.assert_array_equal(bits_of(found), bits_of(expected))
    for first, second in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        found, expected = np.ones((2, count), np.float32)
        launch(pair_some, 1, x, first, second, found)
        pair_rows(x, first, second, expected, 0, count)
        np.testing.assert_array_equal(bits_of(found), bits_of(expected))


def test_rounding_is_to_the_nearest_even():
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    words = np.zeros(500, np.float32)
    round_pairs(x, 0, words, 0, 1000)
    np.testing.assert_array_equal([half(word, high) for word in words for high in range(2)], rounded(x))
    largest = np.array([3.4e38, -np.inf, np.nan], np.float32)
    round_pairs(largest, 0, words, 0, 3)
    assert [float(half(words[i // 2], i % 2)) for i in range(2)] == [np.inf, -np.inf]
    assert np.isnan(half(words[1], 0))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_numbers_that_need_no_rounding_give_what_float32_gives(name):
    problem = convolution(name, lambda rng, shape: rounded(rng.standard_normal(shape)))
    assert all(applies(Problem(pass_name, problem[0], len(problem[1]), 4)) for pass_name in PASSES)
    check(passes(OURS, *problem), float32_passes(*problem), 1e-5)


@pytest.mark.parametrize("name", ["17 channels", "dilation", "groups, 1x1", "many blocks"])
def test_the_error_is_that_of_the_factors(name):
    problem = convolution(name)
    check(passes(OURS, *problem), float32_passes(*problem), bfloat16.error)


ADVERSARIAL = {
    "equal signs": lambda rng, shape: rng.uniform(0.5, 1.5, shape),
    "a wide range": lambda rng, shape: rng.standard_normal(shape) * 10.0 ** rng.uniform(-15, 15, shape),
    "sums that cancel": lambda rng, shape: (
        np.where(np.indices(shape).sum(0) % 2, 1, -1) * rng.uniform(0.99, 1.01, shape)
    ),
    "halfway": lambda rng, shape: rng.choice([-1, 1], shape) * (1 + 2.0**-8),  # the largest error of rounding
}


@pytest.mark.parametrize("data", ADVERSARIAL)
@pytest.mark.parametrize("convolution_name", ["17 channels", "dilation"])
def test_each_sum_keeps_the_bound(convolution_name, data):
    shape, x, weight, grad_y = convolution(convolution_name, ADVERSARIAL[data])
    wide = [array.astype(np.float64) for array in (x, weight, grad_y)]

    def sums(x, weight, grad_y):
        return passes(OURS if x.dtype == np.float32 else DIRECT, shape, x, weight, grad_y, plain=True)

    absolute = sums(*map(np.abs, wide))
    ours, exact = sums(x, weight, grad_y), sums(*wide)
    for name in PASSES:
        assert (np.abs(ours[name] - exact[name]) <= 1.01 * 2.0**-7 * absolute[name]).all(), name


def test_nan_and_infinity_pass_through():
    shape, x, weight, grad_y = convolution("17 channels")
    x[0, 3, 3, 5], x[0, 0, 0, 0] = np.nan, np.inf
    y = np.empty_like(grad_y)
    bfloat16.forward(x, weight, y, conv.epilogue(x), shape)
    assert np.isnan(y[0, 2:5, 2:5]).all() and np.isinf(y[0, :2, :2]).all()
    assert np.isfinite(y[0, 5:]).all()


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_matrix_products(rows):
    x_shape, shape = (1, rows, 1, 77), matrix_shape((77, 50), rows, 1)
    rng = np.random.default_rng(0)
    x, weight, grad = (rounded(rng.standard_normal(size)) for size in (x_shape, (1, 1, 77, 50), (1, rows, 1, 50)))
    check(passes(OURS, shape, x, weight, grad), float32_passes(shape, x, weight, grad), 1e-5)


def test_the_bits_are_the_same_at_any_number_of_threads():
    problem, results = convolution("many blocks"), []
    for threads in (1, 2, 4):
        with limit(threads):
            results.append(passes(OURS, *problem))
    for found in results[1:]:
        for name in PASSES:
            np.testing.assert_array_equal(bits_of(found[name]), bits_of(results[0][name]))


def test_filters_that_do_not_change_are_packed_once():
    shape, x, weight, grad_y = convolution("many blocks")
    y = np.empty_like(grad_y)
    graphs = {}
    for fixed in (False, True):
        if fixed:
            with fixed_weights(weight):
                graphs[fixed], _ = capture(bfloat16.forward, x, weight, y, conv.epilogue(x), shape)
        else:
            graphs[fixed], _ = capture(bfloat16.forward, x, weight, y, conv.epilogue(x), shape)
        graphs[fixed].run()
        graphs[fixed] = [launch.name for launch in graphs[fixed].all_launches], y.copy()
    assert "pack_filters" in graphs[False][0] and "pack_filters" not in graphs[True][0]
    np.testing.assert_array_equal(graphs[False][1], graphs[True][1])


def test_it_is_taken_where_it_is_asked_for_and_gains():
    linear, single = (matrix_shape((512, 512), rows, 1) for rows in (64, 1))
    assert "bfloat16" not in names(linear, 1, 4, matrix=True).values()
    with with_precision("bf16"):
        assert set(names(linear, 1, 4, matrix=True).values()) == {"bfloat16"}
        assert "bfloat16" not in names(single, 1, 4, matrix=True).values()  # each weight is packed for one product
        assert "bfloat16" not in names(linear, 1, 8, matrix=True).values()  # float64
        shape, images, _, _ = convolution("one channel")
        assert names(shape, len(images), 4)["forward"] == "direct"
        with fixed_weights():
            assert names(single, 1, 4, matrix=True)["forward"] == "bfloat16"
    shape, x, weight, _ = convolution("1x1")
    with force("bfloat16"):
        assert set(names(shape, len(x), 4).values()) == {"bfloat16"}
        exact, found = bh.conv2d(x, weight, hand="arrays"), bh.conv2d(x, weight)
    assert 0 < np.abs(found - exact).max() < bfloat16.error * np.abs(exact).max()


def check_some():
    """Hold some small convolutions to float32."""
    for name in ("one pixel", "padding of more than the window", "1x1, padded", "stride of more than the window"):
        problem = convolution(name, lambda rng, shape: rounded(rng.standard_normal(shape)))
        check(passes(OURS, *problem), float32_passes(*problem), 1e-5)
    print("done")


def test_it_runs_as_plain_python():
    text = "from tests.kernels.test_bfloat16 import check_some; check_some()"
    assert process.run(text, NUMBA_DISABLE_JIT="1").strip() == "done"


def check_where_memory_ends():
    """Run every convolution on arrays that end where memory ends, and on such as begin there."""
    buffers = GuardedBuffers()
    for name in CONVOLUTIONS:
        for at_end in (True, False):
            buffers.clear()
            shape, x, weight, grad_y = convolution(name)
            x, weight, grad_y = (buffers.place(array, at_end) for array in (x, weight, grad_y))
            y, grad_x, grad_weight = (buffers.place(array, at_end) for array in (grad_y, x, weight))
            bfloat16.forward(x, weight, y, conv.epilogue(x), shape)
            bfloat16.backward_data(weight, grad_y, grad_x, shape)
            bfloat16.backward_weights(x, grad_y, grad_weight, shape)
    print("done")


@pytest.mark.skipif(sys.platform == "win32", reason="no mprotect here")
def test_nothing_outside_of_an_array_is_read_or_written():
    text = "from tests.kernels.test_bfloat16 import check_where_memory_ends; check_where_memory_ends()"
    assert process.run(text).strip() == "done"


def test_other_vector_units_have_none():
    text = "from byhand.kernels.runtime.cpu import vector_unit; print(vector_unit().bfloat16)"
    assert process.run(text, BYHAND_TARGET="avx2").strip() == "False"
