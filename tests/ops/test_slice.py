"""slice against NumPy's slicing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import byhand as bh
from byhand import nn
from byhand.errors import ArgumentError
from byhand.ops import HANDS

PLACES = st.one_of(st.none(), st.integers(-8, 8), st.sampled_from([2**63 - 1, -(2**63)]))
STEPS = st.integers(-4, 4).filter(bool)


@pytest.mark.parametrize("hand", HANDS)
@given(first=st.tuples(PLACES, PLACES, STEPS), second=st.tuples(PLACES, PLACES, STEPS))
def test_slice_agrees_with_numpy(hand, first, second):
    x = np.arange(105.0).reshape(5, 3, 7)
    starts, stops, steps = zip(first, second)
    attributes = {"starts": starts, "stops": stops, "axes": (2, 0), "steps": steps}
    expected = x[slice(*second), :, slice(*first)]
    np.testing.assert_array_equal(bh.slice(x, hand=hand, **attributes), expected)
    grad = np.zeros_like(x)
    grad[slice(*second), :, slice(*first)] = expected + 1
    np.testing.assert_array_equal(bh.slice.backward(expected + 1, x, hand=hand, **attributes), grad)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"starts": 1, "stops": (2,)}, "slice: starts is 1; expected whole numbers in brackets"),
        ({"starts": (1,), "stops": (2, 3)}, "slice: stops is .*; expected 1 whole numbers, as many as starts"),
        ({"starts": (1,), "stops": (2.0,)}, "slice: stops is"),
        ({"starts": (1,), "stops": (2,), "axes": (2,)}, "slice: axis is 2; expected -2 to 1"),
        ({"starts": (1, 0), "stops": (2, 1), "axes": (1, -1)}, "each axis once"),
        ({"starts": (1,), "stops": (2,), "steps": (0,)}, "no step of 0"),
    ],
)
def test_mismatched_arguments_are_refused(attributes, message):
    with pytest.raises(ArgumentError, match=message):
        bh.slice(np.ones((2, 3)), **attributes)


def test_the_batch_stays_whole():
    with pytest.raises(ArgumentError, match=r"slice1: axis is -2, the batch"):
        nn.Slice(-2, 0, 1)(nn.Input(3))
