"""The benchmarks: of each its title and unit, its lines and their sessions, its peers, and its ratios to reach."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from byhand.bench import convolutions, inference, networks, peers, predict_memory
from byhand.bench.check import Session
from byhand.bench.memory import install_size
from byhand.bench.sessions import (
    articles_epoch,
    articles_run,
    articles_steps,
    latency,
    multiply_adds,
    photographs,
    to_target,
    training,
    training_memory,
)
from byhand.bench.spin_loop import SPINNING_PROCESSES
from byhand.kernels.conv.problem import PRECISIONS

BEST_FLOAT32 = "float32"  # a goal: over the best float32 peer, with float32
BEST_OF_ANY = "any precision"  # a goal: over the best peer, with the best that byhand has
MEMORY = "MB"  # a unit
WORK_PER_SECOND: dict[str, Callable[[float], float]] = {  # images, or FLOPs, of a value in a unit
    "images/s": lambda value: value,
    "GFLOP/s": lambda value: value * 1e9,
    "ms": lambda value: 1e3 / value,
    "us": lambda value: 1e6 / value,
}


class Goal(NamedTuple):
    """A ratio that byhand has to reach, and one that it should."""

    required: float
    target: float


@dataclass(frozen=True)
class Benchmark:
    """One benchmark, a table of the output.

    lines: its measurements by name, "" where there is one; each is made by a session, whose argument is a peer: a Protocol of
    peer_network.py, convolutions.py, inference.py or memory.py.
    goals: ratios to reach, over the best float32 peer, over the best peer of any precision, or over a family of peers.
    tolerance: of a float32 side's numbers, beside the largest of byhand's: a sum in another order, over some training steps.
    rounds: the most turns; new_process: each turn has one; spinning: processes that spin beside all sides.
    """

    title: str
    unit: str
    lines: Mapping[str, Callable[[Any], Session]]
    peers: tuple[str, ...]
    goals: Mapping[str, Goal] = field(default_factory=dict)
    bf16: bool = False
    lower_is_better: bool = False
    tolerance: float = 1e-3
    rounds: int | None = None
    new_process: bool = False
    spinning: int = 0


TRAINERS = (*peers.EAGER, *peers.COMPILED, *peers.JAX)
BF16_TRAINERS = (*TRAINERS, *peers.EAGER_BF16, *peers.COMPILED_BF16)
ALL_CORES = tuple(name for name in TRAINERS if name.endswith(peers.count(peers.CORES)))
ALL_CORES_ONNX = tuple(name for name in peers.ONNX if name.endswith(peers.count(peers.CORES)))
CONVOLUTIONS = tuple(name for name in (*peers.EAGER, *peers.EAGER_BF16) if name.endswith(peers.count(peers.CORES)))
GOALS_3X3 = {"forward": Goal(2, 2.8), "backward_data": Goal(1.9, 2.8), "backward_weights": Goal(1.6, 2.2)}
INFERENCE_TOLERANCE = 1e-4

BENCHMARKS = {
    "article": Benchmark(
        "the article's run: 3 epochs of 1,000, batch 1, 1,000 tests",
        "s",
        {"": articles_run},
        TRAINERS,
        {"PyTorch": Goal(8, 20)},
        lower_is_better=True,
    ),
    "tutorial": Benchmark(
        "the article's program, batch 1, training",
        "images/s",
        {"": articles_steps},
        tuple(peers.ARTICLE),
        {"the article's loops": Goal(600, 1500)},
    ),
    "article64": Benchmark(
        "the article's net, batch 64, an epoch of 60,000",
        "s",
        {"": articles_epoch},
        TRAINERS,
        {BEST_FLOAT32: Goal(5, 10)},
        lower_is_better=True,
    ),
    "lenet5": Benchmark(
        "LeNet-5, batch 64, training",
        "images/s",
        {"": training(networks.lenet5, 64)},
        BF16_TRAINERS,
        {BEST_FLOAT32: Goal(3, 6)},
        bf16=True,
    ),
    "example": Benchmark(
        "PyTorch's MNIST example, batch 64, training",
        "images/s",
        {"": training(networks.mnist_example, 64, plain=lambda: networks.mnist_example(dropout=False))},
        BF16_TRAINERS,
        {"PyTorch": Goal(2.8, 4)},
        bf16=True,
    ),
    "resnet20": Benchmark(
        "ResNet-20, batch 128, training",
        "images/s",
        {"": training(networks.resnet20, 128, photographs, checked=3)},
        BF16_TRAINERS,
        {"PyTorch": Goal(1.5, 2.2), BEST_OF_ANY: Goal(1, 1.5)},
        bf16=True,
    ),
    "resnet18": Benchmark(
        "ResNet-18, batch 64, training",
        "images/s",
        {"": training(networks.resnet18, 64, photographs, checked=2)},
        BF16_TRAINERS,
        {"PyTorch": Goal(1.9, 2.5), "PyTorch bf16": Goal(1, 1.3), BEST_OF_ANY: Goal(1.3, 1.7)},
        bf16=True,
    ),
    "convolutions": Benchmark(
        "twelve convolutions",
        "GFLOP/s",
        convolutions.lines(convolutions.CASES),
        CONVOLUTIONS,
        {BEST_FLOAT32: Goal(0.95, 1.2)},
        bf16=True,
    ),
    **{
        f"3x3-{name.replace('_', '-')}": Benchmark(
            f"3x3 convolutions of stride 1, {name}",
            "GFLOP/s",
            convolutions.lines(convolutions.CASES_3X3, (name,)),
            CONVOLUTIONS,
            {BEST_FLOAT32: goal},
            bf16=True,
        )
        for name, goal in GOALS_3X3.items()
    },
    "latency": Benchmark(
        "LeNet-5, one image, latency",
        "us",
        {"": latency},
        (*TRAINERS, *peers.EAGER_BF16, *peers.ONNX),
        {"PyTorch": Goal(5, 10)},
        lower_is_better=True,
    ),
    "inference": Benchmark(
        "one image, twelve networks",
        "ms",
        inference.lines(inference.NETWORKS, 1, 1e-3),
        tuple(peers.INFERENCE),
        {BEST_FLOAT32: Goal(1.25, 1.6), BEST_OF_ANY: Goal(0.95, 1.2)},
        bf16=True,
        lower_is_better=True,
        tolerance=INFERENCE_TOLERANCE,
    ),
    "batch16": Benchmark(
        "batches of 16 images, eight networks, an image",
        "ms",
        inference.lines(inference.BATCH_NETWORKS, 16, 1e-3),
        tuple(peers.INFERENCE),
        {BEST_FLOAT32: Goal(1.2, 1.5)},
        bf16=True,
        lower_is_better=True,
        tolerance=INFERENCE_TOLERANCE,
    ),
    "busy": Benchmark(
        "one image, small networks on a busy machine",
        "ms",
        inference.lines(inference.SMALL_NETWORKS, 1, 1e-3),
        (peers.BYHAND_1_THREAD, *peers.ONNX),
        {peers.BYHAND_1_THREAD: Goal(0.95, 1.2), "onnxruntime": Goal(1, 1.5)},
        lower_is_better=True,
        tolerance=INFERENCE_TOLERANCE,
        spinning=SPINNING_PROCESSES,
    ),
    "99": Benchmark(
        "LeNet-5 to 99% on MNIST, from the start",
        "s",
        {"": to_target},
        TRAINERS,
        {BEST_FLOAT32: Goal(3, 6)},
        lower_is_better=True,
        rounds=3,
        new_process=True,
    ),
    "memory": Benchmark(
        "ResNet-18, batch 64, training: memory at the peak",
        MEMORY,
        {"": training_memory},
        ALL_CORES,
        {BEST_FLOAT32: Goal(1 / 0.7, 2)},
        lower_is_better=True,
        rounds=1,
    ),
    "predict-memory": Benchmark(
        "one photo, an ONNX file: memory at the peak",
        MEMORY,
        predict_memory.sessions(),
        ALL_CORES_ONNX,
        {BEST_FLOAT32: Goal(1 / 1.3, 1)},
        lower_is_better=True,
        rounds=3,
    ),
    "install": Benchmark(
        "the installation",
        MEMORY,
        {"": install_size},
        tuple(peers.PACKAGES),
        {BEST_FLOAT32: Goal(750 / 400, 750 / 400)},
        lower_is_better=True,
        rounds=1,
    ),
    "limit": Benchmark(
        "multiply-adds of the register tile, all threads",
        "GFLOP/s",
        {precision: multiply_adds(precision) for precision in PRECISIONS},
        (),
        rounds=1,
    ),
}
