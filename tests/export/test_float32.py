"""float32 C, compiled strictly and run under sanitizers, beside Python: op by op, and networks on real digits."""

import numpy as np
import pytest

from byhand import nn, ops
from byhand.errors import UnsupportedError
from byhand.export import float32
from byhand.export.integers import total
from byhand.export.lower import BOUNDED, WHOLE, lower, run
from byhand.export.quantize import prepared
from byhand.export.sequential import run_in_order
from tests.export.compiled import ALL, constant, needs_cc, pixels, run_c

CLOSE = 1e-5


@needs_cc
@pytest.mark.parametrize("network", ALL, ids=lambda network: network.__name__)
def test_c_computes_what_python_does(network, tmp_path):
    model = network()
    images = pixels(model.input_shape, 6)
    ours = run_c(float32.write(lower(model)), images, tmp_path)
    theirs = model.predict(images, hand="arrays").reshape(len(images), -1)
    np.testing.assert_allclose(ours, theirs, rtol=CLOSE, atol=CLOSE)
    assert np.abs(theirs).max() > 0.1 and np.ptp(theirs, axis=0).max() > 0.1  # it says something about its images


def test_the_networks_hold_every_op_that_can_be_exported():
    held = {step.op for network in ALL for step in lower(network()).steps}
    assert held == {*BOUNDED, *WHOLE, "clip"}


@needs_cc
@pytest.mark.parametrize("name", ["lenet5", "tiny"])
def test_digits_get_the_probabilities_that_python_gives(name, request, digits, tmp_path):
    model, images = request.getfixturevalue(name), digits[1].images[:40]
    ours = run_c(float32.write(lower(model)), images, tmp_path)
    assert np.abs(ours - model.predict(images)).max() < CLOSE
    assert (ours.argmax(1) == digits[1].labels[:40]).mean() > 0.8


@needs_cc
def test_a_network_that_looks_twice(lenet5, digits, tmp_path):
    model, images = lenet5.with_flip_tta(), digits[1].images[:40]
    ours = run_c(float32.write(lower(model)), images, tmp_path)
    assert np.abs(ours - model.predict(images)).max() < CLOSE < np.abs(ours - lenet5.predict(images)).max()


@needs_cc
def test_sums_are_added_in_the_order_that_the_table_of_differences_says(lenet5, digits, tmp_path):
    network, images = lower(lenet5), digits[1].images[:40]
    ours = run_c(float32.write(network), images, tmp_path)
    logits = run_in_order(network, prepared(network, images))[network.output.name]
    powers = np.exp((logits - logits.max(1, keepdims=True)).astype(np.float64)).astype(np.float32)
    assert np.abs(ours - powers / total(powers)).max() < 1.3e-7  # a last digit: e^x is the C library's


@needs_cc
@pytest.mark.parametrize("network", ALL[:3], ids=lambda network: network.__name__)
def test_what_is_added_in_order_is_the_same_bit_for_bit(network, tmp_path):
    model = network()
    lowered, images = lower(model), pixels(model.input_shape, 4)
    logits = run_in_order(lowered, prepared(lowered, images))[lowered.output.name]
    ours = run_c(float32.write(lowered), images, tmp_path)
    np.testing.assert_array_equal(ours, logits.reshape(len(images), -1))


def test_folding_changes_no_more_than_rounding():
    for network in ALL:
        model = network()
        lowered, images = lower(model), pixels(model.input_shape, 4)
        made = run(lowered, prepared(lowered, images))[lowered.output.name].reshape(len(images), -1)
        np.testing.assert_allclose(made, model.logits_of(images).reshape(len(images), -1), rtol=CLOSE, atol=CLOSE)


def test_a_norm_and_a_relu_leave_no_step_of_their_own():
    x = nn.Input(8, 8, 3)
    y = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(4, 3)(x)))
    model = nn.Model(x, nn.Linear(2)(nn.Dropout()(nn.Flatten()(y))))
    steps = lower(model).steps
    assert [(step.op, step.name, step.label) for step in steps] == [
        ("conv2d", "relu1", "conv1"), ("linear", "fc1", "fc1"),
    ]  # fmt: skip
    assert (steps[0].low, steps[0].high) == (0, np.inf)


def test_what_two_layers_read_is_not_folded():
    x = nn.Input(8, 8, 3)
    y = nn.Conv2d(4, 3)(x)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(nn.ReLU()(y) + nn.BatchNorm()(y))))
    assert [step.op for step in lower(model).steps] == ["conv2d", "clip", "conv2d", "add", "linear"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nn.ConvTranspose2d(3, 2), "conv1: the op conv_transpose2d"),
        (lambda x: ops.reduce_log_sum(x, axes=(1, 2)), "reduce_log_sum1: the op reduce_log_sum"),
        (lambda x: ops.reduce_sum(x, axes=(1, 3)), "reduce_sum1: the op reduce_sum can't be exported as C: its axes"),
        (
            lambda x: ops.batch_norm(x, *(constant(x, 3) for _ in range(4)), training=True),
            "the op batch_norm .* of a batch",
        ),
    ],
)
def test_what_c_has_no_step_for_is_refused_by_name(make, message):
    x = nn.Input(8, 8, 3)
    model = nn.Model(x, make(x), classes=())
    with pytest.raises(UnsupportedError, match=message) as error:
        lower(model)
    assert "\n" not in str(error.value)


def test_weights_that_are_no_numbers_are_refused():
    x = nn.Input(4, 4, 1)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(x)))
    model.parameters["fc1_weight"][0, 0] = np.nan
    with pytest.raises(UnsupportedError, match="fc1: its weights hold NaN or infinity"):
        lower(model)
