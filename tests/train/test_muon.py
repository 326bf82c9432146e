"""Muon: orthogonalization against the SVD, steps against PyTorch, agreement of the hands."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import byhand as bh
from byhand.errors import ArgumentError
from byhand.kernels import compiled
from byhand.kernels.runtime.launch_graph import capture
from byhand.kernels.runtime.mode import mode
from byhand.ops import HANDS
from byhand.train.optim import OPTIMIZERS, muon
from byhand.train.optim.muon import NORM_EPS, A, B, C, segments
from tests.oracle import needs_torch

SHAPES = [(27, 32), (32, 27), (288, 64), (5, 5), (1, 7), (7, 1), (1, 1)]
TOLERANCE = {np.float64: 1e-12, np.float32: 2e-6}


def orthogonal(u, steps, hand):
    """Return what a hand makes of a matrix."""
    if hand != "compiled":
        return {"loops": muon.orthogonal_loops, "arrays": muon.orthogonal_arrays}[hand](u, steps)
    result = np.empty_like(u)
    compiled(lambda u, out: np.copyto(out, muon.orthogonal_compiled(u, steps)))(u, result)
    return result


def by_decomposition(u, steps):
    """Return the same from u's singular values: each becomes a s + b s^3 + c s^5."""
    left, s, right = np.linalg.svd(u.astype(np.float64) / (np.linalg.norm(u) + NORM_EPS), full_matrices=False)
    for _ in range(steps):
        s = A * s + B * s**3 + C * s**5
    return left * s @ right


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("hand", HANDS)
def test_the_decomposition_says_the_same(hand, shape, dtype):
    if hand == "loops" and np.prod(shape) > 1000:
        shape = shape[0] // 8, shape[1] // 8
    u = np.random.default_rng(1).standard_normal(shape).astype(dtype) * 100
    got = orthogonal(u, 3, hand)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, by_decomposition(u, 3), atol=TOLERANCE[dtype], rtol=0)


def test_singular_values_end_near_one():
    s = np.linalg.svd(orthogonal(np.random.default_rng(2).standard_normal((144, 16)), 5, "arrays"), compute_uv=False)
    assert 0.65 < s.min() <= s.max() < 1.25


@pytest.mark.parametrize("hand", HANDS)
def test_a_gradient_of_nothing_moves_nothing(hand):
    assert not orthogonal(np.zeros((4, 3)), 3, hand).any()


def together(weights):
    """Return weights as a model has its parameters: views by name of one flat array."""
    p, place = SimpleNamespace(flat=np.concatenate([weight.ravel() for weight in weights.values()])), 0
    for name, weight in weights.items():
        setattr(p, name, p.flat[place : place + weight.size].reshape(weight.shape))
        place += weight.size
    return p


def run(optimizer, hand, weights, gradients):
    """Return the parameters, one flat array, after steps with these gradients; weights: arrays, by name."""
    p = together(weights)
    buffers = SimpleNamespace(velocity=np.zeros_like(p.flat))
    for t, gradient in enumerate(gradients, 1):
        optimizer.apply(p, gradient.copy(), buffers, lr=optimizer.lr, t=t, hand=hand)
    return p.flat


def weights_of(seed, dtype=np.float64):
    """Return parameters of two convolutions, a norm and a linear layer, and the gradients of some steps."""
    rng = np.random.default_rng(seed)
    shapes = {"bias": (3,), "a": (2, 2, 1, 6), "gamma": (6,), "beta": (6,), "b": (1, 1, 6, 4), "c": (4, 3), "end": (3,)}
    weights = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    return weights, rng.standard_normal((4, sum(weight.size for weight in weights.values()))).astype(dtype)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32),
    lr=st.floats(0, 1),
    momentum=st.floats(0, 0.99),
    decay=st.floats(0, 1),
    rest=st.floats(0, 10),
    steps=st.integers(1, 5),
)
def test_all_hands_take_the_same_steps(seed, lr, momentum, decay, rest, steps):
    optimizer = bh.Muon(lr, momentum, decay, rest, steps)
    loops, *others = (run(optimizer, hand, *weights_of(seed)) for hand in HANDS)
    for other in others:
        np.testing.assert_allclose(other, loops, rtol=1e-9, atol=1e-9)


@needs_torch
@pytest.mark.parametrize("shape", [(24, 10), (10, 24)], ids=str)
def test_a_weights_steps_are_pytorchs_but_for_its_bfloat16(shape):
    import torch

    ours = bh.Muon(lr=0.02, momentum=0.9, weight_decay=0.3, ns_steps=5)
    rng = np.random.default_rng(4)
    weight, gradients = rng.standard_normal(shape), rng.standard_normal((6, *shape))
    w = torch.tensor(weight.T.copy(), requires_grad=True)
    theirs = torch.optim.Muon([w], lr=0.02, momentum=0.9, weight_decay=0.3, ns_steps=5)
    for gradient in gradients:
        w.grad = torch.tensor(gradient.T.copy())
        theirs.step()
    got = run(ours, "arrays", {"w": weight}, gradients.reshape(6, -1)).reshape(shape)
    moved = np.abs(got - weight).max()
    assert np.abs(got - w.detach().numpy().T).max() < 0.02 * moved


@pytest.mark.parametrize("hand", HANDS)
def test_biases_and_norms_take_sgds_steps(hand):
    rng = np.random.default_rng(5)
    bias, gradients = rng.standard_normal(7), rng.standard_normal((5, 7))
    got = run(bh.Muon(lr=0.01, momentum=0.7, weight_decay=0.5, bias_lr_scale=3), hand, {"bias": bias}, gradients)
    p, velocity = SimpleNamespace(flat=bias.copy()), np.zeros(7)
    for gradient in gradients:
        OPTIMIZERS["SGD"].hands["loops"](
            p.flat, gradient, velocity, lr=0.03, momentum=0.7, nesterov=True, weight_decay=0.0
        )
    np.testing.assert_allclose(got, p.flat, rtol=1e-12)


@pytest.mark.skipif(mode() != "native", reason="only machine code is recorded")
def test_a_recorded_update_reads_lr_when_it_runs():
    optimizer, (weights, gradients) = bh.Muon(lr=0.1), weights_of(6)
    p, lr = together(weights), np.zeros(1)
    before, g, velocity = p.flat.copy(), np.zeros_like(p.flat), np.zeros_like(p.flat)
    buffers = SimpleNamespace(velocity=velocity)
    graph, _ = capture(optimizer.apply, p, g, buffers, lr=lr, t=np.ones(1), hand="compiled")
    assert np.array_equal(p.flat, before)  # lr was 0
    for gradient in gradients:
        g[...], lr[0] = gradient, 0.1
        graph.run()
    np.testing.assert_allclose(p.flat, run(optimizer, "loops", weights, gradients), rtol=1e-10)


def test_parameters_are_taken_apart_in_order():
    model = bh.models.create("tiny")
    found = list(segments(model.p))
    assert [part.stop for part, _ in found[:-1]] == [part.start for part, _ in found[1:]]
    assert (found[0][0].start, found[-1][0].stop) == (0, model.parameter_count)
    weights = [weight for weight in model.parameters.values() if weight.ndim > 1]
    assert [shape for _, shape in found if shape] == [
        (weight.size // weight.shape[-1], weight.shape[-1]) for weight in weights
    ]


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", True, None])
def test_a_bad_number_of_steps_is_named(value):
    with pytest.raises(ArgumentError, match=rf"^Muon: ns_steps is {value!r}; expected a whole number, 1 or more"):
        bh.Muon(ns_steps=value)


def test_a_checkpoint_cannot_ask_for_any_number_of_iterations():
    with pytest.raises(ArgumentError, match=r"^Muon: ns_steps is 1000000000; expected at most 100"):
        bh.Muon(ns_steps=10**9)
