"""`byhand train`: from a data set to a run's folder."""

import hashlib
import json
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from byhand import __version__, data, models
from byhand.data import Dataset
from byhand.errors import ArgumentError, FileError
from byhand.ops import DEFAULT_HAND, HANDS
from byhand.shapes import integer
from byhand.train import SGD, OneCycle, Run, Trainer
from byhand.train.settings import from_json, to_json

FOLDER = Path("runs")
PICTURES = ("confusion.png", "curves.png")
SETTINGS: dict[str, Any] = {
    "model": "lenet5", "data": "mnist", "epochs": 5, "batch_size": 64, "lr": 0.1, "seed": 0, "hand": DEFAULT_HAND,
}  # fmt: skip


def train(
    model: Annotated[str | None, typer.Argument(help="the architecture; `byhand models` lists them")] = None,
    data_set: Annotated[str | None, typer.Option("--data", help="mnist, or a folder with its four IDX files")] = None,
    epochs: Annotated[int | None, typer.Option(help="how often the images are gone through  [5]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="images an update  [64]")] = None,
    lr: Annotated[float | None, typer.Option(help="the largest learning rate of the cycle  [0.1]")] = None,
    seed: Annotated[int | None, typer.Option(help="of the first weights and of the order of the images  [0]")] = None,
    hand: Annotated[str | None, typer.Option(help=f"who computes: {' or '.join(HANDS)}  [{DEFAULT_HAND}]")] = None,
    out: Annotated[Path | None, typer.Option(help="the run's folder  [runs/MODEL-DATA]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a stopped run: --out, or the newest")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object at the end, and nothing else")] = False,
) -> None:
    """Train a network: by default LeNet-5 on all of MNIST."""
    given = {
        "model": model, "data": data_set, "epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed, "hand": hand,
    }  # fmt: skip
    started = time.perf_counter()
    if data_set is not None and Path(data_set).is_dir():
        given["data"] = str(Path(data_set).resolve())  # so that --resume finds it from any folder
    if resume:
        trainer, run, sets = _resume(out, given)
    else:
        trainer, run, sets = _begin(out, given)
    settings = run.settings
    if not as_json:
        _tell(trainer, settings, sets, run, resume)
    trainer.fit(*sets, epochs=settings["epochs"], quiet=as_json, run=run)
    if trainer.progress is not None:  # Ctrl-C
        if as_json:
            print(json.dumps({"test": None, "history": trainer.history, "stopped": True, "run": str(run.folder)}))
        else:
            print(f"everything is kept; go on with:  byhand train --resume --out {run.folder}")
        raise typer.Exit(130)
    test, told = _report(trainer, settings, sets[1], run)
    if as_json:
        seconds = time.perf_counter() - started
        result = {
            "test": test,
            "history": trainer.history,
            "images_per_second": trainer.images_per_second,
            "seconds": seconds,
        }
        print(json.dumps(result | {"run": str(run.folder)}))
    else:
        print(told)


def _begin(out: Path | None, given: dict[str, Any]) -> tuple[Trainer, Run, tuple[Dataset, Dataset]]:
    """Return the trainer of a new run, its folder and its data; nothing is written before all of it is known to be good."""
    settings = SETTINGS | {name: value for name, value in given.items() if value is not None}
    for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
        integer(f"--{name.replace('_', '-')}", settings[name], least)
    sets = data.load(settings["data"])
    settings["optimizer"] = to_json(SGD(lr=settings["lr"], momentum=0.9))
    settings["schedule"] = to_json(OneCycle())
    trainer = _new_trainer(settings, sets)
    settings |= {
        "input_shape": trainer.model.input_shape,
        "classes": trainer.model.classes,
        "data_sha256": _digest(sets),
        "versions": {"byhand": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return trainer, Run.create(out or _free_folder(settings["model"], sets[0].name), settings), sets


def _new_trainer(settings: dict[str, Any], sets: tuple[Dataset, Dataset]) -> Trainer:
    network = models.create(settings["model"], sets[0].classes, sets[0].images.shape[1:], settings["seed"])
    return Trainer(
        network, from_json(settings["optimizer"]), batch_size=settings["batch_size"], hand=settings["hand"],
        schedule=from_json(settings["schedule"]), seed=settings["seed"],
    )  # fmt: skip


def _resume(out: Path | None, given: dict[str, Any]) -> tuple[Trainer, Run, tuple[Dataset, Dataset]]:
    """Return what `_begin` does, of a run that was stopped."""
    run = Run.open(out or _newest_folder())
    settings = _checked(run)
    for name, value in given.items():
        if value is not None and value != settings[name]:
            raise ArgumentError(f"--resume goes on with {name} {settings[name]}; {value} needs a new run")
    if run.finished and all((run.folder / name).exists() for name in PICTURES):
        raise FileError(f"the run {run.folder} is finished; there is nothing to go on with")
    sets = data.load(settings["data"])
    if _digest(sets) != settings.get("data_sha256"):
        raise FileError(f"the data in {settings['data']} are not those that {run.folder} began with")
    if not run.checkpoint.exists():  # a kill came before the first one
        return _new_trainer(settings, sets), run, sets
    trainer = Trainer.load(run.checkpoint)
    if trainer.progress is None or trainer.progress.epochs != settings["epochs"]:
        raise FileError(f"the checkpoint in {run.folder} is not of the {settings['epochs']} epochs that run.json says")
    return trainer, run, sets


def _checked(run: Run) -> dict[str, Any]:
    """Return a run's settings; raise a FileError for one that is missing or of another kind than `_begin` wrote."""
    settings = run.settings
    for name, example in (SETTINGS | {"optimizer": {}, "schedule": {}}).items():
        kind = (int, float) if isinstance(example, float) else type(example)
        if not isinstance(settings.get(name), kind) or isinstance(settings[name], bool):
            raise FileError(
                f"the run.json of {run.folder} has {settings.get(name)!r:.60} as its {name}; start a new run"
            )
    if settings["epochs"] < 1:
        raise FileError(f"the run.json of {run.folder} has {settings['epochs']} epochs; start a new run")
    return settings


def _tell(trainer: Trainer, settings: dict[str, Any], sets: tuple[Dataset, Dataset], run: Run, resume: bool) -> None:
    network, steps = trainer.model, -(-len(sets[0]) // trainer.batch_size)
    summary = network.summary()
    print(
        f"{network.name} on {sets[0].name}: {' x '.join(map(str, network.input_shape))} -> {len(network.classes)} classes"
    )
    print(f"  {summary.parameters:,} parameters, {summary.flops:,} FLOPs an image forward")
    print(f"  {len(sets[0]):,} images to train on, {len(sets[1]):,} to test on")
    print(
        f"  {settings['epochs']} epoch{'s' if settings['epochs'] > 1 else ''} of {steps:,} steps, batch {trainer.batch_size}"
    )
    kind, momentum = type(trainer.optimizer).__name__, getattr(trainer.optimizer, "momentum", 0.0)
    print(
        f"  {kind} with momentum {momentum:g}, learning rate up to {trainer.optimizer.lr:g} and down again, seed {trainer.seed}"
    )
    print(f"  hand: {trainer.hand}    run: {run.folder}")
    if resume and trainer.progress is not None:
        print(f"  going on after {trainer.progress.done:,} steps")
    print(flush=True)


def _report(trainer: Trainer, settings: dict[str, Any], test: Dataset, run: Run) -> tuple[dict[str, float], str]:
    """Draw the pictures; return the test result, and what to tell of it."""
    from byhand.report import confusion_matrix, draw_confusion, draw_curves  # noqa: PLC0415  (matplotlib is slow to import)
    from byhand.report.confusion import mistakes  # noqa: PLC0415

    network = trainer.model
    result = {name: trainer.history[-1][f"test_{name}"] for name in ("loss", "accuracy")}
    guesses = network.logits_of(test.images, hand=trainer.hand).argmax(1)
    matrix = confusion_matrix(test.labels, guesses, len(network.classes))
    title = f"{network.name} on {test.name}: {result['accuracy']:.2%} of {len(test):,} test images"
    draw_confusion(matrix, network.classes, run.folder / PICTURES[0], title)
    draw_curves(trainer.history, trainer.curve, run.folder / PICTURES[1], title)
    wrong = int((guesses != test.labels).sum())
    worst = ", ".join(f"{taken} for {true} ({n})" for true, taken, n in mistakes(matrix, network.classes))
    lines = [
        "",
        f"test accuracy {result['accuracy']:.2%}, loss {result['loss']:.4f}: {wrong:,} of {len(test):,} images wrong",
        *([f"most often it reads {worst}"] if worst else []),
        "",
        f"wrote to {run.folder}",
        "  model.safetensors       the network: bh.load, byhand show, byhand predict",
        "  confusion.png           what each class was taken for",
        "  curves.png              loss and accuracy through training",
        "  run.json, log.jsonl     everything needed to repeat it, and a line an epoch",
        "  checkpoint.safetensors  where training stood at the end",
        "",
        f"next:  byhand predict {run.folder} PICTURE",
    ]
    return result, "\n".join(lines)


def _digest(sets: tuple[Dataset, Dataset]) -> str:
    digest = hashlib.sha256()
    for one in sets:
        for array in (one.images, one.labels):
            digest.update(memoryview(np.ascontiguousarray(array)))  # type: ignore[arg-type]
    return digest.hexdigest()


def _free_folder(model: str, data_name: str) -> Path:
    name, number = f"{model}-{data_name}", 2
    folder = FOLDER / name
    while folder.exists():
        folder, number = FOLDER / f"{name}-{number}", number + 1
    return folder


def _newest_folder() -> Path:
    runs = [path.parent for path in FOLDER.glob("*/checkpoint.safetensors")]
    open_runs = [path for path in runs if not Run(path).finished]
    if not open_runs:
        raise FileError(f"there is no stopped run in {FOLDER}; give one with --out")
    return max(open_runs, key=lambda path: path.stat().st_mtime)
