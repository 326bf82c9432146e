"""Strokes on paper: a mask's connected pieces, pieces made whole or cut apart, and the lines that they stand in.

Pieces are found over runs of pixels by union-find (A. Rosenfeld, J. L. Pfaltz, "Sequential operations in digital picture
processing", 1966), all runs at once. Two digits that touch are cut along the path of least ink (dynamic programming, as
in L. Y. Tseng, R. C. Chen, "Segmenting handwritten Chinese characters based on heuristic merging of stroke bounding
boxes and dynamic programming", 1998).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SMALL = 0.6  # of the usual height: lower, and it may be a part of its neighbour
NEAR = 0.2  # of the usual height: how far a part may lie from the rest
SPECK = 0.12  # of the usual height: smaller both ways, and it is dirt
TALLEST, WIDEST = 1.5, 1.2  # of the usual height: what parts may make together
SLENDER = 16  # times as long as thick, and it is an edge of the paper, or a one
BLOB = 0.9, 3.3  # of the ellipse, and times as long as wide: of 20,000 of MNIST's digits 31 are
SAME_LINE = 0.5  # of the usual height: how far the middles of neighbours in a line differ
REACH = 6.0  # usual heights to the next digit of the line


@dataclass(frozen=True, eq=False)
class Piece:
    """Ink that hangs together: where its box begins, and its mask (H, W) in that box."""

    top: int
    left: int
    mask: Array

    @property
    def height(self) -> int:
        """Of its box, in pixels."""
        return int(self.mask.shape[0])

    @property
    def width(self) -> int:
        """Of its box, in pixels."""
        return int(self.mask.shape[1])

    @property
    def bottom(self) -> int:
        """The row after its last."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The column after its last."""
        return self.left + self.width

    @property
    def area(self) -> int:
        """How many pixels hold ink."""
        return int(np.count_nonzero(self.mask))

    @property
    def window(self) -> tuple[slice, slice]:
        """Its box, to index the picture with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def pieces(mask: Array) -> list[Piece]:
    """Return the connected pieces of a mask (H, W), diagonal neighbours too, in the order in which rows meet them.

    >>> mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]], bool)
    >>> [(piece.top, piece.left, piece.area) for piece in pieces(mask)]
    [(0, 0, 2), (0, 3, 1), (2, 3, 1)]
    """
    width = mask.shape[1] + 2  # a free column on either side: no run reaches into the next row
    flat = np.zeros((mask.shape[0], width), np.int8)
    flat[:, 1:-1] = mask
    steps = np.flatnonzero(np.diff(flat.reshape(-1), prepend=0))
    start, stop = steps[::2], steps[1::2]
    if not len(start):
        return []
    # a run touches those of the next row that begin before its end, and end after its start; diagonals touch too
    first = np.searchsorted(stop, start + width, "left")
    last = np.searchsorted(start, stop + width, "right")
    count = np.maximum(last - first, 0)
    above = np.repeat(np.arange(len(start)), count)
    below = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    label = united(len(start), above, below)
    order = np.argsort(label, kind="stable")
    bounds = np.flatnonzero(np.diff(label[order], prepend=-1, append=-1))
    row, left, right = start // width, start % width - 1, stop - start // width * width - 1
    return [_piece(row[runs], left[runs], right[runs]) for runs in np.split(order, bounds[1:-1])]


def united(count: int, a: Array, b: Array) -> Array:
    """Return for 0 .. count - 1 the least number that the pairs (a, b) join each with.

    >>> united(5, np.array([3, 1]), np.array([4, 3]))
    array([0, 1, 2, 1, 1])
    """
    parent = np.arange(count)
    while True:
        ahead, behind = parent[a], parent[b]
        low, high = np.minimum(ahead, behind), np.maximum(ahead, behind)
        if np.array_equal(low, high):
            return parent
        np.minimum.at(parent, high, low)  # a root hangs itself below the least that it meets
        while not np.array_equal(parent, parent[parent]):
            parent = parent[parent]


def _piece(row: Array, left: Array, right: Array) -> Piece:
    top, first = int(row.min()), int(left.min())
    edges = np.zeros((int(row.max()) - top + 1, int(right.max()) - first + 1), np.int8)
    edges[row - top, left - first] = 1  # runs of a row are apart: no two edges meet
    edges[row - top, right - first] = -1
    return Piece(top, first, np.cumsum(edges, 1, dtype=np.int8)[:, :-1].astype(bool))


def usual_height(found: Sequence[Piece], least: int) -> float:
    """Return how tall digits are here: the median of heights of at least `least`, the tall ones weighing more; or 0."""
    some = [piece for piece in found if piece.height >= least and piece.width < 4 * piece.height]
    some = [piece for piece in some if not is_slender(piece)] or some
    if not some:
        return 0.0
    heights = np.array(sorted(piece.height for piece in some))
    weight = np.cumsum(heights.astype(float) ** 2)  # dirt is small
    return float(heights[np.searchsorted(weight, weight[-1] / 2)])


def is_slender(piece: Piece) -> bool:
    """Tell whether a piece is very long beside its thickness, as an edge of the paper is; a thin one may be, too."""
    return piece.area * SLENDER < max(piece.height, piece.width) ** 2


def is_blob(piece: Piece) -> bool:
    """Tell whether a piece fills the ellipse of its second moments, and is not long: no stroke of a pen, but dirt."""
    y, x = np.nonzero(piece.mask)
    spread = np.cov(np.stack([y, x]), bias=True) + np.eye(2) / 12  # 1 / 12: a pixel's own
    small, large = np.linalg.eigvalsh(spread)
    return bool(len(y) > BLOB[0] * 4 * np.pi * np.sqrt(small * large) and large < (BLOB[1] ** 2) * small)


# parts of one digit ---------------------------------------------------------------------------------------------------


def whole(found: Sequence[Piece], height: float) -> list[Piece]:
    """Join parts of a digit, as the bar of a five, with the nearest rest, and leave out specks; height: the usual one."""
    some = [piece for piece in found if max(piece.height, piece.width) > SPECK * height]
    boxes = np.array([(piece.top, piece.bottom, piece.left, piece.right) for piece in some], float).reshape(-1, 4)
    parts = [k for k, piece in enumerate(some) if piece.height < SMALL * height]
    for part in sorted(parts, key=lambda k: some[k].area):
        apart = _apart(boxes, boxes[part], height)
        apart[part] = np.inf
        rest = int(apart.argmin())
        if apart[rest] < np.inf:
            one = some[rest] = joined(some[part], some[rest])
            boxes[rest] = one.top, one.bottom, one.left, one.right
            boxes[part] = np.nan  # gone
    return [piece for piece, box in zip(some, boxes) if not np.isnan(box[0])]


def _apart(boxes: Array, part: Array, height: float) -> Array:
    """Return how far boxes (top, bottom, left, right) are from a part, where they may be of one digit, else infinity."""
    low, high = np.maximum(boxes, part), np.minimum(boxes, part)
    down, across = low[:, 0] - high[:, 1], low[:, 2] - high[:, 3]
    tall, wide = low[:, 1] - high[:, 0], low[:, 3] - high[:, 2]
    fits = (np.maximum(across, down) <= NEAR * height) & (tall <= TALLEST * height) & (wide <= WIDEST * height)
    # of two that it overlaps, the one above or below it
    return np.where(fits, np.maximum(across, 0) + np.maximum(down, 0) + 0.1 * across, np.inf)


def joined(a: Piece, b: Piece) -> Piece:
    """Return two pieces as one."""
    top, left = min(a.top, b.top), min(a.left, b.left)
    mask = np.zeros((max(a.bottom, b.bottom) - top, max(a.right, b.right) - left), bool)
    for one in (a, b):
        mask[one.top - top : one.bottom - top, one.left - left : one.right - left] |= one.mask
    return Piece(top, left, mask)


# touching digits ------------------------------------------------------------------------------------------------------


def cut(piece: Piece, low: float, high: float) -> tuple[Piece, Piece] | None:
    """Cut a piece into left and right along the path of least ink from its top to its bottom.

    The path starts and ends within low .. high of the width, and goes down, straight or aside by a column a row.
    """
    height, width = piece.mask.shape
    first, last = int(low * width), max(int(np.ceil(high * width)), int(low * width) + 1)
    ink = piece.mask[:, first:last].astype(np.float32) + 0.001
    cost = ink.copy()
    for row in range(1, height):
        before = np.pad(cost[row - 1], 1, constant_values=np.inf)
        cost[row] += np.minimum(before[1:-1], np.minimum(before[:-2], before[2:]) + 0.05)
    at = int(cost[-1].argmin())
    path = np.empty(height, np.intp)
    path[-1] = at
    for row in range(height - 1, 0, -1):
        near = range(max(at - 1, 0), min(at + 2, cost.shape[1]))
        at = min(near, key=lambda column: cost[row - 1, column] + 0.05 * (column != at))
        path[row - 1] = at
    is_left = np.arange(width) < (path + first)[:, None]
    sides = [_trimmed(piece, piece.mask & side) for side in (is_left, ~is_left)]
    return None if sides[0] is None or sides[1] is None else (sides[0], sides[1])


def cut_across(piece: Piece, low: float, high: float) -> tuple[Piece, Piece] | None:
    """Cut a piece into upper and lower."""
    halves = cut(Piece(piece.left, piece.top, piece.mask.T), low, high)
    return None if halves is None else (_turned(halves[0]), _turned(halves[1]))


def _turned(piece: Piece) -> Piece:
    return Piece(piece.left, piece.top, piece.mask.T)


def _trimmed(piece: Piece, mask: Array) -> Piece | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    inner = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Piece(piece.top + int(rows[0]), piece.left + int(columns[0]), inner)


# lines ----------------------------------------------------------------------------------------------------------------


def in_lines(found: Sequence[Piece], height: float) -> list[list[int]]:
    """Return the pieces' numbers by lines from the top down, each from left to right; height: the usual one.

    A piece stands in the line of the next one to its right whose middle is about as high.

    >>> box = np.ones((10, 6), bool)
    >>> in_lines([Piece(22, 0, box), Piece(1, 12, box), Piece(0, 0, box)], 10)
    [[2, 1], [0]]
    """
    if not found:
        return []
    middle = np.array([(piece.top + piece.bottom) / 2 for piece in found])
    across = np.array([(piece.left + piece.right) / 2 for piece in found])
    near = (np.abs(middle[:, None] - middle) < SAME_LINE * height) & (across[:, None] < across)
    ahead = np.where(near, across - across[:, None] + 2 * np.abs(middle[:, None] - middle), np.inf)
    after = ahead.argmin(1)
    linked = np.flatnonzero(ahead.min(1) < REACH * height)
    label = united(len(found), linked, after[linked])
    lines = [np.flatnonzero(label == one) for one in np.unique(label)]
    lines = [line[np.argsort(across[line], kind="stable")] for line in lines]
    return _rows(lines, middle, across, height)


def _rows(lines: list[Array], middle: Array, across: Array, height: float) -> list[list[int]]:
    """Join lines that go on after a wide gap, and sort them from the top down."""
    rows: list[list[int]] = []
    for line in sorted(lines, key=lambda line: float(middle[line].mean())):
        for row in rows:
            apart = across[line[0]] > across[row[-1]] or across[line[-1]] < across[row[0]]
            if apart and abs(middle[row].mean() - middle[line].mean()) < SAME_LINE * height:
                row.extend(line.tolist())
                row.sort(key=lambda k: float(across[k]))
                break
        else:
            rows.append(line.tolist())
    return rows
