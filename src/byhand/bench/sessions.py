"""Sessions: what runs in the process of a side to measure one line of a benchmark.

A session is a generator. It first yields a `Check`: numbers of the first steps, which must be the same for all sides. Then it
is sent the length of each turn and yields the measurement. Every side starts from byhand's first weights and gets the same
images. A training step is data in, loss, backward, update.
"""

import os
import time
from collections.abc import Callable
from itertools import cycle

import numpy as np

from byhand import data
from byhand.bench import networks
from byhand.bench.check import Check, Session
from byhand.bench.memory import peak
from byhand.bench.peer_network import NetworkPeer
from byhand.bench.timing import seconds_per_call
from byhand.data import Dataset
from byhand.errors import DivergedError
from byhand.kernels.peak import peak_flops
from byhand.nn import Model
from byhand.ops.op import Array
from byhand.train import OneCycle
from byhand.tutorial import LEARN_RATE

Batches = list[tuple[Array, Array]]  # images, labels
STARTED = "BYHAND_BENCH_STARTED"  # an environment variable of a side's process: the time of its start
TARGET_ACCURACY = 0.99
BACKWARD_PASSES = 2  # of the FLOPs of forward: the gradients of the data and of the weights


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


def training_flops(model: Model) -> float:
    """Return the FLOPs of a training step, by image: the first layer needs no gradient of the images."""
    summary = model.summary()
    return (1 + BACKWARD_PASSES) * summary.flops - summary.rows[0].flops


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
        model = (plain or network)()
        peer_network = peer.network(model, 0.01, 0.9)
        losses = [float(peer_network.step(*batch_arrays)) for batch_arrays in train_batches[:checked]]
        seconds = yield Check([losses], training_flops(model))
        if plain:
            peer_network = peer.network(network(), 0.01, 0.9)
            float(peer_network.step(*train_batches[0]))
        batch_cycle = cycle(train_batches)
        while True:
            seconds = yield batch / seconds_per_call(lambda: peer_network.step(*next(batch_cycle)), seconds)

    return session


def articles_run(peer: NetworkPeer) -> Session:
    """The article's run: 3 epochs of 1,000 images, one at a time, then 1,000 tests; in seconds."""
    train, test = (part.take(1000) for part in data.load("mnist"))
    peer_network = peer.network(networks.article(), LEARN_RATE, 0.0)
    peer_network.fit(train.take(300), epochs=1, batch=1)
    yield Check([[*peer_network.loss_and_accuracy(test)]])
    while True:
        started = time.perf_counter()
        peer_network.fit(train, epochs=3, batch=1)
        peer_network.loss_and_accuracy(test)
        yield time.perf_counter() - started


def articles_epoch(peer: NetworkPeer) -> Session:
    """The article's network, an epoch of all of MNIST's 60,000 images, 64 at a time; in seconds."""
    train, peer_network = digits(), peer.network(networks.article(), 0.01, 0.0)
    yield Check([[float(peer_network.step(*batch)) for batch in batches(train.take(320), 64)]])
    peer_network.fit(train.take(640), epochs=1, batch=64)
    while True:
        started = time.perf_counter()
        peer_network.fit(train, epochs=1, batch=64)
        yield time.perf_counter() - started


def articles_steps(peer: NetworkPeer) -> Session:
    """The article's training, one image at a time, in images per second."""
    peer_network, random = peer.network(networks.article(), LEARN_RATE, 0.0), noise((28, 28, 1), 5)
    # Noise has no ties: the article gives the gradient of a maximum to every pixel that equals it, other peers to one.
    losses = [float(peer_network.step(*batch)) for batch in batches(random, 1)]
    train, count = digits(), 10
    peer_network.fit(train.take(count), epochs=1, batch=1)
    seconds = yield Check([losses])
    while True:
        started = time.perf_counter()
        peer_network.fit(train.take(count), epochs=1, batch=1)
        took = time.perf_counter() - started
        if took < seconds / 2 and count < len(train):  # too few images for a turn
            count = min(len(train), max(2 * count, int(count * seconds / took)))
        else:
            seconds = yield count / took


def latency(peer: NetworkPeer) -> Session:
    """From one image to its logits, in microseconds."""
    images = digits(16).images
    model = networks.lenet5()
    peer_network = peer.network(model, 0.01, 0.0)
    logits = [peer_network.logits(images[i : i + 1])[0].tolist() for i in range(5)]
    seconds = yield Check(logits, model.summary().flops)
    index_cycle = cycle(range(len(images)))

    def predict() -> Array:
        i = next(index_cycle)
        return peer_network.logits(images[i : i + 1])

    while True:
        seconds = yield 1e6 * seconds_per_call(predict, seconds)


def to_target(peer: NetworkPeer) -> Session:
    """From the start of the process to a LeNet-5 with 99% accuracy on MNIST's test set, in seconds.

    The settings are those of `byhand train`. byhand's kernels come from its cache on disk, PyTorch's from its binaries.
    """
    yield Check([])
    train, test = data.load("mnist")
    peer_network = peer.network(networks.lenet5(), 0.1, 0.9)
    peer_network.fit(train, epochs=5, batch=64, schedule=OneCycle())
    _, accuracy = peer_network.loss_and_accuracy(test)
    if accuracy < TARGET_ACCURACY:
        raise DivergedError(f"the training ended at {accuracy:.2%}, below {TARGET_ACCURACY:.0%}")
    yield time.time() - float(os.environ[STARTED])


def training_memory(peer: NetworkPeer) -> Session:
    """Peak memory of a process that trains ResNet-18, in MB."""
    train_batches = batches(photographs(), 64)
    peer_network = peer.network(networks.resnet18(), 0.01, 0.9)
    yield Check([[float(peer_network.step(*batch)) for batch in train_batches[:2]]])
    while True:
        float(peer_network.step(*train_batches[2]))
        yield peak()


def multiply_adds(precision: str) -> Callable[[object], Session]:
    """The multiply-adds of the register tile with operands in the L1 cache, on all threads, in GFLOP/s."""

    def session(peer: object) -> Session:
        peak_flops(precision)  # compiles
        yield Check([])
        while True:
            yield peak_flops(precision) / 1e9

    return session
