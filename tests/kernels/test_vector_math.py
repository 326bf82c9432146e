"""float32 exp, tanh and erf against float64 over the whole range."""

import math

import numpy as np
import pytest

from byhand.kernels import elementwise, kernel, launch
from byhand.kernels.vector_math import erf, exp, greater, tanh

STEP = 1021  # every so many of all 2^32 float32; `_sweep(name, 1)` takes minutes and 2 GB, and was the source of the errors
SMALLEST_NORMAL = 2.0**-126  # below this results and arguments are 0


def exp_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = exp(x[i])


def tanh_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = tanh(x[i])


def erf_loops(x, y):
    for i in np.ndindex(x.shape):
        y[i] = erf(x[i])


LOOPS = {"exp": exp_loops, "tanh": tanh_loops, "erf": erf_loops}
EXACT = {"exp": np.exp, "tanh": np.tanh, "erf": np.vectorize(math.erf, otypes=[np.float64])}
WORST = {"exp": 1.02, "tanh": 1.34, "erf": 1.11}  # units in the last place
FLAT = {"exp": 104.0, "tanh": 19.0, "erf": 6.0}  # beyond this nothing changes
SPECIAL = [
    np.inf,
    -np.inf,
    np.nan,
    0.0,
    -0.0,
    88.72283,
    88.72284,
    -87.33654,
    -87.33655,
    1e-40,
    3e38,
    -3e38,
    0.625,
    0.93,
    4.0,
]


def compiled(name, x):
    y = np.full_like(x, 99)
    elementwise(LOOPS[name])(x, y)
    return y


def error(name, x, y):
    """Return by how many units in the last place each y is wrong; infinite where it is no number and should be one."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        exact = EXACT[name](x.astype(np.float64))
        exact[np.abs(exact) < SMALLEST_NORMAL] = 0
        nearest = exact.astype(np.float32)
        off = np.abs(y - exact) / np.spacing(np.maximum(np.abs(nearest), np.float32(SMALLEST_NORMAL)))
    off[(nearest == y) | (np.isnan(nearest) & np.isnan(y)) | (np.abs(x) < 1.01 * SMALLEST_NORMAL)] = 0
    return np.where(np.isfinite(off), off, np.inf)


def _sweep(name, step):
    """Return the largest error over every so-many-th float32, a sixteenth of them at a time."""
    worst = 0.0
    for part in range(16):
        first = part << 28
        x = np.arange(first + -first % step, first + (1 << 28), step, dtype=np.uint32).view(np.float32)
        y = compiled(name, x)
        moving = np.abs(x) < FLAT[name]
        limit = compiled(name, np.array([np.inf, -np.inf], np.float32))
        for still, value in ((x >= FLAT[name], limit[0]), (x <= -FLAT[name], limit[1])):
            assert (y[still] == value).all()
        assert np.isnan(y[np.isnan(x)]).all()
        worst = max(worst, error(name, x[moving], y[moving]).max(initial=0))
    return worst


@pytest.mark.parametrize("name", LOOPS)
def test_the_error_is_no_larger_than_stated_over_all_float32(name):
    worst = _sweep(name, STEP)
    assert 0.5 < worst <= WORST[name]


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("copies", [1, 40], ids=["alone", "in a vector"])
def test_special_numbers(name, copies):
    x = np.repeat(np.array(SPECIAL, np.float32), copies)
    y = compiled(name, x)
    assert error(name, x, y).max() <= WORST[name]
    if name != "exp":
        assert np.array_equal(np.signbit(y[~np.isnan(x)]), np.signbit(x[~np.isnan(x)]))  # -0 stays -0


@pytest.mark.parametrize("name", LOOPS)
def test_vector_math_runs_as_plain_python(name):
    x = np.linspace(-5, 5, 101, dtype=np.float32)
    function = {"exp": exp, "tanh": tanh, "erf": erf}[name]
    got = np.array([function(number) for number in x], np.float32)
    assert error(name, x, got).max() <= 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_greatest_of_a_row_is_nan_where_there_is_one(dtype):
    @kernel
    def greatest(x, y, block):
        largest = x[0]
        for i in range(x.size):
            largest = greater(largest, x[i])
        y[0] = largest

    for size in (1, 7, 100):
        for nan in (False, True):
            x, y = np.random.default_rng(size).standard_normal(size).astype(dtype) - 9, np.zeros(1, dtype)
            x[size // 2] = np.nan if nan else 3
            launch(greatest, 1, x, y)
            assert np.array_equal(y[0], x.max(), equal_nan=True)
            function = x[0]
            for number in x:
                function = greater(function, number)
            assert np.array_equal(function, x.max(), equal_nan=True)
