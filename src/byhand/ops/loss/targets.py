"""Losses against an array of targets: soft_target_cross_entropy, sigmoid_cross_entropy and mse_loss.

    soft_target_cross_entropy   L = -(1 / N) sum over n, k of t[n, k] ln softmax(z[n])[k]    t: weighted distributions
    sigmoid_cross_entropy       L = (1 / M) sum over i of (1 - t[i]) z[i] + ln(1 + e^-z[i])  t: from 0 to 1, M of them
    mse_loss                    L = (1 / M) sum over i of (z[i] - t[i])^2

The gradients of the first two are differences of probabilities and targets:

    dL / dz[n, k] = (q[n, k] sum over j of t[n, j] - t[n, k]) / N       q = softmax(z)
    dL / dz[i]    = (q[i] - t[i]) / M                                   q = sigmoid(z)
    dL / dz[i]    = 2 (z[i] - t[i]) / M

Each also writes what the network predicts, q or a copy of z, which backward reads.
PyTorch: cross_entropy with probabilities as targets, binary_cross_entropy_with_logits, mse_loss.

Source: Goodfellow, Bengio & Courville 2016, "Deep Learning", section 6.2.2: each is the negative log-likelihood
of an output unit.
"""

from math import exp, log, log1p, prod

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import cdiv, compiled, kernel, launch, scratch
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.ops.loss.softmax import LARGEST, TOTAL, rows_per_block, softmax_rows
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, axes

# soft_target_cross_entropy --------------------------------------------------------------------------------------------


def soft_target_contract(logits: Shape, targets: Shape) -> CallSpec:
    """Return the mean cross-entropy of softmax(logits) against distributions: logits, targets (N, K) -> loss ().

    Targets need not sum to 1: a row of weight w counts w times. Unit: nats. Raises ShapeError where shapes do not fit.

    >>> import byhand as bh
    >>> round(float(bh.soft_target_cross_entropy([[0.0, 0.0]], [[0.5, 0.5]])), 6)  # ln 2
    0.693147
    """
    axes("logits", logits, "N, K")
    check_targets("logits", logits, targets)
    return CallSpec({"loss": (), "probabilities": logits}, flops=6 * prod(logits))


def check_targets(name: str, shape: Shape, targets: Shape) -> None:
    """Raise ShapeError unless targets have the shape of what they are compared with, and there is one."""
    if targets != shape or 0 in shape:
        raise ShapeError(f"targets have the shape {targets}; expected that of {name}, {shape}, without an empty axis")


def soft_target_cross_entropy_loops(logits, targets, loss, probabilities):
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
            cross_entropy -= targets[n, k] * (logits[n, k] - largest - log(total))
    loss[...] = cross_entropy / images


def soft_target_cross_entropy_backward_loops(probabilities, targets, grad_loss, grad_logits):
    images, classes = probabilities.shape
    for n in range(images):
        weight = 0.0
        for k in range(classes):
            weight += targets[n, k]
        for k in range(classes):
            grad_logits[n, k] = grad_loss[()] * (probabilities[n, k] * weight - targets[n, k]) / images


def soft_target_cross_entropy_arrays(logits, targets, loss, probabilities):
    shifted = logits - logits.max(-1, keepdims=True)
    np.exp(shifted, out=probabilities)
    total = probabilities.sum(-1, keepdims=True)
    probabilities /= total
    log_q = shifted - np.log(total)
    loss[...] = -(targets * log_q).sum() / len(logits)


def soft_target_cross_entropy_backward_arrays(probabilities, targets, grad_loss, grad_logits):
    weights = targets.sum(-1, keepdims=True)
    grad_logits[...] = (probabilities * weights - targets) * (grad_loss / len(targets))


@kernel
def soft_target_mean(logits, targets, statistics, loss, block):
    """Write the mean over rows of -sum t ln q, where ln q = x - largest - ln total."""
    images, classes = logits.shape
    cross_entropy = np.float64(0)
    for n in range(images):
        log_total = log(statistics[n, TOTAL])
        for k in range(classes):
            cross_entropy += targets[n, k] * (log_total - (logits[n, k] - statistics[n, LARGEST]))
    loss[()] = cross_entropy / np.float64(images)


@kernel
def soft_target_backward_rows(probabilities, targets, grad_loss, grad_logits, per_image, block):
    images, classes = probabilities.shape
    rows, factor = rows_per_block(classes), grad_loss[()] * per_image
    for n in range(block * rows, min(images, (block + 1) * rows)):
        weight = grad_loss[()] * 0.0
        for k in range(classes):
            weight += targets[n, k]
        for k in range(classes):
            grad_logits[n, k] = factor * (probabilities[n, k] * weight - targets[n, k])


@compiled
def soft_target_cross_entropy_compiled(logits, targets, loss, probabilities):
    images, classes = logits.shape
    statistics = scratch(images, 3, dtype=logits.dtype)
    blocks = cdiv(images, rows_per_block(classes))
    launch(softmax_rows, blocks, logits, probabilities, probabilities.reshape(-1), statistics)
    launch(soft_target_mean, 1, logits, targets, statistics, loss)


@compiled
def soft_target_cross_entropy_backward_compiled(probabilities, targets, grad_loss, grad_logits):
    images, classes = probabilities.shape
    blocks = cdiv(images, rows_per_block(classes))
    launch(soft_target_backward_rows, blocks, probabilities, targets, grad_loss, grad_logits, 1.0 / images)


def soft_target_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    images, classes = draw.integer(1, 4), draw.integer(1, 17)
    return (10 * draw.array(images, classes), np.abs(draw.array(images, classes))), {}


soft_target_cross_entropy = Op(
    "soft_target_cross_entropy",
    soft_target_contract,
    loops=(soft_target_cross_entropy_loops, soft_target_cross_entropy_backward_loops),
    arrays=(soft_target_cross_entropy_arrays, soft_target_cross_entropy_backward_arrays),
    compiled=(soft_target_cross_entropy_compiled, soft_target_cross_entropy_backward_compiled),
    sample=soft_target_sample,
)


# sigmoid_cross_entropy: |z| keeps e^z from overflowing, as ln(1 + e^-z) = max(-z, 0) + ln(1 + e^-|z|) ------------------


def sigmoid_cross_entropy_contract(logits: Shape, targets: Shape) -> CallSpec:
    """Return the mean binary cross-entropy of sigmoid(logits) against targets from 0 to 1: any shape, both the same -> loss ().

    Unit: nats. Raises ShapeError where shapes do not fit.

    >>> import byhand as bh
    >>> round(float(bh.sigmoid_cross_entropy([0.0], [1.0])), 6)  # ln 2
    0.693147
    """
    check_targets("logits", logits, targets)
    return CallSpec({"loss": (), "probabilities": logits}, flops=8 * prod(logits))


def sigmoid_cross_entropy_loops(logits, targets, loss, probabilities):
    cross_entropy = 0.0
    for i in np.ndindex(logits.shape):
        small = exp(-abs(logits[i]))
        probabilities[i] = (1.0 if logits[i] >= 0 else small) / (1.0 + small)
        cross_entropy += (1 - targets[i]) * logits[i] + (max(-logits[i], 0.0) + log1p(small))
    loss[...] = cross_entropy / logits.size


def sigmoid_cross_entropy_backward_loops(probabilities, targets, grad_loss, grad_logits):
    for i in np.ndindex(targets.shape):
        grad_logits[i] = grad_loss[()] * (probabilities[i] - targets[i]) / targets.size


def sigmoid_cross_entropy_arrays(logits, targets, loss, probabilities):
    small = np.exp(-np.abs(logits))
    probabilities[...] = np.where(logits >= 0, 1, small) / (1 + small)
    loss[...] = ((1 - targets) * logits + (np.maximum(-logits, 0) + np.log1p(small))).mean()


def sigmoid_cross_entropy_backward_arrays(probabilities, targets, grad_loss, grad_logits):
    grad_logits[...] = (probabilities - targets) * (grad_loss / targets.size)


@kernel
def sigmoid_mean(logits, targets, probabilities, loss, block):
    """Write every probability, and the mean of the losses, summed in float64."""
    total = np.float64(0)
    for i in range(logits.size):
        z, t = np.float64(logits[i]), np.float64(targets[i])
        small = exp(-abs(z))
        probabilities[i] = (1.0 if z >= 0.0 else small) / (1.0 + small)
        largest = -z if not z > 0.0 else 0.0  # NaN passes
        total += (1.0 - t) * z + (largest + log(1.0 + small))
    loss[()] = total / np.float64(logits.size)


@kernel
def difference_block(a, b, grad_loss, grad, factor, block):
    """Write factor times grad_loss times the difference of two arrays, of one block."""
    part = slice(block * BLOCK_ELEMENTS, (block + 1) * BLOCK_ELEMENTS)
    a, b, grad, factor = a[part], b[part], grad[part], grad_loss[()] * factor
    for i in range(a.size):
        grad[i] = factor * (a[i] - b[i])


@compiled
def sigmoid_cross_entropy_compiled(logits, targets, loss, probabilities):
    launch(sigmoid_mean, 1, logits.reshape(-1), targets.reshape(-1), probabilities.reshape(-1), loss)


def launch_difference(a, b, grad_loss, grad, factor):
    """Launch the gradient of a loss that is a mean over all elements."""
    blocks = cdiv(a.size, BLOCK_ELEMENTS)
    launch(difference_block, blocks, a.reshape(-1), b.reshape(-1), grad_loss, grad.reshape(-1), factor / a.size)


@compiled
def sigmoid_cross_entropy_backward_compiled(probabilities, targets, grad_loss, grad_logits):
    launch_difference(probabilities, targets, grad_loss, grad_logits, 1.0)


def sigmoid_sample(draw: SampleSource) -> Sample:
    """Draw a legal call."""
    shape = draw.integer(1, 4), draw.integer(1, 17)
    return (10 * draw.array(*shape), draw.array(*shape)), {}


sigmoid_cross_entropy = Op(
    "sigmoid_cross_entropy",
    sigmoid_cross_entropy_contract,
    loops=(sigmoid_cross_entropy_loops, sigmoid_cross_entropy_backward_loops),
    arrays=(sigmoid_cross_entropy_arrays, sigmoid_cross_entropy_backward_arrays),
    compiled=(sigmoid_cross_entropy_compiled, sigmoid_cross_entropy_backward_compiled),
    sample=sigmoid_sample,
)


# mse_loss -------------------------------------------------------------------------------------------------------------


def mse_loss_contract(x: Shape, targets: Shape) -> CallSpec:
    """Return the mean squared error: x, targets of any shape, both the same -> loss ().

    Unit: that of x, squared. Raises ShapeError where shapes do not fit.

    >>> import byhand as bh
    >>> bh.mse_loss([1.0, 2.0], [1.0, 4.0])
    array(2.)
    """
    check_targets("x", x, targets)
    return CallSpec({"loss": (), "predictions": x}, flops=3 * prod(x))


def mse_loss_loops(x, targets, loss, predictions):
    total = 0.0
    for i in np.ndindex(x.shape):
        predictions[i] = x[i]
        total += (x[i] - targets[i]) ** 2
    loss[...] = total / x.size


def mse_loss_backward_loops(predictions, targets, grad_loss, grad_x):
    for i in np.ndindex(targets.shape):
        grad_x[i] = grad_loss[()] * 2 * (predictions[i] - targets[i]) / targets.size


def mse_loss_arrays(x, targets, loss, predictions):
    predictions[...] = x
    loss[...] = np.square(x - targets).mean()


def mse_loss_backward_arrays(predictions, targets, grad_loss, grad_x):
    grad_x[...] = (predictions - targets) * (grad_loss * 2 / targets.size)


@kernel
def mean_square(x, targets, predictions, loss, block):
    """Write a copy of x, and the mean of the squares, summed in float64."""
    total = np.float64(0)
    for i in range(x.size):
        predictions[i] = x[i]
        difference = np.float64(x[i]) - np.float64(targets[i])
        total += difference * difference
    loss[()] = total / np.float64(x.size)


@compiled
def mse_loss_compiled(x, targets, loss, predictions):
    launch(mean_square, 1, x.reshape(-1), targets.reshape(-1), predictions.reshape(-1), loss)


@compiled
def mse_loss_backward_compiled(predictions, targets, grad_loss, grad_x):
    launch_difference(predictions, targets, grad_loss, grad_x, 2.0)


mse_loss = Op(
    "mse_loss",
    mse_loss_contract,
    loops=(mse_loss_loops, mse_loss_backward_loops),
    arrays=(mse_loss_arrays, mse_loss_backward_arrays),
    compiled=(mse_loss_compiled, mse_loss_backward_compiled),
    sample=sigmoid_sample,
)
