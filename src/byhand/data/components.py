"""Connected components of a mask, merged and split into digits, and sorted into lines of text.

Components are found over runs of pixels by union-find (A. Rosenfeld, J. L. Pfaltz, "Sequential operations in digital picture
processing", 1966), all runs at once. Two digits that touch are split along the path of least ink (dynamic programming, as
in L. Y. Tseng, R. C. Chen, "Segmenting handwritten Chinese characters based on heuristic merging of stroke bounding
boxes and dynamic programming", 1998).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from byhand.shapes import Array

# All in typical heights of digits.
MAX_PART_HEIGHT = 0.6  # a lower component may be a part of its neighbor
MAX_PART_DISTANCE = 0.2  # from a part to the rest of the digit
MAX_SPECK_SIZE = 0.12  # a component smaller in both directions is dirt
MAX_MERGED_HEIGHT = 1.5
MAX_MERGED_WIDTH = 1.2
MAX_LINE_OFFSET = 0.5  # between the middles of neighbors in a line
MAX_GAP = 6.0  # to the next digit of the line
# Length over thickness of an edge of the paper, or of a one.
MIN_SLENDERNESS = 16
# A blob fills this fraction of its ellipse, and is at most so many times as long as wide: 31 of 20,000 digits of MNIST are.
MIN_BLOB_FILL = 0.9
MAX_BLOB_ELONGATION = 3.3
# A printed ring: how far nine tenths of its outline lie from their mirror images, over its longer side, and its shorter side
# over its longer, at least. Of 6,903 noughts of MNIST, 8 are printed rings; slimmer rings may be noughts.
MAX_ASYMMETRY = 0.06
MIN_RING_ASPECT = 0.87
MIN_RING_PIXELS = 11  # of the longer side: smaller marks are too coarse to tell
# A bar code: how many bars begin and end together, and what they differ by, at most.
MIN_BARS = 8
MAX_BAR_ASPECT = 0.4
MIN_BAR_FILL = 0.4  # of its box, which a leaning bar does not fill
MAX_BAR_OFFSET = 0.04  # in heights of a bar


@dataclass(frozen=True, eq=False)
class Component:
    """A connected component: the top left corner of its box, and its mask (H, W) in that box."""

    top: int
    left: int
    mask: Array

    @property
    def height(self) -> int:
        """Of the box, in pixels."""
        return int(self.mask.shape[0])

    @property
    def width(self) -> int:
        """Of the box, in pixels."""
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
        """The box, to index an image with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def connected_components(mask: Array) -> list[Component]:
    """Return the 8-connected components of a mask (H, W), in row order.

    >>> mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]], bool)
    >>> [(component.top, component.left, component.area) for component in connected_components(mask)]
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
    label = union_find(len(start), above, below)
    order = np.argsort(label, kind="stable")
    bounds = np.flatnonzero(np.diff(label[order], prepend=-1, append=-1))
    row, left, right = start // width, start % width - 1, stop - start // width * width - 1
    return [_component_of_runs(row[runs], left[runs], right[runs]) for runs in np.split(order, bounds[1:-1])]


def union_find(count: int, a: Array, b: Array) -> Array:
    """Return for each of 0 .. count - 1 the smallest member of its set, where the pairs (a, b) join sets.

    >>> union_find(5, np.array([3, 1]), np.array([4, 3]))
    array([0, 1, 2, 1, 1])
    """
    parent = np.arange(count)
    while True:
        ahead, behind = parent[a], parent[b]
        low, high = np.minimum(ahead, behind), np.maximum(ahead, behind)
        if np.array_equal(low, high):
            return parent
        np.minimum.at(parent, high, low)  # a root points to the smallest member that it meets
        while not np.array_equal(parent, parent[parent]):
            parent = parent[parent]


def _component_of_runs(row: Array, left: Array, right: Array) -> Component:
    top, first = int(row.min()), int(left.min())
    edges = np.zeros((int(row.max()) - top + 1, int(right.max()) - first + 1), np.int8)
    edges[row - top, left - first] = 1  # runs of a row do not touch
    edges[row - top, right - first] = -1
    return Component(top, first, np.cumsum(edges, 1, dtype=np.int8)[:, :-1].astype(bool))


def typical_height(found: Sequence[Component], min_height: int) -> float:
    """Return the typical height of digits: the median of heights from `min_height` on, weighted by their squares; 0: none."""
    kept = [
        component for component in found if component.height >= min_height and component.width < 4 * component.height
    ]
    kept = [component for component in kept if not is_slender(component)] or kept
    if not kept:
        return 0.0
    heights = np.array(sorted(component.height for component in kept))
    weight = np.cumsum(heights.astype(float) ** 2)  # dirt is small
    return float(heights[np.searchsorted(weight, weight[-1] / 2)])


def is_slender(component: Component) -> bool:
    """Tell whether a component is very long for its thickness, as an edge of the paper is; a thin one may be, too."""
    return component.area * MIN_SLENDERNESS < max(component.height, component.width) ** 2


def is_blob(component: Component) -> bool:
    """Tell whether a component fills the ellipse of its second moments and is not long: dirt, no stroke."""
    y, x = np.nonzero(component.mask)
    spread = np.cov(np.stack([y, x]), bias=True) + np.eye(2) / 12  # 1 / 12: the variance within a pixel
    small, large = np.linalg.eigvalsh(spread)
    return bool(
        len(y) > MIN_BLOB_FILL * 4 * np.pi * np.sqrt(small * large) and large < (MAX_BLOB_ELONGATION**2) * small
    )


def is_printed_ring(component: Component) -> bool:
    """Tell whether the outline is its own mirror image left to right and top to bottom: a box or circle, and no handwriting."""
    short, long = sorted(component.mask.shape)
    if long < MIN_RING_PIXELS or short < MIN_RING_ASPECT * long:
        return False
    offsets = []
    for mask in (component.mask, component.mask.T):
        above, below = mask.argmax(0), mask[::-1].argmax(0)
        offsets += [above - below, above - above[::-1], below - below[::-1]]
    asymmetry = max(float(np.percentile(np.abs(offset[1:-1]), 90)) for offset in offsets)
    return bool(asymmetry <= MAX_ASYMMETRY * long)


def without_bar_codes(found: Sequence[Component]) -> list[Component]:
    """Return the components without bars of which at least MIN_BARS begin and end together, as no handwriting does."""

    def is_bar(component: Component) -> bool:
        fill = component.area / component.mask.size
        return component.width <= MAX_BAR_ASPECT * component.height and fill >= MIN_BAR_FILL

    bars = [component for component in found if is_bar(component)]
    ends = np.array([(bar.top, bar.bottom) for bar in bars]).reshape(-1, 2)
    printed = set()
    for bar in bars:
        apart = np.abs(ends - (bar.top, bar.bottom)).max(1)
        if np.count_nonzero(apart <= 1 + MAX_BAR_OFFSET * bar.height) >= MIN_BARS:
            printed.add(bar)
    return [component for component in found if component not in printed]


# parts of one digit ---------------------------------------------------------------------------------------------------


def merge_parts(found: Sequence[Component], height: float) -> list[Component]:
    """Merge parts of a digit, as the bar of a five, with the nearest component, and drop specks; height: the typical one."""
    kept = [component for component in found if max(component.height, component.width) > MAX_SPECK_SIZE * height]
    boxes = np.array(
        [(component.top, component.bottom, component.left, component.right) for component in kept], float
    ).reshape(-1, 4)
    parts = [k for k, component in enumerate(kept) if component.height < MAX_PART_HEIGHT * height]
    for part in sorted(parts, key=lambda k: kept[k].area):
        apart = _apart(boxes, boxes[part], height)
        apart[part] = np.inf
        rest = int(apart.argmin())
        if apart[rest] < np.inf:
            whole = kept[rest] = merge_components(kept[part], kept[rest])
            boxes[rest] = whole.top, whole.bottom, whole.left, whole.right
            boxes[part] = np.nan  # merged
    return [component for component, box in zip(kept, boxes) if not np.isnan(box[0])]


def _apart(boxes: Array, part: Array, height: float) -> Array:
    """Return the distance of boxes (top, bottom, left, right) from a part, infinite where they can't be one digit."""
    low, high = np.maximum(boxes, part), np.minimum(boxes, part)
    row_gap, column_gap = low[:, 0] - high[:, 1], low[:, 2] - high[:, 3]
    merged_height, merged_width = low[:, 1] - high[:, 0], low[:, 3] - high[:, 2]
    fits = (
        (np.maximum(column_gap, row_gap) <= MAX_PART_DISTANCE * height)
        & (merged_height <= MAX_MERGED_HEIGHT * height)
        & (merged_width <= MAX_MERGED_WIDTH * height)
    )
    # of two that it overlaps, the one above or below it
    return np.where(fits, np.maximum(column_gap, 0) + np.maximum(row_gap, 0) + 0.1 * column_gap, np.inf)


def merge_components(a: Component, b: Component) -> Component:
    """Return two components as one."""
    top, left = min(a.top, b.top), min(a.left, b.left)
    mask = np.zeros((max(a.bottom, b.bottom) - top, max(a.right, b.right) - left), bool)
    for part in (a, b):
        mask[part.top - top : part.bottom - top, part.left - left : part.right - left] |= part.mask
    return Component(top, left, mask)


# touching digits ------------------------------------------------------------------------------------------------------


def split_horizontally(component: Component, low: float, high: float) -> tuple[Component, Component] | None:
    """Split a component into left and right along the path of least ink from its top to its bottom.

    The path starts and ends within low .. high of the width, and goes down, straight or aside by a column a row.
    """
    height, width = component.mask.shape
    first, last = int(low * width), max(int(np.ceil(high * width)), int(low * width) + 1)
    ink = component.mask[:, first:last].astype(np.float32) + 0.001
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
    sides = [_trim(component, component.mask & side) for side in (is_left, ~is_left)]
    return None if sides[0] is None or sides[1] is None else (sides[0], sides[1])


def split_vertically(component: Component, low: float, high: float) -> tuple[Component, Component] | None:
    """Split a component into upper and lower."""
    halves = split_horizontally(Component(component.left, component.top, component.mask.T), low, high)
    return None if halves is None else (_transpose(halves[0]), _transpose(halves[1]))


def _transpose(component: Component) -> Component:
    return Component(component.left, component.top, component.mask.T)


def _trim(component: Component, mask: Array) -> Component | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    inner = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Component(component.top + int(rows[0]), component.left + int(columns[0]), inner)


# lines ----------------------------------------------------------------------------------------------------------------


def text_lines(found: Sequence[Component], height: float) -> list[list[int]]:
    """Return the components' numbers by lines of text from the top down, each from left to right; height: the typical one.

    A component is in the line of the next one to its right whose middle is about as high.

    >>> box = np.ones((10, 6), bool)
    >>> text_lines([Component(22, 0, box), Component(1, 12, box), Component(0, 0, box)], 10)
    [[2, 1], [0]]
    """
    if not found:
        return []
    middle = np.array([(component.top + component.bottom) / 2 for component in found])
    across = np.array([(component.left + component.right) / 2 for component in found])
    near = (np.abs(middle[:, None] - middle) < MAX_LINE_OFFSET * height) & (across[:, None] < across)
    ahead = np.where(near, across - across[:, None] + 2 * np.abs(middle[:, None] - middle), np.inf)
    after = ahead.argmin(1)
    linked = np.flatnonzero(ahead.min(1) < MAX_GAP * height)
    label = union_find(len(found), linked, after[linked])
    lines = [np.flatnonzero(label == line) for line in np.unique(label)]
    lines = [line[np.argsort(across[line], kind="stable")] for line in lines]
    return _rows(lines, middle, across, height)


def _rows(lines: list[Array], middle: Array, across: Array, height: float) -> list[list[int]]:
    """Join lines that continue after a wide gap, and sort them from the top down."""
    rows: list[list[int]] = []
    for line in sorted(lines, key=lambda line: float(middle[line].mean())):
        for row in rows:
            apart = across[line[0]] > across[row[-1]] or across[line[-1]] < across[row[0]]
            if apart and abs(middle[row].mean() - middle[line].mean()) < MAX_LINE_OFFSET * height:
                row.extend(line.tolist())
                row.sort(key=lambda k: float(across[k]))
                break
        else:
            rows.append(line.tolist())
    return rows
