"""The report at the end of a training: `report.html`, `report.png`, and what the doctor found."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from byhand.data import Dataset
from byhand.errors import ArgumentError
from byhand.files import write_whole
from byhand.nn import Model
from byhand.ops.op import Array
from byhand.report import picture
from byhand.report.diagnosis_input import Case, Finding
from byhand.report.doctor import diagnose
from byhand.report.report_html import document
from byhand.report.report_png import poster

PAGE, PICTURE = "report.html", "report.png"


def write_report(
    folder: str | os.PathLike[str],
    *,
    model: Model,
    evaluated: Dataset,
    logits: Array,
    history: Sequence[Mapping[str, Any]] = (),
    curve: Sequence[Sequence[float]] = (),
    train: Dataset | None = None,
    train_logits: Array | None = None,
    names: Sequence[str] | None = None,
    train_names: Sequence[str] | None = None,
    title: str = "",
    facts: Sequence[tuple[str, object]] = (),
) -> list[Finding]:
    """Write the report of a training into a folder, each file whole or not at all; return what the doctor found.

    evaluated: images (N, H, W, C) the network was not trained on, logits: (N, classes), its answers; history: a row an epoch
    and curve: points within them, as `Trainer.fit` leaves them; train: the training images, train_logits: the answers to
    them, where they are known; names, train_names: of either images, by default as their files are called; title, facts:
    what else the page tells.
    Raises ArgumentError where these don't fit each other, FileError where the folder can't be written to.

    >>> import tempfile
    >>> import byhand as bh
    >>> test = bh.data.load("mnist")[1].take(200)
    >>> model = bh.models.create("lenet5")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = write_report(folder, model=model, evaluated=test, logits=model.logits_of(test.images))
    ...     print(sorted(os.listdir(folder)), found[0].name)
    ['report.html', 'report.png'] the loss is stuck at ln(10)
    """
    if not model.classes:
        raise ArgumentError(
            f"write_report: {model.name} has no classes; expected a network that was trained to tell some"
        )
    if logits.shape != (len(evaluated), len(model.classes)) or not len(evaluated):
        raise ArgumentError(
            f"write_report: logits have the shape {logits.shape}; expected ({len(evaluated)}, {len(model.classes)}),"
            " a row an image, of one at least"
        )
    names = names or evaluated.files or None
    train_names = train_names or (train.files if train is not None else None) or None
    for what, given, data in (("names", names, evaluated), ("train_names", train_names, train)):
        if given is not None and len(given) != (0 if data is None else len(data)):
            count = 0 if data is None else len(data)
            raise ArgumentError(f"write_report: {what} are {len(given)}, the images {count}; expected one each")
    case = Case(model, evaluated, logits, history, curve, train, train_logits)
    found = diagnose(case)
    page = document(case, found, names=names, train_names=train_names, title=title, facts=facts).encode()
    drawn = poster(case, found, title)
    picture.write(drawn, Path(folder) / PICTURE)
    write_whole(Path(folder) / PAGE, page)
    return found.findings
