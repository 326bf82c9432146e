"""int8 C, compiled strictly and run under sanitizers, beside its integers in NumPy, bit for bit; and what 8 bits cost."""

import numpy as np
import pytest

from byhand import nn, ops
from byhand.errors import UnsupportedError
from byhand.export import int8
from byhand.export.integers import narrow, probabilities, rounded, simulate
from byhand.export.lower import lower, run
from byhand.export.quantize import RULES, Scale, fit, fraction, prepared, quantize
from tests.export.compiled import ALL, BOTH, needs_cc, pixels, run_c


def in_8_bits(model, seed=1):
    return quantize(lower(model), pixels(model.input_shape, 24, seed))


@needs_cc
@pytest.mark.parametrize("network", BOTH, ids=lambda network: network.__name__)
def test_c_computes_the_very_integers_that_numpy_does(network, tmp_path):
    model = network()
    quantized, images = in_8_bits(model), pixels(model.input_shape, 12)
    ours = run_c(int8.write(quantized), images, tmp_path)
    theirs = probabilities(quantized, images).reshape(len(images), -1)
    np.testing.assert_array_equal(ours, theirs)
    assert np.ptp(theirs, axis=0).max() > 0.1


def test_the_networks_hold_every_op_that_int8_has():
    assert {step.op for network in BOTH for step in lower(network()).steps} == set(RULES)


@needs_cc
@pytest.mark.parametrize("name", ["lenet5", "tiny"])
def test_digits_are_bit_for_bit_what_numpy_says(name, request, digits, tmp_path):
    model, (train, test) = request.getfixturevalue(name), digits
    quantized, images = quantize(lower(model), train.images[:256]), test.images[:30]
    ours = run_c(int8.write(quantized), images, tmp_path)
    np.testing.assert_array_equal(ours, probabilities(quantized, images))


@pytest.mark.parametrize(("name", "count"), [("lenet5", 4_000), ("tiny", 2_000)])
def test_8_bits_cost_no_more_than_three_tenths_of_a_point(name, count, request, digits):
    model, (train, test) = request.getfixturevalue(name), digits
    quantized = quantize(lower(model), train.images[:256])
    ours = probabilities(quantized, test.images[:count]).argmax(1)
    theirs = model.predict(test.images[:count]).argmax(1)
    right, exact = ((one == test.labels[:count]).mean() for one in (ours, theirs))
    assert exact > 0.9 and abs(right - exact) <= 0.003
    assert (ours != theirs).mean() < 0.01


@pytest.mark.parametrize("network", BOTH, ids=lambda network: network.__name__)
def test_each_step_is_within_a_few_of_its_own_steps(network):
    """One step at a time: from the integers that it reads, float32 makes what int8 makes, but for rounding."""
    from byhand.export.lower import Value, apply

    model = network()
    quantized, images = in_8_bits(model), pixels(model.input_shape, 12, 1)
    made, scales = simulate(quantized, images), quantized.scales
    for step in quantized.network.steps:
        given = [
            scales[one.name].numbers(made[one.name]).reshape(-1, *one.shape) if isinstance(one, Value) else one
            for one in step.arguments
        ]
        exact = apply(step, given).reshape(len(images), -1)
        scale = scales[step.name]
        inside = np.clip(exact, scale.table[0], scale.table[-1])
        far = np.abs(scale.numbers(made[step.name]).reshape(len(images), -1) - inside) / scale.scale
        weights = [one for one in step.arguments if isinstance(one, np.ndarray)]
        if not weights or step.op == "layer_norm":
            assert far.max() <= 0.51, step  # rounded once, to the nearest
        else:  # the weights are rounded too, each by half of 1 / 127 of the largest of its filter
            x = np.abs(given[0]).max() if not isinstance(given[0], np.ndarray) or len(given) > 1 else 1
            terms = weights[0][..., 0].size if step.op in ("conv2d", "linear") else 1
            assert far.max() <= 0.6 + 0.5 * terms * np.abs(weights[0]).max() / 127 * x / scale.scale, step


def test_what_int8_has_no_form_for_is_refused_by_name():
    x = nn.Input(6, 5, 3)
    for make, message in (
        (lambda x: ops.maximum(x, nn.Conv2d(3, 1)(x)), "maximum1: the op maximum has no form in int8"),
        (lambda x: ops.resize(x, size=(3, 3), mode="linear"), "resize1: the op resize has a form in int8 only where"),
        (lambda x: ops.lrn(x, size=3, beta=0.6), "lrn1: the op lrn has a form in int8 only where beta is"),
    ):
        x = nn.Input(6, 5, 3)
        model = nn.Model(x, make(x), classes=())
        with pytest.raises(UnsupportedError, match=message):
            in_8_bits(model)


def test_sums_that_32_bits_do_not_hold_are_refused():
    x = nn.Input(200, 200, 1)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(x)))
    with pytest.raises(UnsupportedError, match="fc1: the op linear adds 40,000 products, but 32 bits hold 33,155"):
        in_8_bits(model)


def test_the_largest_sum_that_is_let_through_fits_in_32_bits():
    from byhand.export.quantize import ROOM, TERMS

    assert TERMS * 255 * 127 + ROOM <= 2**31 - 1


@needs_cc
@pytest.mark.parametrize("case", ["dead", "huge", "tiny", "constant"])
def test_weights_at_the_edge_overflow_nothing(case, tmp_path):
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
    quantized, images = in_8_bits(model), pixels(model.input_shape, 8)
    ours = run_c(int8.write(quantized), images, tmp_path)
    np.testing.assert_array_equal(ours, probabilities(quantized, images))
    assert np.isfinite(ours).all()


# the arithmetic -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1e-25, 2.0**-40, 0.001, 0.3, 0.5, 0.99999999999, 1.0, 3.7, 1e6, 2.0**29])
def test_a_fraction_is_the_ratio_to_31_bits(ratio):
    multiplier, shift = fraction(ratio)
    assert 0 <= multiplier < 2**31 and 1 <= shift <= 62
    assert multiplier / 2.0**shift == pytest.approx(ratio, rel=2**-30, abs=2.0**-62)


def test_what_is_too_large_for_a_fraction_saturates():
    assert fraction(1e30) == (2**31 - 1, 1)


def test_narrow_rounds_halves_away_from_zero():
    n = np.array([-3, -2, -1, 0, 1, 2, 3, 5, -5], np.int64)
    assert narrow(n, 1, 0, -128, 127).tolist() == [-2, -1, -1, 0, 1, 1, 2, 3, -3]
    assert narrow(np.array([2**61, -(2**61)]), 1, 5, -100, 90).tolist() == [90, -100]


def test_rounded_is_the_nearest():
    v = np.array([-0.5, 0.5, 0.49, 1.5, -1e30, 1e30, 2.4], np.float32)
    assert rounded(v, 1).tolist() == [0, 2, 1, 3, -128, 127, 3]


def test_zero_is_a_number_that_every_scale_has():
    for low, high in ((-1, 3), (0.5, 2), (-7, -2), (0, 1e-3), (-0.001, 1000)):
        scale = fit(low, high)
        assert -128 <= scale.zero <= 127 and scale.numbers(np.array([scale.zero]))[0] == 0
        assert scale.table[0] <= min(low, 0) + scale.scale and scale.table[-1] >= max(high, 0) - scale.scale


def test_pixels_that_differ_stay_different():
    x = nn.Input(2, 2, 1)
    quantized = in_8_bits(nn.Model(x, nn.Linear(2)(nn.Flatten()(x))))
    assert len(np.unique(quantized.pixels)) >= 255  # 0 must be one of the 256 numbers, so that two may meet at the end


def test_a_pixel_has_a_table_for_each_channel():
    x = nn.Input(2, 2, 3)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(x)), mean=[0.2, 0.5, 0.7], std=[0.1, 0.2, 0.3])
    quantized = in_8_bits(model)
    images = pixels((2, 2, 3), 4)
    near = quantized.scales["images"].numbers(simulate(quantized, images)["images"])
    assert np.abs(near - model.prepare(images)).max() <= 0.51 * quantized.scales["images"].scale


def test_nothing_is_lost_where_nothing_is_computed():
    """max_pool, a ReLU of its own, flatten, slice: the same numbers, of the same scale."""
    x = nn.Input(8, 8, 3)
    y = nn.Conv2d(4, 3)(x)
    model = nn.Model(x, ops.flatten(ops.relu(ops.max_pool(y, kernel=2))), classes=())
    quantized, images = in_8_bits(model), pixels((8, 8, 3), 6)
    made = simulate(quantized, images)
    assert quantized.scales["relu1"] == quantized.scales["max_pool1"] == quantized.scales["conv1"]
    seen = quantized.scales["conv1"].numbers(made["conv1"]).astype(np.float32)
    exact = np.maximum(ops.max_pool(seen, kernel=2, hand="arrays"), 0)
    np.testing.assert_array_equal(quantized.scales["relu1"].numbers(made["relu1"]).astype(np.float32), exact)


def test_calibration_sees_all_images(digits, lenet5):
    network = lower(lenet5)
    images = digits[0].images[:100]
    quantized = quantize(network, images)
    made = run(network, prepared(network, images), keep=True)
    for name, values in made.items():
        if name != "images":
            table = quantized.scales[name].table
            assert values.max() <= table[-1] + 1e-5 and values.min() >= table[0] - quantized.scales[name].scale


def test_every_network_is_one_that_float32_has_too():
    assert set(BOTH) < set(ALL)


def test_scale_turns_nan_and_infinity_into_ends():
    scale = Scale(0.5, 3)
    assert scale.quantized([np.inf, -np.inf, np.nan, 0.0]).tolist() == [127, -128, 3, 3]
