"""The peak rate of multiplication: how many FLOPs a second the register tile does where nothing else limits it.

    peak = 2 * rows * columns * length / seconds    with operands that stay in the L1 cache, on all threads at once

It is the limit of every direct convolution and matrix product, measured on this machine: clock, vector unit and the number of
threads are in it. An algorithm with fewer multiplications (Winograd) can pass it.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from byhand.errors import ArgumentError
from byhand.kernels.conv.problem import BF16, FLOAT32, PRECISIONS
from byhand.kernels.microkernel.microkernel import no_epilogue, tile, tile_bfloat16
from byhand.kernels.microkernel.operands import ZERO, A, B, C, Extent
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.kernels.runtime.kernel import Kernel, kernel
from byhand.kernels.runtime.launch import launch
from byhand.kernels.runtime.thread_pool import workers

LENGTH = 128  # elements that are summed over: a panel of b takes 16 KB of the L1 cache with AVX-512
ROW_TILES = 4  # tiles that share a panel of b
BLOCKS_PER_WORKER = 8
BLOCK_SECONDS = 0.0005  # so that a thread that starts late costs little
MEASUREMENTS = 9  # the median counts: of short ones, CPU time is not exact
LAUNCHES = 8  # of a measurement
TRIAL_REPEATS = 8  # of a product, to find out how long it takes
CLOCK_RESOLUTION = 1e-6  # seconds: of a coarser clock of CPU time no use is made


def make_multiply_kernel(tile: Intrinsic) -> Kernel:
    """Return a kernel that multiplies the same matrices again and again."""

    @kernel
    def multiply(a, b, c, a_rows, c_rows, segments, extent, repeats, block):  # type: ignore[no-untyped-def]
        """Write one product `repeats` times; each block has a result of its own."""
        for _ in range(repeats):
            tile(
                A(a, 0, a_rows, segments, 1),
                B(b, 0, segments, extent.columns),
                C(c, block * extent.rows * extent.columns, c_rows, 0),
                extent,
                ZERO,
                no_epilogue(a[:0]),
            )

    return multiply


KERNELS = {FLOAT32: make_multiply_kernel(tile), BF16: make_multiply_kernel(tile_bfloat16)}
FLOPS_PER_WORD = {FLOAT32: 2, BF16: 4}  # of a multiply-add: a word is a number, or a pair of bfloat16 numbers


def peak_flops(precision: str = FLOAT32) -> float:
    """Return the FLOPs a second that the register tile does on all threads together, float32 or bf16 products.

    A multiplication and an addition are two FLOPs. Takes a third of a second, and once the compilation of a kernel.
    Raises ArgumentError where the CPU has no such products.
    """
    if precision not in PRECISIONS:
        raise ArgumentError(f"peak_flops: precision is {precision!r}; expected one of {', '.join(PRECISIONS)}")
    if precision == BF16 and not vector_unit().bfloat16:
        raise ArgumentError("peak_flops: this CPU has no bfloat16 products; use float32")
    unit, blocks = vector_unit(), BLOCKS_PER_WORKER * workers()
    rows, columns = ROW_TILES * unit.tile_rows, unit.tile_columns(np.float32)
    extent = Extent(rows, columns, 1, LENGTH)
    a, b = np.ones(rows * LENGTH, np.float32), np.ones(LENGTH * columns, np.float32)
    c = np.empty(blocks * rows * columns, np.float32)
    a_rows, c_rows = np.arange(rows) * LENGTH, np.arange(rows) * columns
    segments = np.zeros(1, np.int64)

    def seconds(repeats: int) -> float:
        started = _seconds_per_worker()
        for _ in range(LAUNCHES):
            launch(KERNELS[precision], blocks, a, b, c, a_rows, c_rows, segments, extent, repeats)
        return (_seconds_per_worker() - started) / LAUNCHES

    seconds(1)  # compiles
    trial = median(seconds(TRIAL_REPEATS) for _ in range(MEASUREMENTS)) / TRIAL_REPEATS
    repeats = max(1, round(BLOCK_SECONDS * BLOCKS_PER_WORKER / trial))
    taken = median(seconds(repeats) for _ in range(MEASUREMENTS))
    return FLOPS_PER_WORD[precision] * rows * columns * LENGTH * repeats * blocks / taken


def _seconds_per_worker() -> float:
    """Return a clock: CPU time, of which other programs take none, else wall time."""
    if time.get_clock_info("process_time").resolution > CLOCK_RESOLUTION:
        return time.perf_counter()
    return time.process_time() / workers()
