"""Special functions that several ops share: the logistic sigmoid without overflow, and erf on arrays.

A scalar form serves the loops and the compiled hands, an array form the NumPy hands.
"""

import math
from math import exp

import numpy as np

from byhand.ops.op import Array

# The largest x whose e^x is a float64. Beyond it NumPy returns infinity and Python's math.exp raises OverflowError.
EXP_MAX = 709.782712893384


def sigmoid_scalar(x: float) -> float:
    """Return 1 / (1 + e^-x) of a number; e^-|x| cannot overflow, and for x < 0 the same fraction is e^x / (1 + e^x)."""
    power = exp(-abs(x))
    return (1.0 if x > 0 else power) / (1.0 + power)


def sigmoid_array(x: Array) -> Array:
    """Return 1 / (1 + e^-x) of an array."""
    power = np.exp(-np.abs(x))
    result: Array = np.where(x > 0, 1, power) / (1 + power)
    return result


erf_array = np.frompyfunc(math.erf, 1, 1)  # NumPy has no erf; this one costs a Python call an element
