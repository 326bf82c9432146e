"""Setting up a training for `byhand train`: from options to a trainer, its data sets and its run; or from a stopped run."""

import platform
import re
import warnings
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from byhand import __version__, data, models, nn
from byhand.cli import defaults, run_settings, training_header
from byhand.cli.column_options import table_options
from byhand.cli.command import check_choice
from byhand.cli.model_argument import format_shape, open_model, resolve_preprocessing
from byhand.cli.progress_bar import ProgressBar
from byhand.cli.training_budget import TimeBudget, classifier_rate, learning_rate, plan_training
from byhand.cli.training_header import Tell
from byhand.data import Dataset, Preprocessing, Splits
from byhand.data.augment import Augment
from byhand.data.folder_tree import is_run_folder
from byhand.data.image_source import ImageSource
from byhand.data.pixel_range import parse_pixel_range
from byhand.data.preprocessing import FILE_READERS
from byhand.data.splits import VALIDATION_FRACTION, data_warnings
from byhand.errors import ArgumentError, FileError
from byhand.kernels.conv import tuning
from byhand.kernels.conv.problem import FLOAT32
from byhand.nn.graph_copy import copy_weights
from byhand.nn.split_frozen import split_frozen
from byhand.ops import DEFAULT_HAND, HANDS
from byhand.program.precision import NO_BFLOAT16, available_precision, check_precision
from byhand.shapes import Shape, integer, number
from byhand.train import SGD, OneCycle, Run, Trainer
from byhand.train.distributed.mpi import world
from byhand.train.features import features_of
from byhand.train.settings import from_json, to_json

RUNS_FOLDER = Path("runs")
ALL = "all"  # --unfreeze all
TTA = ("none", "flip")


@dataclass
class TrainingSetup:
    """A training that is ready to start or to resume."""

    settings: defaults.Settings
    sets: Splits
    trainer: Trainer
    train: Dataset  # the trainer's input: images, or features of the frozen layers
    held_out: Dataset | None  # the same of the held-out images
    run: Run
    notes: list[str] = field(default_factory=list)
    full_model: nn.Model | None = None  # images to logits, if the trainer's model starts at features
    tta_model: nn.Model | None = None  # with test-time augmentation, if asked for
    max_seconds: float | None = None  # of the steps, with --minutes

    @property
    def model(self) -> nn.Model:
        """The model that the run saves."""
        return self.tta_model or self.full_model or self.trainer.model

    def final_model(self, learner: nn.Model) -> nn.Model:
        """Return the model that the run saves, with the weights of the trained one."""
        if self.full_model is not None:
            copy_weights(self.full_model, learner)
        if self.tta_model is not None:
            copy_weights(self.tta_model, self.full_model or learner)
        return self.model


def start(given: defaults.Settings, output: Path | None, started: float, bar: ProgressBar, tell: Tell) -> TrainingSetup:
    """Set up a new training; nothing is written before all settings and data are checked. tell: prints the header's lines."""
    for name, minimum in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("early_stopping", 1)):
        if given.get(name) is not None:
            integer(f"--{name.replace('_', '-')}", given[name], minimum)
    for name in ("validation_fraction", "label_smoothing"):
        if given.get(name) is not None:
            number(f"--{name.replace('_', '-')}", given[name], 0, 1)
    if given.get("minutes") is not None and given.get("epochs") is not None:
        raise ArgumentError("--minutes plans the epochs; give either --minutes or --epochs")
    if given.get("minutes") is not None and not 0 < given["minutes"] < inf:
        raise ArgumentError(f"--minutes is {given['minutes']:g}; expected a number above 0")
    if given.get("lr") is not None and not 0 < given["lr"] < inf:
        raise ArgumentError(f"--lr is {given['lr']:g}; expected a number above 0")
    check_choice("--tta", given.get("tta"), TTA)
    check_choice("--hand", given.get("hand"), HANDS)
    check_precision(given.get("precision") or FLOAT32, given.get("hand") or DEFAULT_HAND, np.float32)
    Run(output or RUNS_FOLDER / "new").check_new()  # before minutes of reading data
    if world().size > 1:
        tuning.use(world().broadcast(tuning.in_use().factors))  # all ranks compute the same bits
    given = {"data": "mnist"} | {name: value for name, value in given.items() if value is not None}
    minutes, planned = given.pop("minutes", None), "epochs" not in given
    budget = None if minutes is None else TimeBudget(minutes, started)
    listing = find_data(given, bar)
    settings, notes = defaults.resolve(given, listing)
    if available_precision(settings["precision"]) != settings["precision"]:
        settings["precision"] = FLOAT32
        notes.append(NO_BFLOAT16)
    setup = _set_up(settings, listing, bar, Run(output or RUNS_FOLDER), None, tell)
    setup.notes = [*notes, *setup.notes]
    tell(training_header.data_lines(setup, setup.notes))
    setup.trainer.check_batches(len(setup.train))
    notes = []
    if settings.get("lr") is None:
        settings["lr"], origin = learning_rate(setup, budget, bar)
        notes.append(f"learning rate {settings['lr']:g}: {origin}")
    if budget is not None:
        notes.append(plan_training(setup, budget, bar))
    bar.close()
    settings["stop_when_learned"] = planned
    settings["optimizer"] = to_json(defaults.optimizer(settings))
    settings["schedule"] = to_json(OneCycle())
    settings |= {
        "input_shape": setup.model.input_shape,
        "preprocessing": setup.model.preprocessing.to_json(),
        "classes": setup.model.classes,
        "data_sha256": setup.sets.digest(),
        "skipped": [list(skipped) for skipped in setup.sets.bad],
        "tuning": tuning.in_use().factors,
        "versions": {"byhand": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    setup.trainer = _trainer(settings, setup.trainer.model)
    setup.notes += notes
    comm = setup.trainer.comm
    folder = comm.broadcast(output or _free_folder(settings["model"], setup.sets.train.name))
    setup.run = Run.create(folder, settings) if comm.rank == 0 else Run(folder)
    tell(training_header.settings_lines(setup, notes, resume=False))
    return setup


def resume(given: defaults.Settings, output: Path | None, bar: ProgressBar, tell: Tell) -> TrainingSetup:
    """Set up a stopped training from its run's folder, by default the newest; tell: prints the header's lines.

    `byhand train RUN --resume` is as good as `--output RUN`.
    """
    if output is None and given.get("data") is not None and is_run_folder(Path(given["data"])):
        output, given = Path(given["data"]), given | {"data": None}
    run = Run.open(world().broadcast(output or _newest_folder()))
    settings = run_settings.read_settings(run, run_settings.REQUIRED)
    tuning.use(settings.get("tuning", {}))  # the algorithms of the run, whatever `byhand tune` has measured since
    original = settings | {"optimizer": str(settings["optimizer"].get("kind")).lower()}
    for name, value in given.items():
        if value is not None and value != original.get(name):
            raise ArgumentError(f"--resume continues with {name} {original.get(name)}; start a new run for {value}")
    if run.finished and all((run.folder / name).exists() for name in ("curves.png", "report.html")):
        raise FileError(f"the run {run.folder} is finished; there is nothing to resume")
    trainer = Trainer.load(run.checkpoint) if run.checkpoint.exists() else None
    if trainer is not None and (trainer.state is None or trainer.state.epochs != settings["epochs"]):
        raise FileError(
            f"the checkpoint in {run.folder} does not belong to the {settings['epochs']} epochs of its run.json"
        )
    setup = _set_up(settings, find_data(settings, bar), bar, run, trainer, tell)
    if setup.sets.digest() != settings.get("data_sha256"):
        raise FileError(f"the data in {settings['data']} changed since {run.folder} was started")
    if trainer is None:  # stopped before the first checkpoint
        setup.trainer = _trainer(settings, setup.trainer.model)
    if available_precision(settings["precision"]) != settings["precision"]:  # the run was started on another machine
        setup.notes = [NO_BFLOAT16, *setup.notes]
        warnings.filterwarnings("ignore", re.escape(NO_BFLOAT16))
    tell(training_header.data_lines(setup, setup.notes) + training_header.settings_lines(setup, [], resume=True))
    return setup


def _set_up(
    settings: defaults.Settings,
    listing: ImageSource,
    bar: ProgressBar,
    run: Run,
    trainer: Trainer | None,
    tell: Tell,
) -> TrainingSetup:
    """Return a training of these settings, which are completed; trainer: of a checkpoint, when resuming."""
    source, shape, crop = source_and_shape(settings, listing)
    Augment.parse(settings.get("augment", "none")).check(shape)
    if source is None and settings["model"] not in models.ARCHITECTURES:
        models.create(settings["model"])  # raises UnknownNameError
    tell([training_header.title(settings, source, listing, shape)])
    sets = load_sets(settings, listing, shape, crop, bar)
    if settings.get("early_stopping") and sets.val is None:
        raise ArgumentError("--early-stopping needs validation images, and there are none")
    notes = [*sets.notes, *data_warnings(sets)]
    bar.close()
    if source is None:
        setup = _from_scratch(settings, sets, notes, run, trainer)
    else:
        setup = _from_pretrained(settings, sets, notes, run, trainer, source, bar)
    if settings.get("tta") == "flip":
        setup.tta_model = setup.model.with_flip_tta()
        setup.notes.append("test-time augmentation: the mean of the logits of each image and its horizontal flip")
    return setup


def find_data(settings: defaults.Settings, bar: ProgressBar) -> ImageSource:
    """Return the data set of a training, by its settings; raises ArgumentError for a pixel range that it has no use for."""
    reader, text = settings.get("reader"), settings.get("pixel_range")
    check_choice("--reader", reader, tuple(FILE_READERS))
    given = None if text is None else parse_pixel_range(text)
    found = data.find(settings["data"], bar.update, pixel_range=given, reader=reader, table=table_options(settings))
    if given is not None and found.pixel_range is None:
        raise ArgumentError(
            "--pixel-range is for arrays, and for image files of more than 8 bits or of floating point; "
            f"{found.name} holds none, or states its own"
        )
    return found


def find_as_trained(settings: defaults.Settings, network: nn.Model, bar: ProgressBar | None = None) -> ImageSource:
    """Return the data set of a training, its files read as a network's preprocessing says."""
    record, progress = network.preprocessing, None if bar is None else bar.update
    reader = record.reader if record.reader in FILE_READERS else None
    source, table = str(settings.get("data")), table_options(settings)
    return data.find(source, progress, pixel_range=record.pixel_range, reader=reader, table=table)


def load_sets(
    settings: defaults.Settings, listing: ImageSource, shape: Shape, crop: float, bar: ProgressBar | None = None
) -> Splits:
    """Return a training's data sets; without a test set, a fraction of each class is split off for validation."""
    progress = None if bar is None else bar.update
    sets = listing.sets(shape, crop, stream=settings.get("stream") or None, progress=progress)
    fraction = settings.get("validation_fraction")
    needed = sets.test is None or settings.get("early_stopping")  # the test set must not select the model
    if sets.val is None and (fraction if fraction is not None else needed):
        sets = sets.split(fraction or VALIDATION_FRACTION, settings.get("seed", 0))
    return sets


def source_and_shape(settings: defaults.Settings, listing: ImageSource) -> tuple[nn.Model | None, Shape, float]:
    """Return the pretrained network, if any, the shape of the images, and their crop fraction."""
    sides = settings.get("size")
    if "from" not in settings:
        return None, listing.shape if sides is None else (*sides, listing.channels), 1.0
    source = _source(settings)
    if sides is not None and source.input_shape[:2] != tuple(sides):
        raise ArgumentError(
            f"--image-size is for a new network; {settings['from']} takes {format_shape(source.input_shape)}"
        )
    return source, source.input_shape, defaults.crop_of(source, listing)


def _from_scratch(
    settings: defaults.Settings, sets: Splits, notes: list[str], run: Run, trainer: Trainer | None
) -> TrainingSetup:
    """Set up the training of a new network."""
    train, mnist = sets.train, settings["data"] == "mnist"
    settings.setdefault("augment", defaults.augmentation(train.shape, train.classes))
    record = settings.get("preprocessing")
    pixels: dict[str, Any] = {} if mnist or record is not None else defaults.normalization(train)
    model = models.create(settings["model"], train.classes, train.shape, settings["seed"], **pixels)
    if record is None:
        model.preprocessing = replace(sets.preprocessing, mean=model.mean, std=model.std)
    else:  # of a run that is resumed
        model.preprocessing = Preprocessing.from_json(record).for_channels(train.shape[-1])
    return TrainingSetup(settings, sets, trainer or _trainer(settings, model), train, sets.held_out, run, notes)


def _from_pretrained(
    settings: defaults.Settings,
    sets: Splits,
    notes: list[str],
    run: Run,
    trainer: Trainer | None,
    source: nn.Model,
    bar: ProgressBar,
) -> TrainingSetup:
    """Set up transfer learning: a new classifier, and unfrozen layers below it, on features that are computed once."""
    if sets.train.shape != source.input_shape:
        ours, theirs = format_shape(sets.train.shape), format_shape(source.input_shape)
        raise ArgumentError(f"the images are {ours}, but {settings['from']} takes {theirs}; use --model small")
    classes, seed = list(sets.train.classes), settings["seed"]
    source.preprocessing = replace(sets.preprocessing, mean=source.mean, std=source.std)
    settings["model"] = source.name
    if settings["unfreeze"] == ALL:
        settings.setdefault("augment", defaults.augmentation(sets.train.shape, sets.train.classes))
        model = source.replace_head(classes, frozen=False, seed=seed) if trainer is None else trainer.model
        return TrainingSetup(
            settings, sets, trainer or _trainer(settings, model), sets.train, sets.held_out, run, notes
        )
    if settings.setdefault("augment", "none") != "none":
        raise ArgumentError(
            f"--augment {settings['augment']} needs --unfreeze all: features are computed once per image"
        )
    full_model = source.replace_head(classes, unfreeze=settings["unfreeze"], seed=seed)
    digest = sets.digest()

    def features(model: nn.Model) -> tuple[nn.Model, dict[str, Dataset]]:
        below, learner = split_frozen(model)
        bar.begin(f"computing {source.name} features of {sum(map(len, sets.parts.values())):,} images")
        return learner, {part: features_of(below, images, f"{digest} {part}") for part, images in sets.parts.items()}

    if settings["unfreeze"] and trainer is None:  # the classifier first: a random one would damage the layers below it
        head, parts = features(source.replace_head(classes, seed=seed))
        bar.begin("training the classifier, before the layers below it")
        Trainer(
            head,
            SGD(classifier_rate(parts["train"]), defaults.MOMENTUM),
            batch_size=settings["batch_size"],
            schedule=OneCycle(),
        ).fit(parts["train"], epochs=defaults.TRANSFER["epochs"], quiet=True)
        copy_weights(full_model, head)
    learner, parts = features(full_model)
    bar.close()
    trainer = trainer or _trainer(settings, learner)
    return TrainingSetup(
        settings, sets, trainer, parts["train"], parts.get("val") or parts.get("test"), run, notes, full_model
    )


def _source(settings: defaults.Settings) -> nn.Model:
    sides, is_onnx = settings.get("size"), settings["from"].lower().endswith(".onnx")
    size = "x".join(map(str, sides)) if sides is not None and is_onnx else None  # of images that a file leaves open
    output, task = settings.get("output_name"), settings.get("task")
    source = open_model(settings["from"], size, trained=True, output=output, task=task)
    if len(source.input_shape) != 3 or source.task == "features":
        raise ArgumentError(
            f"{settings['from']} is no image classifier: its output gives {source.task}; use another --from, or --output-name"
        )
    resolve_preprocessing(source, settings["from"], settings.get("mean"), settings.get("std"), reader="picture")
    return source


def _trainer(settings: defaults.Settings, model: nn.Model) -> Trainer:
    """Return a trainer of these settings; the learning rate may still be missing."""
    return Trainer(
        model,
        defaults.optimizer(settings),
        batch_size=settings["batch_size"],
        schedule=from_json(settings["schedule"]) if "schedule" in settings else OneCycle(),
        augment=Augment.parse(settings["augment"]),
        label_smoothing=settings.get("label_smoothing", 0.0),
        hand=settings["hand"],
        precision=settings["precision"],
        seed=settings["seed"],
        sync_batchnorm=settings.get("sync_batchnorm", False),
    )


def _free_folder(model: str, data_name: str) -> Path:
    name, number = f"{model}-{data_name}", 2
    folder = RUNS_FOLDER / name
    while folder.exists():
        folder, number = RUNS_FOLDER / f"{name}-{number}", number + 1
    return folder


def _newest_folder() -> Path:
    runs = [path.parent for path in RUNS_FOLDER.glob("*/checkpoint.safetensors")]
    open_runs = [path for path in runs if not Run(path).finished]
    if not open_runs:
        raise FileError(f"there is no run to resume in {RUNS_FOLDER}; give its folder with --output")
    return max(open_runs, key=lambda path: path.stat().st_mtime)
