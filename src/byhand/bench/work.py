"""What is measured, a row a work: its title and unit, the goal, who takes part, and what a peer's process does.

A session is a generator that runs in a peer's process: it yields numbers of the first steps, for the check that all sides
computed the same, and then for every turn, whose length it is sent, what it measured: one number a line of the row.
Every peer starts from byhand's own first weights and sees the same images. A step is data in, loss, backward, update.
"""

import os
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from byhand import data
from byhand.bench import networks, peers
from byhand.bench.convolutions import LINES, convolutions
from byhand.bench.inference import LINES as INFERENCES
from byhand.bench.inference import inference
from byhand.bench.memory import install_size, peak
from byhand.bench.timing import seconds_per_call
from byhand.data import Dataset
from byhand.errors import DivergedError
from byhand.nn import Model
from byhand.train import OneCycle
from byhand.tutorial import LEARN_RATE

Session = Generator[Any, float, None]
STARTED = "BYHAND_BENCH_STARTED"  # when a peer's process was started, in the environment of that process
TARGET = 0.99


@dataclass(frozen=True)
class Work:
    """One row: its goal and what we aim for are ratios to the best peer, or to the best of `rival`, a framework.

    less: the smaller number is the better one; lines: the names of a turn's numbers, where it has several; rounds: how often
    at most; fresh: each turn has a new process.
    """

    title: str
    unit: str
    session: Callable[[Any], Session]
    goal: float
    aim: float
    peers: tuple[str, ...]
    rival: str = ""
    less: bool = False
    lines: tuple[str, ...] = ("",)
    rounds: int | None = None
    fresh: bool = False


def digits(count: int = 60_000) -> Dataset:
    """Return MNIST's first images in an order of their own, in memory that can be written."""
    train, _ = data.load("mnist")
    order = np.random.default_rng(0).permutation(len(train))[:count]
    return Dataset(train.images[order], train.labels[order], train.classes, train.name)


def noise(size: tuple[int, ...], count: int) -> Dataset:
    """Return images of random pixels, with random labels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *size), np.uint8)
    return Dataset(images, rng.integers(0, 10, count), tuple("0123456789"), "noise")


def photographs() -> Dataset:
    """Return images of CIFAR's size; what is in them makes no difference to the time."""
    return noise((32, 32, 3), 1024)


def batches(train: Dataset, size: int) -> list[tuple[Any, Any]]:
    """Cut a data set into batches."""
    return [(train.images[i : i + size], train.labels[i : i + size]) for i in range(0, len(train) - size + 1, size)]


def training(
    network: Callable[[], Model], batch: int, images: Callable[[], Dataset] = digits, *,
    plain: Callable[[], Model] | None = None, checked: int = 5,
) -> Callable[[Any], Session]:  # fmt: skip
    """Training steps, in images a second; plain: the same network without dropout, for the check."""

    def session(peer: Any) -> Session:
        turns = batches(images(), batch)
        side = peer.network((plain or network)(), 0.01, 0.9)
        seconds = yield [[float(side.step(*one)) for one in turns[:checked]]]
        if plain:
            side = peer.network(network(), 0.01, 0.9)
            float(side.step(*turns[0]))
        turn = cycle(turns)
        while True:
            seconds = yield [batch / seconds_per_call(lambda: side.step(*next(turn)), seconds)]

    return session


def articles_run(peer: Any) -> Session:
    """The article's run: 3 epochs of 1,000 images, one at a time, then 1,000 tests; in seconds."""
    train, test = (one.take(1000) for one in data.load("mnist"))
    side = peer.network(networks.article(), LEARN_RATE, 0.0)
    side.fit(train.take(300), epochs=1, batch=1)
    yield [[*side.loss_and_accuracy(test)]]
    while True:
        started = time.perf_counter()
        side.fit(train, epochs=3, batch=1)
        side.loss_and_accuracy(test)
        yield [time.perf_counter() - started]


def articles_epoch(peer: Any) -> Session:
    """The article's network, an epoch of all of MNIST's 60,000 images, 64 at a time; in seconds."""
    train, side = digits(), peer.network(networks.article(), 0.01, 0.0)
    yield [[float(side.step(*one)) for one in batches(train.take(320), 64)]]
    side.fit(train.take(640), epochs=1, batch=64)
    while True:
        started = time.perf_counter()
        side.fit(train, epochs=1, batch=64)
        yield [time.perf_counter() - started]


def articles_steps(peer: Any) -> Session:
    """The article's training, one image at a time, in images a second."""
    side, random = peer.network(networks.article(), LEARN_RATE, 0.0), noise((28, 28, 1), 5)
    # Noise, because the article gives a maximum's gradient to all who share it, and in noise nobody does.
    losses = [float(side.step(*one)) for one in batches(random, 1)]
    train, count = digits(), 10
    side.fit(train.take(count), epochs=1, batch=1)
    seconds = yield [losses]
    while True:
        started = time.perf_counter()
        side.fit(train.take(count), epochs=1, batch=1)
        took = time.perf_counter() - started
        if took < seconds / 2 and count < len(train):  # too few images for a turn
            count = min(len(train), max(2 * count, int(count * seconds / took)))
        else:
            seconds = yield [count / took]


def latency(peer: Any) -> Session:
    """From one image to its logits, in microseconds."""
    images = digits(16).images
    side = peer.network(networks.lenet5(), 0.01, 0.0)
    seconds = yield [side.logits(images[i : i + 1])[0].tolist() for i in range(5)]
    turn = cycle(range(len(images)))

    def answer() -> Any:
        i = next(turn)
        return side.logits(images[i : i + 1])

    while True:
        seconds = yield [1e6 * seconds_per_call(answer, seconds)]


def to_target(peer: Any) -> Session:
    """From the start of the process to a LeNet-5 that gets 99 % of MNIST's test set right, in seconds.

    The recipe is `byhand train`'s. byhand's kernels come from its cache on the disk, as PyTorch's do from its binaries.
    """
    yield []
    train, test = data.load("mnist")
    side = peer.network(networks.lenet5(), 0.1, 0.9)
    side.fit(train, epochs=5, batch=64, schedule=OneCycle())
    _, accuracy = side.loss_and_accuracy(test)
    if accuracy < TARGET:
        raise DivergedError(f"the recipe ended at {accuracy:.2%}, below {TARGET:.0%}")
    yield [time.time() - float(os.environ[STARTED])]


def training_memory(peer: Any) -> Session:
    """Memory of a process that trains ResNet-18, at its peak, in MB."""
    turns = batches(photographs(), 64)
    side = peer.network(networks.resnet18(), 0.01, 0.9)
    yield [[float(side.step(*one)) for one in turns[:2]]]
    while True:
        float(side.step(*turns[2]))
        yield [peak()]


TRAINERS = (*peers.EAGER, *peers.COMPILED, *peers.JAX)
ALL_CORES = tuple(name for name in TRAINERS if name.endswith(peers.count(peers.CORES)))

WORKS = {
    "article": Work(
        "the article's run: 3 epochs of 1,000, batch 1, 1,000 tests", "s", articles_run, 8, 20, TRAINERS,
        rival="PyTorch", less=True,
    ),
    "tutorial": Work(
        "the article's program, batch 1, training", "images/s", articles_steps, 600, 1500, tuple(peers.ARTICLE),
        rival="the article's loops",
    ),
    "article64": Work(
        "the article's net, batch 64, an epoch of 60,000", "s", articles_epoch, 5, 10, TRAINERS, less=True
    ),
    "lenet5": Work("LeNet-5, batch 64, training", "images/s", training(networks.lenet5, 64), 3, 6, TRAINERS),
    "example": Work(
        "PyTorch's MNIST example, batch 64, training", "images/s",
        training(networks.mnist_example, 64, plain=lambda: networks.mnist_example(dropout=False)), 1.8, 3, TRAINERS,
    ),
    "resnet20": Work(
        "ResNet-20, batch 128, training", "images/s", training(networks.resnet20, 128, photographs, checked=3),
        1.7, 2.5, TRAINERS,
    ),
    "resnet18": Work(
        "ResNet-18, batch 64, training", "images/s", training(networks.resnet18, 64, photographs, checked=2),
        1.3, 1.6, TRAINERS,
    ),
    "convolutions": Work("twelve convolutions", "GFLOP/s", convolutions, 0.95, 1.2, peers.EAGER, lines=LINES),
    "latency": Work(
        "LeNet-5, one image, latency", "us", latency, 5, 10, (*TRAINERS, *peers.ONNX), rival="PyTorch", less=True
    ),
    "inference": Work(
        "classic networks, milliseconds an image", "ms", inference, 0.7, 1, tuple(peers.ONNX), rival="onnxruntime", less=True,
        lines=INFERENCES,
    ),
    "99": Work(
        "LeNet-5 to 99 % on MNIST, from the start", "s", to_target, 3, 6, TRAINERS, less=True, rounds=3, fresh=True
    ),
    "memory": Work(
        "ResNet-18, batch 64, training: memory at the peak", "MB", training_memory, 1 / 0.7, 2, ALL_CORES, less=True, rounds=1
    ),
    "install": Work(
        "the installation", "MB", install_size, 750 / 400, 750 / 400, tuple(peers.PACKAGES), less=True, rounds=1
    ),
}  # fmt: skip
