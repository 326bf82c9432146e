"""Setting examples aside: the same share of each class, drawn from a seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def stratified(labels: Array, share: float, seed: int, same: Sequence[Any] | None = None) -> tuple[Array, Array]:
    """Return which examples stay and which are set aside, in order: of each class the share, rounded, at least one of two.

    same: what is equal for examples that must not be parted, a digest of their pixels for one: copies of an image on both
    sides would flatter the accuracy. A class with one example (or copies of one) keeps it.

    >>> stay, aside = stratified(np.array([0, 0, 0, 0, 1, 1]), 0.25, seed=0)
    >>> len(stay), np.bincount(np.array([0, 0, 0, 0, 1, 1])[aside])
    (4, array([1, 1]))
    """
    labels, rng = np.asarray(labels), np.random.default_rng([seed, len(labels)])
    first: dict[Any, int] = {}  # of each group, so that the split is the same whatever tells copies apart
    groups = np.array([first.setdefault(one, row) for row, one in enumerate(same or range(len(labels)))], np.int64)
    side = np.full(len(labels), -1)  # of each group: 1 is aside; one may have two labels, the first decides
    for label in np.unique(labels):
        mine, counts = np.unique(groups[labels == label], return_counts=True)
        order = rng.permutation(len(mine))
        mine, counts = mine[order], counts[order]
        total = int(counts.sum())
        wanted = max(round(share * total), int(share > 0))
        aside = np.cumsum(counts) - counts < wanted
        aside[-1] = False
        free = side[mine] < 0
        side[mine[free]] = aside[free]
    return np.flatnonzero(side[groups] != 1), np.flatnonzero(side[groups] == 1)
