"""What `byhand train` decides where nothing is said: the network, the size of its images, how they vary, for how long."""

from pathlib import Path
from typing import Any

import numpy as np

from byhand import models
from byhand.data import Dataset
from byhand.data.augment import suggest
from byhand.data.photos import CROP
from byhand.errors import ArgumentError, UnknownNameError
from byhand.ops import DEFAULT_HAND
from byhand.train.optim import OPTIMIZERS
from byhand.train.settings import from_json

MNIST: dict[str, Any] = {
    "model": "lenet5", "epochs": 5, "batch_size": 64, "optimizer": "sgd", "lr": 0.1, "augment": "none",
}  # fmt: skip
FEW = 1000  # images a class, below which features that were learned elsewhere are worth more than ours
SEEN = 200_000  # images that a training sees, where nothing is said, within these epochs
EPOCHS = (8, 60)
SOURCE = "efficientnet_lite0"
HEAD: dict[str, Any] = {"epochs": 20, "batch_size": 16, "optimizer": "sgd", "augment": "none"}
DECAY = 5e-4  # of SGD's and Adam's weights, where a network is trained from nothing on images of one's own
BY_NAME = {name.lower(): kind for name, kind in OPTIMIZERS.items()}
SCALED = 4096  # images whose pixels tell mean and deviation


def settle(given: dict[str, Any], listing: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of a training, those that were given and the rest, and what must be said of the choice.

    given: by name, None where nothing was said; listing: what `data.find` found.
    """
    settings = {"seed": 0, "hand": DEFAULT_HAND, "unfreeze": 0} | {k: v for k, v in given.items() if v is not None}
    if settings.get("optimizer", "sgd") not in BY_NAME:
        raise UnknownNameError("optimizer", str(settings["optimizer"]), BY_NAME)
    notes = []
    counts = listing.counts.get("train") or listing.counts.get("all") or {}
    most = max(counts.values(), default=0)
    if (
        "model" not in settings
        and "from" not in settings
        and settings["data"] != "mnist"
        and listing.photos
        and most < FEW
    ):
        settings["from"] = SOURCE
        notes.append(
            f"photos in colour, fewer than {FEW:,} a class: a new head on {SOURCE}, which knows ImageNet; "
            "--model small trains a network from nothing"
        )
    if settings.get("from", "none") == "none":
        settings.pop("from", None)
    images = sum(counts.values())
    if "from" in settings:
        rest = HEAD
    elif settings["data"] == "mnist":
        rest = MNIST
    else:
        epochs = int(np.clip(SEEN // max(1, images), *EPOCHS))
        batch = 256 if images >= 20_000 else 64 if images >= 2_000 else 16
        rest = {"model": "small", "epochs": epochs, "batch_size": batch, "optimizer": "muon"}
    return {**rest, **settings}, notes


def optimizer(settings: dict[str, Any]) -> Any:
    """Return the optimiser of a training: as a run keeps it, or by the name that was typed."""
    kept, lr = settings["optimizer"], settings.get("lr")
    if isinstance(kept, dict):
        return from_json(kept)
    decay = 0.0 if settings["data"] == "mnist" or "from" in settings else DECAY
    more = {"sgd": {"momentum": 0.9, "weight_decay": decay}, "adam": {"weight_decay": decay}}.get(kept, {})
    return BY_NAME[kept](**more, **({} if lr is None else {"lr": lr}))


def crop_of(network: Any, listing: Any) -> float:
    """Return how much of a picture's shorter side a network that has learned is shown."""
    if network.crop_pct is not None:
        return float(network.crop_pct)
    return 1.0 if listing.shape[:2] == network.input_shape[:2] else CROP


def augmentation(shape: tuple[int, int, int], classes: tuple[str, ...]) -> str:
    """Return how images are varied, where nothing is said."""
    return str(suggest(shape, classes))


def scale(train: Dataset) -> dict[str, Any]:
    """Return `mean` and `std` of the training images' pixels / 255, a number a channel."""
    step = max(1, len(train) // SCALED)
    pixels = np.asarray(train.images[::step], np.float64).reshape(-1, train.shape[2]) / 255
    mean, std = pixels.mean(0).round(4), pixels.std(0).round(4)
    return {"mean": mean.tolist(), "std": np.where(std > 0.01, std, 1.0).tolist()}  # one colour has no deviation


def named(words: list[str]) -> tuple[str | None, str | None]:
    """Return the architecture and the data among what was typed: a word that names an architecture is one.

    >>> named(["small", "./photos"]), named(["./small"])
    (('small', './photos'), (None, './small'))
    """
    for word in words:
        plain = not any(sign in word for sign in "/\\.") and not Path(word).exists()
        if plain and word not in [*models.ARCHITECTURES, "mnist"]:
            raise UnknownNameError("architecture, data set or folder", word, [*models.ARCHITECTURES, "mnist"])
    names = [word for word in words if word in models.ARCHITECTURES]
    rest = [word for word in words if word not in models.ARCHITECTURES]
    for what, several in (("architecture", names), ("data set", rest)):
        if len(several) > 1:
            raise ArgumentError(f"got {len(several)} of what may be one {what}: {', '.join(several)}; expected one")
    return (names[0] if names else None), (rest[0] if rest else None)
