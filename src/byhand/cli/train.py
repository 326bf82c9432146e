"""`byhand train`: trains a network on a data set, and writes the run's folder with model, checkpoint, log and report."""

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from byhand import models
from byhand.cli import training_setup
from byhand.cli.command import DATA, MODEL, OUTPUT, TRAINING, AsJson, command, option
from byhand.cli.defaults import Settings, split_arguments
from byhand.cli.look import page_writer
from byhand.cli.model_argument import format_shape, parse_image_size
from byhand.cli.progress_bar import ProgressBar
from byhand.cli.training_setup import TTA, TrainingSetup
from byhand.data import Dataset
from byhand.errors import ArgumentError
from byhand.ops import DEFAULT_HAND, HANDS
from byhand.ops.op import Array
from byhand.train.display import duration
from byhand.train.distributed.mpi import world
from byhand.train.evaluation import score

REPORTED_BAD_FILES = 100  # in the report
PRINTED_BAD_FILES = 8


@command(
    "byhand train",
    "byhand train photos --minutes 5 --augment flip,crop=0.3",
    "byhand train photos --from efficientnet_lite0 --unfreeze 3",
    panel="Training",
)
def train(
    data_and_model: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA|MODEL",
            help="DATA: mnist, a folder with a subfolder of pictures per class, a folder of IDX files, an .npz, or a .csv of "
            "paths and labels. MODEL: an architecture (see `byhand models`). In any order.",
        ),
    ] = None,
    data: Annotated[str | None, option(panel=DATA, help="Alias of DATA.", show_default="mnist")] = None,
    size: Annotated[
        str | None,
        option(
            "--image-size",
            metavar="HxW",
            panel=DATA,
            help="Resize pictures to HEIGHTxWIDTH.",
            show_default="as they are",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        option(
            panel=DATA,
            show_default="by shape",
            help="Augmentation: none, or a list, without spaces, of flip, shift=2, rotate=10, crop=0.3, colour=0.2, "
            "cutout=8, mixup=0.2.",
        ),
    ] = None,
    validation_fraction: Annotated[
        float | None,
        option(
            panel=DATA, show_default="0.2", help="Fraction of each class for validation, if there is no val folder."
        ),
    ] = None,
    stream: Annotated[
        bool, option("--stream", panel=DATA, help="Decode pictures while training, even if all fit in memory.")
    ] = False,
    model: Annotated[
        str | None, option(panel=MODEL, help="Alias of MODEL.", show_default="lenet5 for mnist, else small")
    ] = None,
    source: Annotated[
        str | None,
        option(
            "--from",
            panel=MODEL,
            metavar="NETWORK",
            help="Transfer learning: a trained network that gets a new classifier (efficientnet_lite0, a run, an ONNX file). "
            "none: train from scratch.",
        ),
    ] = None,
    unfreeze: Annotated[
        str | None,
        option(
            panel=MODEL,
            metavar="N",
            show_default="0",
            help="With --from: layers to train below the classifier, or all.",
        ),
    ] = None,
    tta: Annotated[
        str | None,
        option(
            panel=MODEL, metavar="|".join(TTA), show_default="none", help="Test-time augmentation of the saved model."
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        option(panel=TRAINING, help="Passes over the training images.", show_default="5 for mnist, else 8 to 60"),
    ] = None,
    minutes: Annotated[
        float | None, option(panel=TRAINING, help="Time budget instead of --epochs: as many epochs as fit.")
    ] = None,
    batch_size: Annotated[
        int | None, option(panel=TRAINING, help="Images per step.", show_default="64 for mnist, else 16 to 256")
    ] = None,
    optimizer: Annotated[
        str | None,
        option(
            panel=TRAINING,
            help="Optimizer: muon, sgd, adam or adamw.",
            show_default="muon; sgd for mnist and with --from",
        ),
    ] = None,
    lr: Annotated[
        float | None,
        option(
            "--lr",
            "--learning-rate",
            panel=TRAINING,
            help="Peak learning rate of the one-cycle schedule.",
            show_default="0.1 for mnist, else range test",
        ),
    ] = None,
    label_smoothing: Annotated[
        float | None, option(panel=TRAINING, help="Label smoothing, from 0 up to 1.", show_default="0")
    ] = None,
    early_stopping: Annotated[
        int | None,
        option(
            metavar="EPOCHS", panel=TRAINING, help="Stop after so many epochs without improvement on validation images."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        option(panel=TRAINING, help="Seed of initial weights, split, shuffling and augmentation.", show_default="0"),
    ] = None,
    hand: Annotated[
        str | None,
        option(panel=TRAINING, help=f"Implementation of the ops: {' or '.join(HANDS)}.", show_default=DEFAULT_HAND),
    ] = None,
    sync_batchnorm: Annotated[
        bool, option("--sync-batchnorm", panel=TRAINING, help="Under mpiexec: synchronize batch norm across ranks.")
    ] = False,
    resume: Annotated[
        bool, option("--resume", panel=TRAINING, help="Resume a stopped run: --output, or the newest.")
    ] = False,
    output: Annotated[
        Path | None,
        option("--output", "-o", metavar="DIR", panel=OUTPUT, help="The run's folder.", show_default="runs/MODEL-DATA"),
    ] = None,
    look: Annotated[
        bool,
        option(
            "--look", panel=OUTPUT, help="Update look.html in the run's folder, the page of `byhand look`, every epoch."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a network: by default LeNet-5 on MNIST; with a folder of pictures, an image classifier for its classes."""
    started, ranks = time.perf_counter(), world()
    verbose = not as_json and ranks.rank == 0
    model_name, data_name = split_arguments(data_and_model or [])
    given: Settings = {
        "model": _one_of("model", model_name, model),
        "data": _one_of("data set", data_name, data),
        "from": source,
        "unfreeze": _unfrozen_layers(unfreeze),
        "epochs": epochs,
        "minutes": minutes,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "lr": lr,
        "augment": augment,
        "label_smoothing": label_smoothing,
        "tta": tta,
        "size": None if size is None else list(parse_image_size(size)),
        "validation_fraction": validation_fraction,
        "early_stopping": early_stopping,
        "stream": stream or None,
        "seed": seed,
        "hand": hand,
        "sync_batchnorm": sync_batchnorm or None,
    }
    for name in ("data", "from"):
        if given[name] not in (None, *models.ARCHITECTURES) and Path(str(given[name])).exists():
            given[name] = str(Path(str(given[name])).resolve())  # --resume works from any folder
    bar = ProgressBar(quiet=not verbose)
    try:
        resumed = training_setup.resume(given, output, bar) if resume else None
        setup = resumed or training_setup.start(given, output, started, bar)
    finally:
        bar.close()
    settings, run = setup.settings, setup.run
    page, write_page = page_writer(setup) if look and ranks.rank == 0 else (None, None)
    if verbose:
        _print_lines([*_header(setup, resume), *([f"watch the training:  {page}", ""] if page else [])])
    held_out: dict[str, Any] = {"validation" if setup.sets.val is not None else "test": setup.held_out}
    setup.trainer.fit(
        setup.train,
        **held_out,
        epochs=settings["epochs"],
        epoch_size=settings.get("epoch_size"),
        early_stopping=settings.get("early_stopping"),
        quiet=not verbose,
        run=run,
        on_epoch=None if write_page is None else lambda row: write_page(),
        export_model=setup.final_model,
    )
    if setup.trainer.state is not None:  # Ctrl-C
        if as_json and ranks.rank == 0:
            print(json.dumps({"test": None, "history": setup.trainer.history, "stopped": True, "run": str(run.folder)}))
        elif verbose:
            print(f"everything is saved; resume with:  byhand train --resume --output {run.folder}")
        raise typer.Exit(130)
    if ranks.rank > 0:  # rank 0 writes the report
        return
    if write_page is not None:
        write_page()
    result, summary = _report(setup, time.perf_counter() - started)
    if as_json:
        result |= {"history": setup.trainer.history, "images_per_second": setup.trainer.images_per_second}
        print(json.dumps(result | {"seconds": time.perf_counter() - started, "run": str(run.folder)}))
    else:
        _print_lines(summary)


def _one_of(kind: str, argument: str | None, option_value: str | None) -> str | None:
    if argument is not None and option_value is not None and argument != option_value:
        raise ArgumentError(f"got two {kind}s: {argument} and {option_value}; expected one")
    return option_value if argument is None else argument


def _unfrozen_layers(text: str | None) -> int | str | None:
    if text is None or text == training_setup.ALL:
        return text
    if not (text.isascii() and text.isdigit()):
        raise ArgumentError(f"--unfreeze is {text!r}; expected a number of layers, or all")
    return int(text)


# Printed lines --------------------------------------------------------------------------------------------------------


def _header(setup: TrainingSetup, resume: bool) -> list[str]:
    """Return the lines that are printed before training starts."""
    settings, sets, trainer, network = setup.settings, setup.sets, setup.trainer, setup.model
    summary, trainable = network.summary(), trainer.model.parameter_count
    parameters = f"{summary.parameters:,} parameters"
    if setup.full_model is not None:
        total = summary.parameters + sum(value.size for value in vars(network.state).values())
        parameters = f"{trainable:,} of {total:,} parameters are trainable"
    purposes = {"train": "train on", "val": "validate on", "test": "test on"}
    counts = [f"{len(images):,} to {purposes[part]}" for part, images in sets.parts.items()]
    epochs, images = settings["epochs"], settings.get("epoch_size") or len(setup.train)
    steps = -(-images // trainer.batch_size)
    kind, momentum = type(trainer.optimizer).__name__, getattr(trainer.optimizer, "momentum", 0.0)
    rate = f"one-cycle learning rate up to {trainer.optimizer.lr:g}"
    ranks = f"    {trainer.comm.size} ranks share each batch" if trainer.comm.size > 1 else ""
    lines = [
        f"{parameters}, {summary.flops:,} FLOPs per image",
        ", ".join(counts).replace(" to ", " images to ", 1),
        *setup.notes,
        *skipped_files_lines(sets.bad),
        f"{epochs} epoch{'s' * (epochs > 1)} of {steps:,} steps, batch {trainer.batch_size}",
        *([f"augmentation: {trainer.augment}"] if trainer.augment.numbers else []),
        *([f"label smoothing {trainer.label_smoothing:.3g}"] if trainer.label_smoothing else []),
        f"{kind}{f' with momentum {momentum:g}' if momentum else ''}, {rate}, seed {trainer.seed}",
        f"hand: {trainer.hand}    run: {setup.run.folder}{ranks}",
    ]
    if resume and trainer.state is not None:
        lines.append(f"resuming after {trainer.state.steps_done:,} steps")
    title = (
        f"{network.name} on {sets.train.name}: {format_shape(network.input_shape)} -> {len(network.classes)} classes"
    )
    return [title, *(f"  {line}" for line in lines), ""]


def skipped_files_lines(bad: Sequence[tuple[str, str]]) -> list[str]:
    """Return lines that list skipped files with the reasons."""
    if not bad:
        return []
    lines = [f"{len(bad):,} unusable file{'s' * (len(bad) > 1)} skipped:"]
    lines += [f"  {name}  {reason}" for name, reason in bad[:PRINTED_BAD_FILES]]
    more = len(bad) - PRINTED_BAD_FILES
    return lines + ([f"  and {more:,} more: --json lists all"] if more > 0 else [])


def _print_lines(lines: Sequence[str]) -> None:
    """Print lines; if standard output is closed, as by `| head`, discard them and let training continue."""
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(setup: TrainingSetup, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Evaluate the network, draw the figures, write the report; return the results, and the lines to print."""
    from byhand.report import (  # noqa: PLC0415  (byhand.report imports matplotlib, which is slow)
        confusion_matrix,
        draw_confusion_matrix,
        draw_learning_curves,
        write_report,
    )
    from byhand.report.metrics import top_confusions  # noqa: PLC0415

    network, sets, folder, trainer = setup.model, setup.sets, setup.run.folder, setup.trainer
    results: dict[str, Any] = {"test": None}
    lines, title, findings, evaluated = [""], f"{network.name} on {sets.train.name}", [], sets.held_out is not None
    for part, dataset in (("test", sets.test), ("val", sets.val)):  # the report is about the last one
        if dataset is None:
            continue
        logits = _logits(setup, part, dataset)
        predicted, label = logits.argmax(1), "validation" if part == "val" else "test"
        results[part] = score(logits, dataset.labels)
        accuracy, loss = results[part]["accuracy"], results[part]["loss"]
        title = f"{network.name} on {dataset.name}: {accuracy:.2%} of {len(dataset):,} {label} images"
        wrong = int((predicted != dataset.labels).sum())
        lines.append(f"{label} accuracy {accuracy:.2%}, loss {loss:.4f}: {wrong:,} of {len(dataset):,} images wrong")
    draw_learning_curves(trainer.history, trainer.curve, folder / "curves.png", title)
    if sets.held_out is not None:
        matrix = confusion_matrix(sets.held_out.labels, predicted, len(network.classes))
        draw_confusion_matrix(matrix, network.classes, folder / "confusion.png", title)
        confusions = top_confusions(matrix, network.classes)
        listed = ", ".join(f"{true} as {other} ({count})" for true, other, count in confusions)
        lines += [f"most frequent confusions: {listed}"] if listed else []
        train_logits = None
        if setup.full_model is not None:
            train_logits = trainer.model.logits_of(setup.train.images, hand=trainer.hand)
        findings = write_report(
            folder,
            model=network,
            held_out=sets.held_out,
            logits=logits,
            history=trainer.history,
            curve=trainer.curve,
            train=sets.train,
            train_logits=train_logits,
            title=title,
            facts=_facts(setup, seconds),
        )
    best = max(trainer.history, key=lambda row: (row.get("val_accuracy", 0), -row.get("val_loss", 0)))["epoch"]
    if sets.val is not None and best < len(trainer.history):
        lines.append(f"the saved network is that of epoch {best}, the best on the validation images")
    if trainer.data_wait_fraction:
        lines.append(f"data loading held up training for {trainer.data_wait_fraction:.1%} of the time")
    problems = [finding for finding in findings if finding.severity != "note"]
    lines += [f"doctor, {problem.severity}: {problem.name}: {problem.evidence}" for problem in problems]
    results["doctor"] = [asdict(finding) for finding in findings]
    lines += [
        "",
        f"wrote to {folder}",
        "  model.safetensors       the network, for bh.load, byhand show, byhand predict",
        *(
            ["  report.html, report.png results, worst mistakes, calibration, findings of the training doctor"]
            if evaluated
            else []
        ),
        *(["  confusion.png           confusion matrix"] if evaluated else []),
        "  curves.png              learning curves: loss and accuracy",
        "  run.json, log.jsonl     all settings, to reproduce the run; a line per epoch",
        "  checkpoint.safetensors  weights and optimizer state",
        *(["  snapshots/              the network during training, for byhand look"] if setup.run.snapshots() else []),
        "",
        f"next:  byhand look {folder}",
        f"       byhand predict {folder} PICTURE",
    ]
    return results, lines


def _facts(setup: TrainingSetup, seconds: float) -> list[tuple[str, object]]:
    """Return the facts about a training for the report's last section."""
    settings, sets = setup.settings, setup.sets
    counts = ", ".join(f"{len(images):,} {part}" for part, images in sets.parts.items())
    facts: list[tuple[str, object]] = [
        ("network", f"{setup.model.name}, {setup.trainer.model.parameter_count:,} trainable parameters"),
        ("images", f"{sets.train.name}: {counts}, {format_shape(setup.model.input_shape)}"),
        (
            "training",
            f"{len(setup.trainer.history)} epochs, batch {settings['batch_size']}, learning rate {settings['lr']:g}",
        ),
        ("augmentation", settings["augment"]),
        ("seed", settings["seed"]),
        ("time", duration(seconds)),
        ("started", settings.get("started", "")),
        ("data", settings["data"]),
    ]
    return (
        facts
        + [("note", note) for note in setup.notes]
        + [(f"skipped: {name}", why) for name, why in sets.bad[:REPORTED_BAD_FILES]]
    )


def _logits(setup: TrainingSetup, part: str, dataset: Dataset) -> Array:
    """Return the logits of a data set's images; of the trainer's own held-out set, from its precomputed features."""
    held_out = "val" if setup.sets.val is not None else "test"
    if part == held_out and setup.held_out is not None and setup.tta_model is None:
        return setup.trainer.model.logits_of(setup.held_out.images, hand=setup.trainer.hand)
    return setup.model.logits_of(dataset.images, hand=setup.trainer.hand)
