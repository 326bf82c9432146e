"""The end of `byhand train`: the final evaluation, the files of the report, and the lines that are printed."""

from dataclasses import asdict
from typing import Any

from rich.cells import cell_len

from byhand.cli.model_argument import format_shape
from byhand.cli.training_setup import TrainingSetup
from byhand.data import Dataset
from byhand.ops import dropout
from byhand.ops.op import Array
from byhand.text import class_labels, command_line
from byhand.train.display import duration
from byhand.train.evaluation import score
from byhand.translation import translate

WAIT_MIN_FRACTION = 0.01  # of the training, that is worth a line
REPORTED_BAD_FILES = 100  # in the report


def evaluate_and_report(setup: TrainingSetup, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Evaluate the network, draw the figures, write the report; return the results, and the lines to print."""
    from byhand.report import (  # noqa: PLC0415  (byhand.report imports matplotlib, which is slow)
        confusion_matrix,
        draw_confusion_matrix,
        draw_learning_curves,
        write_report,
    )
    from byhand.report.diagnosis_input import judged_epoch  # noqa: PLC0415
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
        confusions = top_confusions(matrix, class_labels(network.classes))
        listed = ", ".join(f"{true} -> {other} ({count})" for true, other, count in confusions)
        lines += [f"most frequent confusions, true class -> predicted class: {listed}"] if listed else []
        train_logits = None
        if setup.full_model is not None:
            train_logits = trainer.model.logits_of(setup.train.images, hand=trainer.hand, precision=trainer.precision)
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
            methods=_methods(setup),
        )
    best = judged_epoch(trainer.history)
    if sets.val is not None and best < len(trainer.history):
        lines.append(f"the saved network is that of epoch {best}, the best on the validation images")
    if trainer.data_wait_fraction >= WAIT_MIN_FRACTION or setup.settings.get("stream"):
        lines.append(f"data loading held up training for {trainer.data_wait_fraction:.1%} of the time")
    problems = [finding for finding in findings if finding.severity != "note"]
    lines += [f"doctor, {problem.severity}: {problem.name}: {translate(problem.evidence)}" for problem in problems]
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
        "  log.csv                 the lines of log.jsonl as a table",
        "  checkpoint.safetensors  weights and optimizer state",
        *(["  snapshots/              the network during training, for byhand look"] if setup.run.snapshots() else []),
        "",
        f"next:  {command_line('byhand', 'look', folder)}",
        f"{' ' * (cell_len(translate('next:  .')) - 1)}{command_line('byhand', 'predict', folder, 'IMAGE')}",
    ]
    return results, lines


def _facts(setup: TrainingSetup, seconds: float) -> list[tuple[str, object]]:
    """Return the facts about a training for the report's last section."""
    settings, sets = setup.settings, setup.sets
    counts = ", ".join(f"{part} {len(images):,}" for part, images in sets.parts.items())
    facts: list[tuple[str, object]] = [
        ("network", f"{setup.model.name}, {setup.trainer.model.parameter_count:,} trainable parameters"),
        ("images", f"{sets.train.name}, images of {format_shape(setup.model.input_shape)}: {counts}"),
        (
            "training",
            f"{len(setup.trainer.history)} of {settings['epochs']} epochs, batch {settings['batch_size']}",
        ),
        ("optimizer", f"{setup.trainer.optimizer}, one-cycle schedule"),
        ("augmentation", settings["augment"]),
        ("precision", settings["precision"]),
        ("seed", settings["seed"]),
        ("time", duration(seconds)),
        ("started", settings.get("started", "")),
        ("data", settings["data"]),
    ]
    return (
        facts
        + [("note", note) for note in setup.notes]
        + [("skipped", f"{name} {why}") for name, why in sets.bad[:REPORTED_BAD_FILES]]
    )


def _methods(setup: TrainingSetup) -> list[str]:
    """Return the methods that the training used, for the doctor."""
    from byhand.report.diagnosis_input import METHODS  # noqa: PLC0415  (matplotlib)

    trainer, nodes = setup.trainer, setup.trainer.model.graph.nodes
    used = {
        "augmentation": trainer.augment.uniforms_per_image > 0,
        "weight decay": getattr(trainer.optimizer, "weight_decay", 0.0) > 0,
        "dropout": any(node.op is dropout for node in nodes),
        "transfer learning": "from" in setup.settings,
    }
    return [name for name in METHODS if used[name]]


def _logits(setup: TrainingSetup, part: str, dataset: Dataset) -> Array:
    """Return the logits of a data set's images; of the trainer's own held-out set, from its precomputed features."""
    held_out = "val" if setup.sets.val is not None else "test"
    model, images, trainer = setup.model, dataset.images, setup.trainer
    if part == held_out and setup.held_out is not None and setup.tta_model is None:
        model, images = trainer.model, setup.held_out.images
    return model.logits_of(images, hand=trainer.hand, precision=trainer.precision)
