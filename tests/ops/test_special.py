"""NaN and infinity: every hand propagates them as PyTorch does.

A NaN that got lost would hide a training that diverges; one too many would end a good one.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest

from byhand.ops import REGISTRY
from byhand.ops.op import tree_leaves
from tests.ops import torch_twins
from tests.ops.draw import Seeded, cast_inputs, copies, each, plan
from tests.ops.test_torch import TOLERANCE, ours
from tests.oracle import needs_torch

SPECIAL = (np.nan, np.inf, -np.inf)
CALLS = 40
pytestmark = needs_torch


class Open(NamedTuple):
    """What is left open where PyTorch itself does not answer in one way.

    results: their names; places: which of their numbers (a mask, or True), of inputs and the attributes of a call; None: of
    all of them, whether one is NaN or an infinity.
    """

    results: tuple[str, ...]
    places: Callable[[Any, Any], Any] | None = None


def at_nan(inputs, attributes):
    return np.isnan(inputs["x"])


def at_infinity(inputs, attributes):
    return np.isinf(inputs["x"])


def everywhere(inputs, attributes):
    return True


def at_infinite_gamma(inputs, attributes):
    return np.isinf(inputs["gamma"]).any()


def framed(inputs, attributes):
    return any(attributes["padding"])


def lopsided(inputs, attributes):
    top, bottom, left, right = attributes["padding"]
    return (top, left) != (bottom, right)


GRADIENTS = ("grad_x", "grad_weight", "grad_bias")
NORM = ("grad_gamma", "grad_beta", "grad_shortcut")
LEFT_OPEN = {  # by op and what holds the number
    # PyTorch's vectors say 0, its scalars, for the last few numbers of an array, grad_y
    ("relu6", "x"): Open(("grad_x",), at_nan),
    # ... and here NaN and grad_y
    ("hard_swish", "x"): Open(("grad_x",), at_nan),
    # ... and here, too
    **{(name, "x"): Open(("grad_x",), at_nan) for name in ("elu", "selu", "celu")},
    # PyTorch's is a division of its own by an absolute value of its own, whose gradients are infinity less infinity
    ("softsign", "x"): Open(("grad_x",), at_infinity),
    ("softsign", "grad"): Open(("grad_x",)),
    # PyTorch has no such padding: the twin's frame of minus infinity may win where all that a window sees is that
    ("max_pool", "x"): Open(("grad_x",), lopsided),
    # On a CPU it is x * scale + (beta - mean * scale), which may be infinity less infinity; on a GPU as here
    ("batch_norm", "gamma"): Open(("y",)),
    # That again, and a ReLU makes 0 of minus infinity, but not of NaN
    ("batch_norm_relu", "gamma"): Open(("y", "grad_x", *NORM), at_infinite_gamma),
    # grad_x = a * grad_y * gamma + b * x + c, whose terms are infinite
    ("layer_norm", "gamma"): Open(("grad_x",)),
    ("layer_norm", "grad"): Open(("grad_x", "grad_gamma")),
    # Without a fused loss it is g * q - g * p
    ("softmax_cross_entropy", "grad"): Open(("grad_logits",)),
    ("soft_target_cross_entropy", "grad"): Open(("grad_logits",)),
    # The zeros of a frame: PyTorch multiplies them in float64, and in float32, by oneDNN, leaves them out
    ("conv2d", "weight"): Open(("y",), framed),
    ("conv2d", "grad"): Open(("grad_weight",), framed),
    ("conv2d_relu", "weight"): Open(("y", *GRADIENTS), framed),
    ("conv2d_relu", "grad"): Open(("grad_weight",), framed),
    ("conv2d_block", "weight"): Open(("y", *GRADIENTS, *NORM), framed),
    ("conv2d_block", "grad"): Open(("grad_weight",), framed),
    # ... its norm as batch_norm_relu's above
    ("conv2d_block", "gamma"): Open(("y", *GRADIENTS, *NORM), at_infinite_gamma),
    ("conv2d_max_pool", "grad"): Open(("grad_weight",), framed),
    # and its backward leaves out the pixels that won no window, which PyTorch multiplies by 0
    ("conv2d_max_pool", "weight"): Open(("y", *GRADIENTS), everywhere),
    ("conv2d_max_pool", "x"): Open(("grad_weight",), everywhere),
    # The zeros of a frame again: where padding cropped the output, its gradient has one
    ("conv_transpose2d", "weight"): Open(("grad_x",), framed),
    ("conv_transpose2d", "x"): Open(("grad_weight",), framed),
}


def spoiled(op, seed):
    """Return what was spoiled, and a sample's inputs, attributes and gradient, one of which holds NaN or infinities."""
    draw = Seeded(seed)
    values, attributes = op.sample(draw)
    if attributes.get(
        "activation"
    ):  # the gradients of others, at NaN, are left open below; tests/kernels has their values
        attributes["activation"] = "relu"
    inputs = cast_inputs(op, values, np.float64)
    grad = draw.random.standard_normal(plan(op, inputs, attributes).shapes[op.outputs[0]])
    there = [name for name, value in inputs.items() if value is not None and name not in op.dtypes]
    where = draw.choice([*there, "grad"])
    arrays = [array for array in tree_leaves([grad if where == "grad" else inputs[where]]) if array.size]
    for _ in range(draw.integer(1, 3)):
        array = draw.choice(arrays)
        array.flat[draw.integer(0, array.size - 1)] = draw.choice(SPECIAL)
    return where, inputs, attributes, grad


def results(op, hand, dtype, inputs, attributes, grad):
    """Return a hand's results of a call in a type."""
    inputs = {name: each(partial(np.array, dtype=op.dtypes.get(name, dtype)), value) for name, value in inputs.items()}
    with np.errstate(all="ignore"):  # NumPy is right to warn; here it is meant
        return ours(op, hand, inputs, attributes, grad.astype(dtype))


def compare(who, got, expected, tolerance, left=None, call=()):
    """Raise an AssertionError unless two sets of results agree, but for what is left open."""
    assert got.keys() == expected.keys(), who
    for name, value in expected.items():
        for mine, theirs in zip(tree_leaves([got[name]]), tree_leaves([value]), strict=True):
            is_open = left is not None and name in left.results
            ours = mine if mine.ndim else mine[None]  # what is left open in them takes the other's numbers
            theirs = theirs if theirs.ndim else theirs[None]
            if is_open and left.places is not None:
                ours = np.where(left.places(*call), theirs, ours)
            elif is_open:
                ours = np.where(~np.isfinite(ours) & ~np.isfinite(theirs), theirs, ours)
            finite = np.isfinite(theirs)
            limit = tolerance * np.abs(theirs[finite]).max(initial=1)
            good = np.array_equal(ours[~finite], theirs[~finite], equal_nan=True) and np.isfinite(ours[finite]).all()
            good = good and (np.abs(ours[finite] - theirs[finite]) <= limit).all()
            assert good, f"{who}: {name} is\n{mine}\nPyTorch says\n{theirs}"


def check(op, hands, where, inputs, attributes, grad, left):
    """Raise an AssertionError unless all hands, given as (name, dtype), agree with PyTorch."""
    expected = torch_twins.results(op, inputs, attributes, grad)
    settled = plan(op, inputs, attributes).attributes
    for hand, dtype in hands:
        got = results(op, hand, dtype, copies(inputs), attributes, grad)
        compare(f"{op.name}, {hand}, {where} spoiled", got, expected, TOLERANCE[dtype], left, (inputs, settled))


def every_hand(op):
    return product(op.hands, (np.float64, np.float32))


@pytest.mark.parametrize("name", REGISTRY)
def test_nan_and_infinity_reach_what_they_reach_in_pytorch(name):
    op = REGISTRY[name]
    for seed in range(CALLS):
        where, *call = spoiled(op, seed)
        check(op, every_hand(op), f"seed {seed}, {where}", *call, LEFT_OPEN.get((name, where)))


@pytest.mark.parametrize("entry", LEFT_OPEN, ids=" ".join)
def test_every_exemption_is_needed(entry):
    name, spoils = entry
    for seed in range(300):
        where, *call = spoiled(REGISTRY[name], seed)
        for hand in REGISTRY[name].hands if where == spoils else ():
            try:
                check(REGISTRY[name], [(hand, np.float64)], where, *call, None)
            except AssertionError:
                return
    pytest.fail(f"{name} agrees with PyTorch where {spoils} is spoiled; take it from LEFT_OPEN")


# cases that random calls seldom contain -------------------------------------------------------------------------------

NUMBERS = (*SPECIAL, 0.0, 1.0, -1.0, 3.0, -3.0, 6.0, -6.0, 40.0, -40.0)
UNITS = [  # softsign: at infinity PyTorch's gradient is NaN, byhand's 0
    name
    for name, op in REGISTRY.items()
    if op.contract.__module__.endswith((".piecewise", ".smooth")) and name != "softsign"
]


@pytest.mark.parametrize("name", UNITS)
def test_every_number_meets_every_gradient(name):
    assert len(UNITS) == 10
    op = REGISTRY[name]
    x, grad = np.array(list(product(NUMBERS, NUMBERS))).T.copy()
    check(op, every_hand(op), "x and grad", {"x": x}, {}, grad, LEFT_OPEN.get((name, "x")))


@pytest.mark.parametrize("channels", [1, 3, 8, 17])
def test_every_window_has_pytorchs_winner(channels):
    """Of several NaNs the last; of several infinities the first."""
    op = REGISTRY["max_pool"]
    windows = np.array(list(product((*SPECIAL, 1.0, 2.0), repeat=4))).reshape(25, 25, 2, 2)
    image = windows.transpose(0, 2, 1, 3).reshape(50, 50)
    x = np.stack([np.roll(image, 2 * c, 1) for c in range(channels)], -1)[None]
    for kernel, stride in ((2, 2), (3, 1), ((2, 1), 1)):
        attributes = {"kernel": kernel, "stride": stride, "padding": 0}
        shape = plan(op, {"x": x}, attributes).shapes["y"]
        grad = np.arange(1.0, 1 + np.prod(shape)).reshape(shape) % 97
        check(op, every_hand(op), "x", {"x": x}, attributes, grad, None)


def large(name):
    """Return inputs and attributes that take several blocks."""
    random = np.random.default_rng(5)
    if name in ("batch_norm", "batch_norm_relu"):
        more = (random.standard_normal((3, 100, 100, 4)),) if name == "batch_norm_relu" else ()
        numbers = [1 + random.random(4) for _ in range(4)]
        return (random.standard_normal((3, 100, 100, 4)), *numbers, *more), {"training": True}
    if name == "layer_norm":
        return (random.standard_normal((3000, 20)), *random.standard_normal((2, 20))), {}
    if name == "softmax":
        return (random.standard_normal((4000, 10)),), {}
    if name == "softmax_cross_entropy":
        return (random.standard_normal((4000, 10)), random.integers(0, 10, 4000)), {}
    shape, attributes = {
        "global_avg_pool": ((2, 120, 150, 3), {}),
        "lrn": ((3000, 20), {"size": 5, "alpha": 0.5}),
        "resize": ((2, 70, 60, 10), {"size": (90, 50), "mode": "cubic"}),
    }.get(name, ((2, 120, 150, 3), {"kernel": 3}))
    return (random.standard_normal(shape),), attributes


@pytest.mark.parametrize("numbers", [SPECIAL[:1], SPECIAL[1:2], (np.inf, np.inf), SPECIAL[1:]], ids=str)
@pytest.mark.parametrize(
    "name",
    [
        "avg_pool",
        "batch_norm",
        "batch_norm_relu",
        "global_avg_pool",
        "layer_norm",
        "lrn",
        "max_pool",
        "resize",
        "softmax",
        "softmax_cross_entropy",
    ],
)
def test_special_values_propagate_in_any_block_of_a_large_array(name, numbers):
    op = REGISTRY[name]
    values, attributes = large(name)
    for places in ((0.01, 0.02), (0.01, 0.99), (0.5, 0.99), (0.99, 0.01)):
        inputs = cast_inputs(op, values, np.float64)
        x = inputs[op.inputs[0]]
        for number, place in zip(numbers, places):  # all in one channel
            x.reshape(-1, x.shape[-1])[int(place * x.size / x.shape[-1]), 1] = number
        shape = plan(op, inputs, attributes).shapes[op.outputs[0]]
        grad = np.random.default_rng(6).standard_normal(shape)
        hands = [("arrays", np.float64), ("compiled", np.float64), ("compiled", np.float32)]
        check(op, hands, f"x at {places}", inputs, attributes, grad, None)


# the comparison itself ------------------------------------------------------------------------------------------------


def test_a_lost_or_added_special_value_is_detected():
    """Also where something is left open, everything else is not."""
    expected = {"y": np.array([1.0, np.nan, np.inf, -np.inf])}
    compare("it", expected, expected, 1e-9)
    kinds, first = Open(("y",)), Open(("y",), lambda inputs, attributes: np.array([False, True, False, False]))
    for place, number in ((0, np.nan), (0, 1.1), (1, np.inf), (1, 1.0), (2, np.nan), (2, -np.inf), (2, 1.0), (3, 0.0)):
        got = {"y": expected["y"].copy()}
        got["y"][place] = number
        for left, forgiven in (
            (None, False),
            (kinds, place > 0 and not np.isfinite(number)),
            (first, place == 1),
            (kinds._replace(results=("other",)), False),
        ):
            if forgiven:
                compare("it", got, expected, 1e-9, left, (None, None))
                continue
            with pytest.raises(AssertionError, match="y is"):
                compare("it", got, expected, 1e-9, left, (None, None))
    with pytest.raises(AssertionError, match="y is"):
        compare("it", {"y": np.array(1.0)}, {"y": np.array(np.nan)}, 1e-9)


def test_most_numbers_stay_finite():
    """A test in which all becomes NaN would see nothing."""
    for name, op in REGISTRY.items():
        found = [torch_twins.results(op, *spoiled(op, seed)[1:]) for seed in range(CALLS)]
        finite = [np.isfinite(array).mean() for made in found for array in tree_leaves(made.values()) if array.size]
        assert 0.2 < np.mean(finite) < 1, name


@pytest.mark.parametrize("hand", REGISTRY["power"].hands)
@pytest.mark.parametrize(
    "a, b", [((), ()), ((1,), (1, 1)), ((4,), ()), ((1, 3), (1, 1)), ((2, 4), (2, 1)), ((3, 3), (3, 3))]
)
def test_a_lone_exponent_of_a_half_is_no_square_root(a, b, hand):
    base, expected = (np.resize(numbers, a) for numbers in ([-np.inf, 4.0, -0.0], [np.inf, 2.0, 0.0]))
    y = REGISTRY["power"](base, np.full(b, 0.5), hand=hand)
    np.testing.assert_array_equal(y, np.broadcast_to(expected, np.broadcast_shapes(a, b)))
