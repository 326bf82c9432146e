"""How good the answers are: each image's, each class's, and whether a probability keeps its word; arrays in, arrays out."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from byhand.errors import ArgumentError, ShapeError
from byhand.ops.loss.softmax import check_labels
from byhand.ops.op import Array

BINS = 15  # as many as Guo et al. 2017 take
CHUNK = 2**20  # probabilities that are in memory at a time
NORMAL = 1.959964  # of the standard normal distribution, 95 % lie within so many deviations


@dataclass(frozen=True, eq=False)
class Judged:
    """What a network said of N images, an array (N,) each.

    labels; taken: the likeliest class, confidence: its probability; second: the next; margin: by how much its probability is
    smaller; of_label: the label's probability, loss: -ln of that, in nats.
    """

    labels: Array
    taken: Array
    confidence: Array
    second: Array
    margin: Array
    of_label: Array
    loss: Array

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> Array:
        """Which images were taken for what they are, (N,)."""
        return np.equal(self.taken, self.labels)

    @property
    def accuracy(self) -> float:
        """The part that is right."""
        return float(self.right.mean())


def judge(logits: Array, labels: Array) -> Judged:
    """Return what logits (N, K) say of N images with labels (N,), computed in float64, some rows at a time.

    Of one class, the second is the first and the margin 1. Raises ShapeError where shapes don't fit, ArgumentError for no
    image, a label that is no class, or a logit that is no number.

    >>> judged = judge(np.log([[0.7, 0.2, 0.1], [0.4, 0.0625, 0.5375]]), np.array([0, 1]))
    >>> judged.taken.tolist(), judged.second.tolist(), judged.margin.round(4).tolist()
    ([0, 2], [1, 0], [0.5, 0.1375])
    >>> (judged.loss / np.log(2)).round(4).tolist()  # in bits
    [0.5146, 4.0]
    """
    logits = np.asarray(logits)
    if logits.ndim != 2 or not logits.size:
        raise ShapeError(f"judge: logits have the shape {logits.shape}; expected (N, classes), none of them 0")
    images, classes = logits.shape
    labels = check_labels(labels, classes)
    if labels.shape != (images,):
        raise ShapeError(f"judge: labels have the shape {labels.shape}; expected ({images},), one a row of logits")
    columns = {name: np.empty(images) for name in ("confidence", "margin", "of_label", "loss")}
    taken, second = np.empty(images, np.int64), np.empty(images, np.int64)
    rows = max(1, CHUNK // classes)
    for start in range(0, images, rows):
        part = slice(start, start + rows)
        z = _log_softmax(logits[part])
        here = np.arange(len(z))
        taken[part] = first = z.argmax(1)
        own, best = z[here, labels[part]], z[here, first]
        z[here, first] = -np.inf
        second[part] = after = z.argmax(1)
        columns["confidence"][part] = np.exp(best)
        columns["margin"][part] = np.exp(best) - np.exp(z[here, after])
        columns["of_label"][part], columns["loss"][part] = np.exp(own), -own
    return Judged(labels, taken, second=second, **columns)


def worst(judged: Judged, most: int) -> Array:
    """Return the images that are wrong, the largest loss first, at most so many."""
    wrong = np.flatnonzero(~judged.right)
    return wrong[np.argsort(-judged.loss[wrong], kind="stable")[:most]]


def uncertain(judged: Judged, most: int) -> Array:
    """Return the images with the smallest margin between the two likeliest classes, the smallest first, at most so many.

    Source: Scheffer, Decomain & Wrobel 2001, "Active Hidden Markov Models", for what to label next.
    """
    if not judged.margin.min() < 1:
        return np.zeros(0, np.int64)
    return np.argsort(judged.margin, kind="stable")[:most]


def suspects(logits: Array, judged: Judged) -> tuple[Array, Array]:
    """Return the images whose label looks wrong, the largest loss first, and the class that each looks like.

    t[j] = the mean probability of class j among the images labelled j. An image looks like the likeliest of the classes
    whose probability is at least their t[j]; suspect is one that looks like another class than its label.

    Source: Northcutt, Jiang & Chuang 2019, "Confident Learning", arXiv 1911.00068: this is the confident joint off its
    diagonal. It asks for probabilities of images that were not trained on; of those that were, it finds fewer.

    >>> logits = np.log([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95]])
    >>> suspects(logits, judge(logits, np.array([0, 0, 1, 1, 0])))
    (array([4]), array([1]))
    """
    images, classes = logits.shape
    count = np.bincount(judged.labels, minlength=classes)
    total = np.bincount(judged.labels, judged.of_label, classes)
    threshold = np.where(count > 0, total / np.maximum(count, 1), np.inf)
    looks = np.full(images, -1)
    rows = max(1, CHUNK // classes)
    for start in range(0, images, rows):
        q = np.exp(_log_softmax(logits[start : start + rows]))
        q[q < threshold] = -1
        looks[start : start + rows] = np.where(q.max(1) >= 0, q.argmax(1), -1)
    found = np.flatnonzero((looks >= 0) & (looks != judged.labels))
    found = found[np.argsort(-judged.loss[found], kind="stable")]
    return found, looks[found]


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Each class's scores, an array (K,) each; NaN where there is nothing to divide by.

    precision: of what was taken for the class, the part that is; recall: of what is, the part that was taken for it;
    f1: their harmonic mean; support: how many images are.
    """

    precision: Array
    recall: Array
    f1: Array
    support: Array


def class_scores(matrix: Array) -> ClassScores:
    """Return precision, recall and F1 of each class from a confusion matrix (K, K), rows the truth.

    >>> scores = class_scores(np.array([[8, 2], [0, 10]]))
    >>> scores.precision.round(3).tolist(), scores.recall.tolist()
    ([1.0, 0.833], [0.8, 1.0])
    """
    right, is_so, said = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    with np.errstate(invalid="ignore"):
        return ClassScores(right / said, right / is_so, 2 * right / (said + is_so), is_so)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Whether probabilities keep their word, in bins of equal width: how many images, their mean confidence, the part right.

    error: the expected calibration error, sum over the bins of n / N |right - confidence|.
    """

    count: Array
    confidence: Array
    right: Array
    error: float

    @property
    def excess(self) -> float:
        """By how much the mean confidence is above the accuracy: the network is too sure (> 0), or not sure enough."""
        held = self.count > 0
        return float(np.average((self.confidence - self.right)[held], weights=self.count[held]))


def calibration(confidence: Array, right: Array, bins: int = BINS) -> Calibration:
    """Return the calibration of N answers: confidence (N,) from 0 to 1, right (N,) true or false; NaN in an empty bin.

    Source: Guo, Pleiss, Sun & Weinberger 2017, arXiv 1706.04599: bin m holds the confidences in ((m - 1) / M, m / M].

    >>> calibration(np.array([0.9, 0.9, 0.9, 0.9]), np.array([True, True, True, False])).error
    0.15
    """
    if len(confidence) != len(right) or not len(confidence):
        raise ArgumentError(
            f"calibration: got {len(confidence)} confidences for {len(right)} answers; expected as many"
        )
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean, part = (np.bincount(place, values, bins) / count for values in (confidence, right))
    error = float(np.nansum(count * np.abs(part - mean)) / len(confidence))
    return Calibration(count, mean, part, round(error, 12))


def interval(right: int, images: int) -> tuple[float, float]:
    """Return between what the accuracy lies with 95 % confidence, for so many right of so many images.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference"; it holds near 0 and 1 too.

    >>> [round(end, 3) for end in interval(9, 10)]
    [0.596, 0.982]
    """
    share, z2 = right / images, NORMAL**2
    middle = share + z2 / (2 * images)
    half = NORMAL * sqrt(share * (1 - share) / images + z2 / (4 * images**2))
    low, high = ((middle + side * half) / (1 + z2 / images) for side in (-1, 1))
    return max(0.0, low), min(1.0, high)


def _log_softmax(logits: Array) -> Array:
    """Return ln softmax of rows, a copy in float64."""
    z = np.array(logits, np.float64)
    if not np.isfinite(z).all():
        raise ArgumentError(
            "judge: the logits hold NaN or infinity; the training diverged: try a smaller learning rate"
        )
    z -= z.max(1, keepdims=True)
    z -= np.log(np.exp(z).sum(1, keepdims=True))
    return z
