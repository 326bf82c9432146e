"""Large random convolutions and matrix products at the thresholds of their plans.

A convolution is a dictionary of sizes. `AIMS` each set one of them, or some, by a threshold of the code.
"""

from math import prod

import numpy as np

from byhand.errors import ByhandError
from byhand.kernels.conv import direct, gemv, packed, sparse, weights_plan
from byhand.kernels.conv import plan as conv_plan
from byhand.kernels.conv.depthwise import MAX_STRIPS, MIN_BLOCK_FLOPS
from byhand.kernels.conv.transposed import TRANSPOSED_MAX_ROWS
from byhand.kernels.runtime.cpu import cache_size, vector_unit
from byhand.ops import REGISTRY
from byhand.ops.fused.conv2d_block import ACTIVATIONS
from byhand.ops.fused.conv2d_max_pool import CHUNK_ELEMENTS
from byhand.shapes import pair

MAX_FLOPS = 3e7  # of a forward pass: what PyTorch does in a few milliseconds
PIXELS_MAX_FLOPS = 1.6e8  # where pixels are counted that meet weights which are packed
MAX_NUMBERS = 3e5  # of an array


def filters(draw, sizes):
    sizes["filters_per_group"] = draw.near(draw.columns, 3)


def depth(draw, sizes):
    sizes["depth"] = draw.near(draw.choice([vector_unit().tile_rows, draw.vector, draw.columns]), 2)


def weights(draw, sizes, limit=None):
    """Bytes of weights: where they are packed, and where partial sums have too little room."""
    limit = limit or draw.choice(
        [direct.STRIDED_WEIGHT_BYTES, weights_plan.MAX_PARTIAL_BYTES / draw.integer(1, weights_plan.MAX_BATCH_PARTS)]
    )
    sizes["groups"], sizes["out"] = 1, (draw.integer(2, 9), draw.integer(2, 9))
    sizes["filters_per_group"] = draw.choice([draw.near(draw.columns, 4), draw.integer(draw.columns + 1, 160)])
    sizes["depth"] = draw.near(limit / draw.size / prod(sizes["kernel"]) / sizes["filters_per_group"])


def pixels(draw, sizes):
    """All pixels: few of them, with weights that are packed."""
    weights(draw, sizes, direct.STRIDED_WEIGHT_BYTES * draw.choice([0.9, 1.2]))
    rows = draw.choice([2, 4, 8, 16, 32, draw.integer(2, 32)])  # powers of 2 meet the threshold exactly
    sizes["images"] = draw.choice([1, 2, 3])
    sizes["out"] = rows, draw.near(packed.PACK_IN_CACHE_MAX_PIXELS / sizes["images"] / rows)
    sizes["max_flops"] = PIXELS_MAX_FLOPS


def packing(draw, sizes):
    """Filters enough for a thread to pack several blocks of them at a time."""
    sizes |= {"groups": 1, "kernel": (1, 1), "out": (draw.integer(1, 4), draw.integer(1, 4)), "images": 1}
    sizes["filters_per_group"] = draw.near(conv_plan.MIN_BLOCKS * draw.columns, 3)
    sizes["depth"] = draw.near(direct.STRIDED_WEIGHT_BYTES / draw.size / sizes["filters_per_group"])


def flops(draw, sizes):
    """Work that is, or is not, worth sharing out."""
    filters = sizes["filters_per_group"] * sizes["groups"]
    image_flops = 2 * prod(sizes["out"]) * filters * sizes["depth"] * prod(sizes["kernel"])
    sizes["images"] = draw.near(conv_plan.MIN_SHARED_FLOPS / image_flops)


def strip(draw, sizes):
    """An image that fills the part of a cache that a block may fill."""
    room = cache_size(2) / 2
    sizes["images"], sizes["kernel"] = draw.integer(1, 2), draw.choice([(1, 1), (3, 3)])
    depth, filters, groups = draw.integer(1, 4), draw.integer(1, 4), draw.integer(1, 3)
    width = draw.integer(20, 120)
    row_bytes = draw.size * width * groups * (depth * prod(pair("", sizes["stride"])) + filters)
    sizes |= {"depth": depth, "filters_per_group": filters, "groups": groups}
    sizes["out"] = draw.near(room / row_bytes), width


def depthwise(draw, sizes):
    groups = draw.choice([draw.near(draw.columns, 4), draw.integer(2, 90)])
    sizes |= {"groups": groups, "depth": 1, "filters_per_group": 1}
    width = draw.integer(4, 60)
    row_flops = 2 * width * sizes["groups"] * prod(sizes["kernel"])
    sizes["out"] = draw.near(draw.choice([1, MAX_STRIPS]) * MIN_BLOCK_FLOPS / row_flops), width


def groups(draw, sizes):
    sizes["groups"] = draw.integer(2, 5)


def chunk(draw, sizes):
    """Pixels of a chunk whose gradients of the filters are summed at once: of several images, of one, of some rows."""
    rows = draw.choice([1, draw.integer(2, 16), draw.integer(17, 40)])
    sizes["out"] = rows, draw.near(weights_plan.CHUNK_PIXELS / rows / draw.choice([1, 1, 2, 3]))
    sizes["images"] = draw.near(weights_plan.MAX_BATCH_PARTS, 2)


def tiles(draw, sizes):
    rows = draw.integer(1, 5)
    sizes["out"] = rows, draw.near(conv_plan.MIN_BLOCK_TILES * vector_unit().tile_rows / draw.integer(1, 5))


def images(draw, sizes):
    sizes["images"], sizes["out"] = draw.near(conv_plan.MIN_BLOCKS, 4), (draw.integer(1, 12), draw.integer(1, 12))


def phases(draw, sizes):
    """Rows of pixels that see other places of the window than their neighbors."""
    sizes["kernel"] = draw.integer(1, 7), draw.integer(1, 7)
    sizes["padding"] = tuple(draw.integer(0, 5) for _ in range(4))
    sizes["stride"] = draw.integer(1, 4), draw.integer(1, 3)
    sizes["dilation"] = draw.integer(1, 3), draw.integer(1, 3)


def padded(draw, sizes):
    """A 1x1 convolution that sees its padding: whole chunks of pixels have no part in the gradient of its filters."""
    sizes["kernel"], sizes["padding"] = (1, 1), draw.choice([1, 4, (3, 4, 1, 3)])
    sizes["depth"] = draw.near(vector_unit().tile_rows, 3)
    sizes["out"] = draw.integer(10, 40), draw.integer(10, 40)


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
        sizes = {
            "images": draw.choice([1, 1, draw.integer(2, 4), draw.integer(5, 40)]),
            "out": (draw.integer(1, 30), draw.integer(1, 30)),
            "groups": 1,
            "depth": draw.channels(),
            "filters_per_group": draw.channels(),
            "kernel": draw.choice([(1, 1), (3, 3), (3, 3), (5, 5), (draw.integer(1, 4), 3)]),
            "stride": draw.choice([1, 1, 2, (1, 2)]),
            "padding": draw.choice([0, 1, 1, 2, (0, 1, 2, 0)]),
            "dilation": draw.choice([1, 1, 1, 2]),
            "max_flops": MAX_FLOPS,
        }
        # Each once, in a fixed order: that of a set of functions depends on where they lie in memory.
        for aim in dict.fromkeys([draw.choice(AIMS), draw.choice(AIMS)]):
            aim(draw, sizes)
        stride, dilation = pair("", sizes["stride"]), pair("", sizes["dilation"])
        padding = sizes["padding"] if isinstance(sizes["padding"], tuple) else (sizes["padding"],) * 4
        sizes["image"] = tuple(
            (sizes["out"][axis] - 1) * stride[axis]
            + (sizes["kernel"][axis] - 1) * dilation[axis]
            + 1
            - padding[2 * axis]
            - padding[2 * axis + 1]
            + draw.integer(0, stride[axis] - 1)
            for axis in (0, 1)
        )
        if min(sizes["image"]) < 1 or min(sizes["out"]) < 1:
            continue
        channels, filters_ = sizes["depth"] * sizes["groups"], sizes["filters_per_group"] * sizes["groups"]
        work = 2 * sizes["images"] * prod(sizes["out"]) * filters_ * sizes["depth"] * prod(sizes["kernel"])
        numbers = sizes["images"] * max(prod(sizes["image"]) * channels, prod(sizes["out"]) * filters_)
        if (
            work <= sizes["max_flops"]
            and numbers <= MAX_NUMBERS
            and prod(sizes["kernel"]) * sizes["depth"] * filters_ <= MAX_NUMBERS
        ):
            return sizes


def conv2d(draw):
    sizes = convolution(draw)
    channels, out = sizes["depth"] * sizes["groups"], sizes["filters_per_group"] * sizes["groups"]
    inputs = [
        draw.array(sizes["images"], *sizes["image"], channels),
        draw.array(*sizes["kernel"], sizes["depth"], out),
        draw.choice([draw.array(out), None]),
    ]
    return inputs, {name: sizes[name] for name in ("stride", "padding", "dilation", "groups")}


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


def _transposed(sizes, draw):
    channels, out = sizes["filters_per_group"] * sizes["groups"], sizes["depth"] * sizes["groups"]
    inputs = [
        draw.array(sizes["images"], *sizes["out"], channels),
        draw.array(*sizes["kernel"], sizes["depth"], channels),
        draw.choice([draw.array(out), None]),
    ]
    return inputs, {name: sizes[name] for name in ("stride", "padding", "dilation", "groups")}


def conv2d_block(draw):
    (x, weight, bias), attributes = conv2d(draw)
    count = weight.shape[3]
    shape = REGISTRY["conv2d"].infer([x.shape, weight.shape, None], attributes).shapes["y"]
    norm_ = [draw.array(count) for _ in range(3)] + [np.abs(draw.array(count)) + 0.5]
    norm_ = draw.choice([norm_, [None] * 4])
    attributes["activation"] = draw.choice([None, *ACTIVATIONS])
    return [x, weight, bias, *norm_, draw.choice([None, draw.array(*shape)])], attributes


def conv2d_max_pool(draw):
    """A pooled convolution, at the limits of its ways back: by the maxima, or by sums over a small patch of a gray image."""
    while True:
        (x, weight, bias), attributes = conv2d(draw)
        way = draw.choice(["as it is", "gray", "sums", "chunk"])
        if way == "gray":
            kernel_ = draw.choice([(1, draw.near(sparse.DENSE_MAX_PATCH)), (4, 4), (3, 3), (3, draw.integer(4, 6))])
            size = draw.integer(8, 40), draw.integer(24, 40)
            x = draw.array(draw.near(weights_plan.MAX_BATCH_PARTS), *size, 1)
            weight, attributes = draw.array(*kernel_, 1, draw.channels()), {"padding": draw.choice([0, 0, 1])}
        if way == "sums":
            filter_count = draw.near(draw.columns, 2)
            channels = draw.near(
                weights_plan.MAX_PARTIAL_BYTES / weights_plan.MAX_BATCH_PARTS / draw.size / 9 / filter_count
            )
            x, weight, attributes = (
                draw.array(2, 8, 8, channels),
                draw.array(3, 3, channels, filter_count),
                {"padding": 1},
            )
        if way == "chunk":
            x = draw.array(draw.near(CHUNK_ELEMENTS / (32 * 32 * 64)), 32, 32, 1)
            weight, attributes = draw.array(1, 1, 1, 64), {}
        attributes |= {
            "relu": draw.choice([True, False]),
            "pool_kernel": draw.choice([2, 2, 3, (1, 2)]),
            "pool_stride": draw.choice([None, 2, 1]),
            "ceil_mode": draw.choice([False, True]),
        }
        bias = draw.array(weight.shape[3])
        try:
            call = REGISTRY["conv2d_max_pool"].infer([x.shape, weight.shape, bias.shape], attributes)
        except ByhandError:  # the window is larger than what is pooled
            continue
        if call.flops <= 3 * MAX_FLOPS:
            # Multiples of 1/8: a direct sum of them is exact in float32, so a tie has the same winner as in float64.
            return [np.rint(8 * array) / 8 for array in (x, weight, bias)], attributes


def linear_call(draw):
    way = draw.choice(["gemv", "transposed", "tile"])
    if way == "gemv":
        rows = draw.near(gemv.GEMV_MAX_ROWS)
        units = draw.choice([draw.near(gemv.ADD_BLOCK_ELEMENTS, 2), draw.near(draw.columns, 4)])
        depth = draw.near(gemv.GEMV_MIN_BYTES * draw.choice([1, 1, 0.5]) / draw.size / units)
    elif way == "transposed":
        rows, units = draw.near(TRANSPOSED_MAX_ROWS), draw.channels()
        depth = draw.near(draw.choice([gemv.WEIGHT_BLOCKS, 100, weights_plan.CHUNK_PIXELS]))
    else:
        rows, units, depth = draw.near(weights_plan.CHUNK_PIXELS, 3), draw.near(draw.columns, 4), draw.channels()
    return [draw.array(rows, depth), draw.array(depth, units), draw.choice([draw.array(units), None])], {}
