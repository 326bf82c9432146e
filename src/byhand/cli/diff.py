"""`byhand diff`: what differs between two networks."""

import json
from dataclasses import asdict
from math import isfinite, prod
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byhand.cli.model_argument import MODEL, Size, open_model, plain

if TYPE_CHECKING:
    from byhand.report.difference import Comparison, Difference

FEW = 3  # names of classes that are told


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=MODEL)],
    b: Annotated[str, typer.Argument(metavar="B", help="the other")],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else")] = False,
    size: Size = None,
) -> None:
    """Tell what differs between two networks when they predict: images, classes, layers, settings, numbers.

    The exit code is 0 where nothing does, 1 where something does, 2 where one can't be read.
    """
    from byhand.report.difference import compare  # noqa: PLC0415  (matplotlib, which report's pictures need, is slow to import)

    models = [open_model(name, size) for name in (a, b)]
    found = compare(*models)
    if as_json:
        rows = [
            {key: _finite(value) for key, value in asdict(row).items() if value is not None}
            for row in found.differences
        ]
        print(json.dumps({"same": not rows} | asdict(found) | {"differences": rows}))
    elif not found.differences:
        print(f"the same: {_layers(found.layers[0])}, {found.numbers:,} numbers{_order(found)}")
    else:
        for letter, name, model, layers in zip("AB", (a, b), models, found.layers):
            print(f"{letter}  {plain(name)}: {model.name}, {_layers(layers)}, {model.parameter_count:,} parameters")
        print(f"\n{_table(found)}\n\n{_summary(found)}")
    if found.differences:
        raise typer.Exit(1)


def _table(found: "Comparison") -> str:
    rows = [("layer", "what", "difference")]
    for row in found.differences:
        name = row.layer or "-"
        rows.append(("" if row.layer and name == _last(rows) else name, row.what, _told(row)))
    wide, broad = (max(len(row[i]) for row in rows) for i in (0, 1))
    return "\n".join(plain(f"{name:{wide}}  {what:{broad}}  {text}").rstrip() for name, what, text in rows)


def _last(rows: list[tuple[str, str, str]]) -> str:
    return next((name for name, _, _ in reversed(rows) if name), "")


def _told(row: "Difference") -> str:
    """Return a difference in words."""
    if row.what == "layer":
        return f"only in A: {row.a}" if row.b is None else f"only in B: {row.b}"
    if row.what == "classes" and row.count:
        names = ", ".join(f"{mine} -> {yours}" for mine, yours in zip(row.a[:FEW], row.b[:FEW]))
        return f"{row.count:,} other name{'s' * (row.count > 1)}: {names}{', ...' * (row.count > FEW)}"
    if row.count is None:
        return f"{_value(row.a)} -> {_value(row.b)}"
    size = prod(row.a)
    count = f"all {size:,}" if row.count == size else f"{row.count:,} of {size:,}"
    if row.largest is None:
        return f"{count} numbers, by NaN or infinity"
    return f"{count} numbers, by up to {row.largest:.3g}" + (
        f", {_percent(row.relative)} of A's largest" if row.relative else ""
    )


def _percent(part: float) -> str:
    return f"{100 * part:,.0f} %" if part > 0.1 else f"{100 * part:.2g} %"


def _finite(value: Any) -> Any:
    """Return what JSON can say: infinity, which a clip's end may be, in words."""
    if isinstance(value, (tuple, list)):
        return [_finite(one) for one in value]
    return value if not isinstance(value, float) or isfinite(value) else str(value)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_value, value))})"
    return "none" if value is None else str(value)


def _summary(found: "Comparison") -> str:
    rows = found.differences
    whole = dict.fromkeys(row.what for row in rows if not row.layer)
    alone = [[row for row in rows if row.what == "layer" and (row.b is None) == first] for first in (True, False)]
    others = {row.layer for row in rows if row.layer and row.what != "layer" and row.count is None}
    numbers = sum(row.layer != "" and row.count is not None for row in rows)
    parts = [
        *whole,
        *(f"{_layers(len(some))} only in {letter}" for letter, some in zip("AB", alone) if some),
        *([f"{_layers(len(others))} of another kind, setting or shape"] if others else []),
        *([f"{numbers:,} of {found.weights:,} arrays with other numbers"] if numbers else []),
        *([f"{_layers(found.following)} more of another shape, by what they read"] if found.following else []),
    ]
    return f"different: {', '.join(parts)}{_order(found)}"


def _layers(count: int) -> str:
    return f"{count:,} layer{'s' * (count != 1)}"


def _order(found: "Comparison") -> str:
    names = "has another name" if found.renamed == 1 else "have other names"
    return f" (matched by order: {found.renamed:,} {names})" if found.by_order else ""
