"""The output of `byhand train`: the lines before and after training, the final evaluation, and the files of the report."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from byhand.cli.model_argument import format_shape
from byhand.cli.training_setup import TrainingSetup
from byhand.data import Dataset
from byhand.kernels import cdiv
from byhand.ops.op import Array
from byhand.train.display import duration
from byhand.train.evaluation import score

REPORTED_BAD_FILES = 100  # in the report
PRINTED_BAD_FILES = 8


def header_lines(setup: TrainingSetup, resume: bool) -> list[str]:
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
    steps = cdiv(images, trainer.batch_size)
    whole_batch = f" (more than the {images:,} images: all in one step)" if trainer.batch_size > images else ""
    kind, momentum = type(trainer.optimizer).__name__, getattr(trainer.optimizer, "momentum", 0.0)
    rate = f"one-cycle learning rate up to {trainer.optimizer.lr:g}"
    ranks = f"    {trainer.comm.size} ranks share each batch" if trainer.comm.size > 1 else ""
    lines = [
        f"{parameters}, {summary.flops:,} FLOPs per image",
        network.preprocessing.describe(network.input_shape),
        ", ".join(counts).replace(" to ", " images to ", 1),
        *setup.notes,
        *skipped_files_lines(sets.bad),
        f"{epochs} epoch{'s' * (epochs > 1)} of {steps:,} step{'s' * (steps > 1)}, batch {trainer.batch_size:,}{whole_batch}",
        *([f"augmentation: {trainer.augment}"] if trainer.augment.uniforms_per_image else []),
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


def evaluate_and_report(setup: TrainingSetup, seconds: float) -> tuple[dict[str, Any], list[str]]:
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
        f"       byhand predict {folder} IMAGE",
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
