"""The compiled hand at large shapes, forward and backward, against PyTorch.

1,000 calls a run, other ones each time but in CI; BYHAND_SEED=n repeats a run. 100,000 with `pytest --long`.
"""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from byhand.kernels.conv import depthwise, direct, gemv, packed, weights_plan
from byhand.kernels.conv import plan as conv_plan
from byhand.kernels.conv.transposed import TRANSPOSED_MAX_ROWS
from byhand.kernels.runtime.cpu import cache_size, vector_unit
from byhand.ops import REGISTRY
from byhand.shapes import window
from tests.ops import torch_twins
from tests.ops.draw import cast_inputs, each, plan
from tests.ops.large import CALLS, NAMES, Large, draw_call
from tests.ops.large_conv import convolution
from tests.ops.test_torch import compare, ours
from tests.oracle import IN_CI, needs_torch

PARTS = 20
CALLS_PER_PART = 50
LONG_PARTS = 2000
TOLERANCE = {np.float64: 1e-11, np.float32: 5e-5}  # sums over many thousands of numbers
SEED = int(os.environ.get("BYHAND_SEED") or (0 if IN_CI else time.time_ns() // 1000 % 10**9))


def test_every_op_has_large_calls():
    assert CALLS.keys() == REGISTRY.keys()


@needs_torch
@pytest.mark.parametrize("part", range(PARTS))
def test_a_large_call_does_what_pytorch_does(part):
    check_part(part, SEED)


@pytest.mark.long
@needs_torch
@pytest.mark.parametrize("part", range(LONG_PARTS))
def test_many_large_calls_do_what_pytorch_does(part):
    check_part(part, SEED + 1)


def check_part(part, seed):
    for i in range(CALLS_PER_PART):
        call_seed = [seed, part, i]
        check(NAMES[int(np.random.default_rng(call_seed).integers(len(NAMES)))], call_seed)


def test_a_seed_draws_the_same_convolutions_in_every_process():
    """Also where functions, and so the order of a set of them, lie elsewhere in memory."""
    draws = "print([draw_call('conv2d_max_pool', seed)[1:] for seed in range(20)])"
    expected = str([draw_call("conv2d_max_pool", seed)[1:] for seed in range(20)])
    for count in (1, 2, 3):
        code = f"before = [lambda: 0 for _ in range({count})]; from tests.ops.large import draw_call; {draws}"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert found.strip() == expected


def check(name, seed):
    """Compare the compiled hand with PyTorch at a drawn call."""
    op, (values, attributes, dtype) = REGISTRY[name], draw_call(name, seed)
    inputs = cast_inputs(op, values, dtype)
    shape = plan(op, inputs, attributes).shapes[op.outputs[0]]
    grad = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    got, expected = both(op, inputs, attributes, grad)
    if name.endswith("relu") or attributes.get("relu"):
        rounded = (got["y"] > 0) != (expected["y"] > 0)  # rounding decides on which side of 0 the sum lies
        if rounded.any():
            grad[rounded] = 0
            got, expected = both(op, inputs, attributes, grad)
    if name == "conv2d_max_pool" and (got["y"] != expected["y"]).any():  # a Winograd sum is not exact: rounding picks
        grad[close_maxima(inputs, attributes, 2 * TOLERANCE[dtype])] = 0
        got, expected = both(op, inputs, attributes, grad)
    shapes = [each(np.shape, value) for value in inputs.values()]
    who = f"{name}, BYHAND_SEED={seed[0]}, {seed}: {np.dtype(dtype)} {shapes}, {attributes}"
    compare(who, got, expected, TOLERANCE[dtype], terms=grad.size)


def close_maxima(inputs, attributes, tolerance):
    """Return which windows of a pooled convolution have two largest numbers that a rounding error may swap."""
    pooling = {name: value for name, value in attributes.items() if name.startswith(("pool", "ceil", "relu"))}
    convolution_only = {name: value for name, value in attributes.items() if name not in pooling}
    y = REGISTRY["conv2d"](*[np.asarray(value, np.float64) for value in inputs.values()], **convolution_only)
    kernel, stride = pooling["pool_kernel"], pooling["pool_stride"] or pooling["pool_kernel"]
    view = window(y.shape[1:3], kernel, stride, "valid", ceil_mode=pooling["ceil_mode"])
    beyond = [(0, size) for size in view.kernel]  # a last window may end behind the image
    framed = np.pad(y, [(0, 0), *beyond, (0, 0)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(framed, view.kernel, axis=(1, 2))
    rows, columns = ((size - 1) * step + 1 for size, step in zip(view.output, view.stride, strict=True))
    windows = windows[:, : rows : view.stride[0], : columns : view.stride[1]]
    second, first = np.moveaxis(np.sort(windows.reshape(*windows.shape[:4], -1), axis=-1)[..., -2:], -1, 0)
    return first - second <= tolerance * np.abs(y).max()


def both(op, inputs, attributes, grad):
    """Return the results of the compiled hand and of PyTorch."""
    return ours(op, "compiled", inputs, attributes, grad), torch_twins.results(op, inputs, attributes, grad)


def test_convolutions_are_drawn_on_both_sides_of_every_threshold():
    seen = {}

    def note(what, value, threshold):
        seen.setdefault(what, set()).add(int(value > threshold) - int(value < threshold))

    for seed in range(2000):
        draw = Large(seed)
        sizes, size = convolution(draw), draw.size
        rows, columns = sizes["out"]
        filters, channels = sizes["filters_per_group"] * sizes["groups"], sizes["depth"] * sizes["groups"]
        numbers = np.prod(sizes["kernel"]) * sizes["depth"] * filters
        image = size * (np.prod(sizes["image"]) * channels + rows * columns * filters)
        note("filters: columns of a tile", sizes["filters_per_group"], draw.columns)
        note("filters: numbers of a vector", sizes["filters_per_group"], draw.vector)
        note("depth: rows of a tile", sizes["depth"], vector_unit().tile_rows)
        note("pixels of a chunk", rows * columns, weights_plan.CHUNK_PIXELS)
        note("pixels of tiles", columns, conv_plan.MIN_BLOCK_TILES * vector_unit().tile_rows)
        note("images of partial sums", sizes["images"], weights_plan.MAX_BATCH_PARTS)
        note("images of blocks", sizes["images"], conv_plan.MIN_BLOCKS)
        note("work that is distributed", 2 * sizes["images"] * rows * columns * numbers, conv_plan.MIN_SHARED_FLOPS)
        note("bytes of partial sums", numbers * size, weights_plan.MAX_PARTIAL_BYTES / weights_plan.MAX_BATCH_PARTS)
        note("bytes of an image", image, cache_size(2) / 2)
        if sizes["filters_per_group"] > draw.columns:
            note("bytes of weights that are packed", numbers * size, direct.STRIDED_WEIGHT_BYTES)
            if numbers * size > direct.STRIDED_WEIGHT_BYTES:
                note("few pixels", sizes["images"] * rows * columns, packed.PACK_IN_CACHE_MAX_PIXELS)
                note(
                    "filters of several packed blocks",
                    sizes["filters_per_group"],
                    2 * conv_plan.MIN_BLOCKS * draw.columns,
                )
        if sizes["groups"] > 1 and sizes["depth"] == sizes["filters_per_group"] == 1:
            note("work of a depthwise image", 2 * rows * columns * numbers, depthwise.MIN_BLOCK_FLOPS)
    assert len(seen) == 14
    missed = {what: sides for what, sides in seen.items() if not sides >= {-1, 1}}
    # The others are bytes and FLOPs, which need not meet exactly.
    counted = ("filters", "depth", "pixels", "images", "few")
    missed |= {what: sides for what, sides in seen.items() if what.startswith(counted) and 0 not in sides}
    assert not missed


def test_products_are_drawn_on_both_sides_of_every_threshold():
    seen = {"gemv rows": set(), "gemv bytes": set(), "transposed": set()}
    for seed in range(300):
        (x, weight, _), _, dtype = draw_call("linear", seed)
        seen["gemv rows"].add(int(np.sign(len(x) - gemv.GEMV_MAX_ROWS)))
        seen["transposed"].add(int(np.sign(len(x) - TRANSPOSED_MAX_ROWS)))
        if len(x) <= gemv.GEMV_MAX_ROWS:
            seen["gemv bytes"].add(bool(weight.size * np.dtype(dtype).itemsize >= gemv.GEMV_MIN_BYTES))
    assert seen == {"gemv rows": {-1, 0, 1}, "transposed": {-1, 0, 1}, "gemv bytes": {True, False}}
