"""A model goes out as C: a header, a program, and a main that shows that it does what Python does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod

import numpy as np

from byhand.data import Dataset
from byhand.errors import ArgumentError
from byhand.export import float32, int8
from byhand.export.difference import Layer, images_for, layers
from byhand.export.files import Examples, check_folder, sample, texts, write_all
from byhand.export.integers import probabilities
from byhand.export.lower import Network, lower, run
from byhand.export.quantize import Quantized, prepared, quantize
from byhand.export.source import STACK
from byhand.nn import Model
from byhand.ops.op import Array

CALIBRATED, TESTED = 512, 10_000  # images of the training set, and of the test set, at most
EXAMPLES, PIXELS = 8, 65_536  # images in a main, and numbers in all of them
BATCH = 100

__all__ = ["Exported", "check_folder", "to_c"]


@dataclass(frozen=True)
class Exported:
    """What was written, what it costs, and what is lost.

    ram: the arena; stack: at most, estimated; flash: constants, without code; all in bytes. Accuracies are of `tested` images
    (0: there was no data), the layers' differences of `compared` images.
    """

    name: str
    files: tuple[str, ...]
    kind: str
    ram: int
    stack: int
    flash: int
    layers: tuple[Layer, ...]
    compared: int
    calibrated: int
    tested: int
    accuracy_float32: float | None
    accuracy_int8: float | None


def to_c(
    model: Model,
    folder: str | os.PathLike[str],
    *,
    int8: bool = False,
    train: Dataset | None = None,
    test: Dataset | None = None,
) -> Exported:
    """Write a model as C99 without dependencies: NAME.h, NAME.c and main.c in a folder that is new or empty.

    `NAME_run(image, probabilities)` takes an image's pixels, (H, W, C) in uint8, and scales them itself. int8: weights and
    values in 8 bits, calibrated on images of `train`; test: what accuracy is told of, and main.c's images, else random ones.

    Raises UnsupportedError, which names the layer and its op, where C has no such step; ArgumentError where data is missing or
    does not fit; FileError where the files can't be written: then none is.

    Source: Jacob et al. 2017, "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
    arXiv 1712.05877.

    >>> import byhand as bh, tempfile
    >>> with tempfile.TemporaryDirectory() as empty:
    ...     done = to_c(bh.models.create("lenet5"), empty)
    >>> done.files, done.ram, done.flash
    (('lenet5.h', 'lenet5.c', 'main.c'), 23520, 247164)
    """
    check_folder(folder)
    for data in (train, test):
        _check(model, data)
    network = lower(model)
    quantized = None
    if int8:
        if train is None:
            raise ArgumentError(f"{model.name}: int8 is calibrated on images; expected a training set, got none")
        quantized = quantize(network, some(train.images, CALIBRATED))
    images = sample(network, EXAMPLES) if test is None else test.images
    source = float32.write(network) if quantized is None else _int8(quantized)
    few = images[: max(1, min(EXAMPLES, PIXELS // prod(network.input.shape)))]
    expected = model.predict(few) if quantized is None else probabilities(quantized, few)
    files = texts(source, Examples(few, expected, None if test is None else test.labels[: len(few)]))
    rows = layers(model, network, images, quantized)
    accuracies = (None, None) if test is None or not model.classes else _accuracies(network, quantized, test)
    write_all(folder, files)
    return Exported(
        model.name, tuple(files), source.kind, source.ram, STACK, source.flash, tuple(rows),
        images_for(network, len(images)), 0 if train is None or not int8 else min(len(train), CALIBRATED),
        0 if accuracies[0] is None or test is None else min(len(test), TESTED), *accuracies,
    )  # fmt: skip


_int8 = int8.write  # `int8` is an argument above


def _check(model: Model, data: Dataset | None) -> None:
    """Raise ArgumentError unless a data set's images are pixels of the model's shape, and its classes as many."""
    if data is None:
        return
    if data.images.dtype != np.uint8:
        raise ArgumentError(f"{model.name}: the data holds {data.images.dtype}; C takes pixels, uint8 from 0 to 255")
    model.check(data.images[:1])
    names = [one.classes for one in (model, data) if one.classes != tuple(map(str, range(len(one.classes))))]
    if model.classes and (len(data.classes) != len(model.classes) or (len(names) == 2 and names[0] != names[1])):
        ours, theirs = (f"{len(one)} classes ({', '.join(one[:3])}, ...)" for one in (model.classes, data.classes))
        raise ArgumentError(f"{model.name} has {ours}, but the data has {theirs}; give the data that it learnt")


def some(images: Array, count: int) -> Array:
    """Return so many images, from all parts of a set that may be sorted."""
    if len(images) <= count:
        return images
    return images[np.linspace(0, len(images) - 1, count).astype(np.int64)]


def _accuracies(network: Network, quantized: Quantized | None, test: Dataset) -> tuple[float, float | None]:
    """Return the part of the test images that each program gets right; int8 by its integers in NumPy."""
    right, count = [0, 0], min(len(test), TESTED)
    for start in range(0, count, BATCH):
        rows = slice(start, min(start + BATCH, count))
        images, labels = test.images[rows], test.labels[rows]
        scores = [run(network, prepared(network, images))[network.output.name]]
        scores += [] if quantized is None else [probabilities(quantized, images)]
        for i, made in enumerate(scores):
            right[i] += int((made.reshape(len(images), -1).argmax(1) == labels).sum())
    return right[0] / count, None if quantized is None else right[1] / count
