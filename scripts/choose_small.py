"""Choose what `small` is: candidates beside lenet5 and resnet20_cifar, what each reaches and what it takes.

python scripts/choose_small.py [COLOURS]

COLOURS: a folder of 32x32 colour images, train/CLASS/* and test/CLASS/*; without it only MNIST is learnt. First a training
step is timed, of all in turn (BYHAND_THREADS=1 is spoilt least by other programs); then each network is trained.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

import byhand as bh
from byhand import nn
from byhand.data import Dataset
from byhand.models.small import halve, unit

BATCH, LR, SHIFT, ROUNDS, SECONDS = 64, 0.1, 2, 7, 0.5
GREY, COLOUR = (28, 28, 1), (32, 32, 3)
EPOCHS = {GREY: 3, COLOUR: 5}


def candidate(x, filters, units):
    """Return the logits of stages that each halve the image; a unit adds two convolutions and a shortcut."""
    for stage, count in enumerate(filters):
        x = halve(x, count, f"down{stage}")
        x = unit(x, count, f"stage{stage}") if stage in units else x
    return nn.Linear(10)(nn.GlobalAvgPool2d()(x))


CANDIDATES = {  # filters of each stage, the stages with a unit
    "plain_16_32_64": ((16, 32, 64), ()),
    "plain_32_64_128": ((32, 64, 128), ()),
    "units_16_32_64": ((16, 32, 64), (1, 2)),
    "units_16_48_96": ((16, 48, 96), (1, 2)),
    "unit_32_64_96": ((32, 64, 96), (1,)),
}
NAMES = ("lenet5", "resnet20_cifar", *CANDIDATES)


def create(name, shape):
    """Return a new model: a candidate, or one of byhand's."""
    if name in CANDIDATES:
        images = nn.Input(*shape)
        return nn.Model(images, candidate(images, *CANDIDATES[name]), name=name)
    return bh.models.create(name, 10, shape)


def microseconds(shape):
    """Return, by name, what a training image takes: all take turns, and the median of each counts."""
    rng, taken = np.random.default_rng(0), {name: [] for name in NAMES}
    images, labels = rng.integers(0, 256, (BATCH, *shape), dtype=np.uint8), rng.integers(0, 10, BATCH)
    trainers = {name: bh.Trainer(create(name, shape), bh.SGD(lr=0.001, momentum=0.9)) for name in NAMES}
    for trainer in trainers.values():
        trainer.step(images, labels)  # compiles
    for name in NAMES * ROUNDS:
        steps, started = 0, time.perf_counter()
        while time.perf_counter() < started + SECONDS:
            trainers[name].step(images, labels)
            steps += 1
        taken[name].append((time.perf_counter() - started) / (steps * BATCH) * 1e6)
    return {name: median(times) for name, times in taken.items()}


def learn(model, train, test, epochs, colour):
    """Return the accuracy after a training; colour images are shifted and, by chance, mirrored, and weights decay."""
    sgd, schedule = bh.SGD(lr=LR, momentum=0.9, weight_decay=5e-4 * colour), bh.OneCycle()
    trainer, steps, rng = bh.Trainer(model, sgd), len(train) // BATCH, np.random.default_rng(0)
    for epoch in range(epochs):
        order = rng.permutation(len(train))
        for step in range(steps):
            rows = order[step * BATCH : (step + 1) * BATCH]
            images = moved(train.images[rows], rng) if colour else train.images[rows]
            trainer.optimizer = replace(sgd, lr=LR * schedule((epoch + step / steps) / epochs))
            trainer.step(images, train.labels[rows])
    return trainer.evaluate(test)["accuracy"]


def moved(images, rng):
    """Return images shifted by up to SHIFT pixels, half of them mirrored."""
    count, pixels = len(images), np.arange(images.shape[1])
    framed = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), "reflect")
    top, left = rng.integers(0, 2 * SHIFT + 1, (2, count, 1))
    across = left + np.where(rng.random((count, 1)) < 0.5, pixels, pixels[::-1])
    return framed[np.arange(count)[:, None, None], (top + pixels)[:, :, None], across[:, None]]


def read(folder):
    """Return the data set of a folder of class folders."""
    paths = sorted(folder.glob("*/*"))
    classes = sorted({path.parent.name for path in paths})
    images = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    return Dataset(images, np.array([classes.index(path.parent.name) for path in paths]), classes)


def main(colours=None):
    """Measure, then train; print a line a network."""
    sets = {GREY: bh.data.load("mnist")}
    if colours:
        sets[COLOUR] = tuple(read(Path(colours, part)) for part in ("train", "test"))
    times = {shape: microseconds(shape) for shape in (GREY, COLOUR)}
    for name in NAMES:
        summary = create(name, COLOUR).summary()
        row = f"{name:20}{summary.parameters:9,} parameters{summary.flops / 1e6:7.1f} MFLOPs"
        for shape, taken in times.items():
            row += f"{taken[name]:8.0f} us"
            if shape in sets:
                row += f"{learn(create(name, shape), *sets[shape], EPOCHS[shape], shape == COLOUR):8.2%}"
        print(row, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:2])
