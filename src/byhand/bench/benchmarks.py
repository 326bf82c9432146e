"""The benchmarks: of each its title and unit, its ratios to reach, its peers, and the session that runs in a peer's process.

A session is a generator. It first yields numbers of the first steps, which must be the same for all peers. Then it is sent the
length of each turn and yields the measurements, one number for each line of the row. Every peer starts from byhand's first
weights and gets the same images. A training step is data in, loss, backward, update.
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
from byhand.bench.peer_network import NetworkPeer
from byhand.bench.timing import seconds_per_call
from byhand.data import Dataset
from byhand.errors import DivergedError
from byhand.nn import Model
from byhand.ops.op import Array
from byhand.train import OneCycle
from byhand.tutorial import LEARN_RATE

# Yields once the numbers to compare, a list for each step, then the measurements of each turn of so many seconds.
Session = Generator[list[list[float]] | list[float], float]
Batches = list[tuple[Array, Array]]  # images, labels
STARTED = "BYHAND_BENCH_STARTED"  # an environment variable of a peer's process: the time of its start
TARGET_ACCURACY = 0.99


@dataclass(frozen=True)
class Benchmark:
    """One benchmark, a row of the table.

    required_ratio, target_ratio: how many times as good as the best peer, or as the best of `rival`, a framework, byhand has to
    be and should be.

    lines: the names of a turn's numbers, where it has several; rounds: the most turns; new_process: each turn has one.
    """

    title: str
    unit: str
    # The argument is a peer: a Protocol of peer_network.py, convolutions.py, inference.py or memory.py.
    session: Callable[[Any], Session]
    required_ratio: float
    target_ratio: float
    peers: tuple[str, ...]
    rival: str = ""
    lower_is_better: bool = False
    lines: tuple[str, ...] = ("",)
    rounds: int | None = None
    new_process: bool = False


def digits(count: int = 60_000) -> Dataset:
    """Return a random permutation of MNIST's training set, or its first images, in writable memory."""
    train, _ = data.load("mnist")
    order = np.random.default_rng(0).permutation(len(train))[:count]
    return Dataset(train.images[order], train.labels[order], train.classes, train.name)


def noise(size: tuple[int, ...], count: int) -> Dataset:
    """Return images of random pixels, with random labels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *size), np.uint8)
    return Dataset(images, rng.integers(0, 10, count), tuple("0123456789"), "noise")


def photographs() -> Dataset:
    """Return random images of CIFAR's size: the time does not depend on their content."""
    return noise((32, 32, 3), 1024)


def batches(train: Dataset, size: int) -> Batches:
    """Return the full batches of a data set."""
    return [(train.images[i : i + size], train.labels[i : i + size]) for i in range(0, len(train) - size + 1, size)]


def training(
    network: Callable[[], Model],
    batch: int,
    images: Callable[[], Dataset] = digits,
    *,
    plain: Callable[[], Model] | None = None,
    checked: int = 5,
) -> Callable[[NetworkPeer], Session]:
    """Training steps, in images per second; plain: the network without dropout, for the check."""

    def session(peer: NetworkPeer) -> Session:
        train_batches = batches(images(), batch)
        peer_network = peer.network((plain or network)(), 0.01, 0.9)
        seconds = yield [[float(peer_network.step(*batch_arrays)) for batch_arrays in train_batches[:checked]]]
        if plain:
            peer_network = peer.network(network(), 0.01, 0.9)
            float(peer_network.step(*train_batches[0]))
        batch_cycle = cycle(train_batches)
        while True:
            seconds = yield [batch / seconds_per_call(lambda: peer_network.step(*next(batch_cycle)), seconds)]

    return session


def articles_run(peer: NetworkPeer) -> Session:
    """The article's run: 3 epochs of 1,000 images, one at a time, then 1,000 tests; in seconds."""
    train, test = (part.take(1000) for part in data.load("mnist"))
    peer_network = peer.network(networks.article(), LEARN_RATE, 0.0)
    peer_network.fit(train.take(300), epochs=1, batch=1)
    yield [[*peer_network.loss_and_accuracy(test)]]
    while True:
        started = time.perf_counter()
        peer_network.fit(train, epochs=3, batch=1)
        peer_network.loss_and_accuracy(test)
        yield [time.perf_counter() - started]


def articles_epoch(peer: NetworkPeer) -> Session:
    """The article's network, an epoch of all of MNIST's 60,000 images, 64 at a time; in seconds."""
    train, peer_network = digits(), peer.network(networks.article(), 0.01, 0.0)
    yield [[float(peer_network.step(*batch)) for batch in batches(train.take(320), 64)]]
    peer_network.fit(train.take(640), epochs=1, batch=64)
    while True:
        started = time.perf_counter()
        peer_network.fit(train, epochs=1, batch=64)
        yield [time.perf_counter() - started]


def articles_steps(peer: NetworkPeer) -> Session:
    """The article's training, one image at a time, in images per second."""
    peer_network, random = peer.network(networks.article(), LEARN_RATE, 0.0), noise((28, 28, 1), 5)
    # Noise has no ties: the article gives the gradient of a maximum to every pixel that equals it, other peers to one.
    losses = [float(peer_network.step(*batch)) for batch in batches(random, 1)]
    train, count = digits(), 10
    peer_network.fit(train.take(count), epochs=1, batch=1)
    seconds = yield [losses]
    while True:
        started = time.perf_counter()
        peer_network.fit(train.take(count), epochs=1, batch=1)
        took = time.perf_counter() - started
        if took < seconds / 2 and count < len(train):  # too few images for a turn
            count = min(len(train), max(2 * count, int(count * seconds / took)))
        else:
            seconds = yield [count / took]


def latency(peer: NetworkPeer) -> Session:
    """From one image to its logits, in microseconds."""
    images = digits(16).images
    peer_network = peer.network(networks.lenet5(), 0.01, 0.0)
    seconds = yield [peer_network.logits(images[i : i + 1])[0].tolist() for i in range(5)]
    index_cycle = cycle(range(len(images)))

    def predict() -> Array:
        i = next(index_cycle)
        return peer_network.logits(images[i : i + 1])

    while True:
        seconds = yield [1e6 * seconds_per_call(predict, seconds)]


def to_target(peer: NetworkPeer) -> Session:
    """From the start of the process to a LeNet-5 with 99% accuracy on MNIST's test set, in seconds.

    The settings are those of `byhand train`. byhand's kernels come from its cache on disk, PyTorch's from its binaries.
    """
    yield []
    train, test = data.load("mnist")
    peer_network = peer.network(networks.lenet5(), 0.1, 0.9)
    peer_network.fit(train, epochs=5, batch=64, schedule=OneCycle())
    _, accuracy = peer_network.loss_and_accuracy(test)
    if accuracy < TARGET_ACCURACY:
        raise DivergedError(f"the training ended at {accuracy:.2%}, below {TARGET_ACCURACY:.0%}")
    yield [time.time() - float(os.environ[STARTED])]


def training_memory(peer: NetworkPeer) -> Session:
    """Peak memory of a process that trains ResNet-18, in MB."""
    train_batches = batches(photographs(), 64)
    peer_network = peer.network(networks.resnet18(), 0.01, 0.9)
    yield [[float(peer_network.step(*batch)) for batch in train_batches[:2]]]
    while True:
        float(peer_network.step(*train_batches[2]))
        yield [peak()]


TRAINERS = (*peers.EAGER, *peers.COMPILED, *peers.JAX)
ALL_CORES = tuple(name for name in TRAINERS if name.endswith(peers.count(peers.CORES)))

BENCHMARKS = {
    "article": Benchmark(
        "the article's run: 3 epochs of 1,000, batch 1, 1,000 tests",
        "s",
        articles_run,
        required_ratio=8,
        target_ratio=20,
        peers=TRAINERS,
        rival="PyTorch",
        lower_is_better=True,
    ),
    "tutorial": Benchmark(
        "the article's program, batch 1, training",
        "images/s",
        articles_steps,
        required_ratio=600,
        target_ratio=1500,
        peers=tuple(peers.ARTICLE),
        rival="the article's loops",
    ),
    "article64": Benchmark(
        "the article's net, batch 64, an epoch of 60,000",
        "s",
        articles_epoch,
        required_ratio=5,
        target_ratio=10,
        peers=TRAINERS,
        lower_is_better=True,
    ),
    "lenet5": Benchmark(
        "LeNet-5, batch 64, training",
        "images/s",
        training(networks.lenet5, 64),
        required_ratio=3,
        target_ratio=6,
        peers=TRAINERS,
    ),
    "example": Benchmark(
        "PyTorch's MNIST example, batch 64, training",
        "images/s",
        training(networks.mnist_example, 64, plain=lambda: networks.mnist_example(dropout=False)),
        required_ratio=1.8,
        target_ratio=3,
        peers=TRAINERS,
    ),
    "resnet20": Benchmark(
        "ResNet-20, batch 128, training",
        "images/s",
        training(networks.resnet20, 128, photographs, checked=3),
        required_ratio=1.7,
        target_ratio=2.5,
        peers=TRAINERS,
    ),
    "resnet18": Benchmark(
        "ResNet-18, batch 64, training",
        "images/s",
        training(networks.resnet18, 64, photographs, checked=2),
        required_ratio=1.3,
        target_ratio=1.6,
        peers=TRAINERS,
    ),
    "convolutions": Benchmark(
        "twelve convolutions",
        "GFLOP/s",
        convolutions,
        required_ratio=0.95,
        target_ratio=1.2,
        peers=peers.EAGER,
        lines=LINES,
    ),
    "latency": Benchmark(
        "LeNet-5, one image, latency",
        "us",
        latency,
        required_ratio=5,
        target_ratio=10,
        peers=(*TRAINERS, *peers.ONNX),
        rival="PyTorch",
        lower_is_better=True,
    ),
    "inference": Benchmark(
        "classic networks, milliseconds an image",
        "ms",
        inference,
        required_ratio=0.7,
        target_ratio=1,
        peers=tuple(peers.ONNX),
        rival="onnxruntime",
        lower_is_better=True,
        lines=INFERENCES,
    ),
    "99": Benchmark(
        "LeNet-5 to 99% on MNIST, from the start",
        "s",
        to_target,
        required_ratio=3,
        target_ratio=6,
        peers=TRAINERS,
        lower_is_better=True,
        rounds=3,
        new_process=True,
    ),
    "memory": Benchmark(
        "ResNet-18, batch 64, training: memory at the peak",
        "MB",
        training_memory,
        required_ratio=1 / 0.7,
        target_ratio=2,
        peers=ALL_CORES,
        lower_is_better=True,
        rounds=1,
    ),
    "install": Benchmark(
        "the installation",
        "MB",
        install_size,
        required_ratio=750 / 400,
        target_ratio=750 / 400,
        peers=tuple(peers.PACKAGES),
        lower_is_better=True,
        rounds=1,
    ),
}
