"""Fixtures of the page tests: a trained network and its page."""

import os
import sys
from pathlib import Path

import pytest

import byhand as bh
from byhand.page import Look, Snapshot, document


@pytest.fixture(scope="session")
def digits():
    """Return LeNet-5 after an epoch of MNIST's first digits, snapshots of the training, and what it was trained by."""
    train, _ = bh.data.load("mnist")
    model = bh.models.create("lenet5")
    trainer = bh.Trainer(model, bh.SGD(0.05, 0.9))
    snapshots = [Snapshot(0, 0.0, bh.models.create("lenet5"))]
    for epoch in (1, 2):
        trainer.fit(train.take(8000), train.rows(slice(8000, 9000)), epochs=1, quiet=True)
        snapshots.append(Snapshot(trainer.steps, float(epoch), copy(model)))
    return model, snapshots, trainer


def copy(model):
    """Return a model with the same numbers."""
    made = bh.models.create("lenet5")
    made.p.flat[...] = model.p.flat
    return made


@pytest.fixture(scope="session")
def page_file(digits, tmp_path_factory):
    """Return the page of a trained LeNet-5."""
    model, snapshots, trainer = digits
    test = bh.data.load("mnist")[1].take(300)
    look = Look(
        model,
        "lenet5 on mnist",
        tests=test.images,
        labels=test.labels,
        snapshots=snapshots,
        history=[{"epoch": 1} | trainer.history[0], {**trainer.history[0], "epoch": 2}],
        curve=trainer.curve,
    )
    path = tmp_path_factory.mktemp("page") / "look.html"
    path.write_bytes(document(look))
    return path


def axe():
    """Return the source of axe-core, or skip."""
    folder = Path(os.environ.get("AXE") or Path(sys.prefix) / "node_modules" / "axe-core")
    if not (folder / "axe.min.js").exists():
        pytest.skip("needs axe-core: npm install --no-save --prefix .venv axe-core@4")
    return (folder / "axe.min.js").read_text(encoding="utf-8")
