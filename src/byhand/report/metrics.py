"""Classification metrics from logits: confusion matrix, loss, precision, recall, F1, calibration, likely label errors.

Arrays in, arrays out. N is the number of images, K the number of classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from byhand.errors import ArgumentError, ShapeError
from byhand.ops.loss.softmax import check_labels
from byhand.ops.op import Array

CALIBRATION_BINS = 15  # as Guo et al. 2017
CHUNK_ELEMENTS = 2**20  # probabilities in memory at a time
MIN_MISTAKE_SCALE = 0.02  # a smaller fraction of a class is no strong color
Z_95 = 1.959964  # standard deviations on either side of the mean that hold 95% of a normal distribution


@dataclass(frozen=True, eq=False)
class Predictions:
    """A network's predictions for N images; each field is an array (N,).

    labels: the true class; predicted: the most probable class, confidence: its probability; runner_up: the second most
    probable; margin: the difference of the two probabilities; label_probability: the true class's probability; loss: the cross
    entropy, -ln label_probability, in nats.
    """

    labels: Array
    predicted: Array
    confidence: Array
    runner_up: Array
    margin: Array
    label_probability: Array
    loss: Array

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def correct(self) -> Array:
        """Which predictions are correct, (N,) bool."""
        return np.equal(self.predicted, self.labels)

    @property
    def accuracy(self) -> float:
        """The fraction of correct predictions."""
        return float(self.correct.mean())


def predictions_of(logits: Array, labels: Array) -> Predictions:
    """Return the predictions of logits (N, K) for images with labels (N,), computed in float64, chunk by chunk.

    Of a single class the runner-up is the class itself and the margin 1. Raises ShapeError where the shapes don't match,
    ArgumentError for no image, a label out of range, or logits that are NaN or infinite.

    >>> predictions = predictions_of(np.log([[0.7, 0.2, 0.1], [0.4, 0.0625, 0.5375]]), np.array([0, 1]))
    >>> predictions.predicted.tolist(), predictions.runner_up.tolist(), predictions.margin.round(4).tolist()
    ([0, 2], [1, 0], [0.5, 0.1375])
    >>> (predictions.loss / np.log(2)).round(4).tolist()  # in bits
    [0.5146, 4.0]
    """
    logits = np.asarray(logits)
    if logits.ndim != 2 or not logits.size:
        raise ShapeError(f"predictions_of: logits have the shape {logits.shape}; expected (N, classes), none of them 0")
    images, classes = logits.shape
    labels = check_labels(labels, classes)
    if labels.shape != (images,):
        raise ShapeError(
            f"predictions_of: labels have the shape {labels.shape}; expected ({images},), one per row of logits"
        )
    columns = {name: np.empty(images) for name in ("confidence", "margin", "label_probability", "loss")}
    predicted, runner_up = np.empty(images, np.int64), np.empty(images, np.int64)
    rows = max(1, CHUNK_ELEMENTS // classes)
    for start in range(0, images, rows):
        part = slice(start, start + rows)
        log_p = _log_softmax(logits[part])
        row = np.arange(len(log_p))
        predicted[part] = first = log_p.argmax(1)
        log_label, log_first = log_p[row, labels[part]], log_p[row, first]
        log_p[row, first] = -np.inf
        runner_up[part] = second = log_p.argmax(1)
        columns["confidence"][part] = np.exp(log_first)
        columns["margin"][part] = np.exp(log_first) - np.exp(log_p[row, second])
        columns["label_probability"][part], columns["loss"][part] = np.exp(log_label), -log_label
    return Predictions(labels, predicted, runner_up=runner_up, **columns)


def worst_mistakes(predictions: Predictions, count: int) -> Array:
    """Return the indices of at most `count` wrong predictions, the largest loss first."""
    wrong = np.flatnonzero(~predictions.correct)
    return wrong[np.argsort(-predictions.loss[wrong], kind="stable")[:count]]


def most_uncertain(predictions: Predictions, count: int) -> Array:
    """Return the indices of at most `count` predictions, the smallest margin first (margin sampling of active learning).

    Source: Scheffer, Decomain & Wrobel 2001, "Active Hidden Markov Models".
    """
    if not predictions.margin.min() < 1:
        return np.zeros(0, np.int64)
    return np.argsort(predictions.margin, kind="stable")[:count]


# Confusion ------------------------------------------------------------------------------------------------------------


def confusion_matrix(labels: Array, predictions: Array, classes: int) -> Array:
    """Count how often class i (row) was predicted as class j (column): two arrays (N,) -> (classes, classes).

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    labels, predictions = check_labels(labels, classes), check_labels(predictions, classes)
    if labels.shape != predictions.shape:
        raise ArgumentError(f"confusion_matrix: got {len(labels)} labels for {len(predictions)} predictions")
    return np.bincount(labels * classes + predictions, minlength=classes**2).reshape(classes, classes)


def top_confusions(matrix: Array, classes: Sequence[str], count: int = 3) -> list[tuple[str, str, int]]:
    """Return the most frequent confusions: (true class, predicted class, number of images) each."""
    wrong = matrix * (1 - np.eye(len(matrix), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    pairs = [np.unravel_index(index, wrong.shape) for index in order]
    return [(classes[i], classes[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]]


def mistake_scale(mistakes: Array) -> float:
    """Return the fraction of a class that the strongest color of a mistake stands for; mistakes (K, K): fractions of the rows.

    At least 2 / K², half of the class for two classes: a network that is right on 95% does not look as if it failed.

    >>> float(mistake_scale(np.array([[0, 0.05], [0.02, 0]]))), float(mistake_scale(np.array([[0, 0.9], [0.1, 0]])))
    (0.5, 0.9)
    """
    return max(MIN_MISTAKE_SCALE, 2 / len(mistakes) ** 2, float(mistakes.max()))


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Per-class metrics; each field is an array (K,), NaN where the denominator is 0.

    precision: TP / (TP + FP); recall: TP / (TP + FN); f1: their harmonic mean; support: the images of the class.
    """

    precision: Array
    recall: Array
    f1: Array
    support: Array


def precision_recall_f1(matrix: Array) -> ClassScores:
    """Return precision, recall and F1 of each class from a confusion matrix (K, K) whose rows are the true classes.

    >>> scores = precision_recall_f1(np.array([[8, 2], [0, 10]]))
    >>> scores.precision.round(3).tolist(), scores.recall.tolist()
    ([1.0, 0.833], [0.8, 1.0])
    """
    true_positives, support, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    with np.errstate(invalid="ignore"):
        f1 = 2 * true_positives / (predicted + support)
        return ClassScores(true_positives / predicted, true_positives / support, f1, support)


# Label errors ---------------------------------------------------------------------------------------------------------


def find_label_issues(logits: Array, predictions: Predictions) -> tuple[Array, Array]:
    """Return the images whose label is likely wrong, the largest loss first, and the class that each looks like.

    t[j] = the mean probability of class j over the images labeled j. An image looks like the most probable of the classes
    whose probability reaches their t[j]; its label is an issue where that is another class.

    Source: Northcutt, Jiang & Chuang 2019, "Confident Learning", arXiv 1911.00068: the off-diagonal of the confident joint.
    The method expects out-of-sample probabilities; on training images it finds fewer issues.

    >>> logits = np.log([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95]])
    >>> find_label_issues(logits, predictions_of(logits, np.array([0, 0, 1, 1, 0])))
    (array([4]), array([1]))
    """
    images, classes = logits.shape
    support = np.bincount(predictions.labels, minlength=classes)
    total = np.bincount(predictions.labels, predictions.label_probability, classes)
    threshold = np.where(support > 0, total / np.maximum(support, 1), np.inf)
    looks_like = np.full(images, -1)
    rows = max(1, CHUNK_ELEMENTS // classes)
    for start in range(0, images, rows):
        p = np.exp(_log_softmax(logits[start : start + rows]))
        p[p < threshold] = -1
        looks_like[start : start + rows] = np.where(p.max(1) >= 0, p.argmax(1), -1)
    issues = np.flatnonzero((looks_like >= 0) & (looks_like != predictions.labels))
    issues = issues[np.argsort(-predictions.loss[issues], kind="stable")]
    return issues, looks_like[issues]


# Calibration ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Calibration:
    """A reliability diagram: per bin of equal width the number of images, their mean confidence and their accuracy.

    error: the expected calibration error (ECE), the sum over the bins of n / N |accuracy - confidence|.
    """

    count: Array
    confidence: Array
    accuracy: Array
    error: float

    @property
    def overconfidence(self) -> float:
        """The mean confidence minus the accuracy: positive for an overconfident network, negative for an underconfident one."""
        used = self.count > 0
        return float(np.average((self.confidence - self.accuracy)[used], weights=self.count[used]))


def calibration(confidence: Array, correct: Array, bins: int = CALIBRATION_BINS) -> Calibration:
    """Return the calibration of N predictions: confidence (N,) from 0 to 1, correct (N,) bool; an empty bin holds NaN.

    Source: Guo, Pleiss, Sun & Weinberger 2017, arXiv 1706.04599: bin m holds the confidences in ((m - 1) / M, m / M].

    >>> calibration(np.array([0.9, 0.9, 0.9, 0.9]), np.array([True, True, True, False])).error
    0.15
    """
    if len(confidence) != len(correct) or not len(confidence):
        raise ArgumentError(
            f"calibration: got {len(confidence)} confidences for {len(correct)} predictions; expected as many, one at least"
        )
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence, accuracy = (np.bincount(index, values, bins) / count for values in (confidence, correct))
    error = float(np.nansum(count * np.abs(accuracy - mean_confidence)) / len(confidence))
    return Calibration(count, mean_confidence, accuracy, round(error, 12))


def wilson_interval(correct: int, images: int) -> tuple[float, float]:
    """Return the 95% confidence interval of an accuracy, for `correct` of `images` predictions.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference"; it holds near 0 and 1 too.

    >>> [round(end, 3) for end in wilson_interval(9, 10)]
    [0.596, 0.982]
    """
    p, z2 = correct / images, Z_95**2
    middle = p + z2 / (2 * images)
    half = Z_95 * sqrt(p * (1 - p) / images + z2 / (4 * images**2))
    low, high = ((middle + side * half) / (1 + z2 / images) for side in (-1, 1))
    return max(0.0, low), min(1.0, high)


def _log_softmax(logits: Array) -> Array:
    """Return ln softmax of each row, a copy in float64."""
    z = np.array(logits, np.float64)
    if not np.isfinite(z).all():
        raise ArgumentError("the logits hold NaN or infinity: the training diverged; try a smaller learning rate")
    z -= z.max(1, keepdims=True)
    z -= np.log(np.exp(z).sum(1, keepdims=True))
    return z
