"""`byhand predict`: classifies images: files, folders, or standard input."""

import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from byhand import nn
from byhand.cli.command import (
    MODEL,
    OUTPUT,
    TRAINED_MODEL,
    AsJson,
    ImageSize,
    Labels,
    Mean,
    Std,
    command,
    complete_pretrained,
    option,
)
from byhand.cli.model_argument import check_classifier, format_shape, image_reader, open_model, resolve_preprocessing
from byhand.cli.progress_bar import ProgressBar
from byhand.data.discovery import image_files_below
from byhand.data.image_formats import IMAGE_SUFFIXES
from byhand.data.prefetch import Prefetcher
from byhand.errors import ArgumentError, FileError
from byhand.nn.model import MAX_BATCH, MAX_BATCH_PIXELS
from byhand.ops.op import Array
from byhand.shapes import integer
from byhand.text import printable

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
    size: ImageSize = None,
    top_k: Annotated[
        int | None,
        option(panel=OUTPUT, help="Number of classes, the most probable ones.", show_default="3; --json 10, --csv 1"),
    ] = None,
    show: Annotated[
        bool, option("--show", panel=OUTPUT, help="Also print the network's input, if it is grayscale.")
    ] = False,
    as_json: AsJson = False,
    as_csv: Annotated[
        bool, option("--csv", panel=OUTPUT, help="Print CSV: image, class, probability, a line per image.")
    ] = False,
) -> None:
    """Classify images.

    PNG, JPEG and similar formats of any size; of a folder, all images below it. Images are preprocessed as in training. A
    network trained on MNIST expects one handwritten digit per image, which is centered as in MNIST; one with unknown
    preprocessing gets the center crop, 87.5% of the shorter side.
    """
    if as_json and as_csv:
        raise ArgumentError("--json and --csv are two output formats; give one of them")
    if not images:
        is_image = Path(model).suffix.lower() in IMAGE_SUFFIXES
        why = f"{model} is an image, and a run or a model comes before it" if is_image else "no image is given"
        raise ArgumentError(f"{why}; expected: byhand predict {'runs/RUN ' + model if is_image else model + ' IMAGE'}")
    output = "json" if as_json else "csv" if as_csv else "table"
    top_k = DEFAULT_TOP_K[output] if top_k is None else integer("--top-k", top_k)
    network = open_model(model, size, trained=True)
    check_classifier(network, model, images[0])
    read_image = image_reader(network)
    resolve_preprocessing(network, model, mean, std, labels)
    bar, failed, answers = ProgressBar(quiet=False), 0, []
    with tempfile.TemporaryDirectory() as folder:
        paths = _paths(images, Path(folder))
        printer = _Printer(output, [name for name, _ in paths], network.classes, top_k)
        for done, (name, pixels, answer) in enumerate(_predictions(network, read_image, paths)):
            if len(paths) > MAX_BATCH:
                bar.update(done, len(paths), "classifying")
            if isinstance(answer, FileError):
                print(
                    f"byhand: {str(answer).replace(folder + '/' + STANDARD_INPUT, 'standard input')}", file=sys.stderr
                )
                failed += 1
            elif as_json:
                gray = show and pixels.shape[-1] == 1
                answers.append({"image": name, **_as_dict(answer, network.classes, top_k)})
                answers[-1] |= {"input": pixels[..., 0].tolist()} if gray else {}
            else:
                if show and pixels.shape[-1] == 1 and not as_csv:
                    print(f"{name}, as the network receives it ({format_shape(pixels.shape[:2])}, pixels 0 to 255):")
                    print(ascii_art(pixels[..., 0]))
                printer.row(name, answer)
        bar.close()
    if as_json:
        print(json.dumps({"predictions": answers}))
    if failed:
        raise typer.Exit(2)


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
    network: nn.Model, read_image: Callable[[Path], Array], paths: list[tuple[str, Path]]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, pixels, probabilities) of each image, or (name, None, FileError) of one that can't be read."""
    size = max(1, min(MAX_BATCH, MAX_BATCH_PIXELS // (network.input_shape[0] * network.input_shape[1])))
    groups = [paths[start : start + size] for start in range(0, len(paths), size)]

    def pixels_of(group: list[tuple[str, Path]]) -> list[Any]:
        return [_try(read_image, path) for _, path in group]

    for group, batch in zip(groups, Prefetcher(pixels_of, groups)):
        good = [pixels for pixels in batch if not isinstance(pixels, FileError)]
        probabilities = iter(network.predict(np.stack(good)) if good else ())
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


def _as_dict(probabilities: Array, classes: tuple[str, ...], top_k: int) -> dict[str, Any]:
    best = np.argsort(-probabilities, kind="stable")
    return {
        "class": classes[best[0]],
        "probability": float(probabilities[best[0]]),
        "probabilities": {classes[k]: float(probabilities[k]) for k in best[:top_k]},
    }


class _Printer:
    """Prints a line per image as soon as it is classified: a table, or CSV."""

    def __init__(self, output: str, names: list[str], classes: tuple[str, ...], top_k: int) -> None:
        self.classes, self.top_k, self.has_header = classes, top_k, False
        self.csv = csv.writer(sys.stdout, lineterminator="\n") if output == "csv" else None
        columns = (("image", *names), ("class", *map(_short, classes)))
        self.widths = [min(MAX_COLUMN_WIDTH, max(map(len, column))) for column in columns]

    def row(self, name: str, probabilities: Array) -> None:
        """Print an image's prediction, and above the first one the header."""
        ranked = list(_as_dict(probabilities, self.classes, self.top_k)["probabilities"].items())
        name_width, class_width = self.widths
        if self.csv is not None:
            if not self.has_header:
                more = [f"{column}_{k}" for k in range(2, len(ranked) + 1) for column in ("class", "probability")]
                self.csv.writerow(["image", "class", "probability", *more])
            self.csv.writerow([name, *(value for label, p in ranked for value in (label, f"{p:.6f}"))])
        else:
            if not self.has_header:
                print(f"{'image':{name_width}}  {'class':{class_width}}  probability{'  next' * (self.top_k > 1)}")
            label, probability = ranked[0]
            others = ", ".join(f"{_short(other)} {p:.1%}" for other, p in ranked[1:])
            line = f"{name:{name_width}}  {_short(label):{class_width}}  {f'{probability:.1%}':>11}  {others}"
            print(line.rstrip())
        self.has_header = True


def _short(name: str) -> str:
    """Return the first of a class's comma-separated names."""
    return name.split(",", maxsplit=1)[0]


def ascii_art(pixels: Array) -> str:
    """Return gray pixels as text, two characters each.

    >>> import numpy as np
    >>> ascii_art(np.array([[0, 128], [255, 0]]))
    '  ==\\n@@'
    """
    rows = ["".join(2 * SHADES[int(value) * (len(SHADES) - 1) // 255] for value in row) for row in pixels]
    return "\n".join(row.rstrip() for row in rows)
