"""Poisoned memory: an unwritten element in scratch, arena or output is detected."""

import numpy as np
import pytest

import byhand as bh
from byhand.kernels import Replay, aligned, capture, compiled, kernel, launch, memory, micro_batch, mode, scratch
from byhand.kernels.runtime.launch import poison
from byhand.ops import REGISTRY
from tests.nn.cases import images
from tests.nn.networks import everything, plain
from tests.ops.draw import Seeded, cast_inputs, plan, unregistered

KINDS = [np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_]


@kernel
def copy_but_one(x, y, block):
    for i in range(x.size - 1):
        y[i] = x[i]


@kernel
def copy_of(x, y, block):
    for i in range(x.size):
        y[i] = x[i]


@compiled
def through_scratch(x, y):
    """Copy x to y through scratch memory, of which one number is not written."""
    middle = scratch(x.size, dtype=x.dtype)
    launch(copy_but_one, 1, x, middle)
    launch(copy_of, 1, middle, y)


@compiled
def through_all_of_it(x, y):
    middle = scratch(x.size, dtype=x.dtype)
    launch(copy_of, 1, x, middle)
    launch(copy_of, 1, middle, y)


def unwritten_indices(y):
    """Return the indices of unwritten elements."""
    return np.flatnonzero(np.isnan(y)).tolist()


def test_the_tests_run_on_poisoned_memory():
    assert memory.POISON


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (4, 5), (0, 2)], ids=str)
def test_poison_values_by_dtype(kind, shape):
    array = memory.empty(shape, kind)
    assert (array.shape, array.dtype) == (shape, kind)
    if array.dtype.kind == "f":
        assert np.isnan(array).all()
    elif array.dtype.itemsize >= 4:
        assert (array == (0x7FF8DEAD7FF8DEAD if kind is np.int64 else 0x7FF8DEAD)).all()
    else:
        assert (array.view(np.uint8) > 1).all()


def test_memory_is_not_poisoned_by_default(monkeypatch):
    monkeypatch.setattr(memory, "POISON", False)
    x = np.ones(3)
    assert memory.poison(x) is x and (x == 1).all()
    assert poison(x) is x and (x == 1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unwritten_scratch_memory_is_detected(dtype):
    x, y = np.ones(50, dtype), np.zeros(50, dtype)
    through_scratch(x, y)
    assert unwritten_indices(y) == [49]
    through_all_of_it(x, y)
    assert unwritten_indices(y) == []


@pytest.mark.skipif(mode() != "native", reason="captures launches")
def test_scratch_that_others_wrote_before_is_seen_in_a_capture():
    """The same memory, in every run: the hand before wrote all of it."""
    x, y, z = np.ones(50), np.zeros(50), np.zeros(50)

    def step():
        through_all_of_it(x, y)
        through_scratch(x, z)
        with micro_batch():
            through_all_of_it(x, y)
            through_scratch(x, y)

    graph, _ = capture(step)
    for _ in range(3):
        y[:] = z[:] = 0
        graph.run()
        assert unwritten_indices(z) == unwritten_indices(y) == [49]
    again = Replay(through_scratch, x, z)
    for _ in range(2):
        z[:] = 0
        again()
        assert unwritten_indices(z) == [49]


def test_aligned_memory_is_poisoned_at_once():
    assert np.isnan(aligned(640).view(np.float32)).all()


def spoil(monkeypatch, name, direction, argument):
    """Let the compiled hand of an op leave the last number of an array that it writes unwritten, in programs made from now."""
    op = REGISTRY[name]
    hand = getattr(op.hands["compiled"], direction)
    place = (op.forward_arguments if direction == "forward" else op.backward_arguments).index(argument)

    def forgetful(*arrays, **attributes):
        out = arrays[place]
        if out is None:
            return hand(*arrays, **attributes)
        whole = scratch(*out.shape, dtype=out.dtype)
        hand(*arrays[:place], whole, *arrays[place + 1 :], **attributes)
        return launch(copy_but_one, 1, whole.reshape(-1), out.reshape(-1))

    monkeypatch.setitem(op.hands, "compiled", op.hands["compiled"]._replace(**{direction: compiled(forgetful)}))


@pytest.mark.parametrize("hand", ["loops", "arrays", "compiled"])
@pytest.mark.parametrize("name", REGISTRY)
def test_an_unwritten_output_is_detected(name, hand):
    """Called as `bh.relu(x)` and `bh.relu.backward(grad, x)`, which hand in memory of their own."""
    op = REGISTRY[name]
    values, attributes = op.sample(Seeded(1))
    inputs = cast_inputs(op, values, np.float64)
    shape = plan(op, inputs, attributes).shapes[op.outputs[0]]
    lazy = unregistered(op)
    lazy.hands = {hand: op.hands[hand]._replace(forward=lambda *arrays, **_: None, backward=lambda *arrays, **_: None)}
    assert np.isnan(lazy(*inputs.values(), hand=hand, **attributes)).all()
    grads = lazy.backward(np.ones(shape), *inputs.values(), hand=hand, **attributes)
    for grad in grads if len(op.differentiable) > 1 else (grads,):
        for array in grad if isinstance(grad, tuple) else (grad,):
            assert array is None or np.isnan(array).all()


def answers(model, train):
    """Return what three runs of a program make of other images each, all numbers in one array."""
    program = model.program(4, train=train)
    found = []
    for seed in range(3):
        x, labels = images(model, 4, seed=seed)
        given = (labels, model.p, model.g) if train else (model.p,)
        result = program(x.astype(model.dtype), *given, model.state, program.arena)
        found.append(np.append(model.g.flat if train else [], result))
    return found


SPOILED = [
    (False, "forward", "y"),
    (True, "forward", "y"),
    (True, "backward", "grad_x"),
    (True, "backward", "grad_gamma"),
]


@pytest.mark.parametrize(("train", "direction", "argument"), SPOILED)
def test_a_program_with_an_unwritten_element_is_detected(monkeypatch, train, direction, argument):
    """At its first run, and where the number is there from the run before."""
    assert all(np.isfinite(answer).all() for answer in answers(everything(), train))
    spoil(monkeypatch, "layer_norm", direction, argument)
    assert all(np.isnan(answer).any() for answer in answers(everything(), train))


def test_a_micro_batch_with_an_unwritten_element_is_detected(monkeypatch):
    def run(times):
        model = plain(dtype=np.float32)
        program, (x, labels) = model.program(64, train=True), images(model, 64)
        assert len(program.arena.micro_batches.parts) > 1
        given = x.astype(np.float32), labels, model.p, model.g, model.state, program.arena
        return [program(*given) for _ in range(times)]

    assert np.isfinite(run(2)).all()
    spoil(monkeypatch, "layer_norm", "forward", "y")
    assert np.isnan(run(2)).all()


@pytest.mark.parametrize("make", [plain, everything])
def test_poison_changes_no_bit(monkeypatch, make):
    poisoned = answers(make(), True)
    monkeypatch.setattr(memory, "POISON", False)
    for ours, theirs in zip(answers(make(), True), poisoned, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert bh.relu(np.ones(3)).tolist() == [1, 1, 1]
