"""dropout: in training, each element becomes 0 with probability `rate`, and the others are scaled up to keep the mean.

    y = x * mask / (1 - rate),   mask = 1 with probability 1 - rate, else 0;   grad_x = grad_y * mask / (1 - rate)

The mask is a function of a 64-bit key and the element's index alone: splitmix64 is a counter-based generator, whose i-th
number needs none of those before it. Every hand, at any number of threads, therefore drops the same elements. Each training
step advances the key.

Sources: Srivastava et al. 2014; Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
"""

from math import ceil, prod

import numpy as np

from byhand.errors import ShapeError
from byhand.kernels import cdiv, compiled, elementwise, kernel, launch
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.ops.op import CallSpec, Op, Sample, SampleSource
from byhand.shapes import Shape, number


def contract(x: Shape, key: Shape, *, rate: float = 0.5, training: bool = True) -> CallSpec:
    """Set elements to 0 at random while training: x of any shape, key (1,) uint64 -> y like x.

    rate: the probability of becoming 0, from 0 up to 1. The same key gives the same mask. In training the key advances in
    place, so that the next call draws another mask; a backward call needs the key as it was. Raises ArgumentError.

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
    return CallSpec({"y": x, "mask": x}, attributes, flops=prod(x))


# loops ----------------------------------------------------------------------------------------------------------------


GOLDEN_GAMMA = 0x9E3779B97F4A7C15  # splitmix64's increment: 2^64 over the golden ratio, made odd
MASK_64 = 2**64 - 1  # z & MASK_64: the low 64 bits of z, as Python's integers do not wrap


def mix64(z):
    """Return splitmix64's finalizer: 64 bits of a counter, well mixed."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK_64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK_64
    return z ^ (z >> 31)


def dropout_loops(x, key, y, mask, *, rate, training):
    start = int(key[0])
    for i in range(x.size):
        bits = mix64(start + (i + 1) * GOLDEN_GAMMA & MASK_64)
        mask.flat[i] = not training or (bits >> 11) / 2**53 >= rate
        y.flat[i] = x.flat[i] * mask.flat[i] / (1 - rate if training else 1)
    if training:
        key[0] = mix64(start)


def dropout_backward_loops(mask, grad_y, grad_x, *, rate, training):
    for i in np.ndindex(mask.shape):
        grad_x[i] = grad_y[i] * (1.0 if mask[i] else 0.0) / (1.0 - rate if training else 1.0)


# arrays: unsigned 64-bit arithmetic, which wraps by itself ------------------------------------------------------------


def mix64_array(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def dropout_arrays(x, key, y, mask, *, rate, training):
    mask[...], y[...] = 1, x
    if training:
        numbers = mix64_array(key + np.arange(1, x.size + 1, dtype=np.uint64) * np.uint64(GOLDEN_GAMMA))
        mask[...] = ((numbers >> np.uint64(11)) / 2**53 >= rate).reshape(x.shape)
        y[...] = x * mask / (1 - rate)
        key[...] = mix64_array(key)


def dropout_backward_arrays(mask, grad_y, grad_x, *, rate, training):
    grad_x[...] = grad_y * mask / (1 - rate if training else 1)


# compiled -------------------------------------------------------------------------------------------------------------


@kernel
def dropout_block(x, key, y, mask, rate, threshold, block):
    """Keep an element where the top 53 of its random bits are `threshold` or more."""
    first = block * BLOCK_ELEMENTS
    part = slice(first, first + BLOCK_ELEMENTS)
    x, y, mask = x[part], y[part], mask[part]
    start = int(key[0]) + int(np.uint64(first)) * GOLDEN_GAMMA & MASK_64
    for i in range(x.size):
        bits = mix64(start + int(np.uint64(i + 1)) * GOLDEN_GAMMA & MASK_64)
        keep = bits >> 11 >= threshold
        mask[i] = keep
        y[i] = x[i] * (1.0 if keep else 0.0) / (1.0 - rate)


@kernel
def advance_key(key, block):
    key[0] = mix64(int(key[0]))


@compiled
def dropout_compiled(x, key, y, mask, *, rate, training):
    rate = rate if training else 0.0
    threshold = ceil(rate * 2**53)
    blocks = cdiv(x.size, BLOCK_ELEMENTS)
    launch(dropout_block, blocks, x.reshape(-1), key, y.reshape(-1), mask.reshape(-1), rate, threshold)
    if training:
        launch(advance_key, 1, key)


dropout_backward_compiled = elementwise(dropout_backward_loops)


# the op ---------------------------------------------------------------------------------------------------------------


def sample(draw: SampleSource) -> Sample:
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
    dtypes={"key": np.uint64, "mask": np.uint8},
    state=("key",),
)
