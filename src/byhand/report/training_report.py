"""Writing the report of a training: `report.html`, `report.png`, and the training doctor's findings."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from byhand.data import Dataset
from byhand.errors import ArgumentError
from byhand.files import write_whole
from byhand.nn import Model
from byhand.ops.op import Array
from byhand.report.diagnosis_input import DiagnosisInput, Finding, check_learns_classes
from byhand.report.doctor import diagnose
from byhand.report.drawing import style
from byhand.report.report_html import render_html
from byhand.report.report_png import draw_report

HTML_FILE = "report.html"
PNG_FILE = "report.png"


def write_report(
    folder: str | os.PathLike[str],
    *,
    model: Model,
    held_out: Dataset,
    logits: Array,
    history: Sequence[Mapping[str, Any]] = (),
    curve: Sequence[Sequence[float]] = (),
    train: Dataset | None = None,
    train_logits: Array | None = None,
    names: Sequence[str] | None = None,
    train_names: Sequence[str] | None = None,
    title: str = "",
    facts: Sequence[tuple[str, object]] = (),
    methods: Collection[str] | None = None,
) -> list[Finding]:
    """Write the report of a training into a folder, each file whole or not at all; return the training doctor's findings.

    held_out: images (N, H, W, C) that the network was not trained on, logits: (N, classes) of them; history: a row per epoch,
    curve: points within the epochs, as `Trainer.fit` leaves them; train: the training images, train_logits: their logits, if
    known; names, train_names: of the images, by default their file names; facts: (name, value) pairs for the page's end;
    methods: what the training did already, so that the doctor does not advise it (`DiagnosisInput`).
    Raises ArgumentError where these don't match, FileError where the folder can't be written to.

    >>> import tempfile
    >>> import byhand as bh
    >>> test = bh.data.load("mnist")[1].take(200)
    >>> model = bh.models.create("lenet5")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     findings = write_report(folder, model=model, held_out=test, logits=model.logits_of(test.images))
    ...     print(sorted(os.listdir(folder)), findings[0].name)
    ['report.html', 'report.png'] loss stuck at ln(10)
    """
    check_learns_classes("write_report", model)
    if logits.shape != (len(held_out), len(model.classes)) or not len(held_out):
        raise ArgumentError(
            f"write_report: logits have the shape {logits.shape}; expected ({len(held_out)}, {len(model.classes)}),"
            " one row per image, at least one"
        )
    names = names or held_out.files or None
    train_names = train_names or (train.files if train is not None else None) or None
    for what, given, data in (("names", names, held_out), ("train_names", train_names, train)):
        if given is not None and len(given) != (0 if data is None else len(data)):
            count = 0 if data is None else len(data)
            raise ArgumentError(f"write_report: got {len(given)} {what} for {count} images; expected one each")
    inputs = DiagnosisInput(model, held_out, logits, history, curve, train, train_logits, methods)
    diagnosis = diagnose(inputs)
    page = render_html(inputs, diagnosis, names=names, train_names=train_names, title=title, facts=facts).encode()
    figure = draw_report(inputs, diagnosis, title)
    style.save_png(figure, Path(folder) / PNG_FILE)
    write_whole(Path(folder) / HTML_FILE, page)
    return diagnosis.findings
