"""A model's program called on images and labels alone."""

import io
import pdb
import re
from pathlib import Path

import numpy as np
import pytest

import byhand as bh
from byhand.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (4, 28, 28, 1), np.uint8)
LABELS = np.array([1, 7, 2, 7])
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def model():
    """LeNet-5, not trained."""
    return bh.models.create("lenet5")


@pytest.mark.parametrize("hand", ["arrays", "compiled"])
@pytest.mark.parametrize("keep", [False, True])
def test_images_are_enough(model, hand, keep):
    logits = model.program(4, hand=hand, keep=keep)(IMAGES)
    np.testing.assert_allclose(logits, model.logits_of(IMAGES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hand", ["arrays", "compiled"])
def test_images_and_labels_are_enough(model, hand):
    program = model.program(4, train=True, hand=hand, keep=True)
    loss = program(IMAGES, LABELS)
    traced = model.trace(IMAGES, LABELS)
    assert float(loss) == pytest.approx(float(traced["loss"]), rel=1e-5)
    np.testing.assert_allclose(model.g.grad_conv1_weight, traced["grad_conv1_weight"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(program.arena.conv1, traced["conv1"], rtol=1e-4, atol=1e-5)
    assert float(program(IMAGES, LABELS)) == float(loss)  # nothing has been updated


def test_what_does_not_fit_is_told(model):
    train = model.program(4, train=True)
    with pytest.raises(ShapeError, match=r"batches of 4, but got 2 images; model\.program\(2"):
        train(IMAGES[:2], LABELS[:2])
    with pytest.raises(ShapeError, match="batches of 4, but got 3 labels"):
        train(IMAGES, LABELS[:3])
    with pytest.raises(ArgumentError, match="takes images and labels; got 1 arrays"):
        train(IMAGES)
    with pytest.raises(ArgumentError, match="takes images; got 2 arrays"):
        model.program(4)(IMAGES, LABELS)
    with pytest.raises(ShapeError, match=r"images have the shape \(4, 28, 28\)"):
        train(IMAGES[..., 0], LABELS)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([-1, 2], "labels hold -1, but there are 10 classes"),
        ([99, 2], "labels hold 99"),
        ([10**7, 2], "labels hold 10000000"),
        ([1.9, 2.2], "labels hold float64; expected whole numbers, 0 to 9"),
        ([[1, 2], [3, 4]], r"labels have the shape \(2, 2\); expected \(2,\)"),
    ],
)
def test_labels_that_are_no_classes_reach_no_kernel(model, labels, message):
    with pytest.raises(ArgumentError, match=message):
        model.program(2, train=True)(IMAGES[:2], labels)


def test_targets_become_the_type_of_the_outputs(model):
    program = model.program(2, train=True, loss=bh.mse_loss)
    targets = np.eye(10, dtype=int)[[1, 7]]
    assert program(IMAGES[:2], targets) == program(IMAGES[:2], targets.astype(np.float32))
    with pytest.raises(ShapeError, match=r"labels have the shape \(2,\); expected \(2, 10\)"):
        program(IMAGES[:2], [1, 7])
    with pytest.raises(ArgumentError, match="labels hold <U1; expected numbers"):
        program(IMAGES[:2], np.full((2, 10), "a"))


def test_a_program_does_not_keep_its_model_alive():
    program = bh.models.create("lenet5").program(4)
    with pytest.raises(ArgumentError, match="the model of this program is gone"):
        program(IMAGES)


def test_the_debugger_session_of_the_docs():
    """Every line of the session in docs/debugging.md, typed into pdb, answers as it says."""
    text = (DOCS / "debugging.md").read_text(encoding="utf-8")
    session = re.search(r"```\n\$ python -m pdb step.py\n(.*?)```", text, re.DOTALL)[1]
    train, _ = bh.data.load("mnist")
    model = bh.models.create("lenet5", seed=0)
    program = model.program(batch=2, train=True, hand="loops", keep=True)
    typed = [line.removeprefix("(Pdb) ") for line in session.splitlines() if line.startswith("(Pdb) ")]
    lines = "\n".join([*typed, "c"]).replace("PROGRAM", str(program.path))
    said = io.StringIO()
    debugger = pdb.Pdb(stdin=io.StringIO(f"{lines}\n"), stdout=said, readrc=False, nosigint=True)
    debugger.use_rawinput = False
    debugger.runcall(program, train.images[:2], train.labels[:2])
    for line in session.splitlines():
        if line.startswith("-> "):
            assert line in said.getvalue()
    shown = [np.array(eval(array)) for array in re.findall(r"array\((\[.*?\])", said.getvalue())]
    told = [np.array(eval(array)) for array in re.findall(r"array\((\[.*?\])", session)]
    assert len(told) == 2
    np.testing.assert_allclose(shown, told, atol=1e-6)
