"""`Op`: arguments, dtypes, state and error messages."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import byhand as bh
from byhand.errors import ArgumentError, ByhandError, ShapeError, UnknownNameError
from byhand.ops import HANDS, REGISTRY, Op, get
from byhand.ops.op import CallSpec, tree_leaves
from tests.ops.draw import Drawn, Seeded, cast_inputs, copies

IMAGE, FILTER = np.ones((1, 4, 4, 2)), np.ones((3, 3, 2, 4))


# bad calls: the call, the error, and what its message must hold -------------------------------------------------------

BAD_CALLS = [
    (lambda: bh.conv2d(IMAGE), ArgumentError, "conv2d: weight is missing; it takes x, weight, bias"),
    (lambda: bh.conv2d(IMAGE, None), ArgumentError, "conv2d: weight is missing"),
    (lambda: bh.relu(1.0, 2.0), ArgumentError, "relu: got 2 inputs; it takes x"),
    (lambda: bh.relu(1.0, x=2.0), ArgumentError, "relu: x is given twice"),
    (lambda: bh.relu(1.0, slope=2), ArgumentError, "relu: there is no argument 'slope'; it takes none"),
    (lambda: bh.leaky_relu(1.0, slop=2), ArgumentError, "leaky_relu: there is no argument 'slop'; did you mean 'slope'"),
    (lambda: bh.max_pool(IMAGE), ArgumentError, "max_pool: kernel is missing"),
    (lambda: bh.relu(1.0, hand="loop"), UnknownNameError, "no hand 'loop'; did you mean 'loops'?"),
    (lambda: bh.relu.backward(1.0, 1.0, hand="numpy"), UnknownNameError, "known: arrays, "),
    (lambda: get("conv"), UnknownNameError, "there is no op 'conv'; did you mean 'conv2d'?"),
    (lambda: bh.relu(["a"]), ArgumentError, "relu: x holds <U1; expected numbers"),
    (lambda: bh.relu(1j), ArgumentError, "relu: x holds complex128; expected numbers"),
    (lambda: bh.relu([[1], [1, 2]]), ArgumentError, "relu: x has rows of different lengths"),
    (lambda: bh.relu.backward([1.0], [1.0, 2.0]), ShapeError, r"relu: grad has the shape \(1,\); .* y, \(2,\)"),
    (lambda: bh.conv2d(IMAGE[0], FILTER), ShapeError, r"conv2d: x has the shape \(4, 4, 2\); expected \(N, H, W, C\)"),
    (lambda: bh.conv2d(IMAGE[:0], FILTER), ShapeError, r"conv2d: x has the shape \(0, 4, 4, 2\); .* each 1 or more"),
    (lambda: bh.conv2d(IMAGE, FILTER[0]), ShapeError, r"conv2d: weight has the shape \(3, 2, 4\); expected \(R, S, C"),
    (lambda: bh.conv2d(IMAGE, FILTER[:, :, :1]), ShapeError, "conv2d: x has 2 channels, but weight .* reads 1"),
    (lambda: bh.conv2d(IMAGE, FILTER[:, :, :1, :3], groups=2), ShapeError, "conv2d: 3 filters do not fall into 2"),
    (lambda: bh.conv2d(IMAGE, FILTER, [1.0]), ShapeError, r"conv2d: bias has the shape \(1,\); expected \(4,\)"),
    (lambda: bh.conv2d(IMAGE, FILTER, dilation=2), ShapeError, "conv2d: the window reaches over 5 pixels .* of 4; use"),
    (lambda: bh.conv2d(IMAGE, FILTER, stride=0), ArgumentError, "conv2d: stride is 0; expected a whole number, 1 or"),
    (lambda: bh.conv2d(IMAGE, FILTER, stride=1.5), ArgumentError, "conv2d: stride is 1.5; expected a whole number"),
    (lambda: bh.conv2d(IMAGE, FILTER, stride=(1, 1, 1)), ArgumentError, r"stride is \(1, 1, 1\); .* \(height, width\)"),
    (lambda: bh.conv2d(IMAGE, FILTER, padding=-1), ArgumentError, "conv2d: padding is -1; expected .* 0 or more"),
    (lambda: bh.conv2d(IMAGE, FILTER, padding="full"), ArgumentError, "padding is 'full'; expected 'valid', 'same'"),
    (lambda: bh.conv2d(IMAGE, FILTER, groups=True), ArgumentError, "conv2d: groups is True; expected a whole number"),
    (lambda: bh.max_pool(IMAGE, kernel=5), ShapeError, "max_pool: the window reaches over 5 pixels"),
    (lambda: bh.max_pool(IMAGE, kernel=0), ArgumentError, "max_pool: kernel is 0; expected"),
    (lambda: bh.avg_pool(IMAGE[0], kernel=2), ShapeError, r"avg_pool: x has the shape .* expected \(N, H, W, C\)"),
    (lambda: bh.global_avg_pool(IMAGE[0]), ShapeError, r"global_avg_pool: x has the shape .* expected \(N, H, W, C\)"),
    (lambda: bh.linear([1.0], np.eye(1)), ShapeError, r"linear: x has the shape \(1,\); expected \(N, 1\)"),
    (lambda: bh.linear([[1.0]], np.eye(2)), ShapeError, r"linear: x has the shape \(1, 1\); .* weight .* has 2 rows"),
    (lambda: bh.linear([[1.0]], [1.0]), ShapeError, r"linear: weight has the shape \(1,\); expected \(D, K\)"),
    (lambda: bh.linear([[1.0]], np.eye(1), [1.0, 2.0]), ShapeError, r"linear: bias has the shape \(2,\); expected \(1,"),
    (lambda: bh.leaky_relu(1.0, slope="steep"), ArgumentError, "leaky_relu: slope is 'steep'; expected a number"),
    (lambda: bh.dropout(1.0, 1, rate=1), ArgumentError, "dropout: rate is 1; expected a number, from 0 up to 1"),
    (lambda: bh.dropout(1.0, [1, 2]), ShapeError, r"dropout: key has the shape \(2,\); expected \(1,\)"),
    (lambda: bh.dropout(1.0, 0.5), ArgumentError, "dropout: key holds float64; expected whole numbers"),
    (lambda: bh.softmax(1.0), ShapeError, r"softmax: x has the shape \(\); expected \(..., K\)"),
    (lambda: bh.softmax_cross_entropy(1.0, [0]), ShapeError, r"cross_entropy: logits has the shape \(\); expected \(N, K\)"),
    (lambda: bh.softmax_cross_entropy([[0.0, 0.0]], [0, 1]), ShapeError, r"labels have the shape \(2,\); expected \(1,\)"),
    (lambda: bh.softmax_cross_entropy([[0.0, 0.0]], [2]), ArgumentError, "cross_entropy: labels hold 2, .* expected 0 to 1"),
    (lambda: bh.softmax_cross_entropy([[0.0, 0.0]], [-1]), ArgumentError, "cross_entropy: labels hold -1, .* 0 to 1"),
    (lambda: bh.softmax_cross_entropy([[0.0, 0.0]], [1.0]), ArgumentError, "labels holds float64; expected whole numbers"),
    (lambda: bh.softmax_cross_entropy.backward(1, [[0.0, 0.0]], [2]), ArgumentError, "cross_entropy: labels hold 2"),
    (lambda: bh.softmax_cross_entropy([[0.0]], [0], label_smoothing=1), ArgumentError, "smoothing is 1; .* up to 1"),
    (
        lambda: bh.batch_norm([1.0], *np.ones((4, 1))),
        ShapeError, r"batch_norm: x has the shape \(1,\); expected \(N, ..., C\)",
    ),
    (
        lambda: bh.batch_norm([[1.0, 2.0]], *np.ones((4, 3))),
        ShapeError, r"batch_norm: gamma has the shape \(3,\); expected \(2,\), one number a channel",
    ),
    (
        lambda: bh.batch_norm([[1.0, 2.0]], *np.ones((4, 2)), training=True),
        ShapeError, "batch_norm: x .* has one number a channel, .* train on batches of two images or more",
    ),
    (
        lambda: bh.batch_norm([[1.0, 2.0]], *np.ones((4, 2)), eps=-1),
        ArgumentError, "batch_norm: eps is -1; expected a number, 0 or more",
    ),
    (lambda: bh.layer_norm([[1.0, 2.0]], [1.0], [1.0]), ShapeError, r"layer_norm: gamma has the shape \(1,\); expected"),
    (lambda: bh.layer_norm([[1.0]], [1.0], [1.0, 2.0]), ShapeError, r"layer_norm: beta has the shape \(2,\); .* \(1,\)"),
    (lambda: bh.add([1.0, 2.0], [1.0, 2.0, 3.0]), ShapeError, r"add: \(2,\) and \(3,\) do not fit together: 2 against 3"),
    (lambda: bh.multiply(IMAGE, [1.0] * 3), ShapeError, "multiply: .* do not fit together: 2 against 3"),
    (lambda: bh.concat(1.0), ArgumentError, "concat: xs is 1.0; expected a list of arrays"),
    (lambda: bh.concat([]), ArgumentError, "concat: xs is empty; expected one array or more"),
    (lambda: bh.concat([[[1.0]], [1.0]]), ShapeError, r"concat: xs have the shapes \(1, 1\) and \(1,\); expected equal"),
    (lambda: bh.concat([[1.0]], axis=1), ArgumentError, "concat: axis is 1; expected -1 to 0"),
    (lambda: bh.pad(IMAGE, padding="same"), ArgumentError, r"pad: padding is 'same'; expected a number, \(height, width\)"),
    (lambda: bh.pad(IMAGE), ArgumentError, "pad: padding is missing"),
    (lambda: bh.transpose([[1.0]], axes=(0, 0)), ArgumentError, r"transpose: axes is \(0, 0\); expected an order of 0 to 1"),
    (lambda: bh.transpose([[1.0]], axes=(0, "a")), ArgumentError, "transpose: axes is 'a'; expected a whole number"),
    (lambda: bh.reshape([[1.0, 2.0]], shape=(3,)), ShapeError, r"reshape: an example .* holds 2 numbers, which \(3,\) can"),
    (lambda: bh.reshape([[1.0, 2.0]], shape=(-1, -1)), ArgumentError, "reshape: shape is .* at most one of them -1"),
    (lambda: bh.reshape([[1.0, 2.0]], shape=2), ArgumentError, r"reshape: shape is 2; expected sizes in brackets"),
    (lambda: bh.flatten(1.0), ShapeError, r"flatten: x has the shape \(\); expected \(N, ...\)"),
    (lambda: bh.channel_shuffle([1.0, 2.0, 3.0], groups=2), ShapeError, r"channel_shuffle: x .* a multiple of groups, 2"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_a_bad_call_is_told_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call()


NONSENSE = [None, "x", -1, 0, 1, 2.5, True, float("nan"), (), (1,), (1, 2), (1, 2, 3), (1.0, 0.0), ("a", 1), [[1]], {}, 1j,
            ["a"], [[1], [1, 2]], np.float32(0.5), np.zeros(())]  # fmt: skip
MISSHAPEN = [np.zeros((0, 3)), np.zeros((2, 0, 3, 2)), np.ones((2, 3)), np.full(3, 7)]


@pytest.mark.parametrize("name", REGISTRY)
@given(data=st.data())
def test_nonsense_is_refused_or_used_but_never_crashes(name, data):
    op, draw = REGISTRY[name], Drawn(data)
    values, attributes = op.sample(draw)
    inputs = copies(cast_inputs(op, values, np.float64))
    place = draw.choice([key for key in (*op.inputs, *op.attributes) if key != "eps"])  # eps=0 may well divide by zero
    if place in inputs:
        inputs[place] = draw.choice(NONSENSE + MISSHAPEN)
    else:
        attributes[place] = draw.choice(NONSENSE)
    try:
        op(*inputs.values(), **attributes)
    except ByhandError as error:
        assert str(error).startswith(f"{name}: "), error


# contracts that do not match the hands --------------------------------------------------------------------------------


def contract(x, *, slope=1.0):
    return CallSpec({"y": x}, {"slope": slope})


def forward(x, y, *, slope):
    y[...] = slope * x


def backward(grad_y, grad_x, *, slope):
    grad_x[...] = slope * grad_y


def renamed(z, y, *, slope): ...
def without_attribute(x, y): ...
def no_output(x, *, slope): ...
def needs_unknown(w, grad_y, grad_x, *, slope): ...
def swapped(grad_x, grad_y, *, slope): ...


@pytest.mark.parametrize(
    ("loops", "arrays", "message"),
    [
        ((renamed, backward), (forward, backward), "test: the loops and arrays hands differ"),
        ((without_attribute, backward), (forward, backward), "test: the loops and arrays hands differ"),
        ((forward, swapped), (forward, backward), "test: the loops and arrays hands differ"),
        ((renamed, backward), (renamed, backward), "test: forward takes .*'z'.*, the contract .*'x'"),
        ((no_output, backward), (no_output, backward), "test: forward takes"),
        ((forward, needs_unknown), (forward, needs_unknown), "test: backward takes .*'w'.*, which is no input"),
    ],
)
def test_hands_that_do_not_fit_are_refused(loops, arrays, message):
    with pytest.raises(TypeError, match=message):
        Op("test", contract, loops=loops, arrays=arrays, sample=None)
    assert "test" not in REGISTRY


def test_a_fitting_op_is_found_by_its_name():
    try:
        op = Op("test", contract, loops=(forward, backward), arrays=(forward, backward), sample=None)
        assert get("test") is op
        assert repr(op) == "<op test(x, slope) -> y>"
        assert op([1, 2], slope=3).tolist() == [3, 6]
        assert op.backward([1, 1], [1, 2], slope=3).tolist() == [3, 3]
    finally:
        REGISTRY.pop("test", None)


def test_the_public_names_are_the_registry():
    assert all(getattr(bh, name) is op for name, op in REGISTRY.items())
    assert all(tuple(op.hands)[: len(HANDS)] == HANDS for op in REGISTRY.values())
    assert all(op.__doc__ for op in REGISTRY.values())


# types ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("name", REGISTRY)
def test_types_are_kept(name, hand):
    op = REGISTRY[name]
    values, attributes = op.sample(Seeded(1))
    for dtype in (np.float32, np.float64):
        inputs = cast_inputs(op, values, dtype)
        y = op(*copies(inputs).values(), hand=hand, **attributes)
        grads = op.backward(np.ones(y.shape), *inputs.values(), hand=hand, **attributes)
        assert all(array.dtype == dtype for array in (y, *tree_leaves(tree_leaves([grads]))))


def test_numbers_that_are_not_floating_point_become_float64():
    for x in ([1, 2], np.array([1, 2], np.uint8), np.array([True, False]), np.array([1, 2], np.float16), 3):
        assert bh.relu(x).dtype == np.float64
    assert bh.add(np.ones(1, np.float32), [1]).dtype == np.float64
    assert bh.softmax_cross_entropy([[0, 0]], np.array([1], np.uint8)) == pytest.approx(np.log(2))


def test_inputs_go_by_place_or_name():
    x, weight = np.ones((1, 2)), np.eye(2)
    assert np.array_equal(bh.linear(x, weight), bh.linear(weight=weight, x=x, bias=None))
    assert np.array_equal(bh.linear(x, weight, [1, 2]), bh.linear(x, weight, bias=[1, 2]))


def test_backward_returns_one_gradient_or_a_tuple():
    assert isinstance(bh.relu.backward([1.0], [1.0]), np.ndarray)
    assert [g.shape for g in bh.concat.backward([1.0, 1, 1], [[1.0], [2.0, 3]])] == [(1,), (2,)]
    grad_x, grad_weight, grad_bias = bh.linear.backward([[1.0]], [[1.0, 2]], [[3.0], [4]])
    assert (grad_x.tolist(), grad_weight.tolist(), grad_bias) == ([[3, 4]], [[1], [2]], None)
    assert bh.linear.backward([[1.0]], [[1.0, 2]], [[3.0], [4]], [5.0])[2].tolist() == [1]


# state --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forward_moves_the_callers_running_statistics(dtype, hand):
    x, mean, var = np.array([[1.0], [3.0]]), np.zeros(1, dtype), np.ones(1, dtype)
    bh.batch_norm(x, [1.0], [0.0], mean, var, momentum=0.5, hand=hand)
    assert (mean[0], var[0]) == (0, 1)  # they count, and stay
    bh.batch_norm.backward(x, x, [1.0], [0.0], mean, var, momentum=0.5, training=True, hand=hand)
    assert (mean[0], var[0]) == (0, 1)
    bh.batch_norm(x, [1.0], [0.0], mean, var, momentum=0.5, training=True, hand=hand)
    assert (mean[0], var[0]) == (1, 1.5)  # half way to 2, and to 2 (unbiased)


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("key", [np.array([5], np.uint64), np.array([5]), np.array(5), np.array(5, np.uint64)])
def test_forward_moves_the_callers_key(key, hand):
    key, x = key.copy(), np.ones(64)
    first = bh.dropout(x, key, hand=hand)
    assert key != 5
    assert not np.array_equal(first, bh.dropout(x, key, hand=hand))
    before = key.copy()
    bh.dropout.backward(x, x, key, hand=hand)
    bh.dropout(x, key, training=False, hand=hand)
    assert key == before


@pytest.mark.parametrize("hand", HANDS)
def test_a_list_or_a_number_as_state_is_left_alone(hand):
    assert np.array_equal(bh.dropout(np.ones(9), 3, hand=hand), bh.dropout(np.ones(9), [3], hand=hand))


# dropout ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_keeps_the_expected_fraction(rate):
    size = 100_000
    y = bh.dropout(np.ones(size), 2026, rate=rate)
    kept = np.count_nonzero(y)
    assert abs(kept - size * (1 - rate)) <= 4 * np.sqrt(size * rate * (1 - rate))  # four standard deviations
    assert np.allclose(y[y != 0], 1 / (1 - rate))


@given(st.integers(0, 2**64 - 1))
def test_dropout_has_the_same_mask_in_all_hands_and_another_for_another_key(key):
    x, other = np.ones(64), np.array([key ^ 1], np.uint64)
    masks = [bh.dropout(x, np.array([key], np.uint64), hand=hand) for hand in HANDS]
    assert all(np.array_equal(mask, masks[0]) for mask in masks)
    assert not np.array_equal(masks[0], bh.dropout(x, other))


def test_dropouts_gradient_goes_where_its_numbers_went():
    x = np.arange(1.0, 65)
    y, grad = bh.dropout(x, 7), bh.dropout.backward(np.ones(64), x, 7)
    assert np.allclose(y, x * grad)


def test_an_op_tells_editors_and_notebooks_what_it_takes():
    told = str(inspect.signature(bh.conv2d))
    assert told == "(x, weight, bias=None, *, stride=1, padding='valid', dilation=1, groups=1, hand='compiled')"
    assert not hasattr(bh.conv2d, "strides")
    assert str(inspect.signature(type(bh.conv2d))).startswith("(name")


def test_an_op_has_help():
    assert bh.conv2d.__name__ == "conv2d"
    for words in ("Slide filters over an image", "grad_weight", "sum over r, s, c", "LeCun et al. 1989"):
        assert words in bh.conv2d.__doc__
    for op in REGISTRY.values():
        assert f"{op.name}.backward(grad_{op.outputs[0]}, {op.inputs[0]}" in op.__doc__
        assert "Source" in op.__doc__ or op.name in ("add", "multiply", "linear", *TENSOR)


TENSOR = ("concat", "pad", "transpose", "reshape", "flatten", "channel_shuffle")


def test_a_symbolic_call_takes_no_hand():
    with pytest.raises(ArgumentError, match="relu: a symbolic call takes no hand"):
        bh.relu(bh.nn.Input(3), hand="loops")


@pytest.mark.parametrize("hand", HANDS)
def test_state_that_is_read_only_is_read_and_not_written(hand):
    x, mean, var = np.array([[1.0], [3.0]]), np.broadcast_to(0.0, 1), np.broadcast_to(1.0, 1)
    assert bh.batch_norm(x, [1.0], [0.0], mean, var, hand=hand).shape == (2, 1)
    assert bh.batch_norm.backward(x, x, [1.0], [0.0], mean, var, training=True, hand=hand)[0].shape == (2, 1)
    with pytest.raises(ArgumentError, match="batch_norm: running_mean is read-only, and is to be updated; pass a copy"):
        bh.batch_norm(x, [1.0], [0.0], mean, var, training=True, hand=hand)


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("grad", ["a", [[1], [1, 2]], [1j], [None], None])
def test_a_gradient_that_is_no_array_of_numbers_is_refused(grad, hand):
    with pytest.raises(ArgumentError, match="relu: grad h"):
        bh.relu.backward(grad, np.ones(1), hand=hand)


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize(
    "call",
    [
        lambda x, w, hand: bh.conv2d(x, w, padding=10**9, hand=hand),
        lambda x, w, hand: bh.conv2d(x, w, padding=10**30, hand=hand),
        lambda x, w, hand: bh.conv2d(x, w, stride=2**63, hand=hand),
        lambda x, w, hand: bh.max_pool(x, kernel=2, stride=(1, 2**70), hand=hand),
        lambda x, w, hand: bh.conv_transpose2d(x, w, stride=10**8, hand=hand),
        lambda x, w, hand: bh.pad(x, padding=10**8, hand=hand),
        lambda x, w, hand: bh.resize(x, size=(10**7, 10**7), hand=hand),
        lambda x, w, hand: bh.lrn(x, size=2**64, hand=hand),
    ],
)
def test_sizes_beyond_memory_or_32_bits_are_refused(call, hand):
    with pytest.raises(ArgumentError, match=r"GB of memory|expected at most 2,147,483,647"):
        call(np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 1)), hand)
