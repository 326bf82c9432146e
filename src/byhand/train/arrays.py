"""Plain arrays as a data set: images in the shape that a model takes, labels as class numbers, names or targets."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from numbers import Integral
from typing import Any

import numpy as np

from byhand.data import Dataset
from byhand.data.lazy_images import LazyImages
from byhand.data.text_files import decode_array
from byhand.errors import ArgumentError
from byhand.nn import Model
from byhand.nn.network_input import as_images
from byhand.ops.op import Array


def as_dataset(model: Model, images: Any, labels: Any = None, *, find_classes: bool = False) -> Dataset:
    """Return images and labels as a Dataset; a Dataset, or a pair (images, labels), is taken as one.

    images: (N, H, W, C) uint8 or floating point; gray ones also (N, H, W) or rows (N, H W). labels: integers, which are class
    numbers from 0, or class names, (N,) or (N, 1); soft labels, several labels an image, or numbers, (N, outputs).
    find_classes: labels of a training: where the model's classes have no names but numbers, they get those of the labels. If
    these are integers such as 1, 2, 3, integers are names of this model's classes from then on.
    Raises ShapeError or ArgumentError where they do not fit the model.

    >>> import byhand as bh
    >>> model = bh.models.create("lenet5", classes=2)
    >>> as_dataset(model, np.zeros((3, 28, 28), np.uint8), ["dog", "cat", "dog"], find_classes=True)
    Dataset 'arrays': 3 images 28x28x1 uint8, 2 classes
    >>> model.classes
    ('cat', 'dog')
    """
    if isinstance(images, Dataset) and labels is None:
        return images
    if isinstance(images, Dataset):
        raise ArgumentError(
            f"a Dataset holds its labels, but got {type(labels).__name__} as labels; write fit(train, validation=test)"
        )
    if isinstance(images, tuple) and len(images) == 2 and labels is None:
        images, labels = images
    if labels is None:
        raise ArgumentError(
            f"got a {type(images).__name__} without labels; expected a bh.data.Dataset, or images and labels"
        )
    images = images if isinstance(images, LazyImages) else _images(model, as_images(model, images))
    targets = _labels(model, np.asarray(labels), find_classes)
    return Dataset(images, targets, model.classes, "arrays")


def as_datasets(model: Model, train: Any, test: Any, validation: Any) -> tuple[Dataset, Dataset | None, Dataset | None]:
    """Return the data of a training as data sets; where `train` is an array, `test` is that of its labels."""
    if not isinstance(train, Dataset) and test is not None and not isinstance(test, Dataset):
        train, test = (train, test), None
    train = as_dataset(model, train, find_classes=True)
    test, validation = (None if data is None else as_dataset(model, data) for data in (test, validation))
    return train, test, validation


def has_numbers_for_names(model: Model) -> bool:
    """Return whether a model's classes are unnamed: their names are their numbers, until `fit` finds those of the labels."""
    return not model.classes_are_integers and model.classes == tuple(map(str, range(len(model.classes))))


def _images(model: Model, images: Array) -> Array:
    """Return images with the axes of the model's, in a type that a Dataset holds."""
    shape = model.input_shape
    if shape[-1:] == (1,) and images.shape[1:] in (shape[:-1], (prod(shape),)):
        images = images.reshape(-1, *shape)
    images = model.check(images) if len(images) else images
    return images if images.dtype == np.uint8 else images.astype(np.float32, copy=False)


def _labels(model: Model, labels: Array, find_classes: bool) -> Array:
    """Return labels as class numbers, or as an array of targets."""
    outputs = model.logits.shape[1:]
    if labels.ndim == 2 and labels.shape[1] == 1 and (outputs != (1,) or model.answer.binary):
        labels = labels[:, 0]
    if not model.classes:
        if labels.size == len(labels) * prod(outputs):
            labels = labels.reshape(len(labels), *outputs)
        return labels.astype(np.float32)
    if labels.ndim != 1:
        return labels.astype(np.float32) if labels.dtype.kind in "fiub" else labels
    if labels.dtype.kind == "f" and np.array_equal(labels, np.rint(labels)):  # as a table has them
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "S":
        labels = decode_array(labels)
    if labels.dtype.kind == "b" or (labels.dtype.kind == "O" and all(isinstance(label, Integral) for label in labels)):
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "f" and model.answer.binary:  # the probability of the second class
        return labels.astype(np.float32)[:, None]
    integers = labels.dtype.kind in "iu"
    in_range = integers and (not labels.size or 0 <= labels.min() <= labels.max() < len(model.classes))
    if in_range and not model.classes_are_integers:
        return labels.astype(np.int64)
    found, indices = np.unique(labels, return_inverse=True)
    names = [str(value) for value in found.tolist()]
    if set(names) <= set(model.classes) and (model.classes_are_integers or not integers):
        return _by_name(model.classes, names)[indices]
    if find_classes and has_numbers_for_names(model) and len(names) == len(model.classes):
        model.classes, model.classes_are_integers = tuple(names), integers
        return indices
    if integers and not model.classes_are_integers:
        raise ArgumentError(
            f"labels go from {found[0]} to {found[-1]}, but {model.name} has {len(model.classes)} classes, numbered from 0; "
            "give such numbers, or the names as strings"
        )
    unknown = next(name for name in names if name not in model.classes)
    shown = ", ".join(model.classes[:5]) + (", ..." if len(model.classes) > 5 else "")
    raise ArgumentError(
        f"labels hold {unknown!r} ({len(names)} values in all), none of the {len(model.classes)} classes of {model.name}: "
        f"{shown}"
    )


def _by_name(classes: Sequence[str], names: Sequence[str]) -> Array:
    """Return the index of each name; raises ArgumentError where several classes have it."""
    if repeated := next((name for name in names if classes.count(name) > 1), None):
        raise ArgumentError(f"labels hold {repeated!r}, the name of several classes; give class numbers")
    return np.array([classes.index(name) for name in names], np.int64)
