"""Checks of the arguments of the tutorial's layers."""

from typing import Any

import numpy as np

from byhand.errors import ArgumentError, ShapeError
from byhand.shapes import Array


def as_generator(rng: np.random.RandomState | None) -> Any:
    """Return the generator of random numbers: the given one, or NumPy's global one."""
    if not isinstance(rng, np.random.RandomState | None):
        raise ArgumentError(f"tutorial: rng is {rng!r}, expected a numpy.random.RandomState or None")
    return np.random if rng is None else rng  # the functions of np.random draw from the global generator


def integer_within(where: str, name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return a whole number from low to high, or raise an ArgumentError."""
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or value < low or (high is not None and value > high):
        span = f"{low} or more" if high is None else f"{low} to {high}"
        raise ArgumentError(f"{where}: {name} is {value!r}, expected a whole number, {span}")
    return int(value)


def as_image(layer: str, input: Any, axes: str, smallest: int) -> Array:
    """Return an image as float64, or raise a ShapeError."""
    image: Array = np.asarray(input, dtype=np.float64)
    if image.ndim != axes.count(",") + 1 or min(image.shape[:2]) < smallest:
        expected = f"{axes} with H and W at least {smallest}: one image, not a batch"
        raise ShapeError(f"{layer}.forward: input has shape {image.shape}, expected {expected}")
    return image


def as_gradient(layer: Any, gradient: Any) -> Array:
    """Return a gradient as float64; raise where it has not the last output's shape, or `forward` was not called."""
    where = f"{type(layer).__name__.removeprefix('Arrays').removeprefix('Compiled')}.backprop"
    if not hasattr(layer, "last_output"):
        raise ArgumentError(f"{where}: there is no output yet; call forward first")
    array: Array = np.asarray(gradient, dtype=np.float64)
    if array.shape != layer.last_output.shape:
        expected = f"{layer.last_output.shape}, the shape of the last output"
        raise ShapeError(f"{where}: gradient has shape {array.shape}, expected {expected}")
    return array
