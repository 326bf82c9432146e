"""`byhand models`: a list of all architectures."""

import json
from itertools import groupby
from typing import Annotated, Any

import typer

from byhand.cli.command import MODEL, AsJson, command, complete_architecture
from byhand.console import table_lines, wrapped
from byhand.errors import UnknownNameError
from byhand.models import ARCHITECTURES, TRAINED
from byhand.nn import Input
from byhand.nn.summary import Summary
from byhand.translation import translate

COLUMNS = ("", "image", "parameters", "FLOPs", "receptive field")
WINDOW_OPS = ("conv2d", "max_pool", "avg_pool")  # what follows them sees the whole image
LARGE_UNITS = (("G", 1e9), ("M", 1e6))


@command("byhand models", "byhand models resnet", "byhand models --json", panel=MODEL)
def models(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Only names that contain this.",
            autocompletion=complete_architecture,
            show_default=False,
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List the architectures, oldest first: year, paper, what was new; image size, parameters, FLOPs, receptive field.

    Parameters and FLOPs are for the architecture's own image size; the receptive field, in pixels, is that of the last
    convolution or pooling.
    """
    names = [key for key in ARCHITECTURES if name in key]
    names.sort(key=lambda key: (ARCHITECTURES[key].year, ARCHITECTURES[key].new))
    if not names:
        raise UnknownNameError("model", name, ARCHITECTURES, "`byhand models` lists them")
    entries = [_entry(key) for key in names]
    if as_json:
        print(json.dumps({"models": entries}))
        return
    lines = table_lines(list(map(_cells, entries)), left=1, heads=COLUMNS)
    height = len(lines) // (1 + len(entries))  # of a row; more than a line in a narrow terminal
    print("\n".join(lines[:height]))
    for headline, group in groupby(range(len(entries)), lambda i: _headline(names[i])):
        print(wrapped(headline, "      "))
        for i in group:
            print("\n".join(lines[(i + 1) * height : (i + 2) * height]))


def _cells(entry: dict[str, Any]) -> tuple[str, ...]:
    """Return an entry as a row of the table."""
    size = "x".join(map(str, entry["image"]))
    return f"  {entry['name']}", size, f"{entry['parameters']:,}", _short(entry["flops"]), str(entry["receptive_field"])


def _entry(key: str) -> dict[str, Any]:
    """Return an architecture as an entry of --json."""
    architecture = ARCHITECTURES[key]
    images = Input(*architecture.image)
    summary = Summary(images.graph, architecture.build(images, architecture.classes), key)
    return {
        "name": key,
        "year": architecture.year,
        "paper": architecture.paper,
        "new": architecture.new,
        "image": list(architecture.image),
        "classes": architecture.classes,
        "pretrained": key in TRAINED,
        "parameters": summary.parameters,
        "flops": summary.flops,
        "receptive_field": max(_height(row.receptive_field) for row in summary.rows if row.op in WINDOW_OPS),
    }


def _headline(key: str) -> str:
    architecture = ARCHITECTURES[key]
    return f"{architecture.year:d}  {translate(architecture.new)} ({architecture.paper})"


def _height(field: int | tuple[int, int]) -> int:
    return field if isinstance(field, int) else field[0]


def _short(number: int) -> str:
    """Return a number with a unit.

    >>> _short(83_109_120), _short(1_500), _short(3_640_000_000)
    ('83.1 M', '1,500', '3.64 G')
    """
    for unit, size in LARGE_UNITS:
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:,}"
