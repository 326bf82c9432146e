"""Data-parallel trainings for `mpiexec`, described by JSON; results are saved per rank.

    mpiexec -n 2 python tests/train/mpi_jobs.py FOLDER '{"plain": {}, "norm": {"norm": true, "epochs": 1}}'

Each rank writes FOLDER/<name>/<rank>.npz: every number that training changes, the history, the curve.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

import byhand as bh
from byhand import nn
from byhand.data import Dataset
from byhand.data.augment import Augment
from byhand.train.distributed.mpi import world

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.train.small_training import network, stripes

TEST = stripes(31, seed=1)


def residual(dtype):
    """Return a network whose program holds all kinds of batch norm: with a ReLU, with a shortcut and a ReLU, alone."""
    x = nn.Input(6, 6, 1)
    first = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(4, 3, padding="same", bias=False)(x)))
    second = nn.BatchNorm()(nn.Conv2d(4, 3, padding="same", bias=False)(first))
    joined = nn.ReLU()(nn.Add()(second, first))
    last = nn.BatchNorm()(nn.Conv2d(5, 3, stride=2, bias=False)(joined))
    logits = nn.Linear(3)(nn.Flatten()(nn.MaxPool2d(2)(last)))
    return nn.Model(x, logits, name="residual", classes=("down", "across", "even"), dtype=dtype)


def trainer(job):
    dtype = job.get("dtype", "float32")
    settings = {"dtype": dtype} | ({"task": job["task"]} if "task" in job else {})
    model = residual(dtype) if job.get("norm") else network(norm=False, dropout=job.get("dropout", 0), **settings)
    return bh.Trainer(
        model,
        bh.Adam(0.003) if job.get("adam") else bh.SGD(0.05, 0.9),
        batch_size=job.get("batch", 16),
        hand=job.get("hand", "compiled"),
        schedule=bh.OneCycle(),
        clip_norm=job.get("clip"),
        augment=Augment.parse(job.get("augment", "none")),
        sync_batchnorm=job.get("sync", False),
        label_smoothing=job.get("smooth", 0.0),
        loss=job.get("loss", "cross_entropy"),
        class_weight=job.get("weights"),
    )


def train(folder, job):
    """Train, or go on with what lies in the folder; return what came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    run = bh.Run(folder)
    trained = bh.Trainer.load(run.checkpoint) if run.checkpoint.exists() else trainer(job)
    add_events(trained, job)
    if "bucket_bytes" in job and trained.comm.size > 1:
        trained.data_parallel.overlap_with_backward(job["bucket_bytes"])
    data = stripes(job.get("images", 100))
    if job.get("soft"):
        data = Dataset(data.images, 0.8 * np.eye(3)[data.labels] + 0.2 / 3, data.classes)
    history = trained.fit(data, TEST, epochs=job.get("epochs", 3), quiet=job.get("quiet", True), run=run)
    left = {"parameters": trained.model.p.flat, "steps": trained.steps, "unfinished": trained.state is not None}
    left |= {f"state {name}": value for name, value in vars(trained.model.state).items()}
    left |= {f"optimizer {name}": value for name, value in trained.buffers.items()}
    return {name: np.array(value) for name, value in left.items()} | {
        "history": np.array(json.dumps(history)),
        "losses": np.array([[value for name, value in row.items() if "loss" in name] for row in history]),
        "buckets": np.array(
            trained.data_parallel.overlap.buckets if trained.data_parallel and trained.data_parallel.overlap else 0
        ),
        "threads": np.array(os.environ.get("BYHAND_THREADS", "")),
    }


def add_events(trained, job):
    """Let something happen after a step: {"stop" or "kill" or "fail": [ranks, step]}."""
    original, rank = trained._run_steps, trained.comm.rank

    def run_steps(*arguments):
        result = original(*arguments)
        for what in ("stop", "kill", "fail"):
            if what in job and rank in job[what][0] and trained.steps == job[what][1]:
                if what == "fail":
                    raise bh.errors.ArgumentError("this went wrong")
                os.kill(os.getpid(), {"stop": signal.SIGINT, "kill": signal.SIGKILL}[what])
        return result

    trained._run_steps = run_steps


def main(folder, jobs):
    for name, job in jobs.items():
        left = train(folder / name, job)
        np.savez(folder / name / f"{world().rank}.npz", **left)


if __name__ == "__main__":
    world()
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
