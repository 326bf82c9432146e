"""The defaults of `byhand train`: network, optimizer, batch size, epochs, augmentation, normalization, by data set."""

from pathlib import Path
from typing import Any, cast

import numpy as np

from byhand import models
from byhand.cli.command import check_choice
from byhand.data import Dataset
from byhand.data.augment import suggest
from byhand.data.image_source import ImageSource
from byhand.data.photos import CROP
from byhand.errors import ArgumentError, UnknownNameError
from byhand.kernels.conv.problem import FLOAT32
from byhand.nn import Model
from byhand.ops import DEFAULT_HAND
from byhand.train.optim import OPTIMIZERS, Optimizer
from byhand.train.settings import from_json

Settings = dict[str, Any]  # of a training, as run.json keeps them

MNIST: Settings = {
    "model": "lenet5",
    "epochs": 5,
    "batch_size": 64,
    "optimizer": "sgd",
    "lr": 0.1,
    "augment": "none",
}
TRANSFER: Settings = {"epochs": 20, "batch_size": 16, "optimizer": "sgd", "augment": "none"}
TRANSFER_SOURCE = "efficientnet_lite0"
TRANSFER_MAX_IMAGES = 1000  # per class; with more color photos, a network is trained from scratch
TRAINING_IMAGES = 200_000  # images that a training from scratch processes, within these epochs
MIN_EPOCHS = 8
MAX_EPOCHS = 60
BATCH_SIZES = ((20_000, 256), (2_000, 64), (0, 16))  # training images at least, batch size
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4  # of SGD and Adam, from scratch on the user's own images
NORMALIZATION_IMAGES = 4096  # images whose pixels give mean and std
MIN_STD = 0.01  # a channel of one color has none
OPTIMIZER_NAMES = {name.lower(): kind for name, kind in OPTIMIZERS.items()}


def resolve(given: Settings, listing: ImageSource) -> tuple[Settings, list[str]]:
    """Return the settings of a training, given ones and defaults, and notes on the choice.

    given: by name, None where not given; listing: the result of `data.find`.
    """
    settings = {"seed": 0, "hand": DEFAULT_HAND, "precision": FLOAT32, "unfreeze": 0} | {
        key: value for key, value in given.items() if value is not None
    }
    check_choice("--optimizer", given.get("optimizer"), sorted(OPTIMIZER_NAMES))
    notes = []
    counts = listing.counts.get("train") or listing.counts.get("all") or {}
    few_images = max(counts.values(), default=0) < TRANSFER_MAX_IMAGES
    network_given = "model" in settings or "from" in settings
    if not network_given and settings["data"] != "mnist" and listing.photos and few_images:
        settings["from"] = TRANSFER_SOURCE
        notes.append(
            f"color photos, fewer than {TRANSFER_MAX_IMAGES:,} per class: transfer learning from {TRANSFER_SOURCE}, pretrained"
            " on ImageNet; --model small trains from scratch"
        )
    if settings.get("from", "none") == "none":
        settings.pop("from", None)
        for name in ("output_name", "mean", "std", "task"):
            if given.get(name) is not None:
                raise ArgumentError(f"--{name.replace('_', '-')} is of the network of --from; give --from with it")
        if given.get("unfreeze") is not None:
            raise ArgumentError(
                "--unfreeze is for transfer learning, and this network is trained from scratch; give --from with it"
            )
    images = sum(counts.values())
    if "from" in settings:
        defaults = TRANSFER
        if given.get("from") is not None:
            notes.append(_transfer_note(Path(str(settings["from"])).name, settings["unfreeze"]))
    elif settings["data"] == "mnist":
        defaults = MNIST
    else:
        epochs = int(np.clip(TRAINING_IMAGES // max(1, images), MIN_EPOCHS, MAX_EPOCHS))
        batch_size = next(size for min_images, size in BATCH_SIZES if images >= min_images)
        defaults = {"model": "small", "epochs": epochs, "batch_size": batch_size, "optimizer": "muon"}
    return {**defaults, **settings}, notes


def _transfer_note(source: str, unfreeze: object) -> str:
    """Return a line on what learns of the network of --from; unfreeze: --unfreeze."""
    if unfreeze == "all":
        return f"transfer learning from {source}: with a new classifier, all layers are trained"
    if unfreeze:
        return (
            f"transfer learning from {source}: a new classifier and the last layers below it ({unfreeze}) are trained"
        )
    return f"transfer learning from {source}: a new classifier is trained, the other layers stay as they are"


def optimizer(settings: Settings) -> Optimizer:
    """Return the optimizer of a training, from its settings in run.json or by name."""
    spec, lr = settings["optimizer"], settings.get("lr")
    if isinstance(spec, dict):
        return cast("Optimizer", from_json(spec))
    decay = 0.0 if settings["data"] == "mnist" or "from" in settings else WEIGHT_DECAY
    extra = {"sgd": {"momentum": MOMENTUM, "weight_decay": decay}, "adam": {"weight_decay": decay}}.get(spec, {})
    return OPTIMIZER_NAMES[spec](**extra, **({} if lr is None else {"lr": lr}))


def crop_of(network: Model, listing: ImageSource) -> float:
    """Return the fraction of an image's shorter side that a pretrained network is shown."""
    if network.crop_pct is not None:
        return float(network.crop_pct)
    return 1.0 if listing.shape[:2] == network.input_shape[:2] else CROP


def augmentation(shape: tuple[int, int, int], classes: tuple[str, ...]) -> str:
    """Return the default augmentation for images of a shape and classes."""
    return str(suggest(shape, classes))


def normalization(train: Dataset) -> dict[str, list[float]]:
    """Return `mean` and `std` of the training images' pixels / 255, per channel."""
    step = max(1, len(train) // NORMALIZATION_IMAGES)
    pixels = np.asarray(train.images[::step], np.float64).reshape(-1, train.shape[2]) / 255
    mean, std = pixels.mean(0).round(4), pixels.std(0).round(4)
    return {"mean": mean.tolist(), "std": np.where(std > MIN_STD, std, 1.0).tolist()}


def split_arguments(words: list[str]) -> tuple[str | None, str | None]:
    """Return the architecture and the data set among the positional arguments, in any order.

    >>> split_arguments(["small", "./photos"]), split_arguments(["./small"])
    (('small', './photos'), (None, './small'))
    """
    for word in words:
        is_path = any(sign in word for sign in "/\\.") or Path(word).exists()
        if not is_path and word not in [*models.ARCHITECTURES, "mnist"]:
            raise UnknownNameError(
                "architecture, data set or folder",
                word,
                [*models.ARCHITECTURES, "mnist"],
                "the only data set by name is mnist; `byhand models` lists the architectures",
            )
    names = [word for word in words if word in models.ARCHITECTURES]
    rest = [word for word in words if word not in models.ARCHITECTURES]
    for kind, given in (("architecture", names), ("data set", rest)):
        if len(given) > 1:
            raise ArgumentError(f"got {len(given)} {kind}s: {', '.join(given)}; expected one")
    return (names[0] if names else None), (rest[0] if rest else None)
