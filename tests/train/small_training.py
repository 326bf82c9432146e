"""A small training: striped images and a network that learns them in seconds."""

import numpy as np

from byhand import nn
from byhand.data import Dataset
from byhand.train import Trainer


def stripes(count=48, size=6, classes=("down", "across", "even"), seed=0):
    """Return noisy images (count, size, size, 1) uint8, of stripes down, stripes across, or neither."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(classes), count)
    ramp = np.arange(size) % 2 * 120.0
    patterns = np.stack([np.tile(ramp, (size, 1)), np.tile(ramp[:, None], (1, size)), np.full((size, size), 60.0)])
    images = patterns[labels] + rng.uniform(0, 80, (count, size, size))
    return Dataset(images.astype(np.uint8)[..., None], labels, tuple(classes), "stripes")


def network(size=6, classes=("down", "across", "even"), *, norm=True, dropout=0.2, **settings):
    """Return a small convolutional network: of all kinds of state, batch norm's and dropout's."""
    layers = [nn.Conv2d(4, 3), *([nn.BatchNorm()] if norm else []), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    layers += [*([nn.Dropout(dropout)] if dropout else []), nn.Linear(len(classes))]
    names = None if settings.get("task") == "numbers" else classes
    return nn.Model(nn.Input(size, size, 1), nn.Sequential(*layers), name="small", classes=names, **settings)


def bits(trainer):
    """Return every number that a training changes, as bytes."""
    arrays = [trainer.model.p.flat, *vars(trainer.model.state).values(), *trainer.buffers.values()]
    return b"".join(array.tobytes() for array in arrays)


def plain(optimizer, **settings):
    """Return a trainer of a network that is a function of its parameters alone, of the task that a loss by name is for."""
    task = {"mse": "numbers", "bce": "labels"}.get(str(settings.get("loss")), "classes")
    return Trainer(network(norm=False, dropout=0, task=task), optimizer, **settings)
