"""The input of the training doctor: a network, its predictions and learning curves, and quantities derived from it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any, Literal

import numpy as np

from byhand.data import Dataset
from byhand.errors import ArgumentError
from byhand.kernels import cdiv
from byhand.nn import Model
from byhand.ops.op import Array
from byhand.report.metrics import Predictions, confusion_matrix, predictions_of
from byhand.text import class_labels

Severity = Literal["serious", "warning", "note"]
Subset = Literal["training", "evaluation"]
ImageNote = tuple[Subset, int, str]  # an image's subset, its index, and what to say about it
TRACE_MAX_IMAGES = 64
TRACE_MIN_IMAGES = 16  # fewer don't tell a dead unit from a rare one
TRACE_MAX_ELEMENTS = 2**26  # activations and gradients in memory
INPUT_MAX_PIXELS = 2**24  # of the images whose scale is measured
INPUT_MAX_IMAGES = 256
RESCORE_MAX_FLOPS = 1e12  # of predicting training images again: some ten seconds
METHODS = ("augmentation", "weight decay", "dropout", "transfer learning")  # that advice names
CURVE_PARTS = 10  # parts of a learning curve that has fewer epochs than that
PART_MIN_IMAGES = 500  # below, the mean loss of a part is dominated by chance


@dataclass(frozen=True)
class Finding:
    """A problem of a training, or a likely one.

    name: the problem; severity: "serious" (the result is unusable), "warning" or "note"; evidence: the measured numbers;
    advice: what to try; images: the images that show it.
    """

    name: str
    severity: Severity
    evidence: str
    advice: str
    images: tuple[ImageNote, ...] = ()


def check_learns_classes(what: str, model: Model) -> None:
    """Raise ArgumentError where a network does not tell one of several classes, by a softmax of its logits."""
    if not model.learns_classes:
        why = "gives labels" if model.task == "labels" else "has no classes to learn"
        raise ArgumentError(f"{what}: {model.name} {why}; expected a classifier, one of several classes")


@dataclass(frozen=True, eq=False)
class DiagnosisInput:
    """One training: what `examine` receives, and derived quantities that the checks share.

    held_out: images that the network was not trained on, logits: (N, classes) of them; history: a row per epoch; curve: (epoch,
    loss, accuracy) at many points within the epochs; train: the training images, train_logits: their logits, where known;
    methods: of METHODS, those that the training used, which no advice repeats; None: not known.
    """

    model: Model
    held_out: Dataset
    logits: Array
    history: Sequence[Mapping[str, Any]] = ()
    curve: Sequence[Sequence[float]] = ()
    train: Dataset | None = None
    train_logits: Array | None = None
    methods: Collection[str] | None = None

    @cached_property
    def predictions(self) -> Predictions:
        """The predictions for the held-out images."""
        return predictions_of(self.logits, self.held_out.labels)

    @cached_property
    def confusion(self) -> Array:
        """The confusion matrix of the held-out images, (K, K), rows the true classes."""
        return confusion_matrix(self.predictions.labels, self.predictions.predicted, len(self.model.classes))

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """A name of each class, on one line and short enough for a sentence; with the class's index where names repeat."""
        return tuple(class_labels(self.model.classes))

    @cached_property
    def held_out_prefix(self) -> str:
        """The prefix of the held-out columns in the history, "test" or "val"; "" where there are none."""
        for prefix in ("test", "val"):
            if any(f"{prefix}_loss" in row for row in self.history):
                return prefix
        return ""

    @cached_property
    def judged_epoch(self) -> int:
        """The epoch whose network is judged, from 1: the best one on the validation images, else the last; 0: not known."""
        return judged_epoch(self.history)

    def advice(self, *parts: tuple[str, str]) -> str:
        """Return advice without the parts that the training did already: each a text and its method, "" for none."""
        return "; ".join(text for text, method in parts if not method or method not in (self.methods or ()))

    @property
    def held_out_name(self) -> str:
        """The held-out images' name in a sentence: test, validation or evaluation."""
        return {"test": "test", "val": "validation"}.get(self.held_out_prefix, "evaluation")

    def subset_name(self, subset: Subset) -> str:
        """Return a subset's name in a sentence."""
        return subset if subset == "training" else self.held_out_name

    @cached_property
    def class_counts(self) -> Array:
        """The number of training images of each class; without training images, of held-out images."""
        labels = (self.held_out if self.train is None else self.train).labels
        return np.bincount(labels, minlength=len(self.model.classes))

    @cached_property
    def chance_loss(self) -> float:
        """The entropy of the class distribution: the loss of a constant predictor; ln K for K equally frequent classes."""
        p = self.class_counts[self.class_counts > 0] / self.class_counts.sum()
        return float(-(p * np.log(p)).sum())

    @cached_property
    def training_losses(self) -> list[float]:
        """The training loss by epoch; of fewer than ten epochs, of each tenth of the curve, if a tenth covers enough images."""
        losses = [float(row["loss"]) for row in self.history]
        enough_images = self.train is None or len(losses) * len(self.train) >= PART_MIN_IMAGES * CURVE_PARTS
        if len(losses) < CURVE_PARTS and len(self.curve) >= 2 * CURVE_PARTS and enough_images:
            return [float(np.mean([point[1] for point in part])) for part in _tenths(self.curve)]
        return losses

    @cached_property
    def final_loss(self) -> float | None:
        """The training loss at the end; None without history and curve."""
        return self.training_losses[-1] if self.training_losses else None

    @cached_property
    def train_indices(self) -> Array:
        """The training images that are predicted again: all, or a random sample within RESCORE_MAX_FLOPS."""
        if self.train is None:
            return np.zeros(0, np.int64)
        if self.train_logits is not None:
            return np.arange(len(self.train))
        budget = int(RESCORE_MAX_FLOPS / max(1, self.model.summary().flops))
        return _sample(len(self.train), max(TRACE_MAX_IMAGES, budget))

    @cached_property
    def train_sample_logits(self) -> Array:
        """The trained network's logits for the training images of `train_indices`."""
        assert self.train is not None
        if self.train_logits is not None:
            return self.train_logits
        chunk = max(1, TRACE_MAX_ELEMENTS // self.train.images[0].size)  # fancy indexing copies the images
        chunks = np.array_split(self.train_indices, cdiv(len(self.train_indices), chunk))
        return np.concatenate([self.model.logits_of(self.train.images[indices]) for indices in chunks])

    @cached_property
    def train_predictions(self) -> Predictions | None:
        """The trained network's predictions for the training images of `train_indices`; None without training images."""
        if self.train is None or not len(self.train):
            return None
        return predictions_of(self.train_sample_logits, self.train.labels[self.train_indices])

    @cached_property
    def network_inputs(self) -> Array:
        """A sample of images after preprocessing, as the first layer receives them."""
        images = (self.held_out if self.train is None else self.train).images
        count = max(1, min(INPUT_MAX_IMAGES, INPUT_MAX_PIXELS // images[0].size))
        return self.model.prepare(images[_sample(len(images), count)])

    @cached_property
    def trace(self) -> dict[str, Array]:
        """All activations and gradients of one forward and backward pass in training mode over a sample of images, by name."""
        data = self.held_out if self.train is None else self.train
        _, shapes = self.model.graph.plan(2, training=True)  # batch norm has no variance over one number
        elements = sum(prod(shapes[tensor.name]) for tensor in self.model.graph.of_kind("value")) // 2
        count = max(2, min(TRACE_MAX_IMAGES, TRACE_MAX_ELEMENTS // (4 * elements)))  # values, gradients, a copy of both
        indices = np.resize(_sample(len(data), count), max(2, min(count, len(data))))  # a single image twice
        return self.model.trace(data.images[indices], data.labels[indices])

    def activations(self) -> Iterator[dict[str, Array]]:
        """Yield `trace`; where it holds fewer than TRACE_MIN_IMAGES images, also the activations of further images."""
        yield self.trace
        data, step = self.held_out if self.train is None else self.train, len(self.trace["labels"])
        for end in range(2 * step, min(len(data), TRACE_MIN_IMAGES) + step, step):
            yield self.model.trace(data.images[np.setdiff1d(_sample(len(data), end), _sample(len(data), end - step))])


def judged_epoch(history: Sequence[Mapping[str, Any]]) -> int:
    """Return the epoch whose network a training keeps: the best one on the validation images, else the last; 0: no history.

    The best epoch has the highest validation accuracy, and among equal ones the smallest validation loss: as in `Trainer.fit`.

    >>> judged_epoch([{"epoch": 1, "val_accuracy": 1, "val_loss": 0.2}, {"epoch": 2, "val_accuracy": 1, "val_loss": 0.3}])
    1
    """
    rows = [row for row in history if "val_accuracy" in row and "val_loss" in row]
    if rows:
        return int(max(rows, key=lambda row: (row["val_accuracy"], -row["val_loss"]))["epoch"])
    return int(history[-1]["epoch"]) if history else 0


def percent(fraction: float) -> str:
    """Return a probability as text; one that is close to 0 or 1 but not equal to it does not look equal.

    >>> [percent(fraction) for fraction in (0.5, 0.99996, 1.0, 1e-9)]
    ['50.0%', '>99.9%', '100%', '<0.1%']
    """
    if not np.isfinite(fraction):
        return "–"
    if fraction in (0, 1):
        return f"{fraction:.0%}"
    return "<0.1%" if fraction < 0.0005 else ">99.9%" if fraction >= 0.9995 else f"{fraction:.1%}"


def _sample(count: int, size: int) -> Array:
    """Return `size` sorted indices below `count`, drawn at random: images are often sorted by class."""
    return np.sort(np.random.default_rng(0).permutation(count)[:size])


def _tenths(points: Sequence[Sequence[float]]) -> list[Sequence[Sequence[float]]]:
    ends = [round(i * len(points) / CURVE_PARTS) for i in range(CURVE_PARTS + 1)]
    return [points[start:end] for start, end in pairwise(ends)]
