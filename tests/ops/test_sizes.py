"""Convolutions and matrix products at sizes around multiples of the register tile, the block and the SIMD width."""

import numpy as np
import pytest

import byhand as bh

# images, height, width, groups, channels and filters per group, kernel, stride, padding, dilation
CONVOLUTIONS = [
    (1, 1, 1, 1, 1, 1, (1, 1), 1, "valid", 1),
    (1, 1, 1, 1, 100, 17, (1, 1), 1, "valid", 1),
    (3, 5, 4, 1, 3, 100, (3, 3), 1, "same", 1),
    (1, 31, 29, 1, 3, 33, (7, 7), 2, 3, 1),
    (2, 13, 3, 1, 100, 31, (3, 2), (2, 1), (0, 2, 1, 0), 1),
    (70, 8, 8, 1, 17, 40, (3, 3), 1, 1, 1),
    (130, 3, 3, 1, 64, 64, (3, 3), 1, 1, 1),
    (4, 33, 15, 1, 16, 16, (3, 3), 2, 1, 1),
    (2, 20, 20, 1, 8, 70, (3, 3), 3, 2, 2),
    (2, 9, 8, 17, 1, 1, (3, 3), 1, 1, 1),
    (2, 17, 18, 100, 1, 1, (5, 3), 2, "same", 1),
    (3, 9, 8, 3, 17, 5, (3, 3), 2, "same", (2, 1)),
    (2, 14, 14, 5, 1, 3, (3, 3), 1, 1, 1),
    (1, 60, 60, 1, 32, 48, (3, 3), 1, 1, 1),
    (1, 7, 7, 1, 300, 300, (3, 3), 1, 1, 1),
    (1, 9, 7, 2, 200, 150, (3, 3), 1, 1, 1),
    (1, 21, 21, 1, 64, 64, (1, 1), 1, 1, 1),  # rows of padding fill a chunk of the sums
    (1, 28, 28, 1, 64, 64, (1, 1), 1, 4, 1),
    (3, 17, 40, 1, 64, 16, (1, 1), 1, (3, 4, 1, 3), 1),
]
LIMIT = {np.float64: 1e-13, np.float32: 2e-5}


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=lambda case: "-".join(map(str, case)).replace(" ", ""))
def test_a_convolution_does_what_numpy_does(case, dtype):
    images, height, width, groups, depth, filters_per_group, kernel, stride, padding, dilation = case
    filters = groups * filters_per_group
    rng = np.random.default_rng(0)
    x, weight, bias = (
        rng.standard_normal(shape).astype(dtype)
        for shape in ((images, height, width, groups * depth), (*kernel, depth, filters), (filters,))
    )
    attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    expected, got = (bh.conv2d(x, weight, bias, hand=hand, **attributes) for hand in ("arrays", "compiled"))
    close(got, expected, dtype)
    grad = rng.standard_normal(expected.shape).astype(dtype)
    expected, got = (
        bh.conv2d.backward(grad, x, weight, bias, hand=hand, **attributes) for hand in ("arrays", "compiled")
    )
    for ours, theirs in zip(got, expected, strict=True):
        close(ours, theirs, dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_a_cropped_transposed_convolution_does_what_numpy_does(dtype):
    """Its filters are 1x1: rows that the padding crops have no part in their gradient."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((1, 23, 23, 64)).astype(dtype), rng.standard_normal((1, 1, 64, 64)).astype(dtype)
    grad = np.ones_like(bh.conv_transpose2d(x, weight, None, padding=1))
    passes = (
        bh.conv_transpose2d.backward(grad, x, weight, None, padding=1, hand=hand) for hand in ("compiled", "arrays")
    )
    for ours, theirs in zip(*passes, strict=True):
        if theirs is not None:
            close(ours, theirs, dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(
    "sizes", [(1, 1, 1), (1, 1352, 10), (13, 100, 33), (64, 400, 120), (65, 17, 300), (300, 31, 7)], ids=str
)
def test_a_matrix_product_does_what_numpy_does(sizes, dtype):
    rows, depth, units = sizes
    rng = np.random.default_rng(0)
    x, weight, bias, grad = (
        rng.standard_normal(shape).astype(dtype) for shape in ((rows, depth), (depth, units), (units,), (rows, units))
    )
    close(bh.linear(x, weight, bias), bh.linear(x, weight, bias, hand="arrays"), dtype)
    passes = (bh.linear.backward(grad, x, weight, bias, hand=hand) for hand in ("compiled", "arrays"))
    for ours, theirs in zip(*passes, strict=True):
        close(ours, theirs, dtype)


def close(got, expected, dtype):
    assert np.isfinite(got).all()
    assert np.abs(got - expected).max() <= LIMIT[dtype] * max(1, np.abs(expected).max())


@pytest.mark.parametrize("pool", [{}, {"pool_padding": 1}, {"ceil_mode": True}, {"pool_padding": (1, 0)}], ids=str)
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("size", [13, 12])
def test_a_pooled_gray_convolution_sees_nothing_beyond_its_image(size, padding, pool):
    """Backward without a gradient of the images; windows that hang over the edge have places that no pixel fills."""
    op, rng = bh.conv2d_max_pool, np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in ((9, size, size, 1), (3, 3, 1, 8), (8,))]
    call = op.infer([array.shape for array in arrays], {"relu": True, "padding": padding, "pool_kernel": 2, **pool})
    results = {}
    for hand in ("arrays", "compiled"):
        outputs = op.allocate(call, np.float64)
        op.hand(hand).forward(*arrays, *outputs.values(), **call.attributes)
        arguments = dict(zip(op.inputs, arrays)) | outputs
        arguments |= {"grad_y": np.sin(np.arange(outputs["y"].size)).reshape(outputs["y"].shape), "grad_x": None}
        arguments |= {"grad_weight": np.full((3, 3, 1, 8), np.nan), "grad_bias": np.full(8, np.nan)}
        op.hand(hand).backward(*(arguments[name] for name in op.backward_arguments), **call.attributes)
        results[hand] = arguments["grad_weight"], arguments["grad_bias"]
    for ours, theirs in zip(results["compiled"], results["arrays"], strict=True):
        close(ours, theirs, np.float64)
