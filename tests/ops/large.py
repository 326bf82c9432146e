"""Large random calls at the thresholds of the compiled hand: below, on and above each.

`draw_call` returns a call of an op by its name and a seed. All thresholds are read from the code.
"""

from math import ceil, prod

import numpy as np

from byhand.errors import ByhandError
from byhand.kernels import pool_rows, reductions
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.kernel import BLOCK_ELEMENTS
from byhand.ops import REGISTRY
from byhand.ops.movement.resize import VECTOR_MIN_CHANNELS
from byhand.ops.movement.transpose import TILE_ELEMENTS
from byhand.ops.norm.strips import MIN_STRIP_ELEMENTS, NORM_BLOCK_ELEMENTS
from byhand.ops.pool.max_pool import POOL_BLOCK_ELEMENTS
from tests.ops.large_conv import MAX_NUMBERS, conv2d, conv2d_block, conv2d_max_pool, conv_transpose2d, linear_call

BATCH_NORM_MIN_ROWS = 16  # the gradient of two or three rows cancels to its last bits, in PyTorch too
LAYER_NORM_MIN_WIDTH = (
    2  # the gradient of a row of one number is 0, and in float32 a rounding error times 1 / sqrt(eps)
)
MAX_RESIZED_PIXELS = 2048  # of an axis: PyTorch's twin holds a matrix of them
BLOCK_SIZES = sorted({BLOCK_ELEMENTS, NORM_BLOCK_ELEMENTS, POOL_BLOCK_ELEMENTS})


class Large:
    """Draws sizes at thresholds, from a seed."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.dtype = self.choice([np.float32, np.float64])
        self.size = np.dtype(self.dtype).itemsize
        self.columns, self.vector = vector_unit().tile_columns(self.dtype), vector_unit().lanes(self.dtype)

    def choice(self, options):
        """Return one of the options."""
        options = list(options)
        return options[int(self.random.integers(len(options)))]

    def integer(self, low, high):
        return int(self.random.integers(low, high + 1))

    def near(self, number, multiples=1):
        """Return a number at a threshold, or at one of its first multiples: one less, the number, one more."""
        return max(1, round(number * self.integer(1, multiples)) + self.choice([-1, 0, 1]))

    def array(self, *shape):
        return self.random.standard_normal(shape)

    def channels(self):
        """Return a number of channels: few, a vector's, a tile's, or more."""
        return self.choice(
            [self.integer(1, 5), self.near(self.vector), self.near(self.columns, 2), self.integer(6, 70)]
        )

    def rows_of(self, width, total):
        """Return how many rows of so many numbers there are near a total."""
        return max(1, ceil(total / width) + self.choice([-1, 0, 1]))


# ops that process elements in blocks ----------------------------------------------------------------------------------


def spread(draw, width=None):
    """Return a shape (N, H, W, C) of so many numbers as some blocks hold."""
    width = width or draw.channels()
    total = draw.choice(BLOCK_SIZES) * draw.integer(1, 3)
    columns = draw.integer(1, 40)
    rows = max(1, round(total / width / columns / draw.integer(1, 4)))
    return max(1, round(total / width / columns / rows)), rows, columns, width


def flat_shape(draw):
    return draw.choice([(draw.near(draw.choice(BLOCK_SIZES), 3),), spread(draw), (draw.near(BLOCK_ELEMENTS / 40), 40)])


def elementwise(draw, positive=False):
    x = draw.array(*flat_shape(draw))
    return [np.abs(x) + 0.1 if positive else x], {}


def binary(draw, power=False):
    """Two arrays, of which one may be repeated along any axes."""
    shape = spread(draw)
    small = draw.choice(
        [shape, shape[-1:], tuple(draw.choice([1, size]) for size in shape), (shape[0], 1, 1, shape[3]), (1,)]
    )
    a, b = draw.array(*shape), draw.array(*small)
    if power:
        return [np.abs(a) + 0.5, b], {}
    b = np.where(np.abs(b) < 0.1, 0.5, b)
    return (
        [a, b] if draw.choice([True, False]) else [np.where(np.abs(b) < 0.1, 0.5, b), np.where(np.abs(a) < 0.1, 0.5, a)]
    ), {}


def normal_rows(draw):
    """Return a shape whose rows are a reduction's, a softmax's: many short ones, or few that fill a block."""
    width = draw.choice([draw.channels(), draw.near(MIN_STRIP_ELEMENTS), draw.near(BLOCK_ELEMENTS), draw.near(1000)])
    return draw.rows_of(width, draw.choice(BLOCK_SIZES) * draw.integer(1, 3)), width


def batch_norm(draw, relu=False):
    channels = draw.choice(
        [draw.channels(), draw.near(MIN_STRIP_ELEMENTS), draw.near(MIN_STRIP_ELEMENTS / draw.integer(2, 9))]
    )
    rows = draw.rows_of(channels, draw.choice([NORM_BLOCK_ELEMENTS, MIN_STRIP_ELEMENTS]) * draw.integer(1, 3))
    rows = max(rows, BATCH_NORM_MIN_ROWS)
    shape = draw.choice([(rows, channels), (2, rows // 6, 3, channels)])
    x, gamma, beta, mean = draw.array(*shape), draw.array(channels), draw.array(channels), draw.array(channels)
    inputs = [x, gamma, beta, mean, np.abs(draw.array(channels)) + 0.5]
    inputs += [draw.choice([None, draw.array(*shape)])] if relu else []
    return inputs, {"training": draw.choice([True, True, False])}


def layer_norm(draw):
    rows, width = normal_rows(draw)
    width = max(width, LAYER_NORM_MIN_WIDTH)
    return [draw.array(rows, width), draw.array(width), draw.array(width)], {}


def pool(draw, **more):
    while True:
        channels = draw.choice([draw.channels(), draw.near(pool_rows.VECTOR_BYTES / draw.size, 3)])
        kernel_, stride = draw.choice([2, 2, 3, 3, (3, 2), 5]), draw.choice([None, 1, 2, (2, 1)])
        width = draw.choice([draw.integer(5, 40), draw.near(POOL_BLOCK_ELEMENTS / channels / draw.integer(4, 20))])
        rows = draw.rows_of(width * channels, POOL_BLOCK_ELEMENTS * draw.integer(1, 3))
        shape = draw.choice([(1, rows + 4), (draw.integer(2, 9), rows // 5 + 5)])
        x, attributes = (shape[0], shape[1], width, channels), {"kernel": kernel_, "stride": stride}
        attributes |= {"padding": draw.choice([0, 0, 1, "same"]), "ceil_mode": draw.choice([False, True])}
        attributes |= {name: draw.choice(options) for name, options in more.items()}
        try:
            REGISTRY["max_pool"].infer(
                [x], {name: attributes[name] for name in ("kernel", "stride", "padding", "ceil_mode")}
            )
        except ByhandError:  # a window larger than its image
            continue
        if prod(x) <= MAX_NUMBERS:
            return [draw.array(*x)], attributes


def global_avg_pool(draw):
    return [draw.array(*spread(draw))], {"keepdims": draw.choice([True, False])}


def cross_entropy(draw):
    rows, classes = normal_rows(draw)
    classes = max(2, classes)
    return [draw.array(rows, classes), draw.random.integers(0, classes, rows)], {
        "label_smoothing": draw.choice([0.0, 0.1])
    }


def targets(draw):
    rows, classes = normal_rows(draw)
    return [draw.array(rows, max(2, classes)), draw.random.random((rows, max(2, classes)))], {}


def reduction(draw, positive=False, product=False):
    """Reduce some axes: those that lie together, and those with one between them that is kept."""
    rank = draw.integer(1, 4)
    shape = [draw.choice([1, draw.integer(2, 9), draw.integer(10, 40)]) for _ in range(rank)]
    at = draw.integer(0, rank - 1)
    rest = prod(shape) // shape[at]
    limits = [
        BLOCK_ELEMENTS,
        BLOCK_ELEMENTS * 2,
        reductions.MIN_BLOCK_ROWS,
        reductions.MAX_ROW_BLOCKS * draw.integer(1, 9),
    ]
    shape[at] = min(int(MAX_NUMBERS) // rest, draw.near(draw.choice(limits) / rest))
    axes = [axis for axis in range(rank) if draw.choice([True, False])] or [at]
    x = draw.array(*shape)
    if product:
        x = np.exp(x / 50) * np.sign(x)
    return [np.abs(x) + 0.1 if positive else x], {"axes": tuple(axes), "keepdims": draw.choice([True, False])}


def transpose_call(draw):
    shape = [draw.choice([draw.integer(1, 9), draw.near(TILE_ELEMENTS, 2)]) for _ in range(draw.integer(2, 4))]
    at = draw.integer(0, len(shape) - 1)
    rest = prod(shape) // shape[at]
    shape[at] = draw.near(BLOCK_ELEMENTS * draw.integer(1, 2) / rest)
    return [draw.array(*shape)], {"axes": tuple(draw.random.permutation(len(shape)).tolist())}


def slice_call(draw):
    shape = spread(draw)
    firsts = [draw.integer(0, size - 1) for size in shape]
    ends = [draw.integer(first + 1, size) for first, size in zip(firsts, shape)]
    return [draw.array(*shape)], {
        "starts": tuple(firsts),
        "stops": tuple(ends),
        "steps": tuple(draw.integer(1, 2) for _ in shape),
    }


def concat(draw):
    shape, axis = list(spread(draw)), draw.integer(0, 3)
    parts = [[*shape[:axis], draw.integer(1, shape[axis] + 3), *shape[axis + 1 :]] for _ in range(draw.integer(1, 4))]
    return [tuple(draw.array(*part) for part in parts)], {"axis": axis}


def pad(draw):
    return [draw.array(*spread(draw))], {"padding": tuple(draw.integer(0, 3) for _ in range(4)), "value": 0.5}


def resize_call(draw):
    channels = draw.choice([draw.near(VECTOR_MIN_CHANNELS), draw.channels()])
    x = spread(draw, channels)
    while max(x[1:3]) > MAX_RESIZED_PIXELS:
        x = spread(draw, channels)
    size = tuple(max(1, round(pixels * draw.choice([0.5, 0.7, 1, 1.3, 2]))) for pixels in x[1:3])
    mode = draw.choice(["nearest", "linear", "cubic"])
    while prod(size) * x[0] * channels > MAX_NUMBERS:
        size = size[0] // 2, size[1]
    return [draw.array(*x)], {"size": size, "mode": mode}


def lrn(draw):
    return [draw.array(*spread(draw, max(2, draw.channels())))], {"size": draw.integer(1, 5), "alpha": 0.1}


def channel_shuffle(draw):
    groups_ = draw.integer(2, 5)
    return [draw.array(*spread(draw, groups_ * draw.integer(1, 20)))], {"groups": groups_}


def dropout(draw):
    return [draw.array(*flat_shape(draw)), np.array([draw.integer(0, 2**60)], np.uint64)], {
        "rate": draw.choice([0.0, 0.3])
    }


def prelu(draw):
    shape = spread(draw)
    return [draw.array(*shape), draw.array(*draw.choice([shape[-1:], (1,), shape]))], {}


def softmax(draw):
    return [draw.array(*normal_rows(draw))], {}


def flatten(draw):
    return [draw.array(*spread(draw))], {}


def reshape(draw):
    shape = spread(draw)
    return [draw.array(*shape)], {"shape": (-1, shape[1])}


def positive(draw):
    return elementwise(draw, positive=True)


CALLS = {
    "avg_pool": lambda draw: pool(draw, count_include_pad=[True, False]),
    "batch_norm": batch_norm,
    "batch_norm_relu": lambda draw: batch_norm(draw, relu=True),
    "channel_shuffle": channel_shuffle,
    "concat": concat,
    "conv2d": conv2d,
    "conv2d_block": conv2d_block,
    "conv2d_max_pool": conv2d_max_pool,
    "conv2d_relu": conv2d,
    "conv_transpose2d": conv_transpose2d,
    "dropout": dropout,
    "flatten": flatten,
    "global_avg_pool": global_avg_pool,
    "layer_norm": layer_norm,
    "linear": linear_call,
    "linear_relu": linear_call,
    "log": positive,
    "lrn": lrn,
    "max_pool": pool,
    "pad": pad,
    "power": lambda draw: binary(draw, power=True),
    "prelu": prelu,
    "reciprocal": positive,
    "reduce_log_sum": lambda draw: reduction(draw, positive=True),
    "reduce_prod": lambda draw: reduction(draw, product=True),
    "reshape": reshape,
    "resize": resize_call,
    "slice": slice_call,
    "softmax": softmax,
    "softmax_cross_entropy": cross_entropy,
    **dict.fromkeys(("soft_target_cross_entropy", "sigmoid_cross_entropy", "mse_loss"), targets),
    "sqrt": positive,
    "transpose": transpose_call,
} | dict.fromkeys(("add", "subtract", "multiply", "divide", "maximum", "minimum"), binary)
CALLS |= {name: reduction for name in REGISTRY if name.startswith("reduce_") and name not in CALLS}
CALLS |= {name: elementwise for name, op in REGISTRY.items() if op.inputs == ("x",) and name not in CALLS}

OFTEN = {"conv2d": 10, "conv_transpose2d": 3, "conv2d_max_pool": 5, "conv2d_block": 2, "conv2d_relu": 2, "linear": 6}
OFTEN |= {"batch_norm": 2, "batch_norm_relu": 2, "max_pool": 3, "avg_pool": 2}  # where most thresholds are
NAMES = [name for name in CALLS for _ in range(OFTEN.get(name, 1))]


def draw_call(name, seed):
    """Return a call of an op: its inputs, its attributes, and the type to run it with."""
    draw = Large(seed)
    inputs, attributes = CALLS[name](draw)
    return inputs, attributes, draw.dtype
