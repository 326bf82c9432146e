"""Large random convolutions and matrix products at the thresholds of their plans.

A convolution is a dictionary of sizes. `AIMS` each set one of them, or some, by a threshold of the code.
"""

from math import prod

import numpy as np

from byhand.errors import ByhandError
from byhand.kernels.conv import direct, gemv, packed, sparse, weights_plan
from byhand.kernels.conv import plan as conv_plan
from byhand.kernels.conv.transposed import TRANSPOSED_MAX_ROWS
from byhand.kernels.runtime.cpu import cache_size, vector_unit
from byhand.ops import REGISTRY
from byhand.ops.fused.conv2d_max_pool import CHUNK_ELEMENTS
from byhand.shapes import pair

MAX_FLOPS = 3e7  # of a forward pass: what PyTorch does in a few milliseconds
PIXELS_MAX_FLOPS = 1.6e8  # where pixels are counted that meet weights which are packed
MAX_NUMBERS = 3e5  # of an array


def filters(draw, at):
    at["share"] = draw.near(draw.columns, 3)


def depth(draw, at):
    at["depth"] = draw.near(draw.one([vector_unit().tile_rows, draw.vector, draw.columns]), 2)


def weights(draw, at, limit=None):
    """Bytes of weights: where they are packed, and where partial sums have too little room."""
    limit = limit or draw.one(
        [direct.STRIDED_WEIGHT_BYTES, weights_plan.MAX_PARTIAL_BYTES / draw.between(1, weights_plan.MAX_BATCH_PARTS)]
    )
    at["groups"], at["out"] = 1, (draw.between(2, 9), draw.between(2, 9))
    at["share"] = draw.one([draw.near(draw.columns, 4), draw.between(draw.columns + 1, 160)])
    at["depth"] = draw.near(limit / draw.size / prod(at["kernel"]) / at["share"])


def pixels(draw, at):
    """All pixels: few of them, with weights that are packed."""
    weights(draw, at, direct.STRIDED_WEIGHT_BYTES * draw.one([0.9, 1.2]))
    rows = draw.one([2, 4, 8, 16, 32, draw.between(2, 32)])  # powers of 2 meet the threshold exactly
    at["images"] = draw.one([1, 2, 3])
    at["out"] = rows, draw.near(packed.PACK_IN_CACHE_MAX_PIXELS / at["images"] / rows)
    at["max_flops"] = PIXELS_MAX_FLOPS


def packing(draw, at):
    """Filters enough for a thread to pack several blocks of them at a time."""
    at["groups"], at["kernel"], at["out"], at["images"] = 1, (1, 1), (draw.between(1, 4), draw.between(1, 4)), 1
    at["share"] = draw.near(conv_plan.MIN_BLOCKS * draw.columns, 3)
    at["depth"] = draw.near(direct.STRIDED_WEIGHT_BYTES / draw.size / at["share"])


def flops(draw, at):
    """Work that is, or is not, worth sharing out."""
    each = 2 * prod(at["out"]) * at["share"] * at["groups"] * at["depth"] * prod(at["kernel"])
    at["images"] = draw.near(conv_plan.MIN_SHARED_FLOPS / each)


def strip(draw, at):
    """An image that fills the part of a cache that a block may fill."""
    room = draw.one([cache_size(2) / 2, 2 * cache_size(1)])
    at["images"], at["kernel"] = draw.between(1, 2), draw.one([(1, 1), (3, 3)])
    at["depth"], at["share"], at["groups"] = draw.between(1, 4), draw.between(1, 4), draw.between(1, 3)
    width = draw.between(20, 120)
    row = draw.size * width * at["groups"] * (at["depth"] * prod(pair("", at["stride"])) + at["share"])
    at["out"] = draw.near(room / row), width


def depthwise(draw, at):
    at["groups"], at["depth"], at["share"] = draw.one([draw.near(draw.columns, 4), draw.between(2, 90)]), 1, 1
    width = draw.between(4, 60)
    room = draw.one([2 * cache_size(1), 2 * cache_size(1) * conv_plan.MIN_BLOCKS])
    at["out"] = draw.near(room / (2 * draw.size * width * at["groups"])), width


def groups(draw, at):
    at["groups"] = draw.between(2, 5)


def chunk(draw, at):
    """Pixels of a chunk whose gradients of the filters are summed at once: of several images, of one, of some rows."""
    rows = draw.one([1, draw.between(2, 16), draw.between(17, 40)])
    at["out"] = rows, draw.near(weights_plan.CHUNK_PIXELS / rows / draw.one([1, 1, 2, 3]))
    at["images"] = draw.near(weights_plan.MAX_BATCH_PARTS, 2)


def tiles(draw, at):
    at["out"] = draw.between(1, 5), draw.near(conv_plan.MIN_BLOCK_TILES * vector_unit().tile_rows / draw.between(1, 5))


def images(draw, at):
    at["images"], at["out"] = draw.near(conv_plan.MIN_BLOCKS, 4), (draw.between(1, 12), draw.between(1, 12))


def phases(draw, at):
    """Rows of pixels that see other places of the window than their neighbors."""
    at["kernel"] = draw.between(1, 7), draw.between(1, 7)
    at["padding"] = tuple(draw.between(0, 5) for _ in range(4))
    at["stride"], at["dilation"] = (draw.between(1, 4), draw.between(1, 3)), (draw.between(1, 3), draw.between(1, 3))


def padded(draw, at):
    """A 1x1 convolution that sees its padding: whole chunks of pixels have no part in the gradient of its filters."""
    at["kernel"], at["padding"] = (1, 1), draw.one([1, 4, (3, 4, 1, 3)])
    at["depth"] = draw.near(vector_unit().tile_rows, 3)
    at["out"] = draw.between(10, 40), draw.between(10, 40)


AIMS = [
    filters,
    depth,
    weights,
    pixels,
    packing,
    flops,
    strip,
    depthwise,
    groups,
    chunk,
    tiles,
    images,
    phases,
    padded,
]


def convolution(draw, transposed=False):
    """Return sizes of a convolution, its image worked out from its output."""
    while True:
        at = {
            "images": draw.one([1, 1, draw.between(2, 4), draw.between(5, 40)]),
            "out": (draw.between(1, 30), draw.between(1, 30)),
            "groups": 1,
            "depth": draw.channels(),
            "share": draw.channels(),
            "kernel": draw.one([(1, 1), (3, 3), (3, 3), (5, 5), (draw.between(1, 4), 3)]),
            "stride": draw.one([1, 1, 2, (1, 2)]),
            "padding": draw.one([0, 1, 1, 2, (0, 1, 2, 0)]),
            "dilation": draw.one([1, 1, 1, 2]),
            "max_flops": MAX_FLOPS,
        }
        # Each once, in a fixed order: that of a set of functions depends on where they lie in memory.
        for aim in dict.fromkeys([draw.one(AIMS), draw.one(AIMS)]):
            aim(draw, at)
        stride, dilation = pair("", at["stride"]), pair("", at["dilation"])
        padding = at["padding"] if isinstance(at["padding"], tuple) else (at["padding"],) * 4
        at["image"] = tuple(
            (at["out"][axis] - 1) * stride[axis]
            + (at["kernel"][axis] - 1) * dilation[axis]
            + 1
            - padding[2 * axis]
            - padding[2 * axis + 1]
            + draw.between(0, stride[axis] - 1)
            for axis in (0, 1)
        )
        if min(at["image"]) < 1 or min(at["out"]) < 1:
            continue
        channels, filters_ = at["depth"] * at["groups"], at["share"] * at["groups"]
        work = 2 * at["images"] * prod(at["out"]) * filters_ * at["depth"] * prod(at["kernel"])
        numbers = at["images"] * max(prod(at["image"]) * channels, prod(at["out"]) * filters_)
        if (
            work <= at["max_flops"]
            and numbers <= MAX_NUMBERS
            and prod(at["kernel"]) * at["depth"] * filters_ <= MAX_NUMBERS
        ):
            return at


def conv2d(draw):
    at = convolution(draw)
    channels, out = at["depth"] * at["groups"], at["share"] * at["groups"]
    inputs = [
        draw.array(at["images"], *at["image"], channels),
        draw.array(*at["kernel"], at["depth"], out),
        draw.one([draw.array(out), None]),
    ]
    return inputs, {name: at[name] for name in ("stride", "padding", "dilation", "groups")}


def conv_transpose2d(draw):
    """backward_data of a convolution: its output in the place of the image."""
    while True:
        inputs, attributes = _transposed(convolution(draw), draw)
        try:
            shapes = [None if array is None else array.shape for array in inputs]
            REGISTRY["conv_transpose2d"].infer(shapes, attributes)
        except ByhandError:  # its padding leaves nothing of the output
            continue
        return inputs, attributes


def _transposed(at, draw):
    channels, out = at["share"] * at["groups"], at["depth"] * at["groups"]
    inputs = [
        draw.array(at["images"], *at["out"], channels),
        draw.array(*at["kernel"], at["depth"], channels),
        draw.one([draw.array(out), None]),
    ]
    return inputs, {name: at[name] for name in ("stride", "padding", "dilation", "groups")}


def conv2d_block(draw):
    (x, weight, bias), attributes = conv2d(draw)
    count = weight.shape[3]
    shape = REGISTRY["conv2d"].infer([x.shape, weight.shape, None], attributes).shapes["y"]
    norm_ = [draw.array(count) for _ in range(3)] + [np.abs(draw.array(count)) + 0.5]
    norm_ = draw.one([norm_, [None] * 4])
    attributes["relu"] = draw.one([True, False])
    return [x, weight, bias, *norm_, draw.one([None, draw.array(*shape)])], attributes


def conv2d_max_pool(draw):
    """A pooled convolution, at the limits of its ways back: by the maxima, or by sums over a small patch of a gray image."""
    while True:
        (x, weight, bias), attributes = conv2d(draw)
        way = draw.one(["as it is", "gray", "sums", "chunk"])
        if way == "gray":
            kernel_ = draw.one([(1, draw.near(sparse.DENSE_MAX_PATCH)), (4, 4), (3, 3), (3, draw.between(4, 6))])
            size = draw.between(8, 40), draw.between(24, 40)
            x = draw.array(draw.near(weights_plan.MAX_BATCH_PARTS), *size, 1)
            weight, attributes = draw.array(*kernel_, 1, draw.channels()), {"padding": draw.one([0, 0, 1])}
        if way == "sums":
            share, deep = draw.near(draw.columns, 2), 0
            deep = draw.near(weights_plan.MAX_PARTIAL_BYTES / weights_plan.MAX_BATCH_PARTS / draw.size / 9 / share)
            x, weight, attributes = draw.array(2, 8, 8, deep), draw.array(3, 3, deep, share), {"padding": 1}
        if way == "chunk":
            x = draw.array(draw.near(CHUNK_ELEMENTS / (32 * 32 * 64)), 32, 32, 1)
            weight, attributes = draw.array(1, 1, 1, 64), {}
        attributes |= {
            "relu": draw.one([True, False]),
            "pool_kernel": draw.one([2, 2, 3, (1, 2)]),
            "pool_stride": draw.one([None, 2, 1]),
            "ceil_mode": draw.one([False, True]),
        }
        bias = draw.array(weight.shape[3])
        try:
            call = REGISTRY["conv2d_max_pool"].infer([x.shape, weight.shape, bias.shape], attributes)
        except ByhandError:  # the window is larger than what is pooled
            continue
        if call.flops <= 3 * MAX_FLOPS:
            # Multiples of 1/8: sums are exact in float32, so a near tie has the same winner as in PyTorch's float64.
            return [np.rint(8 * array) / 8 for array in (x, weight, bias)], attributes


def linear_call(draw):
    way = draw.one(["gemv", "turned", "tile"])
    if way == "gemv":
        rows = draw.near(gemv.GEMV_MAX_ROWS)
        units = draw.one([draw.near(gemv.ADD_BLOCK_ELEMENTS, 2), draw.near(draw.columns, 4)])
        deep = draw.near(gemv.GEMV_MIN_BYTES * draw.one([1, 1, 0.5]) / draw.size / units)
    elif way == "turned":
        rows, units = draw.near(TRANSPOSED_MAX_ROWS), draw.channels()
        deep = draw.near(draw.one([gemv.WEIGHT_BLOCKS, 100, weights_plan.CHUNK_PIXELS]))
    else:
        rows, units, deep = draw.near(weights_plan.CHUNK_PIXELS, 3), draw.near(draw.columns, 4), draw.channels()
    return [draw.array(rows, deep), draw.array(deep, units), draw.one([draw.array(units), None])], {}
