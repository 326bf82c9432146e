"""Fixtures of the page tests: a browser that allows no console message and no request."""

import os
import shutil
import sys
from pathlib import Path

import pytest

import byhand as bh
from byhand.page import Look, Snapshot, document

NEEDED = "needs a browser: apt-get install chromium (or name one with CHROMIUM), and pip install playwright"


@pytest.fixture(scope="session")
def browser():
    """Return a browser, started once."""
    playwright = pytest.importorskip("playwright.sync_api", reason=NEEDED)
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip(NEEDED)
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """Return a function that opens a page in a new window; at the end, none may have complained or asked for anything."""
    contexts, complaints, asked = [], [], []

    def visit(path, *, hash="", width=1440, height=1000, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **{"locale": "en-US"} | options)
        contexts.append(context)
        page = context.new_page()
        page.complaints = complaints
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(f"{error.message}\n{error.stack}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{Path(path).as_uri()}{hash}")
        page.wait_for_selector("html[data-ready]")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not complaints
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


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
