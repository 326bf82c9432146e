"""A stratified split: the same fraction of each class is held out, drawn from a seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from byhand.shapes import Array


def stratified_split(
    labels: Array, fraction: float, seed: int, digests: Sequence[Any] | None = None
) -> tuple[Array, Array]:
    """Return the rows that stay and the rows held out, in order: of each class the fraction, rounded, at least one of two.

    digests: equal for copies of an image, which stay on one side: on both they would inflate the accuracy. A class with one
    example (or copies of one) keeps it.

    >>> stay, held_out = stratified_split(np.array([0, 0, 0, 0, 1, 1]), 0.25, seed=0)
    >>> len(stay), np.bincount(np.array([0, 0, 0, 0, 1, 1])[held_out])
    (4, array([1, 1]))
    """
    labels, rng = np.asarray(labels), np.random.default_rng([seed, len(labels)])
    # A group of copies is named after its first row, so that the split does not depend on the kind of digest.
    first_rows: dict[Any, int] = {}
    groups = np.array(
        [first_rows.setdefault(key, row) for row, key in enumerate(digests or range(len(labels)))], np.int64
    )
    side = np.full(len(labels), -1)  # of each group: 1 is held out; where copies have two labels, the first decides
    for label in np.unique(labels):
        members, counts = np.unique(groups[labels == label], return_counts=True)
        order = rng.permutation(len(members))
        members, counts = members[order], counts[order]
        total = int(counts.sum())
        wanted = max(round(fraction * total), int(fraction > 0))
        held_out = np.cumsum(counts) - counts < wanted
        held_out[-1] = False
        undecided = side[members] < 0
        side[members[undecided]] = held_out[undecided]
    return np.flatnonzero(side[groups] != 1), np.flatnonzero(side[groups] == 1)
