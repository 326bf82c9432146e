"""Gradient checks: every backward against central finite differences.

    (loss(x + h d) - loss(x - h d)) / 2h  =  sum of grad_x * d,        loss = sum of y * (what y's gradient is set to)

for a direction d that moves every number of an input at once, and for one that moves a single number.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byhand.ops import REGISTRY
from byhand.ops.op import tree_leaves
from tests.ops.draw import Drawn, Seeded, cast_inputs, copies, each, plan, smooth, with_gradient
from tests.ops.test_conformance import a_thousandth_too_much, with_flaw

# h: a smaller one loses digits to the rounding of the loss, a larger one to the curve. Where a ReLU inside an op bends between
# x - h d and x + h d, which no draw can rule out, a shorter step misses it.
STEPS = (1e-5, 1e-6, 1e-7)
TOLERANCE = 1e-7  # a part of all that is added up in the loss, without signs (of 1, where that is smaller)


@pytest.mark.parametrize("name", REGISTRY)
@settings(max_examples=20)
@given(data=st.data())
def test_backward_is_the_slope_of_forward(name, data):
    op = REGISTRY[name]
    check(op, op.hands, Drawn(data, smooth))


@pytest.mark.parametrize(
    ("name", "moved"), [(name, moved) for name, op in REGISTRY.items() for moved in op.differentiable]
)
def test_a_gradient_a_thousandth_too_large_is_not(name, moved):
    broken = with_flaw(REGISTRY[name], "backward", f"grad_{moved}", a_thousandth_too_much)
    with pytest.raises(AssertionError, match=f"grad_{moved} is not the slope"):
        for seed in range(10):
            check(broken, ["broken"], Seeded(seed, smooth))


def check(op, hands, draw):
    """Raise an AssertionError unless each gradient of a drawn call is the slope that its input has."""
    values, attributes = op.sample(draw)
    inputs = cast_inputs(op, values, np.float64)
    grad = draw.array(*plan(op, inputs, attributes).shapes[op.outputs[0]])
    ways = []
    for moved in with_gradient(op, inputs):
        everywhere = each(lambda x: draw.random.standard_normal(x.shape), inputs[moved])
        ways += [(moved, everywhere), (moved, single(everywhere, draw))]
    for hand in hands:
        check_slopes(op, hand, inputs, attributes, grad, ways)


def check_slopes(op, hand, inputs, attributes, grad, ways):
    """Raise an AssertionError unless a hand's gradients are the slopes along all ways, (an input's name, a direction)."""

    def terms(inputs):
        return op(*copies(inputs).values(), hand=hand, **attributes) * grad  # copies: forward may move its state on

    result = op.backward(grad, *copies(inputs).values(), hand=hand, **attributes)
    grads = dict(zip(op.differentiable, result if len(op.differentiable) > 1 else (result,), strict=True))
    limit = TOLERANCE * max(1, np.abs(terms(inputs)).sum())
    for moved, way in ways:
        slope = sum(np.sum(g * d) for g, d in zip(tree_leaves([grads[moved]]), tree_leaves([way]), strict=True))
        errors = []
        for h in STEPS:
            up, down = (terms(inputs | {moved: step(inputs[moved], way, distance)}).sum() for distance in (h, -h))
            errors.append(abs((up - down) / (2 * h) - slope))
            if errors[-1] <= limit:
                break
        assert min(errors) <= limit, f"{op.name}, {hand}: grad_{moved} is not the slope, but off by {min(errors)}"


def single(way, draw):
    """Return a direction that moves one number only."""
    only = each(np.zeros_like, way)
    array = draw.choice(tree_leaves([only]))
    array.flat[draw.integer(0, array.size - 1)] = 1
    return only


def step(value, way, h):
    """Return an input moved by h along a direction."""
    return tuple(x + h * d for x, d in zip(value, way)) if isinstance(value, tuple) else value + h * way
