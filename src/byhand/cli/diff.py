"""`byhand diff`: the differences between two networks, layer by layer."""

import json
from dataclasses import asdict
from math import isfinite, prod
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byhand.cli.command import ANY_MODEL, MODEL, AsJson, ImageSize, OutputName, command, complete_architecture
from byhand.cli.model_argument import open_model
from byhand.console import say, table_lines
from byhand.text import printable
from byhand.translation import translate

if TYPE_CHECKING:
    from byhand.report.model_diff import Comparison, Difference

PRINTED_CLASS_NAMES = 3


@command("byhand diff model.onnx runs/lenet5-mnist", panel=MODEL)
def diff(
    a: Annotated[str, typer.Argument(metavar="MODEL", help=ANY_MODEL, autocompletion=complete_architecture)],
    b: Annotated[str, typer.Argument(metavar="OTHER", help="The other network.", autocompletion=complete_architecture)],
    size: ImageSize = None,
    output_name: OutputName = None,
    as_json: AsJson = False,
) -> None:
    """Compare two networks, A (MODEL) and B (OTHER), in inference.

    It compares input, preprocessing, classes, layers, attributes and weights.

    The exit code is 0 if they are the same, 1 if they differ, 2 if one can't be read.
    """
    from byhand.report import compare_models  # noqa: PLC0415  (byhand.report imports matplotlib, which is slow)

    outputs = [output_name if name.lower().endswith(".onnx") else None for name in (a, b)]
    models = [open_model(name, size, output=output) for name, output in zip((a, b), outputs)]
    found = compare_models(*models)
    if as_json:
        rows = [
            {key: _finite(value) for key, value in asdict(row).items() if value is not None}
            for row in found.differences
        ]
        print(json.dumps({"same": not rows} | asdict(found) | {"differences": rows}))
    elif not found.differences:
        say(f"the same: {_layers(found.layers[0])}, {found.elements:,} weights{_order(found)}")
    else:
        for letter, name, model, layers in zip("AB", (a, b), models, found.layers):
            say(f"{letter}  {printable(name)}: {model.name}, {_layers(layers)}, {model.parameter_count:,} parameters")
        print(f"\n{_table(found)}\n")
        say(_summary(found))
    if found.differences:
        raise typer.Exit(1)


def _table(found: "Comparison") -> str:
    rows: list[tuple[str, str, str]] = []
    for row in found.differences:
        name = row.layer or "-"
        rows.append(("" if row.layer and name == _last(rows) else name, row.property, translate(_text(row))))
    return "\n".join(
        table_lines([tuple(map(printable, row)) for row in rows], left=3, heads=("layer", "property", "difference"))
    )


def _last(rows: list[tuple[str, str, str]]) -> str:
    return next((name for name, _, _ in reversed(rows) if name), "")


def _text(row: "Difference") -> str:
    """Return a difference as text."""
    if row.property == "layer":
        return f"only in A: {row.a}" if row.b is None else f"only in B: {row.b}"
    if row.property == "classes" and row.count:
        names = ", ".join(
            f"{mine} -> {yours}" for mine, yours in zip(row.a[:PRINTED_CLASS_NAMES], row.b[:PRINTED_CLASS_NAMES])
        )
        more = ", ..." * (row.count > PRINTED_CLASS_NAMES)
        return f"{row.count:,} other name{'s' * (row.count > 1)}: {names}{more}"
    if row.count is None:
        return f"{_value(row.a)} -> {_value(row.b)}"
    size = prod(row.a)
    count = f"all {size:,}" if row.count == size else f"{row.count:,} of {size:,}"
    if row.max_abs_diff is None:
        return f"{count} weights, by NaN or infinity"
    return f"{count} weights, by up to {row.max_abs_diff:.3g}" + (
        f", {_percent(row.relative_diff)} of A's largest" if row.relative_diff else ""
    )


def _percent(part: float) -> str:
    return f"{100 * part:,.0f}%" if part > 0.1 else f"{100 * part:.2g}%"


def _finite(value: Any) -> Any:
    """Return a value for JSON: infinity, the end of a clip for example, as text."""
    if isinstance(value, (tuple, list)):
        return [_finite(item) for item in value]
    return value if not isinstance(value, float) or isfinite(value) else str(value)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_value, value))})"
    return "none" if value is None else str(value)


def _summary(found: "Comparison") -> str:
    rows = found.differences
    network_properties = dict.fromkeys(row.property for row in rows if not row.layer)
    only_in = [[row for row in rows if row.property == "layer" and (row.b is None) == first] for first in (True, False)]
    others = {row.layer for row in rows if row.layer and row.property != "layer" and row.count is None}
    arrays = sum(row.layer != "" and row.count is not None for row in rows)
    parts = [
        *network_properties,
        *(f"{_layers(len(layers))} only in {letter}" for letter, layers in zip("AB", only_in) if layers),
        *([f"{_layers(len(others))} with another op, attribute or shape"] if others else []),
        *([f"{arrays:,} of {found.arrays:,} arrays with other values"] if arrays else []),
        *(
            [f"{_layers(found.shape_only)} more with another shape, because their input has one"]
            if found.shape_only
            else []
        ),
    ]
    return f"different: {', '.join(parts)}{_order(found)}"


def _layers(count: int) -> str:
    return f"{count:,} layer{'s' * (count != 1)}"


def _order(found: "Comparison") -> str:
    names = "1 layer has another name" if found.renamed == 1 else f"{found.renamed:,} layers have other names"
    return f" (matched by order: {names})" if found.matched_by_order else ""
