"""Traces: every tensor and gradient of a pass, against differences and PyTorch."""

import ast

import numpy as np
import pytest

import byhand as bh
from byhand.errors import ArgumentError, ShapeError
from byhand.ops import HANDS
from tests.nn.cases import images
from tests.nn.gradients import check_gradients
from tests.nn.networks import everything, small
from tests.oracle import needs_torch


def test_gradients_of_everything_at_once():
    model = everything()
    model.p.flat[...] += 0.1 * np.random.default_rng(1).standard_normal(model.p.flat.shape)  # no zero biases
    x, labels = images(model, 5)
    trace = model.trace(x, labels)
    assert set(np.unique(trace["dropout1_mask"])) == {0, 1}  # dropout and batch norm do what they do in training
    flat = trace["conv1"].reshape(-1, 4)
    np.testing.assert_allclose(trace["norm1_mean"], flat.mean(0), atol=1e-12)
    check_gradients(model, x, labels)


def test_all_hands_trace_the_same():
    model = everything()
    x, labels = images(model, 3)
    first, *others = (model.trace(x, labels, hand=hand) for hand in HANDS)
    for other in others:
        assert first.keys() == other.keys()
        for name in first:
            np.testing.assert_allclose(first[name], other[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("make", [everything, small, lambda: bh.models.create("lenet5")])
def test_trace_has_exactly_the_names_of_the_program(make):
    model = make()
    x, labels = images(model, 2)
    text = str(model.program(2, train=True, input_gradient=True, keep=True))
    step = ast.parse(text).body[-1]
    assert isinstance(step, ast.FunctionDef) and step.name == "step"
    written = {
        node.attr
        for node in ast.walk(step)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("p", "g", "state", "arena")
    }
    bare = {node.id for node in ast.walk(step) if isinstance(node, ast.Name)} & {a.arg for a in step.args.args}
    bare -= {"p", "g", "state", "arena"}
    trace = model.trace(x, labels)
    assert written | bare == trace.keys() and bare == {model.graph.input.name, "labels"}
    for name in model.parameters:
        assert trace[f"grad_{name}"].shape == trace[name].shape
    assert trace[f"grad_{model.graph.input.name}"].shape == x.shape and trace["loss"].shape == ()


def test_trace_leaves_the_model_as_it_is():
    model = everything()
    x, labels = images(model)
    model.g.flat[...] = 7
    before = model.p.flat.copy(), {name: array.copy() for name, array in vars(model.state).items()}, x.copy()
    first = model.trace(x, labels)
    again = model.trace(x, labels)
    np.testing.assert_array_equal(model.p.flat, before[0])
    assert (model.g.flat == 7).all()
    for name, array in vars(model.state).items():
        np.testing.assert_array_equal(array, before[1][name])
        assert (first[name] != array).any(), "forward did move the copy"
    np.testing.assert_array_equal(x, before[2])
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    for name, array in first.items():  # its arrays are the caller's
        array[...] = 0
        assert not np.shares_memory(array, again[name])
    np.testing.assert_array_equal(model.p.flat, before[0])


def test_the_loss_is_the_mean_cross_entropy():
    model = small(dtype=np.float64)
    x, labels = images(model)
    trace = model.trace(x, labels)
    p = trace["probabilities"]
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_allclose(trace["loss"], -np.log(p[np.arange(4), labels]).mean(), rtol=1e-12)
    np.testing.assert_allclose(trace["grad_fc1"], (p - np.eye(4)[labels]) / 4, atol=1e-15)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1], ShapeError, r"model: labels have the shape \(2,\); expected \(4,\), one an image"),
        ([[0, 1, 2, 3]], ShapeError, r"labels have the shape \(1, 4\); expected \(4,\)"),
        ([0, 1, 2, 4], ArgumentError, "labels hold 4, but there are 4 classes; expected 0 to 3"),
        ([0, 1, 2, -1], ArgumentError, "labels hold -1"),
        ([0.0, 1, 2, 3], ArgumentError, "labels hold float64; expected whole numbers"),
    ],
)
def test_wrong_labels(labels, error, message):
    model = small()
    with pytest.raises(error, match=message):
        model.trace(images(model)[0], labels)


@needs_torch
def test_lenet5_is_pytorchs():
    import torch
    from torch.nn import functional as F

    model = bh.models.create("lenet5", dtype=np.float64)
    rng = np.random.default_rng(0)
    model.p.flat[...] += 0.05 * rng.standard_normal(model.p.flat.shape)  # no zero biases
    x, labels = images(model, 6)
    trace = model.trace(x, labels)
    w = {name: torch.tensor(array, requires_grad=True) for name, array in model.parameters.items()}
    pixels = torch.tensor(x, requires_grad=True)

    def conv(y, name, padding):
        return F.conv2d(y, w[f"{name}_weight"].permute(3, 2, 0, 1), w[f"{name}_bias"], padding=padding)

    y = F.max_pool2d(F.relu(conv(pixels.permute(0, 3, 1, 2), "conv1", 2)), 2)
    y = F.max_pool2d(F.relu(conv(y, "conv2", 0)), 2)
    y = y.permute(0, 2, 3, 1).flatten(1)
    for name in ("fc1", "fc2"):
        y = F.relu(y @ w[f"{name}_weight"] + w[f"{name}_bias"])
    logits = y @ w["fc3_weight"] + w["fc3_bias"]
    loss = F.cross_entropy(logits, torch.tensor(labels))
    loss.backward()

    def agree(ours, theirs, name):
        error = np.abs(ours - theirs.detach().numpy()).max() / np.abs(ours).max()
        assert error < 1e-9, (name, error)

    agree(trace["fc3"], logits, "fc3")
    agree(trace["loss"], loss, "loss")
    agree(trace["grad_images"], pixels.grad, "images")
    assert len(w) == 10
    for name, tensor in w.items():
        agree(trace[f"grad_{name}"], tensor.grad, name)
