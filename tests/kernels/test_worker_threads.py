"""Worker threads, the thread pool on Linux: each block is run once, whoever comes late, forks, interrupts or ends meanwhile."""

import ctypes
import os
import signal
import threading
import time
import warnings
from contextlib import suppress

import numpy as np
import pytest

from byhand.kernels import kernel, launch
from byhand.kernels.runtime import thread_pool
from byhand.kernels.runtime.cpu import COUNTER_BYTES
from byhand.kernels.runtime.launch import machine_code, pack
from byhand.kernels.runtime.thread_pool import Launch, LaunchTable
from byhand.kernels.runtime.worker_pool import MAX_LACK_PERCENT
from tests.kernels import process

pytestmark = pytest.mark.skipif(
    thread_pool.start().layer != "own", reason="there are no threads of our own on this system"
)

WORKERS = 7  # more than there are cores
SIZE = 100


@kernel
def count(x, block):
    """Count the runs of a block."""
    x[block] += 1


@kernel
def note_worker(who, block, worker):
    """Note who runs a block."""
    for _ in range(100):
        who[block] = worker


@pytest.fixture
def pool():
    """Start a pool of its own."""
    from byhand.kernels.runtime.worker_threads import WorkerThreads

    made = WorkerThreads(WORKERS)
    yield made
    made.stop()


def own_pool(workers):
    """Return the address of a pool without threads."""
    from byhand.kernels.runtime.worker_threads import new_pool

    return new_pool(workers)


def counting(x, blocks):
    """Return a launch that counts."""
    return Launch("count", machine_code(count, (x,)), pack((x,)), blocks, (x,))


def run(pool, table, steps=1, workers=WORKERS):
    """Run a table on a pool."""
    pool.run(*table._table_arguments, steps, workers)


def test_each_block_of_many_small_launches_runs_once(pool):
    blocks = np.random.default_rng(0).integers(1, SIZE + 1, 400)
    x = np.zeros(SIZE)
    run(pool, LaunchTable([counting(x, int(number)) for number in blocks]), steps=50)
    assert x.tolist() == [50 * int((blocks > i).sum()) for i in range(SIZE)]


def test_groups_of_micro_batches_run_once(pool):
    arrays = [np.zeros(SIZE) for _ in range(9)]
    x = np.zeros(SIZE)
    table = LaunchTable(
        [counting(x, 50), [[counting(own, 30), counting(own, 60)] for own in arrays], counting(x, SIZE)]
    )
    run(pool, table, steps=300)
    assert all(own.tolist() == [600] * 30 + [300] * 30 + [0] * 40 for own in arrays)
    assert x.tolist() == [600] * 50 + [300] * 50


def test_several_python_threads_launch_at_once(pool):
    arrays = [np.zeros(SIZE) for _ in range(5)]
    tables = [LaunchTable([counting(own, 20 * i + 1) for own in [own] * 50]) for i, own in enumerate(arrays)]

    def work(table):
        for _ in range(100):
            run(pool, table)

    running = [threading.Thread(target=work, args=(table,)) for table in tables]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    for i, own in enumerate(arrays):
        assert own.tolist() == [5000] * (20 * i + 1) + [0] * (SIZE - 20 * i - 1)


@pytest.mark.parametrize("limit", [1, 2, 3, WORKERS, 100])
def test_no_worker_beyond_a_limit_takes_a_block(pool, limit):
    who = np.full(1000, -1)
    row = Launch("note_worker", machine_code(note_worker, (who,)), pack((who,)), who.size, (who,))
    for _ in range(20):
        run(pool, LaunchTable([row]), workers=limit)
        assert set(who) <= set(range(min(limit, WORKERS)))


def test_a_late_worker_takes_no_block_of_another_launch():
    """The pool has no threads: what a late one would do is done here, step by step."""
    from byhand.kernels.runtime import worker_loops as own

    x = np.zeros(SIZE)
    row, pool = counting(x, 10), own_pool(3)
    for generation in (1, 2):
        own.run_launch(pool, row.entry, row.words.ctypes.data, 10, 3)
        assert x.tolist() == [generation] * 10 + [0] * 90
    before = x.copy()
    assert own.take_blocks(pool, 1, 1) == own.take_blocks(pool, 2, 1) == own.take_blocks(pool, 3, 1) == 0
    # A caller has begun to write the next launch, of more blocks; its counters are those of the last one.
    ctypes.c_int64.from_address(pool + own.BLOCKS).value = SIZE
    assert own.take_blocks(pool, 2, 1) == 0
    assert (x == before).all()


def word(pool, offset):
    """Return a word of a pool."""
    return ctypes.c_int64.from_address(pool + offset)


def test_a_caller_whose_workers_rest_runs_alone_and_wakes_one_that_has_rested(pool):
    from byhand.kernels.runtime import worker_loops as own

    who, address = np.full(1000, -1), pool._pool
    row = Launch("note_worker", machine_code(note_worker, (who,)), pack((who,)), who.size, (who,))
    word(address, own.RESTING).value = WORKERS - 1
    for _ in range(20):
        run(pool, LaunchTable([row]))
    assert set(who) == {0}
    word(address, own.RESTING).value = 0
    without_threads = own_pool(3)
    word(without_threads, own.WORKERS).value = 3
    rested = without_threads + own.RECORDS + 2 * COUNTER_BYTES
    word(without_threads, own.RESTING).value, word(rested, own.ASLEEP).value = 1, 1
    word(rested, own.ASLEEP_UNTIL).value = time.monotonic_ns() + 10**12
    assert not own.alone(without_threads)
    assert word(rested, own.ASLEEP).value == 1
    word(without_threads, own.RESTING).value, word(rested, own.ASLEEP_UNTIL).value = 2, 0
    word(without_threads, own.LOOKED).value = 0
    assert own.alone(without_threads)
    assert word(rested, own.ASLEEP).value == 0


@pytest.mark.parametrize(
    ("spent", "slept", "expected"),
    [(100, 0, False), (80, 0, False), (50, 0, True), (10, 85, False), (10, 50, True), (0, 90, False)],
)
def test_a_worker_lacks_a_core_where_it_got_too_little_of_the_time_that_it_wanted_one(spent, slept, expected):
    """Of 100 milliseconds, a worker slept some and spent some on a core."""
    from byhand.kernels.runtime import worker_loops as own

    pool = own_pool(2)
    record = pool + own.RECORDS + COUNTER_BYTES
    word(record, own.POOL).value, word(pool, own.MAX_LACK).value = pool, MAX_LACK_PERCENT
    own.lacks_core(record, 0)  # compiled: that takes time on the core too
    now = time.monotonic_ns()
    word(record, own.ACCOUNT_START).value, word(record, own.SLEPT).value = now - 10**8, slept * 10**6
    word(record, own.ACCOUNT_CPU).value = time.thread_time_ns() - spent * 10**6
    assert own.lacks_core(record, now) == expected
    word(pool, own.MAX_LACK).value = 100
    assert not own.lacks_core(record, now)


def test_a_worker_that_was_late_or_was_interrupted_fails_its_probation():
    from byhand.kernels.runtime import worker_loops as own

    pool = own_pool(2)
    assert not own.keeps_core(pool, time.monotonic_ns() - 10**8)
    word(pool, own.STOPPED).value = 1
    assert own.keeps_core(pool, time.monotonic_ns())


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core")
def test_a_worker_that_leaves_a_core_keeps_its_mask():
    """So a mask that `taskset` gives it later is the only one."""
    from byhand.kernels.runtime import worker_loops as own

    before = os.sched_getaffinity(0)
    try:
        for mask in (before, {min(before)}):  # the only core can't be left
            os.sched_setaffinity(0, mask)
            own.leave_core()
            assert os.sched_getaffinity(0) == mask
    finally:
        os.sched_setaffinity(0, before)


def test_more_blocks_than_a_counter_holds():
    x = np.zeros((1 << 24) + 5, np.uint8)
    launch(count, x.size, x)
    assert (x == 1).all()


def test_threads_that_the_system_refuses_are_done_without(monkeypatch):
    from byhand.kernels.runtime.worker_threads import WorkerThreads

    start = WorkerThreads._start
    monkeypatch.setattr(WorkerThreads, "_start", lambda self, work, worker: worker < 3 and start(self, work, worker))
    pool, x = WorkerThreads(WORKERS), np.zeros(SIZE)
    assert pool.workers == 3
    run(pool, LaunchTable([counting(x, SIZE)]), steps=100)
    pool.stop()
    run(pool, LaunchTable([counting(x, SIZE)]), steps=100)  # on this thread alone
    assert (x == 200).all()


def test_an_interrupt_leaves_the_threads_usable():
    x = np.zeros(SIZE)
    table = LaunchTable([counting(x, SIZE)] * 100)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(20):
            with suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.002)
                while True:
                    table.run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (x == x[0]).all()
    assert x[0] % 100 == 0


def test_a_child_forked_while_another_thread_launches_has_threads_of_its_own():
    x, over = np.zeros(SIZE), threading.Event()
    table = LaunchTable([counting(x, SIZE)] * 100)

    def work():
        while not over.is_set():
            table.run()

    beside = threading.Thread(target=work)
    beside.start()
    try:
        for _ in range(10):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a process with threads forks: that is the point
                child = os.fork()
            if child == 0:
                own = np.zeros(SIZE)
                for _ in range(100):
                    launch(count, SIZE, own)
                os._exit(0 if (own == 100).all() and thread_pool.start().layer == "own" else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        over.set()
        beside.join()
    assert (x == x[0]).all()


# A program that has launched, and how it ends: its exit code.
STARTED = """
import os, signal, sys, threading, time
import numpy as np
from byhand.kernels import kernel, launch
@kernel
def count(x, block):
    x[block] += 1
x = np.zeros(500)
launch(count, 500, x)
"""
BESIDE = """
def work():
    while True:
        launch(count, 500, x)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
"""
ENDS = {
    "after the threads have gone to sleep": ("time.sleep(0.05); sys.exit(3)", 3),
    "while a daemon thread launches": (BESIDE, 0),
    "in a forked child that launches": (
        "import warnings; warnings.simplefilter('ignore'); child = os.fork(); launch(count, 500, x)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if child else 5)",
        5,
    ),
    "after a signal that it waits for": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]); os.kill(os.getpid(), signal.SIGUSR1)\n"
        "sys.exit(signal.sigwait([signal.SIGUSR1]))",
        signal.SIGUSR1,
    ),
}


def test_programs_end_with_their_exit_code():
    running = {name: process.start(STARTED + text, BYHAND_THREADS="4") for name, (text, _) in ENDS.items()}
    for name, child in running.items():
        out, err = child.communicate(timeout=120)
        assert (child.returncode, out, err) == (ENDS[name][1], "", ""), name


def test_pytorch_works_beside():
    torch = pytest.importorskip("torch")
    x, weight = torch.ones(1, 16, 40, 40), torch.ones(16, 16, 3, 3)
    expected = torch.nn.functional.conv2d(x, weight)
    own, over = np.zeros(SIZE), threading.Event()

    def work():
        while not over.is_set():
            launch(count, SIZE, own)

    beside = threading.Thread(target=work)
    beside.start()
    try:
        for _ in range(50):
            assert torch.equal(torch.nn.functional.conv2d(x, weight), expected)
    finally:
        over.set()
        beside.join()
    assert (own == own[0]).all()
