"""Concurrency: models, programs and ops called from several Python threads."""

import copy
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import byhand as bh
from byhand.program.fork_safe_lock import ForkSafeLock
from byhand.program.spec import Update
from tests.kernels import process
from tests.nn.cases import images
from tests.nn.networks import everything, plain, small
from tests.program.test_steps import BATCH, Training, batches

THREADS = 8


@pytest.fixture(autouse=True)
def switch_often():
    """Let Python change threads 500 times as often as it does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def in_threads(work, count=THREADS):
    """Run work(0), work(1), ... in threads that begin together; raise the first error of any."""
    together, errors = threading.Barrier(count), []

    def run(i):
        try:
            together.wait()
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive(), "the threads wait for each other"
    if errors:
        raise errors[0]


@pytest.mark.parametrize(("hand", "times"), [("compiled", 40), ("arrays", 4)])
def test_models_asked_from_many_threads(hand, times):
    """Each thread asks all models in an order of its own, of batches of many sizes: more than a model keeps programs for."""
    models = [plain(), small(), everything(), bh.models.create("lenet5", seed=9)]
    sizes = [1, 2, 3, 4, 5, 7, 8, 11, 13, 16]
    jobs = [(model, images(model, size, seed=size)[0]) for model in models for size in sizes]
    expected = [model.predict(x, hand=hand) for model, x in jobs]

    def work(i):
        rng = np.random.default_rng(i)
        for _ in range(times):
            at = int(rng.integers(len(jobs)))
            model, x = jobs[at]
            np.testing.assert_array_equal(model.predict(x, hand=hand), expected[at])

    in_threads(work)


def test_a_model_asked_first_by_many_threads_at_once():
    for seed in range(5):
        model, same = small(seed=seed), small(seed=seed)
        x = images(model, 6)[0]
        answers = [None] * THREADS

        def work(i, model=model, x=x, answers=answers):
            answers[i] = model.predict(x)

        in_threads(work)
        for answer in answers:
            np.testing.assert_array_equal(answer, same.predict(x))


@pytest.mark.parametrize("hand", ["compiled", "arrays"])
def test_a_program_called_from_many_threads(hand):
    model = small()
    program = model.program(4, hand=hand)
    batch = [images(model, 4, seed=i)[0].astype(np.float32) for i in range(THREADS)]
    expected = [program(x, model.p, model.state, program.arena) for x in batch]

    def work(i):
        answers = [program(batch[i], model.p, model.state, program.arena) for _ in range(30)]
        for answer in answers:  # also those of calls that others have followed
            np.testing.assert_array_equal(answer, expected[i])

    in_threads(work)


def test_the_arena_is_unchanged_while_the_caller_holds_the_lock():
    model = plain()
    program, (x, labels) = model.program(4, train=True), images(model, 4 * THREADS)
    x, labels = x.astype(np.float32).reshape(THREADS, 4, *x.shape[1:]), labels.reshape(THREADS, 4)

    def step(i):
        with program.lock.rlock:
            program(x[i], labels[i], model.p, model.g, model.state, program.arena)
            return program.arena.probabilities.copy(), model.g.flat.copy()

    expected = [step(i) for i in range(THREADS)]

    def work(i):
        for _ in range(20):
            for ours, theirs in zip(step(i), expected[i], strict=True):
                np.testing.assert_array_equal(ours, theirs)

    in_threads(work)


def test_traces_from_many_threads():
    model = small()
    x, labels = images(model, 3)
    expected = [model.trace(x[i : i + 1], labels[i : i + 1]) for i in range(3)]

    def work(i):
        for _ in range(5):
            found = model.trace(x[i : i + 1], labels[i : i + 1])
            assert found.keys() == expected[i].keys()
            for name, value in expected[i].items():
                np.testing.assert_array_equal(found[name], value, err_msg=name)

    in_threads(work, 3)


def test_prediction_during_training_sees_whole_steps():
    steps = 60
    training, beside = (Training(plain, "sgd", "compiled") for _ in range(2))
    x, labels, lr, t = batches(training.model, steps)
    asked, other = x[0], small()
    other_x = images(other, 4)[0]
    other_answer = other.predict(other_x)

    def train(trained, at):
        trained.program(x[at], labels[at], *trained.namespaces, lr=float(lr[at]), t=int(t[at]))

    expected = {beside.model.predict(asked).tobytes()}
    for at in range(steps):
        train(beside, at)
        expected.add(beside.model.predict(asked).tobytes())
    assert len(expected) == steps + 1
    answers = [[] for _ in range(3)]

    def work(i):
        if i == 3:
            for at in range(steps):
                train(training, at)
        for _ in range(steps if i < 3 else 0):
            answers[i].append(training.model.predict(asked).tobytes())
            np.testing.assert_array_equal(other.predict(other_x), other_answer)

    in_threads(work, 4)
    assert {answer for answered in answers for answer in answered} <= expected
    assert training.bits() == beside.bits()


@pytest.mark.parametrize("hand", ["compiled", "arrays"])
def test_ops_called_from_many_threads(hand):
    rng = np.random.default_rng(0)
    jobs = []
    for images_, size, depth, filters in ((1, 9, 3, 5), (2, 20, 16, 32), (3, 12, 64, 40), (1, 7, 200, 130)):
        shapes = (images_, size, size, depth), (3, 3, depth, filters), (filters,)
        jobs.append([rng.standard_normal(shape).astype(np.float32) for shape in shapes])

    def run(x, weight, bias):
        y = bh.conv2d(x, weight, bias, padding=1, hand=hand)
        grads = bh.conv2d.backward(y, x, weight, bias, padding=1, hand=hand)
        return (
            y,
            *grads,
            bh.softmax(y, hand=hand),
            bh.max_pool(y, kernel=2, hand=hand),
            bh.linear(x, weight[0, 0], bias),
        )

    expected = [run(*job) for job in jobs]

    def work(i):
        for turn in range(8):
            at = (i + turn) % len(jobs)
            for ours, theirs in zip(run(*jobs[at]), expected[at], strict=True):
                np.testing.assert_array_equal(ours, theirs)

    in_threads(work)


def test_a_forked_child_answers_while_a_thread_of_its_parent_holds_the_lock():
    text = """
import os, threading, warnings, numpy as np, byhand as bh
from byhand import nn
warnings.simplefilter("ignore")  # that a process with threads forks is the point
model = bh.models.create("lenet5")
x = np.zeros((2, *model.input_shape), np.uint8)
expected, program = model.predict(x), model.program(2)
held, over = threading.Event(), threading.Event()
def hold():
    with program.lock.rlock:
        held.set(); over.wait()
thread = threading.Thread(target=hold)
thread.start(); held.wait()
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(model.predict(x), expected) else 1)
status = os.waitpid(child, 0)[1]
over.set(); thread.join()
with program.lock.rlock:  # a fork in the block: what was taken is released
    child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(model.predict(x), expected) else 1)
print(status, os.waitpid(child, 0)[1], np.array_equal(model.predict(x), expected))
"""
    assert process.run(text) == "0 0 True\n"


def test_a_copied_lock_is_one_of_its_own():
    lock = ForkSafeLock()
    with lock.rlock:
        copied = copy.deepcopy(lock)
        assert copied.rlock is not lock.rlock
        in_threads(lambda i: copied.rlock.acquire(timeout=60) and copied.rlock.release(), 2)


def fail(p, *, lr):
    raise KeyError("stop")


def test_an_error_in_a_run_releases_the_lock():
    model = plain()
    x, labels = images(model, BATCH)
    program = model.program(BATCH, train=True, hand="arrays", update=Update((fail,), ("fail(p.flat, lr=lr)",)))
    with pytest.raises(KeyError):
        program(x, labels, model.p, model.g, model.state, program.arena, SimpleNamespace(), lr=1.0, t=1)
    in_threads(lambda i: model.predict(x), 2)
