"""CONTRIBUTING's walkthroughs, executed from their code blocks."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import typer
from onnx.helper import make_node

import byhand as bh
from byhand.data.augment import Augment, registry
from byhand.kernels.conv import algorithm
from byhand.onnx.registry import READERS
from byhand.ops.activation import smooth
from byhand.ops.op import REGISTRY
from byhand.report.doctor import registry as checks
from byhand.train.optim.optimizer import OPTIMIZERS
from tests.ops.draw import Seeded
from tests.ops.test_conformance import cast_inputs, check

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
UNTYPED = {"Add an op": "ops/activation/smooth.py", "Add an optimizer": "train/optim/lion.py"}  # hands
TYPED = {
    "Add a model": "models/micronet.py",
    "Add a command": "cli/count.py",
    "Add an ONNX operator": "onnx/readers/shrink.py",
    "Add an augmentation": "data/augment/posterize.py",
    "Add a doctor check": "report/doctor/constant.py",
    "Add a convolution algorithm": "kernels/conv/im2col.py",
}


def block(title):
    """Return the code of a section."""
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return code


@contextmanager
def registered(tables, title, name):
    """Run a section's code as a module; afterwards the registries are as before."""
    before = [dict(table) for table in tables]
    module = sys.modules[name] = ModuleType(name)
    try:
        exec(compile(block(title), f"<CONTRIBUTING: {title}>", "exec"), module.__dict__)
        yield module
    finally:
        del sys.modules[name]
        for table, entries in zip(tables, before):
            table.clear()
            table.update(entries)


def ruff(folder, *words):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_section_with_code_is_linted():
    titles = re.findall(r"^## (Add .*)$", TEXT, re.MULTILINE)
    assert {title for title in titles if "```python" in TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]} == {
        *UNTYPED,
        *TYPED,
    }


@pytest.mark.parametrize(("title", "name"), (UNTYPED | TYPED).items())
def test_a_walk_passes_the_linter(title, name, tmp_path):
    """The rules of `make lint`; Ruff's ANN rules ask for the types without which mypy's strict mode fails."""
    pytest.importorskip("ruff")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "src/byhand" / name
    path.parent.mkdir(parents=True)
    before = Path(smooth.__file__).read_text(encoding="utf-8") + "\n\n" if title == "Add an op" else ""
    path.write_text(before + block(title), encoding="utf-8")
    first_party = ["--config", "lint.isort.known-first-party=['byhand']"]  # whose other files are not in this folder
    ruff(tmp_path, "check", "--no-cache", *first_party, *(["--extend-select", "ANN"] if title in TYPED else []), path)
    ruff(tmp_path, "format", "--no-cache", "--check", path)
    assert before or path.read_text(encoding="utf-8").startswith('"""'), "a module opens with a sentence"


def test_an_op():
    namespace = dict(vars(smooth))
    try:
        exec(block("Add an op"), namespace)
        op = REGISTRY["log_sigmoid"]
        for seed in range(20):
            values, attributes = op.sample(Seeded(seed))
            check(op, ["arrays"], cast_inputs(op, values, np.float64), attributes)
        assert np.allclose(op([0.0, -1000.0]), [-np.log(2), -1000])
    finally:
        REGISTRY.pop("log_sigmoid", None)


@pytest.mark.parametrize("hand", ["arrays", "compiled"])
def test_an_optimizer(hand):
    with registered([OPTIMIZERS], "Add an optimizer", "byhand.train.optim.lion") as lion:
        train, _ = bh.data.load("mnist")
        losses = {}
        for name in ("loops", hand):
            trainer = bh.Trainer(
                bh.models.create("article", seed=0), lion.Lion(lr=1e-3, weight_decay=0.1), hand="arrays"
            )
            parameters, rng = trainer.model.p.flat, np.random.default_rng(0)
            gradient, momentum = (np.asarray(rng.standard_normal(parameters.size), parameters.dtype) for _ in range(2))
            settings = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1}
            lion.Lion.hands[name](parameters, gradient, momentum, **settings)
            losses[name] = np.concatenate([parameters, momentum])
        np.testing.assert_allclose(losses[hand], losses["loops"], rtol=1e-5, atol=1e-6)
        trainer = bh.Trainer(bh.models.create("article", seed=0), lion.Lion(lr=1e-3), hand=hand, batch_size=50)
        history = trainer.fit(train.take(500), epochs=2, quiet=True)
        assert history[1]["loss"] < history[0]["loss"]


def test_an_optimizer_of_the_catalog_is_exported_and_an_option(tmp_path):
    package = tmp_path / "byhand"
    shutil.copytree(Path(bh.__file__).parent, package, copy_function=os.symlink)
    (package / "train/optim/lion.py").write_text(block("Add an optimizer"))
    (line,) = re.findall(r"`(from byhand.train.optim.lion import [^`]*)`", TEXT)
    catalog = package / "train/optim/catalog.py"
    text = catalog.read_text() + line + "\n"
    catalog.unlink()  # a link to the project's own
    catalog.write_text(text)
    code = "import byhand; byhand.Lion(lr=1e-3); from byhand.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "--help"],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "lion" in done.stdout, done.stderr


def test_a_model():
    with registered([bh.models.ARCHITECTURES], "Add a model", "byhand.models.micronet") as module:
        bh.models.ARCHITECTURES |= module.ARCHITECTURES
        assert "micronet" in bh.models.names()
        model = bh.models.create("micronet")
        assert model.predict(np.zeros((2, 28, 28, 1), np.uint8)).shape == (2, 10)
        assert {"conv1_weight", "fc_weight"} <= model.parameters.keys()


def test_a_command(capsys):
    commands = import_module("byhand.cli.command").COMMANDS
    with registered([commands], "Add a command", "byhand.cli.count"):
        entry = commands["count"]
        app = typer.Typer()
        app.command(entry.name, help=entry.help, epilog=entry.epilog)(entry.function)
        app(["lenet5"], standalone_mode=False)
        assert capsys.readouterr().out == "61,706\n"


def test_an_onnx_operator(tmp_path):
    pytest.importorskip("onnx")
    from byhand.onnx import load
    from tests.onnx.small_models import make_model, random_array, write_model

    path = write_model(make_model([make_node("Shrink", ["x"], ["y"], bias=0.5, lambd=0.5)]), tmp_path)
    with registered([READERS], "Add an ONNX operator", "byhand.onnx.readers.shrink"):
        images = random_array(2, 8, 8, 3)
        expected = np.sign(images) * np.maximum(np.abs(images) - 0.5, 0)
        np.testing.assert_allclose(load(path).predict(images), expected, atol=1e-6)


def test_an_augmentation():
    with registered([registry.REGISTRY], "Add an augmentation", "byhand.data.augment.posterize"):
        augment, images = Augment.parse("posterize=3"), np.full((8, 4, 4, 1), 255, np.uint8)
        values = augment(images, np.random.default_rng(0).random((8, augment.uniforms_per_image)))
        assert set(np.unique(values)) == {248, 255}


def test_a_doctor_check():
    with registered([checks._CHECKS], "Add a doctor check", "byhand.report.doctor.constant") as module:
        assert "constant output" in [entry.name for entry in checks.registered_checks()]

        class Inputs:
            logits = np.ones((5, 3), np.float32)

        assert module.constant_output(Inputs()).severity == "serious"
        Inputs.logits = np.eye(5, 3, dtype=np.float32)
        assert module.constant_output(Inputs()) is None


def test_a_convolution_algorithm():
    with registered([algorithm.ALGORITHMS], "Add a convolution algorithm", "byhand.kernels.conv.im2col") as module:
        algorithm.ALGORITHMS["im2col"] = module.im2col
        x, weight = np.random.default_rng(0).standard_normal((2, 7, 5, 6)), np.ones((1, 1, 6, 40))
        with algorithm.force("im2col"):
            y = bh.conv2d(x, weight)
        np.testing.assert_allclose(y, bh.conv2d(x, weight, hand="arrays"))
