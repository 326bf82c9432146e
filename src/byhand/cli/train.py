"""`byhand train`: from a data set, a folder of photos for one, to a run's folder."""

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
from byhand.cli import training_setup as jobs
from byhand.cli.defaults import named
from byhand.cli.look import keep_fresh
from byhand.cli.model_argument import sides_of, spelled
from byhand.cli.progress import Bar
from byhand.cli.training_setup import Job
from byhand.data import Dataset
from byhand.errors import ArgumentError
from byhand.ops import DEFAULT_HAND, HANDS
from byhand.ops.op import Array
from byhand.train.display import duration
from byhand.train.distributed.mpi import world
from byhand.train.evaluation import score

MOST_BAD = 100  # of them, in the report
SHOWN = 8  # bad files that are named; the rest stands in the run's folder


def train(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA] [MODEL]",
            help="DATA: a folder of pictures, a folder a class; a folder of MNIST's IDX files; an .npz; a .csv of paths and "
            "labels; mnist.  MODEL: an architecture, `byhand models` lists them",
        ),
    ] = None,
    data_set: Annotated[str | None, typer.Option("--data", help="the same as DATA")] = None,
    model: Annotated[str | None, typer.Option("--model", help="the same as MODEL  [small; lenet5 for mnist]")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="a trained network (efficientnet_lite0, a run, an ONNX file) whose head is made anew; none: never",
        ),
    ] = None,
    unfreeze: Annotated[
        str | None, typer.Option(help="with --from: how many layers with weights below the head learn too, or all  [0]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="how often the images are gone through  [5 for mnist]")] = None,
    minutes: Annotated[float | None, typer.Option(help="a budget, in place of --epochs: as many epochs as fit")] = None,
    batch_size: Annotated[int | None, typer.Option(help="images an update  [64; 16 of fewer than 2,000]")] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="muon, sgd, adam or adamw  [muon; sgd for mnist and with --from]")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="the largest learning rate of the cycle  [0.1 for mnist; found]")
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(help="how images vary: flip,shift=2,rotate=10,crop=0.3,colour=0.2,cutout=8,mixup=0.2; none"),
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="the part of the truth that is spread over all classes  [0]")
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="the finished network sees each image mirrored too, and takes the mean")
    ] = False,
    size: Annotated[
        str | None, typer.Option(help="of the images, HEIGHTxWIDTH, where pictures are to be resized")
    ] = None,
    validation_fraction: Annotated[
        float | None, typer.Option(help="set aside of each class to validate on, where there is no val/  [0.2]")
    ] = None,
    early_stopping: Annotated[
        int | None, typer.Option(metavar="EPOCHS", help="stop when so many epochs in a row did no better on those")
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="decode pictures while training, also where all would fit in memory")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="of the first weights, the split, the order of the images  [0]")
    ] = None,
    hand: Annotated[str | None, typer.Option(help=f"who computes: {' or '.join(HANDS)}  [{DEFAULT_HAND}]")] = None,
    out: Annotated[Path | None, typer.Option(help="the run's folder  [runs/MODEL-DATA]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a stopped run: --out, or the newest")] = False,
    sync_batchnorm: Annotated[
        bool,
        typer.Option("--sync-batchnorm", help="under mpiexec: batch norm sees the whole batch, not each rank's share"),
    ] = False,
    look: Annotated[
        bool, typer.Option("--look", help="keep look.html in the run's folder fresh: the page of `byhand look`")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object at the end, and nothing else")] = False,
) -> None:
    """Train a network: by default LeNet-5 on all of MNIST; with a folder of pictures, a classifier of your own."""
    started, ranks = time.perf_counter(), world()
    tells = not as_json and ranks.rank == 0
    typed = named(what or [])
    given = {
        "model": _one("model", typed[0], model), "data": _one("data set", typed[1], data_set), "from": source,
        "unfreeze": _layers(unfreeze), "epochs": epochs, "minutes": minutes, "batch_size": batch_size,
        "optimizer": optimizer, "lr": lr,
        "augment": augment, "label_smoothing": label_smoothing, "mirror": mirror or None,
        "size": None if size is None else list(sides_of(size)),
        "validation_fraction": validation_fraction, "early_stopping": early_stopping, "stream": stream or None, "seed": seed,
        "hand": hand, "sync_batchnorm": sync_batchnorm or None,
    }  # fmt: skip
    for name in ("data", "from"):
        if given[name] not in (None, *models.ARCHITECTURES) and Path(str(given[name])).exists():
            given[name] = str(Path(str(given[name])).resolve())  # so that --resume finds it from any folder
    bar = Bar(quiet=not tells)
    try:
        job = jobs.go_on(given, out, bar) if resume else jobs.begin(given, out, started, bar)
    finally:
        bar.close()
    settings, run = job.settings, job.run
    page, write_page = keep_fresh(job) if look and ranks.rank == 0 else (None, None)
    if tells:
        _say([*_header(job, resume), *([f"look at it while it trains:  {page}", ""] if page else [])])
    judged: dict[str, Any] = {"validation": job.held_out} if job.sets.val is not None else {"test": job.held_out}
    job.trainer.fit(
        job.train, **judged, epochs=settings["epochs"], epoch_size=settings.get("epoch_size"),
        early_stopping=settings.get("early_stopping"), quiet=not tells, run=run,
        on_epoch=None if write_page is None else lambda row: write_page(), export_model=job.finished,
    )  # fmt: skip
    if job.trainer.state is not None:  # Ctrl-C
        if as_json and ranks.rank == 0:
            print(json.dumps({"test": None, "history": job.trainer.history, "stopped": True, "run": str(run.folder)}))
        elif tells:
            print(f"everything is kept; go on with:  byhand train --resume --out {run.folder}")
        raise typer.Exit(130)
    if ranks.rank > 0:  # the first one writes the report
        return
    if write_page is not None:
        write_page()
    result, told = _report(job, time.perf_counter() - started)
    if as_json:
        result |= {"history": job.trainer.history, "images_per_second": job.trainer.images_per_second}
        print(json.dumps(result | {"seconds": time.perf_counter() - started, "run": str(run.folder)}))
    else:
        _say(told)


def _one(what: str, typed: str | None, option: str | None) -> str | None:
    if typed is not None and option is not None and typed != option:
        raise ArgumentError(f"got two of what may be one {what}: {typed} and {option}; expected one")
    return option if typed is None else typed


def _layers(text: str | None) -> int | str | None:
    if text is None or text == jobs.ALL:
        return text
    if not (text.isascii() and text.isdigit()):
        raise ArgumentError(f"--unfreeze is {text!r}; expected a number of layers, or all")
    return int(text)


# told -----------------------------------------------------------------------------------------------------------------


def _header(job: Job, resume: bool) -> list[str]:
    """Return what is told before training begins."""
    settings, sets, trainer, network = job.settings, job.sets, job.trainer, job.model
    summary, learned = network.summary(), trainer.model.parameter_count
    numbers = f"{summary.parameters:,} parameters"
    if job.whole is not None:
        whole = summary.parameters + sum(value.size for value in vars(network.state).values())
        numbers = f"{learned:,} of {whole:,} numbers learn"
    purposes = {"train": "train on", "val": "validate on", "test": "test on"}
    counts = [f"{len(one):,} to {purposes[part]}" for part, one in sets.parts.items()]
    epochs, images = settings["epochs"], settings.get("epoch_size") or len(job.train)
    kind, momentum = type(trainer.optimizer).__name__, getattr(trainer.optimizer, "momentum", 0.0)
    rate = f"learning rate up to {trainer.optimizer.lr:g} and down again"
    shared = f"    {trainer.comm.size} ranks share each batch" if trainer.comm.size > 1 else ""
    lines = [
        f"{numbers}, {summary.flops:,} FLOPs an image forward",
        ", ".join(counts).replace(" to ", " images to ", 1),
        *job.notes,
        *bad_lines(sets.bad),
        f"{epochs} epoch{'s' * (epochs > 1)} of {-(-images // trainer.batch_size):,} steps, batch {trainer.batch_size}",
        *([f"each image varies: {trainer.augment}"] if trainer.augment.numbers else []),
        *([f"{smooth:.3g} of each label is spread over all classes"] if (smooth := trainer.label_smoothing) else []),
        f"{kind}{f' with momentum {momentum:g}' if momentum else ''}, {rate}, seed {trainer.seed}",
        f"hand: {trainer.hand}    run: {job.run.folder}{shared}",
    ]
    if resume and trainer.state is not None:
        lines.append(f"going on after {trainer.state.steps_done:,} steps")
    title = f"{network.name} on {sets.train.name}: {spelled(network.input_shape)} -> {len(network.classes)} classes"
    return [title, *(f"  {line}" for line in lines), ""]


def bad_lines(bad: Sequence[tuple[str, str]]) -> list[str]:
    """Return lines that tell which files can't be used, and why."""
    if not bad:
        return []
    several = len(bad) > 1
    lines = [f"{len(bad):,} file{'s' * several} can't be used and {'are' if several else 'is'} skipped:"]
    lines += [f"  {name}  {reason}" for name, reason in bad[:SHOWN]]
    return lines + ([f"  and {len(bad) - SHOWN:,} more: --json lists all"] if len(bad) > SHOWN else [])


def _say(lines: Sequence[str]) -> None:
    """Print lines; where nobody reads them any more, as after `| head`, training goes on unseen."""
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(job: Job, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Judge the network, draw the pictures, write the report; return the results, and what to tell of them."""
    from byhand.report import (  # noqa: PLC0415  (matplotlib is slow to import)
        confusion_matrix,
        draw_confusion,
        draw_curves,
        write_report,
    )
    from byhand.report.confusion import mistakes  # noqa: PLC0415

    network, sets, folder, trainer = job.model, job.sets, job.run.folder, job.trainer
    results: dict[str, Any] = {"test": None}
    lines, title, found, judged = [""], f"{network.name} on {sets.train.name}", [], sets.held_out is not None
    for part, one in (("test", sets.test), ("val", sets.val)):  # the last one is what the training was judged by
        if one is None:
            continue
        logits = _logits(job, part, one)
        guesses, label = logits.argmax(1), "validation" if part == "val" else "test"
        results[part] = score(logits, one.labels)
        accuracy, loss = results[part]["accuracy"], results[part]["loss"]
        title = f"{network.name} on {one.name}: {accuracy:.2%} of {len(one):,} {label} images"
        wrong = int((guesses != one.labels).sum())
        lines.append(f"{label} accuracy {accuracy:.2%}, loss {loss:.4f}: {wrong:,} of {len(one):,} images wrong")
    draw_curves(trainer.history, trainer.curve, folder / "curves.png", title)
    if sets.held_out is not None:
        matrix = confusion_matrix(sets.held_out.labels, guesses, len(network.classes))
        draw_confusion(matrix, network.classes, folder / "confusion.png", title)
        worst = ", ".join(f"{taken} for {true} ({n})" for true, taken, n in mistakes(matrix, network.classes))
        lines += [f"most often it reads {worst}"] if worst else []
        known = None if job.whole is None else trainer.model.logits_of(job.train.images, hand=trainer.hand)
        found = write_report(
            folder, model=network, evaluated=sets.held_out, logits=logits, history=trainer.history, curve=trainer.curve,
            train=sets.train, train_logits=known, title=title, facts=_facts(job, seconds),
        )  # fmt: skip
    best = max(trainer.history, key=lambda row: (row.get("val_accuracy", 0), -row.get("val_loss", 0)))["epoch"]
    if sets.val is not None and best < len(trainer.history):
        lines.append(f"this is the network after epoch {best}, which did best on the validation images")
    if trainer.data_wait_fraction:
        lines.append(f"training waited for its images {trainer.data_wait_fraction:.1%} of the time")
    lines += [f"doctor, {one.severity}: {one.name}: {one.evidence}" for one in found if one.severity != "note"]
    results["doctor"] = [asdict(one) for one in found]
    lines += [
        "",
        f"wrote to {folder}",
        "  model.safetensors       the network: bh.load, byhand show, byhand predict",
        *(
            ["  report.html, report.png the result, the worst mistakes, and what the training doctor says"]
            if judged
            else []
        ),
        *(["  confusion.png           what each class was taken for"] if judged else []),
        "  curves.png              loss and accuracy through training",
        "  run.json, log.jsonl     everything needed to repeat it, and a line an epoch",
        "  checkpoint.safetensors  where training stood at the end",
        *(["  snapshots/              what the network was on the way"] if job.run.snapshots() else []),
        "",
        f"next:  byhand look {folder}",
        f"       byhand predict {folder} PICTURE",
    ]
    return results, lines


def _facts(job: Job, seconds: float) -> list[tuple[str, object]]:
    """Return what the report tells of a training beside its results."""
    settings, sets = job.settings, job.sets
    counts = ", ".join(f"{len(one):,} {part}" for part, one in sets.parts.items())
    facts: list[tuple[str, object]] = [
        ("network", f"{job.model.name}, {job.trainer.model.parameter_count:,} numbers learn"),
        ("images", f"{sets.train.name}: {counts}, {spelled(job.model.input_shape)}"),
        (
            "training",
            f"{len(job.trainer.history)} epochs, batch {settings['batch_size']}, learning rate {settings['lr']:g}",
        ),
        ("variation", settings["augment"]),
        ("seed", settings["seed"]),
        ("time", duration(seconds)),
        ("begun", settings.get("started", "")),
        ("data", settings["data"]),
    ]
    return (
        facts
        + [("note", note) for note in job.notes]
        + [(f"skipped: {name}", why) for name, why in sets.bad[:MOST_BAD]]
    )


def _logits(job: Job, part: str, one: Dataset) -> Array:
    """Return the logits of a set's images; of those that the training was judged by, from what the trainer saw of them."""
    judged = "val" if job.sets.val is not None else "test"
    if part == judged and job.held_out is not None and job.twice is None:
        return job.trainer.model.logits_of(job.held_out.images, hand=job.trainer.hand)
    return job.model.logits_of(one.images, hand=job.trainer.hand)
