"""resize against ONNX's cases and PyTorch's `F.interpolate`."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import byhand as bh
from byhand.errors import ArgumentError
from byhand.graph.serial import from_json, to_json
from byhand.nn import Input, Resize, Upsample
from byhand.ops import HANDS
from byhand.ops.movement.interpolation import COORDINATE_MODES, Interpolation, interpolation_weights
from tests.ops import torch_twins
from tests.oracle import needs_torch

# ONNX's cases -------------------------------------------------------------------------------------------------------------


def onnx_cases():
    """Return ONNX's test cases of Resize by name: the node's attributes, its inputs by name, its output."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # making the cases of other ops overflows
        from onnx.backend.test.loader import load_model_tests
        from onnx.helper import get_attribute_value

        found = load_model_tests(kind="node")  # all of them: they are made once a process, and the suite needs them too
    cases = {}
    for case in found:
        if case.name.startswith("test_resize_"):
            (node,), ((inputs, outputs),) = case.model.graph.node, case.data_sets
            names = [name for name in node.input if name]
            values = {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}
            values = {key: value.decode() if isinstance(value, bytes) else value for key, value in values.items()}
            cases[case.name] = values, dict(zip(names, [array for array in inputs if array is not None])), outputs[0]
    return cases


CASES = onnx_cases()


def settled(attributes, given, shape):
    """Return the attributes of a case as `taps` takes them, and by axis (scale, size, start, end)."""
    how = {
        theirs if ours is None else ours: attributes[theirs]
        for theirs, ours in (
            ("mode", None),
            ("coordinate_transformation_mode", "coordinates"),
            ("nearest_mode", "nearest"),
            ("cubic_coeff_a", "cubic_a"),
            ("exclude_outside", None),
            ("antialias", None),
        )
        if theirs in attributes
    }
    axes = attributes.get("axes", range(len(shape)))
    if "scales" in given:
        scales = given["scales"].astype(np.float64)
        sizes = [int(shape[axis] * scale) for axis, scale in zip(axes, scales)]
    else:
        sizes = [int(size) for size in given["sizes"]]
        scales = [size / shape[axis] for axis, size in zip(axes, sizes)]
        policy = {"not_larger": min, "not_smaller": max}.get(attributes.get("keep_aspect_ratio_policy"))
        if policy:
            scales = [policy(scales)] * len(scales)
            sizes = [math.floor(shape[axis] * scale + 0.5) for axis, scale in zip(axes, scales)]
    ends = given.get("roi", [0.0] * len(sizes) + [1.0] * len(sizes))
    return how, {
        axis: (float(scale), size, float(start), float(end))
        for axis, scale, size, start, end in zip(axes, scales, sizes, ends, ends[len(sizes) :])
    }


def test_there_are_cases_of_every_kind():
    told = [attributes for attributes, _, _ in CASES.values()]
    assert len(told) >= 39 and {settings.get("coordinate_transformation_mode", "half_pixel") for settings in told} == {
        *COORDINATE_MODES,
        "tf_crop_and_resize",
    }


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("name", [name for name in CASES if "tf_crop" not in name])
def test_resize_agrees_with_onnx(name, hand):
    attributes, given, expected = CASES[name]
    x = given["X"]
    how, axes = settled(attributes, given, x.shape)
    assert all(size == x.shape[axis] for axis, (_, size, _, _) in axes.items() if axis < 2)
    scales, size = zip(axes[2][:2], axes[3][:2])
    y = bh.resize(np.moveaxis(x, 1, -1), size=size, scales=scales, hand=hand, **how)
    assert y.dtype == np.float32
    np.testing.assert_allclose(np.moveaxis(y, -1, 1), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", [name for name in CASES if "tf_crop" in name])
def test_taps_do_what_onnx_does(name):
    """For any axis, and for a part of it: what lies outside has no weight, and takes a value."""
    attributes, given, expected = CASES[name]
    y, outside = given["X"].astype(np.float64), np.zeros(expected.shape, bool)
    how, axes = settled(attributes, given, y.shape)
    for axis, (scale, size, start, end) in axes.items():
        indices, weights = interpolation_weights(y.shape[axis], size, scale, Interpolation(**how), (start, end))
        y = np.moveaxis(np.einsum("ik,ik...->i...", weights, np.moveaxis(y, axis, 0)[indices]), 0, axis)
        outside |= np.moveaxis(~weights.any(1).reshape(-1, *[1] * (y.ndim - 1)), 0, axis)
    y[outside] = attributes.get("extrapolation_value", 0.0)
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-6)


@given(
    length=st.integers(1, 9),
    start=st.sampled_from([0.0, 0.25, -0.5, 1.0]),
    end=st.sampled_from([1.0, 0.5, 1.75]),
    size=st.integers(1, 9),
    mode=st.sampled_from(["nearest", "linear", "cubic"]),
    coordinates=st.sampled_from([*COORDINATE_MODES, "tf_crop_and_resize"]),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_taps_lie_on_the_axis_and_weigh_one_in_all(length, size, mode, coordinates, start, end, flags):
    exclude_outside, antialias = flags if mode != "nearest" else (False, False)
    how = Interpolation(mode, coordinates, exclude_outside=exclude_outside, antialias=antialias)
    indices, weights = interpolation_weights(length, size, size / length, how, (start, end))
    assert indices.shape == weights.shape and indices.dtype == np.int64
    assert (indices >= 0).all() and (indices < length).all() and (np.diff(indices) == 1).all()
    inside = weights.any(1)
    np.testing.assert_allclose(weights[inside].sum(1), 1, rtol=1e-14)
    assert inside.all() or coordinates == "tf_crop_and_resize"


# PyTorch's F.interpolate ----------------------------------------------------------------------------------------------------

MODES = {  # PyTorch's arguments, and what they are here
    "nearest": ({"mode": "nearest"}, {"coordinates": "asymmetric", "nearest": "floor"}),
    "nearest_exact": ({"mode": "nearest-exact"}, {"nearest": "round_prefer_ceil"}),
    "linear": ({"mode": "bilinear"}, {"mode": "linear"}),
    "linear_corners": (
        {"mode": "bilinear", "align_corners": True},
        {"mode": "linear", "coordinates": "align_corners"},
    ),
    "cubic": ({"mode": "bicubic"}, {"mode": "cubic"}),
    "cubic_corners": ({"mode": "bicubic", "align_corners": True}, {"mode": "cubic", "coordinates": "align_corners"}),
    "linear_antialias": (
        {"mode": "bilinear", "antialias": True},
        {"mode": "linear", "antialias": True, "exclude_outside": True},
    ),
    "cubic_antialias": (
        {"mode": "bicubic", "antialias": True},
        {"mode": "cubic", "antialias": True, "exclude_outside": True, "cubic_a": -0.5},
    ),
}
SIZES = [(12, 10, 24, 20), (12, 10, 6, 5), (7, 9, 11, 4), (5, 40, 17, 1), (1, 3, 4, 3), (63, 47, 9, 100)]


@needs_torch
@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", MODES)
def test_resize_agrees_with_pytorch(name, sizes, hand):
    theirs, mine = MODES[name]
    height, width, *size = sizes
    channels = 3 if hand == "loops" else 19
    rng = np.random.default_rng(0)
    x, grad = rng.standard_normal((2, height, width, channels)), rng.standard_normal((2, *size, channels))
    if hand == "loops":
        x, grad = x[:1], grad[:1]
    leaf = torch_twins.torch.from_numpy(x).movedim(-1, 1).requires_grad_()
    expected = torch_twins.F.interpolate(leaf, size=size, **theirs)
    (slope,) = torch_twins.torch.autograd.grad(expected, leaf, torch_twins.torch.from_numpy(grad).movedim(-1, 1))
    for dtype, limit in ((np.float64, 1e-13), (np.float32, 2e-6)):
        image, more = x.astype(dtype), grad.astype(dtype)
        y = bh.resize(image, size=tuple(size), hand=hand, **mine)
        back = bh.resize.backward(more, image, size=tuple(size), hand=hand, **mine)
        for ours, right in ((y, expected.detach()), (back, slope)):
            right = right.movedim(1, -1).numpy()
            assert np.abs(ours - right).max() <= limit * max(1, np.abs(right).max())


# large and extreme sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 64])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_many_blocks_do_what_numpy_does(mode, channels):
    rng = np.random.default_rng(0)
    x, size = rng.standard_normal((3, 61, 83, channels)).astype(np.float32), (97, 54)
    grad = rng.standard_normal((3, *size, channels)).astype(np.float32)
    how = {"size": size, "mode": mode, "antialias": mode == "cubic"}
    np.testing.assert_allclose(bh.resize(x, **how), bh.resize(x, hand="arrays", **how), atol=3e-6)
    ours, theirs = (bh.resize.backward(grad, x, hand=hand, **how) for hand in ("compiled", "arrays"))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("hand", HANDS)
def test_a_pixel_without_weight_leaves_no_trace(hand):
    x = np.array([1.0, np.inf, 3.0, 4.0]).reshape(1, 1, 4, 1)
    y = bh.resize(x, size=(1, 2), mode="linear", coordinates="align_corners", hand=hand)
    assert y.ravel().tolist() == [1, 4]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"size": 0}, "resize: size is 0; expected a whole number, 1 or more"),
        ({"size": 4, "mode": "bilinear"}, "resize: mode is 'bilinear'; expected one of nearest, linear, cubic"),
        ({"size": 4, "coordinates": "tf_crop_and_resize"}, "resize: coordinates is .*; expected one of half_pixel, "),
        ({"size": 4, "nearest": "up"}, "resize: nearest is 'up'; expected one of round_prefer_floor, "),
        (
            {"size": 4, "antialias": True},
            "resize: antialias is set, but mode=.nearest. uses one pixel; take mode='linear'",
        ),
        ({"size": 4, "exclude_outside": 1}, "resize: exclude_outside is set, but"),
        ({"size": 4, "scales": 2.5}, r"resize: scales is \(2.5, 2.5\), which makes 5 of 2 pixels, but size asks for 4"),
        ({"size": 1, "scales": 1e-9, "mode": "linear", "antialias": True}, "which makes 2e-09 of 2 pixels"),
        ({"size": 4, "scales": (2, 2, 2)}, r"resize: scales is \(2, 2, 2\); expected a number or \(height, width\)"),
        ({"size": 4, "scales": float("nan")}, "resize: scales is nan; expected a number"),
        ({"size": 4, "cubic_a": "b"}, "resize: cubic_a is 'b'; expected a number"),
    ],
)
def test_mismatched_arguments_are_refused(attributes, message):
    with pytest.raises(ArgumentError, match=message):
        bh.resize(np.ones((1, 2, 2, 1)), **attributes)


def test_an_upsampling_needs_an_image_and_a_scale():
    for scale, image in (((1, 2, 3), Input(2, 2, 1)), (2, Input(3))):
        with pytest.raises(ArgumentError, match=r"upsample1: got .*; expected \(N, H, W, C\) and \(height, width\)"):
            Upsample(scale)(image)
    with pytest.raises(ArgumentError, match="upsample1: size is 0; expected"):
        Upsample(0.25)(Input(2, 2, 1))


def test_an_image_larger_than_any_is_refused_in_an_untrusted_file():
    x = Input(2, 2, 1)
    data = to_json(x.graph, Resize((4, 4))(x))
    assert from_json(data)[1].shape == (1, 4, 4, 1)
    data["nodes"][0]["attributes"]["size"] = [2**21, 2**20]
    with pytest.raises(bh.FileError, match="has more elements"):
        from_json(data)
