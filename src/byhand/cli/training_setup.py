"""A training as `byhand train` sets it up: from what was typed to a trainer, its data and its run; and again to go on."""

import platform
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from byhand import __version__, data, models, nn
from byhand.cli import defaults
from byhand.cli.model_argument import open_model, spelled
from byhand.cli.model_argument import settle as settle_pixels
from byhand.cli.progress import Bar
from byhand.data import Dataset, Splits
from byhand.data.augment import Augment
from byhand.data.splits import VALIDATION_FRACTION, data_warnings
from byhand.errors import ArgumentError, FileError
from byhand.nn.graph_copy import copy_weights
from byhand.nn.split_frozen import split_frozen
from byhand.shapes import integer, number
from byhand.train import SGD, OneCycle, Run, Trainer
from byhand.train.distributed.mpi import world
from byhand.train.features import features_of
from byhand.train.lr_finder import find_learning_rate
from byhand.train.settings import from_json, to_json
from byhand.train.time_budget import TIMING_SECONDS, plan_epochs, seconds_per_step

FOLDER = Path("runs")
KINDS: dict[str, Any] = {  # of the settings that a run.json must have
    "data": str, "model": str, "epochs": int, "batch_size": int, "lr": (int, float), "seed": int, "hand": str, "augment": str,
    "optimizer": dict, "schedule": dict,
}  # fmt: skip
ALL = "all"  # of the layers are unfrozen
TUNED = 0.003  # the learning rate of layers that know something already
REPORT = 4.0  # seconds of a budget that are left for the report
MOST_EPOCHS = 300  # that a budget plans: of a small head, thousands would fit, and learn nothing more
BRIEF = 0.05  # of a budget that finding out what a step takes may cost
SAMPLE = 256  # images whose judging is timed
SPARE = 0.95  # of a budget that is planned: no machine is always as fast as in the first second


@dataclass
class Job:
    """A training that is ready to begin, or to go on."""

    settings: dict[str, Any]
    sets: Splits
    trainer: Trainer
    train: Dataset  # what the trainer sees: images, or features
    held_out: Dataset | None
    run: Run
    notes: list[str] = field(default_factory=list)
    whole: nn.Model | None = None  # images to logits, where the trainer's model begins at features
    twice: nn.Model | None = None  # the network that looks at each image twice, where one was asked for

    @property
    def model(self) -> nn.Model:
        """The network that people get."""
        return self.twice or self.whole or self.trainer.model

    def finished(self, learner: nn.Model) -> nn.Model:
        """Return the network that people get from the one that was trained."""
        if self.whole is not None:
            copy_weights(self.whole, learner)
        if self.twice is not None:
            copy_weights(self.twice, self.whole or learner)
        return self.model


def begin(given: dict[str, Any], out: Path | None, started: float, bar: Bar) -> Job:
    """Set up a new training; nothing is written before all of it is known to be good."""
    for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("early_stopping", 1)):
        if given.get(name) is not None:
            integer(f"--{name.replace('_', '-')}", given[name], least)
    for name in ("validation_fraction", "label_smoothing"):
        if given.get(name) is not None:
            number(f"--{name.replace('_', '-')}", given[name], 0, 1)
    if given.get("minutes") is not None and given.get("epochs") is not None:
        raise ArgumentError("--minutes plans the epochs; give one of the two")
    given = {"data": "mnist"} | {name: value for name, value in given.items() if value is not None}
    minutes = given.pop("minutes", None)
    listing = data.find(given["data"], bar.tell)
    settings, notes = defaults.settle(given, listing)
    job = _job(settings, listing, bar, Run(out or FOLDER), None)
    if settings.get("lr") is None:
        settings["lr"], how = _rate(job)
        notes.append(f"learning rate {settings['lr']:g}: {how}")
    if minutes is not None:
        _fit_budget(job, started, minutes, notes)
    settings["optimizer"] = to_json(defaults.optimizer(settings))
    settings["schedule"] = to_json(OneCycle())
    settings |= {
        "input_shape": job.model.input_shape,
        "classes": job.model.classes,
        "data_sha256": job.sets.digest(),
        "skipped": [list(one) for one in job.sets.bad],
        "versions": {"byhand": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    job.trainer = _trainer(settings, job.trainer.model)
    job.notes = [*notes, *job.notes]
    comm = job.trainer.comm
    folder = comm.broadcast(out or _free_folder(settings["model"], job.sets.train.name))
    job.run = Run.create(folder, settings) if comm.rank == 0 else Run(folder)
    return job


def go_on(given: dict[str, Any], out: Path | None, bar: Bar) -> Job:
    """Set up a training that was stopped."""
    run = Run.open(world().broadcast(out or _newest_folder()))
    settings = _checked(run)
    began = settings | {"optimizer": str(settings["optimizer"].get("kind")).lower()}
    for name, value in given.items():
        if value is not None and value != began.get(name):
            raise ArgumentError(f"--resume goes on with {name} {began.get(name)}; {value} needs a new run")
    if run.finished and all((run.folder / name).exists() for name in ("curves.png", "report.html")):
        raise FileError(f"the run {run.folder} is finished; there is nothing to go on with")
    trainer = Trainer.load(run.checkpoint) if run.checkpoint.exists() else None
    if trainer is not None and (trainer.state is None or trainer.state.epochs != settings["epochs"]):
        raise FileError(f"the checkpoint in {run.folder} is not of the {settings['epochs']} epochs that run.json says")
    job = _job(settings, data.find(settings["data"], bar.tell), bar, run, trainer)
    if job.sets.digest() != settings.get("data_sha256"):
        raise FileError(f"the data in {settings['data']} are not those that {run.folder} began with")
    if trainer is None:  # a kill came before the first checkpoint
        job.trainer = _trainer(settings, job.trainer.model)
    return job


def _job(settings: dict[str, Any], listing: Any, bar: Bar, run: Run, trainer: Trainer | None) -> Job:
    """Return a training of these settings; what they leave open yet is settled."""
    source, shape, crop = images_of(settings, listing)
    sets = sets_of(settings, listing, shape, crop, bar)
    if settings.get("early_stopping") and sets.val is None:
        raise ArgumentError("--early-stopping needs images to validate on, and there are none")
    notes = [*sets.notes, *data_warnings(sets)]
    bar.close()
    if source is None:
        job = _from_nothing(settings, sets, notes, run, trainer)
    else:
        job = _from_features(settings, sets, notes, run, trainer, source, crop, bar)
    if settings.get("mirror"):
        job.twice = job.model.with_flip_tta()
        job.notes.append("the finished network looks at each image twice, as it is and mirrored, and takes the mean")
    return job


def sets_of(settings: dict[str, Any], listing: Any, shape: Any, crop: float, bar: Bar | None = None) -> Splits:
    """Return the sets of a training: where it has none to judge it by, some of each class are set aside from its images."""
    sets: Splits = listing.sets(
        shape, crop, stream=settings.get("stream") or None, **({"tell": bar.tell} if bar else {})
    )
    share = settings.get("validation_fraction")
    needed = sets.test is None or settings.get("early_stopping")  # a test set must not choose
    if sets.val is None and (share if share is not None else needed):
        sets = sets.split(share or VALIDATION_FRACTION, settings.get("seed", 0))
    return sets


def images_of(settings: dict[str, Any], listing: Any) -> tuple[nn.Model | None, Any, float]:
    """Return the trained network to begin with, if any, the shape of the images, and how much of a picture they show."""
    sides = settings.get("size")
    if "from" not in settings:
        return None, listing.shape if sides is None else (*sides, listing.channels), 1.0
    source = _source(settings)
    if sides is not None:
        raise ArgumentError(f"--size is for a new network; {settings['from']} takes {spelled(source.input_shape)}")
    return source, source.input_shape, defaults.crop_of(source, listing)


def _from_nothing(settings: dict[str, Any], sets: Splits, notes: list[str], run: Run, trainer: Trainer | None) -> Job:
    train, mnist = sets.train, settings["data"] == "mnist"
    settings.setdefault("augment", defaults.augmentation(train.shape, train.classes))
    if not mnist:
        settings.setdefault("pixels", defaults.scale(train))
    model = models.create(
        settings["model"],
        train.classes,
        train.shape,
        settings["seed"],
        crop_pct=sets.crop,
        **settings.get("pixels", {}),
    )
    return Job(settings, sets, trainer or _trainer(settings, model), train, sets.held_out, run, notes)


def _from_features(
    settings: dict[str, Any], sets: Splits, notes: list[str], run: Run, trainer: Trainer | None,
    source: nn.Model, crop: float, bar: Bar,
) -> Job:  # fmt: skip
    """Set up the training of a new head, and of what is unfrozen below it, on features that are computed once."""
    if sets.train.shape != source.input_shape:
        ours, theirs = spelled(sets.train.shape), spelled(source.input_shape)
        raise ArgumentError(f"the images are {ours}, but {settings['from']} takes {theirs}; --model small takes them")
    source.crop_pct, classes, seed = crop, list(sets.train.classes), settings["seed"]
    settings["model"] = source.name
    if settings["unfreeze"] == ALL:
        settings.setdefault("augment", defaults.augmentation(sets.train.shape, sets.train.classes))
        model = source.replace_head(classes, frozen=False, seed=seed) if trainer is None else trainer.model
        return Job(settings, sets, trainer or _trainer(settings, model), sets.train, sets.held_out, run, notes)
    if settings.setdefault("augment", "none") != "none":
        raise ArgumentError(
            f"--augment {settings['augment']} needs --unfreeze all: features are computed once an image"
        )
    whole = source.replace_head(classes, unfreeze=settings["unfreeze"], seed=seed)
    digest = sets.digest()

    def features(model: nn.Model) -> tuple[nn.Model, dict[str, Dataset]]:
        below, learner = split_frozen(model)
        bar.say(f"{source.name} looks at {sum(map(len, sets.parts.values())):,} images")
        return learner, {part: features_of(below, one, f"{digest} {part}") for part, one in sets.parts.items()}

    if settings["unfreeze"] and trainer is None:  # the head first: random, it would spoil what is below it
        head, parts = features(source.replace_head(classes, seed=seed))
        Trainer(head, SGD(_head_rate(parts["train"]), 0.9), batch_size=settings["batch_size"], schedule=OneCycle()).fit(
            parts["train"], epochs=defaults.HEAD["epochs"], quiet=True
        )
        copy_weights(whole, head)
    learner, parts = features(whole)
    bar.close()
    trainer = trainer or _trainer(settings, learner)
    return Job(settings, sets, trainer, parts["train"], parts.get("val") or parts.get("test"), run, notes, whole)


def _source(settings: dict[str, Any]) -> nn.Model:
    source = open_model(settings["from"], trained=True)
    if len(source.input_shape) != 3 or not source.classes:
        raise ArgumentError(
            f"{settings['from']} is no network that tells classes of pictures apart; take another --from"
        )
    settle_pixels(source, settings["from"], None, None)
    return source


def _trainer(settings: dict[str, Any], model: nn.Model) -> Trainer:
    """Return a trainer of these settings; of their learning rate, where it is known yet."""
    return Trainer(
        model, defaults.optimizer(settings), batch_size=settings["batch_size"],
        schedule=from_json(settings["schedule"]) if "schedule" in settings else OneCycle(),
        augment=Augment.parse(settings["augment"]), label_smoothing=settings.get("label_smoothing", 0.0),
        hand=settings["hand"], seed=settings["seed"],
        sync_batchnorm=settings.get("sync_batchnorm", False),
    )  # fmt: skip


def _rate(job: Job) -> tuple[float, str]:
    """Return a learning rate, and where it comes from."""
    unfreeze = job.settings["unfreeze"]
    if job.whole is None or job.settings["optimizer"] != "sgd":
        return find_learning_rate(job.trainer, job.train).learning_rate, "found by a range test"
    if unfreeze:
        return TUNED, "small, for layers that know something already"
    return _head_rate(job.train), "twice the inverse of the features' mean square length"


def _head_rate(features: Dataset) -> float:
    """Return a learning rate for a linear layer: its loss curves by half the square length of its inputs at most."""
    length = float(np.mean(np.square(features.images, dtype=np.float64).sum((1, 2, 3))))
    return float(f"{2 / max(length, 1e-6):.2g}")


def _fit_budget(job: Job, started: float, minutes: float, notes: list[str]) -> None:
    """Plan as many epochs as fit into a budget of time."""
    settings, trainer, train = job.settings, job.trainer, job.train
    step = seconds_per_step(trainer, train, min(TIMING_SECONDS, BRIEF * minutes * 60))
    judging = 0.0
    if job.held_out is not None:
        some = job.held_out.take(min(len(job.held_out), SAMPLE))
        trainer.evaluate(some)  # compiles
        before = time.perf_counter()
        trainer.evaluate(some)
        judging = (time.perf_counter() - before) * len(job.held_out) / len(some)
    left = (minutes * 60 - (time.perf_counter() - started) - REPORT) * SPARE
    left, judging = trainer.comm.broadcast((left, judging))  # each rank has a clock of its own
    epochs, images = plan_epochs(
        left, step_seconds=step, images=len(train), batch_size=trainer.batch_size, evaluation_seconds=judging
    )
    epochs = min(epochs, MOST_EPOCHS)
    settings["epochs"], settings["epoch_size"] = epochs, images
    many = f"{epochs:,} epochs" if images == len(train) else f"one epoch of {images:,} images"
    if left < step:
        raise ArgumentError(f"--minutes {minutes:g} is over before the first step, which takes {step:.2f} s; give more")
    notes.append(f"{many} in {minutes:g} minutes: a step takes {step * 1000:.3g} ms, judging {judging:.2g} s")


def _checked(run: Run) -> dict[str, Any]:
    """Return a run's settings; raise a FileError for one that is missing or of another kind than `begin` wrote."""
    settings = {"augment": "none"} | run.settings  # runs of byhand 0.1 had none
    for name, kind in KINDS.items():
        if not isinstance(settings.get(name), kind) or isinstance(settings[name], bool):
            raise FileError(
                f"the run.json of {run.folder} has {settings.get(name)!r:.60} as its {name}; start a new run"
            )
    if settings["epochs"] < 1:
        raise FileError(f"the run.json of {run.folder} has {settings['epochs']} epochs; start a new run")
    return settings


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
