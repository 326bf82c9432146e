"""Removal of printed lines from a page: boxes, tables, combs, frames, underlines and rules are no ink.

A line is straight, thin and along an axis of the upright page, and longer than a stroke of a digit:

    figures   boxes, tables and combs on which nobody has written go whole: `ruled_figures.py`
    long      a mask's rows are opened by a segment longer than a digit is high, with a tolerance for noise and for a
              slope of 1 to 2 degrees; what is thick is no line
    framed    a shorter segment is a wall of a box where it joins lines of the other direction at both ends
    dashed    small marks that become a line once the gaps between them are closed
    ticks     three or more thin marks of one height that stand on a line, as the teeth of a comb do
    faint     light rules that cross the page are divided out: `divide_ruled_lines`

A stroke that crosses a line is mended: a pixel of the line stays where ink goes on above and below it.
"""

from math import ceil

import numpy as np

from byhand.data import components, ruled_figures
from byhand.data.components import Component
from byhand.data.morphology import running
from byhand.data.ruled_figures import RuledFigure
from byhand.shapes import Array

PAGE_LINE_FRACTION = 1 / 6  # of the page's longer side: a line of this length is printed, whatever the writing is
# In contrasts of ink: the least of a line, and by how much ink on a line is darker than the line.
LINE_CONTRAST = 0.3
MIN_EXTRA_CONTRAST = 0.2
# In heights of the writing.
MIN_LONE_LENGTH = 1.6  # of a line that joins no other
MIN_WALL_LENGTH = 1.15  # of a line that joins others at both ends
MAX_LINE_THICKNESS = 0.4
MAX_DASH_LENGTH = 0.45
MAX_TICK_HEIGHT = 1.25
# In heights of a box: the least of the writing in it, and the usual one, taken where nothing else tells.
MIN_CELL_FRACTION = 0.35
USUAL_CELL_FRACTION = 0.8
MIN_COVERAGE = 0.93  # the fraction of a segment that is ink
MIN_DASHES = 4
MAX_CROSS_DASHES = 3.5  # in lengths and areas of a dash: a mark where two dashed lines cross
MIN_TICKS = 3
RIM_PIXELS = 1.2  # how far the soft edge of a line reaches
CROSSING_SLOPES = (0.0, -0.5, 0.5, -1.0, 1.0, -2.0, 2.0)  # columns a row, of strokes that cross a line


def remove_lines(contrast: Array, ink: float, min_height: int) -> tuple[Array, Array]:
    """Remove printed lines from an upright page; return the contrast that is left, and a mask of the lines.

    contrast: (H, W) float32, 0 to 1; ink: the contrast of ink; min_height: of a digit, in pixels.

    >>> page = np.zeros((60, 200), np.float32)
    >>> page[40:42] = 0.8
    >>> page[30:50, 100:104] = 0.8  # a stroke that crosses the line
    >>> left, lines = remove_lines(page, 0.8, 9)
    >>> int(lines.sum(0).max()), bool(left[40, 50] > 0), bool(left[30:50, 101].all())
    (4, False, True)
    """
    mask = contrast > LINE_CONTRAST * ink
    figures = ruled_figures.find(components.connected_components(mask))
    empty, figure_across, figure_down = _draw(figures, mask.shape)
    mask = mask & ~empty
    length, thickness = round(PAGE_LINE_FRACTION * max(mask.shape)), max(4, max(mask.shape) // 80)
    across = _segments(mask, length, thickness) | figure_across
    down = _segments(mask.T, length, thickness).T | figure_down
    cells = [figure.cell_height for figure in figures if 0 < figure.cell_height < length]
    cell_height = float(np.median(cells)) if cells else 0.0
    if height := writing_height(_without(contrast, ink, mask, across, down), min_height, cell_height):
        wall_across, wall_down = _walls(mask, height)
        across, down = across | wall_across, down | wall_down
    left = _without(contrast, ink, mask, across, down)
    lines = across | down | running(empty, 2 * ceil(RIM_PIXELS) + 1, np.maximum)
    if height:
        marks = _dashes(left, height)
        marks |= _ticks(left & ~marks, lines, height)
        left, lines = left & ~marks, lines | marks
    return np.where(lines & ~left, np.float32(0), contrast), lines


def _draw(figures: list[RuledFigure], shape: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Return masks of a page: the figures on which nobody has written, whole, and the other figures' lines across and down."""
    empty, across, down = (np.zeros(shape, bool) for _ in range(3))
    for figure in figures:
        window = figure.component.window
        if figure.is_empty:
            empty[window] |= figure.component.mask
        else:
            across[window] |= figure.across
            down[window] |= figure.down
    return empty, across, down


# lines ----------------------------------------------------------------------------------------------------------------


def _without(contrast: Array, ink: float, mask: Array, across: Array, down: Array) -> Array:
    """Return a mask without lines, the strokes that cross them mended."""
    left = mask & ~across & ~down
    ended = _ends(contrast, ink, left, across) | _ends(contrast.T, ink, left.T, down.T).T
    return mask & ~ended


def _segments(mask: Array, length: int, thickness: int) -> Array:
    """Return a mask of the thin horizontal segments of at least a length, with the rim of a pixel around them."""
    reach = 1 + length // 64  # rows: how far a segment may rise or fall
    length |= 1
    spread = running(mask, 2 * reach + 1, np.maximum, (0,))
    zone = _rank_opening(spread, length)
    if not zone.any():
        return zone
    thick = thickness + 2 * reach + 1
    zone &= ~running(running(zone, thick, np.minimum, (0,)), thick | 1, np.maximum, (0,))
    bands = np.zeros_like(mask)
    for segment in components.connected_components(zone):
        bands[segment.window] |= segment.mask & _band(mask[segment.window] & segment.mask)
    return bands


def _band(line: Array) -> Array:
    """Return a mask of the pixels near the middle of a line across, a parabola: no stroke beside it."""
    count = line.sum(0)
    columns = np.flatnonzero(count)
    if len(columns) < 3:
        return np.ones_like(line)
    thickness = float(np.median(count[columns]))
    columns = columns[count[columns] <= thickness + 1]
    rows = np.arange(len(line))
    middle = (rows @ line[:, columns]) / count[columns]
    for _ in range(2):  # the second time without the columns where a stroke moves the middle
        bend = np.polyfit(columns, middle, 2 if len(columns) > 40 else 1)
        off = np.abs(middle - np.polyval(bend, columns))
        near = off <= max(1.0, 2 * float(np.median(off)))
        columns, middle = columns[near], middle[near]
    near_middle: Array = (
        np.abs(rows[:, None] - np.polyval(bend, np.arange(line.shape[1]))) <= thickness / 2 + RIM_PIXELS
    )
    return near_middle


def _rank_opening(mask: Array, length: int) -> Array:
    """Return the pixels of a mask's rows in windows of an odd length which the mask covers to MIN_COVERAGE."""
    half = length // 2
    padded = np.pad(mask, [(0, 0), (half + 1, half)])
    sums = np.cumsum(padded, 1, dtype=np.int32)
    full = sums[:, length:] - sums[:, :-length] >= MIN_COVERAGE * length
    return (
        running(np.pad(full, [(0, 0), (half, half)]), length, np.maximum, (1,))[:, half : half + mask.shape[1]] & mask
    )


def _walls(mask: Array, height: float) -> tuple[Array, Array]:
    """Return the lines across and down that are long for the writing, or that join others at both ends."""
    length, thickness = ceil(MIN_WALL_LENGTH * height), max(4, round(MAX_LINE_THICKNESS * height))
    across, down = _segments(mask, length, thickness), _segments(mask.T, length, thickness).T
    return _long_or_joined(across, down, height, thickness), _long_or_joined(down.T, across.T, height, thickness).T


def _long_or_joined(segments: Array, others: Array, height: float, thickness: int) -> Array:
    lines = np.zeros_like(segments)
    for segment in components.connected_components(segments):
        if segment.width >= MIN_LONE_LENGTH * height or _joins(segment, others, thickness):
            lines[segment.window] |= segment.mask
    return lines


def _joins(segment: Component, others: Array, reach: int) -> bool:
    """Tell whether a horizontal segment has lines of the other direction at both of its ends."""
    rows = slice(max(segment.top - reach, 0), segment.bottom + reach)
    left, right = (others[rows, max(end - reach, 0) : end + reach].any() for end in (segment.left, segment.right))
    return bool(left and right)


def _dashes(mask: Array, height: float) -> Array:
    """Return a mask of small marks in a row, at distances of about their own length."""
    marks = [
        mark
        for mark in components.connected_components(mask)
        if max(mark.height, mark.width) <= MAX_DASH_LENGTH * height
    ]
    small, dashes = np.zeros_like(mask), np.zeros_like(mask)
    for mark in marks:
        small[mark.window] |= mark.mask
    length, thickness = ceil(MIN_WALL_LENGTH * height), max(4, round(MAX_LINE_THICKNESS * height))
    gap = round(MAX_DASH_LENGTH * height) | 1
    for turn in (False, True):
        dense = small.T if turn else small
        closed = running(running(dense, gap, np.maximum, (1,)), gap, np.minimum, (1,))
        zone = _segments(closed, length, thickness) & dense
        target = dashes.T if turn else dashes
        for line in components.connected_components(running(zone, gap, np.maximum, (1,))):
            inside = zone[line.window] & line.mask
            starts = np.count_nonzero(np.diff(inside.any(0).astype(np.int8), prepend=0) == 1)
            if starts >= MIN_DASHES:
                target[line.window] |= inside
    return _whole_marks(marks, dashes)


def _whole_marks(marks: list[Component], touched: Array) -> Array:
    """Return a mask of the marks of which at least half is touched, of crosses and corners of two such, and a pixel around."""
    dashes = [mark for mark in marks if 2 * np.count_nonzero(touched[mark.window] & mark.mask) >= mark.area]
    whole = np.zeros_like(touched)
    if not dashes:
        return whole
    length = float(np.median([max(mark.height, mark.width) for mark in dashes]))
    area = float(np.median([mark.area for mark in dashes]))
    for mark in marks:
        if max(mark.height, mark.width) <= 1 + MAX_CROSS_DASHES * length and mark.area <= MAX_CROSS_DASHES * area:
            whole[mark.window] |= mark.mask
    return running(whole, 3, np.maximum)


def _ticks(mask: Array, lines: Array, height: float) -> Array:
    """Return a mask of upright marks of one height on one line."""
    marks = [
        mark
        for mark in components.connected_components(mask)
        if 3 <= mark.height <= MAX_TICK_HEIGHT * height
        and mark.width <= MAX_LINE_THICKNESS * height
        and _is_upright(mark)
    ]
    reach = 3
    marks = [mark for mark in marks if lines[mark.bottom : mark.bottom + reach, mark.left : mark.right].any()]
    heights = np.array([mark.height for mark in marks])
    ticks = np.zeros_like(mask)
    for mark in marks:
        alike = np.abs(heights - mark.height) <= 1 + 0.06 * mark.height
        if np.count_nonzero(alike) >= MIN_TICKS:
            ticks[mark.window] |= mark.mask
    return running(ticks, 3, np.maximum) if ticks.any() else ticks


def _is_upright(mark: Component) -> bool:
    """Tell whether a mark is a straight bar that leans by less than a pixel in twelve, of one thickness."""
    rows = mark.mask.sum(1)
    thickness = float(np.median(rows))
    middle = mark.mask @ np.arange(mark.width) / np.maximum(rows, 1)
    lean = np.polyfit(np.arange(mark.height), middle, 1)
    residual = middle - np.polyval(lean, np.arange(mark.height))
    return bool(
        abs(lean[0]) < 1 / 12
        and np.abs(residual).max() < 1.2
        and np.abs(rows - thickness).max() <= 1 + 0.35 * thickness
        and mark.height > 2 * thickness
    )


# crossings ------------------------------------------------------------------------------------------------------------


def _ends(contrast: Array, ink: float, left: Array, across: Array) -> Array:
    """Return a mask of lines across without the strokes on them: what is darker than the line, or goes on on both sides.

    left: the ink without the lines.
    """
    ended = np.zeros_like(left)
    deep = left & (np.pad(left[1:], [(0, 1), (0, 0)]) | np.pad(left[:-1], [(1, 0), (0, 0)]))  # no soft edge of a line
    for line in components.connected_components(across):
        y, x = np.nonzero(line.mask)
        y, x = y + line.top, x + line.left
        here = contrast[y, x]
        level = float(np.percentile(np.where(line.mask, contrast[line.window], 0).max(0), 70))
        stroke = here > max((level + ink) / 2, level + MIN_EXTRA_CONTRAST * ink)
        depth = min(line.height, ceil(line.area / line.width) + 1)
        for slope in CROSSING_SLOPES:
            stroke |= _meets(deep, y, x, -1, slope, depth) & _meets(deep, y, x, 1, slope, depth)
        ended[y[~stroke], x[~stroke]] = True
    return ended


def _meets(mask: Array, y: Array, x: Array, step: int, slope: float, depth: int) -> Array:
    """Tell for each place whether the mask is met within `depth` rows up (-1) or down (1), along a slope."""
    met = np.zeros(len(y), bool)
    for row in range(1, depth + 1):
        there = y + step * row, x + round(step * row * slope)
        inside = (there[0] >= 0) & (there[0] < mask.shape[0]) & (there[1] >= 0) & (there[1] < mask.shape[1])
        met |= inside & mask[np.clip(there[0], 0, mask.shape[0] - 1), np.clip(there[1], 0, mask.shape[1] - 1)]
    return met


# the writing's height -------------------------------------------------------------------------------------------------


def writing_height(mask: Array, min_height: int, cell_height: float) -> float:
    """Return the typical height of writing on a page without boxes; 0 where there is nothing.

    cell_height: of the boxes, 0 where there are none.
    """
    found = [
        component
        for component in components.connected_components(mask)
        if max(component.height, component.width) >= min_height
    ]
    written = components.typical_height(found, min_height)
    return max(written or USUAL_CELL_FRACTION * cell_height, MIN_CELL_FRACTION * cell_height)


# faint rules ----------------------------------------------------------------------------------------------------------


def divide_ruled_lines(contrast: Array) -> tuple[Array, Array]:
    """Divide rules that cross an upright page out; return what is left, and the rules.

    Ink over a rule lets 1 - contrast of the rule's light through.
    """
    window = max(contrast.shape) // 4
    light = np.ones_like(contrast)
    for axis in (1, 0):
        rule = _rules(contrast if axis else contrast.T, window)
        through = 1 - np.minimum(rule if axis else rule.T, 0.95)
        contrast = np.clip(1 - (1 - contrast) / through, 0, 1)
        light *= through
    return contrast, 1 - light


def _rules(contrast: Array, window: int) -> Array:
    """Return how dark a printed row is at each pixel: what three quarters of the window along it reach, where it is thin."""
    step = max(1, window // 30)
    count = ceil(contrast.shape[1] / step)
    padded = np.pad(contrast, [(0, 0), (0, count * step - contrast.shape[1])], mode="edge")
    coarse = padded.reshape(len(contrast), count, step).mean(2)
    half = window // step // 2
    around = np.pad(coarse, [(0, 0), (half, half)], mode="reflect" if half < count else "edge")
    seen = np.lib.stride_tricks.sliding_window_view(around, 2 * half + 1, axis=1)
    place = (2 * half + 1) // 4
    level = np.partition(seen, place, axis=2)[..., place]
    thin = level - running(running(level, window // 25 + 2, np.minimum, (0,)), window // 25 + 2, np.maximum, (0,))
    return np.repeat(thin, step, axis=1)[:, : contrast.shape[1]]
