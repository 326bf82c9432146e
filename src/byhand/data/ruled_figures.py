"""Figures drawn with a ruler: boxes, tables, combs, corners and crosses, told from handwriting by their outlines.

Seen from each of its four sides, such a figure shows the viewer bars at one or two levels: the top of a box is one level, the
top of a comb two, the tips of its teeth and the line on which they stand. The outline of handwriting bends.

    profile   for each column (or row) of a component, how far its first ink lies from the side
    level     all of a profile within a pixel or so of one straight line
    evenness  the fraction of a profile that lies on its nearest level or on one further, long one
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from byhand.data.components import Component
from byhand.data.morphology import running
from byhand.shapes import Array

# Boxes reach 1; of 6,906 digits of MNIST of 20 to 100 pixels, 4 have the three even sides of a box or a comb.
MIN_EVENNESS = 0.9
MIN_DIRTY_EVENNESS = 0.6  # of one side, which dirt or a stroke may touch
MIN_ROUNDED_EVENNESS = 0.7  # of all four sides of a box with rounded corners; the straightest nought has 0.64
MAX_SLOPE = 0.03  # of a line of an upright page: 1.7 degrees
MAX_DEVIATION_PIXELS = 1.5  # of a line from straight: a soft edge moves by one
MIN_FAR_FRACTION = 0.3  # of a side, that the further level takes
MAX_INK_FRACTION = 0.65  # of a figure's box; what is fuller is a patch, or a box of thick lines
MIN_THICK_ASPECT = 0.5  # of a box of thick lines, its shorter side over its longer; a one is slimmer
# In thicknesses of the figure's lines: the least of its height and width, and the most of a tooth's or inner wall's thickness.
MIN_SIDE_THICKNESSES = 2.5
MAX_WALL_THICKNESS = 2.0
MIN_WALL_FRACTION = 0.97  # of the figure's side that an inner wall spans
RIM_PIXELS = 1  # how far the soft edge of a line reaches
# In pixels: of a figure's shorter and longer side; below, a step of one pixel is as large as a bend.
MIN_SHORT_SIDE = 8
MIN_LONG_SIDE = 20


class Profile(NamedTuple):
    """A side of a component: how deep its first ink lies in each column, which columns are on which level, and its slope."""

    depth: Array
    near: Array
    far: Array
    slope: float  # rows a column

    @property
    def evenness(self) -> float:
        """The fraction of the side, without its soft corners, that is on a level."""
        return float((self.near | self.far)[RIM_PIXELS:-RIM_PIXELS].mean())

    @property
    def closedness(self) -> float:
        """The fraction of the side, without its soft corners, that is on the nearest level."""
        return float(self.near[RIM_PIXELS:-RIM_PIXELS].mean())


class RuledFigure(NamedTuple):
    """A component whose outline is ruled; its lines across and down as masks (H, W) in its box.

    cell_height: the distance of its lines across, in pixels; 0 for a figure that is open.
    """

    component: Component
    across: Array
    down: Array
    cell_height: float

    @property
    def is_empty(self) -> bool:
        """Whether it is lines and nothing else: nobody has written on them."""
        covered = running(self.across | self.down, 2 * RIM_PIXELS + 1, np.maximum)
        return bool(np.count_nonzero(self.component.mask & ~covered) <= (1 - MIN_EVENNESS) * self.component.area)


def find(found: Iterable[Component]) -> list[RuledFigure]:
    """Return the components that are drawn with a ruler.

    >>> box = np.ones((30, 40), bool)
    >>> box[3:-3, 3:-3] = False
    >>> y, x = np.mgrid[:30, :40]
    >>> ring = abs(np.hypot((y - 14.5) / 15, (x - 19.5) / 20) - 0.9) < 0.1
    >>> [figure.is_empty for figure in find([Component(0, 0, box), Component(50, 0, ring)])]
    [True]
    """
    figures = (_figure(component) for component in found)
    return [figure for figure in figures if figure is not None]


def _figure(component: Component) -> RuledFigure | None:
    mask = component.mask
    fits = min(mask.shape) >= MIN_SHORT_SIDE and max(mask.shape) >= MIN_LONG_SIDE
    if not fits:
        return None
    across, down = np.zeros_like(mask), np.zeros_like(mask)
    # a side's view turned so that the side is above, and the lines that run along it
    views = (
        (mask, across, down),
        (mask[::-1], across[::-1], down[::-1]),
        (mask.T, down.T, across.T),
        (mask.T[::-1], down.T[::-1], across.T[::-1]),
    )
    profiles = [_profile(side) for side, _, _ in views]
    if component.area > MAX_INK_FRACTION * mask.size:
        is_even = min(profile.closedness for profile in profiles) >= MIN_EVENNESS
        is_box = is_even and min(mask.shape) >= MIN_THICK_ASPECT * max(mask.shape)
        return RuledFigure(component, mask, mask, 0.0) if is_box else None
    thickness = max(_thickness(side, profile) for (side, _, _), profile in zip(views, profiles))
    if not _is_outline(profiles) or min(mask.shape) < MIN_SIDE_THICKNESSES * thickness:
        return None
    for (side, along, inward), profile in zip(views, profiles):
        _mark_lines(side, profile, thickness, along, inward)
    if any(profile.far.any() for profile in profiles):
        return RuledFigure(component, across, down, 0.0)
    _mark_walls(mask.T, thickness, (profiles[2].slope - profiles[3].slope) / 2, down.T)
    walls = _mark_walls(mask, thickness, (profiles[0].slope - profiles[1].slope) / 2, across)
    return RuledFigure(component, across, down, component.height / (walls + 1))


def _is_outline(profiles: Sequence[Profile]) -> bool:
    """Tell whether sides are those of a box, or of a comb: one of them is open."""
    least, second = sorted(profile.evenness for profile in profiles)[:2]
    closed = sorted(profile.closedness for profile in profiles)
    is_sharp = least >= MIN_DIRTY_EVENNESS and second >= MIN_EVENNESS and closed[1] >= MIN_DIRTY_EVENNESS
    return is_sharp or closed[0] >= MIN_ROUNDED_EVENNESS


def _profile(side: Array) -> Profile:
    """Return the profile of a mask (H, W) from above."""
    depth = side.argmax(0)
    # where dirt stands out over the nearest level, it takes less than a quarter of the side
    starts = float(depth.min()), float(np.percentile(depth, 25, method="lower"))
    return max((_levels(depth, start) for start in starts), key=lambda profile: profile.evenness)


def _levels(depth: Array, start: float) -> Profile:
    """Return a profile whose nearest level begins at a depth."""
    columns = np.arange(len(depth))
    reach = max(1, MAX_SLOPE * len(depth))
    near = np.abs(depth - start) <= reach
    slope = _slope(columns[near], depth[near])
    level = depth - slope * columns
    near = np.abs(level - np.median(level[near])) <= MAX_DEVIATION_PIXELS
    rest = np.rint(level[~near]).astype(int)
    if not len(rest):
        return Profile(depth, near, ~near, slope)
    on_level = np.convolve(np.bincount(rest - rest.min()), np.ones(3, int), "same")
    far = ~near & (np.abs(level - rest.min() - int(on_level.argmax())) <= MAX_DEVIATION_PIXELS)
    return Profile(depth, near, far & (far.mean() >= MIN_FAR_FRACTION), slope)


def _slope(x: Array, y: Array) -> float:
    """Return the slope of points, sorted by x, that lie on a line: between the medians of their left and right third."""
    third = len(x) // 3
    if third < 2:
        return 0.0
    run = np.median(x[-third:]) - np.median(x[:third])
    return float(np.clip((np.median(y[-third:]) - np.median(y[:third])) / run, -MAX_SLOPE, MAX_SLOPE))


def _thickness(side: Array, profile: Profile) -> float:
    """Return the thickness of the line along a side, in pixels: the median of its ink's first runs."""
    columns = np.flatnonzero(profile.far if profile.far.any() else profile.near)
    below = np.arange(len(side))[:, None] >= profile.depth[columns]
    ends = (below & ~side[:, columns]).argmax(0)
    runs = np.where(ends > 0, ends, len(side)) - profile.depth[columns]
    return float(np.median(runs))


def _mark_lines(side: Array, profile: Profile, thickness: float, along: Array, inward: Array) -> None:
    """Mark the lines that a side shows: those along it, and the teeth that point at the viewer."""
    rows = np.arange(len(side))[:, None]
    inside = rows - profile.depth
    is_line = profile.near | profile.far | (profile.closedness >= MIN_DIRTY_EVENNESS)  # round corners are lines, too
    along |= side & is_line & (inside >= 0) & (inside < thickness + RIM_PIXELS)
    if profile.far.any():
        edges = np.diff(profile.near.astype(np.int8), prepend=0, append=0)
        base = np.median(profile.depth[profile.far])
        for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)):
            if stop - start <= MAX_WALL_THICKNESS * thickness + 2 * RIM_PIXELS:
                tooth = np.zeros_like(profile.near)
                tooth[max(start - RIM_PIXELS, 0) : stop + RIM_PIXELS] = True
                inward |= side & tooth & (rows <= base + thickness)


def _mark_walls(mask: Array, thickness: float, slope: float, along: Array) -> int:
    """Mark the inner lines of a closed figure that are ink from side to side, and return how many there are."""
    height, width = mask.shape
    columns = np.arange(width)
    fall = np.rint(slope * (columns - width / 2)).astype(int)
    rows = np.arange(height)[:, None] + fall
    level = mask[np.clip(rows, 0, height - 1), columns]
    full = running(level, 3, np.maximum, (0,)).mean(1) > MIN_WALL_FRACTION
    edges = np.diff(full.astype(np.int8), prepend=0, append=0)
    walls = 0
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)):
        is_inner = start > thickness and stop < height - thickness
        if is_inner and stop - start <= MAX_WALL_THICKNESS * thickness + 2:
            inside = rows[start:stop]
            np.clip(inside, 0, height - 1, out=inside)
            along[inside, columns] |= mask[inside, columns]
            walls += 1
    return walls
