"""Exported float32 C against Python, per op and on digits."""

import numpy as np
import pytest

from byhand import nn, ops
from byhand.errors import UnsupportedError
from byhand.export.execution import normalize, run_steps
from byhand.export.float32_program import write_program
from byhand.export.float32_reference import run_float32
from byhand.export.int8_reference import sum_in_order
from byhand.export.lowering import CLAMPING_OPS, DIRECT_OPS, lower
from tests.export.compile_c import needs_cc, random_pixels, run_c
from tests.export.op_networks import FLOAT32_NETWORKS, constant

TOLERANCE = 1e-5


@needs_cc
@pytest.mark.parametrize("network", FLOAT32_NETWORKS, ids=lambda network: network.__name__)
def test_c_agrees_with_python(network, tmp_path):
    model = network()
    images = random_pixels(model.input_shape, 6)
    ours = run_c(write_program(lower(model)), images, tmp_path)
    theirs = model.predict(images, hand="arrays").reshape(len(images), -1)
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)
    assert np.abs(theirs).max() > 0.1 and np.ptp(theirs, axis=0).max() > 0.1  # results depend on the images


def test_the_networks_cover_every_exported_op():
    covered = {step.op for network in FLOAT32_NETWORKS for step in lower(network()).steps}
    assert covered == {*CLAMPING_OPS, *DIRECT_OPS, "clip"}


@needs_cc
@pytest.mark.parametrize("name", ["lenet5", "tiny"])
def test_digits_have_the_probabilities_of_python(name, request, digits, tmp_path):
    model, images = request.getfixturevalue(name), digits[1].images[:40]
    ours = run_c(write_program(lower(model)), images, tmp_path)
    assert np.abs(ours - model.predict(images)).max() < TOLERANCE
    assert (ours.argmax(1) == digits[1].labels[:40]).mean() > 0.8


@needs_cc
def test_flip_tta_is_exported(lenet5, digits, tmp_path):
    model, images = lenet5.with_flip_tta(), digits[1].images[:40]
    ours = run_c(write_program(lower(model)), images, tmp_path)
    assert np.abs(ours - model.predict(images)).max() < TOLERANCE < np.abs(ours - lenet5.predict(images)).max()


@needs_cc
def test_the_float32_reference_is_exact_but_for_the_exponential(lenet5, digits, tmp_path):
    network, images = lower(lenet5), digits[1].images[:40]
    ours = run_c(write_program(network), images, tmp_path)
    logits = run_float32(network, normalize(network, images))[network.output.name]
    powers = np.exp((logits - logits.max(1, keepdims=True)).astype(np.float64)).astype(np.float32)
    assert np.abs(ours - powers / sum_in_order(powers)).max() < 1.3e-7  # a last digit: e^x is the C library's


@needs_cc
@pytest.mark.parametrize("network", FLOAT32_NETWORKS[:3], ids=lambda network: network.__name__)
def test_the_float32_reference_is_bit_for_bit(network, tmp_path):
    model = network()
    lowered, images = lower(model), random_pixels(model.input_shape, 4)
    logits = run_float32(lowered, normalize(lowered, images))[lowered.output.name]
    ours = run_c(write_program(lowered), images, tmp_path)
    np.testing.assert_array_equal(ours, logits.reshape(len(images), -1))


def test_folding_changes_no_more_than_rounding():
    for network in FLOAT32_NETWORKS:
        model = network()
        lowered, images = lower(model), random_pixels(model.input_shape, 4)
        made = run_steps(lowered, normalize(lowered, images))[lowered.output.name].reshape(len(images), -1)
        np.testing.assert_allclose(
            made, model.logits_of(images).reshape(len(images), -1), rtol=TOLERANCE, atol=TOLERANCE
        )


def test_batch_norm_and_relu_are_folded():
    x = nn.Input(8, 8, 3)
    y = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(4, 3)(x)))
    model = nn.Model(x, nn.Linear(2)(nn.Dropout()(nn.Flatten()(y))))
    steps = lower(model).steps
    assert [(step.op, step.name, step.layer) for step in steps] == [
        ("conv2d", "relu1", "conv1"),
        ("linear", "fc1", "fc1"),
    ]
    assert (steps[0].low, steps[0].high) == (0, np.inf)


def test_a_result_with_two_readers_is_not_folded():
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
def test_unsupported_ops_are_refused_by_name(make, message):
    x = nn.Input(8, 8, 3)
    model = nn.Model(x, make(x), classes=())
    with pytest.raises(UnsupportedError, match=message) as error:
        lower(model)
    assert "\n" not in str(error.value)


def test_weights_that_are_not_finite_are_refused():
    x = nn.Input(4, 4, 1)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(x)))
    model.parameters["fc1_weight"][0, 0] = np.nan
    with pytest.raises(UnsupportedError, match="fc1: its weights hold NaN or infinity"):
        lower(model)
