"""A training's history: a list of one row an epoch, which a notebook shows as two lines and a table."""

from collections.abc import Iterable
from html import escape
from typing import Any

Row = dict[str, Any]  # an epoch: its number, loss and accuracy, and those on other sets (test_loss, ...)
WIDE, TALL, EDGE = 300, 110, 6  # of a chart, in pixels
COLOURS = ("#1f5fa8", "#c25a12", "#6b7280")


class History(list[Row]):
    """Rows of an epoch each.

    >>> History([{"epoch": 1, "loss": 0.5, "accuracy": 0.8}, {"epoch": 2, "loss": 0.25, "accuracy": 0.9}])._repr_html_()[:60]
    '<div style="display:flex;flex-wrap:wrap;gap:24px"><figure st'
    """

    def _repr_html_(self) -> str:
        """Return charts of loss and accuracy, and the rows."""
        names = list(dict.fromkeys(name for row in self for name in row))
        charts = "".join(
            _chart(self, what, [name for name in names if name.endswith(what)]) for what in ("loss", "accuracy")
        )
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(_spelled(name, row.get(name)))}</td>' for name in names)}</tr>" for row in self
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f'<div style="display:flex;flex-wrap:wrap;gap:24px">{charts}</div>{table}'


def _chart(rows: Iterable[Row], what: str, names: list[str]) -> str:
    """Return what went through the epochs as one chart: a line each."""
    lines = {name: [float(row[name]) for row in rows if name in row] for name in names}
    values = [value for line in lines.values() for value in line]
    if not values:
        return ""
    low, high = min(values), max(values)
    drawn, keys = "", ""
    for colour, (name, line) in zip(COLOURS, lines.items()):
        across = (WIDE - 2 * EDGE) / max(1, len(line) - 1)
        down = (TALL - 2 * EDGE) / ((high - low) or 1)
        points = [f"{EDGE + across * i:.1f},{EDGE + down * (high - value):.1f}" for i, value in enumerate(line)]
        path = " ".join(points if len(points) > 1 else 2 * points)
        drawn += f'<polyline fill="none" stroke="{colour}" stroke-width="2" stroke-linecap="round" points="{path}"/>'
        keys += f' <span style="color:{colour}">{escape(name)}</span>'
    about = f"{what} by epoch, {_spelled(what, low)} to {_spelled(what, high)}"
    svg = f'<svg width="{WIDE}" height="{TALL}" role="img" aria-label="{escape(about)}">{drawn}</svg>'
    return f'<figure style="margin:0">{svg}<figcaption>{escape(about)}:{keys}</figcaption></figure>'


def _spelled(name: str, value: Any) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{value:.2%}" if name.endswith("accuracy") else f"{value:.4g}"
