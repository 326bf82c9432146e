"""`byhand predict`: classifies images: files, folders, or standard input."""

import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.cells import cell_len

from byhand import nn
from byhand.cli.command import (
    MODEL,
    NOT_FINITE_EXIT_CODE,
    OUTPUT,
    OUTPUT_NAME_HELP,
    PRECISION_HELP,
    TRAINED_MODEL,
    AsJson,
    ImageSize,
    Labels,
    Mean,
    PixelRangeText,
    Reader,
    Std,
    Task,
    command,
    complete_pretrained,
    option,
    usable_precision,
)
from byhand.cli.model_argument import check_classifier, format_shape, image_reader, open_model, resolve_preprocessing
from byhand.cli.progress_bar import ProgressBar
from byhand.console import pad, say
from byhand.data.folders import image_files_below
from byhand.data.image_formats import IMAGE_SUFFIXES
from byhand.data.prefetch import Prefetcher
from byhand.errors import ArgumentError, FileError
from byhand.kernels.conv.problem import FLOAT32
from byhand.nn.inference import MAX_BATCH, MAX_BATCH_PIXELS
from byhand.ops.op import Array
from byhand.shapes import integer
from byhand.tasks import task_of
from byhand.tasks.classes import table_labels
from byhand.text import command_line, csv_cell, printable
from byhand.translation import translate

DEFAULT_TOP_K = {"json": 10, "csv": 1, "table": 3}
MAX_COLUMN_WIDTH = 60  # letters
SHADES = " .:-=+*#%@"  # from paper to ink
STANDARD_INPUT = "-"


@command(
    "byhand predict runs/lenet5-mnist digit.png",
    "byhand predict efficientnet_lite0 photos --csv --top-k 3",
    panel=MODEL,
)
def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=TRAINED_MODEL, autocompletion=complete_pretrained)],
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGE", help="Images, folders of images, or - for standard input.", show_default=False),
    ] = None,
    labels: Labels = None,
    mean: Mean = None,
    std: Std = None,
    reader: Reader = None,
    pixel_range: PixelRangeText = None,
    size: ImageSize = None,
    output_name: Annotated[
        str | None,
        option(
            "--output-name",
            "--output",
            metavar="NAME",
            panel=MODEL,
            help=OUTPUT_NAME_HELP,
            show_default="the one with the classes",
        ),
    ] = None,
    task: Task = None,
    precision: Annotated[str, option(panel=MODEL, help=PRECISION_HELP)] = FLOAT32,
    top_k: Annotated[
        int | None,
        option(panel=OUTPUT, help="Number of classes, the most probable ones.", show_default="3; --json 10, --csv 1"),
    ] = None,
    show: Annotated[
        bool, option("--show", panel=OUTPUT, help="Also print the network's input, if it is grayscale.")
    ] = False,
    as_json: AsJson = False,
    as_csv: Annotated[
        bool, option("--csv", panel=OUTPUT, help="Print CSV: image, class, probability, index, a line per image.")
    ] = False,
) -> None:
    """Classify images: print what a network answers about each.

    PNG, JPEG and similar formats of any size; of a folder, all images below it. Images are preprocessed as in training. A
    network trained on MNIST expects one handwritten digit per image, which is centered as in MNIST; one with unknown
    preprocessing gets the center crop, 87.5% of the shorter side.

    A network of several labels gives each its own probability, and counts those from 0.5 on as true; one of numbers (a
    regression) gives them as they are. Exit code 1 says that an answer is NaN or infinite.
    """
    if as_json and as_csv:
        raise ArgumentError("--json and --csv are two output formats; give one of them")
    if not images:
        is_image = Path(model).suffix.lower() in IMAGE_SUFFIXES
        why = f"{model} is an image, and a run or a model comes before it" if is_image else "no image is given"
        expected = ("runs/RUN", model) if is_image else (model, "IMAGE")
        raise ArgumentError(f"{why}; expected: {command_line('byhand', 'predict', *expected)}")
    output = "json" if as_json else "csv" if as_csv else "table"
    precision = usable_precision(precision)
    top_k = DEFAULT_TOP_K[output] if top_k is None else integer("--top-k", top_k)
    network = open_model(model, size, trained=True, output=output_name, task=task, labels=labels)
    if network.task != "numbers":
        check_classifier(network, model, images[0])
    answer_task = task_of(network)
    note = resolve_preprocessing(network, model, mean, std, labels, reader, pixel_range)
    read_image = image_reader(network, note)
    bar, failed, not_finite, answers = ProgressBar(quiet=False), 0, 0, []
    with tempfile.TemporaryDirectory() as folder:
        paths = _paths(images, Path(folder))
        printer = _Printer(output, [name for name, _ in paths], network, top_k)
        for done, (name, pixels, answer) in enumerate(_predictions(network, read_image, paths, precision)):
            if len(paths) > MAX_BATCH:
                bar.update(done, len(paths), "classifying")
            if isinstance(answer, FileError):
                say(f"byhand: {str(answer).replace(folder + '/' + STANDARD_INPUT, 'standard input')}", error=True)
                failed += 1
            elif not np.isfinite(answer).all():
                problem = f"{network.name} gives NaN or infinity for this image"
                say(printable(f"byhand: {name}: {problem}; byhand trace shows where it first occurs"), error=True)
                answers.append({"image": name, "error": problem})
                not_finite += 1
            elif as_json:
                gray = show and pixels.shape[-1] == 1
                answers.append({"image": name, **answer_task.as_dict(network.classes, answer, top_k)})
                answers[-1] |= {"input": pixels[..., 0].tolist()} if gray else {}
            else:
                if show and pixels.shape[-1] == 1 and not as_csv:
                    say(f"{name}, as the network receives it ({format_shape(pixels.shape[:2])}, pixels 0 to 255):")
                    print(ascii_art(pixels[..., 0]))
                printer.row(name, answer)
        bar.close()
    if as_json:
        print(json.dumps({"predictions": answers}, allow_nan=False))
    if failed or not_finite:
        raise typer.Exit(2 if failed else NOT_FINITE_EXIT_CODE)


def _paths(images: list[str], folder: Path) -> list[tuple[str, Path]]:
    """Return (name, file) of each image; standard input is saved in `folder`."""
    found: list[tuple[str, Path]] = []
    for image in images:
        path = Path(image)
        if image == STANDARD_INPUT:
            path = folder / STANDARD_INPUT
            path.write_bytes(sys.stdin.buffer.read())
            found.append((STANDARD_INPUT, path))
        elif path.is_dir():
            below = [(printable(str(file)), file) for file in image_files_below(path)]
            if not below:
                raise FileError(f"the folder {path} contains no images")
            found += below
        else:
            found.append((image, path))
    return found


def _predictions(
    network: nn.Model, read_image: Callable[[Path], Array], paths: list[tuple[str, Path]], precision: str
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, pixels, probabilities) of each image, or (name, None, FileError) of one that can't be read."""
    size = max(1, min(MAX_BATCH, MAX_BATCH_PIXELS // prod(network.input_shape[:2])))
    groups = [paths[start : start + size] for start in range(0, len(paths), size)]

    def pixels_of(group: list[tuple[str, Path]]) -> list[Any]:
        return [_try(read_image, path) for _, path in group]

    for group, batch in zip(groups, Prefetcher(pixels_of, groups)):
        good = [pixels for pixels in batch if not isinstance(pixels, FileError)]
        probabilities = iter(network.predict(np.stack(good), precision=precision) if good else ())
        for (name, _), pixels in zip(group, batch):
            if isinstance(pixels, FileError):
                yield name, None, pixels
            else:
                yield name, pixels, next(probabilities)


def _try(read_image: Callable[[Path], Array], path: Path) -> Array | FileError:
    try:
        return read_image(path)
    except FileError as error:
        return error


class _Printer:
    """Prints a line per image as soon as it is classified: a table, or CSV."""

    def __init__(self, output: str, names: list[str], network: nn.Model, top_k: int) -> None:
        self.task, self.classes, self.top_k, self.has_header = task_of(network), network.classes, top_k, False
        self.csv = csv.writer(sys.stdout, lineterminator="\n") if output == "csv" else None
        self.answer = {"classes": "class", "labels": "label"}.get(network.task, "answer")
        columns = (("image", *map(printable, names)), (self.answer, *table_labels(self.classes)))
        self.widths = [min(MAX_COLUMN_WIDTH, max(map(cell_len, column))) for column in columns]

    def row(self, name: str, values: Array) -> None:
        """Print an image's answer, and above the first one the header."""
        if self.csv is not None:
            if not self.has_header:
                self.csv.writerow(map(csv_cell, ["image", *self.task.csv_header(self.classes, self.top_k)]))
            self.csv.writerow(map(csv_cell, [name, *self.task.csv_row(self.classes, values, self.top_k)]))
        else:
            name_width, width = self.widths
            if not self.has_header:
                heads = [pad(translate("image"), name_width), pad(translate(self.answer), width)]
                heads += [pad(translate("probability"), 11, right=True)] if self.classes else []
                heads += [translate("next")] if self.classes and self.top_k > 1 else []
                print("  ".join(heads).rstrip())
            answer, value, rest = self.task.table_row(self.classes, values, self.top_k)
            columns = [pad(printable(name), name_width), pad(answer, width)]
            columns += [f"{value:>11}"] if self.classes else []
            print("  ".join([*columns, rest]).rstrip())
        self.has_header = True


def ascii_art(pixels: Array) -> str:
    """Return gray pixels as text, two characters each.

    >>> import numpy as np
    >>> ascii_art(np.array([[0, 128], [255, 0]]))
    '  ==\\n@@'
    """
    rows = ["".join(2 * SHADES[int(value) * (len(SHADES) - 1) // 255] for value in row) for row in pixels]
    return "\n".join(row.rstrip() for row in rows)
