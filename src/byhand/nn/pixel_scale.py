"""The normalization of pixels: a number for all channels, or one a channel."""

from math import prod

import numpy as np
import numpy.typing as npt

from byhand.errors import ArgumentError
from byhand.shapes import Shape


def per_channel(what: str, value: npt.ArrayLike, channels: Shape) -> float | list[float]:
    """Return a number, or a list of one a channel; raise ArgumentError for anything else.

    >>> per_channel("mean", (0.5, 0.4, 0.3), (3,))
    [0.5, 0.4, 0.3]
    """
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if array.shape not in ((), channels) or not np.isfinite(array).all():
        raise ArgumentError(
            f"Model: {what} is {value!r}; expected a number, or {prod(channels)} of them, one a channel"
        )
    return array.tolist()  # type: ignore[no-any-return]
