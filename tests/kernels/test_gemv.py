"""Matrix products with few rows agree with the loops and with NumPy."""

import numpy as np
import pytest

import byhand as bh
from byhand.kernels.conv import algorithm, gemv
from byhand.ops import REGISTRY
from byhand.ops.conv.linear import matrix_shape
from tests.ops.draw import Seeded, cast_inputs
from tests.ops.test_conformance import check


@pytest.fixture
def gemv_for_small_weights(monkeypatch):
    monkeypatch.setattr(gemv, "GEMV_MIN_BYTES", 0)
    algorithm._choose.cache_clear()
    yield
    algorithm._choose.cache_clear()


@pytest.mark.usefixtures("gemv_for_small_weights")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["linear", "linear_relu"])
def test_small_sizes_agree_with_the_loops(name, dtype):
    assert chosen(np.zeros((2, 3)), np.zeros((3, 2))) == "gemv"
    op = REGISTRY[name]
    for seed in range(60):
        values, attributes = op.sample(Seeded(seed))
        check(op, ["compiled"], cast_inputs(op, values, dtype), attributes)


def chosen(x, weight):
    return algorithm.names(matrix_shape(weight.shape, len(x), 1), 1, x.itemsize, matrix=True)["forward"]


@pytest.mark.parametrize("rows", [1, 3, gemv.GEMV_MAX_ROWS, gemv.GEMV_MAX_ROWS + 1])
@pytest.mark.parametrize("size", [(2049, 517), (16, 20_000), (70_001, 5)])
def test_large_sizes_agree_with_numpy(rows, size):
    rng = np.random.default_rng(rows)
    x, weight, bias = rng.standard_normal((rows, size[0])), rng.standard_normal(size), rng.standard_normal(size[1])
    assert (chosen(x, weight) == "gemv") == (rows <= gemv.GEMV_MAX_ROWS)
    for b in (bias, None):
        expected = bh.linear(x, weight, b, hand="arrays")
        np.testing.assert_allclose(bh.linear(x, weight, b), expected, atol=1e-10)


def test_nan_and_infinity_go_through():
    x, weight = np.zeros((1, 600)), np.ones((600, 500))
    weight[7, 3], weight[8, 4] = np.nan, np.inf
    x[0, 7] = x[0, 8] = 1.0
    y = bh.linear_relu(x, weight)
    assert chosen(x, weight) == "gemv"
    assert np.isnan(y[0, 3]) and np.isinf(y[0, 4]) and (y[0, 5:] == 2).all()
