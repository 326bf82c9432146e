"""Several steps in one call equal single steps, bit for bit."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest

import byhand as bh
from byhand.ops import HANDS
from byhand.program import program as programs
from byhand.train.optim import update
from tests.nn.cases import images
from tests.nn.networks import everything, plain, small

BATCH = 4
STEPS = 7
OPTIMIZERS = {"sgd": bh.SGD(0.1, 0.9), "adam": bh.Adam(0.05), "muon": bh.Muon(0.05)}


class Training:
    """A model and the program of its updates."""

    def __init__(self, make, optimizer, hand, **settings):
        chosen = OPTIMIZERS[optimizer]
        self.model = make(**settings)
        self.program = self.model.program(BATCH, train=True, hand=hand, update=update(chosen, 1.0, hand))
        self.optimizer = SimpleNamespace(**{name: np.zeros_like(self.model.p.flat) for name in chosen.buffers})
        self.namespaces = self.model.p, self.model.g, self.model.state, self.program.arena, self.optimizer

    def bits(self):
        model = self.model
        every = model.p.flat, *vars(model.state).values(), *vars(self.optimizer).values()
        return b"".join(array.tobytes() for array in every)


def batches(model, steps=STEPS, seed=0):
    """Return images and labels of several steps, and a learning rate and a number for each."""
    x, labels = images(model, BATCH * steps, seed)
    shaped = x.reshape(steps, BATCH, *x.shape[1:]), labels.reshape(steps, BATCH)
    return *shaped, np.linspace(0.01, 0.3, steps), np.arange(1, steps + 1)


@pytest.mark.parametrize("hand", ["arrays", "compiled"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [everything, small, plain])
def test_steps_are_single_calls(make, dtype, optimizer, hand):
    single, several, parts = (Training(make, optimizer, hand, dtype=dtype) for _ in range(3))
    x, labels, lr, t = batches(single.model)
    losses, probabilities = [], []
    for i in range(STEPS):
        losses.append(float(single.program(x[i], labels[i], *single.namespaces, lr=float(lr[i]), t=int(t[i]))))
        probabilities.append(single.program.arena.probabilities.copy())
    found = several.program.steps(x, labels, *several.namespaces, lr=lr, t=t)
    assert several.bits() == single.bits()
    assert found.keys() == {"loss", "probabilities"} and found["loss"].dtype == np.dtype(dtype)
    assert found["loss"].tolist() == losses and len(set(losses)) == STEPS
    np.testing.assert_array_equal(found["probabilities"], probabilities)
    for start, end in ((0, 1), (1, 4), (4, 6), (6, 7)):
        part = slice(start, end)
        again = parts.program.steps(x[part], labels[part], *parts.namespaces, lr=lr[part], t=t[part])
        assert again["loss"].tolist() == losses[part]
    assert parts.bits() == single.bits()


def test_loops_take_several_steps():
    single, several = Training(plain, "sgd", "loops"), Training(plain, "sgd", "loops")
    x, labels, lr, t = (values[:2] for values in batches(single.model))
    losses = [
        float(single.program(x[i], labels[i], *single.namespaces, lr=float(lr[i]), t=int(t[i]))) for i in range(2)
    ]
    assert several.program.steps(x, labels, *several.namespaces, lr=lr, t=t)["loss"].tolist() == losses
    assert single.bits() == several.bits()


@pytest.mark.parametrize("hand", ["arrays", "compiled"])
def test_more_steps_than_one_execution_takes(monkeypatch, hand):
    """They go in several groups; what was handed out is not written over by the next group."""
    whole = Training(plain, "adam", hand)
    x, labels, lr, t = batches(whole.model)
    assert whole.program.steps_per_execution > STEPS
    expected = whole.program.steps(x, labels, *whole.namespaces, lr=lr, t=t)
    kept = copy.deepcopy(expected)
    monkeypatch.setattr(programs, "MAX_STEPS_PER_EXECUTION", 3)
    other = Training(plain, "adam", hand)
    assert other.program.steps_per_execution == 3
    found = other.program.steps(x, labels, *other.namespaces, lr=lr, t=t)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    assert whole.bits() == other.bits()
    whole.program.steps(*batches(whole.model, 3, seed=1)[:2], *whole.namespaces, lr=lr[:3], t=t[:3])
    for name, values in kept.items():
        np.testing.assert_array_equal(expected[name], values)


def test_a_program_without_an_update_takes_one_step():
    model = plain()
    for train in (False, True):
        assert model.program(BATCH, train, hand="compiled").steps_per_execution == 1
    for batch, steps in ((1, 64), (8, 64), (64, 8), (500, 1), (600, 1)):
        program = model.program(batch, train=True, update=update(bh.SGD(), None, "arrays"), hand="arrays")
        assert program.steps_per_execution == steps


def test_handing_over_other_arrays_is_another_capture():
    """The launches are written down for certain parameters; others are not mistaken for them."""
    trained, other = Training(plain, "sgd", "compiled"), Training(plain, "sgd", "compiled", seed=9)
    x, labels, lr, t = batches(trained.model)
    expected = other.program.steps(x, labels, *other.namespaces, lr=lr, t=t)["loss"].tolist()
    other = Training(plain, "sgd", "compiled", seed=9)
    before = trained.bits()
    first = trained.program.steps(x[:2], labels[:2], *trained.namespaces, lr=lr[:2] * 0, t=t[:2])["loss"].tolist()
    namespaces = *other.namespaces[:3], trained.program.arena, other.optimizer
    assert trained.program.steps(x, labels, *namespaces, lr=lr, t=t)["loss"].tolist() == expected
    momentum = Training(plain, "sgd", "compiled")
    assert before == momentum.bits()
    again = trained.program.steps(x[:2], labels[:2], *trained.namespaces, lr=lr[:2] * 0, t=t[:2])["loss"].tolist()
    assert again == first


def test_images_and_settings_may_change_and_are_not_kept():
    """What is handed over is copied in: the caller may write over it, or hand over other types."""
    trained, other = (Training(plain, "sgd", "compiled") for _ in range(2))
    x, labels, lr, t = batches(trained.model)
    expected = trained.program.steps(x, labels, *trained.namespaces, lr=lr, t=t)["loss"].tolist()
    first = other.program.steps(x[:3].copy(), labels[:3].astype(np.int32), *other.namespaces, lr=lr[:3], t=t[:3])[
        "loss"
    ].tolist()
    rest = other.program.steps(np.asfortranarray(x[3:]), labels[3:], *other.namespaces, lr=list(lr[3:]), t=list(t[3:]))[
        "loss"
    ].tolist()
    assert first + rest == expected and trained.bits() == other.bits()


@pytest.mark.parametrize("hand", HANDS)
def test_a_single_call_converts_dtypes(hand):
    model = plain()
    x, labels = images(model, BATCH)
    program = model.program(BATCH, train=True, hand=hand)
    losses = [
        float(program(x, kind(labels), model.p, model.g, model.state, program.arena))
        for kind in (np.asarray, lambda array: array.astype(np.int32), np.asfortranarray)
    ]
    assert len(set(losses)) == 1


def test_images_of_another_batch_are_refused():
    model = small()
    program = model.program(4, hand="compiled")
    x, _ = images(model, 4, 0)
    assert program(x, model.p, model.state, program.arena).shape[0] == 4
    with pytest.raises(bh.ShapeError, match=r"the program was made for .*; got .*: make one for that batch"):
        program(x[:1], model.p, model.state, program.arena)
