"""`byhand predict`: what a trained network sees in pictures: files, folders of them, or one from standard input."""

import csv
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from byhand import nn
from byhand.cli.model_argument import Mean, Size, Std, check_classifier, open_model, reader, settle, spelled
from byhand.cli.progress import Bar
from byhand.data.discovery import image_files_below, printable
from byhand.data.prefetch import Prefetcher
from byhand.errors import ArgumentError, FileError
from byhand.models import TRAINED
from byhand.nn.model import MAX_BATCH, MAX_BATCH_PIXELS
from byhand.ops.op import Array
from byhand.shapes import integer

TOP = {"json": 10, "csv": 1, "table": 3}  # classes that are told, where nothing is said
WIDEST = 60  # letters of a column
SHADES = " .:-=+*#%@"  # from paper to ink
INPUT = "-"


def predict(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help=f"a run's folder, a model's file (ONNX too), or {', '.join(TRAINED)}"),
    ],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="pictures, folders of them, or - for one on standard input")
    ],
    show: Annotated[
        bool, typer.Option("--show", help="also print what the network received, where it is grey")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print a line an image: its file, class, probability")] = False,
    top: Annotated[
        int | None, typer.Option(help="so many classes, the likeliest first  [3; --json 10, --csv 1]")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="a file with the names of the classes, one a line")] = None,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
) -> None:
    """Say what a network sees in pictures.

    PNG, JPEG and their like, of any size; of a folder all that lie below it. A network that was trained on pictures sees them
    as it did in training. One for MNIST reads handwritten digits, one a picture, filling its paper, centred as MNIST's makers
    did; any other sees the middle of a photo, 87.5 % of its shorter side.
    """
    if as_json and as_csv:
        raise ArgumentError("--json and --csv are two ways to print; give one of them")
    way = "json" if as_json else "csv" if as_csv else "table"
    top = TOP[way] if top is None else integer("--top", top)
    network = open_model(model, size, trained=True)
    check_classifier(network, model, images[0])
    read = reader(network)
    settle(network, model, mean, std, labels)
    bar, failed, answers = Bar(quiet=False), 0, []
    with tempfile.TemporaryDirectory() as folder:
        paths = _paths(images, Path(folder))
        told = _Printer(way, [name for name, _ in paths], network.classes, top)
        for done, (name, pixels, answer) in enumerate(_answers(network, read, paths)):
            if len(paths) > MAX_BATCH:
                bar.tell(done, len(paths), "looking at pictures")
            if isinstance(answer, FileError):
                print(f"byhand: {str(answer).replace(folder + '/' + INPUT, 'standard input')}", file=sys.stderr)
                failed += 1
            elif as_json:
                grey = show and pixels.shape[-1] == 1
                answers.append({"image": name, **_told(answer, network.classes, top)})
                answers[-1] |= {"input": pixels[..., 0].tolist()} if grey else {}
            else:
                if show and pixels.shape[-1] == 1 and not as_csv:
                    print(f"{name}, as the network receives it ({spelled(pixels.shape[:2])}, pixels 0 to 255):")
                    print(picture(pixels[..., 0]))
                told.row(name, answer)
        bar.close()
    if as_json:
        print(json.dumps({"predictions": answers}))
    if failed:
        raise typer.Exit(2)


def _paths(images: list[str], folder: Path) -> list[tuple[str, Path]]:
    """Return (name, file) of each picture; what comes from standard input is kept in a folder of its own."""
    found: list[tuple[str, Path]] = []
    for image in images:
        path = Path(image)
        if image == INPUT:
            path = folder / INPUT
            path.write_bytes(sys.stdin.buffer.read())
            found.append((INPUT, path))
        elif path.is_dir():
            below = [(printable(str(one)), one) for one in image_files_below(path)]
            if not below:
                raise FileError(f"the folder {path} holds no pictures")
            found += below
        else:
            found.append((image, path))
    return found


def _answers(network: nn.Model, read: Any, paths: list[tuple[str, Path]]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, pixels, probabilities) of each picture, or (name, None, the FileError that tells why there are none)."""
    size = max(1, min(MAX_BATCH, MAX_BATCH_PIXELS // (network.input_shape[0] * network.input_shape[1])))
    groups = [paths[start : start + size] for start in range(0, len(paths), size)]

    def pixels_of(group: list[tuple[str, Path]]) -> list[Any]:
        return [_try(read, path) for _, path in group]

    for group, several in zip(groups, Prefetcher(pixels_of, groups)):
        good = [pixels for pixels in several if not isinstance(pixels, FileError)]
        answers = iter(network.predict(np.stack(good)) if good else ())
        for (name, _), pixels in zip(group, several):
            bad = isinstance(pixels, FileError)
            yield name, None if bad else pixels, pixels if bad else next(answers)


def _try(read: Any, path: Path) -> Any:
    try:
        return read(path)
    except FileError as error:
        return error


def _told(probabilities: Array, classes: tuple[str, ...], top: int) -> dict[str, Any]:
    best = np.argsort(-probabilities, kind="stable")
    return {
        "class": classes[best[0]],
        "probability": float(probabilities[best[0]]),
        "probabilities": {classes[k]: float(probabilities[k]) for k in best[:top]},
    }


class _Printer:
    """Prints a line an image, at once: a table whose columns are known beforehand, or CSV."""

    def __init__(self, way: str, names: list[str], classes: tuple[str, ...], top: int) -> None:
        self.classes, self.top, self.begun = classes, top, False
        self.csv = csv.writer(sys.stdout, lineterminator="\n") if way == "csv" else None
        self.wide = [
            min(WIDEST, max(map(len, (head, *several))))
            for head, several in (("image", names), ("class", [_short(name) for name in classes]))
        ]

    def row(self, name: str, probabilities: Array) -> None:
        """Print an image's answer, and above the first one the names of the columns."""
        ranked = list(_told(probabilities, self.classes, self.top)["probabilities"].items())
        if self.csv is not None:
            if not self.begun:
                more = [f"{what}_{k}" for k in range(2, len(ranked) + 1) for what in ("class", "probability")]
                self.csv.writerow(["image", "class", "probability", *more])
            self.csv.writerow([name, *(value for label, share in ranked for value in (label, f"{share:.6f}"))])
        else:
            if not self.begun:
                print(f"{'image':{self.wide[0]}}  {'class':{self.wide[1]}}  probability{'  next' * (self.top > 1)}")
            label, share = ranked[0]
            others = ", ".join(f"{_short(other)} {part:.1%}" for other, part in ranked[1:])
            line = f"{name:{self.wide[0]}}  {_short(label):{self.wide[1]}}  {f'{share:.1%}':>11}  {others}"
            print(line.rstrip())
        self.begun = True


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
