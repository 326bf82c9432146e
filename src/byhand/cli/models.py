"""`byhand models`: a list of all architectures."""

from itertools import groupby
from typing import Annotated

import typer

from byhand.cli.command import MODEL, command
from byhand.errors import UnknownNameError
from byhand.models import ARCHITECTURES
from byhand.nn import Input
from byhand.nn.summary import Summary

WINDOW_OPS = ("conv2d", "max_pool", "avg_pool")  # what follows them sees the whole image
LARGE_UNITS = (("G", 1e9), ("M", 1e6))


@command("byhand models", "byhand models resnet", panel=MODEL)
def models(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Only names that contain this.", show_default=False)] = "",
) -> None:
    """List the architectures, oldest first: year, paper, what was new; image size, parameters, FLOPs, receptive field.

    Parameters and FLOPs are for the architecture's own image size; the receptive field, in pixels, is that of the last
    convolution or pooling.
    """
    names = [key for key in ARCHITECTURES if name in key]
    names.sort(key=lambda key: (ARCHITECTURES[key].year, _headline(key)))
    if not names:
        raise UnknownNameError("model", name, ARCHITECTURES, "`byhand models` lists them")
    print(f"{'':24}{'image':>12}{'parameters':>14}{'FLOPs':>8}{'receptive field':>17}")
    for headline, keys in groupby(names, _headline):
        print(headline)
        for key in keys:
            architecture = ARCHITECTURES[key]
            images = Input(*architecture.image)
            summary = Summary(images.graph, architecture.build(images, architecture.classes), key)
            field = max(_height(row.receptive_field) for row in summary.rows if row.op in WINDOW_OPS)
            size = "x".join(map(str, architecture.image))
            print(f"  {key:22}{size:>12}{summary.parameters:>14,}{_short(summary.flops):>8}{field:>17}")


def _headline(key: str) -> str:
    architecture = ARCHITECTURES[key]
    return f"{architecture.year}  {architecture.new} ({architecture.paper})"


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
