"""The history of a training: one row per epoch, which a notebook shows as two line charts and a table."""

from collections.abc import Iterable
from html import escape
from typing import Any

Row = dict[str, Any]  # an epoch: its number, loss and accuracy, and those on other sets (test_loss, val_accuracy, ...)

# In pixels
CHART_WIDTH = 300
CHART_HEIGHT = 110
CHART_MARGIN = 6

COLORS = ("#1f5fa8", "#c25a12", "#6b7280")


class History(list[Row]):
    """A list of rows, one per epoch.

    >>> History([{"epoch": 1, "loss": 0.5, "accuracy": 0.8}, {"epoch": 2, "loss": 0.25, "accuracy": 0.9}])._repr_html_()[:60]
    '<div style="display:flex;flex-wrap:wrap;gap:24px"><figure st'
    """

    def _repr_html_(self) -> str:
        """Return charts of loss and accuracy, and a table of the rows."""
        names = list(dict.fromkeys(name for row in self for name in row))
        charts = "".join(
            _chart(self, metric, [name for name in names if name.endswith(metric)]) for metric in ("loss", "accuracy")
        )
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(_formatted(name, row.get(name)))}</td>' for name in names)}</tr>"
            for row in self
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f'<div style="display:flex;flex-wrap:wrap;gap:24px">{charts}</div>{table}'


def _chart(rows: Iterable[Row], metric: str, names: list[str]) -> str:
    """Return a chart of one metric over the epochs, one line per column."""
    lines = {name: [float(row[name]) for row in rows if name in row] for name in names}
    values = [value for line in lines.values() for value in line]
    if not values:
        return ""
    low, high = min(values), max(values)
    drawn, legend = "", ""
    for color, (name, line) in zip(COLORS, lines.items()):
        dx = (CHART_WIDTH - 2 * CHART_MARGIN) / max(1, len(line) - 1)
        scale = (CHART_HEIGHT - 2 * CHART_MARGIN) / ((high - low) or 1)
        points = [f"{CHART_MARGIN + dx * i:.1f},{CHART_MARGIN + scale * (high - y):.1f}" for i, y in enumerate(line)]
        path = " ".join(points if len(points) > 1 else 2 * points)
        drawn += f'<polyline fill="none" stroke="{color}" stroke-width="2" stroke-linecap="round" points="{path}"/>'
        legend += f' <span style="color:{color}">{escape(name)}</span>'
    title = escape(f"{metric} by epoch, {_formatted(metric, low)} to {_formatted(metric, high)}")
    svg = f'<svg width="{CHART_WIDTH}" height="{CHART_HEIGHT}" role="img" aria-label="{title}">{drawn}</svg>'
    return f'<figure style="margin:0">{svg}<figcaption>{title}:{legend}</figcaption></figure>'


def _formatted(name: str, value: Any) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{value:.2%}" if name.endswith("accuracy") else f"{value:.4g}"
