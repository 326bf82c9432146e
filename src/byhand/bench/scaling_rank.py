"""One rank of `byhand bench scaling`: it measures training steps, and all-reduces of several sizes.

    mpiexec -n 2 python -m byhand.bench.scaling_rank '{"model": "lenet5", "batch": 64, "seconds": 1, "sizes": [4, 4194304]}'

Rank 0 prints one JSON object. With "of": 2 a single process computes rank 0's shard of two without communication: the
computing time of a step.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from byhand import models
from byhand.bench.results import RankJob, RankResult
from byhand.kernels.runtime.thread_pool import workers
from byhand.ops import DEFAULT_HAND
from byhand.train import SGD, Trainer
from byhand.train.distributed.gradient_overlap import BUCKET_BYTES
from byhand.train.distributed.mpi import Communicator, world

MIN_REPEATS = 3  # of a measurement


def measure(job: RankJob) -> RankResult:
    """Return what the job asks for, in seconds; all ranks must call it."""
    ranks = Communicator(0, job["of"]) if "of" in job else world()
    result: RankResult = {"ranks": ranks.size}
    if "model" in job:
        result.update(step(job, ranks))
    if "sizes" in job:
        result["all_reduce"] = [[size, all_reduce(size, job["seconds"], ranks)] for size in job["sizes"]]
    if job.get("add"):
        result["add"] = add(job["seconds"])
    return result


def step(job: RankJob, ranks: Communicator) -> RankResult:
    """Return the seconds of a step on a batch that the ranks share, and how much they send."""
    model, rng = models.create(job["model"]), np.random.default_rng(0)
    images = rng.integers(0, 256, (job["batch"], *model.input_shape), np.uint8)
    labels = rng.integers(0, len(model.classes), job["batch"])
    hand = job.get("hand", DEFAULT_HAND)
    trainer = Trainer(model, SGD(0.001, 0.9), batch_size=job["batch"], comm=ranks, hand=hand)
    if "overlap" in job and trainer.data_parallel is not None:
        trainer.data_parallel.overlap_with_backward(BUCKET_BYTES if job["overlap"] else None)
    seconds = time_call(lambda: trainer.step(images, labels), job["seconds"], ranks)
    threads = workers() if trainer.hand == "compiled" else 1
    return {"step": seconds, "parameters": model.parameter_count, "bytes": model.g.flat.nbytes, "threads": threads}


def all_reduce(size: int, seconds: float, ranks: Communicator) -> float:
    """Return the seconds of an all-reduce of so many bytes."""
    array = np.zeros(max(1, size // 4), np.float32)
    return time_call(lambda: ranks.all_reduce(array), seconds, ranks)


def add(seconds: float) -> float:
    """Return the seconds for adding two large arrays, by byte: an all-reduce adds too."""
    left, right = np.zeros(1 << 22, np.float32), np.ones(1 << 22, np.float32)
    return time_call(lambda: np.add(left, right, out=left), seconds, Communicator()) / left.nbytes


def time_call(call: Callable[[], object], seconds: float, ranks: Communicator) -> float:
    """Return the median time of a call, repeated for some seconds, the same number of times on each rank.

    Short calls are timed in groups.
    """
    call()
    call()
    ranks.barrier()
    started = time.perf_counter()
    call()
    once = ranks.broadcast(time.perf_counter() - started)
    batch_calls = max(1, int(seconds / 20 / max(once, 1e-7)))
    times = []
    for _ in range(max(MIN_REPEATS, min(20, int(seconds / max(once * batch_calls, 1e-7))))):
        ranks.barrier()
        started = time.perf_counter()
        for _ in range(batch_calls):
            call()
        times.append((time.perf_counter() - started) / batch_calls)
    return ranks.broadcast(median(times))


if __name__ == "__main__":
    result = measure(json.loads(sys.argv[1]))
    if world().rank == 0:
        print(json.dumps(result))
