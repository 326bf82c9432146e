"""Exported int8 C against its NumPy reference, bit for bit, and its accuracy."""

import numpy as np
import pytest

from byhand import nn, ops
from byhand.errors import UnsupportedError
from byhand.export.execution import apply_step, normalize, run_steps
from byhand.export.int8_program import write_program
from byhand.export.int8_reference import probabilities, requantize, round_to_int8, run_int8
from byhand.export.lowering import StepValue, lower
from byhand.export.quantization import (
    MAX_PRODUCTS,
    MAX_SUM,
    QUANTIZERS,
    Scale,
    fit_scale,
    fixed_point,
    quantize,
)
from tests.export.compile_c import needs_cc, random_pixels, run_c
from tests.export.op_networks import FLOAT32_NETWORKS, INT8_NETWORKS


def quantized_model(model, seed=1):
    return quantize(lower(model), random_pixels(model.input_shape, 24, seed))


@needs_cc
@pytest.mark.parametrize("network", INT8_NETWORKS, ids=lambda network: network.__name__)
def test_c_agrees_with_the_reference_bit_for_bit(network, tmp_path):
    model = network()
    quantized, images = quantized_model(model), random_pixels(model.input_shape, 12)
    ours = run_c(write_program(quantized), images, tmp_path)
    theirs = probabilities(quantized, images).reshape(len(images), -1)
    np.testing.assert_array_equal(ours, theirs)
    assert np.ptp(theirs, axis=0).max() > 0.1


def test_the_networks_cover_every_int8_op():
    assert {step.op for network in INT8_NETWORKS for step in lower(network()).steps} == set(QUANTIZERS)


@needs_cc
@pytest.mark.parametrize("name", ["lenet5", "tiny"])
def test_digits_agree_with_the_reference_bit_for_bit(name, request, digits, tmp_path):
    model, (train, test) = request.getfixturevalue(name), digits
    quantized, images = quantize(lower(model), train.images[:256]), test.images[:30]
    ours = run_c(write_program(quantized), images, tmp_path)
    np.testing.assert_array_equal(ours, probabilities(quantized, images))


@pytest.mark.parametrize(("name", "count"), [("lenet5", 4_000), ("tiny", 2_000)])
def test_int8_costs_at_most_0_3_points_of_accuracy(name, count, request, digits):
    model, (train, test) = request.getfixturevalue(name), digits
    quantized = quantize(lower(model), train.images[:256])
    ours = probabilities(quantized, test.images[:count]).argmax(1)
    theirs = model.predict(test.images[:count]).argmax(1)
    right, exact = ((predicted == test.labels[:count]).mean() for predicted in (ours, theirs))
    assert exact > 0.9 and abs(right - exact) <= 0.003
    assert (ours != theirs).mean() < 0.01


@pytest.mark.parametrize("network", INT8_NETWORKS, ids=lambda network: network.__name__)
def test_each_step_is_exact_but_for_rounding(network):
    """Each step by itself: float32 on the integers that it reads gives its integers, but for rounding."""
    model = network()
    quantized, images = quantized_model(model), random_pixels(model.input_shape, 12, 1)
    made, scales = run_int8(quantized, images), quantized.scales
    for step in quantized.network.steps:
        given = [
            scales[operand.name].dequantize(made[operand.name]).reshape(-1, *operand.shape)
            if isinstance(operand, StepValue)
            else operand
            for operand in step.arguments
        ]
        exact = apply_step(step, given).reshape(len(images), -1)
        scale = scales[step.name]
        inside = np.clip(exact, scale.all_numbers[0], scale.all_numbers[-1])
        far = np.abs(scale.dequantize(made[step.name]).reshape(len(images), -1) - inside) / scale.scale
        weights = step.constants
        if not weights or step.op == "layer_norm":
            assert far.max() <= 0.51, step  # rounded once, to the nearest
        else:  # the weights are rounded too, each by half of 1 / 127 of the largest of its filter
            x = np.abs(given[0]).max() if not isinstance(given[0], np.ndarray) or len(given) > 1 else 1
            terms = weights[0][..., 0].size if step.op in ("conv2d", "linear") else 1
            assert far.max() <= 0.6 + 0.5 * terms * np.abs(weights[0]).max() / 127 * x / scale.scale, step


def test_ops_without_an_int8_form_are_refused_by_name():
    x = nn.Input(6, 5, 3)
    for make, message in (
        (lambda x: ops.maximum(x, nn.Conv2d(3, 1)(x)), "maximum1: the op maximum has no int8 form"),
        (lambda x: ops.resize(x, size=(3, 3), mode="linear"), "resize1: the op resize has an int8 form only where"),
        (lambda x: ops.lrn(x, size=3, beta=0.6), "lrn1: the op lrn has an int8 form only where beta is"),
    ):
        x = nn.Input(6, 5, 3)
        model = nn.Model(x, make(x), classes=())
        with pytest.raises(UnsupportedError, match=message):
            quantized_model(model)


def test_sums_that_overflow_int32_are_refused():
    x = nn.Input(200, 200, 1)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(x)))
    with pytest.raises(UnsupportedError, match="fc1: the op linear adds 40,000 products, but 32 bits hold 33,155"):
        quantized_model(model)


def test_the_largest_allowed_sum_fits_in_int32():
    assert MAX_PRODUCTS * 255 * 127 + MAX_SUM <= 2**31 - 1


@needs_cc
@pytest.mark.parametrize("case", ["dead", "huge", "tiny", "constant"])
def test_extreme_weights_do_not_overflow(case, tmp_path):
    x = nn.Input(6, 6, 2)
    y = nn.ReLU()(nn.Conv2d(4, 3)(x))
    model = nn.Model(x, nn.Linear(3)(nn.Flatten()(y + nn.ReLU()(nn.Conv2d(4, 3)(x)))))
    p = model.parameters
    if case == "dead":
        p["conv1_weight"][...] = 0
        p["conv1_bias"][...] = [-1e4, 0, 1e4, 3]
    if case == "huge":
        p["conv1_weight"][...] *= 1e12
        p["conv2_weight"][...] *= 1e-12
    if case == "tiny":
        p["conv1_weight"][...] *= 1e-30
        p["fc1_weight"][...] *= 1e-30
    if case == "constant":
        p["conv1_weight"][...] = 0
        p["conv2_weight"][...] = 0
        p["conv1_bias"][...] = p["conv2_bias"][...] = -1
    quantized, images = quantized_model(model), random_pixels(model.input_shape, 8)
    ours = run_c(write_program(quantized), images, tmp_path)
    np.testing.assert_array_equal(ours, probabilities(quantized, images))
    assert np.isfinite(ours).all()


# the arithmetic -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1e-25, 2.0**-40, 0.001, 0.3, 0.5, 0.99999999999, 1.0, 3.7, 1e6, 2.0**29])
def test_fixed_point_is_the_ratio_to_31_bits(ratio):
    multiplier, shift = fixed_point(ratio)
    assert 0 <= multiplier < 2**31 and 1 <= shift <= 62
    assert multiplier / 2.0**shift == pytest.approx(ratio, rel=2**-30, abs=2.0**-62)


def test_fixed_point_saturates():
    assert fixed_point(1e30) == (2**31 - 1, 1)


def test_requantize_rounds_halves_away_from_zero():
    n = np.array([-3, -2, -1, 0, 1, 2, 3, 5, -5], np.int64)
    assert requantize(n, 1, 0, -128, 127).tolist() == [-2, -1, -1, 0, 1, 1, 2, 3, -3]
    assert requantize(np.array([2**61, -(2**61)]), 1, 5, -100, 90).tolist() == [90, -100]


def test_round_to_int8_rounds_to_the_nearest():
    v = np.array([-0.5, 0.5, 0.49, 1.5, -1e30, 1e30, 2.4], np.float32)
    assert round_to_int8(v, 1).tolist() == [0, 2, 1, 3, -128, 127, 3]


def test_every_scale_represents_zero_exactly():
    for low, high in ((-1, 3), (0.5, 2), (-7, -2), (0, 1e-3), (-0.001, 1000)):
        scale = fit_scale(low, high)
        assert -128 <= scale.zero_point <= 127 and scale.dequantize(np.array([scale.zero_point]))[0] == 0
        assert scale.all_numbers[0] <= min(low, 0) + scale.scale and scale.all_numbers[-1] >= max(high, 0) - scale.scale


def test_different_pixels_stay_different():
    x = nn.Input(2, 2, 1)
    quantized = quantized_model(nn.Model(x, nn.Linear(2)(nn.Flatten()(x))))
    assert len(np.unique(quantized.pixel_table)) >= 255  # 0 must be representable, so that two may coincide at the end


def test_a_pixel_has_a_table_for_each_channel():
    x = nn.Input(2, 2, 3)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(x)), mean=[0.2, 0.5, 0.7], std=[0.1, 0.2, 0.3])
    quantized = quantized_model(model)
    images = random_pixels((2, 2, 3), 4)
    near = quantized.scales["images"].dequantize(run_int8(quantized, images)["images"])
    assert np.abs(near - model.prepare(images)).max() <= 0.51 * quantized.scales["images"].scale


def test_ops_that_compute_nothing_are_exact():
    """max_pool, a ReLU of its own, flatten, slice: the same numbers, of the same scale."""
    x = nn.Input(8, 8, 3)
    y = nn.Conv2d(4, 3)(x)
    model = nn.Model(x, ops.flatten(ops.relu(ops.max_pool(y, kernel=2))), classes=())
    quantized, images = quantized_model(model), random_pixels((8, 8, 3), 6)
    made = run_int8(quantized, images)
    assert quantized.scales["relu1"] == quantized.scales["max_pool1"] == quantized.scales["conv1"]
    seen = quantized.scales["conv1"].dequantize(made["conv1"]).astype(np.float32)
    exact = np.maximum(ops.max_pool(seen, kernel=2, hand="arrays"), 0)
    np.testing.assert_array_equal(quantized.scales["relu1"].dequantize(made["relu1"]).astype(np.float32), exact)


def test_calibration_sees_all_images(digits, lenet5):
    network = lower(lenet5)
    images = digits[0].images[:100]
    quantized = quantize(network, images)
    made = run_steps(network, normalize(network, images), keep=True)
    for name, values in made.items():
        if name != "images":
            table = quantized.scales[name].all_numbers
            assert values.max() <= table[-1] + 1e-5 and values.min() >= table[0] - quantized.scales[name].scale


def test_an_int8_network_also_runs_in_float32():
    assert set(INT8_NETWORKS) < set(FLOAT32_NETWORKS)


def test_scale_saturates_infinity_and_maps_nan_to_zero():
    scale = Scale(0.5, 3)
    assert scale.quantize([np.inf, -np.inf, np.nan, 0.0]).tolist() == [127, -128, 3, 3]
