"""Initializers: mean, variance and seeds."""

from math import prod, sqrt

import numpy as np
import pytest

from byhand import nn
from byhand.errors import UnknownNameError
from byhand.nn import INITIALIZERS, init

LAYERS = [((3, 3, 16, 40), (144, 360)), ((300, 50), (300, 50))]  # a shape, and (fan_in, fan_out)
# the variance that each docstring states, and whether the draws are uniform or normal
VARIANCE = {
    "he": (lambda i, o: 2 / i, "normal"),
    "he_uniform": (lambda i, o: 2 / i, "uniform"),
    "glorot": (lambda i, o: 2 / (i + o), "uniform"),
    "glorot_normal": (lambda i, o: 2 / (i + o), "normal"),
    "lecun": (lambda i, o: 1 / i, "normal"),
    "lecun_uniform": (lambda i, o: 1 / i, "uniform"),
    "article": (lambda i, o: 1 / i**2, "normal"),
}


def test_every_initializer_is_checked():
    assert INITIALIZERS.keys() == VARIANCE.keys() | {"zeros", "ones"}, "add the new initializer to VARIANCE"


@pytest.mark.parametrize(("shape", "fans"), LAYERS)
def test_fans(shape, fans):
    assert init.fans(shape) == fans


@pytest.mark.parametrize("name", VARIANCE)
@pytest.mark.parametrize(("shape", "fans"), LAYERS)
def test_mean_and_variance(name, shape, fans):
    variance, kind = VARIANCE[name][0](*fans), VARIANCE[name][1]
    rng = np.random.default_rng(0)
    draws = np.concatenate([INITIALIZERS[name](rng, shape).ravel() for _ in range(200_000 // prod(shape) + 1)])
    kurtosis = {"normal": 3.0, "uniform": 1.8}[kind]
    count = draws.size
    assert abs(draws.mean()) < 5 * sqrt(variance / count)  # five standard errors
    assert abs(draws.var() / variance - 1) < 5 * sqrt((kurtosis - 1) / count)
    assert abs((draws**4).mean() / draws.var() ** 2 - kurtosis) < 0.1  # which tells normal from uniform
    bound = sqrt(3 * variance)
    if kind == "uniform":
        assert 0.999 * bound < np.abs(draws).max() <= bound
    else:
        assert np.abs(draws).max() > 1.5 * bound


@pytest.mark.parametrize("name", INITIALIZERS)
def test_the_seed_decides(name):
    first, again, other = (INITIALIZERS[name](np.random.default_rng(seed), (3, 3, 2, 4)) for seed in (1, 1, 2))
    assert first.shape == (3, 3, 2, 4)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() == (name in VARIANCE)


def test_constants():
    rng = np.random.default_rng(0)
    assert (init.zeros(rng, (2, 3)) == np.zeros((2, 3))).all() and (init.ones(rng, (2, 3)) == np.ones((2, 3))).all()


def test_random_keys_use_all_64_bits():
    keys = init.random_key(np.random.default_rng(0), (4000,))
    assert keys.dtype == np.uint64
    ones = [int((keys >> np.uint64(bit) & np.uint64(1)).sum()) for bit in range(64)]
    assert all(1800 < count < 2200 for count in ones)


def test_get():
    assert init.get("he") is init.he
    assert init.get(test_get) is test_get
    with pytest.raises(UnknownNameError, match="there is no initializer 'glorrot'; did you mean 'glorot'"):
        init.get("glorrot")


# in a model -----------------------------------------------------------------------------------------------------------


def network(**settings):
    layers = nn.Conv2d(4, 3, **settings), nn.BatchNorm(), nn.Dropout(), nn.Flatten(), nn.Linear(3, **settings)
    return nn.Sequential(*layers)


@pytest.mark.parametrize("name", VARIANCE)
def test_a_model_draws_weights_and_starts_biases_at_zero(name):
    model = nn.Model(nn.Input(6, 6, 1), network(initializer=name), dtype=np.float64)
    p = model.p
    assert not p.conv1_bias.any() and not p.fc1_bias.any() and not p.norm1_beta.any()
    assert (p.norm1_gamma == 1).all()
    assert not model.state.norm1_running_mean.any() and (model.state.norm1_running_var == 1).all()
    variance = VARIANCE[name][0](64, 3)
    assert 0.6 < p.fc1_weight.var() / variance < 1.5  # 192 draws
    assert np.unique(p.conv1_weight).size == p.conv1_weight.size


def test_he_is_the_default():
    x = nn.Input(6, 6, 1)
    default = nn.Model(x, network(), seed=2)
    named = nn.Model(nn.Input(6, 6, 1), network(initializer="he"), seed=2)
    np.testing.assert_array_equal(default.p.flat, named.p.flat)


def test_a_models_seed_decides_all_of_it():
    first, same, other = (nn.Model(nn.Input(6, 6, 1), network(), seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.p.flat, same.p.flat)
    assert (first.p.flat != other.p.flat).any()
    assert first.state.dropout1_key == same.state.dropout1_key != other.state.dropout1_key


def test_a_function_is_an_initializer():
    def counting(rng, shape):
        assert isinstance(rng, np.random.Generator)
        return np.arange(prod(shape)).reshape(shape)

    model = nn.Model(nn.Input(4, 4, 2), network(initializer=counting))
    np.testing.assert_array_equal(model.p.conv1_weight.ravel(), np.arange(3 * 3 * 2 * 4))
    np.testing.assert_array_equal(model.p.fc1_weight.ravel(), np.arange(2 * 2 * 4 * 3))
    assert not model.p.fc1_bias.any()


def test_two_layers_draw_different_numbers():
    model = nn.Model(nn.Input(5), nn.Sequential(nn.Linear(5), nn.Linear(5)))
    assert (model.p.fc1_weight != model.p.fc2_weight).all()
