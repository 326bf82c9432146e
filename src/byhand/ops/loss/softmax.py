"""softmax and softmax_cross_entropy: logits to probabilities, and the mean cross-entropy of logits against labels.

    softmax        q[k] = e^z[k] / sum over j of e^z[j]
    cross-entropy  H(p, q) = -sum over k of p[k] ln q[k]        p: the target distribution, 1 at the label

Both subtract the largest logit first, which changes no result and avoids overflow of e^z. Softmax and cross-entropy are one op
because their joint gradient is one subtraction; the loss is the mean over the N examples:

    d loss / d z[n, k] = (q[n, k] - p[n, k]) / N

Source: Bridle 1990; label smoothing: Szegedy et al. 2015, arXiv 1512.00567.
"""

from math import exp, log, prod
from typing import Any, NamedTuple

import numpy as np

from byhand.errors import ArgumentError, ShapeError
from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.kernels.vector_math import greater
from byhand.ops.op import Array, CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, axes, number

# softmax: dq[k] = q[k] (dz[k] - sum over j of q[j] dz[j]) -------------------------------------------------------------


def softmax_contract(x: Shape) -> CallSpec:
    """Softmax along the last axis: y = e^x / sum e^x, x (..., K).

    >>> import byhand as bh
    >>> bh.softmax([[1000.0, 1000.0]])
    array([[0.5, 0.5]])
    """
    if not x or not x[-1]:
        raise ShapeError(f"x has the shape {x}; expected (..., K)")
    return CallSpec({"y": x}, flops=4 * prod(x))


def softmax_loops(x, y):
    for n in np.ndindex(x.shape[:-1]):
        largest = max(x[n])
        total = 0.0
        for k in range(x.shape[-1]):
            y[*n, k] = exp(x[*n, k] - largest)
            total += y[*n, k]
        for k in range(x.shape[-1]):
            y[*n, k] /= total


def softmax_backward_loops(y, grad_y, grad_x):
    for n in np.ndindex(y.shape[:-1]):
        mean = 0.0
        for k in range(y.shape[-1]):
            mean += y[*n, k] * grad_y[*n, k]
        for k in range(y.shape[-1]):
            grad_x[*n, k] = y[*n, k] * (grad_y[*n, k] - mean)


def softmax_arrays(x, y):
    np.exp(x - x.max(-1, keepdims=True), out=y)
    y /= y.sum(-1, keepdims=True)


def softmax_backward_arrays(y, grad_y, grad_x):
    grad_x[...] = y * (grad_y - (y * grad_y).sum(-1, keepdims=True))


LARGEST, TOTAL, SHIFTED_SUM = range(3)  # columns of the statistics of a row


def rows_per_block(classes):
    """Return how many rows of logits a block does."""
    return max(1, BLOCK_ELEMENTS // classes)


@kernel(reassociate=True)
def softmax_rows(x, y, flat, statistics, block):
    """Write y, and per row its statistics: largest logit, sum of e^(x - largest), sum of x - largest; flat: y as a vector."""
    images, classes = x.shape
    rows = rows_per_block(classes)
    first, end = block * rows, min(images, (block + 1) * rows)
    for n in range(first, end):
        largest = x[n, 0]
        for k in range(classes):
            largest = greater(largest, x[n, k])
        shifted_sum = 0.0
        for k in range(classes):
            difference = x[n, k] - largest
            y[n, k] = difference
            shifted_sum += difference
        statistics[n, LARGEST], statistics[n, SHIFTED_SUM] = largest, shifted_sum
    part = flat[first * classes : end * classes]
    for i in range(part.size):  # across rows: ten classes do not fill a SIMD register
        part[i] = exp(part[i])
    for n in range(first, end):
        total = 0.0
        for k in range(classes):
            total += y[n, k]
        statistics[n, TOTAL], inverse = total, 1.0 / total
        for k in range(classes):
            y[n, k] *= inverse


@kernel(reassociate=True)
def softmax_backward_rows(y, grad_y, grad_x, block):
    rows = rows_per_block(y.shape[1])
    for n in range(block * rows, min(y.shape[0], (block + 1) * rows)):
        mean = 0.0
        for k in range(y.shape[1]):
            mean += y[n, k] * grad_y[n, k]
        for k in range(y.shape[1]):
            grad_x[n, k] = y[n, k] * (grad_y[n, k] - mean)


@compiled
def softmax_compiled(x, y):
    x = x.reshape(-1, x.shape[-1])
    statistics, blocks = scratch(len(x), 3, dtype=x.dtype), cdiv(len(x), rows_per_block(x.shape[1]))
    launch(softmax_rows, blocks, x, y.reshape(x.shape), y.reshape(-1), statistics)


@compiled
def softmax_backward_compiled(y, grad_y, grad_x):
    y = y.reshape(-1, y.shape[-1])
    blocks = cdiv(len(y), rows_per_block(y.shape[1]))
    launch(softmax_backward_rows, blocks, y, grad_y.reshape(y.shape), grad_x.reshape(y.shape))


def softmax_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    return (10 * draw.array(draw.integer(1, 3), draw.integer(1, 3), draw.integer(1, 17)),), {}


softmax = Op(
    "softmax",
    softmax_contract,
    loops=(softmax_loops, softmax_backward_loops),
    arrays=(softmax_arrays, softmax_backward_arrays),
    compiled=(softmax_compiled, softmax_backward_compiled),
    sample=softmax_sample,
)


# softmax_cross_entropy: p is (1 - label_smoothing) at the label, plus label_smoothing / K everywhere ------------------


def cross_entropy_contract(logits: Shape, labels: Shape, *, label_smoothing: float = 0.0) -> CallSpec:
    """Return the mean cross-entropy of softmax(logits) against labels: logits (N, K), labels (N,) -> loss ().

    label_smoothing: the probability that the target spreads evenly over all classes, from 0 up to 1. Unit: nats. Raises
    ShapeError where shapes do not fit.

    >>> import byhand as bh
    >>> round(float(bh.softmax_cross_entropy([[0.0] * 10], [3])), 6)  # ln 10: a uniform prediction
    2.302585
    """
    axes("logits", logits, "N, K")
    if labels != logits[:1]:
        raise ShapeError(f"labels have the shape {labels}; expected {logits[:1]}, one a row of logits {logits}")
    attributes = {"label_smoothing": number("label_smoothing", label_smoothing, 0, 1)}
    return CallSpec({"loss": (), "probabilities": logits}, attributes, flops=6 * prod(logits))


def softmax_cross_entropy_loops(logits, labels, loss, probabilities, *, label_smoothing):
    images, classes = logits.shape
    cross_entropy = 0.0
    for n in range(images):
        largest = max(logits[n])
        total = 0.0
        for k in range(classes):
            probabilities[n, k] = exp(logits[n, k] - largest)
            total += probabilities[n, k]
        for k in range(classes):
            probabilities[n, k] /= total
            target = label_smoothing / classes + (1 - label_smoothing if k == labels[n] else 0)
            if target > 0:
                cross_entropy -= target * (logits[n, k] - largest - log(total))  # ln q, without underflow of q
    loss[...] = cross_entropy / images


def softmax_cross_entropy_backward_loops(probabilities, labels, grad_loss, grad_logits, *, label_smoothing):
    images, classes = probabilities.shape
    for n, k in np.ndindex(images, classes):
        target = label_smoothing / classes + (1 - label_smoothing if k == labels[n] else 0)
        grad_logits[n, k] = grad_loss[()] * (probabilities[n, k] - target) / images


def softmax_cross_entropy_arrays(logits, labels, loss, probabilities, *, label_smoothing):
    shifted = logits - logits.max(-1, keepdims=True)
    np.exp(shifted, out=probabilities)
    total = probabilities.sum(-1, keepdims=True)
    probabilities /= total
    log_q = shifted - np.log(total)
    right = log_q[np.arange(len(labels)), labels]
    loss[...] = -((1 - label_smoothing) * right.mean() + (label_smoothing * log_q.mean() if label_smoothing else 0))


def softmax_cross_entropy_backward_arrays(probabilities, labels, grad_loss, grad_logits, *, label_smoothing):
    images, classes = probabilities.shape
    grad_logits[...] = probabilities - label_smoothing / classes
    grad_logits[np.arange(images), labels] -= 1 - label_smoothing
    grad_logits *= grad_loss / images


class Target(NamedTuple):
    """The target distribution of a row: p = uniform everywhere, and at the label uniform + label."""

    uniform: float  # label_smoothing / K
    label: float  # 1 - label_smoothing


def target_of(label_smoothing, classes):
    """Return the target distribution over so many classes."""
    return Target(label_smoothing / classes, 1.0 - label_smoothing)


@kernel
def mean_cross_entropy(logits, labels, statistics, loss, target, block):
    """Write the mean over rows of -sum p ln q, where ln q = x - largest - ln total."""
    images, classes = logits.shape
    cross_entropy = np.float64(0)
    for n in range(images):
        log_total = log(statistics[n, TOTAL])
        cross_entropy += target.label * (log_total - (logits[n, labels[n]] - statistics[n, LARGEST]))
        if target.uniform > 0.0:
            cross_entropy += target.uniform * (np.float64(classes) * log_total - statistics[n, SHIFTED_SUM])
    loss[()] = cross_entropy / np.float64(images)


@kernel
def loss_backward_rows(probabilities, labels, grad_loss, grad_logits, target, per_image, block):
    images, classes = probabilities.shape
    rows, factor = rows_per_block(classes), grad_loss[()] * per_image
    for n in range(block * rows, min(images, (block + 1) * rows)):
        for k in range(classes):
            p = target.uniform + target.label if k == labels[n] else target.uniform
            grad_logits[n, k] = factor * (probabilities[n, k] - p)


@compiled
def softmax_cross_entropy_compiled(logits, labels, loss, probabilities, *, label_smoothing):
    images, classes = logits.shape
    statistics = scratch(images, 3, dtype=logits.dtype)
    blocks = cdiv(images, rows_per_block(classes))
    launch(softmax_rows, blocks, logits, probabilities, probabilities.reshape(-1), statistics)
    launch(mean_cross_entropy, 1, logits, labels, statistics, loss, target_of(label_smoothing, classes))


@compiled
def softmax_cross_entropy_backward_compiled(probabilities, labels, grad_loss, grad_logits, *, label_smoothing):
    images, classes = probabilities.shape
    blocks, target = cdiv(images, rows_per_block(classes)), target_of(label_smoothing, classes)
    launch(loss_backward_rows, blocks, probabilities, labels, grad_loss, grad_logits, target, 1.0 / images)


def check_labels(labels: Any, classes: int) -> Array:
    """Return labels as int64; raise an ArgumentError for one that is not a class index from 0."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise ArgumentError(f"labels hold {labels.dtype}; expected whole numbers, 0 to {classes - 1}")
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        wrong = labels[(labels < 0) | (labels >= classes)].flat[0]
        raise ArgumentError(f"labels hold {wrong}, but there are {classes} classes; expected 0 to {classes - 1}")
    result: Array = labels.astype(np.int64, copy=False)
    return result


def cross_entropy_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    images, classes = draw.integer(1, 4), draw.integer(1, 17)
    logits, labels = 10 * draw.array(images, classes), draw.integers(images, below=classes)
    return (logits, labels), {"label_smoothing": draw.choice([0.0, 0.1])}


softmax_cross_entropy = Op(
    "softmax_cross_entropy",
    cross_entropy_contract,
    loops=(softmax_cross_entropy_loops, softmax_cross_entropy_backward_loops),
    arrays=(softmax_cross_entropy_arrays, softmax_cross_entropy_backward_arrays),
    compiled=(softmax_cross_entropy_compiled, softmax_cross_entropy_backward_compiled),
    sample=cross_entropy_sample,
    dtypes={"labels": np.int64},
    check=lambda inputs: check_labels(inputs["labels"], inputs["logits"].shape[-1]),
)
