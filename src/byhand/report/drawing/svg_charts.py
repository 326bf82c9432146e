"""SVG charts of the HTML report: learning curves and a reliability diagram.

Colors are classes of the page's style sheet, so that the charts follow its light and dark themes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import Any, Literal

from byhand.report.diagnosis_input import judged_epoch
from byhand.report.metrics import Calibration
from byhand.translation import translate

# Sizes in SVG user units
WIDTH = 460  # of a learning curve
HEIGHT = 250
RELIABILITY_SIDE = 230
HISTOGRAM_HEIGHT = 34  # below the reliability diagram
HISTOGRAM_GAP = 12

# Margins in SVG user units
LEFT = 50
RIGHT = 12
TOP = 12
BOTTOM = 32

FAINT_MAX_COUNT = 10  # predictions of a bin whose accuracy is hardly known
SMOOTHING_PARTS = 20  # the line is a moving average over a twentieth of the points
LOG_SCALE_MIN_LOSS = 1e-30
HELD_OUT_NAMES = {"test": "test", "val": "validation"}


@dataclass(frozen=True)
class ChartLine:
    """A line of a chart: label, kind, points (epoch, value), whether each point has a marker, and the value in the legend.

    kind, its class in the style sheet: "train", "held-out", or "raw", the points under a smoothed line, without a label.
    """

    label: str
    kind: Literal["train", "held-out", "raw"]
    points: list[tuple[float, float]]
    marked: bool
    value: float


def chart_lines(history: Sequence[Mapping[str, Any]], curve: Sequence[Sequence[float]], name: str) -> list[ChartLine]:
    """Return the learning curves of "loss" or "accuracy": on training images, and on held-out images where evaluated.

    A curve with many points within the epochs is smoothed with a moving average. The legend's values are those of the epoch
    whose network is kept.

    >>> row = {"epoch": 1, "loss": 0.5, "accuracy": 0.8, "val_loss": 0.6, "val_accuracy": 0.7}
    >>> [(line.label, line.points) for line in chart_lines([row], [], "accuracy")]
    [('training', [(1, 0.8)]), ('validation', [(1, 0.7)])]
    """
    column, epoch = {"loss": 1, "accuracy": 2}[name], judged_epoch(history)
    rows = _finite((row["epoch"], row[name]) for row in history)
    points = _finite((point[0], point[column]) for point in curve) or rows
    lines = []
    if points:
        last = _value_at(epoch, rows or points)  # the epoch's mean: that of a few batches is noise
        smooth = _moving_average(points)
        lines += [] if smooth is points else [ChartLine("", "raw", points, False, last)]
        lines.append(ChartLine("training", "train", smooth, len(points) == 1, last))
    for prefix, label in HELD_OUT_NAMES.items():
        key = f"{prefix}_{name}"
        points = _finite((row["epoch"], row[key]) for row in history if key in row)
        lines += [ChartLine(label, "held-out", points, True, _value_at(epoch, points))] if points else []
    return lines


def _value_at(epoch: int, points: Sequence[tuple[float, float]]) -> float:
    """Return the value at an epoch; where there is none, the last one."""
    return dict(points).get(epoch, points[-1][1])


def axis_ticks(lines: Sequence[ChartLine], name: str) -> tuple[list[float], bool]:
    """Return the ticks of the y axis, and whether it is logarithmic: for a loss that is nowhere 0."""
    values = [y for line in lines for _, y in line.points]
    logarithmic = name == "loss" and min(values) > LOG_SCALE_MIN_LOSS
    return (_log_ticks if logarithmic else _linear_ticks)(min(values), max(values)), logarithmic


def tick_label(tick: float, name: str) -> str:
    """Return the label of a tick of the y axis."""
    return f"{100 * tick:.6g}%" if name == "accuracy" else f"{tick:g}"


def value_label(value: float, name: str) -> str:
    """Return the last value of a line, for the legend."""
    return f"{value:.1%}" if name == "accuracy" else f"{value:.3g}"


def curve_chart(lines: Sequence[ChartLine], name: str) -> str:
    """Return a learning curve as SVG."""
    values = [y for line in lines for _, y in line.points]
    epochs = [x for line in lines for x, _ in line.points]
    ticks, logarithmic = axis_ticks(lines, name)
    scale: Callable[[float], float] = log10 if logarithmic else float
    low, high = scale(min(*values, *ticks)), scale(max(*values, *ticks))
    start, end = min(0.0, *epochs), max(epochs)

    def x(epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (epoch - start) / ((end - start) or 1)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (scale(value) - low) / ((high - low) or 1)

    parts = []
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick_label(tick, name)}</text>')
    for epoch in _epoch_ticks(end):
        parts.append(f'<text x="{x(epoch):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{epoch}</text>')
    for line in lines:
        path = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line.points)
        parts.append(f'<path class="line {line.kind}" d="M{path}"/>')
        if line.marked:
            parts += [f'<circle class="{line.kind}" cx="{x(a):.1f}" cy="{y(b):.1f}" r="2.6"/>' for a, b in line.points]
    ends = ", ".join(f"{translate(line.label)} {value_label(line.value, name)}" for line in lines if line.label)
    return _svg(WIDTH, HEIGHT, translate(f"{name} by epoch: {ends}"), parts)


def legend(lines: Sequence[ChartLine], name: str) -> str:
    """Return a chart's title and legend as HTML: each line's color, label and value."""
    keys = "".join(
        f' <span class="key {line.kind}">{translate(line.label)} {value_label(line.value, name)}</span>'
        for line in lines
        if line.label
    )
    return f"<b>{translate(name)}</b>{keys}"


def reliability_chart(calibration: Calibration) -> str:
    """Return a reliability diagram as SVG: accuracy and mean confidence per bin; below, the number of predictions per bin.

    Source: Niculescu-Mizil & Caruana 2005, "Predicting good probabilities with supervised learning".
    """
    count, side = calibration.count, RELIABILITY_SIDE
    bins, largest = len(count), max(count)
    step, left, top = side / bins, 44, 10
    base = top + side
    foot = base + HISTOGRAM_GAP + HISTOGRAM_HEIGHT
    parts = []
    for tick in (0.0, 0.5, 1.0):
        y, label = base - side * tick, tick_label(tick, "accuracy")
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{left + side}"/>')
        parts.append(f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        parts.append(f'<text x="{left + side * tick:.1f}" y="{foot + 16:.1f}" text-anchor="middle">{label}</text>')
    for m in range(bins):
        if not count[m]:
            continue
        x, width, bar = left + m * step + 0.75, f"{step - 1.5:.1f}", HISTOGRAM_HEIGHT * count[m] / largest
        accuracy, confidence = calibration.accuracy[m], calibration.confidence[m]
        faint = " few" if count[m] < FAINT_MAX_COUNT else ""
        title = translate(f"{count[m]:,} predictions: mean confidence {confidence:.1%}, accuracy {accuracy:.1%}")
        parts.append(
            f'<g><title>{title}</title><rect class="accuracy{faint}" x="{x:.1f}" y="{base - side * accuracy:.1f}"'
            f' width="{width}" height="{max(side * accuracy, 0.5):.1f}"/>'
            f'<path class="confidence" d="M{x:.1f} {base - side * confidence:.1f}h{width}"/>'
            f'<rect class="count" x="{x:.1f}" y="{foot - bar:.1f}" width="{width}" height="{max(bar, 0.8):.1f}"/></g>'
        )
    parts.append(f'<path class="ideal" d="M{left} {base}L{left + side} {top}"/>')
    label = translate(f"reliability diagram: expected calibration error {calibration.error:.1%}")
    return _svg(left + side + 20, foot + 24, label, parts)


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _log_ticks(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis: powers of ten, with 2 and 5 in between where there is room."""
    if high < 5 * low:  # contains one of those at most
        return [tick for tick in _linear_ticks(low, high) if tick > 0]
    first, last = floor(log10(low)), ceil(log10(high))
    if last - first > 5:
        step = ceil((last - first) / 4)
        return [float(f"1e{power}") for power in range(first, last + step, step)]
    digits = (1, 2, 5) if last - first < 3 else (1,)
    ticks = [float(f"{digit}e{power}") for power in range(first, last + 1) for digit in digits]
    return [tick for tick in ticks if low <= tick <= high]


def _linear_ticks(low: float, high: float) -> list[float]:
    """Return at most seven round numbers that enclose a range."""
    if low == high:
        pad = 0.1 * max(abs(high), 1)
        low, high = (low, high + pad) if low < pad else (low - pad, high)
    span = high - low
    power = 10.0 ** floor(log10(span / 4))
    step = next(power * digit for digit in (1, 2, 5, 10) if span / (power * digit) <= 5)
    return [float(f"{step * i:.12g}") for i in range(floor(low / step + 1e-9), ceil(high / step - 1e-9) + 1)]


def _epoch_ticks(end: float) -> range:
    step = max(1, ceil(end / 8))
    return range(0, floor(end) + 1, step)


def _finite(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if isfinite(y)]


def _moving_average(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the moving average over a twentieth of all points; few points as they are."""
    reach = len(points) // (2 * SMOOTHING_PARTS)
    if not reach:
        return points
    windows = [points[max(0, i - reach) : i + reach + 1] for i in range(len(points))]
    return [(x, sum(y for _, y in window) / len(window)) for (x, _), window in zip(points, windows)]
