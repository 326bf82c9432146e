"""Fusion: fused nodes compute the same; tensors that are read twice or returned stay."""

import copy
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import byhand as bh
from byhand import nn
from byhand.graph import Graph
from byhand.ops import HANDS
from byhand.program import build
from byhand.program.fuse import FUSIONS, INFERENCE_FUSIONS, fuse
from tests.nn.cases import ALL, images
from tests.nn.networks import everything, plain
from tests.program.test_memory import residual


def run(model, count=4, seed=0, **options):
    """Return (loss, gradients of all parameters and of the images, states after) of a training program."""
    program = model.program(count, train=True, input_gradient=True, **options)
    x, labels = images(model, count, seed)
    state = copy.deepcopy(model.state)
    loss = program(x, labels, model.p, model.g, state, program.arena)
    found = (
        {"loss": loss}
        | vars(model.g)
        | vars(state)
        | {"grad_images": vars(program.arena)[f"grad_{model.graph.input.name}"]}
    )
    return {name: np.array(value) for name, value in found.items()}


def assert_same(first, other, tolerance=1e-12):
    assert first.keys() == other.keys()
    largest = max(1.0, *(np.abs(value).max() for name, value in first.items() if name.startswith(("grad_", "loss"))))
    for name, value in first.items():
        np.testing.assert_allclose(
            value.astype(float), other[name].astype(float), rtol=0, atol=tolerance * largest, err_msg=name
        )


def ops(model, training=True, **options):
    """Return the names of the ops that a program's forward calls."""
    text = str(model.program(4, training, hand="arrays", **options)).split("# backward")[0]
    return [name for name in re.findall(r"^    (\w+)\(", text, re.M) if name != "softmax_cross_entropy"]


def shifted(model, seed=1):
    """Return the model with no parameter and no running statistic at its first value."""
    rng = np.random.default_rng(seed)
    model.p.flat[...] += 0.2 * rng.standard_normal(model.p.flat.shape)
    for name, array in vars(model.state).items():
        if "running" in name:
            array[...] = rng.uniform(0.5, 1.5, array.shape)
    return model


def lenet():
    return bh.models.create("lenet5", dtype=np.float64)


def resnet():
    return residual(8, (4, 6), dtype=np.float64)


@pytest.mark.parametrize("hand", HANDS[1:])
@pytest.mark.parametrize("make", [everything, plain, resnet, lenet])
def test_fused_and_unfused_programs_give_the_same(make, hand):
    model = shifted(make())
    fused, unfused = run(model, hand=hand), run(model, hand=hand, keep=True)
    assert_same(fused, unfused)
    assert np.abs(fused["flat"]).max() > 1e-3
    assert set(ops(model)) & set(FUSIONS.values()) and not set(ops(model, keep=True)) & set(FUSIONS.values())
    x, _ = images(model, 4)
    results = []
    for keep in (False, True):
        program = model.program(4, hand=hand, keep=keep)
        results.append(program(x, model.p, model.state, program.arena).copy())
    np.testing.assert_allclose(*results, rtol=0, atol=1e-12 * np.abs(results[0]).max())


# every chain ----------------------------------------------------------------------------------------------------------


ACTIVATION_LAYERS = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.HardSigmoid,
    "hard_swish": nn.HardSwish,
}


def layer(op, draw=None):
    """Return a layer of an op, of drawn attributes where there is a draw."""
    chosen = (lambda *values: draw(st.sampled_from(values))) if draw else lambda first, *_: first
    if op == "conv2d":
        return nn.Conv2d(
            4,
            chosen(3, 2, (1, 3)),
            stride=chosen(1, 2),
            padding=chosen("same", 1, "valid"),
            dilation=chosen(1, 2),
            groups=chosen(1, 2),
            bias=chosen(True, False),
        )
    if op == "max_pool":
        return nn.MaxPool2d(
            chosen(2, 3), stride=chosen(None, 1, 2), padding=chosen(0, 1), ceil_mode=chosen(False, True)
        )
    if op in ACTIVATION_LAYERS:
        return ACTIVATION_LAYERS[op]()
    return {"linear": lambda: nn.Linear(5), "batch_norm": nn.BatchNorm}[op]()


def chained(chain, draw=None, before=True, **settings):
    """Return a model with a chain in it."""
    x = nn.Input(*((7,) if chain[0] == "linear" else (9, 9, 2)))
    y = nn.Tanh()(x) if before else x
    for op in chain:
        y = y + nn.Sigmoid()(y) if op == "add" else layer(op, draw)(y)
    return nn.Model(x, nn.Linear(3)(y if len(y.shape) == 2 else nn.Flatten()(y)), dtype=np.float64, **settings)


@pytest.mark.parametrize("chain", [chain for chain in FUSIONS if "add" not in chain], ids="+".join)
def test_a_chain_is_one_call(chain):
    model = chained(chain)
    assert ops(model) == ["tanh", FUSIONS[chain], "linear"]
    assert ops(model, keep=True) == ["tanh", *chain, *(["flatten"] if chain[0] != "linear" else []), "linear"]


def flops(graph, training):
    """Return the FLOPs of a graph's nodes, at batch size 2."""
    return sum(call.flops for call in graph.plan(2, training)[0].values())


def assert_same_flops(model):
    for training in (False, True):
        fused = fuse(model.graph, model.logits, training)
        assert flops(fused, training) == flops(model.graph, training)


# A ReLU after the pooling is left out: the fused op applies it before the pooling, to a larger array.
@pytest.mark.parametrize(
    "chain", [chain for chain in INFERENCE_FUSIONS if chain[1:] != ("max_pool", "relu")], ids="+".join
)
def test_a_fused_chain_counts_the_flops_of_its_ops(chain):
    assert_same_flops(chained(chain))


@pytest.mark.parametrize("name", ["lenet5", "resnet20_cifar", "squeezenet1_1"])
def test_a_fused_network_counts_the_flops_of_its_ops(name):
    assert_same_flops(bh.models.create(name))


@settings(max_examples=40)
@given(data=st.data(), seed=st.integers(0, 99), hand=st.sampled_from(["arrays", "compiled"]), before=st.booleans())
def test_a_drawn_chain_gives_the_same(data, seed, hand, before):
    chain = data.draw(st.sampled_from(list(FUSIONS)))
    model = shifted(chained([op for op in chain if op != "add"], data.draw, before, seed=seed), seed)
    assert_same(run(model, seed=seed, hand=hand), run(model, seed=seed, hand=hand, keep=True))


def test_ties_and_zeros_go_the_same_way():
    """Where a window's numbers are all below zero, or equal, fused and unfused send the gradient to the same place."""
    for chain in FUSIONS:
        model = chained([op for op in chain if op != "add"], before=False)
        for value in (0.0, -1.0):
            model.p.flat[...] = value
            model.p.flat[-3:] = 0
            for hand in ("arrays", "compiled"):
                fused, other = run(model, hand=hand), run(model, hand=hand, keep=True)
                assert_same(fused, other)


# what is not fused ----------------------------------------------------------------------------------------------------


def test_a_tensor_that_is_used_twice_stays():
    x = nn.Input(6, 6, 2)
    y = nn.Conv2d(4, 3)(x)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(nn.ReLU()(y) + y)), dtype=np.float64)
    assert ops(model) == ["conv2d", "relu", "add", "linear"]
    assert_same(run(model), run(model, keep=True))

    x = nn.Input(6, 6, 2)
    z = nn.ReLU()(nn.Conv2d(4, 3)(x))
    model = nn.Model(
        x, nn.Linear(2)(nn.Flatten()(nn.Concat()(nn.MaxPool2d(2)(z), nn.AvgPool2d(2)(z)))), dtype=np.float64
    )
    assert ops(model) == ["conv2d_relu", "max_pool", "avg_pool", "concat", "linear"]
    assert_same(run(model), run(model, keep=True))

    x = nn.Input(6)
    y = nn.Linear(6)(x)
    model = nn.Model(x, nn.Linear(2)(nn.ReLU()(y) * y), dtype=np.float64)
    assert ops(model) == ["linear", "relu", "multiply", "linear"]


def test_a_layer_that_is_used_twice_is_put_together_twice():
    x, shared, relu = nn.Input(6), nn.Linear(6), nn.ReLU()
    model = shifted(nn.Model(x, nn.Linear(2)(relu(shared(relu(shared(x))))), dtype=np.float64))
    assert ops(model) == ["linear_relu", "linear_relu", "linear"]
    assert_same(run(model), run(model, keep=True))


@pytest.mark.parametrize("training", [False, True])
def test_returned_tensors_are_not_fused_away(training):
    """The logits are returned by inference, also where a ReLU or a softmax follows them in the graph."""
    x = nn.Input(6)
    y = nn.Linear(3)(x)
    end = nn.ReLU()(y)
    graph = x.graph
    assert [node.op.name for node in fuse(graph.up_to(y), y, training).nodes] == ["linear"]
    assert [node.op.name for node in fuse(graph, y, training).nodes] == ["linear", "relu"]
    assert [node.op.name for node in fuse(graph, end, training).nodes] == ["linear_relu"]
    program = build(graph, end, "t", batch=2, training=training, hand="arrays", dtype=np.float64)
    assert "linear_relu(" in str(program) and hasattr(program.arena, end.name)


def test_fusing_leaves_the_graph_as_it_is():
    model = everything()
    before = [
        (node.name, node.op, dict(node.inputs), dict(node.attributes), dict(node.outputs)) for node in model.graph.nodes
    ]
    tensors = dict(model.graph.tensors)
    for training in (False, True):
        fused = fuse(model.graph, model.logits, training)
        assert isinstance(fused, Graph) and fused.nodes != model.graph.nodes
        made = set()
        for node in fused.nodes:  # in an order that runs
            for value in node.inputs.values():
                for tensor in value if isinstance(value, tuple) else (value,):
                    assert tensor is None or tensor.kind != "value" or tensor.name in made
            made |= {tensor.name for tensor in node.outputs.values()}
        assert {t.name for t in fused.tensors.values() if t.kind == "value"} == made
    assert before == [
        (node.name, node.op, dict(node.inputs), dict(node.attributes), dict(node.outputs)) for node in model.graph.nodes
    ]
    assert tensors == model.graph.tensors


@pytest.mark.parametrize("case", [case for _, case in ALL], ids=[name for name, _ in ALL])
def test_inference_returns_the_models_output(case):
    """Also where the last layer only lays numbers out anew, and in micro-batches."""
    model, node = case.model(head=False)
    x = np.random.default_rng(0).standard_normal((12, *model.input_shape))
    for hand in ("arrays", "compiled"):
        expected = model.trace(x, hand=hand)[node.output.name]
        got = model.logits_of(x, hand=hand, batch_size=8)
        np.testing.assert_allclose(got, expected.reshape(got.shape), rtol=1e-12, atol=1e-12)


def norms(join):
    """Return a model of two batch norms and what joins them."""
    x = nn.Input(4, 4, 3)
    y = nn.Tanh()(x)
    y = join(nn.BatchNorm()(y), nn.BatchNorm()(nn.Conv2d(3, 1)(y)), y)
    return shifted(nn.Model(x, nn.Linear(2)(nn.Flatten()(y)), dtype=np.float64))


@pytest.mark.parametrize(
    ("join", "together", "apart"),
    [
        (lambda a, b, y: nn.ReLU()(a + b), 1, {"batch_norm": 1}),
        (lambda a, b, y: nn.ReLU()(b + a), 1, {"batch_norm": 1}),
        (lambda a, b, y: nn.ReLU()(y + b) + a, 1, {"batch_norm": 1, "add": 1}),
        (lambda a, b, y: nn.ReLU()(a) + nn.ReLU()(b), 2, {"add": 1}),
        (lambda a, b, y: nn.ReLU()(a + a) + b, 0, {"batch_norm": 2, "add": 2, "relu": 1}),
        (lambda a, b, y: nn.ReLU()(a + b) + a, 1, {"batch_norm": 1, "add": 1}),
        (lambda a, b, y: nn.ReLU()(a + b) + nn.Tanh()(a + b), 0, {"batch_norm": 2, "relu": 1}),
    ],
    ids=range(7),
)
def test_sums_of_batch_norms(join, together, apart):
    model = norms(join)
    called = ops(model)
    assert called.count("batch_norm_relu") == together
    assert {name: called.count(name) for name in apart} == apart
    for hand in HANDS:
        assert_same(run(model, hand=hand), run(model, hand=hand, keep=True))


def answers(model, hand):
    """Return what a model answers with, its nodes put together and each for itself."""
    batch, _ = images(model, 4)
    programs = [model.program(4, hand=hand, keep=keep) for keep in (False, True)]
    return [program(batch, model.p, model.state, program.arena).copy() for program in programs]


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    "chain", [chain for chain, op in INFERENCE_FUSIONS.items() if op == "conv2d_block"], ids="+".join
)
def test_a_convolution_takes_in_what_follows_in_inference_alone(chain, bias, hand):
    x = nn.Input(5, 5, 2)
    first = y = nn.Tanh()(x)
    for op in chain:
        y = (
            first + y
            if op == "add"
            else nn.Conv2d(2, 3, padding="same", bias=bias)(y)
            if op == "conv2d"
            else layer(op)(y)
        )
    model = shifted(nn.Model(x, nn.Linear(3)(nn.Flatten()(nn.Tanh()(y))), dtype=np.float64))
    assert ops(model, training=False) == ["tanh", "conv2d_block", "tanh", "linear"]
    assert "conv2d_block" not in ops(model)
    expected, other = answers(model, hand)
    np.testing.assert_allclose(expected, other, rtol=0, atol=1e-12)
    assert np.ptp(expected) > 0.1


def test_a_hard_sigmoid_of_another_slope_stays():
    x = nn.Input(5, 5, 2)
    for layer, expected in (
        (nn.HardSigmoid(), ["conv2d_block"]),
        (nn.HardSigmoid(alpha=0.2), ["conv2d", "hard_sigmoid"]),
    ):
        model = nn.Model(x, nn.Linear(3)(nn.Flatten()(layer(nn.Conv2d(2, 3)(x)))))
        assert ops(model, training=False) == [*expected, "linear"]


@pytest.mark.parametrize("hand", HANDS)
def test_a_norm_by_the_batch_itself_stays(hand):
    x = nn.Input(5, 5, 2)
    y = nn.BatchNorm(training=True)(nn.Conv2d(2, 3)(x))
    model = shifted(nn.Model(x, nn.Linear(3)(nn.Flatten()(y)), dtype=np.float64))
    assert ops(model, training=False) == ["conv2d", "batch_norm", "linear"]
    np.testing.assert_allclose(*answers(model, hand), rtol=0, atol=1e-12)


def test_both_ways_into_a_sum_may_end_in_a_norm():
    """The first convolution takes the sum in, the second its norm alone."""
    x = nn.Input(5, 5, 2)
    branch, other = (nn.BatchNorm()(nn.Conv2d(2, size, padding="same")(x)) for size in (3, 1))
    model = shifted(nn.Model(x, nn.Linear(3)(nn.Flatten()(nn.ReLU()(branch + other))), dtype=np.float64))
    assert ops(model, training=False) == ["conv2d_block", "conv2d_block", "linear"]
    for hand in HANDS:
        np.testing.assert_allclose(*answers(model, hand), rtol=0, atol=1e-12)
