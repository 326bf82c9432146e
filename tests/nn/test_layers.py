"""Layers: the node that each adds, its parameters, names and gradients."""

from functools import partial

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.errors import ArgumentError, ByhandError, ShapeError, UnknownNameError
from byhand.nn import Layer
from byhand.ops import HANDS
from byhand.ops.op import tree_leaves
from tests.nn.cases import ALL, CASES, images
from tests.nn.gradients import check_gradients

CLASSES = {
    name: member
    for name, member in ((name, getattr(nn, name)) for name in nn.__all__)
    if isinstance(member, type) and issubclass(member, Layer) and member is not Layer
}
each = pytest.mark.parametrize("case", [case for _, case in ALL], ids=[name for name, _ in ALL])


def test_every_layer_has_a_case():
    assert CASES.keys() == CLASSES.keys(), "add the new layer to CASES in tests/nn/cases.py"
    for name, cases in CASES.items():
        assert all(isinstance(case.make(), CLASSES[name]) for case in cases)


@pytest.mark.parametrize("op", [bh.softplus, partial(bh.elu, alpha=0.5), partial(bh.reduce_mean, axes=(1,))])
def test_an_op_applies_to_tensors(op):
    """An op needs a class only where it has parameters, or for its settings to be checked by an editor."""
    y = nn.Sequential(nn.Flatten(), op)(nn.Input(2, 2, 1))
    assert y.graph.nodes[-1].op is getattr(op, "func", op)


@each
def test_a_layer_adds_the_expected_node(case):
    model, node = case.model()
    assert (node.op, node.name) == (case.op, case.node)
    assert node.output.shape == (1, *case.output)
    mine = {t.name: t for t in tree_leaves(node.inputs.values()) if t.kind in ("parameter", "state")}
    expected = {f"{case.node}_{suffix}": shape for suffix, shape in (case.parameters | case.states).items()}
    assert {name: tensor.shape for name, tensor in mine.items()} == expected
    assert {t.name for t in mine.values() if t.kind == "state"} == {f"{case.node}_{suffix}" for suffix in case.states}
    assert vars(model.state).keys() == {f"{case.node}_{suffix}" for suffix in case.states}


@each
@pytest.mark.parametrize("hand", HANDS)
def test_forward_is_the_op_on_plain_arrays(case, hand):
    model, node = case.model()
    x, labels = images(model)
    rng = np.random.default_rng(1)
    model.p.flat[...] = rng.uniform(0.5, 1.5, model.p.flat.shape)  # no zero biases
    state = {name: array.copy() for name, array in vars(model.state).items()}
    trace = model.trace(x, labels, hand=hand)
    known = trace | state
    inputs = [
        tuple(known[t.name] for t in value)
        if isinstance(value, tuple)
        else None
        if value is None
        else known[value.name]
        for value in node.inputs.values()
    ]
    expected = case.op(*inputs, hand=hand, **case.attributes)
    assert expected.shape == (4, *case.output)
    np.testing.assert_array_equal(trace[node.name], expected)
    assert expected.std() > 1e-3


@each
def test_a_layer_can_be_named(case):
    x = nn.Input(*case.shape)
    y = case.make(name="mine")(*case.inputs(x))
    assert y.name == "mine"
    kinds = ("parameter", "state")
    named = {t.name for t in x.graph.tensors.values() if t.kind in kinds and t.name.startswith("mine_")}
    assert named == {f"mine_{suffix}" for suffix in case.parameters | case.states}


@each
def test_repr_shows_the_settings(case):
    layer = case.make(name="mine")
    text = repr(layer)
    assert text.startswith(f"{type(layer).__name__}(") and text.endswith("name='mine')")
    assert "name" not in repr(case.make())
    for key, value in case.attributes.items():
        if key in layer.attributes:
            assert f"{key}={value!r}" in text
    if not isinstance(layer, (nn.Reshape, nn.Transpose)) and "<function" not in text:  # these two take *sizes
        assert repr(eval(text, vars(nn))) == text


@each
def test_gradients_of_a_network_around_each_layer(case):
    model, _ = case.model()
    x, labels = images(model)
    check_gradients(model, x, labels, numbers=5)


def test_reprs_in_full():
    assert repr(nn.Linear(3)) == "Linear(units=3, bias=True, initializer='he')"
    assert (
        repr(nn.Sequential(nn.ReLU(), nn.Dropout(0.1, name="d"))) == "Sequential(ReLU(), Dropout(rate=0.1, name='d'))"
    )


# composed layers ------------------------------------------------------------------------------------------------------


def test_a_layer_called_twice_shares_its_parameters():
    x = nn.Input(6, 6, 2)
    conv, norm = nn.Conv2d(2, 3, padding="same", name="twice"), nn.BatchNorm()
    y = nn.Tanh()(norm(conv(x)))
    y = norm(conv(y))
    model = nn.Model(x, nn.Linear(3)(nn.Flatten()(y)), dtype=np.float64, seed=1)
    assert list(model.parameters) == [
        "twice_weight",
        "twice_bias",
        "norm1_gamma",
        "norm1_beta",
        "fc1_weight",
        "fc1_bias",
    ]
    assert [node.name for node in model.graph.nodes if node.op is bh.conv2d] == ["twice", "conv1"]
    assert [node.name for node in model.graph.nodes if node.op is bh.batch_norm] == ["norm1", "norm2"]
    x, labels = images(model)
    for hand in HANDS:
        check_gradients(model, x, labels, hand=hand, numbers=6)


def test_shared_gradient_is_the_sum_of_its_uses():
    def build(first, second):
        x = nn.Input(5)
        return nn.Model(x, nn.Linear(3, name="end")(second(nn.Tanh()(first(x)))), dtype=np.float64)

    shared = nn.Linear(5)
    tied, two = build(shared, shared), build(nn.Linear(5), nn.Linear(5))
    for name in ("weight", "bias"):
        for number in (1, 2):
            two.parameters[f"fc{number}_{name}"][...] = tied.parameters[f"fc1_{name}"]
        two.parameters[f"end_{name}"][...] = tied.parameters[f"end_{name}"]
    x, labels = images(tied)
    once, apart = tied.trace(x, labels), two.trace(x, labels)
    for name in ("weight", "bias"):
        total = apart[f"grad_fc1_{name}"] + apart[f"grad_fc2_{name}"]
        np.testing.assert_allclose(once[f"grad_fc1_{name}"], total, rtol=1e-12)


def test_residual_is_x_plus_f_of_x():
    x = nn.Input(5, 5, 3)
    y = nn.ReLU()(x)
    model = nn.Model(x, nn.GlobalAvgPool2d()(y + nn.Conv2d(3, 3, padding="same")(y)), dtype=np.float64)
    x, labels = images(model)
    trace = model.trace(x, labels)
    y = np.maximum(x, 0)
    f = bh.conv2d(y, model.p.conv1_weight, model.p.conv1_bias, padding="same")
    np.testing.assert_allclose(trace["add1"], y + f, rtol=1e-12)
    check_gradients(model, x, labels)


def test_squeeze_and_excite_scales_each_channel():
    x = nn.Input(4, 3, 6)
    gate = nn.GlobalAvgPool2d(keepdims=True)(x)
    gate = nn.Sigmoid()(nn.Conv2d(6, 1)(nn.ReLU()(nn.Conv2d(2, 1)(gate))))
    assert gate.shape == (1, 1, 1, 6)
    model = nn.Model(x, nn.GlobalAvgPool2d()(x * gate), dtype=np.float64)
    x, labels = images(model)
    trace = model.trace(x, labels)
    assert trace["sigmoid1"].shape == (4, 1, 1, 6)
    np.testing.assert_array_equal(trace["multiply1"], x * trace["sigmoid1"])
    np.testing.assert_array_equal(nn.Multiply().op(x, trace["sigmoid1"]), trace["multiply1"])
    check_gradients(model, x, labels)


def test_branches_meet_in_a_concat():
    x = nn.Input(4, 4, 2)
    a, b = nn.Conv2d(3, 1)(x), nn.MaxPool2d(3, stride=1, padding=1)(x)
    y = nn.Concat()(a, b, x, a)  # one of them twice
    assert y.shape == (1, 4, 4, 10)
    model = nn.Model(x, nn.Linear(3)(nn.Flatten()(y)), dtype=np.float64)
    x, labels = images(model)
    trace = model.trace(x, labels)
    parts = [trace["conv1"], trace["pool1"], x, trace["conv1"]]
    np.testing.assert_array_equal(trace["concat1"], np.concatenate(parts, -1))
    check_gradients(model, x, labels)


def test_a_tensor_used_many_times_in_one_node():
    x = nn.Input(3)
    y = nn.Tanh()(x)
    model = nn.Model(x, nn.Concat()(y * y, y + y, y, y), dtype=np.float64, task="classes")
    check_gradients(model, *images(model))


def test_names_that_look_like_a_second_gradient_do_not_meet_it():
    """A residual block named `a` whose branch is named `a_2`, and the sixth ReLU beside the second ReLU6."""
    x = nn.Input(4, 4, 2)
    a = nn.Conv2d(2, 3, padding="same", name="a")(x)
    y = a + nn.Conv2d(2, 3, padding="same", name="a_2")(a)
    for _ in range(6):
        y = nn.ReLU()(y)
    assert y.name == "relu6"
    z = nn.ReLU6()(nn.ReLU6()(y))
    assert z.name == "relu6_2"
    model = nn.Model(x, nn.GlobalAvgPool2d()(y + z), dtype=np.float64, seed=5)
    for hand in HANDS:
        check_gradients(model, *images(model, 2), hand=hand, numbers=8)
    x = nn.Input(4, 4, 2)
    a = nn.Tanh(name="a")(x)
    smaller = nn.AvgPool2d(name="a_2")(a)  # of another shape
    model = nn.Model(x, nn.Linear(2)(nn.Concat()(nn.Flatten()(a), nn.Flatten()(smaller))), dtype=np.float64)
    check_gradients(model, *images(model), numbers=12)


def test_nested_sequential_is_its_layers_in_turn():
    def layers():
        return nn.Conv2d(3, 3), nn.ReLU(), nn.MaxPool2d(), nn.Flatten(), nn.Linear(4)

    conv, relu, pool, flatten, fc = layers()
    nested = nn.Sequential(nn.Sequential(conv, nn.Sequential(relu)), nn.Sequential(), pool, nn.Sequential(flatten, fc))
    plain = nn.Sequential(*layers())
    first, two = (nn.Model(nn.Input(8, 8, 1), net, name="net", seed=4) for net in (nested, plain))
    assert str(first.program(2, train=True)) == str(two.program(2, train=True))
    np.testing.assert_array_equal(first.p.flat, two.p.flat)
    x = nn.Input(3)
    assert nn.Sequential()(x) is x


def test_a_sequential_takes_functions():
    model = nn.Model(nn.Input(3), nn.Sequential(lambda x: x + x, nn.Linear(2)))
    assert [node.op.name for node in model.graph.nodes] == ["add", "linear"]


def test_a_layer_serves_two_networks():
    layer = nn.Linear(2, name="head")
    first, two = nn.Model(nn.Input(3), layer, seed=1), nn.Model(nn.Input(5), layer, seed=1)
    assert first.p.head_weight.shape == (3, 2) and two.p.head_weight.shape == (5, 2)


# errors: the call, the error, what its message must hold --------------------------------------------------------------

IMAGE, ROW = (8, 8, 2), (6,)
ERRORS = [
    (nn.Conv2d, {"filters": 0}, None, ArgumentError, "Conv2d: filters is 0; expected a whole number, 1 or more"),
    (nn.Conv2d, {"filters": 2.0}, None, ArgumentError, "Conv2d: filters is 2.0; expected"),
    (nn.Conv2d, {"filters": 2, "kernel": (3, 3, 3)}, None, ArgumentError, r"Conv2d: kernel is \(3, 3, 3\); expected a number"),
    (nn.Conv2d, {"filters": 2, "kernel": 9}, IMAGE, ShapeError, "^conv1: the window reaches over 9 pixels"),
    (nn.Conv2d, {"filters": 2, "stride": 0}, IMAGE, ArgumentError, "^conv1: stride is 0"),
    (nn.Conv2d, {"filters": 2, "padding": "full"}, IMAGE, ArgumentError, "^conv1: padding is 'full'"),
    (nn.Conv2d, {"filters": 2, "dilation": -1}, IMAGE, ArgumentError, "^conv1: dilation is -1"),
    (nn.Conv2d, {"filters": 3, "groups": 3}, IMAGE, ArgumentError, "^conv1: got .* with a multiple of 3 channels"),
    (nn.Conv2d, {"filters": 3, "groups": 2}, IMAGE, ShapeError, "^conv1: 3 filters do not fall into 2 groups"),
    (nn.Conv2d, {"filters": 3, "groups": 0}, IMAGE, ArgumentError, "^conv1: groups is 0"),
    (nn.Conv2d, {"filters": 3, "initializer": "hee"}, IMAGE, UnknownNameError, "no initializer 'hee'; did you mean 'he'"),
    (nn.Conv2d, {"filters": 2}, ROW, ArgumentError, r"^conv1: got <input images \(N, 6\)>; expected \(N, H, W, C\)"),
    (nn.Linear, {"units": 0}, None, ArgumentError, "Linear: units is 0"),
    (nn.Linear, {"units": 2}, IMAGE, ArgumentError, r"^fc1: got .*; expected \(N, D\): put nn.Flatten\(\) before it"),
    (nn.Linear, {"units": 2, "initializer": "x"}, ROW, UnknownNameError, "no initializer 'x'"),
    (nn.BatchNorm, {"eps": -1}, IMAGE, ArgumentError, "^norm1: eps is -1"),
    (nn.BatchNorm, {"momentum": "fast"}, IMAGE, ArgumentError, "^norm1: momentum is 'fast'"),
    (nn.LayerNorm, {"axes": 0}, None, ArgumentError, "LayerNorm: axes is 0"),
    (nn.LayerNorm, {"axes": 2}, ROW, ShapeError, "^norm1: gamma has the shape .* less than all of them"),
    (nn.LayerNorm, {"eps": None}, ROW, ArgumentError, "^norm1: eps is None"),
    (nn.Dropout, {"rate": 1.0}, ROW, ArgumentError, "^dropout1: rate is 1.0; expected a number, from 0 up to 1"),
    (nn.MaxPool2d, {"kernel": 9}, IMAGE, ShapeError, "^pool1: the window reaches over 9"),
    (nn.MaxPool2d, {"kernel": 0}, IMAGE, ArgumentError, "^pool1: kernel is 0"),
    (nn.MaxPool2d, {}, ROW, ShapeError, r"^pool1: x has the shape \(1, 6\); expected \(N, H, W, C\)"),
    (nn.AvgPool2d, {"kernel": 9}, IMAGE, ShapeError, "^pool1: the window reaches over 9"),
    (nn.AvgPool2d, {"stride": 0}, IMAGE, ArgumentError, "^pool1: stride is 0"),
    (nn.GlobalAvgPool2d, {}, ROW, ShapeError, r"^pool1: x has the shape \(1, 6\)"),
    (nn.Flatten, {"shape": 3}, ROW, ArgumentError, "^Flatten: there is no argument 'shape'; expected name"),
    (lambda: nn.Reshape(5), {}, ROW, ShapeError, r"^reshape1: an example of shape \(6,\) holds 6 numbers"),
    (lambda: nn.Reshape((2, 3)), {}, ROW, ArgumentError, r"^reshape1: shape is \(2, 3\)"),
    (lambda: nn.Transpose(0, 1), {}, IMAGE, ArgumentError, r"^transpose1: axes is \(0, 1\); expected an order of 0 to 3"),
    (nn.Pad2d, {"padding": -1}, IMAGE, ArgumentError, "^pad1: padding is -1"),
    (nn.Pad2d, {"padding": 1, "value": "zero"}, IMAGE, ArgumentError, "^pad1: value is 'zero'"),
    (nn.ChannelShuffle, {"groups": 3}, IMAGE, ShapeError, "^shuffle1: x .* a multiple of groups, 3"),
    (nn.LeakyReLU, {"slope": "steep"}, ROW, ArgumentError, "^leaky_relu1: slope is 'steep'"),
    (nn.Concat, {"axis": 7}, IMAGE, ArgumentError, "^concat1: axis is 7; expected -4 to 3"),
    (nn.ReLU, {"slope": 1}, ROW, ArgumentError, "^ReLU: there is no argument 'slope'"),
    (nn.ReLU, {"name": "2nd"}, ROW, ArgumentError, "the name '2nd' is not an identifier"),
    (lambda: nn.Sequential(nn.ReLU(), 3), {}, None, ArgumentError, "Sequential got a int; expected layers"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "settings", "shape", "error", "message"), ERRORS)
def test_an_error_names_the_layer(make, settings, shape, error, message):
    with pytest.raises(error, match=message):
        layer = make(**settings)
        assert shape is not None, "it should have been refused when it was made"
        layer(nn.Input(*shape))


OWN = ("Scale",)  # they bring what the op takes beside x
MULTIPLE = [name for name, cases in CASES.items() if cases[0].op.inputs[0] != "x" and name not in OWN]


@pytest.mark.parametrize("name", CASES)
def test_wrong_inputs(name):
    case, x = CASES[name][0], nn.Input(3)
    with pytest.raises(ArgumentError, match=rf"{name} was called on a ndarray; .*\(for arrays, call the op: bh\.\w+\)"):
        case.make()(*[np.ones((1, *case.shape))] * len(case.inputs(nn.Input(*case.shape))))
    with pytest.raises(ArgumentError, match=rf"{name} was called on 0 tensors; expected"):
        case.make()()
    if name != "Concat":
        with pytest.raises(ArgumentError, match=rf"{name} was called on 3 tensors; expected {1 + (name in MULTIPLE)}"):
            case.make()(x, x, x)


def test_wrong_inputs_of_those_that_take_several():
    x = nn.Input(3)
    with pytest.raises(ArgumentError, match="Add was called on 1 tensors; expected 2"):
        nn.Add()(x)
    with pytest.raises(ArgumentError, match="Concat was called on a list; expected a tensor"):
        nn.Concat()([x, x])
    with pytest.raises(ArgumentError, match="Add was called on a float"):
        nn.Add()(x, 1.0)
    with pytest.raises(ShapeError, match=r"^add1: \(1, 3\) and \(1, 2\) do not fit together"):
        nn.Add()(x, nn.Linear(2)(x))
    with pytest.raises(ShapeError, match=r"^concat1: xs have the shapes"):
        nn.Concat(0)(x, nn.Linear(2)(x))


def test_a_layer_used_twice_needs_the_same_shape():
    x, layer = nn.Input(3), nn.Linear(2)
    with pytest.raises(ArgumentError, match=r"fc1_weight has the shape \(3, 2\), but here the layer needs \(2, 2\)"):
        layer(layer(x))


@pytest.mark.parametrize(
    "fails",
    [
        nn.Conv2d(3, 9),
        nn.Conv2d(3, 3, groups=2),
        nn.Dropout(1.0),
        nn.LayerNorm(axes=4),
        nn.BatchNorm(eps=-1),
        nn.Linear(2, initializer="x"),
        nn.MaxPool2d(9),
        nn.Conv2d(3, 3, name="class"),
    ],
)
def test_a_call_that_fails_leaves_the_graph_as_it_was(fails):
    x = nn.Input(8, 8, 2)
    x = nn.Flatten()(x) if isinstance(fails, nn.Linear) else nn.ReLU()(x)
    graph = x.graph
    before = list(graph.nodes), dict(graph.tensors), dict(graph.layers)
    for _ in range(2):  # the same trouble again, not another
        with pytest.raises(ByhandError) as first:
            fails(x)
        with pytest.raises(ByhandError) as second:
            fails(x)
        assert str(first.value) == str(second.value)
    assert (graph.nodes, graph.tensors, graph.layers) == before


def test_after_a_failure_the_name_is_free():
    x = nn.Input(8, 8, 2)
    with pytest.raises(ShapeError):
        nn.Conv2d(3, 9, name="mine")(x)
    assert nn.Conv2d(3, 3, name="mine")(x).name == "mine"
