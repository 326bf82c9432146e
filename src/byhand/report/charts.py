"""Charts as SVG, small and without a script: the curves of a training, and whether probabilities keep their word.

Colours come from the page's style, so that a chart is dark where the page is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import Any

from byhand.report.scores import Calibration

WIDE, TALL = 460, 250  # of a curve's chart, in its own units
LEFT, RIGHT, TOP, BELOW = 50, 12, 12, 32  # the margins, where the numbers stand
SIDE, STRIP = 230, 34  # of the square in which probability meets truth; of the bars below it
FEW = 10  # answers of a bin, whose part that is right says little
PARTS = 20  # of a curve, each a mean
WORDS = {"test": "test", "val": "validation"}


@dataclass(frozen=True)
class Line:
    """A line of a chart: whose it is, its kind, its points, whether each has a mark, and the value that it ends at.

    kind: "plus" (training), "minus" (held out), or "faint", what a smoothed line is the mean of; that has no label.
    """

    label: str
    kind: str
    points: list[tuple[float, float]]
    marked: bool
    last: float


def lines(history: Sequence[Mapping[str, Any]], curve: Sequence[Sequence[float]], name: str) -> list[Line]:
    """Return the lines of "loss" or "accuracy": while training, and on the images held out, where there are any.

    Of many points within the epochs, the line is the mean over a twentieth of them.

    >>> row = {"epoch": 1, "loss": 0.5, "accuracy": 0.8, "val_loss": 0.6, "val_accuracy": 0.7}
    >>> [(line.label, line.points) for line in lines([row], [], "accuracy")]
    [('training', [(1, 0.8)]), ('validation', [(1, 0.7)])]
    """
    column = {"loss": 1, "accuracy": 2}[name]
    rows = _finite((row["epoch"], row[name]) for row in history)
    points = _finite((point[0], point[column]) for point in curve) or rows
    found = []
    if points:
        last = (rows or points)[-1][1]  # the epoch's mean: that of a few batches is chance
        smooth = _smooth(points)
        found += [] if smooth is points else [Line("", "faint", points, False, last)]
        found.append(Line("training", "plus", smooth, len(points) == 1, last))
    for prefix, word in WORDS.items():
        key = f"{prefix}_{name}"
        points = _finite((row["epoch"], row[key]) for row in history if key in row)
        found += [Line(word, "minus", points, True, points[-1][1])] if points else []
    return found


SMALLEST = 1e-30  # loss that a logarithmic scale shows


def marks(found: Sequence[Line], name: str) -> tuple[list[float], bool]:
    """Return the round numbers at the side of a chart, and whether its scale is logarithmic: a loss's, if none is 0."""
    values = [y for line in found for _, y in line.points]
    logarithmic = name == "loss" and min(values) > SMALLEST
    return (_decades if logarithmic else _steps)(min(values), max(values)), logarithmic


def mark_text(mark: float, name: str) -> str:
    """Return a number at the side of a chart."""
    return f"{100 * mark:.6g}%" if name == "accuracy" else f"{mark:g}"


def value_text(value: float, name: str) -> str:
    """Return the value that a line ends at."""
    return f"{value:.1%}" if name == "accuracy" else f"{value:.3g}"


def curve_chart(found: Sequence[Line], name: str) -> str:
    """Return a chart of lines, as SVG."""
    values = [y for line in found for _, y in line.points]
    epochs = [x for line in found for x, _ in line.points]
    sides, logarithmic = marks(found, name)
    scale: Callable[[float], float] = log10 if logarithmic else float
    low, high = scale(min(*values, *sides)), scale(max(*values, *sides))
    start, end = min(0.0, *epochs), max(epochs)

    def x(epoch: float) -> float:
        return LEFT + (WIDE - LEFT - RIGHT) * (epoch - start) / ((end - start) or 1)

    def y(value: float) -> float:
        return TALL - BELOW - (TALL - TOP - BELOW) * (scale(value) - low) / ((high - low) or 1)

    parts = []
    for mark in sides:
        parts.append(f'<path class="grid" d="M{LEFT} {y(mark):.1f}H{WIDE - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark_text(mark, name)}</text>')
    for epoch in _whole(end):
        parts.append(f'<text x="{x(epoch):.1f}" y="{TALL - 12}" text-anchor="middle">{epoch}</text>')
    for line in found:
        path = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line.points)
        parts.append(f'<path class="line {line.kind}" d="M{path}"/>')
        if line.marked:
            parts += [f'<circle class="{line.kind}" cx="{x(a):.1f}" cy="{y(b):.1f}" r="2.6"/>' for a, b in line.points]
    ends = ", ".join(f"{line.label} ends at {value_text(line.last, name)}" for line in found if line.label)
    return _svg(WIDE, TALL, f"{name} by epoch: {ends}", parts)


def caption(found: Sequence[Line], name: str) -> str:
    """Return what stands above a chart: its name, and each line's colour, label and last value, as HTML."""
    keys = "".join(
        f' <span class="key {line.kind}">{line.label} {value_text(line.last, name)}</span>'
        for line in found
        if line.label
    )
    return f"<b>{name}</b>{keys}"


def reliability_chart(found: Calibration) -> str:
    """Return a reliability diagram: how often answers of some probability are right; below, how many there are of each.

    Source: Niculescu-Mizil & Caruana 2005, "Predicting good probabilities with supervised learning".
    """
    bins, most = len(found.count), max(found.count)
    width, left, top = SIDE / bins, 44, 10
    floor_, foot = top + SIDE, top + SIDE + 12 + STRIP
    parts = []
    for mark in (0.0, 0.5, 1.0):
        y = floor_ - SIDE * mark
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{left + SIDE}"/>')
        parts.append(f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{mark_text(mark, "accuracy")}</text>')
        parts.append(
            f'<text x="{left + SIDE * mark:.1f}" y="{foot + 16:.1f}" text-anchor="middle">{mark_text(mark, "accuracy")}</text>'
        )
    for m in range(bins):
        if not found.count[m]:
            continue
        x, tall = left + m * width + 0.75, STRIP * found.count[m] / most
        right, said = SIDE * found.right[m], SIDE * found.confidence[m]
        few = " few" if found.count[m] < FEW else ""
        tip = f"{found.count[m]:,} answers of {found.confidence[m]:.1%} on average: {found.right[m]:.1%} right"
        parts.append(
            f'<g><title>{tip}</title><rect class="plus{few}" x="{x:.1f}" y="{floor_ - right:.1f}" width="{width - 1.5:.1f}"'
            f' height="{max(right, 0.5):.1f}"/><path class="said" d="M{x:.1f} {floor_ - said:.1f}h{width - 1.5:.1f}"/>'
            f'<rect class="soft" x="{x:.1f}" y="{foot - tall:.1f}" width="{width - 1.5:.1f}"'
            f' height="{max(tall, 0.8):.1f}"/></g>'
        )
    parts.append(f'<path class="ideal" d="M{left} {floor_}L{left + SIDE} {top}"/>')
    about = f"reliability diagram: expected calibration error {found.error:.1%}"
    return _svg(left + SIDE + 20, foot + 24, about, parts)


def _svg(width: float, height: float, about: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{about}">{"".join(parts)}</svg>'


def _decades(low: float, high: float) -> list[float]:
    """Return round numbers around a range, for a logarithmic scale: powers of ten, with 2 and 5 between where there is room."""
    if high < 5 * low:  # there may be one of those at most
        return [mark for mark in _steps(low, high) if mark > 0]
    first, last = floor(log10(low)), ceil(log10(high))
    if last - first > 5:
        step = ceil((last - first) / 4)
        return [float(f"1e{power}") for power in range(first, last + step, step)]
    all_marks = [
        float(f"{digit}e{power}")
        for power in range(first, last + 1)
        for digit in ((1, 2, 5) if last - first < 3 else (1,))
    ]
    return [mark for mark in all_marks if low <= mark <= high]


def _steps(low: float, high: float) -> list[float]:
    """Return round numbers around a range, at most seven of them."""
    if low == high:
        pad = 0.1 * max(abs(high), 1)
        low, high = (low, high + pad) if low < pad else (low - pad, high)
    span = high - low
    power = 10.0 ** floor(log10(span / 4))
    step = next(power * digit for digit in (1, 2, 5, 10) if span / (power * digit) <= 5)
    return [float(f"{step * i:.12g}") for i in range(floor(low / step + 1e-9), ceil(high / step - 1e-9) + 1)]


def _whole(end: float) -> range:
    step = max(1, ceil(end / 8))
    return range(0, floor(end) + 1, step)


def _finite(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if isfinite(y)]


def _smooth(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return each point as the mean of those around it, a twentieth of all; few points as they are."""
    reach = len(points) // (2 * PARTS)
    if not reach:
        return points
    around = [points[max(0, i - reach) : i + reach + 1] for i in range(len(points))]
    return [(x, sum(y for _, y in some) / len(some)) for (x, _), some in zip(points, around)]
