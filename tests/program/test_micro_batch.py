"""Micro-batches: depth-first execution gives the numbers of layer-by-layer execution."""

import re

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.errors import ArgumentError
from byhand.kernels.runtime import thread_pool
from byhand.program import micro_batch
from byhand.train.optim import update
from tests.nn.cases import images
from tests.nn.networks import everything, plain, small
from tests.program.test_memory import residual


def count(model, batch, training=True, **options):
    """Return how many micro-batches a program has."""
    found = re.search(
        r" in (\d+) micro-batches", str(model.program(batch, training, hand="compiled", **options)).splitlines()[0]
    )
    return int(found[1]) if found else 1


def lenet(**settings):
    return bh.models.create("lenet5", **{"dtype": np.float64} | settings)


def step(model, batch, **options):
    """Return (loss, gradients, probabilities)."""
    program = model.program(batch, train=True, hand="compiled", **options)
    x, labels = images(model, batch)
    loss = program(x, labels, model.p, model.g, model.state, program.arena)
    return float(loss), model.g.flat.copy(), program.arena.probabilities.copy()


@pytest.mark.parametrize("batch", [4, 8, 15])
@pytest.mark.parametrize("make", [plain, lenet])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_micro_batches_and_layer_by_layer_give_the_same(monkeypatch, make, batch, smoothing):
    model = make()
    found = [step(model, batch, label_smoothing=smoothing)]
    assert count(model, batch) == {4: 4, 8: 4, 15: 5}[batch]
    with monkeypatch.context() as patch:
        patch.setattr(micro_batch, "MIN_MICRO_BATCHES", 10**9)
        model = make()
        found.append(step(model, batch, label_smoothing=smoothing))
        assert count(model, batch, label_smoothing=smoothing) == 1
    for first, other in zip(*found):
        np.testing.assert_allclose(first, other, rtol=0, atol=1e-12)
    trace = make().trace(*images(model, batch), hand="arrays")
    if not smoothing:
        np.testing.assert_allclose(found[0][0], trace["loss"], rtol=1e-12)
        np.testing.assert_allclose(found[0][2], trace["probabilities"], rtol=0, atol=1e-12)


def test_inference_in_micro_batches_gives_the_same(monkeypatch):
    model = plain()
    x, _ = images(model, 30)
    assert count(model, 30, training=False) == 5
    first = model.logits_of(x, hand="compiled")
    monkeypatch.setattr(micro_batch, "MIN_MICRO_BATCHES", 10**9)
    model = plain()
    np.testing.assert_allclose(first, model.logits_of(x, hand="compiled"), rtol=0, atol=1e-12)
    np.testing.assert_allclose(first, model.logits_of(x, hand="arrays"), rtol=0, atol=1e-12)


def test_sizes_and_not_threads_decide_the_number_of_micro_batches():
    texts = set()
    for number in (1, 2, 3, 4, 7):
        with thread_pool.limit(number):
            texts.add(str(lenet().program(64, train=True, hand="compiled")))
    assert len(texts) == 1 and " micro-batches, " in texts.pop()


@pytest.mark.parametrize(
    ("make", "batch", "options"),
    [
        (everything, 64, {}),  # batch norm mixes images
        (small, 64, {}),  # dropout's numbers are those of a place in the batch
        (residual, 64, {}),
        (plain, 3, {}),
        (plain, 7, {"keep": True}),
        (plain, 8, {"input_gradient": True}),
    ],
)
def test_programs_without_micro_batches(make, batch, options):
    assert count(make(), batch, **options) == 1
    assert "def micro_batch(" not in str(plain().program(64, train=True, hand="arrays"))


def test_transposes_may_mix_images_and_go_without():
    x = nn.Input(2, 3, 4)
    model = nn.Model(x, nn.Linear(3)(nn.Flatten()(nn.Transpose(0, 2, 1, 3)(x))))
    assert count(model, 64) == 1


@pytest.mark.parametrize("batch", [13, 5])
def test_micro_batches_of_a_prime_batch_size(batch):
    assert count(plain(), batch) in (1, batch)


def test_micro_batches_are_bounded():
    """Their gradients, and their number, whatever the batch: a table of a million launches would cost more than it saves."""
    model = lenet(dtype=np.float32)
    size = model.p.flat.nbytes
    for batch in (64, 256, 4096, 10**6, 10**12):
        number = count(model, batch)
        assert number * size <= micro_batch.MAX_GRADIENT_BYTES or number == 1
        assert count(model, batch, training=False) <= micro_batch.MAX_MICRO_BATCHES


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    "name",
    ["images", *micro_batch.ARENA_NAMES, "micro_batch", "part", "g_", "add_up"],
)
def test_a_layer_may_have_a_micro_batchs_name(name, last):
    x = nn.Input(4, 4, 1, name="x")
    y = nn.Flatten()(nn.Conv2d(1, 3, name=None if last else name)(x))
    model = nn.Model(x, nn.Linear(2, name=name if last else None)(y), dtype=np.float64)
    assert count(model, 8) == 4
    batch, labels = images(model, 8)
    gradients = []
    for hand in ("arrays", "compiled"):
        program = model.program(8, train=True, hand=hand)
        program(batch, labels, model.p, model.g, model.state, program.arena)
        gradients.append(model.g.flat.copy())
    np.testing.assert_allclose(*gradients, rtol=0, atol=1e-13)
    np.testing.assert_allclose(
        model.logits_of(batch, hand="compiled"), model.logits_of(batch, hand="arrays"), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("name", ["micro_batch", "part"])
def test_an_input_does_not_hide_a_micro_batchs_names(name):
    x = nn.Input(4, name=name)
    with pytest.raises(ArgumentError, match=r"give nn\.Input another name"):
        nn.Model(x, nn.Linear(2)(x)).program(8, train=True, hand="compiled")


def test_an_update_after_micro_batches_is_of_the_whole_gradient():
    """After a step p has moved by the summed gradient, once, not by each micro-batch's."""
    model = plain()
    program = model.program(8, train=True, hand="compiled", update=update(bh.SGD(), None, "compiled"))
    x, labels = images(model, 8)
    before = model.p.flat.copy()
    program(x, labels, model.p, model.g, model.state, program.arena, None, lr=0.5, t=1)
    np.testing.assert_allclose(before - model.p.flat, 0.5 * model.g.flat, rtol=0, atol=1e-14)
    parts = [part.g.flat for part in program.arena.micro_batches]
    np.testing.assert_allclose(sum(parts), model.g.flat, rtol=0, atol=1e-14)
    assert len(parts) == 4 and not any(np.allclose(part, model.g.flat) for part in parts)


def test_an_op_that_moves_images_runs_without_micro_batches():
    x = nn.Input(6, 6, 1)
    turned = bh.slice(x, starts=(-1,), stops=(None,), axes=(0,), steps=(-1,))  # the last image first
    model = nn.Model(x, nn.Linear(3)(nn.Flatten()(nn.ReLU()(nn.Conv2d(4, 3)(turned)))), dtype=np.float64)
    images = np.random.default_rng(0).standard_normal((64, 6, 6, 1))
    np.testing.assert_allclose(model.logits_of(images), model.logits_of(images, hand="arrays"), atol=1e-12)
    assert "micro-batches" not in model.program(64).text.splitlines()[0]
