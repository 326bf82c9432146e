"""The algorithms that a compiled program takes for its convolutions and linear layers, one row a layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from byhand.console import table_lines

HEAD = ("layer", "forward", "backward_data", "backward_weights")


class LayerAlgorithms(NamedTuple):
    """The algorithm of each pass of a layer, as kernels/conv/algorithm.py chooses it; None: the program has no such pass."""

    layer: str
    forward: str | None = None
    backward_data: str | None = None
    backward_weights: str | None = None


def table(layers: Iterable[LayerAlgorithms]) -> str:
    """Return the rows as text.

    >>> print(table([LayerAlgorithms("conv1", "direct", None, "sparse"), LayerAlgorithms("fc1", "gemv")]))
    layer  forward  backward_data  backward_weights
    conv1  direct   -              sparse
    fc1    gemv     -              -
    """
    rows = [tuple(cell or "-" for cell in layer) for layer in layers]
    return "\n".join(table_lines(rows, left=len(HEAD), heads=HEAD))
