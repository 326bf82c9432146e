"""`byhand read`: handwritten digits on a photo of paper."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from byhand.cli.command import MODEL, AsJson, Mean, OutputName, Std, command, output_option
from byhand.cli.model_argument import open_model, resolve_preprocessing
from byhand.cli.output_file import check_output
from byhand.console import say, table_lines
from byhand.data import digit_segmentation
from byhand.errors import ArgumentError, ByhandError
from byhand.nn import Model

if TYPE_CHECKING:
    from byhand.report.digit_reader import Digit

COLUMNS = ("digit", "confidence", "line", "x", "y", "width", "height")


@command("byhand read runs/lenet5-mnist note.jpg", panel=MODEL)
def read(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder or a model file, of a network trained on MNIST.")
    ],
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Photos of paper or of a blackboard.")],
    output: Annotated[Path | None, output_option("PNG file of the photo with boxes drawn.", "PHOTO-read.png")] = None,
    mean: Mean = None,
    std: Std = None,
    output_name: OutputName = None,
    as_json: AsJson = False,
) -> None:
    """Read the handwritten digits on a photo: text line by line, boxes, and confidences.

    Dark ink on plain, ruled or squared paper, or chalk on a blackboard; uneven light and rotation up to 20 degrees are fine.
    Boxes, tables, combs and dirt are no ink. Digits of less than 90% confidence are marked with a question mark. The photo
    with a box around each digit is written as PNG. If no digit is certain, the exit code is 2.
    """
    if output is not None and len(photos) > 1:
        raise ArgumentError(
            f"--output names one file, but there are {len(photos)} photos; leave it out, or read one photo"
        )
    from byhand.report.digit_reader import check_reads_digits  # noqa: PLC0415  (byhand.report imports matplotlib)

    network = open_model(run, trained=True, output=output_name)
    check_reads_digits(network)
    resolve_preprocessing(network, run, mean, std)  # of the pixels alone: what is assumed of files is of no matter here
    readings, failed = [], False
    for photo in photos:
        try:
            reading = _read(network, photo, Path(f"{photo.stem}-read.png") if output is None else output)
        except ByhandError as error:
            say(f"byhand: {error}", error=True)
            failed = True
            continue
        readings.append(reading)
        if not reading["digits"]:
            say(f"byhand: {photo}: no digit was found{_tell_marks(reading['marks'])}", error=True)
            failed = True
        elif not as_json:
            _print(reading, len(photos) > 1)
    if as_json:
        print(json.dumps({"readings": readings}))
    if failed:
        raise typer.Exit(2)


def _tell_marks(count: int) -> str:
    """Say what else is on a page without a digit."""
    if not count:
        return "; expected handwriting in focus, upright"
    return f" with certainty: {count} mark{'s' * (count != 1)} may be dirt; expected handwriting in focus, upright"


def _read(network: Model, photo: Path, path: Path) -> dict[str, Any]:
    from byhand.report.digit_reader import accept, lines_of_text, read_marks  # noqa: PLC0415
    from byhand.report.drawing.digit_boxes import draw_digit_boxes  # noqa: PLC0415

    image, scale = digit_segmentation.from_file(photo)
    check_output(path)
    marks = read_marks(network, np.asarray(image.convert("L")))
    digits = accept(marks, max(image.size))
    if digits:
        draw_digit_boxes(image, digits, path)
    return {
        "photo": str(photo),
        "width": round(image.width * scale),
        "height": round(image.height * scale),
        "lines": lines_of_text(digits),
        "digits": [_as_dict(digit, scale) for digit in digits],
        "marks": len(marks),
        "file": str(path) if digits else None,
    }


def _as_dict(digit: "Digit", scale: float) -> dict[str, Any]:
    box = [round(value * scale) for value in digit.box]
    return {"digit": digit.text, "confidence": digit.confidence, "sure": digit.sure, "box": box, "line": digit.line}


def _print(reading: dict[str, Any], with_name: bool) -> None:
    if with_name:
        print(f"{reading['photo']}:")
    print("\n".join(reading["lines"]), end="\n\n")
    rows = [
        (
            digit["digit"] if digit["sure"] else f"{digit['digit']}?",
            f"{digit['confidence']:.1%}",
            str(digit["line"] + 1),
            *map(str, digit["box"]),
        )
        for digit in reading["digits"]
    ]
    print("\n".join(table_lines(rows, left=1, heads=COLUMNS)))
    if unsure := sum(not digit["sure"] for digit in reading["digits"]):
        say(f"\n{unsure} of {len(reading['digits'])} digits {'is' if unsure == 1 else 'are'} uncertain, marked with ?")
    say(f"\nwrote {reading['file']}" + "\n" * with_name)
