"""`byhand predict`: what a trained network sees in pictures."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from byhand.cli.opening import Mean, Size, Std, open_model, reader, settle, spelled
from byhand.errors import ArgumentError, FileError
from byhand.models import TRAINED
from byhand.ops.op import Array

MOST = 10  # classes whose probability is told
SHADES = " .:-=+*#%@"  # from paper to ink


def predict(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help=f"a run's folder, a model's file (ONNX too), or {', '.join(TRAINED)}"),
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="pictures")],
    show: Annotated[
        bool, typer.Option("--show", help="also print what the network received, where it is grey")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else")] = False,
    labels: Annotated[Path | None, typer.Option(help="a file with the names of the classes, one a line")] = None,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
) -> None:
    """Say what a network sees in pictures.

    PNG, JPEG and their like, of any size. A network for 28 x 28 grey pixels reads handwritten digits, one a picture, filling
    its paper, centred as MNIST's makers did; any other sees the middle of a photo, 87.5 % of its shorter side.
    """
    network = open_model(model, size, trained=True)
    if not network.classes:
        raise ArgumentError(
            f"{network.name} gives {spelled(network.output.shape[1:])} numbers, no score a class; to see them:  "
            f"byhand trace {model} {images[0]}"
        )
    read = reader(network)
    settle(network, model, mean, std, labels)
    answers, failed = [], 0
    for path in images:
        try:
            pixels = read(path)
        except FileError as error:
            print(f"byhand: {error}", file=sys.stderr)
            failed += 1
            continue
        answers.append(_answer(path, pixels, network.predict(pixels[None])[0], network.classes))
    if as_json:
        for answer in answers:
            pixels = answer.pop("input")
            answer["input"] = pixels[..., 0].tolist() if show and pixels.shape[-1] == 1 else None
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
        "probabilities": {classes[k]: float(probabilities[k]) for k in best[:MOST]},
        "input": pixels,
    }


def _print(answers: list[dict[str, Any]], show: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, justify in (("image", "left"), ("class", "left"), ("probability", "right"), ("next", "left")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for answer in answers:
        runners = [f"{_short(name)} {share:.1%}" for name, share in list(answer["probabilities"].items())[1:3]]
        table.add_row(answer["image"], _short(answer["class"]), f"{answer['probability']:.1%}", ", ".join(runners))
        if show and answer["input"].shape[-1] == 1:
            shape = spelled(answer["input"].shape[:2])
            print(f"{answer['image']}, as the network receives it ({shape}, pixels 0 to 255):")
            print(picture(answer["input"][..., 0]))
    console = Console(highlight=False, markup=False)
    with console.capture() as printed:
        console.print(table)
    print("\n".join(line.rstrip() for line in printed.get().splitlines()))


def _short(name: str) -> str:
    """Return the first of a class's names."""
    return name.split(",", maxsplit=1)[0]


def picture(pixels: Array) -> str:
    """Return grey pixels as text, two characters each.

    >>> import numpy as np
    >>> picture(np.array([[0, 128], [255, 0]]))
    '  ==\\n@@'
    """
    rows = ["".join(2 * SHADES[int(value) * (len(SHADES) - 1) // 255] for value in row) for row in pixels]
    return "\n".join(row.rstrip() for row in rows)
