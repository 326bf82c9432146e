"""Children that save checkpoints until they are killed; after each kill the checkpoint must be whole, and never an older one.

    python tests/train/nursery.py FOLDER KILLS SEED

Prints one JSON object: the steps that each kill left behind, and how many kills fell into the middle of a write. It imports
byhand once and forks, which is what makes a hundred kills cheap.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np

import byhand as bh
from byhand import nn


def trainer():
    """Return a trainer whose parameters all say how many steps it has done."""
    model = nn.Model(nn.Input(16, 16, 3), nn.Sequential(nn.Conv2d(32, 3), nn.BatchNorm(), nn.Flatten(), nn.Linear(10)))
    one = bh.Trainer(model, bh.Adam())
    mark(one, 0)
    return one


def mark(one, steps):
    one.steps = steps
    one.model.p.flat[...] = steps
    for buffer in one.buffers.values():
        buffer[...] = steps


def child(one, path):
    while True:
        mark(one, one.steps + 1)
        one.save(path)


def main(folder, kills, seed):
    path, rng, steps, halves = folder / "checkpoint.safetensors", random.Random(seed), [], 0
    one = trainer()
    one.save(path)
    for _ in range(kills):
        parts = set(folder.glob(".*.part"))
        pid = os.fork()
        if pid == 0:
            try:
                child(one, path)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        time.sleep(rng.uniform(0.001, 0.025))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), f"the child ended by itself: {status}"
        halves += len(set(folder.glob(".*.part")) - parts)
        one = bh.Trainer.load(path)
        for array in (one.model.p.flat, *one.buffers.values()):
            assert np.all(array == one.steps), f"half of step {one.steps}: {array.min()} to {array.max()}"
        steps.append(one.steps)
    print(json.dumps({"steps": steps, "halves": halves}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
