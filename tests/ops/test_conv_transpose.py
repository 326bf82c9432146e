"""Transposed convolution: the input gradient of a convolution, with PyTorch's sizes."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import byhand as bh
from byhand import nn
from byhand.errors import ArgumentError, ShapeError
from byhand.nn import torchvision
from byhand.shapes import receptive_field, transposed_window, window
from tests.ops.test_sizes import close
from tests.oracle import needs_torch

# images, height, width, groups, filters and channels of a group, kernel, stride, padding, output_padding, dilation
SIZES = [
    (1, 1, 1, 1, 64, 100, (4, 4), 1, 0, 0, 1),  # the first layer of a generator
    (2, 1, 5, 1, 3, 4, (2, 3), (1000, 2), 0, 0, 1),
    (1, 7, 7, 1, 100, 31, (4, 4), 2, 1, 0, 1),
    (3, 14, 13, 1, 16, 40, (3, 3), 2, 1, 1, 1),
    (2, 15, 9, 1, 17, 33, (2, 2), 2, 0, 0, 1),
    (2, 9, 8, 17, 1, 1, (3, 3), 2, 1, 1, 1),
    (1, 6, 5, 3, 5, 17, (3, 2), (3, 1), (0, 2, 1, 0), (5, 0), (2, 1)),
    (70, 4, 4, 1, 8, 9, (3, 3), 1, 1, 0, 1),
    (1, 40, 40, 1, 32, 48, (3, 3), 2, 1, 1, 1),
    (2, 5, 5, 1, 3, 2, (1, 1), 4, (3, 0, 9, 1), 0, 1),  # more is cropped than a window covers
    (1, 3, 3, 1, 70, 3, (7, 7), 3, (9, 0, 0, 9), (2, 12), 1),
    (1, 2, 2, 2, 2, 3, (2, 2), (3, 2), 0, 9, (1, 3)),  # windows leave rows between them, and many below
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("case", SIZES, ids=lambda case: "-".join(map(str, case)).replace(" ", ""))
def test_compiled_does_what_numpy_does(case, dtype):
    images, height, width, groups, depth, channels, kernel, stride, padding, more, dilation = case
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal(shape).astype(dtype)
        for shape in (
            (images, height, width, groups * channels),
            (*kernel, depth, groups * channels),
            (groups * depth,),
        )
    ]
    attributes = {
        "stride": stride,
        "padding": padding,
        "output_padding": more,
        "dilation": dilation,
        "groups": groups,
    }
    expected, got = (bh.conv_transpose2d(*arrays, hand=hand, **attributes) for hand in ("arrays", "compiled"))
    close(got, expected, dtype)
    grad = rng.standard_normal(expected.shape).astype(dtype)
    passes = (bh.conv_transpose2d.backward(grad, *arrays, hand=hand, **attributes) for hand in ("arrays", "compiled"))
    for ours, theirs in zip(*passes, strict=True):
        close(ours, theirs, dtype)


@pytest.mark.parametrize("hand", bh.conv_transpose2d.hands)
@pytest.mark.parametrize(
    ("size", "settings"),
    [
        ((7, 8), {"stride": 2, "padding": 1}),
        ((9, 7), {"stride": (3, 2), "padding": "same", "groups": 2}),
        ((8, 8), {"dilation": 2, "padding": (0, 1, 2, 0)}),
        ((12, 11), {"stride": 4}),
    ],
    ids=str,
)
def test_conv_transpose_is_the_input_gradient_of_a_convolution(size, settings, hand):
    """With the convolution's weight as it is; what its last windows left over is output_padding."""
    rng = np.random.default_rng(1)
    images, weight = np.zeros((2, *size, 4)), rng.standard_normal((3, 3, 4 // settings.get("groups", 1), 6))
    y = bh.conv2d(images, weight, **settings)
    x = rng.standard_normal(y.shape)
    expected, _, _ = bh.conv2d.backward(x, images, weight, hand="loops", **settings)
    view = window(size, 3, settings.get("stride", 1), settings.get("padding", "valid"), settings.get("dilation", 1))
    settings = settings | {"padding": view.padding}
    short = bh.conv_transpose2d(x, weight, hand=hand, **settings)
    more = tuple(pixels - got for pixels, got in zip(size, short.shape[1:3]))
    got = bh.conv_transpose2d(x, weight, output_padding=more, hand=hand, **settings)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("hand", bh.conv_transpose2d.hands)
def test_pixels_outside_every_window_hold_the_bias(hand):
    x, weight, bias = np.ones((1, 2, 1, 1)), np.ones((1, 2, 1, 1)), np.array([0.5])
    y = bh.conv_transpose2d(x, weight, bias, stride=(3, 1), output_padding=(2, 1), hand=hand)
    rows = [1.5, 0.5, 0.5, 1.5, 0.5, 0.5]
    np.testing.assert_array_equal(y[0, :, :, 0], np.transpose([rows, rows, [0.5] * 6]))
    y = bh.conv_transpose2d(x, weight, bias, padding=(2, 0, 0, 0), output_padding=(1, 0), hand=hand)
    np.testing.assert_array_equal(y[0, :, :, 0], [[0.5, 0.5]])


PAIR = st.tuples(st.integers(1, 4), st.integers(1, 4))


@needs_torch
@given(PAIR, PAIR, PAIR, st.tuples(st.integers(0, 3), st.integers(0, 3)), PAIR, st.data())
def test_sizes_are_pytorchs(size, kernel, stride, padding, dilation, data):
    import torch
    from torch.nn import functional

    more = tuple(data.draw(st.integers(0, max(pair) - 1)) for pair in zip(stride, dilation))
    x, weight = torch.empty(1, 1, *size, device="meta"), torch.empty(1, 1, *kernel, device="meta")
    whole = transposed_window(size, kernel, stride, 0, more, dilation).output
    assume(all(2 * crop < pixels for crop, pixels in zip(padding, whole)))
    y = functional.conv_transpose2d(x, weight, None, stride, padding, more, 1, dilation)
    assert transposed_window(size, kernel, stride, padding, more, dilation).output == tuple(y.shape[2:])


X, WEIGHT = np.ones((1, 4, 4, 2)), np.ones((3, 3, 3, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: bh.conv_transpose2d(X[0], WEIGHT), ShapeError, r"x has the shape \(4, 4, 2\); expected \(N, H, W, C\)"),
        (lambda: bh.conv_transpose2d(X, WEIGHT[0]), ShapeError, r"weight has .*; expected \(R, S, K / groups, C\)"),
        (lambda: bh.conv_transpose2d(X, WEIGHT[..., :1]), ShapeError, "x has 2 channels, but weight .* reads 1; its last"),
        (lambda: bh.conv_transpose2d(X, WEIGHT, groups=3), ShapeError, "2 channels do not fall into 3 groups; use a"),
        (lambda: bh.conv_transpose2d(X, WEIGHT, [1.0]), ShapeError, r"bias has the shape \(1,\); expected \(3,\)"),
        (lambda: bh.conv_transpose2d(X, WEIGHT, padding=3), ShapeError, "crops 6 pixels, but .* a height of 6; use a"),
        (lambda: bh.conv_transpose2d(X, WEIGHT, padding=(0, 9)), ShapeError, "crops 18 pixels, but .* a width of 6"),
        (lambda: bh.conv_transpose2d(X, WEIGHT, padding="same"), ArgumentError, "padding is 'same'; expected a number,"),
        (lambda: bh.conv_transpose2d(X, WEIGHT, padding=-1), ArgumentError, "padding is -1; expected .* 0 or more"),
        (lambda: bh.conv_transpose2d(X, WEIGHT, output_padding=-1), ArgumentError, "output_padding is -1; expected a"),
        (lambda: bh.conv_transpose2d(X, WEIGHT, stride=0), ArgumentError, "stride is 0; expected a whole number, 1"),
        (lambda: nn.ConvTranspose2d(3, groups=2)(nn.Input(4, 4, 2)), ArgumentError, "conv1: got 3 filters; expected a mul"),
        (lambda: nn.ConvTranspose2d(3)(nn.Input(4)), ShapeError, "conv1: x has the shape .* expected"),
        (lambda: nn.ConvTranspose2d(0), ArgumentError, "ConvTranspose2d: filters is 0; expected a whole number"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_work_is_that_of_the_convolution_it_reads_backwards():
    model_up = nn.ConvTranspose2d(3, 4, stride=2, padding=1, bias=False)(nn.Input(5, 6, 2)).graph
    model_down = nn.Conv2d(2, 4, stride=2, padding=1)(nn.Input(10, 12, 3)).graph
    up, down = (next(iter(graph.plan(1, training=False)[0].values())).flops for graph in (model_up, model_down))
    assert up == down == 2 * 5 * 6 * 2 * 4 * 4 * 3


LAYERS = st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=4)


@given(LAYERS)
def test_a_receptive_field_is_the_most_that_gradients_reach(layers):
    """Behind a transposed convolution outputs differ in what they see; if a stride leads down, too, none may see that much."""
    sizes, windows = [60], []
    for up, kernel, stride in layers:
        assume(up or sizes[-1] >= kernel)
        windows.append((transposed_window if up else window)((sizes[-1], 1), (kernel, 1), (stride, 1)))
        sizes.append(windows[-1].output[0])
    assume(sizes[-1] < 600)
    grad = np.eye(sizes[-1])[:, :, None, None]  # an output each
    for placed, size in reversed(list(zip(windows, sizes))):
        op = bh.conv_transpose2d if placed.transposed else bh.conv2d
        x, weight = np.ones((len(grad), size, 1, 1)), np.ones((*placed.kernel, 1, 1))
        grad, _, _ = op.backward(grad, x, weight, hand="arrays", stride=placed.stride)
    reached = [np.flatnonzero(row) for row in grad[:, :, 0, 0]]
    most, told = max(1 + rows[-1] - rows[0] for rows in reached if rows.size), receptive_field(windows)[0]
    assert most == told if all(up or stride == 1 for up, _, stride in layers) else most <= told


def test_a_summary_rounds_what_is_seen_down():
    x = nn.Input(16, 16, 1)
    y = nn.ConvTranspose2d(1, 2, stride=2)(x)
    z = nn.Conv2d(1, 3)(y)
    rows = nn.Model(x, nn.Flatten()(nn.Conv2d(1, 3)(z))).summary().rows
    assert [row.receptive_field for row in rows] == [1, 2, 3, 3]


@needs_torch
def test_pytorchs_weights_are_read(tmp_path):
    import torch
    from safetensors.torch import save_file

    theirs = torch.nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2)
    save_file({f"up.{name}": tensor for name, tensor in theirs.state_dict().items()}, tmp_path / "up.safetensors")
    x = nn.Input(5, 4, 6)
    y = nn.ConvTranspose2d(4, 3, stride=2, padding=1, output_padding=1, groups=2, name="up")(x)
    model = nn.Model(x, nn.Flatten()(y))
    torchvision.load(model, tmp_path / "up.safetensors")
    images = np.random.default_rng(0).standard_normal((2, 5, 4, 6)).astype(np.float32)
    expected = theirs(torch.from_numpy(images).movedim(-1, 1)).movedim(1, -1).detach().numpy()
    np.testing.assert_allclose(model.trace(images)["up"], expected, rtol=0, atol=1e-6)
