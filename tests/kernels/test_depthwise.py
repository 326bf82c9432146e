"""The depthwise algorithm against PyTorch, on shapes with edges of every kind."""

import numpy as np
import pytest

import byhand as bh
from byhand.kernels.conv import algorithm, epilogue
from byhand.kernels.conv.depthwise import depthwise, depthwise_plan
from byhand.kernels.microkernel.microkernel import no_epilogue
from byhand.kernels.runtime.thread_pool import limit
from byhand.ops.conv.conv2d import conv_shape
from tests.kernels import process
from tests.kernels.guard_pages import GuardedBuffers
from tests.kernels.test_microkernel import needs_mprotect
from tests.ops import torch_twins
from tests.ops.test_torch import compare, ours
from tests.oracle import needs_torch

SHAPES = {  # images (N, H, W, C), (rows, columns) of the window, stride, dilation, padding (top, bottom, left, right)
    "3x3": ((2, 14, 14, 48), (3, 3), 1, 1, (1, 1, 1, 1)),
    "odd sizes, channels not a multiple of the vector": ((3, 13, 11, 37), (3, 3), 1, 1, (1, 1, 1, 1)),
    "stride 2, padding at the end alone": ((2, 12, 15, 24), (3, 3), 2, 1, (0, 1, 0, 1)),
    "stride 2": ((1, 17, 9, 20), (3, 3), 2, 1, (1, 1, 1, 1)),
    "5x5": ((1, 28, 27, 19), (5, 5), 1, 1, (2, 2, 2, 2)),
    "5x5, stride 2": ((2, 15, 14, 40), (5, 5), 2, 1, (2, 1, 1, 2)),
    "7x7 on a map of 3x4": ((2, 3, 4, 33), (7, 7), 1, 1, (3, 3, 3, 3)),
    "dilation 2": ((1, 11, 13, 18), (3, 3), 1, 2, (2, 2, 2, 2)),
    "dilation 2, stride 3": ((2, 20, 17, 16), (3, 3), 3, 2, (1, 2, 0, 3)),
    "1x7": ((2, 5, 20, 3), (1, 7), 1, 1, (0, 0, 3, 3)),
    "7x1, no padding": ((2, 20, 5, 2), (7, 1), 1, 1, (0, 0, 0, 0)),
    "1x1": ((3, 4, 5, 7), (1, 1), 1, 1, (0, 0, 0, 0)),
    "one pixel": ((1, 1, 1, 17), (3, 3), 1, 1, (1, 1, 1, 1)),
    "pixels that see padding alone": ((1, 3, 3, 5), (3, 3), 1, 1, (4, 4, 5, 3)),
    "many small images": ((40, 4, 4, 8), (3, 3), 1, 1, (1, 1, 1, 1)),
    "a large image": ((1, 60, 57, 96), (3, 3), 1, 1, (1, 1, 1, 1)),
}


def drawn(name, dtype=np.float32):
    """Return x, weight, bias, grad_y and the attributes of the op."""
    x_shape, kernel, stride, dilation, padding = SHAPES[name]
    channels, rng = x_shape[3], np.random.default_rng(0)
    attributes = {"stride": stride, "dilation": dilation, "padding": padding, "groups": channels}
    weight_shape = (*kernel, 1, channels)
    y_shape = bh.conv2d.contract(x_shape, weight_shape, **attributes).shapes["y"]
    arrays = [rng.standard_normal(size).astype(dtype) for size in (x_shape, weight_shape, (channels,), y_shape)]
    return *arrays, attributes


@needs_torch
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SHAPES)
def test_all_passes_agree_with_pytorch(name, dtype):
    x, weight, bias, grad_y, attributes = drawn(name, dtype)
    inputs = {"x": x, "weight": weight, "bias": bias}
    expected = torch_twins.results(bh.conv2d, inputs, attributes, grad_y)
    results = ours(bh.conv2d, "compiled", inputs, attributes, grad_y)
    compare(name, results, expected, 1e-5 if dtype is np.float32 else 1e-13, terms=grad_y.size)


@pytest.mark.parametrize("activation", [None, "relu6", "silu", "hard_swish"])
@pytest.mark.parametrize("name", ["3x3", "5x5, stride 2", "odd sizes, channels not a multiple of the vector"])
def test_the_epilogue_is_that_of_an_op_for_each_of_its_steps(name, activation):
    x, weight, bias, residual, attributes = drawn(name)
    y = bh.conv2d(x, weight, hand="arrays", **attributes)
    scale = np.linspace(0.5, 2, len(bias), dtype=np.float32)
    expected = y * scale + bias + residual
    if activation is not None:
        expected = getattr(bh, activation)(expected)
    out = np.full_like(y, np.nan)
    shape = conv_shape(
        x.shape, weight.shape, y.shape, **bh.conv2d.contract(x.shape, weight.shape, **attributes).attributes
    )
    steps = epilogue(x, bias, scale, residual, activation=activation)
    algorithm.forward(x, weight, out, steps, shape)
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["a large image", "many small images", "stride 2"])
def test_bits_are_the_same_at_any_number_of_threads(name):
    x, weight, bias, grad_y, attributes = drawn(name)

    def results():
        y = bh.conv2d(x, weight, bias, hand="compiled", **attributes)
        return y, *bh.conv2d.backward(grad_y, x, weight, bias, hand="compiled", **attributes)

    with limit(1):
        alone = results()
    for result, other in zip(alone, results()):
        np.testing.assert_array_equal(result, other)


def shape_of(name):
    """Return the shape of a drawn convolution."""
    x, weight, _, grad_y, attributes = drawn(name)
    attributes = bh.conv2d.contract(x.shape, weight.shape, **attributes).attributes
    return conv_shape(x.shape, weight.shape, grad_y.shape, **attributes)


def test_blocks_cover_all_rows():
    for name in SHAPES:
        images = SHAPES[name][0][0]
        for pass_name in ("forward", "backward_data"):
            plan = depthwise_plan(pass_name, shape_of(name), images)
            assert plan.blocks == -(-images // plan.images_per_block) * -(-plan.rows.pixels // plan.rows_per_block)
            assert sum(end - first for first, end in plan.row_runs[:, :2]) == plan.rows.y_size


def test_a_large_image_is_cut_into_strips_and_small_images_share_blocks():
    assert depthwise_plan("forward", shape_of("a large image"), 1).blocks == 8
    assert depthwise_plan("forward", shape_of("many small images"), 40).images_per_block > 1


def test_a_window_that_reaches_far_beyond_the_image_has_runs_of_pixels():
    forms = {name: depthwise_plan("forward", shape_of(name), 1) for name in SHAPES}
    assert forms["3x3"].form == 1 and len(forms["3x3"].column_runs) == 1
    assert forms["one pixel"].form == forms["pixels that see padding alone"].form == 0
    assert len(forms["dilation 2"].column_runs) == 3


def check_at_the_edge():
    """Forward and backward_data, in memory that ends, and that begins, where the arrays do."""
    buffers = GuardedBuffers()
    for name in SHAPES:
        x, weight, _, grad_y, attributes = drawn(name)
        y, (grad_x, *_) = (
            bh.conv2d(x, weight, hand="arrays", **attributes),
            bh.conv2d.backward(grad_y, x, weight, hand="arrays", **attributes),
        )
        for at_end in (True, False):
            buffers.clear()
            images, filters, out = (buffers.place(array, at_end) for array in (x, weight, np.full_like(y, np.nan)))
            depthwise.forward(images, filters, out, no_epilogue(x.reshape(-1)[:0]), shape_of(name))
            np.testing.assert_allclose(out, y, rtol=0, atol=2e-5)
            buffers.clear()
            filters, grads, out = (buffers.place(array, at_end) for array in (weight, grad_y, np.full_like(x, np.nan)))
            depthwise.backward_data(filters, grads, out, shape_of(name))
            np.testing.assert_allclose(out, grad_x, rtol=0, atol=2e-5)


@needs_mprotect
@pytest.mark.parametrize("target", ["", "avx2"])  # the widest of this processor, and half of AVX-512
def test_it_stays_within_its_arrays(target):
    text = "from tests.kernels.test_depthwise import check_at_the_edge; check_at_the_edge(); print('done')"
    assert process.run(text, BYHAND_TARGET=target).strip() == "done"


def test_the_python_of_a_row_does_what_its_code_does():
    text = (
        "from tests.kernels.test_depthwise import SHAPES, check_at_the_edge;"
        "[SHAPES.pop(name) for name in list(SHAPES) if name not in ('stride 2', 'one pixel', '1x7')];"
        "check_at_the_edge(); print('done')"
    )
    assert process.run(text, NUMBA_DISABLE_JIT="1").strip() == "done"
