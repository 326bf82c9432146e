"""Program source: attributes become literals or are refused."""

import ast
import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byhand import kernels, nn
from byhand.errors import ArgumentError
from byhand.program.formatting import literal
from byhand.program.spec import Update
from tests.nn.cases import images
from tests.nn.networks import plain
from tests.program.kinds import KINDS, UPDATE, double_step

# literals -------------------------------------------------------------------------------------------------------------

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=8,
)


def same(value, other):
    if isinstance(value, tuple):
        return isinstance(other, tuple) and len(value) == len(other) and all(map(same, value, other))
    return type(value) is type(other) and (repr(value) == repr(other))  # repr: nan, and the sign of zero


@given(PLAIN)
def test_a_literal_evaluates_to_its_value(value):
    text = literal(value)
    assert same(eval(text, {"__builtins__": {"float": float}}), value)
    assert "\n" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), 'float("nan")'),
        (float("-inf"), 'float("-inf")'),
        ((1,), "(1,)"),
        ((), "()"),
        ([1, (2.5, None)], "(1, (2.5, None))"),
        ("it's", '"it\'s"'),
        ("\"''\n\\", repr("\"''\n\\")),
        (True, "True"),
    ],
)
def test_literals(value, text):
    assert literal(value) == text


class Sly(str):
    """A string that writes itself as code."""

    __slots__ = ()

    def __repr__(self):
        return "__import__('os').abort()"


class SlyFloat(float):
    def __str__(self):
        return '"), __import__("os").abort(), float("1'

    __repr__ = __str__


@pytest.mark.parametrize(
    "value",
    [object(), Sly("x"), SlyFloat("1"), SlyFloat("inf"), np.float64(1.5), np.int64(3), np.array([1.0]), 1j, b"x", {1: 2},
     {1, 2}, range(3), print, (1, (object(),)), np.float64("inf")],
)  # fmt: skip
def test_a_literal_is_plain_or_refused(value):
    with pytest.raises(ArgumentError, match=r"an attribute holds a \w+; expected numbers, strings or tuples of them"):
        literal(value)


# names never become code ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["conv2d", "linear", "linear_backward", "softmax_cross_entropy", "add"])
def test_an_input_does_not_hide_a_function(name):
    x = nn.Input(4, 4, 1, name=name)
    y = nn.Conv2d(1, 3)(x)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(y + y)))
    with pytest.raises(
        ArgumentError, match=f"the input's name '{name}' is also that of a function that the program calls"
    ):
        model.program(2, train=True)


def test_an_input_does_not_hide_the_updates_function_or_float():
    for name, update in (("double_step", UPDATE), ("float", None)):
        x = nn.Input(3, name=name)
        with pytest.raises(ArgumentError, match=r"give nn.Input another name"):
            nn.Model(x, nn.Linear(2)(x)).program(2, train=True, update=update, hand="arrays")


def test_a_compiled_program_refuses_an_update_that_would_run_only_during_the_capture():
    model = plain()
    wrapped = functools.wraps(double_step)(lambda p, g, *, lr: double_step(p, g, lr=lr))
    for function in (double_step, wrapped):
        with pytest.raises(
            ArgumentError, match=r"^the update double_step is no compiled hand; let it .* take hand='arrays'$"
        ):
            model.program(2, train=True, update=Update((function,), UPDATE.lines))
    compiled = kernels.compiled(double_step)
    for hand, function in (
        ("compiled", compiled),
        ("arrays", double_step),
        ("loops", double_step),
        ("arrays", compiled),
    ):
        assert "double_step(p.flat" in str(
            model.program(2, train=True, hand=hand, update=Update((function,), UPDATE.lines))
        )


@pytest.mark.parametrize(
    "name", ["conv2d", "relu", "relu_backward", "float", "print", "step_", "images", "self", "match"]
)
def test_a_layer_may_have_a_functions_name(name):
    x = nn.Input(4, 4, 1, name="x")
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(nn.ReLU(name=name)(nn.Conv2d(2, 3)(x)))), dtype=np.float64)
    trace = model.trace(*images(model))
    np.testing.assert_array_equal(trace[name], np.maximum(trace["conv1"], 0))
    assert trace[f"grad_{name}"].any()


def test_class_names_and_settings_stay_out_of_the_text():
    hostile = ['"""', "__import__('os').abort()", "\n\nimport os"]
    x = nn.Input(4, 4, 1)
    net = nn.Sequential(nn.Pad2d(1, value=float("-inf")), nn.MaxPool2d(), nn.Flatten(), nn.Linear(3))
    model = nn.Model(x, net, classes=hostile)
    for kind in KINDS:
        text = str(model.program(2, **kind))
        assert not any(part in text for part in ("__import__", "abort", "import os")) and text.count('"""') == 2
        assert 'value=float("-inf")' in text
        ast.parse(text)
