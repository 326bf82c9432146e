"""Threads: the same bits at any number, after a fork, and with several Python threads."""

import os
import threading
from functools import partial

import numpy as np
import pytest

from byhand.errors import ArgumentError
from byhand.kernels import capture, compiled, kernel, launch, scratch
from byhand.kernels.runtime import cpu as machine
from byhand.kernels.runtime import thread_pool
from byhand.kernels.runtime.launch import launch_seconds
from byhand.ops import REGISTRY
from byhand.ops.op import tree_leaves
from tests.kernels import process
from tests.ops.draw import Seeded, cast_inputs, each, plan, with_gradient

OWN = thread_pool.HAS_OWN_LAYER
LAYERS = (*["own"] * OWN, "omp", "tbb", "workqueue")
own_layer = pytest.mark.skipif(not OWN, reason="there are no threads of our own on this system")

HEAD = """
import os, sys, threading
import numpy as np
from byhand.errors import ArgumentError
from byhand.kernels import kernel, launch
from byhand.kernels.runtime import thread_pool as threads

@kernel
def count(x, block):
    x[block] += 1

x = np.zeros(500)
try:
    launch(count, 500, x)
except ArgumentError:
    print("no such layer")
    sys.exit()
assert threads.workers() == 3
"""


def on(layer, text):
    """Run a text on a layer; skip the test where there is no such layer."""
    out = process.run(HEAD + text, NUMBA_THREADING_LAYER="default" if layer == "own" else layer, BYHAND_THREADS="3")
    if "no such layer" in out:
        pytest.skip(f"{layer} is not installed")
    return out.strip()


@pytest.mark.parametrize("layer", LAYERS)
def test_python_threads_may_launch_at_once(layer):
    out = on(
        layer,
        """
@kernel
def fresh(x, block):  # all of them want it built
    x[block] -= 1

def work(own):
    for _ in range(300):
        launch(count, 500, own)
        launch(count, 500, own)
        launch(fresh, 500, own)

arrays = [np.zeros(500) for _ in range(4)]
running = [threading.Thread(target=work, args=(own,)) for own in arrays]
for thread in running: thread.start()
for thread in running: thread.join()
print(threads.start().layer, *(set(own) for own in arrays))
""",
    )
    assert out == f"{layer} {' '.join(['{np.float64(300.0)}'] * 4)}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_forked_child_runs_on_threads_of_its_own_or_on_one(layer):
    out = on(
        layer,
        """
import warnings
warnings.simplefilter("ignore")  # Python warns of a fork where there are threads: rightly
table = threads.LaunchTable([])
child = os.fork()
if child == 0:
    launch(count, 500, x)
    with threads.limit(2):
        launch(count, 500, x)
    table.run()
    expected = 3 if threads.start().layer == "own" else 1
    os._exit(0 if threads.workers() == expected and (x == 3).all() else 1)
assert os.waitpid(child, 0)[1] == 0
launch(count, 500, x)
assert threads.workers() == 3 and (x == 2).all()
print("good")
""",
    )
    assert out == "good"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_forked_before_the_threads_start_has_its_own():
    out = process.run(
        """
import os
import numpy as np
import byhand.kernels.runtime.thread_pool as threads
child = os.fork()
if child == 0:
    os._exit(threads.workers())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""",
        BYHAND_THREADS="3",
    )
    assert out.strip() == "3"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_lock_held_at_the_fork_does_not_stop_the_child():
    out = on(
        "workqueue",
        """
import warnings
warnings.simplefilter("ignore")
threads.start().lock.acquire()
child = os.fork()
if child == 0:
    launch(count, 500, x)
    os._exit(0)
print(os.waitpid(child, 0)[1])
""",
    )
    assert out == "0"


def test_without_libgomp_another_layer_takes_its_place():
    text = HEAD.replace("x = np", "threads.HAS_OWN_LAYER = False\nx = np") + "print(*threads.start()[:2])"
    text = "import sys; sys.modules['numba.np.ufunc.omppool'] = None\n" + text
    layer, why = process.run(text, BYHAND_THREADS="3").strip().split(" ", 1)
    assert layer in ("tbb", "workqueue")
    assert "libgomp" in why


@pytest.mark.parametrize(
    ("given", "spin"),
    [({}, thread_pool.SPIN_COUNT), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "passive"}, "0")],
    ids=["ours", "the user's count", "the user's policy"],
)
def test_the_users_wait_policy_is_respected(given, spin):
    text = "import os; from byhand.kernels.runtime import thread_pool; thread_pool.HAS_OWN_LAYER = False; "
    text += "print(thread_pool.start().layer, os.environ.get('GOMP_SPINCOUNT'))"
    before = {name: os.environ.pop(name) for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if name in os.environ}
    try:
        child = process.start(text, OMP_DISPLAY_ENV="verbose", **given)
    finally:
        os.environ.update(before)
    out, err = child.communicate(timeout=60)
    layer, after = out.split()
    if layer != "omp":
        pytest.skip("no libgomp here")
    assert f"GOMP_SPINCOUNT = '{spin}'" in err
    assert after == str(given.get("GOMP_SPINCOUNT"))  # what libgomp has read is not handed on to other programs


@pytest.mark.parametrize("count", ["1", "2", "5"])
def test_byhand_threads(count):
    text = HEAD.replace("== 3", f"== {count}") + "assert (x == 1).all(); print(threads.workers())"
    assert process.run(text, BYHAND_THREADS=count).strip() == count


@pytest.mark.parametrize("count", ["0", "-1", "many", "2.5", "1025", "²"])
def test_byhand_threads_that_are_no_number_are_refused(count, monkeypatch):
    monkeypatch.setenv("BYHAND_THREADS", count)
    monkeypatch.setattr(thread_pool, "_threads", None)
    with pytest.raises(ArgumentError, match=f"BYHAND_THREADS is '{count}'; expected a number of threads, 1 to 1024"):
        thread_pool.workers()


def test_fewer_threads_than_asked_for_are_told_once(monkeypatch):
    few = thread_pool.Threads("own", "", 1, thread_pool._no_loop, None, asked=4)
    monkeypatch.setattr(thread_pool, "_threads", None)
    monkeypatch.setattr(thread_pool, "_start", lambda: few)
    with pytest.warns(UserWarning, match="1 of 4 threads could be started, and byhand computes with these"):
        assert thread_pool.start() is few
    assert thread_pool.start() is few


def test_a_layer_that_is_none_is_refused():
    text = HEAD.replace("except ArgumentError:\n", "except ArgumentError as error:\n    print(error)\n")
    out = process.run(text, NUMBA_THREADING_LAYER="threads")
    assert "NUMBA_THREADING_LAYER is 'threads'; expected one that can be loaded here" in out


def test_there_are_at_most_as_many_threads_as_cores():
    text = "from byhand.kernels.runtime import thread_pool as threads; print(threads.workers())"
    assert process.run(text).strip() == str(machine.cores())
    if hasattr(os, "sched_getaffinity"):
        assert machine.cores() <= len(os.sched_getaffinity(0))
        text = "import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])\n" + text
        assert process.run(text).strip() == "1"


def test_a_limit_is_that_of_a_thread():
    seen = []
    with thread_pool.limit(1):
        other = threading.Thread(target=lambda: seen.append(thread_pool.workers()))
        other.start()
        other.join()
        with thread_pool.limit(4):
            assert thread_pool.workers() == 4
        assert thread_pool.workers() == 1
    assert seen == [thread_pool.start().workers]


def test_a_captured_graph_runs_on_no_more_threads_than_its_memory_serves():
    @kernel
    def sums(x, room, y, block, worker):
        room[worker] = x[block]
        y[block] = room[worker] + worker

    @compiled
    def hand(x, y):
        launch(sums, x.size, x, scratch(thread_pool.workers(), dtype=x.dtype), y)

    x, y = np.arange(100.0), np.zeros(100)
    with thread_pool.limit(1):
        graph, _ = capture(hand, x, y)
        graph.table()
    with thread_pool.limit(4):
        graph.run()
    assert np.array_equal(y, x)


def test_a_launch_costs_microseconds():
    assert 0 < launch_seconds() < 1e-3


# small numbers --------------------------------------------------------------------------------------------------------


@kernel
def halve(x, y, who, took, block, worker):
    """Halve a number; `took` turns are time for other workers to come."""
    last = 0.5
    for _ in range(took):
        last = last * 3.7 * (1.0 - last)
    y[block] = x[block] * 0.5 + 0.0 * last
    who[block] = worker


def test_denormals_are_flushed_in_every_worker_and_not_beside(restless):
    x, y, who = np.full(64, 1.5e-38, np.float32), np.ones(64, np.float32), np.full(64, -1)
    came = set()
    for _ in range(500):  # on a busy machine a worker may have no core for a while
        launch(halve, 64, x, y, who, 100_000)
        came |= set(who)
        assert (y == 0).all()
        if len(came) == thread_pool.workers():
            break
    assert came == set(range(thread_pool.workers()))
    assert (x * np.float32(0.5) > 0).all()  # this thread treats small numbers as it did
    y[:] = x * np.float32(0.5)
    launch(halve, 64, y.copy() * np.float32(2), y, who, 0)
    assert (y == 0).all()
    with thread_pool.limit(4):  # a small number that goes in counts as 0
        launch(halve, 64, np.full(64, 1e-39, np.float32) * np.float32(1), y, who, 0)
    assert (y == 0).all()


# every op -------------------------------------------------------------------------------------------------------------

TIMES = 300  # images, for one of a sample
BATCHED = ("x", "a", "b", "xs", "logits", "labels")


def enlarged(op, seed):
    """Return a sample's inputs with many times the images, and its attributes."""
    values, attributes = op.sample(Seeded(seed))
    inputs = cast_inputs(op, values, np.float32)
    first = plan(op, inputs, attributes).shapes[op.outputs[0]][:1]

    def repeat(array):
        wide = array.shape[:1] == (first or array.shape[:1])
        array = np.concatenate([array] * TIMES) if wide else array
        return array + np.arange(array.size).reshape(array.shape) % 7 / 8 if array.dtype.kind == "f" else array

    large = {name: each(repeat, value) if name in BATCHED else value for name, value in inputs.items()}
    large = {
        name: each(partial(np.asarray, dtype=op.dtypes.get(name, np.float32)), value) for name, value in large.items()
    }
    try:
        plan(op, large, attributes)
    except ArgumentError:
        return inputs, attributes
    return large, attributes


def outcome(op, inputs, attributes):
    """Return all bits that the compiled hand makes of a call, and how many blocks its largest launch has."""
    call, blocks = plan(op, inputs, attributes), 1
    have = {name: each(np.array, value) for name, value in inputs.items()} | op.allocate(call, np.float32)
    grads = {f"grad_{name}": each(np.empty_like, inputs[name]) for name in with_gradient(op, inputs)}
    rng = np.random.default_rng(0)
    first = op.outputs[0]
    have |= {f"grad_{first}": rng.standard_normal(call.shapes[first]).astype(np.float32)} | grads
    for names, hand in zip((op.forward_arguments, op.backward_arguments), op.hands["compiled"]):
        graph, _ = capture(hand, *(have.get(name) for name in names), **call.attributes)
        graph.run()
        # But for the poison.
        blocks = max([blocks, *(launched.blocks for launched in graph.all_launches if launched.name != "fill_words")])
    return {name: b"".join(array.tobytes() for array in tree_leaves([value])) for name, value in have.items()}, blocks


COMPILED = [name for name, op in REGISTRY.items() if "compiled" in op.hands]


@pytest.mark.parametrize("name", COMPILED)
def test_the_bits_do_not_depend_on_the_number_of_threads(name):
    op = REGISTRY[name]
    for seed in range(6):
        inputs, attributes = enlarged(op, seed)
        made = {}
        for count in (1, 2, 4):
            with thread_pool.limit(count):
                made[count] = outcome(op, inputs, attributes)[0]
        assert made[1].keys() == made[2].keys() == made[4].keys()
        for key, value in made[1].items():
            assert value == made[2][key] == made[4][key], f"{name}, seed {seed}: {key} depends on the number of threads"


def test_most_of_these_are_shared_out():
    shared = [
        name for name in COMPILED if max(outcome(REGISTRY[name], *enlarged(REGISTRY[name], s))[1] for s in range(3)) > 1
    ]
    assert len(shared) > len(COMPILED) / 2, shared
