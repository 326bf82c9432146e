"""How a matrix product becomes fast: c = a @ b in five steps, in percent of the multiply-adds that this CPU can do.

Time is CPU time, so that other programs do not count:  python examples/gemm_ladder.py [size]
"""

import sys
import time

import numpy as np

from byhand.kernels import cdiv, kernel, launch, scratch
from byhand.kernels.conv.packed import pack
from byhand.kernels.microkernel.microkernel import no_epilogue, tile
from byhand.kernels.microkernel.operands import ADD, ZERO, A, B, C, Extent
from byhand.kernels.runtime import cpu
from byhand.kernels.runtime.thread_pool import limit, workers

size = sys.argv[1] if len(sys.argv) > 1 else "384"
if not size.isdecimal() or int(size) < 64 or int(size) % 4:
    sys.exit(f"the size is {size!r}; expected a multiple of 4, 64 or more")
SIZE = int(size)
DEPTH, WIDTH = 64, 128  # of a block of b: 32 KB, the L1 cache
ROWS, COLUMNS = cpu.vector_unit().tile_rows, cpu.vector_unit().tile_columns(np.float32)  # of the register tile
STRIP = 8 * ROWS  # rows of c that a thread takes at a time


@kernel
def triple_loop(a, b, c, block):  # 1. the formula
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            total = 0.0
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            c[i, j] = total


@kernel
def blocked(a, b, c, block):  # 2. a block of b stays in the L1 cache; the inner loop goes along a row, in vectors
    c[:] = 0.0
    for top in range(0, b.shape[0], DEPTH):
        for left in range(0, b.shape[1], WIDTH):
            for i in range(c.shape[0]):
                out = c[i, left : left + WIDTH]
                for k in range(top, min(top + DEPTH, b.shape[0])):
                    row, factor = b[k, left : left + WIDTH], a[i, k]
                    for j in range(out.size):
                        out[j] += factor * row[j]


@kernel
def over_panels(a, panels, c, block):  # 3. b is packed: a panel of columns is one stream, of which a step takes 4 rows
    for left in range(0, c.shape[1], WIDTH):
        for i in range(c.shape[0]):
            out = c[i, left : left + WIDTH]
            out[:] = 0.0
            for k in range(0, a.shape[1], 4):
                rows = panels[left * a.shape[1] + k * WIDTH :]
                a0, a1, a2, a3 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
                for j in range(out.size):
                    out[j] += a0 * rows[j] + a1 * rows[WIDTH + j] + a2 * rows[2 * WIDTH + j] + a3 * rows[3 * WIDTH + j]


@kernel
def register_tile(a, panels, c, rows, start, block):  # 4. ROWS x COLUMNS of c stay in registers over all of k
    depth, tiles = a.shape[1], cdiv(c.shape[1], COLUMNS)
    top, left = block // tiles * STRIP, block % tiles * COLUMNS
    extent = Extent(min(STRIP, c.shape[0] - top), min(COLUMNS, c.shape[1] - left), 1, depth)
    left_operand, right_operand = A(a, 0, rows[top:], start, 1), B(panels, left * depth, start, COLUMNS)
    tile(left_operand, right_operand, C(c, left, rows[top:], 0), extent, ZERO, no_epilogue(panels))


@kernel
def multiply_adds(a, b, c, rows, starts, block):  # the peak: a register tile over numbers that stay in the L1 cache
    extent = Extent(ROWS, COLUMNS, starts.size, DEPTH)
    tile(A(a, 0, rows, starts, 1), B(b, 0, starts, COLUMNS), C(c[block], 0, rows, 0), extent, ADD, no_epilogue(b))


def pack_and(step, columns, blocks, *tables):
    panels = scratch(cdiv(SIZE, columns) * SIZE * columns, dtype=np.float32)
    launch(pack, cdiv(SIZE, 32), b, panels, 1, columns, 32)
    launch(step, blocks, a, panels, c, *tables)


def gflops(work, flops, threads=1):
    seconds = []
    with limit(threads):
        for _ in range(5):
            start = time.process_time()
            work()
            seconds.append((time.process_time() - start) / threads)
    return flops / min(seconds[1:]) / 1e9  # the first compiles


a, b = np.random.default_rng(0).standard_normal((2, SIZE, SIZE)).astype(np.float32)
c, rows, start, starts = np.empty_like(a), np.arange(SIZE) * SIZE, np.zeros(1, np.int64), np.zeros(5000, np.int64)
small, sums, numbers = np.ones(10_000, np.float32), np.zeros((1, 10_000), np.float32), np.arange(ROWS) * COLUMNS
peak = gflops(lambda: launch(multiply_adds, 1, small, small, sums, numbers, starts), 2 * ROWS * COLUMNS * DEPTH * 5000)
print(f"{cpu.processor_name()}, {cpu.vector_unit().target}; {SIZE}^3, float32; peak {peak:.0f} GFLOP/s a core")
tiles, threads = cdiv(SIZE, COLUMNS) * cdiv(SIZE, STRIP), workers()
for name, work, count in (
    ("1 triple loop", lambda: launch(triple_loop, 1, a, b, c), 1),
    ("2 blocked", lambda: launch(blocked, 1, a, b, c), 1),
    ("3 packed", lambda: pack_and(over_panels, WIDTH, 1), 1),
    ("4 register tile", lambda: pack_and(register_tile, COLUMNS, tiles, rows, start), 1),
    (f"5 {threads} threads", lambda: pack_and(register_tile, COLUMNS, tiles, rows, start), threads),
):
    speed = gflops(work, 2 * SIZE**3, count)
    assert np.allclose(c, a @ b, atol=1e-2), name
    print(f"{name:16} {speed:7.1f} GFLOP/s {speed / peak / count:6.1%} of the peak")
