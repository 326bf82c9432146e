"""batch_norm and layer_norm: bring numbers to mean 0 and variance 1, then let the network scale and shift them.

    xhat = (x - mean) * inv_std,   inv_std = 1 / sqrt(variance + eps),   y = gamma * xhat + beta

batch_norm takes mean and variance of a channel over the batch and the image, layer_norm over the features of one example.
Mean and variance depend on x too; the derivative through them takes two means away (over the same numbers as the mean):

    g = grad_y * gamma,   grad_x = inv_std * (g - mean(g) - xhat * mean(g * xhat))
    grad_gamma = sum of grad_y * xhat,   grad_beta = sum of grad_y

Sources: Ioffe & Szegedy 2015, arXiv 1502.03167; Ba, Kiros & Hinton 2016, arXiv 1607.06450.
"""

from math import prod, sqrt

import numpy as np

from byhand.errors import ShapeError
from byhand.ops.op import Call, Op
from byhand.shapes import number

# batch_norm -----------------------------------------------------------------------------------------------------------


def batch_contract(x, gamma, beta, running_mean, running_var, *, eps=1e-5, momentum=0.1, training=False):
    """Normalise each channel over the batch: x (N, ..., C), all else (C,) -> y like x.

    In training the batch's own mean and variance count, and the running ones move towards them by `momentum`, in place (the
    variance as an unbiased estimate: times M / (M - 1) for M numbers). Otherwise the running ones count.
    Raises ShapeError where shapes do not fit, or where training has one number a channel, whose variance is unknown.

    >>> import byhand as bh, numpy as np
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> bh.batch_norm(np.array([[1.0], [3.0]]), one, zero, zero.copy(), one.copy(), eps=0, training=True).ravel()
    array([-1.,  1.])
    """
    if len(x) < 2 or 0 in x:
        raise ShapeError(f"x has the shape {x}; expected (N, ..., C)")
    channels = x[-1:]
    for name, shape in (("gamma", gamma), ("beta", beta), ("running_mean", running_mean), ("running_var", running_var)):
        if shape != channels:
            raise ShapeError(f"{name} has the shape {shape}; expected {channels}, one number a channel of x {x}")
    if training and prod(x[:-1]) < 2:
        raise ShapeError(
            f"x {x} has one number a channel, of unknown variance; take a batch size that leaves no image alone"
        )
    attributes = {
        "eps": number("eps", eps, 0), "momentum": number("momentum", momentum, 0), "training": bool(training),
    }  # fmt: skip
    return Call({"y": x, "mean": channels, "inv_std": channels}, attributes, flops=(7 if training else 2) * prod(x))


def batch_norm_loops(x, gamma, beta, running_mean, running_var, y, mean, inv_std, *, eps, momentum, training):
    count = prod(x.shape[:-1])
    for c in range(x.shape[-1]):
        center, variance = running_mean[c], running_var[c]
        if training:
            center = sum(x[*n, c] for n in np.ndindex(x.shape[:-1])) / count
            variance = sum((x[*n, c] - center) ** 2 for n in np.ndindex(x.shape[:-1])) / count
            running_mean[c] += momentum * (center - running_mean[c])
            running_var[c] += momentum * (variance * count / (count - 1) - running_var[c])
        mean[c], inv_std[c] = center, 1 / sqrt(variance + eps)
        for n in np.ndindex(x.shape[:-1]):
            y[*n, c] = gamma[c] * (x[*n, c] - mean[c]) * inv_std[c] + beta[c]


def batch_norm_backward_loops(
    x, gamma, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, *, eps, momentum, training
):
    count = prod(x.shape[:-1])
    for c in range(x.shape[-1]):
        total, weighted = 0.0, 0.0
        for n in np.ndindex(x.shape[:-1]):
            total += grad_y[*n, c]
            weighted += grad_y[*n, c] * (x[*n, c] - mean[c]) * inv_std[c]
        if grad_gamma is not None:
            grad_gamma[c] = weighted
        if grad_beta is not None:
            grad_beta[c] = total
        if grad_x is not None:
            for n in np.ndindex(x.shape[:-1]):
                value = grad_y[*n, c]
                if training:  # the running statistics do not depend on x
                    value -= (total + (x[*n, c] - mean[c]) * inv_std[c] * weighted) / count
                grad_x[*n, c] = gamma[c] * inv_std[c] * value


def batch_norm_arrays(x, gamma, beta, running_mean, running_var, y, mean, inv_std, *, eps, momentum, training):
    mean[...], variance = running_mean, running_var
    if training:
        rows = x.reshape(-1, x.shape[-1])
        rows.mean(0, out=mean)
        variance = rows.var(0)
        running_mean += momentum * (mean - running_mean)
        running_var += momentum * (variance * len(rows) / (len(rows) - 1) - running_var)
    inv_std[...] = 1 / np.sqrt(variance + eps)
    y[...] = (x - mean) * (gamma * inv_std) + beta


def batch_norm_backward_arrays(
    x, gamma, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, *, eps, momentum, training
):
    rows = grad_y.reshape(-1, x.shape[-1])
    xhat = (x.reshape(rows.shape) - mean) * inv_std
    total, weighted = rows.sum(0), (rows * xhat).sum(0)
    if grad_gamma is not None:
        grad_gamma[...] = weighted
    if grad_beta is not None:
        grad_beta[...] = total
    if grad_x is not None:
        inner = rows - (total + xhat * weighted) / len(rows) if training else rows
        grad_x[...] = (gamma * inv_std * inner).reshape(x.shape)


def batch_sample(draw):
    """Draw a legal call."""
    channels = draw.integer(1, 17)
    x = draw.array(draw.integer(2, 4), *(draw.integer(1, 4) for _ in range(draw.choice([0, 2]))), channels)
    gamma, beta, mean, var = (draw.array(channels) for _ in range(4))
    return (x, gamma, beta, mean, abs(var) + 0.5), {"training": draw.choice([True, False]), "momentum": 0.3, "eps": 0.1}


batch_norm = Op(
    "batch_norm",
    batch_contract,
    loops=(batch_norm_loops, batch_norm_backward_loops),
    arrays=(batch_norm_arrays, batch_norm_backward_arrays),
    sample=batch_sample,
    onnx="BatchNormalization",
    state=("running_mean", "running_var"),
)


# layer_norm -----------------------------------------------------------------------------------------------------------


def layer_contract(x, gamma, beta, *, eps=1e-5):
    """Normalise the last axes of each example: x (N, ..., D), gamma and beta (D,), or all the axes they have -> y like x.

    Raises ShapeError where shapes do not fit.

    >>> import byhand as bh, numpy as np
    >>> bh.layer_norm(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), eps=0)
    array([[-1.,  1.]])
    """
    if not gamma or len(x) <= len(gamma) or x[-len(gamma) :] != gamma or 0 in x:
        raise ShapeError(f"gamma has the shape {gamma}; expected the last axes of x {x}, less than all of them")
    if beta != gamma:
        raise ShapeError(f"beta has the shape {beta}; expected that of gamma, {gamma}")
    examples = x[: -len(gamma)]
    return Call({"y": x, "mean": examples, "inv_std": examples}, {"eps": number("eps", eps, 0)}, flops=7 * prod(x))


def layer_norm_loops(x, gamma, beta, y, mean, inv_std, *, eps):
    for n in np.ndindex(mean.shape):
        mean[n] = sum(x[*n, *d] for d in np.ndindex(gamma.shape)) / gamma.size
        variance = sum((x[*n, *d] - mean[n]) ** 2 for d in np.ndindex(gamma.shape)) / gamma.size
        inv_std[n] = 1 / sqrt(variance + eps)
        for d in np.ndindex(gamma.shape):
            y[*n, *d] = gamma[d] * (x[*n, *d] - mean[n]) * inv_std[n] + beta[d]


def layer_norm_backward_loops(x, gamma, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, *, eps):
    for grad in (grad_gamma, grad_beta):
        if grad is not None:
            grad[...] = 0
    for n in np.ndindex(mean.shape):
        total, weighted = 0.0, 0.0
        for d in np.ndindex(gamma.shape):
            xhat = (x[*n, *d] - mean[n]) * inv_std[n]
            total += grad_y[*n, *d] * gamma[d]
            weighted += grad_y[*n, *d] * gamma[d] * xhat
            if grad_gamma is not None:
                grad_gamma[d] += grad_y[*n, *d] * xhat
            if grad_beta is not None:
                grad_beta[d] += grad_y[*n, *d]
        if grad_x is not None:
            for d in np.ndindex(gamma.shape):
                xhat = (x[*n, *d] - mean[n]) * inv_std[n]
                grad_x[*n, *d] = inv_std[n] * (grad_y[*n, *d] * gamma[d] - (total + xhat * weighted) / gamma.size)


def layer_norm_arrays(x, gamma, beta, y, mean, inv_std, *, eps):
    rows = x.reshape(*mean.shape, -1)
    rows.mean(-1, out=mean)
    inv_std[...] = 1 / np.sqrt(rows.var(-1) + eps)
    y[...] = ((rows - mean[..., None]) * inv_std[..., None] * gamma.ravel() + beta.ravel()).reshape(x.shape)


def layer_norm_backward_arrays(x, gamma, mean, inv_std, grad_y, grad_x, grad_gamma, grad_beta, *, eps):
    rows, scale = grad_y.reshape(mean.size, -1), inv_std.reshape(-1, 1)
    xhat = (x.reshape(rows.shape) - mean.reshape(-1, 1)) * scale
    if grad_gamma is not None:
        grad_gamma[...] = (rows * xhat).sum(0).reshape(gamma.shape)
    if grad_beta is not None:
        grad_beta[...] = rows.sum(0).reshape(gamma.shape)
    if grad_x is not None:
        g = rows * gamma.ravel()
        inner = g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True)
        grad_x[...] = (scale * inner).reshape(x.shape)


def layer_sample(draw):
    """Draw a legal call."""
    features = tuple(draw.integer(1, 5) for _ in range(draw.integer(1, 2)))
    x = draw.array(draw.integer(1, 3), *(draw.integer(1, 3) for _ in range(draw.integer(0, 2))), *features)
    return (x, draw.array(*features), draw.array(*features)), {"eps": 0.1}


layer_norm = Op(
    "layer_norm",
    layer_contract,
    loops=(layer_norm_loops, layer_norm_backward_loops),
    arrays=(layer_norm_arrays, layer_norm_backward_arrays),
    sample=layer_sample,
    onnx="LayerNormalization",
)
