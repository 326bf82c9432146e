"""`byhand predict`: what a trained network sees in pictures of handwritten digits."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from byhand import nn
from byhand.data import digits
from byhand.errors import ArgumentError, FileError
from byhand.ops.op import Array

SHADES = " .:-=+*#%@"  # from paper to ink


def predict(
    model: Annotated[Path, typer.Argument(metavar="RUN", help="a run's folder, or a model's file")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="pictures, a digit each")],
    show: Annotated[bool, typer.Option("--show", help="also print what the network received")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else")] = False,
) -> None:
    """Read pictures of handwritten digits.

    PNG or JPEG of any size, one digit on each, filling its paper; centred as MNIST's makers did.
    """
    network = nn.load(model)
    if network.input_shape != (28, 28, 1):
        size = " x ".join(map(str, network.input_shape))
        raise ArgumentError(f"predict reads digits of 28 x 28 x 1, but {network.name} takes {size} images")
    answers, failed = [], 0
    for path in images:
        try:
            pixels = digits.from_file(path)
        except FileError as error:
            print(f"byhand: {error}", file=sys.stderr)
            failed += 1
            continue
        answers.append(_answer(path, pixels, network.predict(pixels[None])[0], network.classes))
    if as_json:
        for answer in answers:
            answer["input"] = answer["input"][..., 0].tolist() if show else None
        print(json.dumps({"predictions": [{k: v for k, v in one.items() if v is not None} for one in answers]}))
    elif answers:
        _print(answers, show)
    if failed:
        raise typer.Exit(2)


def _answer(path: Path, pixels: Array, probabilities: Array, classes: tuple[str, ...]) -> dict[str, Any]:
    best = np.argsort(-probabilities, kind="stable")
    return {
        "image": str(path),
        "class": classes[best[0]],
        "probability": float(probabilities[best[0]]),
        "probabilities": {classes[k]: float(probabilities[k]) for k in best},
        "input": pixels,
    }


def _print(answers: list[dict[str, Any]], show: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, justify in (("image", "left"), ("class", "left"), ("probability", "right"), ("next", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for answer in answers:
        runners = [f"{name} {share:.1%}" for name, share in list(answer["probabilities"].items())[1:3]]
        table.add_row(answer["image"], answer["class"], f"{answer['probability']:.1%}", ", ".join(runners))
        if show:
            print(f"{answer['image']}, as the network receives it (28 x 28, pixels 0 to 255):")
            print(picture(answer["input"][..., 0]))
    console = Console(highlight=False, markup=False)
    with console.capture() as printed:
        console.print(table)
    print("\n".join(line.rstrip() for line in printed.get().splitlines()))


def picture(pixels: Array) -> str:
    """Return grey pixels as text, two characters each.

    >>> import numpy as np
    >>> picture(np.array([[0, 128], [255, 0]]))
    '  ==\\n@@'
    """
    rows = ["".join(2 * SHADES[int(value) * (len(SHADES) - 1) // 255] for value in row) for row in pixels]
    return "\n".join(row.rstrip() for row in rows)
