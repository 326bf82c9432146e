"""Time a training from scratch: `byhand train FOLDER`, from the command to the report, beside the same training in PyTorch.

python scripts/measure_cifar.py FOLDER [EPOCHS | steps]

FOLDER: small color images, a folder for each class, in train/ and test/; "steps": no training, only steps are timed, in turns.
PyTorch trains the same network from the same first weights, with the same optimizer, schedule, batches and augmentation, on
images that are decoded already, in the fastest of three modes, which is found first: eager in both memory layouts, and
torch.compile. Compared are the seconds of the steps; byhand's whole command is reported too. Each side has all cores.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import byhand as bh
from byhand.bench.torch_peer import Peer
from byhand.cli import defaults
from byhand.data import Augment
from byhand.kernels.runtime.cpu import cores
from byhand.train.optim.muon import NORM_EPS, A, B, C
from byhand.train.settings import from_json

MODES = {
    "contiguous": ("contiguous", False),
    "channels_last": ("channels_last", False),
    "compiled": ("channels_last", True),
}
STEPS = 8  # in each mode, to find the fastest; in each turn
ROUNDS = 5  # turns of each side, where only steps are timed


def byhand(folder, epochs):
    """Return what the command says at its end, and the settings that it chose."""
    with tempfile.TemporaryDirectory() as place:
        run = f"{place}/run"
        more = [] if epochs is None else ["--epochs", epochs]
        command = [sys.executable, "-m", "byhand", "train", str(folder), "--json", "--output", run, *more]
        started = time.perf_counter()
        done = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
        return done | {"whole": time.perf_counter() - started}, json.loads(Path(run, "run.json").read_text())


def muon(network, velocity, optimizer, rate):
    """Do the update of byhand's Muon; a convolution's weight (K, C, R, S) is a matrix of K rows here."""
    for p, v in zip(network.module.parameters(), velocity):
        v.mul_(optimizer.momentum).add_(p.grad)
        u = p.grad + optimizer.momentum * v
        if p.ndim == 1:
            p.sub_(u, alpha=rate * optimizer.bias_lr_scale)
            continue
        x = u.reshape(len(u), -1)
        x = x / (x.norm() + NORM_EPS)
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        for _ in range(optimizer.ns_steps):
            square = x @ x.T
            x = A * x + (B * square + C * (square @ square)) @ x
        x = x.T if tall else x
        p.mul_(1 - rate * optimizer.weight_decay).sub_(
            x.reshape(p.shape), alpha=rate * max(1, len(u) / (u.numel() / len(u))) ** 0.5
        )


def step(network, velocity, optimizer, rate, images, labels):
    """Do one step; return its loss."""
    loss = network.loss_of(torch.from_numpy(images), torch.from_numpy(labels))
    network.module.zero_grad(set_to_none=True)
    loss.backward()
    with torch.no_grad():
        muon(network, velocity, optimizer, rate)
    return loss.detach()


def build(mode, train, settings):
    """Return the network in PyTorch in one of the modes, and the optimizer's velocity."""
    layout, compiled = MODES[mode]
    ours = bh.models.create(settings["model"], train.classes, train.shape, settings["seed"], **settings["pixels"])
    network = Peer(layout, cores(), compiled).network(ours, 0.1, 0.9)
    network.module.train()
    return network, [torch.zeros_like(p) for p in network.module.parameters()]


def fastest(train, settings, optimizer):
    """Return PyTorch's fastest mode, and print the speed of each."""
    batch, taken = settings["batch_size"], {}
    for mode in MODES:
        network, velocity = build(mode, train, settings)
        images, labels, times = train.images[:batch], train.labels[:batch], []
        for _ in range(STEPS):
            started = time.perf_counter()
            step(network, velocity, optimizer, 0.0, images, labels)
            times.append(time.perf_counter() - started)
        taken[mode] = sorted(times)[STEPS // 4]
        print(f"PyTorch, {mode}: {batch / taken[mode]:,.0f} images/s", flush=True)
    return min(taken, key=taken.get)


def steps_alone(train, settings):
    """Print the median time of a step on both sides, in turns, PyTorch in its fastest mode."""
    batch, optimizer = settings["batch_size"], bh.Muon()
    images, labels = train.images[:batch], train.labels[:batch]
    ours = bh.models.create(settings["model"], train.classes, train.shape, settings["seed"], **settings["pixels"])
    trainer = bh.Trainer(ours, optimizer, batch_size=batch)
    network, velocity = build(fastest(train, settings, optimizer), train, settings)
    sides = {
        "byhand": lambda: trainer.step(images, labels),
        "PyTorch": lambda: step(network, velocity, optimizer, optimizer.lr, images, labels),
    }
    taken = {name: [] for name in sides}
    for run_step in sides.values():
        run_step()  # compiles
    for _ in range(ROUNDS):
        for name, run_step in sides.items():
            started = time.perf_counter()
            for _ in range(STEPS):
                run_step()
            taken[name].append((time.perf_counter() - started) / STEPS)
    ours, theirs = (sorted(times)[ROUNDS // 2] for times in taken.values())
    print(
        f"{settings['model']}, batch {batch}: byhand {batch / ours:,.0f} images/s, PyTorch {batch / theirs:,.0f}; "
        f"ratio {theirs / ours:.2f}"
    )


def pytorch(train, test, settings):
    """Train in PyTorch; return the seconds and the accuracy."""
    optimizer, schedule = from_json(settings["optimizer"]), from_json(settings["schedule"])
    mode, batch, augment = (
        fastest(train, settings, optimizer),
        settings["batch_size"],
        Augment.parse(settings["augment"]),
    )
    network, velocity = build(mode, train, settings)
    step(network, velocity, optimizer, 0.0, train.images[:batch], train.labels[:batch])  # compiles, where it does
    each = -(-len(train) // batch)
    total, taken = each * settings["epochs"], 0.0
    for epoch in range(settings["epochs"]):
        rng = np.random.default_rng([settings["seed"], 0, epoch])
        order, uniforms = rng.permutation(len(train)), augment.draw(len(train), epoch, rng, [settings["seed"], 0])
        network.module.train()
        for number in range(each):
            rows = order[number * batch : (number + 1) * batch]
            rate = optimizer.lr * schedule((epoch * each + number) / total)
            images = augment(np.asarray(train.images[rows]), uniforms[rows])
            started = time.perf_counter()
            step(network, velocity, optimizer, rate, images, train.labels[rows])
            taken += time.perf_counter() - started
        logits = [network.logits(test.images[start : start + 500]) for start in range(0, len(test), 500)]
        accuracy = float((np.concatenate(logits).argmax(1) == test.labels).mean())
        print(f"PyTorch, epoch {epoch + 1}: {accuracy:.2%}, {taken:.0f} s", flush=True)
    return taken, accuracy


def main(folder, epochs=None):
    """Measure both sides, one after the other, and print what each took."""
    if epochs == "steps":
        train = bh.data.load(folder)[0]
        steps_alone(train, {"model": "small", "seed": 0, "batch_size": 256, "pixels": defaults.normalization(train)})
        return
    done, settings = byhand(folder, epochs)
    sets = bh.data.find(folder)
    parts = sets.sets(sets.shape).parts
    alone = settings["epochs"] * len(parts["train"]) / done["images_per_second"]
    ours = (
        f"byhand: {done['whole']:.0f} s from command to report, its steps {alone:.0f} s, {done['test']['accuracy']:.2%}"
    )
    print(ours, flush=True)
    seconds, accuracy = pytorch(parts["train"], parts["test"], settings)
    print(f"{ours}; PyTorch: its steps {seconds:.0f} s, {accuracy:.2%}; ratio of the steps {seconds / alone:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
