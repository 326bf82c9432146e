"""Removal of printed lines from a page: boxes, tables, combs, frames, underlines and rules are no ink.

A line is straight, thin and along an axis of the upright page, and longer than a stroke of a digit:

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

from byhand.data import components
from byhand.data.components import Component
from byhand.data.morphology import running
from byhand.shapes import Array

LINE_CONTRAST = 0.3  # of the ink's contrast: what may belong to a line
PAGE_LINE_FRACTION = 1 / 6  # of the page's longer side: a line of this length is printed, whatever the writing is
# In heights of the writing.
MIN_LONE_LENGTH = 1.6  # of a line that joins no other
MIN_WALL_LENGTH = 1.15  # of a line that joins others at both ends
MAX_THICKNESS = 0.4
MAX_DASH_LENGTH = 0.45
MIN_FRAME_HEIGHT = 0.35  # the least height of writing in a frame, in heights of the frame
USUAL_FRAME_HEIGHT = 0.8  # the same, where nothing else tells
MIN_COVERAGE = 0.93  # of a segment by ink
MIN_DASHES = 4
MAX_CROSS = 3.5  # in dashes: where two dashed lines cross
RIM = 1.2  # pixels: how far the soft edge of a line reaches
MIN_DARKER = 0.2  # than the line, in contrasts of ink: what is ink on a line
CROSSING_SLOPES = (0.0, -0.5, 0.5, -1.0, 1.0, -2.0, 2.0)  # columns a row, of strokes that cross a line
MIN_TICKS = 3
MAX_TICK_HEIGHT = 1.25  # in heights of the writing


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
    length, thickness = round(PAGE_LINE_FRACTION * max(mask.shape)), max(4, max(mask.shape) // 80)
    across, down = _segments(mask, length, thickness), _segments(mask.T, length, thickness).T
    if height := writing_height(_without(contrast, ink, mask, across, down), min_height):
        wall_across, wall_down = _walls(mask, height)
        across, down = across | wall_across, down | wall_down
    left = _without(contrast, ink, mask, across, down)
    lines = across | down
    if height:
        marks = _dashes(left, height)
        marks |= _ticks(left & ~marks, lines, height)
        left, lines = left & ~marks, lines | marks
    return np.where(lines & ~left, np.float32(0), contrast), lines


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
    near_middle: Array = np.abs(rows[:, None] - np.polyval(bend, np.arange(line.shape[1]))) <= thickness / 2 + RIM
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
    length, thickness = ceil(MIN_WALL_LENGTH * height), max(4, round(MAX_THICKNESS * height))
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
    length, thickness = ceil(MIN_WALL_LENGTH * height), max(4, round(MAX_THICKNESS * height))
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
        if max(mark.height, mark.width) <= 1 + MAX_CROSS * length and mark.area <= MAX_CROSS * area:
            whole[mark.window] |= mark.mask
    return running(whole, 3, np.maximum)


def _ticks(mask: Array, lines: Array, height: float) -> Array:
    """Return a mask of upright marks of one height on one line."""
    marks = [
        mark
        for mark in components.connected_components(mask)
        if 3 <= mark.height <= MAX_TICK_HEIGHT * height and mark.width <= MAX_THICKNESS * height and _is_upright(mark)
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
        stroke = here > max((level + ink) / 2, level + MIN_DARKER * ink)
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


def writing_height(mask: Array, min_height: int) -> float:
    """Return the typical height of writing on a page that may have frames; 0 where there is nothing."""
    found = [
        component
        for component in components.connected_components(mask)
        if max(component.height, component.width) >= min_height
    ]
    frames = [component for component in found if is_frame(component)]
    others = [component for component in found if component not in frames]
    written = components.typical_height(others, min_height)
    frame = components.typical_height(frames, min_height) if frames else 0.0
    if not written:
        wide = [component.height for component in others if component.height >= min_height]
        written = float(np.median(wide)) if wide else USUAL_FRAME_HEIGHT * frame
    return max(written, MIN_FRAME_HEIGHT * frame)


def is_frame(component: Component) -> bool:
    """Tell whether most of a component are straight lines along both axes that span it: a box, a table, a comb."""
    mask = component.mask
    if min(mask.shape) < 8 or component.area > 0.5 * mask.size:
        return False
    across, down = (_segments(part, max(5, round(0.6 * part.shape[1])), part.shape[0] // 4) for part in (mask, mask.T))
    down = down.T
    straight = np.count_nonzero(mask & (across | down))
    sides = [np.count_nonzero(mask & part) for part in (across, down)]
    parallel = max(_count_lines(across.any(1)), _count_lines(down.any(0)))
    return straight > 0.6 * component.area and min(sides) > 0.15 * component.area and parallel > 1


def _count_lines(profile: Array) -> int:
    return int(np.count_nonzero(np.diff(profile.astype(np.int8), prepend=0) == 1))


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
