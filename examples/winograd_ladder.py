"""How a 3x3 convolution goes past the peak of the CPU: fewer multiplications, in GFLOP/s of the direct sum.

Time is CPU time of one core, so that other programs do not count:  python examples/winograd_ladder.py [channels]
"""

import sys
import time

import numpy as np

import byhand as bh
from byhand.kernels import capture, conv
from byhand.kernels.conv.algorithm import ALGORITHMS
from byhand.kernels.conv.winograd_arrays import forward_arrays
from byhand.kernels.runtime import cpu
from byhand.kernels.runtime.thread_pool import limit
from byhand.ops.conv.conv2d import conv_shape

channels = sys.argv[1] if len(sys.argv) > 1 else "64"
if not channels.isdecimal() or not 1 <= int(channels) <= 1024:
    sys.exit(f"the number of channels is {channels!r}; expected one from 1 to 1024")
CHANNELS = int(channels)
rng = np.random.default_rng(0)
x = rng.standard_normal((2, 56, 56, CHANNELS), np.float32)
weight = rng.standard_normal((3, 3, CHANNELS, CHANNELS), np.float32)
y = np.empty_like(x)
shape = conv_shape(x.shape, weight.shape, y.shape, (1, 1), (1, 1, 1, 1), (1, 1), 1)
exact = bh.conv2d(x.astype(np.float64), weight.astype(np.float64), padding=1)


def seconds(function):
    """Return the least CPU time of some calls."""
    times = []
    for _ in range(5):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def row(name, taken, result):
    """Print a step: its speed, and its error in parts of the largest output."""
    error = np.abs(result - exact).max() / np.abs(exact).max()
    print(f"{name:38} {shape.flops(len(x)) / taken / 1e9:8.1f} GFLOP/s   error {error:.0e}")


print(cpu.processor_name(), cpu.vector_unit().target)
with limit(1):
    row(
        "1. Winograd 4x4 as arrays, einsum",
        seconds(lambda: forward_arrays(x, weight, (1,) * 4)),
        forward_arrays(x, weight, (1,) * 4),
    )
    for step, name in enumerate(("direct", "winograd2x2", "winograd4x4", "winograd6x6"), 2):
        graph, _ = capture(ALGORITHMS[name].forward, x, weight, y, conv.epilogue(x), shape)
        taken = seconds(graph.run)
        row(f"{step}. {name}, compiled", taken, y)
