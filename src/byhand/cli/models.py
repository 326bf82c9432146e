"""`byhand models`: every architecture, one a line."""

from itertools import groupby
from typing import Annotated

import typer

from byhand.errors import UnknownNameError
from byhand.models import ARCHITECTURES
from byhand.nn import Input
from byhand.nn.summary import Summary


def models(
    name: Annotated[str, typer.Argument(help="only those with this in their name")] = "",
) -> None:
    """List the architectures, the oldest first, with what was new in each.

    Parameters and FLOPs at their own image size; how many pixels across one output of the last layer sees that slides.
    """
    order = sorted(
        (key for key in ARCHITECTURES if name in key), key=lambda key: (ARCHITECTURES[key].year, _about(key))
    )
    if not order:
        raise UnknownNameError("model", name, ARCHITECTURES)
    print(f"{'':24}{'image':>10}{'parameters':>14}{'FLOPs':>10}{'sees':>7}")
    for about, keys in groupby(order, _about):
        print(about)
        for key in keys:
            one = ARCHITECTURES[key]
            images = Input(*one.image)
            summary = Summary(images.graph, one.build(images, one.classes), key)
            sees = max(_down(row.receptive_field) for row in summary.rows if row.op in SLIDING)
            size = f"{one.image[0]}x{one.image[2]}"
            print(f"  {key:22}{size:>10}{summary.parameters:>14,}{_short(summary.flops):>10}{sees:>7}")


def _about(key: str) -> str:
    one = ARCHITECTURES[key]
    return f"{one.year}  {one.new} ({one.paper})"


SLIDING = ("conv2d", "max_pool", "avg_pool")  # what comes after sees the whole image


def _down(field: int | tuple[int, int]) -> int:
    return field if isinstance(field, int) else field[0]


def _short(number: int) -> str:
    """Return a number with a unit.

    >>> _short(83_109_120), _short(1_500), _short(3_640_000_000)
    ('83.1 M', '1,500', '3.64 G')
    """
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:,}"
