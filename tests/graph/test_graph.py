"""Graphs: names, kinds of inputs, batch sizes and JSON."""

import json
import re
from math import prod

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.errors import ArgumentError, ByhandError, FileError, ShapeError, UnknownNameError
from byhand.graph import Graph, Tensor, from_json, to_json
from byhand.graph.graph import RESERVED, show
from tests.nn.cases import ALL, images

# names ----------------------------------------------------------------------------------------------------------------


def test_names_are_counted_by_label():
    x = nn.Input(12, 12, 2)
    y = nn.Conv2d(2, 3)(nn.Conv2d(2, 3)(x))
    z = nn.MaxPool2d()(nn.AvgPool2d()(y))
    assert [node.name for node in x.graph.nodes] == ["conv1", "conv2", "pool1", "pool2"]
    assert (z + z).name == "add1" and (z * z).name == "multiply1" and bh.relu(z).name == "relu1"
    assert list(x.graph.tensors)[:4] == ["images", "conv1_weight", "conv1_bias", "conv1"]


def test_counting_leaves_out_what_is_taken():
    x = nn.Input(3, name="relu1")
    nn.ReLU(name="relu3")(x)
    assert [nn.ReLU()(x).name for _ in range(3)] == ["relu2", "relu4", "relu5"]


def test_names_are_given():
    x = nn.Input(4, 4, 1, name="pixels")
    y = nn.Conv2d(2, 3, name="edges")(x)
    assert repr(x) == "<input pixels (N, 4, 4, 1)>" and repr(y) == "<value edges (N, 2, 2, 2)>"
    assert repr(x.graph.tensor("edges_weight")) == "<parameter edges_weight (3, 3, 1, 2)>"
    assert show(x.graph.tensor("edges_bias")) == "(2)"


@pytest.mark.parametrize("make", [lambda name: nn.Linear(3, name=name), lambda name: nn.ReLU(name=name)])
def test_a_name_is_given_once(make):
    x = nn.Input(3)
    make("mine")(x)
    with pytest.raises(ArgumentError, match=r"the name 'mine(_weight)?' is taken; give the layer another name"):
        make("mine")(x)
    with pytest.raises(ArgumentError, match="the name 'images' is taken"):
        nn.ReLU(name="images")(x)


def test_a_name_that_another_layers_parameter_has():
    x = nn.Input(3)
    nn.ReLU(name="head_weight")(x)
    with pytest.raises(ArgumentError, match="the name 'head_weight' is taken"):
        nn.Linear(3, name="head")(x)


OWN = [*sorted(RESERVED), "grad_conv1", "grad_images", "__class__", "__dict__", "__debug__", "__"]


@pytest.mark.parametrize("name", OWN)
def test_the_programs_own_names_are_refused(name):
    with pytest.raises(ArgumentError, match=f"the name '{name}' is reserved for the program"):
        nn.Input(3, name=name)
    with pytest.raises(ArgumentError, match=f"the name '{name}' is reserved for the program"):
        nn.ReLU(name=name)(nn.Input(3))


NO_NAMES = [
    "a b", "a-b", "a.b", "1a", "a;b", "a()", "a\nb", "a\n", " a", "#", "a=1", "a'", 'a"', "a\\", "π", "conv²", "ａ", "é",
    "class", "lambda", "None", "True", "import", "await", "a\0b", "a[0]", "🙂",
]  # fmt: skip


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_is_no_name(name):
    message = f"the name {re.escape(repr(name))} is not an identifier; take letters, digits and underscores"
    with pytest.raises(ArgumentError, match=message):
        nn.Input(3, name=name)
    for layer in (nn.ReLU(name=name), nn.Linear(3, name=name), nn.Dropout(name=name)):
        with pytest.raises(ArgumentError, match="is not an identifier"):
            layer(nn.Input(3))


def test_a_tensor_by_name():
    x = nn.Input(3)
    nn.Linear(2)(x)
    assert x.graph.tensor("images") is x
    with pytest.raises(UnknownNameError, match="there is no tensor 'fc1_wieght'; did you mean 'fc1_weight'"):
        x.graph.tensor("fc1_wieght")


# inputs ---------------------------------------------------------------------------------------------------------------


def test_tensors_of_two_networks_do_not_mix():
    x, other = nn.Input(3), nn.Input(3)
    for call in (
        lambda: x + other,
        lambda: nn.Concat()(x, other),
        lambda: bh.multiply(x, other),
        lambda: bh.add(other, x),
    ):
        with pytest.raises(ArgumentError, match=r"1: got a tensor of another network; expected .* the same nn.Input"):
            call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x + 1.0, "^add1: got a float; expected tensors"),
        (lambda x: x * np.ones(3), "^multiply1: got a ndarray; expected tensors"),
        (lambda x: bh.add(x, np.ones((1, 3))), "^add1: got a ndarray; expected tensors"),
        (lambda x: bh.linear(x, np.ones((3, 2))), "^linear1: got a ndarray; expected tensors"),
        (bh.concat, "^concat1: xs is a Tensor; expected a list of tensors"),
        (lambda x: bh.concat([x, np.ones((1, 3))]), "^concat1: got a ndarray; expected tensors"),
        (lambda x: bh.relu([x, x]), "^relu1: x is a list; expected one tensor"),
        (lambda x: bh.add(x, (x, x)), "^add1: b is a tuple; expected one tensor"),
        (lambda x: x + None, "^add1: b is missing; it takes a, b"),
        (lambda x: x.graph.add(bh.relu, {}, {}), "^relu1: x is missing; it takes x"),
        (lambda x: x.graph.add(bh.concat, {}, {}), "^concat1: xs is missing; it takes xs"),
        (bh.linear, "^linear: weight is missing; it takes x, weight, bias"),
        (lambda x: bh.relu(x, slope=1), "^relu1: relu: there is no argument 'slope'"),
        (bh.reshape, "^reshape1: shape is missing"),
    ],
)
def test_wrong_kinds_of_inputs(call, message):
    x = nn.Input(3)
    with pytest.raises(ArgumentError, match=message):
        call(x)
    assert x.graph.nodes == [] and list(x.graph.tensors) == ["images"]


def test_adding_a_non_tensor_is_refused():
    x = nn.Input(3)
    for call in (lambda: 1.0 + x, lambda: np.ones(3) + x, lambda: 2 * x, lambda: sum([x, x])):
        with pytest.raises(ArgumentError, match=r"expected tensors that come from the same nn\.Input"):
            call()
    with pytest.raises(TypeError):
        _ = x - x


def test_an_error_names_the_layer():
    x = nn.Input(8, 8, 1)
    y = nn.Conv2d(2, 3)(x)
    with pytest.raises(
        ShapeError, match=r"^conv2: the window reaches over 7 pixels but the image has a height of 6; use"
    ):
        nn.Conv2d(2, 7)(y)
    with pytest.raises(ShapeError, match=r"^deep: the window reaches over 7 pixels"):
        nn.Conv2d(2, 7, name="deep")(y)
    with pytest.raises(ArgumentError, match=r"^pool1: stride is 0"):
        nn.MaxPool2d(2, stride=0)(y)


def test_a_graph_has_one_input():
    graph = nn.Input(3).graph
    with pytest.raises(ArgumentError, match="has an input already"):
        graph.add_input((3,), "more")
    for size in (0, -1, 2.5, "3", (3,)):
        with pytest.raises(ArgumentError, match=r"Input's shape is .*; expected a whole number, 1 or more"):
            nn.Input(3, size)


def test_an_output_whose_second_name_is_taken_leaves_nothing():
    x = nn.Input(4, 4, 1)
    nn.ReLU(name="pool1_argmax")(x)
    for _ in range(2):
        with pytest.raises(ArgumentError, match="the name 'pool1_argmax' is taken"):
            nn.MaxPool2d()(x)
    assert "pool1" not in x.graph.tensors
    assert nn.MaxPool2d(name="other")(x).name == "other"


# batches --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for _, case in ALL], ids=[name for name, _ in ALL])
@pytest.mark.parametrize("batch", [2, 5])
def test_plan_gives_the_shapes_of_any_batch(case, batch):
    model, node = case.model()
    calls, shapes = model.graph.plan(batch, training=True)
    assert shapes[node.name] == (batch, *case.output)
    trace = model.trace(*images(model, batch))
    for name, tensor in model.graph.tensors.items():
        assert shapes[name] == trace[name].shape
        if tensor.kind in ("parameter", "state"):
            assert shapes[name] == tensor.shape
    assert calls.keys() == {node.name for node in model.graph.nodes}
    assert model.graph.tensors[node.name].shape == (1, *case.output)  # and the graph is as it was


def test_plan_sets_training_where_it_is_not_given():
    x = nn.Input(3, 3, 2)
    y = nn.BatchNorm(training=False)(nn.BatchNorm()(nn.Dropout()(x)))
    for training in (True, False):
        calls, _ = y.graph.plan(4, training)
        told = {name: call.attributes["training"] for name, call in calls.items()}
        assert told == {"dropout1": training, "norm1": training, "norm2": False}
    with pytest.raises(ShapeError, match=r"^norm1: x .* one number a channel, and one number has no variance"):
        nn.BatchNorm()(nn.Input(3)).graph.plan(1, training=True)


# derived graphs -------------------------------------------------------------------------------------------------------


def test_with_loss_leaves_the_original_untouched():
    x = nn.Input(4)
    logits = nn.Linear(3)(x)
    graph = logits.graph
    before = list(graph.nodes), dict(graph.tensors)
    more = graph.with_loss(logits, 0.1)
    assert (graph.nodes, graph.tensors) == before
    assert more is not graph and more.input is x and more.nodes[:-1] == graph.nodes
    assert [t for t in more.tensors if t not in graph.tensors] == ["labels", "loss", "probabilities"]
    loss = more.nodes[-1]
    assert loss.output.shape == () and loss.attributes == {"label_smoothing": 0.1} and loss.inputs["logits"] is logits
    _, shapes = more.plan(5, training=True)
    assert (shapes["labels"], shapes["loss"], shapes["probabilities"]) == ((5,), (), (5, 3))
    with pytest.raises(ArgumentError, match=r"^loss: label_smoothing is 1"):
        graph.with_loss(logits, 1)
    with pytest.raises(ShapeError, match=r"^loss: logits has the shape"):
        nn.Input(2, 2).graph.with_loss(nn.Input(2, 2), 0.0)


def test_up_to_holds_what_an_output_needs():
    x = nn.Input(4)
    trunk = nn.Linear(4, name="trunk")(x)
    left, right = nn.Linear(2, name="left")(trunk), nn.Linear(3, name="right")(nn.Dropout()(trunk))
    part = x.graph.up_to(left)
    assert list(part.tensors) == ["images", "trunk_weight", "trunk_bias", "trunk", "left_weight", "left_bias", "left"]
    assert [node.name for node in part.nodes] == ["trunk", "left"] and part.input is x
    whole = x.graph.up_to(right + right)
    assert [node.name for node in whole.nodes] == ["trunk", "dropout1", "right", "add1"]
    assert {"dropout1_key", "dropout1_mask"} < whole.tensors.keys() and "left_weight" not in whole.tensors
    assert list(x.graph.up_to(x).tensors) == ["images"] and len(x.graph.nodes) == 5


# JSON -----------------------------------------------------------------------------------------------------------------


def same(left, other):
    """Whether two graphs are the same in all that a program depends on."""

    def plain(value):
        return [t.name for t in value] if isinstance(value, tuple) else getattr(value, "name", None)

    def tensors(graph):
        return {
            (t.name, t.shape, t.kind, None if t.dtype is None else np.dtype(t.dtype)) for t in graph.tensors.values()
        }

    def nodes(graph):
        return [
            (n.op, n.name, {k: plain(v) for k, v in n.inputs.items()}, json.dumps(n.attributes), list(n.outputs))
            for n in graph.nodes
        ]

    return tensors(left) == tensors(other) and nodes(left) == nodes(other) and left.input.name == other.input.name


@pytest.mark.parametrize("case", [case for _, case in ALL], ids=[name for name, _ in ALL])
def test_every_layer_survives_json(case):
    model, _ = case.model()
    text = json.dumps(to_json(model.graph, model.output), allow_nan=False)
    graph, output, _ = from_json(json.loads(text))
    assert same(graph, model.graph) and output.name == model.output.name
    again = nn.Model(graph.input, output, seed=None, dtype=np.float64)
    for training in (True, False):
        assert str(again.program(3, training)) == str(model.program(3, training))


def test_one_graph_with_every_op_survives_json():
    parts, used = [], set()
    x = nn.Input(3, 3, 1, name="pixels")
    for _, case in ALL:
        fits = nn.Reshape(*case.shape)(nn.Linear(prod(case.shape))(nn.Flatten()(x)))
        parts.append(nn.Flatten()(case.make()(*case.inputs(fits))))
        used.add(case.op.name)
    assert used == {case.op.name for _, case in ALL}
    output = nn.Linear(3)(nn.Concat()(*parts))
    graph, end, _ = from_json(json.loads(json.dumps(to_json(x.graph, output))))
    assert same(graph, x.graph) and end.name == output.name and {node.op.name for node in graph.nodes} >= used


def test_json_holds_plain_values_only():
    x = nn.Input(4, 4, 2)
    data = to_json(x.graph, nn.Linear(2)(nn.Flatten()(nn.Conv2d(2, (3, 2), bias=False)(x))))
    assert data["input"] == {"name": "images", "shape": [4, 4, 2]} and data["output"] == "fc1" and data["state"] == {}
    assert data["parameters"] == {"conv1_weight": [3, 2, 2, 2], "fc1_weight": [12, 2], "fc1_bias": [2]}
    assert data["nodes"][0] == {
        "op": "conv2d",
        "name": "conv1",
        "inputs": {"x": "images", "weight": "conv1_weight", "bias": None},
        "attributes": {"stride": 1, "padding": "valid", "dilation": 1, "groups": 1},
    }


HOSTILE = ["__import__('os')", "a; b", "a\nimport os", "grad_a", "labels", "__class__", "lambda", "flat"]


@pytest.mark.parametrize("name", HOSTILE)
def test_untrusted_names_are_names_or_refused(name):
    x = nn.Input(4)
    plain = json.dumps(to_json(x.graph, nn.Linear(2, name="head")(nn.ReLU(name="middle")(x))))
    for old in ("images", "middle", "head_weight", "head_bias", "head"):
        text = plain.replace(f'"{old}"', json.dumps(name))
        assert text != plain
        with pytest.raises(FileError, match="its graph can't be read: the name"):
            from_json(json.loads(text))


def test_an_untrusted_graph_ends_in_an_error_of_ours():
    x = nn.Input(4)
    data = to_json(x.graph, nn.Linear(2)(x))
    for key in data:
        for value in (None, 3, "x", [], {}, [3], {"x": 3}, [[1]], [{}]):
            if value == data[key]:
                continue
            try:
                graph, output, _ = from_json(data | {key: value})
            except FileError as error:
                assert str(error).startswith("its graph can't be read: ")
            else:  # an unused state, or another output: a graph it is
                assert isinstance(graph, Graph) and isinstance(output, Tensor)


def test_errors_of_a_graph_are_of_one_family():
    assert issubclass(FileError, ByhandError) and issubclass(ShapeError, ArgumentError)
