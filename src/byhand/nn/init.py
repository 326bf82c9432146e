"""Initializers: random first values of weights, scaled so that a layer preserves the variance of its input.

fan_in is the number of inputs that an output sums, fan_out the number of outputs that an input reaches: R S C and R S K for a
convolution's weight (R, S, C, K), D and K for a linear layer's (D, K). An initializer returns an array of the weight's shape.
"""

from collections.abc import Callable
from math import prod, sqrt
from typing import Any

import numpy as np

from byhand.errors import UnknownAttributeError, UnknownNameError
from byhand.ops.op import Array
from byhand.shapes import Shape

Initializer = Callable[[np.random.Generator, Shape], Array]


def fans(shape: Shape) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a weight.

    >>> fans((3, 3, 1, 8))
    (9, 72)
    """
    receptive_field_size = prod(shape[:-2])
    return receptive_field_size * shape[-2], receptive_field_size * shape[-1]


def he(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal, variance 2 / fan_in: for ReLU, which halves the variance (He et al. 2015, arXiv 1502.01852).

    >>> round(float(he(np.random.default_rng(0), (3, 3, 64, 128)).std()), 4)
    0.0589
    """
    return rng.standard_normal(shape) * sqrt(2 / fans(shape)[0])


def he_uniform(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform, variance 2 / fan_in.

    >>> round(float(he_uniform(np.random.default_rng(0), (3, 3, 64, 128)).std()), 4)
    0.0588
    """
    return rng.uniform(-1, 1, shape) * sqrt(6 / fans(shape)[0])


def glorot(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform, variance 2 / (fan_in + fan_out): forward and backward in balance (Glorot & Bengio 2010).

    >>> round(float(glorot(np.random.default_rng(0), (3, 3, 64, 128)).std()), 4)
    0.0339
    """
    return rng.uniform(-1, 1, shape) * sqrt(6 / sum(fans(shape)))


def glorot_normal(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal, variance 2 / (fan_in + fan_out).

    >>> round(float(glorot_normal(np.random.default_rng(0), (3, 3, 64, 128)).std()), 4)
    0.034
    """
    return rng.standard_normal(shape) * sqrt(2 / sum(fans(shape)))


def lecun(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal, variance 1 / fan_in: for units that keep the variance (LeCun et al. 1998, "Efficient BackProp").

    >>> round(float(lecun(np.random.default_rng(0), (3, 3, 64, 128)).std()), 4)
    0.0417
    """
    return rng.standard_normal(shape) * sqrt(1 / fans(shape)[0])


def lecun_uniform(rng: np.random.Generator, shape: Shape) -> Array:
    """Uniform, variance 1 / fan_in.

    >>> round(float(lecun_uniform(np.random.default_rng(0), (3, 3, 64, 128)).std()), 4)
    0.0416
    """
    return rng.uniform(-1, 1, shape) * sqrt(3 / fans(shape)[0])


def article(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal, divided by fan_in: the tutorial article's, smaller than the others.

    >>> round(float(article(np.random.default_rng(0), (3, 3, 64, 128)).std()), 4)
    0.0017
    """
    return rng.standard_normal(shape) / fans(shape)[0]


def zeros(rng: np.random.Generator, shape: Shape) -> Array:
    """All 0: for biases.

    >>> zeros(np.random.default_rng(0), (3,))
    array([0., 0., 0.])
    """
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: Shape) -> Array:
    """All 1: for the scale of a norm.

    >>> ones(np.random.default_rng(0), (3,))
    array([1., 1., 1.])
    """
    return np.ones(shape)


def constant(value: float | Array) -> Initializer:
    """Return an initializer that sets every element to a number, or copies an array of the weight's shape.

    >>> constant(0.5)(np.random.default_rng(0), (2,))
    array([0.5, 0.5])
    """
    return lambda rng, shape: np.full(shape, value)


def random_key(rng: np.random.Generator, shape: Shape) -> Array:
    """64 random bits: the seed of a dropout layer's masks.

    >>> random_key(np.random.default_rng(0), (1,)).dtype
    dtype('uint64')
    """
    return rng.integers(0, 2**64, shape, np.uint64)


INITIALIZERS: dict[str, Initializer] = {
    function.__name__: function
    for function in (he, he_uniform, glorot, glorot_normal, lecun, lecun_uniform, article, zeros, ones)
}


def __getattr__(name: str) -> Any:
    """Raise the error for an initializer of PyTorch, `nn.init.kaiming_normal_(...)`."""
    hint = "; an initializer is an argument of a layer: nn.Conv2d(8, 3, initializer='he'), a name of nn.INITIALIZERS"
    raise UnknownAttributeError(f"byhand.nn.init has no attribute '{name}'{'' if name.startswith('__') else hint}")


def get(initializer: str | Initializer) -> Any:
    """Return an initializer by name; a function (random generator, shape) -> array is taken as it is.

    >>> get("zeros")(np.random.default_rng(0), (2,))
    array([0., 0.])
    """
    if callable(initializer):
        return initializer
    if initializer not in INITIALIZERS:
        raise UnknownNameError("initializer", initializer, INITIALIZERS)
    return INITIALIZERS[initializer]
