"""Every op against PyTorch: results and gradients.

Live where PyTorch is installed; everywhere against results recorded from it (tests/fixtures). Continuous integration must
have it.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byhand.ops import REGISTRY
from byhand.ops.op import tree_leaves
from tests.fixtures import record_ops
from tests.ops import torch_twins
from tests.ops.draw import Drawn, cast_inputs, copies, plan, with_gradient
from tests.oracle import IN_CI, TORCH, needs_torch

# How far a hand may be from PyTorch, which gets the same numbers in float64: a part of the largest number in the array (of
# 1, where all are smaller).
TOLERANCE = {np.float64: 1e-13, np.float32: 5e-6}

ALL_HANDS = [(name, hand) for name, op in REGISTRY.items() for hand in op.hands]
RECORDED = record_ops.read()


def test_ci_has_pytorch():
    if IN_CI and TORCH is None:
        pytest.fail("CI is true, but PyTorch is not installed: nothing would compare with it live; install a CPU build")


@pytest.mark.parametrize("name", REGISTRY)
def test_an_op_has_a_twin_and_a_record(name):
    assert name in torch_twins.TWINS, f"{name} has no twin: add it to TWINS in tests/ops/torch_twins.py"
    assert name in RECORDED, (
        f"{name} has no recorded results: run `python -m tests.fixtures.record_ops` where PyTorch is"
    )


@needs_torch
@pytest.mark.parametrize("name", REGISTRY)
@settings(max_examples=50)
@given(data=st.data())
def test_every_hand_does_what_pytorch_does(name, data):
    op, draw = REGISTRY[name], Drawn(data)
    values, attributes = op.sample(draw)
    shape = plan(op, dict(zip(op.inputs, values, strict=True)), attributes).shapes[op.outputs[0]]
    grad = draw.random.standard_normal(shape)
    for dtype in (np.float64, np.float32):
        inputs, grad = cast_inputs(op, values, dtype), grad.astype(dtype)
        expected = torch_twins.results(op, inputs, attributes, grad)
        for hand in op.hands:
            compare(f"{name}, {hand}", ours(op, hand, inputs, attributes, grad), expected, TOLERANCE[dtype])


@needs_torch
@pytest.mark.parametrize("name", REGISTRY)
@settings(max_examples=50)
@given(data=st.data())
def test_nan_and_infinity_pass_through_as_in_pytorch(name, data):
    op, draw = REGISTRY[name], Drawn(data)
    values, attributes = op.sample(draw)
    inputs = cast_inputs(op, values, np.float64)
    x = draw.choice(tree_leaves([inputs[op.inputs[0]]]))
    for _ in range(draw.integer(1, 3)):
        x.flat[draw.integer(0, x.size - 1)] = draw.choice([np.nan, np.inf, -np.inf])
    y = op.outputs[0]
    grad = np.ones(plan(op, inputs, attributes).shapes[y])
    expected = torch_twins.results(op, inputs, attributes, grad)[y]
    for hand in op.hands:
        with np.errstate(all="ignore"):  # NumPy is right to warn; here it is meant
            got = op(*copies(inputs).values(), hand=hand, **attributes)
        compare(f"{name}, {hand}", {y: got}, {y: expected}, TOLERANCE[np.float64])


@pytest.mark.parametrize(("name", "hand"), ALL_HANDS)
def test_a_hand_does_what_pytorch_did(name, hand):
    for inputs, attributes, grad, expected in RECORDED.get(name, ()):
        got = ours(REGISTRY[name], hand, inputs, attributes, grad)
        compare(f"{name}, {hand}", got, expected, TOLERANCE[np.float64])


@needs_torch
@pytest.mark.parametrize("name", REGISTRY)
def test_pytorch_still_does_what_was_recorded(name):
    for inputs, attributes, grad, expected in RECORDED.get(name, ()):
        compare(name, torch_twins.results(REGISTRY[name], inputs, attributes, grad), expected, 1e-13)


def test_a_wrong_number_is_detected():
    for got in ([1.0, 2.001], [1.0, np.nan], [1.0, np.inf], [0.0, 0.0]):
        with pytest.raises(AssertionError, match="y is"):
            compare("it", {"y": np.array(got)}, {"y": np.array([1.0, 2.0])}, 1e-5)
    with pytest.raises(AssertionError, match="y is"):
        compare("it", {"y": np.array([0.0])}, {"y": np.array([np.nan])}, 1e-5)
    with pytest.raises(AssertionError, match="y is"):
        compare("it", {"y": np.array([np.inf])}, {"y": np.array([-np.inf])}, 1e-5)


def ours(op, hand, inputs, attributes, grad):
    """Return a hand's result, gradients and running statistics of a call, named as `torch_twins.results` names them."""
    inputs = copies(inputs)
    grads = op.backward(grad, *inputs.values(), hand=hand, **attributes)
    grads = dict(zip(op.differentiable, grads if len(op.differentiable) > 1 else (grads,), strict=True))
    found = {op.outputs[0]: op(*inputs.values(), hand=hand, **attributes)}
    found |= {f"grad_{name}": grads[name] for name in with_gradient(op, inputs)}
    return found | {name: inputs[name] for name in op.state if inputs[name].dtype.kind == "f"}


def compare(who, got, expected, tolerance, terms=0):
    """Raise an AssertionError unless two sets of results agree; a NaN only with a NaN, an infinity only with its like.

    terms: how many random numbers an array is summed from. A sum of n of them is about sqrt(n), and errs by a fraction of that
    even where it happens to cancel.
    """
    assert got.keys() == expected.keys(), f"{who}: got {list(got)}, PyTorch {list(expected)}"
    for name, value in expected.items():
        for mine, theirs in zip(tree_leaves([got[name]]), tree_leaves([value]), strict=True):
            assert mine.shape == theirs.shape, f"{who}: {name} has the shape {mine.shape}; PyTorch says {theirs.shape}"
            finite = np.isfinite(theirs)
            largest = np.abs(theirs[finite]).max(initial=max(1, np.sqrt(terms / max(1, theirs.size))))
            good = np.array_equal(mine[~finite], theirs[~finite], equal_nan=True) and np.isfinite(mine[finite]).all()
            good = good and (np.abs(mine[finite] - theirs[finite]) <= tolerance * largest).all()
            assert good, f"{who}: {name} is\n{mine}\nPyTorch says\n{theirs}"
