"""Output sizes, pads and receptive fields against PyTorch and brute force."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import byhand as bh
from byhand.errors import ArgumentError, ShapeError
from byhand.shapes import axes, broadcast, infer_reshape, integer, normal_axis, number, pair, receptive_field, window
from tests.oracle import needs_torch

SMALL_SIZES = st.integers(1, 4)
PAIR = st.tuples(SMALL_SIZES, SMALL_SIZES)
SIZE = st.tuples(st.integers(1, 30), st.integers(1, 30))
PADS = st.tuples(*[st.integers(0, 5)] * 4)


def starts(size, reach, stride, before, after, ceil_mode):
    """Return where each window of one axis starts, by trying one after the other."""
    found, start = [], -before
    while start + reach <= size + after:
        found.append(start)
        start += stride
    if ceil_mode and found and found[-1] + reach < size + after and start < size:
        found.append(start)  # it hangs over the edge, but begins on the image or in the padding before
    return found


@given(SIZE, PAIR, PAIR, PADS, PAIR, st.booleans())
def test_output_size_is_the_number_of_windows_that_fit(size, kernel, stride, padding, dilation, ceil_mode):
    expected = [
        len(starts(size[i], (kernel[i] - 1) * dilation[i] + 1, stride[i], *padding[2 * i : 2 * i + 2], ceil_mode))
        for i in (0, 1)
    ]
    if 0 in expected:
        with pytest.raises(ShapeError, match=r"the window reaches over .* use a smaller kernel"):
            window(size, kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    else:
        assert window(size, kernel, stride, padding, dilation, ceil_mode=ceil_mode).output == tuple(expected)


@needs_torch
@given(SIZE, PAIR, PAIR, st.tuples(st.integers(0, 3), st.integers(0, 3)), PAIR, st.booleans())
def test_sizes_are_pytorchs(size, kernel, stride, padding, dilation, ceil_mode):
    import torch
    from torch.nn import functional

    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    assume(all(s + 2 * p >= r for s, p, r in zip(size, padding, reach)))
    x = torch.empty(1, 1, *size, device="meta")  # a shape without numbers
    if not ceil_mode:
        y = functional.conv2d(x, torch.empty(1, 1, *kernel, device="meta"), None, stride, padding, dilation)
        assert window(size, kernel, stride, padding, dilation).output == tuple(y.shape[2:])
    assume(all(2 * p <= k for p, k in zip(padding, kernel)))
    y = functional.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
    assert window(size, kernel, stride, padding, dilation, ceil_mode=ceil_mode).output == tuple(y.shape[2:])


@given(SIZE, PAIR, PAIR, PAIR)
def test_same_padding_keeps_the_size_with_the_odd_pixel_last(size, kernel, stride, dilation):
    view = window(size, kernel, stride, "same", dilation)
    assert view.output == tuple(-(-pixels // step) for pixels, step in zip(size, stride))
    for i in (0, 1):
        before, after = view.padding[2 * i : 2 * i + 2]
        assert after - before in (0, 1)
        if before + after:  # no more than it takes: the last window ends where the padding does
            reach = (kernel[i] - 1) * dilation[i] + 1
            assert (view.output[i] - 1) * stride[i] + reach == size[i] + before + after


def test_ways_to_write_a_setting():
    assert window((9, 9), 3, 2, 1) == window([9, 9], (3, 3), (2, 2), (1, 1, 1, 1)) == window((9, 9), [3, 3], 2, (1, 1))
    assert window((9, 9), np.int64(3)) == window((9, 9), 3, padding="valid") == window((9, 9), 3, padding=0)
    assert window((9, 5), (3, 2), padding=(1, 0)).padding == (1, 1, 0, 0)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)), min_size=1, max_size=4))
def test_receptive_field_is_what_a_gradient_reaches(layers):
    size, windows = 200, []
    for kernel, stride, dilation in layers:
        windows.append(window((size, 1), (kernel, 1), (stride, 1), dilation=(dilation, 1)))
        size = windows[-1].output[0]
    grad = np.zeros((1, size, 1, 1))
    grad[0, size // 2] = 1  # one output in the middle
    sizes = [200, *(window.output[0] for window in windows)]
    for layer, height in reversed(list(zip(windows, sizes))):
        settings = {"stride": layer.stride, "dilation": layer.dilation}
        grad, _, _ = bh.conv2d.backward(grad, np.ones((1, height, 1, 1)), np.ones((*layer.kernel, 1, 1)), **settings)
    reached = np.flatnonzero(grad)
    assert receptive_field(windows)[0] == reached[-1] - reached[0] + 1


def test_receptive_field_of_nothing_is_a_pixel():
    assert receptive_field([]) == (1, 1)


@given(st.lists(SMALL_SIZES, max_size=4), st.lists(SMALL_SIZES, max_size=4))
def test_broadcast_is_numpys(a, b):
    try:
        expected = np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        with pytest.raises(ShapeError, match="do not fit together"):
            broadcast(tuple(a), tuple(b))
    else:
        assert broadcast(tuple(a), tuple(b)) == expected


@given(st.lists(SMALL_SIZES, min_size=1, max_size=4), st.lists(st.sampled_from([-1, 1, 2, 3, 4, 6]), max_size=3))
def test_reshaped_is_numpys(shape, target):
    try:
        expected = np.empty(shape[1:]).reshape(target).shape
    except ValueError:
        with pytest.raises(ArgumentError, match=r"can't hold|at most one of them -1"):
            infer_reshape(tuple(shape), target)
    else:
        assert infer_reshape(tuple(shape), target) == (shape[0], *expected)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: window((5, 5), 6), ShapeError, "reaches over 6 pixels but the image has a height of 5; use"),
        (lambda: window((9, 5), 6), ShapeError, "has a width of 5; use"),
        (lambda: window((5, 5), 8, padding=1), ShapeError, r"a height of 5 \(with padding, 7\); use"),
        (lambda: window((0, 5), 1, padding=1), ShapeError, "a height of 0"),
        (lambda: window((0, 5), 1, padding="same"), ShapeError, "a height of 0"),
        (lambda: window((5, 5), 0), ArgumentError, "kernel is 0; expected a whole number, 1 or more"),
        (
            lambda: window((5, 5), (3, 3, 3)),
            ArgumentError,
            r"kernel is \(3, 3, 3\); expected a number or \(height, width\)",
        ),
        (lambda: window((5, 5), 3, 0), ArgumentError, "stride is 0; expected"),
        (lambda: window((5, 5), 3, "same"), ArgumentError, "stride is 'same'; expected"),
        (lambda: window((5, 5), 3, dilation=None), ArgumentError, "dilation is None; expected"),
        (lambda: window((5, 5), 3, padding="SAME"), ArgumentError, "padding is 'SAME'; expected 'valid', 'same'"),
        (lambda: window((5, 5), 3, padding=(1, 2, 3)), ArgumentError, r"padding is \(1, 2, 3\); expected"),
        (lambda: window((5, 5), 3, padding=(0, 0, 0, -1)), ArgumentError, "padding is -1; expected .* 0 or more"),
        (lambda: window((5, 5), 3, padding=np.array([1, 1])), ArgumentError, r"padding is array\(\[1, 1\]\); expected"),
        (lambda: integer("n", 1.0), ArgumentError, "n is 1.0; expected a whole number, 1 or more"),
        (lambda: integer("n", True), ArgumentError, "n is True"),
        (lambda: number("rate", "high"), ArgumentError, "rate is 'high'; expected a number$"),
        (lambda: number("rate", -1, 0), ArgumentError, "rate is -1; expected a number, 0 or more"),
        (lambda: number("rate", 1, 0, 1), ArgumentError, "rate is 1; expected a number, from 0 up to 1"),
        (lambda: number("rate", float("nan")), ArgumentError, "rate is nan; expected a number"),
        (lambda: pair("size", (1,)), ArgumentError, r"size is \(1,\); expected a number or \(height, width\)"),
        (lambda: normal_axis(2, 2), ArgumentError, "axis is 2; expected -2 to 1"),
        (lambda: normal_axis(True, 2), ArgumentError, "axis is True"),
        (lambda: axes("x", (2, 0), "N, D"), ShapeError, r"x has the shape \(2, 0\); expected \(N, D\), each 1 or more"),
        (lambda: infer_reshape((), (1,)), ShapeError, r"x has the shape \(\); expected \(N, ...\)"),
        (lambda: infer_reshape((2, 2), 4), ArgumentError, "shape is 4; expected sizes in brackets"),
        (lambda: infer_reshape((2, 2), (0, 2)), ArgumentError, "expected sizes of 1 or more"),
    ],
)
def test_an_error_says_what_was_got_and_expected(call, error, message):
    with pytest.raises(error, match=message):
        call()
