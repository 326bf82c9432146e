"""Conformance: all hands of an op agree on random calls.

`check` runs one call with some hands and with the loops, and compares all that they wrote. The first test draws the calls, for
every hand of every op in the registry: a new op, or a new hand, is held to this without a line here. The other tests show
that `check` rejects a broken hand, whatever the op and whatever is broken.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from byhand.ops import REGISTRY
from byhand.ops.op import tree_leaves
from tests.ops.draw import LAYOUTS, Drawn, Seeded, cast_inputs, contiguous, each, plan, unregistered, with_gradient

# How far a hand may be from the loops: a part of the largest number in the array (of 1, where all are smaller).
TOLERANCE = {np.float64: 1e-13, np.float32: 5e-6}
# The gradient of an input that is broadcast is a sum of terms that may cancel. The loops add them up one after the other, in
# float32 with a rounding error above TOLERANCE: the hands of these ops are held to the loops in float64.
BROADCASTING = ("add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "prelu")


@pytest.mark.parametrize("name", REGISTRY)
@given(data=st.data())
def test_every_hand_does_what_the_loops_do(name, data):
    op, draw = REGISTRY[name], Drawn(data)
    values, attributes = op.sample(draw)
    there = with_gradient(op, dict(zip(op.inputs, values, strict=True)))
    grads = data.draw(st.lists(st.sampled_from(there), min_size=1, unique=True), label="grads")
    layout = draw.choice(LAYOUTS)
    for dtype in (np.float64, np.float32):
        check(
            op,
            [hand for hand in op.hands if hand != "loops"],
            cast_inputs(op, values, dtype),
            attributes,
            grads=grads,
            layout=layout,
        )


def check(op, hands, inputs, attributes, *, grads=None, layout=contiguous):
    """Raise an AssertionError unless hands do what the loops do, forward and backward.

    inputs: arrays by name; grads: the inputs whose gradient is asked for, by default all that have one; layout: how that
    which a hand reads lies in memory. A hand must write every element of its outputs and nothing outside of them,
    and must change none of its inputs but the op's state.
    """
    call = plan(op, inputs, attributes)
    dtype = next(array.dtype.type for array in tree_leaves(inputs.values()) if array.dtype.kind == "f")
    grads = with_gradient(op, inputs) if grads is None else grads
    first = op.outputs[0]

    reads = {name: value for name, value in inputs.items() if name not in op.state}
    writes = {name: blank(shape, op.dtypes.get(name, dtype)) for name, shape in call.shapes.items()}
    writes |= {name: inputs[name] for name in op.state}
    expected = reference(op, "forward", reads, writes, call.attributes)
    for hand in hands:
        got = run(op, hand, "forward", reads, writes, call.attributes, layout)
        compare(f"{op.name}, {hand}, forward", got, expected, TOLERANCE[dtype])

    reads |= {name: expected[name] for name in op.outputs}  # the same for all: each pass is held on its own
    reads[f"grad_{first}"] = np.random.default_rng(0).standard_normal(call.shapes[first]).astype(dtype)
    writes = {f"grad_{name}": each(lambda array: blank(array.shape, dtype), inputs[name]) for name in grads}
    expected = reference(op, "backward", reads, writes, call.attributes)
    for hand in hands:
        got = run(op, hand, "backward", reads, writes, call.attributes, layout)
        compare(f"{op.name}, {hand}, backward", got, expected, TOLERANCE[dtype])


def reference(op, direction, reads, writes, attributes):
    """Return what one pass of the loops writes, in the dtype of `writes`."""
    if op.name not in BROADCASTING:
        return run(op, "loops", direction, reads, writes, attributes)
    exact = ({name: as_float64(value) for name, value in arrays.items()} for arrays in (reads, writes))
    written = run(op, "loops", direction, *exact, attributes)
    return {name: value.astype(writes[name].dtype) for name, value in written.items()}


def as_float64(value):
    return None if value is None else value.astype(np.float64)


def run(op, hand, direction, reads, writes, attributes, layout=contiguous):
    """Return what one pass of a hand made of `writes`; the hand gets copies of all arrays, and None for those not given."""
    given = {name: each(layout, value) for name, value in reads.items()}
    guarded = {name: each(Guarded, value) for name, value in writes.items()}
    written = {name: each(lambda guard: guard.array, value) for name, value in guarded.items()}
    names = op.forward_arguments if direction == "forward" else op.backward_arguments
    arguments = dict.fromkeys(names) | given | written
    getattr(op.hands[hand], direction)(*(arguments[name] for name in names), **attributes)

    who = f"{op.name}, {hand}, {direction}"
    for name, value in guarded.items():
        assert all(guard.is_intact() for guard in tree_leaves([value])), f"{who}: wrote outside of {name}"
    for name, value in given.items():
        for now, before in zip(tree_leaves([value]), tree_leaves([reads[name]])):
            assert np.array_equal(now, before), f"{who}: changed {name}, which is only to be read"
    return written


def compare(who, got, expected, tolerance):
    """Raise an AssertionError unless two hands wrote the same into each array, and wrote all of it."""
    for name, value in expected.items():
        for ours, theirs in zip(tree_leaves([got[name]]), tree_leaves([value]), strict=True):
            if theirs.dtype.kind != "f":
                assert np.array_equal(ours, theirs), f"{who}: {name} is {ours}; the loops say {theirs}"
                continue
            for array, hand in ((theirs, "loops"), (ours, "hand")):
                left = np.count_nonzero(np.isnan(array))
                assert not left, f"{who}: the {hand} left {left} of {array.size} numbers of {name} unwritten, or NaN"
            error = np.abs(ours - theirs).max(initial=0)
            limit = tolerance * max(1, np.abs(theirs).max(initial=0))
            assert error <= limit, f"{who}: {name} is off by {error:.2g}, more than {limit:.2g}:\n{ours}\nnot\n{theirs}"


def blank(shape, dtype):
    """Return an array that nothing has been written into: NaN, or where there is none 99."""
    return np.full(shape, np.nan if np.issubdtype(dtype, np.floating) else 99, dtype)


class Guarded:
    """A copy of an array, with a strip of memory before and after it that no hand may write into."""

    STRIP, UNTOUCHED = 64, 77

    def __init__(self, array):
        self.memory = np.full(array.size + 2 * self.STRIP, self.UNTOUCHED, array.dtype)
        self.array = self.memory[self.STRIP : -self.STRIP].reshape(array.shape)
        self.array[...] = array

    def is_intact(self):
        return all((strip == self.UNTOUCHED).all() for strip in (self.memory[: self.STRIP], self.memory[-self.STRIP :]))


# `check` rejects broken hands of every op -----------------------------------------------------------------------------


def zeros(now, before):
    now[...] = 0


def one_left_out(now, before):
    now.flat[-1] = before.flat[-1]


def one_too_far(now, before):
    now.base[Guarded.STRIP + now.size] = 0


def one_too_early(now, before):
    now.base[Guarded.STRIP - 1] = 0


def added(now, before):
    now += before


def a_thousandth_too_much(now, before):
    now *= 1.001


def untouched(now, before):
    now[...] = before


def changed(now, before):
    now += 1


FLAWS = [  # the pass, the array of it that is spoiled, how, and what `check` says then
    ("forward", "each output", zeros, "is off by|the loops say"),
    ("forward", "each output", one_left_out, "unwritten|the loops say"),
    ("forward", "each output", one_too_far, "wrote outside"),
    ("forward", "each output", one_too_early, "wrote outside"),
    ("forward", "each state", untouched, "is off by|the loops say"),
    ("forward", "each input", changed, "only to be read"),
    ("backward", "each grad", zeros, "is off by"),
    ("backward", "each grad", one_left_out, "unwritten"),
    ("backward", "each grad", one_too_far, "wrote outside"),
    ("backward", "each grad", one_too_early, "wrote outside"),
    ("backward", "each grad", added, "unwritten"),
    ("backward", "each grad", a_thousandth_too_much, "is off by"),
    ("backward", "each input", changed, "only to be read"),
]


def broken_hands():
    """Yield (op's name, pass, argument, flaw, message) for every argument of every op that a flaw can spoil."""
    for op in REGISTRY.values():
        for direction, what, flaw, message in FLAWS:
            names = op.forward_arguments if direction == "forward" else op.backward_arguments
            grads = [f"grad_{name}" for name in op.differentiable]
            read = [name for name in names if name not in (*grads, *op.state)]
            if direction == "forward":
                read = [name for name in read if name not in op.outputs]
            spoiled = {"each output": op.outputs, "each state": op.state, "each grad": grads, "each input": read}[what]
            for name in spoiled:
                yield pytest.param(
                    op, direction, name, flaw, message, id=f"{op.name}-{direction}-{name}-{flaw.__name__}"
                )


@pytest.mark.parametrize(("op", "direction", "name", "flaw", "message"), list(broken_hands()))
def test_a_broken_hand_is_rejected(op, direction, name, flaw, message):
    with pytest.raises(AssertionError, match=message):
        check_some(with_flaw(op, direction, name, flaw))


@pytest.mark.parametrize("op", list(REGISTRY.values()), ids=list(REGISTRY))
def test_a_hand_without_a_flaw_is_not(op):
    check_some(with_flaw(op, "forward", op.outputs[0], lambda now, before: None))


def check_some(op):
    """Check an op's broken hand on ten calls, fewer than the test of the real hands draws."""
    for seed in range(10):
        values, attributes = op.sample(Seeded(seed))
        check(op, ["broken"], cast_inputs(op, values, np.float64), attributes)


def with_flaw(op, direction, spoiled, flaw):
    """Return a copy of the op, outside the registry, whose hand `broken` does what `arrays` does and then spoils an array."""
    good = op.hands["arrays"]
    names = op.forward_arguments if direction == "forward" else op.backward_arguments

    def bad(*arrays, **attributes):
        before = [each(np.copy, value) for value in arrays]
        getattr(good, direction)(*arrays, **attributes)
        at = names.index(spoiled)
        for now, then in zip(tree_leaves([arrays[at]]), tree_leaves([before[at]])):
            flaw(now, then)

    broken = unregistered(op)
    broken.hands = op.hands | {"broken": good._replace(**{direction: bad})}
    return broken
