"""The activations of an epilogue: errors against float64, NaN and infinity, and what they write, on every target."""

import numpy as np
import pytest

import byhand as bh
from byhand.errors import ArgumentError
from byhand.kernels import kernel, launch
from byhand.kernels.conv.algorithm import ALGORITHMS, force
from byhand.kernels.microkernel.activation import ACTIVATIONS, activate, activation_steps
from byhand.kernels.runtime.cpu import TARGETS
from tests.kernels import process
from tests.kernels.guard_pages import GuardedBuffers
from tests.kernels.test_microkernel import needs_mprotect

SPECIAL = [0.0, -0.0, 1e-30, -1e-30, 89, -89, 1e30, -1e30, np.nan, np.inf, -np.inf]
ULP = {"sigmoid": 10, "silu": 10, "hard_sigmoid": 1.5, "hard_swish": 2.5}  # float32


@kernel
def run(array, start, count, steps, block):
    activate(array, start, count, steps)


def activated(x, name):
    """Return an activation of an array."""
    y = x.copy()
    launch(run, 1, y.reshape(-1), 0, y.size, activation_steps(name))
    return y


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_as_exact_as_stated(name):
    rng = np.random.default_rng(0)
    x = np.concatenate([10 * rng.standard_normal(20_000), rng.standard_normal(20_000), SPECIAL])
    for dtype in (np.float32, np.float64):
        values = np.resize(x, (len(x) // 37 + 1, 37)).astype(dtype)
        got = activated(values, name)
        with np.errstate(all="ignore"):
            expected = getattr(bh, name)(values.astype(np.float64), hand="arrays")
        if dtype is np.float32 and name == "gelu":
            expected = np.where(np.isneginf(values), 0, expected)  # its limit; NumPy says infinity times 0
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
        normal = np.isfinite(expected) & (np.abs(values) < 80) & (np.abs(expected) > 1e-30)
        error = np.abs(got[normal] - expected[normal])
        if dtype is np.float64 or name == "gelu":
            assert (error <= 8 * np.finfo(dtype).eps * np.maximum(np.abs(values[normal]), 1)).all()
        else:
            assert (error <= ULP[name] * np.spacing(np.abs(expected[normal]).astype(dtype))).all()
        np.testing.assert_allclose(got[~normal], expected[~normal], rtol=1e-6, atol=1e-7 if name == "gelu" else 1e-30)


def check_at_the_edge():
    """Every count, in memory that ends where the numbers do; those before stay."""
    buffers = GuardedBuffers()
    for count in range(1, 34):
        buffers.clear()
        x = np.random.default_rng(count).standard_normal(count + 3).astype(np.float32)
        y = buffers.place(x)
        launch(run, 1, y, 3, count, activation_steps("silu"))
        np.testing.assert_array_equal(y[:3], x[:3])
        np.testing.assert_allclose(y[3:], bh.silu(x[3:], hand="arrays"), rtol=1e-5, atol=1e-6)


@needs_mprotect
@pytest.mark.parametrize("target", TARGETS)
def test_an_activation_stays_within_its_block(target):
    text = "from tests.kernels.test_activation import check_at_the_edge; check_at_the_edge(); print('done')"
    assert process.run(text, BYHAND_TARGET=target).strip() == "done"


def test_the_python_of_an_activation_does_what_its_code_does():
    x = np.random.default_rng(0).standard_normal((3, 5))
    for name in ACTIVATIONS:
        y = x.copy()
        run.run((y.reshape(-1), 0, y.size, activation_steps(name)), 0, 0)
        np.testing.assert_allclose(y, activated(x, name), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("activation", ["relu6", "silu"])
def test_every_algorithm_applies_the_activation(activation):
    """3x3 convolutions of 9x7 pixels, whose last tiles hang over the edge."""
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(size, np.float32) for size in ((2, 9, 7, 16), (3, 3, 16, 40)))
    expected = bh.conv2d_block(x, weight, padding=1, activation=activation, hand="arrays")
    for name in ALGORITHMS:
        try:
            with force(name):
                got = bh.conv2d_block(x, weight, padding=1, activation=activation, hand="compiled")
        except ArgumentError:  # it does not apply
            continue
        np.testing.assert_allclose(got, expected, rtol=0, atol=0.4 if "bfloat16" in name else 5e-4, err_msg=name)
