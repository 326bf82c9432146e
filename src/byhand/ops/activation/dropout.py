"""dropout: in training, each number is left out with probability `rate`, and the others grow to make up for it.

    y = x * mask / (1 - rate),   mask = 1 with probability 1 - rate, else 0;   grad_x = grad_y * mask / (1 - rate)

The mask is a function of a 64-bit key and of the place alone (the generator splitmix64, whose i-th number can be had without
those before), so that every hand, at any number of threads, leaves out the same numbers. Each training step moves the key on.

Sources: Srivastava et al. 2014; Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
"""

from math import ceil, prod

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import cdiv, compiled, elementwise, kernel, launch
from byhand.ops.op import Call, Op
from byhand.shapes import number


def contract(x, key, *, rate=0.5, training=True):
    """Leave numbers out at random while training: x of any shape, key (1,) uint64 -> y like x.

    rate: the probability of being left out, 0 up to 1. The same key gives the same mask; in training the key moves on, in
    place, so that the next call gives another: a backward call needs the key as it was. Raises ArgumentError.

    >>> import byhand as bh, numpy as np
    >>> bh.dropout(np.ones(6), key=1, rate=0.5)
    array([2., 2., 2., 0., 0., 2.])
    >>> key = np.array([1], np.uint64)
    >>> before = key.copy()
    >>> y = bh.dropout(np.ones(6), key, rate=0.5)
    >>> bh.dropout.backward(np.ones(6), np.ones(6), before, rate=0.5)
    array([2., 2., 2., 0., 0., 2.])
    """
    if key != (1,):
        raise ShapeError(f"key has the shape {key}; expected (1,)")
    attributes = {"rate": number("rate", rate, 0, 1), "training": bool(training)}
    return Call({"y": x, "mask": x}, attributes, flops=prod(x))


# loops ----------------------------------------------------------------------------------------------------------------


STEP = 0x9E3779B97F4A7C15
LAST = 2**64 - 1  # z & LAST: the last 64 bits of z


def _mix(z):
    """Return 64 well-mixed bits of 64: splitmix64's last step."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & LAST
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & LAST
    return z ^ (z >> 31)


def dropout_loops(x, key, y, mask, *, rate, training):
    start = int(key[0])
    for i in range(x.size):
        bits = _mix(start + (i + 1) * STEP & LAST)
        mask.flat[i] = not training or (bits >> 11) / 2**53 >= rate
        y.flat[i] = x.flat[i] * mask.flat[i] / (1 - rate if training else 1)
    if training:
        key[0] = _mix(start)


def dropout_backward_loops(mask, grad_y, grad_x, *, rate, training):
    for i in np.ndindex(mask.shape):
        grad_x[i] = grad_y[i] * (1.0 if mask[i] else 0.0) / (1.0 - rate if training else 1.0)


# arrays: the same in unsigned 64-bit arithmetic, which wraps of itself ------------------------------------------------


def _mixes(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def dropout_arrays(x, key, y, mask, *, rate, training):
    mask[...], y[...] = 1, x
    if training:
        numbers = _mixes(key + np.arange(1, x.size + 1, dtype=np.uint64) * np.uint64(STEP))
        mask[...] = ((numbers >> np.uint64(11)) / 2**53 >= rate).reshape(x.shape)
        y[...] = x * mask / (1 - rate)
        key[...] = _mixes(key)


def dropout_backward_arrays(mask, grad_y, grad_x, *, rate, training):
    grad_x[...] = grad_y * mask / (1 - rate if training else 1)


# compiled -------------------------------------------------------------------------------------------------------------

GRAIN = 16384  # numbers of a block


@kernel
def dropout_block(x, key, y, mask, rate, least, block):
    """Keep a number where the first 53 of its bits are `least` or more."""
    first = block * GRAIN
    x, y, mask = x[first : first + GRAIN], y[first : first + GRAIN], mask[first : first + GRAIN]
    start = int(key[0]) + int(np.uint64(first)) * STEP & LAST
    for i in range(x.size):
        bits = _mix(start + int(np.uint64(i + 1)) * STEP & LAST)
        keep = bits >> 11 >= least
        mask[i] = keep
        y[i] = x[i] * (1.0 if keep else 0.0) / (1.0 - rate)


@kernel
def move_on(key, block):
    key[0] = _mix(int(key[0]))


@compiled
def dropout_compiled(x, key, y, mask, *, rate, training):
    rate = rate if training else 0.0
    least = ceil(rate * 2**53)
    launch(dropout_block, cdiv(x.size, GRAIN), x.reshape(-1), key, y.reshape(-1), mask.reshape(-1), rate, least)
    if training:
        launch(move_on, 1, key)


dropout_backward_compiled = elementwise(dropout_backward_loops)


# one op ---------------------------------------------------------------------------------------------------------------


def sample(draw):
    """Draw a legal call."""
    x = draw.array(*(draw.integer(1, 5) for _ in range(draw.integer(1, 4))))
    key = draw.integers(1, below=2**63).astype(np.uint64)
    return (x, key), {"rate": draw.choice([0.0, 0.1, 0.5, 0.9]), "training": draw.choice([True, False])}


dropout = Op(
    "dropout",
    contract,
    loops=(dropout_loops, dropout_backward_loops),
    arrays=(dropout_arrays, dropout_backward_arrays),
    compiled=(dropout_compiled, dropout_backward_compiled),
    sample=sample,
    onnx="Dropout",
    dtypes={"key": np.uint64, "mask": np.uint8},
    state=("key",),
)
