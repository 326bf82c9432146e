"""`to_c`: a model as C99, float32 or int8: a header, a program, and a main that checks it against Python."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from byhand.data import Dataset
from byhand.errors import ArgumentError, NotFiniteError
from byhand.export import float32_program, int8_program
from byhand.export.c_files import Examples, c_files, check_folder, random_images, write_all
from byhand.export.c_source import STACK_BYTES
from byhand.export.execution import normalize, run_steps
from byhand.export.int8_reference import probabilities
from byhand.export.layer_errors import LayerError, compared_images, layer_errors
from byhand.export.lowering import Network, lower
from byhand.export.quantization import QuantizedNetwork, quantize
from byhand.nn import Model
from byhand.nn.network_input import check_takes_pixels
from byhand.nn.with_activation import as_two_classes, with_probabilities, with_task
from byhand.ops.op import Array

LABELS_RESULT = "the probability of each label, by itself"
MAX_CALIBRATION_IMAGES = 512
MAX_TEST_IMAGES = 10_000
MAX_EXAMPLES = 8  # images in main.c
MAX_EXAMPLE_PIXELS = 65_536  # numbers in all of them
BATCH_SIZE = 100


@dataclass(frozen=True)
class ExportReport:
    """The files that were written, their memory, and their accuracy.

    ram_bytes: the arena; stack_bytes: at most, estimated; flash_bytes: constants, without code. Accuracies are of
    `test_images` images, None where there was no test set; layer errors are of `compared_images` images.
    """

    name: str
    files: tuple[str, ...]
    dtype: str
    ram_bytes: int
    stack_bytes: int
    flash_bytes: int
    layer_errors: tuple[LayerError, ...]
    compared_images: int
    calibration_images: int
    test_images: int
    accuracy_float32: float | None
    accuracy_int8: float | None


def to_c(
    model: Model,
    folder: str | os.PathLike[str],
    *,
    int8: bool = False,
    train: Dataset | None = None,
    test: Dataset | None = None,
) -> ExportReport:
    """Write a model as C99 without dependencies: NAME.h, NAME.c and main.c in a folder that is new or empty.

    The result is what `model.predict` gives: the probabilities of classes or labels, or the outputs as they are.
    `NAME_run(image, probabilities)` takes an image's pixels, (H, W, C) in uint8, and normalizes them itself. int8: weights and
    values in 8 bits, calibrated on images of `train`; test: the images of main.c and of the accuracy, by default random ones.

    Raises UnsupportedError, which names the layer and its op, where C has no such step; ArgumentError where data is missing or
    does not fit; FileError where the files can't be written: then none is.

    Source: Jacob et al. 2017, "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
    arXiv 1712.05877.

    >>> import byhand as bh, tempfile
    >>> with tempfile.TemporaryDirectory() as empty:
    ...     report = to_c(bh.models.create("lenet5"), empty)
    >>> report.files, report.ram_bytes, report.flash_bytes
    (('lenet5.h', 'lenet5.c', 'main.c'), 23520, 247164)
    """
    check_folder(folder)
    check_takes_pixels(model)
    labels, model = model.task == "labels", _with_result(model)
    for data in (train, test):
        if data is not None:
            _check_data(model, data)
    network, quantized, calibration_images = lower(model), None, 0
    if labels and not model.classes:
        network = replace(network, result=LABELS_RESULT)
    if int8:
        if train is None:
            raise ArgumentError(f"{model.name}: int8 is calibrated on images; expected a training set, got none")
        calibration_images = min(len(train), MAX_CALIBRATION_IMAGES)
        quantized = quantize(network, sample_evenly(train.images, MAX_CALIBRATION_IMAGES))
    images = random_images(network, MAX_EXAMPLES) if test is None else test.images
    source = float32_program.write_program(network) if quantized is None else int8_program.write_program(quantized)
    shown = images[: max(1, min(MAX_EXAMPLES, MAX_EXAMPLE_PIXELS // prod(network.input.shape)))]
    expected = model.predict(shown) if quantized is None else probabilities(quantized, shown)
    if not np.isfinite(expected).all():
        raise NotFiniteError(f"{model.name} gives NaN or infinity; `byhand trace` shows where it first occurs")
    files = c_files(source, Examples(shown, expected, None if test is None else test.labels[: len(shown)]))
    errors = layer_errors(model, network, images, quantized)
    test_images = 0
    accuracies: tuple[float | None, float | None] = (None, None)
    if test is not None and model.classes:
        test_images, accuracies = min(len(test), MAX_TEST_IMAGES), _accuracies(network, quantized, test)
    write_all(folder, files)
    return ExportReport(
        name=model.name,
        files=tuple(files),
        dtype=source.dtype,
        ram_bytes=source.ram_bytes,
        stack_bytes=STACK_BYTES,
        flash_bytes=source.flash_bytes,
        layer_errors=tuple(errors),
        compared_images=compared_images(network, len(images)),
        calibration_images=calibration_images,
        test_images=test_images,
        accuracy_float32=accuracies[0],
        accuracy_int8=accuracies[1],
    )


def _with_result(model: Model) -> Model:
    """Return a model whose graph, with the softmax of its classes, gives what `predict` does.

    One sigmoid becomes two classes; labels become numbers, their probabilities.
    """
    model = as_two_classes(model)
    return model if model.learns_classes or not model.classes else with_task(with_probabilities(model), "numbers")


def _check_data(model: Model, data: Dataset) -> None:
    """Raise ArgumentError unless a data set's images are uint8 of the model's shape, and its classes the model's."""
    if data.images.dtype != np.uint8:
        raise ArgumentError(f"{model.name}: the data holds {data.images.dtype}; C takes pixels, uint8 from 0 to 255")
    model.check(data.images[:1])
    if not model.classes:
        return
    both_named = _are_named(model.classes) and _are_named(data.classes)
    if len(data.classes) != len(model.classes) or (both_named and model.classes != data.classes):
        ours, theirs = (f"{len(c)} classes ({', '.join(c[:3])}, ...)" for c in (model.classes, data.classes))
        raise ArgumentError(
            f"{model.name} has {ours}, but the data has {theirs}; expected the data that it was trained on"
        )


def _are_named(classes: tuple[str, ...]) -> bool:
    """Tell whether classes have names, not only numbers."""
    return classes != tuple(map(str, range(len(classes))))


def sample_evenly(images: Array, count: int) -> Array:
    """Return at most `count` images at equal distances: the set may be sorted by class."""
    if len(images) <= count:
        return images
    return images[np.linspace(0, len(images) - 1, count).astype(np.int64)]


def _accuracies(
    network: Network, quantized: QuantizedNetwork | None, test: Dataset
) -> tuple[float | None, float | None]:
    """Return the accuracy of each program on the test set; of int8, by its integers in NumPy."""
    correct, count = [0, 0], min(len(test), MAX_TEST_IMAGES)
    for start in range(0, count, BATCH_SIZE):
        batch = slice(start, min(start + BATCH_SIZE, count))
        images, labels = test.images[batch], test.labels[batch]
        scores = [run_steps(network, normalize(network, images))[network.output.name]]
        if quantized is not None:
            scores.append(probabilities(quantized, images))
        for i, batch_scores in enumerate(scores):
            correct[i] += int((batch_scores.reshape(len(images), -1).argmax(1) == labels).sum())
    return correct[0] / count, None if quantized is None else correct[1] / count
