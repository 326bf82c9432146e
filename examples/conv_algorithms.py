"""How fast a convolution is: each algorithm that applies, in GFLOP/s of one core's CPU time; * is the one that is chosen."""

import time

import numpy as np

import byhand as bh
from byhand.kernels import capture, conv
from byhand.kernels.conv.algorithm import ALGORITHMS, choose, supports
from byhand.kernels.conv.problem import PASSES, Problem
from byhand.kernels.runtime import cpu
from byhand.kernels.runtime.thread_pool import limit
from byhand.ops.conv.conv2d import conv_shape

SHAPES = {  # images, filters, attributes
    "first layer, 7x7 / 2": ((2, 64, 64, 3), (7, 7, 3, 64), {"padding": 3, "stride": 2}),
    "3x3, 64 channels": ((2, 28, 28, 64), (3, 3, 64, 64), {"padding": 1}),
    "3x3, 256 channels": ((2, 14, 14, 256), (3, 3, 256, 256), {"padding": 1}),
    "1x1, 64 to 256": ((2, 28, 28, 64), (1, 1, 64, 256), {}),
    "depthwise 3x3": ((2, 28, 28, 128), (3, 3, 1, 128), {"padding": 1, "groups": 128}),
}


def seconds(function, *arguments, **attributes):
    """Return the CPU time of a call that is captured once and replayed, on one thread."""
    with limit(1):
        graph, _ = capture(function, *arguments, **attributes)
        graph.run()
        return min(timed(graph.run, 5) for _ in range(5)) / 5


def timed(function, *arguments):
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


print(cpu.processor_name(), cpu.vector_unit().target)
rng = np.random.default_rng(0)
for name, (x_size, weight_size, attributes) in SHAPES.items():
    call = bh.conv2d.contract(x_size, weight_size, **attributes)
    shape = conv_shape(x_size, weight_size, call.shapes["y"], **call.attributes)
    x, weight, y = (rng.standard_normal(size, np.float32) for size in (x_size, weight_size, call.shapes["y"]))
    passes = (x, weight, y.copy(), conv.epilogue(x), shape), (weight, y, x.copy(), shape), (x, y, weight.copy(), shape)
    for pass_name, arguments in zip(PASSES, passes):
        problem = Problem(pass_name, shape, len(x), x.itemsize)
        able = [algorithm for algorithm in ALGORITHMS.values() if supports(algorithm, problem)]
        speeds = {
            algorithm.name: problem.flops / seconds(algorithm.launcher(pass_name), *arguments) / 1e9
            for algorithm in able
        }
        words = [f"{'*' * (choose(problem).name == how)}{how} {speed:.0f}" for how, speed in speeds.items()]
        print(f"{name:22} {pass_name:17} {', '.join(words)}")

x, y = np.zeros((2, 1000), np.float32)
relu = bh.relu.hands["compiled"].forward
eager = min(timed(lambda: [relu(x, y) for _ in range(100)]) for _ in range(5)) / 100
print(f"a launch from Python {1e6 * eager:.1f} us, replayed from a launch graph {1e6 * seconds(relu, x, y):.1f} us")
