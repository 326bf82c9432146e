"""Launch graphs: a replay does what direct launches do, step by step and micro-batch by micro-batch."""

from contextlib import suppress
from functools import partial

import numpy as np
import pytest

from byhand.kernels import (
    aligned,
    capture,
    compiled,
    fixed_weights,
    kernel,
    launch,
    micro_batch,
    prepare_once,
    prepared,
    scratch,
)
from byhand.kernels.runtime.thread_pool import limit
from byhand.ops import REGISTRY
from byhand.ops.op import tree_leaves
from tests.ops.draw import Seeded, cast_inputs, copies, each, plan, with_gradient

COMPILED = [name for name, op in REGISTRY.items() if "compiled" in op.hands]


@kernel
def add_to(x, y, block):
    for i in range(x.size):
        y[i] += x[i]


@kernel
def copy_of(x, y, block):
    for i in range(x.size):
        y[i] = x[i]


@kernel
def double(x, number, pair, left_out, y, block):
    for i in range(x.size):
        y[i] = x[i] * 2.0 + number + pair[0] + pair[1]


@compiled
def doubled(x, y):
    launch(double, 1, x, 1, (2, 3), None, y)


@compiled
def twice_over(x, y):
    """Add x to y twice, through scratch memory."""
    first, other = scratch(x.size, dtype=x.dtype), scratch(x.size, dtype=x.dtype)
    launch(copy_of, 1, x, first)
    launch(copy_of, 1, first, other)
    launch(add_to, 1, first, y)
    launch(add_to, 1, other, y)
    places.append((first.ctypes.data, other.ctypes.data))


places = []


@compiled
def add_prepared(x, y):
    """Add twice x to y, through an array that is prepared of x."""
    launch(add_to, 1, prepared("doubled", (x,), x.size, lambda array: doubled(x, array)), y)


def test_what_is_prepared_of_fixed_weights_is_made_once():
    x, y = np.ones(3), np.zeros(3)
    graph, _ = capture(add_prepared, x, y)
    with fixed_weights(x):
        fixed, _ = capture(add_prepared, x, y)
    assert [call.name for call in graph.all_launches] == ["double", "add_to"]
    assert [call.name for call in fixed.all_launches] == ["add_to"]
    x[...] = 5
    fixed.run()
    assert (y == 8).all()  # 2 * 1 + 1 + 2 + 3, of the ones of the capture
    graph.run()
    assert (y == 8 + 16).all()


def test_what_is_prepared_of_other_arrays_is_made_at_each_run():
    x, y = np.ones(3), np.zeros(3)
    with fixed_weights(y[:0]):
        graph, _ = capture(add_prepared, x, y)
    assert [call.name for call in graph.all_launches] == ["double", "add_to"]


@compiled
def add_prepared_once(x, y):
    """Add twice x to y two times, through an array that is prepared once; add_prepared, a hand within, prepares its own."""
    with prepare_once():
        for _ in range(2):
            launch(add_to, 1, prepared("doubled", (x,), x.size, lambda array: doubled(x, array)), y)
        add_prepared(x, y)


def test_in_a_block_that_says_so_it_is_made_once():
    x, y = np.ones(3), np.zeros(3)
    graph, _ = capture(add_prepared_once, x, y)
    assert [call.name for call in graph.all_launches] == ["double", "add_to", "add_to", "double", "add_to"]
    graph.run()
    assert (y == 3 * 8).all()


def test_capture_does_not_execute():
    x, y = np.ones(3), np.zeros(3)
    graph, result = capture(lambda: doubled(x, y) or "result")
    assert result == "result"
    assert (y == 0).all()
    assert [call.name for call in graph.all_launches] == ["double"]
    for _ in range(2):
        graph.run()
        assert (y == 8).all()
    x[:] = 2
    graph.run()  # on what the arrays hold now
    assert (y == 10).all()


def test_an_empty_graph_runs_nothing():
    graph, _ = capture(lambda: None)
    graph.run()
    graph.run(3)


def test_several_runs_at_once():
    x, y = np.ones(3), np.zeros(3)
    graph, _ = capture(launch, add_to, 1, x, y)
    graph.run(5)
    assert (y == 5).all()


@pytest.mark.parametrize("table_first", [False, True])
def test_each_step_sees_the_next_row(table_first):
    x, y, total = np.arange(12.0).reshape(4, 3), np.zeros((4, 3)), np.zeros(3)

    def step(x, y):
        doubled(x, y)
        launch(add_to, 1, x, total)

    graph, _ = capture(step, x[0], y[0])
    if table_first:
        graph.run()
        total[:] = 0
    graph.advance([x, y])
    for _ in range(2):  # and after all steps it begins at the first row again
        y[:], total[:] = 0, 0
        graph.run(4)
        assert np.array_equal(y, 2 * x + 6)
        assert np.array_equal(total, x.sum(0))
    y[:] = 0
    graph.run(2)
    assert np.array_equal(y[:2], 2 * x[:2] + 6)
    assert (y[2:] == 0).all()


def test_parts_of_a_row_and_arrays_of_one_row_move_with_it_or_stay():
    x, y = np.arange(24.0).reshape(3, 8), np.zeros((1, 4))
    graph, _ = capture(lambda: launch(add_to, 1, x[0][4:], y[0]))
    graph.advance([x, y])
    graph.run(3)
    assert np.array_equal(y[0], x[:, 4:].sum(0))


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_micro_batches_equal_direct_launches_in_sequence(threads, count):
    x = np.random.default_rng(0).standard_normal((count, 50))

    def step(y):
        for i in range(count):
            with micro_batch():
                twice_over(x[i], y[i])
                doubled(x[i], y[i])
        for i in range(count):
            launch(add_to, 1, x[i], y[0])

    direct, y = np.zeros((count, 50)), np.zeros((count, 50))
    step(direct)
    with limit(threads):
        graph, _ = capture(step, y)
        graph.run()
    assert np.array_equal(y, direct)
    assert [len(batches) for batches in graph.launches if isinstance(batches, list)] == [count]
    calls = [[call for call in batch if call.name != "fill_words"] for batch in graph.launches[0]]  # without the poison
    assert [len(batch) for batch in calls] == [5] * count


def test_micro_batch_arguments_are_moved():
    x, y = np.arange(24.0).reshape(4, 2, 3), np.zeros((4, 2, 3))

    def step(x, y):
        for i in range(2):
            with micro_batch():
                doubled(x[i], y[i])

    graph, _ = capture(step, x[0], y[0])
    graph.advance([x, y])
    graph.run(4)
    assert np.array_equal(y, 2 * x + 6)


def test_a_micro_batch_that_fails_is_left():
    def step():
        with suppress(ZeroDivisionError), micro_batch():
            raise ZeroDivisionError
        launch(copy_of, 1, x, y)

    x, y = np.ones(4), np.zeros(4)
    graph, _ = capture(step)
    assert [len(item) if isinstance(item, list) else item.name for item in graph.launches] == [1, "copy_of"]


def test_scratch_memory_is_reused_by_the_next_call_and_not_shared_by_micro_batches():
    x, y = np.ones(50), np.zeros(50)

    def step():
        twice_over(x, y)
        twice_over(x, y)
        for _ in range(2):
            with micro_batch():
                twice_over(x, y)

    places.clear()
    graph, _ = capture(step)
    first, second, batch_0, batch_1 = places[-4:]  # of the second pass: the first finds out how much is needed
    assert first == second
    assert len({first, batch_0, batch_1}) == 3
    assert len({place for pair in (first, batch_0, batch_1) for place in pair}) == 6
    assert graph.scratch_bytes_needed == 2 * 448  # 50 numbers, in whole cache lines


def test_an_error_while_capturing_leaves_nothing_behind():
    x, y = np.ones(3), np.zeros(3)

    def step():
        doubled(x, y)
        raise KeyError("stop")

    with pytest.raises(KeyError):
        capture(step)
    doubled(x, y)  # runs at once again
    assert (y == 8).all()


def test_captures_within_captures():
    x, y, z = np.ones(3), np.zeros(3), np.zeros(3)

    def step():
        doubled(x, y)
        inner, _ = capture(doubled, x, z)
        inner.run()
        assert (z == 8).all()

    graph, _ = capture(step)
    assert [len(call.arguments) for call in graph.all_launches] == [5]
    assert (y == 0).all()


def test_aligned_memory():
    for size in (0, 1, 64, 1000):
        memory = aligned(size)
        assert memory.size == size
        assert memory.ctypes.data % 64 == 0 or not size


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", COMPILED)
def test_every_op_replayed_does_what_it_does_at_once(name, dtype):
    op = REGISTRY[name]
    for seed in range(4):
        values, attributes = op.sample(Seeded(seed))
        inputs = cast_inputs(op, values, dtype)
        call = plan(op, inputs, attributes)
        first = op.outputs[0]
        at_once = copies(inputs) | op.allocate(call, dtype)
        at_once[f"grad_{first}"] = np.random.default_rng(seed).standard_normal(call.shapes[first]).astype(dtype)
        grads = {
            f"grad_{i}": each(partial(np.full_like, fill_value=np.nan), inputs[i]) for i in with_gradient(op, inputs)
        }
        at_once |= grads
        replayed = {key: each(np.array, value) for key, value in at_once.items()}
        fresh = {key: each(np.array, value) for key, value in at_once.items()}
        run(op, at_once, call.attributes)
        graph, _ = capture(run, op, replayed, call.attributes)
        for _ in range(2):
            for key, value in replayed.items():
                for ours, theirs in zip(tree_leaves([value]), tree_leaves([fresh[key]])):
                    ours[...] = theirs
            graph.run()
            for key, value in at_once.items():
                for ours, theirs in zip(tree_leaves([replayed[key]]), tree_leaves([value])):
                    assert np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"), f"{name}, seed {seed}: {key}"


def run(op, have, attributes):
    """Run forward and backward."""
    for names, hand in zip((op.forward_arguments, op.backward_arguments), op.hands["compiled"]):
        hand(*(have.get(name) for name in names), **attributes)
