"""Compare candidates for the architectures `small` and `tiny` with each other and with lenet5 and resnet20_cifar.

python scripts/choose_small.py [COLORS [SECONDS]]

COLORS: a folder of 32x32 color images, train/CLASS/* and test/CLASS/*; without it only MNIST is learned. First a training
step of each network is timed, in turns. Then each is trained for the same time, in whole epochs (SECONDS on the colors):
what counts is the accuracy that a network reaches in a given time, not in a given number of epochs.
"""

import sys
import time
from statistics import median

import numpy as np

import byhand as bh
from byhand import nn
from byhand.data.augment import suggest
from byhand.models.small import downsample_block, residual_block

BATCH = 256
ROUNDS = 7  # turns of each network
TURN_SECONDS = 0.5
GRAY = (28, 28, 1)
COLOR = (32, 32, 3)


def candidate(x, filters, units):
    """Return the logits of stages that each halve the image; units: the stages with a residual block."""
    for stage, count in enumerate(filters):
        x = downsample_block(x, count, f"down{stage}")
        x = residual_block(x, count, f"stage{stage}") if stage in units else x
    return nn.Linear(10)(nn.GlobalAvgPool2d()(x))


CANDIDATES = {  # filters of each stage, the stages with a residual block
    "plain_32_64_128": ((32, 64, 128), ()),
    "units_32_64_128": ((32, 64, 128), (1, 2)),
    "units_48_96_192": ((48, 96, 192), (1, 2)),
    "all_units_32_64_128": ((32, 64, 128), (0, 1, 2)),
}
NAMES = ("lenet5", "resnet20_cifar", "tiny", "small", *CANDIDATES)


def create(name, shape):
    """Return a new model: a candidate, or one of byhand's."""
    if name in CANDIDATES:
        images = nn.Input(*shape)
        return nn.Model(images, candidate(images, *CANDIDATES[name]), name=name)
    return bh.models.create(name, 10, shape)


def microseconds(shape):
    """Return the median time of a training image, by network; all take turns."""
    rng, taken = np.random.default_rng(0), {name: [] for name in NAMES}
    images, labels = rng.integers(0, 256, (BATCH, *shape), dtype=np.uint8), rng.integers(0, 10, BATCH)
    trainers = {name: bh.Trainer(create(name, shape), bh.Muon(), batch_size=BATCH) for name in NAMES}
    for trainer in trainers.values():
        trainer.step(images, labels)  # compiles
    for name in NAMES * ROUNDS:
        steps, started = 0, time.perf_counter()
        while time.perf_counter() < started + TURN_SECONDS:
            trainers[name].step(images, labels)
            steps += 1
        taken[name].append((time.perf_counter() - started) / (steps * BATCH) * 1e6)
    return {name: median(times) for name, times in taken.items()}


def learn(model, train, test, epochs):
    """Return the accuracy after a training."""
    augment = suggest(train.shape, train.classes)
    trainer = bh.Trainer(model, bh.Muon(), batch_size=BATCH, schedule=bh.OneCycle(), augment=augment)
    trainer.fit(train, epochs=epochs, quiet=True)
    return trainer.evaluate(test)["accuracy"]


def main(colors=None, seconds="300"):
    """Measure, then train; print a line a network."""
    sets, budget = {GRAY: bh.data.load("mnist")}, {GRAY: 20.0, COLOR: float(seconds)}
    if colors:
        sets[COLOR] = bh.data.load(colors)
    times = {shape: microseconds(shape) for shape in (GRAY, COLOR)}
    for name in NAMES:
        summary = create(name, COLOR).summary()
        row = f"{name:20}{summary.parameters:9,} parameters{summary.flops / 1e6:7.1f} MFLOPs"
        for shape, taken in times.items():
            row += f"{taken[name]:8.0f} us"
            if shape in sets:
                train, test = sets[shape]
                epochs = max(1, round(budget[shape] / (len(train) * taken[name] / 1e6)))
                row += f"{epochs:4} epochs{learn(create(name, shape), train, test, epochs):8.2%}"
        print(row, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
