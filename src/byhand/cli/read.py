"""`byhand read`: the handwritten digits on a photo of paper."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from byhand.cli.model_argument import open_model
from byhand.data import digit_segmentation
from byhand.errors import ArgumentError, ByhandError, FileError
from byhand.nn import Model

if TYPE_CHECKING:
    from byhand.report.reading import Digit


def read(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a run's folder, or a model's file, that knows digits")],
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="photos of paper, or of a blackboard")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="the photo with boxes drawn  [PHOTO-read.png, here]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else")] = False,
) -> None:
    """Read the handwritten digits on a photo: what they say, line by line, where, and how sure that is.

    Dark ink on light paper, plain, ruled or squared, or chalk on a board; light may be uneven, the page turned by up to 20
    degrees. The photo with a box around each digit is written as PNG. A photo on which no digit is found is told on one line,
    with exit code 2.
    """
    if out is not None and len(photos) > 1:
        raise ArgumentError(f"--out names one picture, but there are {len(photos)} photos; leave it out, or read one")
    from byhand.report.reading import check  # noqa: PLC0415  (report brings matplotlib)

    network = open_model(run, trained=True)
    check(network)
    answers, failed = [], 0
    for photo in photos:
        try:
            answer = _answer(network, photo, Path(f"{photo.stem}-read.png") if out is None else out)
        except ByhandError as error:
            print(f"byhand: {error}", file=sys.stderr)
            failed += 1
            continue
        answers.append(answer)
        if not answer["digits"]:
            print(f"byhand: {photo}: no digit was found; expected handwriting in focus, upright", file=sys.stderr)
            failed += 1
        elif not as_json:
            _print(answer, len(photos) > 1)
    if as_json:
        print(json.dumps({"readings": answers}))
    if failed:
        raise typer.Exit(2)


def _answer(network: Model, photo: Path, file: Path) -> dict[str, Any]:
    from byhand.report.boxes import draw_reading  # noqa: PLC0415
    from byhand.report.reading import read_digits, texts  # noqa: PLC0415

    if file.exists():
        raise FileError(f"{file} exists already; choose another file with --out")
    image, scale = digit_segmentation.from_file(photo)
    digits = read_digits(network, np.asarray(image.convert("L")))
    if digits:
        draw_reading(image, digits, file)
    return {
        "photo": str(photo),
        "width": round(image.width * scale),
        "height": round(image.height * scale),
        "lines": texts(digits),
        "digits": [_told(digit, scale) for digit in digits],
        "picture": str(file) if digits else None,
    }


def _told(digit: "Digit", scale: float) -> dict[str, Any]:
    box = [round(value * scale) for value in digit.box]
    return {"digit": digit.text, "confidence": digit.confidence, "box": box, "line": digit.line}


def _print(answer: dict[str, Any], several: bool) -> None:
    if several:
        print(f"{answer['photo']}:")
    print("\n".join(answer["lines"]), end="\n\n")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("digit", "confidence", "line", "x", "y", "width", "height"):
        table.add_column(name, justify="left" if name == "digit" else "right")
    for one in answer["digits"]:
        table.add_row(one["digit"], f"{one['confidence']:.1%}", str(one["line"] + 1), *map(str, one["box"]))
    console = Console(highlight=False, markup=False)
    with console.capture() as printed:
        console.print(table)
    print("\n".join(line.rstrip() for line in printed.get().splitlines()))
    print(f"\nwrote {answer['picture']}", end="\n\n" if several else "\n")
