"""`byhand data`: what a data set holds, and what a network would receive of it, before anything is trained."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from byhand.cli import defaults
from byhand.cli.model_argument import sides_of, spelled
from byhand.cli.progress import Bar
from byhand.cli.train import bad_lines
from byhand.cli.training_setup import images_of
from byhand.data import Dataset, Splits, find
from byhand.data.augment import Augment
from byhand.data.splits import data_warnings

ACROSS, PAIRS, DOWN = (
    12,
    6,
    20,
)  # images of a class, of a class with augmented ones beside them, and classes on the sheet
MOST = 30  # classes that are counted in the table; the rest is summed up


def data(
    source: Annotated[
        str, typer.Argument(metavar="DATA", help="a folder of pictures, IDX files, an .npz, a .csv, mnist")
    ],
    augment: Annotated[str | None, typer.Option(help="show this, as `byhand train --augment` takes it")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="the architecture it is for, as of `byhand train`")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="the trained network it is for, as of `byhand train`")
    ] = None,
    size: Annotated[str | None, typer.Option(help="of the images, HEIGHTxWIDTH")] = None,
    seed: Annotated[int, typer.Option(help="of what is drawn for the sheet")] = 0,
    out: Annotated[Path | None, typer.Option(help="the sheet's file, PNG  [DATA-sheet.png]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else")] = False,
) -> None:
    """Look at a data set: counts per class, sizes, bad files, copies, and a sheet of what a network would receive."""
    bar = Bar(quiet=as_json)
    try:
        listing = find(source, bar.tell)
        given = {"data": source, "model": model, "from": start, "size": None if size is None else list(sides_of(size))}
        settings, notes = defaults.settle(given, listing)
        _, shape, crop = images_of(settings, listing)
        sets = listing.sets(shape, crop, tell=bar.tell)
    finally:
        bar.close()
    train = sets.train
    usual = defaults.augmentation(train.shape, train.classes) if "from" not in settings else "none"
    varied = Augment.parse(settings.get("augment", usual) if augment is None else augment)
    varied.check(train.shape)
    path = out or Path(f"{Path(source).resolve().stem if source != 'mnist' else source}-sheet.png")
    _draw(sets, varied, seed, path)
    notes = [*sets.notes, *data_warnings(sets), *notes]
    if as_json:
        result = {
            "name": train.name, "shape": list(train.shape), "classes": list(train.classes), "counts": listing.counts,
            "notes": notes, "skipped": [{"file": name, "reason": reason} for name, reason in sets.bad],
            "augment": str(varied), "sheet": str(path),
        }  # fmt: skip
        print(json.dumps(result))
        return
    print(f"{train.name}: images of {spelled(train.shape)}, {len(train.classes)} classes")
    _table(sets)
    varies = f"each image varies while training: {varied}" if varied.numbers else "images do not vary while training"
    for line in (*notes, *bad_lines(sets.bad), varies):
        print(f"  {line}")
    print(f"\nwrote {path}: what a network receives\nnext:  byhand train {source}")


def _table(sets: Splits) -> None:
    """Print how many images each class has, a column a set."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("class", overflow="fold")
    counts = {}
    for part, one in sets.parts.items():
        table.add_column(part, justify="right")
        counts[part] = np.bincount(one.labels, minlength=len(one.classes))
    for number, name in enumerate(sets.train.classes[:MOST]):
        table.add_row(name, *(f"{count[number]:,}" for count in counts.values()))
    if len(sets.train.classes) > MOST:
        table.add_row(f"and {len(sets.train.classes) - MOST:,} more", *(f"{c[MOST:].sum():,}" for c in counts.values()))
    table.add_row("all", *(f"{count.sum():,}" for count in counts.values()), style="dim")
    console = Console(highlight=False, markup=False)
    with console.capture() as printed:
        console.print(table)
    print("\n".join(f"  {line.rstrip()}" for line in printed.get().splitlines()))


def _draw(sets: Splits, varied: Augment, seed: int, path: Path) -> None:
    from byhand.report import draw_sheet  # noqa: PLC0415  (matplotlib is slow to import)

    train, rng, rows = sets.train, np.random.default_rng(seed), []
    for number, name in enumerate(train.classes[:DOWN]):
        mine = np.flatnonzero(train.labels == number)
        chosen = rng.choice(mine, min(len(mine), PAIRS if varied.numbers else ACROSS), replace=False)
        images = train.images[chosen]
        row: list[Any] = [name, len(mine), list(images)]
        if varied.numbers:
            row.append(list(_varied(train, images, varied, rng)))
        rows.append(tuple(row))
    rows += [
        (name, int((train.labels == number).sum()), []) for number, name in enumerate(train.classes) if number >= DOWN
    ]
    about = f"{spelled(train.shape)}" + (f"; as they are, and varied: {varied}" if varied.numbers else "")
    draw_sheet(path, rows, f"{train.name}: what a network receives", about)


def _varied(train: Dataset, images: Any, varied: Augment, rng: np.random.Generator) -> Any:
    others = train.images[rng.choice(len(train), len(images))] if varied.mixup else None
    return varied(images, rng.random((len(images), varied.numbers)), others)
