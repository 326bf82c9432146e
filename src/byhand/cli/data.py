"""`byhand data`: a summary of a data set before training, and a contact sheet of a network's inputs."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from byhand.cli import defaults
from byhand.cli.column_options import ImageFolder, LabelColumn, PathColumn, SplitColumn, ValidationFold
from byhand.cli.command import (
    DATA,
    MODEL,
    AsJson,
    Mean,
    OutputName,
    PixelRangeText,
    Reader,
    Std,
    Task,
    command,
    option,
    output_option,
)
from byhand.cli.model_argument import format_shape, parse_image_size
from byhand.cli.output_file import check_output
from byhand.cli.progress_bar import ProgressBar
from byhand.cli.training_header import skipped_files_lines
from byhand.cli.training_setup import find_data, source_and_shape
from byhand.console import say, table_lines
from byhand.data import Dataset, Splits
from byhand.data.augment import Augment
from byhand.data.splits import data_warnings
from byhand.text import class_labels, command_line
from byhand.translation import translate

SHEET_IMAGES = 12  # per class
SHEET_PAIRS = 6  # per class, of plain and augmented images
SHEET_CLASSES = 20
NAME_MAX_LETTERS = 32  # of a class in the table
TABLE_CLASSES = 30  # the others are summed up


@command("byhand data photos", "byhand data photos --augment flip,rotate=10 -o sheet.png", panel=DATA)
def data(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder with a subfolder of images per class, IDX files, an .npz, a table (.csv, .tsv, .txt, .jsonl), "
            "or mnist.",
        ),
    ],
    augment: Annotated[
        str | None,
        option(
            panel=DATA,
            help="Augmentation to show, in the syntax of `byhand train --augment`.",
            show_default="the default of train",
        ),
    ] = None,
    seed: Annotated[int, option(panel=DATA, help="Seed of the sheet's images and their augmentation.")] = 0,
    size: Annotated[
        str | None, option("--image-size", metavar="HxW", panel=DATA, help="Resize images to HEIGHTxWIDTH.")
    ] = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    split_column: SplitColumn = None,
    validation_fold: ValidationFold = None,
    image_folder: ImageFolder = None,
    model: Annotated[
        str | None, option(panel=MODEL, help="Prepare images for this architecture, as `byhand train` does.")
    ] = None,
    pretrained: Annotated[
        str | None,
        option(
            "--from", metavar="NETWORK", panel=MODEL, help="Prepare images for transfer learning from this network."
        ),
    ] = None,
    output_name: OutputName = None,
    mean: Mean = None,
    std: Std = None,
    task: Task = None,
    pixel_range: PixelRangeText = None,
    reader: Reader = None,
    output: Annotated[Path | None, output_option("PNG file.", "DATA-sheet.png")] = None,
    as_json: AsJson = False,
) -> None:
    """Summarize a data set: images per class, sizes, unusable files, duplicates, and a contact sheet of network inputs."""
    bar = ProgressBar(quiet=as_json)
    try:
        given = {
            "data": source,
            "path_column": path_column,
            "label_column": label_column,
            "split_column": split_column,
            "validation_fold": validation_fold,
            "image_folder": None if image_folder is None else str(image_folder.resolve()),
            "pixel_range": pixel_range,
            "reader": reader,
            "model": model,
            "from": pretrained,
            "output_name": output_name,
            "mean": mean,
            "std": std,
            "task": task,
            "size": None if size is None else list(parse_image_size(size)),
        }
        listing = find_data(given, bar)
        settings, notes = defaults.resolve(given, listing)
        path = output or Path(f"{Path(source).resolve().stem if source != 'mnist' else source}-sheet.png")
        check_output(path)
        _, shape, crop = source_and_shape(settings, listing)
        sets = listing.sets(shape, crop, progress=bar.update)
    finally:
        bar.close()
    train = sets.train
    usual = defaults.augmentation(train.shape, train.classes) if "from" not in settings else "none"
    augmentation = Augment.parse(settings.get("augment", usual) if augment is None else augment)
    augmentation.check(train.shape)
    _draw(sets, augmentation, seed, path)
    notes = [*sets.notes, *data_warnings(sets), *notes]
    if as_json:
        result = {
            "name": train.name,
            "shape": list(train.shape),
            "classes": list(train.classes),
            "counts": listing.counts,
            "notes": notes,
            "skipped": [{"file": name, "reason": reason} for name, reason in sets.bad],
            "augment": str(augmentation),
            "sheet": str(path),
        }
        print(json.dumps(result))
        return
    say(f"{train.name}: images of {format_shape(train.shape)}, {len(train.classes)} classes")
    _table(sets)
    augmented = (
        f"augmentation while training: {augmentation}"
        if augmentation.uniforms_per_image
        else "no augmentation while training"
    )
    for line in (*notes, *skipped_files_lines(sets.bad), augmented):
        say(f"  {line}")
    options_given = {
        "--augment": augment,
        "--image-size": size,
        "--model": model,
        "--from": pretrained,
        "--output-name": output_name,
        "--mean": mean,
        "--std": std,
        "--task": task,
        "--pixel-range": pixel_range,
        "--reader": reader,
        "--path-column": path_column,
        "--label-column": label_column,
        "--split-column": split_column,
        "--validation-fold": validation_fold,
        "--image-folder": image_folder,
    }
    options = [
        word for option_name, value in options_given.items() if value is not None for word in (option_name, str(value))
    ]
    say(f"\nwrote {path}: the network's inputs\nnext:  {command_line('byhand', 'train', source, *options)}")


def _table(sets: Splits) -> None:
    """Print the number of images per class, a column per set."""
    counts = {part: np.bincount(set_.labels, minlength=len(set_.classes)) for part, set_ in sets.parts.items()}
    rows: list[tuple[str, ...]] = []
    for name, *numbers in zip(class_labels(sets.train.classes, NAME_MAX_LETTERS)[:TABLE_CLASSES], *counts.values()):
        rows.append((name, *(f"{number:,}" for number in numbers)))
    if len(sets.train.classes) > TABLE_CLASSES:
        more = (f"{count[TABLE_CLASSES:].sum():,}" for count in counts.values())
        rows.append((translate(f"and {len(sets.train.classes) - TABLE_CLASSES:,} more"), *more))
    rows.append((translate("all"), *(f"{count.sum():,}" for count in counts.values())))
    print("\n".join(f"  {line}" for line in table_lines(rows, left=1, heads=("class", *counts))))


def _draw(sets: Splits, augmentation: Augment, seed: int, path: Path) -> None:
    from byhand.report import draw_contact_sheet  # noqa: PLC0415  (byhand.report imports matplotlib, which is slow)

    train, rng, rows = sets.train, np.random.default_rng(seed), []
    max_images = SHEET_PAIRS if augmentation.uniforms_per_image else SHEET_IMAGES
    for number, name in enumerate(train.classes[:SHEET_CLASSES]):
        mine = np.flatnonzero(train.labels == number)
        chosen = rng.choice(mine, min(len(mine), max_images), replace=False)
        images = train.images[chosen]
        row: list[Any] = [name, len(mine), list(images)]
        if augmentation.uniforms_per_image:
            row.append(list(_augmented(train, images, augmentation, rng)))
        rows.append(tuple(row))
    rows += [
        (name, int((train.labels == number).sum()), [])
        for number, name in enumerate(train.classes)
        if number >= SHEET_CLASSES
    ]
    about = f"{format_shape(train.shape)}" + (
        "; " + f"plain, and augmented: {augmentation}" if augmentation.uniforms_per_image else ""
    )
    draw_contact_sheet(path, rows, f"{train.name}: the network's inputs", about)


def _augmented(train: Dataset, images: Any, augmentation: Augment, rng: np.random.Generator) -> Any:
    others = train.images[rng.choice(len(train), len(images))] if augmentation.mixup else None
    return augmentation(images, rng.random((len(images), augmentation.uniforms_per_image)), others)
