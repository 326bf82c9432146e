"""Choose what `small` is: candidates beside lenet5 and resnet20_cifar, what each reaches and what it takes.

python scripts/choose_small.py [COLOURS] [--names NAME ...] [--grey-epochs 3] [--colour-epochs 5]

COLOURS: a folder of small colour images, train/CLASS/* and test/CLASS/*, all of one square size; without it only MNIST is
learnt. First the time of a training step is measured, of all in turn, then each is trained; 0 epochs leaves that out.
"""

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

import byhand as bh
from byhand import nn
from byhand.data import Dataset
from byhand.models import small
from byhand.models.blocks import conv_norm

BATCH, LR, SHIFT, ROUNDS, SECONDS = 64, 0.1, 2, 9, 0.5
GREY, COLOUR = (28, 28, 1), (32, 32, 3)


def stages(images, classes, filters, extra=()):
    """Return the logits of stages that halve the image; extra: after which a unit of two convolutions follows, and how."""
    x = images
    for stage, count in enumerate(filters):
        x = small.halve(x, count, f"stage{stage}_down")
        if stage in extra:
            x = small.unit(x, count, f"stage{stage}")
    return nn.Linear(classes)(nn.GlobalAvgPool2d()(x))


def strided(images, classes):
    """Return the logits of a network whose first convolution, not a pooling, halves the image."""
    x = conv_norm(images, 32, 3, ("stem_conv", "stem_bn"), stride=2)
    x = small.unit(small.halve(x, 64, "stage1_down"), 64, "stage1")
    x = conv_norm(small.halve(x, 96, "stage2_down"), 96, 3, ("stage2_conv", "stage2_bn"))
    return nn.Linear(classes)(nn.GlobalAvgPool2d()(x))


def separable(images, classes):
    """Return the logits of depthwise separable convolutions."""
    x = conv_norm(images, 32, 3, ("stem_conv", "stem_bn"), stride=2)
    for i, (count, stride) in enumerate(((64, 1), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1))):
        x = conv_norm(x, x.shape[-1], 3, (f"deep{i}", f"deep_bn{i}"), stride=stride, groups=x.shape[-1])
        x = conv_norm(x, count, 1, (f"point{i}", f"point_bn{i}"))
    return nn.Linear(classes)(nn.GlobalAvgPool2d()(x))


CANDIDATES = {
    "plain 16-32-64": partial(stages, filters=(16, 32, 64)),
    "plain 32-64-128": partial(stages, filters=(32, 64, 128)),
    "units 16-32-64": partial(stages, filters=(16, 32, 64), extra=(1, 2)),
    "units 16-48-96": partial(stages, filters=(16, 48, 96), extra=(1, 2)),
    "unit 32-64-96": partial(stages, filters=(32, 64, 96), extra=(1,)),
    "strided 32-64-96": strided,
    "separable": separable,
}
NAMES = ("lenet5", "resnet20_cifar", *CANDIDATES)


def read(folder):
    """Return the data set of a folder of class folders."""
    paths = sorted(folder.glob("*/*"))
    classes = sorted({path.parent.name for path in paths})
    images = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    return Dataset(images, np.array([classes.index(path.parent.name) for path in paths]), classes)


def create(name, shape, classes=10):
    """Return a new model, of an architecture here or in byhand."""
    if name in CANDIDATES:
        return nn.Model(
            images := nn.Input(*shape), CANDIDATES[name](images, classes), name=name.replace(" ", "_"), seed=0
        )
    return bh.models.create(name, classes, shape, mean=0.5, std=1)


def speeds(names, shape):
    """Return, by name, images a second of training steps: all take turns, and the median counts."""
    rng, seen = np.random.default_rng(0), {name: [] for name in names}
    images, labels = rng.integers(0, 256, (BATCH, *shape), dtype=np.uint8), rng.integers(0, 10, BATCH)
    trainers = {name: bh.Trainer(create(name, shape), bh.SGD(lr=0.001, momentum=0.9)) for name in names}
    for trainer in trainers.values():
        trainer.step(images, labels)  # compiles
    for _ in range(ROUNDS):
        for name, trainer in trainers.items():
            steps, started = 0, time.perf_counter()
            while time.perf_counter() < started + SECONDS:
                trainer.step(images, labels)
                steps += 1
            seen[name].append(steps * BATCH / (time.perf_counter() - started))
    return {name: median(rates) for name, rates in seen.items()}


def learn(model, train, test, epochs, moved):
    """Return the accuracy after a training as `byhand train` does it; moved: each image shifted and, by chance, mirrored."""
    sgd, schedule, rng = (
        bh.SGD(lr=LR, momentum=0.9, weight_decay=5e-4 if moved else 0),
        bh.OneCycle(),
        np.random.default_rng(0),
    )
    trainer, size, per_epoch = bh.Trainer(model, sgd, batch_size=BATCH), train.images.shape[1], len(train) // BATCH
    frame = np.pad(train.images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), "reflect")
    for step in range(epochs * per_epoch):
        order = order if step % per_epoch else rng.permutation(len(train))
        rows = order[step % per_epoch * BATCH :][:BATCH]
        top, left = rng.integers(0, 2 * SHIFT + 1, (2, BATCH, 1)) if moved else np.full((2, BATCH, 1), SHIFT)
        across = np.arange(size)
        across = left + np.where(rng.random((BATCH, 1)) < 0.5 * moved, across[::-1], across)
        trainer.optimizer = replace(sgd, lr=LR * schedule(step / (epochs * per_epoch)))
        trainer.step(
            frame[rows[:, None, None], (top + np.arange(size))[:, :, None], across[:, None]], train.labels[rows]
        )
    return trainer.evaluate(test)["accuracy"]


def main():
    """Measure, then train; print a line a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("colours", nargs="?", type=Path)
    parser.add_argument("--names", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--grey-epochs", type=int, default=3)
    parser.add_argument("--colour-epochs", type=int, default=5)
    given = parser.parse_args()
    rates = {shape: speeds(given.names, shape) for shape in (GREY, COLOUR)}
    grey = bh.data.load("mnist")
    colours = given.colours and [read(given.colours / part) for part in ("train", "test")]
    for name in given.names:
        summary = create(name, COLOUR).summary()
        row = [f"{name:16} {summary.parameters:9,} parameters {summary.flops / 1e6:5.1f} MFLOPs"]
        for shape, sets, epochs in ((GREY, grey, given.grey_epochs), (COLOUR, colours, given.colour_epochs)):
            row.append(f"{rates[shape][name]:7,.0f} images/s")
            if sets and epochs:
                row.append(f"{learn(create(name, shape), *sets, epochs, moved=shape == COLOUR):.2%}")
        print("  ".join(row), flush=True)


if __name__ == "__main__":
    main()
