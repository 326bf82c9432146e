"""Every backward is the slope of its forward: central finite differences, which nobody derived.

    (loss(x + h d) - loss(x - h d)) / 2h  =  sum of grad_x * d,        loss = sum of y * (what y's gradient is set to)

for a direction d that moves every number of an input at once, and for one that moves a single number.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ops.draw import Smooth, copies, each, plan, typed, with_gradient

from byhand.ops import REGISTRY
from byhand.ops.op import flat

STEP = 1e-5  # h: a smaller one loses digits to the rounding of the loss, a larger one to the curve
TOLERANCE = 1e-7  # a part of the sizes of all that is added up in the loss (of 1, where they are smaller)


@pytest.mark.parametrize(("name", "hand"), [(name, hand) for name, op in REGISTRY.items() for hand in op.hands])
@settings(max_examples=20)
@given(data=st.data())
def test_backward_is_the_slope_of_forward(name, hand, data):
    op, draw = REGISTRY[name], Smooth(data)
    values, attributes = op.sample(draw)
    inputs = typed(op, values, np.float64)
    grad = draw.array(*plan(op, inputs, attributes).shapes[op.outputs[0]])

    def terms(inputs):
        return op(*copies(inputs).values(), hand=hand, **attributes) * grad  # copies: forward may move its state on

    result = op.backward(grad, *copies(inputs).values(), hand=hand, **attributes)
    grads = dict(zip(op.differentiable, result if len(op.differentiable) > 1 else (result,), strict=True))
    limit = TOLERANCE * max(1, np.abs(terms(inputs)).sum())
    for moved in with_gradient(op, inputs):
        arrays = flat([inputs[moved]])
        everywhere = [draw.random.standard_normal(array.shape) for array in arrays]
        for direction in (everywhere, one_of(everywhere, draw)):
            ways = iter(direction)
            way = each(lambda _: next(ways), inputs[moved])  # noqa: B023
            up, down = (terms(inputs | {moved: step(inputs[moved], way, h)}).sum() for h in (STEP, -STEP))
            slope = sum(np.sum(g * d) for g, d in zip(flat([grads[moved]]), direction, strict=True))
            assert abs((up - down) / (2 * STEP) - slope) <= limit, f"{name}, {hand}: grad_{moved} is not the slope"


def step(value, way, h):
    """Return an input moved by h along a way."""
    return tuple(x + h * d for x, d in zip(value, way)) if isinstance(value, tuple) else value + h * way


def one_of(directions, draw):
    """Return directions that move only one number of all."""
    only = [np.zeros_like(direction) for direction in directions]
    array = draw.choice(only)
    array.flat[draw.integer(0, array.size - 1)] = 1
    return only
