"""Processes that save checkpoints until they are killed, and checks of what is left.

    python tests/train/kill_children.py FOLDER KILLS SEED

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


def new_trainer():
    """Return a trainer whose parameters all say how many steps it has done."""
    model = nn.Model(nn.Input(16, 16, 3), nn.Sequential(nn.Conv2d(32, 3), nn.BatchNorm(), nn.Flatten(), nn.Linear(10)))
    trained = bh.Trainer(model, bh.Adam())
    mark(trained, 0)
    return trained


def mark(trained, steps):
    trained.steps = steps
    trained.model.p.flat[...] = steps
    for buffer in trained.buffers.values():
        buffer[...] = steps


def child(trained, path):
    while True:
        mark(trained, trained.steps + 1)
        trained.save(path)


def main(folder, kills, seed):
    path, rng, steps, halves = folder / "checkpoint.safetensors", random.Random(seed), [], 0
    trained = new_trainer()
    trained.save(path)
    for kill in range(kills):
        parts, inode = set(folder.glob(".*.part")), path.stat().st_ino
        pid = os.fork()
        if pid == 0:
            try:
                child(trained, path)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        while path.stat().st_ino == inode and (kill % 2 or set(folder.glob(".*.part")) == parts):
            # Every second child has saved once, the others have begun to, however busy the machine is.
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.01))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), f"the child ended by itself: {status}"
        halves += len(set(folder.glob(".*.part")) - parts)
        trained = bh.Trainer.load(path)
        for array in (trained.model.p.flat, *trained.buffers.values()):
            assert np.all(array == trained.steps), f"half of step {trained.steps}: {array.min()} to {array.max()}"
        steps.append(trained.steps)
    print(json.dumps({"steps": steps, "halves": halves}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
