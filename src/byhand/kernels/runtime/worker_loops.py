"""The compiled loops of the thread pool on Linux: those of the caller, and those of its workers (worker_threads.py)."""

from __future__ import annotations

from numba import cfunc, njit, types

from byhand.kernels.runtime.arguments import LAUNCH_ROW_BYTES, WORD_BYTES
from byhand.kernels.runtime.atomics import (
    CLOCK_MONOTONIC,
    CLOCK_THREAD_CPU,
    FUTEX_WAIT,
    FUTEX_WAKE,
    atomic_add,
    atomic_load,
    atomic_store,
    compare_and_swap,
    core_mask,
    current_core,
    flush_denormals,
    futex,
    load_core_mask,
    load_word,
    nanoseconds,
    pause,
    relaxed_load,
    relaxed_store,
    restore,
    store_word,
    use_core_mask,
)
from byhand.kernels.runtime.cpu import COUNTER_BYTES
from byhand.kernels.runtime.llvm import CFunc
from byhand.kernels.runtime.parallel_loop import advance, run_block
from byhand.kernels.runtime.worker_pool import (
    ACCOUNT_CPU,
    ACCOUNT_NANOSECONDS,
    ACCOUNT_START,
    ADDRESS,
    ASLEEP,
    ASLEEP_UNTIL,
    BLOCK_BITS,
    BLOCKS,
    CORE,
    COUNTER,
    DONE,
    ENTRY,
    GENERATION,
    GENERATION_MASK,
    LIMIT,
    LOOK_NANOSECONDS,
    LOOKED,
    LOST_NANOSECONDS,
    MAX_BLOCKS,
    MAX_LACK,
    MAX_REFUSALS,
    MAX_REST_NANOSECONDS,
    MIN_REST_NANOSECONDS,
    NUMBER,
    OWNED,
    POOL,
    PROBATION_NANOSECONDS,
    PROBATION_PAUSES,
    RANGES,
    RECORDS,
    REFUSAL_NANOSECONDS,
    RELAPSE_NANOSECONDS,
    RESTING,
    SLEEP_NANOSECONDS,
    SLEEPERS,
    SLEPT,
    SPINS,
    STOPPED,
    WAITING,
    WOKEN,
    WORKERS,
)


@njit(error_model="numpy")
def take_blocks(pool: int, generation: int, worker: int) -> int:
    """Run blocks of a launch as long as it has any, first those of the worker's own range; return how many.

    The words read first (entry, address, blocks, ranges) may belong to a later launch, if the caller has gone on. Then no swap
    succeeds: 1. a caller opens the next launch only when all blocks of the last are done; 2. so all counters of this generation
    were 0 by then; 3. a swap succeeds only on a counter of this generation that is not 0.
    """
    entry, address = relaxed_load(pool + ENTRY), relaxed_load(pool + ADDRESS)
    blocks, ranges = relaxed_load(pool + BLOCKS), relaxed_load(pool + RANGES)
    total = 0
    for turn in range(ranges):
        owner, done = (worker + turn) % ranges, 0
        counter, end = pool + RECORDS + COUNTER_BYTES * owner + COUNTER, (owner + 1) * blocks // ranges
        count = relaxed_load(counter)
        while count >> BLOCK_BITS == generation and count & MAX_BLOCKS > 0:
            if compare_and_swap(counter, count, count - 1):
                if atomic_load(pool + SLEEPERS) > 0:
                    wake_one(pool, ranges)
                run_block(entry, address, end - (count & MAX_BLOCKS), worker)
                done += 1
            count = relaxed_load(counter)
        if worker > 0 and done > 0:
            atomic_add(pool + DONE, done)  # the caller sees all that these blocks have written
            if atomic_load(pool + WAITING) == 1:
                futex(pool + DONE, FUTEX_WAKE, 1)
        total += done
    return total


@njit(error_model="numpy")
def wake_one(pool: int, ranges: int) -> None:
    """Wake one of the workers that have a range, if one has slept long enough; it wakes the next."""
    now = nanoseconds(CLOCK_MONOTONIC)
    for worker in range(1, ranges):
        record = pool + RECORDS + COUNTER_BYTES * worker
        rested = relaxed_load(record + ASLEEP) == 1 and now >= relaxed_load(record + ASLEEP_UNTIL)
        if rested and compare_and_swap(record + ASLEEP, 1, 0):
            relaxed_store(record + WOKEN, now)
            futex(record + ASLEEP, FUTEX_WAKE, 1)
            return


@njit(error_model="numpy")
def run_launch(pool: int, entry: int, address: int, blocks: int, workers: int) -> None:
    """Run a launch with all workers that come; the caller has the pool.

    All blocks of the launch before are done and have been added to DONE, and nothing is added until a worker has taken a block
    of this one: DONE can be set to 0.
    """
    generation, ranges = (relaxed_load(pool + GENERATION) + 1) & GENERATION_MASK, min(workers, blocks)
    relaxed_store(pool + ENTRY, entry)
    relaxed_store(pool + ADDRESS, address)
    relaxed_store(pool + BLOCKS, blocks)
    relaxed_store(pool + RANGES, ranges)
    relaxed_store(pool + LIMIT, workers)
    relaxed_store(pool + CORE, current_core())
    relaxed_store(pool + DONE, 0)
    for owner in range(ranges):
        size = (owner + 1) * blocks // ranges - owner * blocks // ranges
        relaxed_store(pool + RECORDS + COUNTER_BYTES * owner + COUNTER, (generation << BLOCK_BITS) | size)
    atomic_store(pool + GENERATION, generation)
    others, spins = blocks - take_blocks(pool, generation, 0), 0
    done = atomic_load(pool + DONE)
    while done < others:
        if spins < SPINS:
            spins += 1
            pause()
        else:  # a worker that has taken a block has lost its core, or the block is long
            atomic_store(pool + WAITING, 1)
            futex(pool + DONE, FUTEX_WAIT, done)
            atomic_store(pool + WAITING, 0)
        done = atomic_load(pool + DONE)


def run(table: int, count: int, advances: int, advance_count: int, steps: int, workers: int, pool: int) -> None:
    """Run a table `steps` times; after each step, add to each word of `advances` (address, stride) its stride."""
    before, workers = flush_denormals(), min(workers, load_word(pool + WORKERS))
    for _ in range(steps):
        for i in range(count):
            row = table + LAUNCH_ROW_BYTES * i
            entry, address, blocks = load_word(row), load_word(row + WORD_BYTES), load_word(row + 2 * WORD_BYTES)
            if workers > 1 and 1 < blocks <= MAX_BLOCKS and not alone(pool) and compare_and_swap(pool + OWNED, 0, 1):
                run_launch(pool, entry, address, blocks, workers)
                atomic_store(pool + OWNED, 0)
            else:
                for block in range(blocks):
                    run_block(entry, address, block, 0)
        advance(advances, advance_count, 1)
    advance(advances, advance_count, -steps)
    restore(before)


@njit(error_model="numpy")
def alone(pool: int) -> bool:
    """Tell whether all workers rest; now and then, wake one that has rested long enough."""
    resting, workers = relaxed_load(pool + RESTING), load_word(pool + WORKERS)
    if resting > 0:
        now = nanoseconds(CLOCK_MONOTONIC)
        if now - relaxed_load(pool + LOOKED) > LOOK_NANOSECONDS:
            relaxed_store(pool + LOOKED, now)
            relaxed_store(pool + CORE, current_core())
            wake_one(pool, workers)
    return bool(resting >= workers - 1)


def work(record: int) -> int:
    """Take blocks of each launch; sleep while there is none, rest while the core is busy; return when the pool is stopped."""
    pool, worker = load_word(record + POOL), load_word(record + NUMBER)
    flush_denormals()
    open_account(record, nanoseconds(CLOCK_THREAD_CPU))
    idle_since = load_word(record + ACCOUNT_START)
    duration, rested = MIN_REST_NANOSECONDS, idle_since - RELAPSE_NANOSECONDS
    seen, refusals, spins = 0, 0, 0
    while atomic_load(pool + STOPPED) == 0:
        generation = atomic_load(pool + GENERATION)
        if generation == seen and spins < SPINS:
            spins += 1
            pause()
            continue
        now = nanoseconds(CLOCK_MONOTONIC)
        has_lost_core = now - idle_since > LOST_NANOSECONDS
        if (has_lost_core or generation != seen) and on_core_of_caller(pool):
            leave_core()
        if lacks_core(record, now):
            relapse = now - rested < RELAPSE_NANOSECONDS
            duration = rest(pool, record, 2 * duration if relapse else MIN_REST_NANOSECONDS)
            rested = nanoseconds(CLOCK_MONOTONIC)
        elif generation == seen:
            sleep(pool, record, seen, SLEEP_NANOSECONDS)
        elif refusals < MAX_REFUSALS and on_core_of_caller(pool):
            refusals += 1
            sleep(pool, record, generation, REFUSAL_NANOSECONDS)
        else:
            seen, refusals = generation, 0
            if worker < relaxed_load(pool + LIMIT):
                take_blocks(pool, generation, worker)
        spins, idle_since = 0, nanoseconds(CLOCK_MONOTONIC)
    return 0


@njit(error_model="numpy")
def open_account(record: int, cpu: int) -> None:
    """Begin to count the time in which a worker wants a core."""
    store_word(record + ACCOUNT_START, nanoseconds(CLOCK_MONOTONIC))
    store_word(record + ACCOUNT_CPU, cpu)
    store_word(record + SLEPT, 0)


@njit(error_model="numpy")
def lacks_core(record: int, now: int) -> bool:
    """Tell whether a worker had no core for much of the time in which it wanted one; False where that time is too short."""
    wanted = now - load_word(record + ACCOUNT_START) - load_word(record + SLEPT)
    if wanted < ACCOUNT_NANOSECONDS:
        return False
    cpu = nanoseconds(CLOCK_THREAD_CPU)
    lacked = wanted - (cpu - load_word(record + ACCOUNT_CPU))
    open_account(record, cpu)
    return bool(100 * lacked > load_word(load_word(record + POOL) + MAX_LACK) * wanted)


@njit(error_model="numpy")
def rest(pool: int, record: int, duration: int) -> int:
    """Rest for so many nanoseconds, then twice as long, until the worker keeps a core; return how long the last rest was."""
    atomic_add(pool + RESTING, 1)
    duration = min(duration, MAX_REST_NANOSECONDS)
    woken = wait_until_woken(pool, record, atomic_load(pool + GENERATION), duration)
    while not keeps_core(pool, woken):
        duration = min(2 * duration, MAX_REST_NANOSECONDS)
        woken = wait_until_woken(pool, record, atomic_load(pool + GENERATION), duration)
    atomic_add(pool + RESTING, -1)
    open_account(record, nanoseconds(CLOCK_THREAD_CPU))
    return duration


@njit(error_model="numpy")
def keeps_core(pool: int, woken: int) -> bool:
    """Spin for longer than a time slice; tell whether no other program took the core since the worker was woken."""
    if load_word(pool + MAX_LACK) == 100:
        return True
    if on_core_of_caller(pool):
        leave_core()
    last = woken
    while last - woken < PROBATION_NANOSECONDS and atomic_load(pool + STOPPED) == 0:
        now = nanoseconds(CLOCK_MONOTONIC)
        if now - last > LOST_NANOSECONDS:
            return False
        last = now
        for _ in range(PROBATION_PAUSES):
            pause()
    return True


@njit(error_model="numpy")
def on_core_of_caller(pool: int) -> bool:
    """Tell whether this worker would only take the caller's time."""
    core = current_core()
    return bool(core >= 0 and core == relaxed_load(pool + CORE))


@njit(error_model="numpy")
def leave_core() -> None:
    """Move this worker to another core, where it may run on one; it may come back.

    Linux wakes a thread on the core of the one that woke it, and leaves it there for some milliseconds while the other waits.
    The mask of cores is as before afterwards: it may be changed at any time (taskset), and that is to last.
    """
    mask, core = core_mask(), current_core()
    if load_core_mask(mask) < 0:
        return
    word, bit = mask + WORD_BYTES * (core // 64), 1 << (core % 64)
    store_word(word, load_word(word) & ~bit)
    if use_core_mask(mask) == 0:
        store_word(word, load_word(word) | bit)
        use_core_mask(mask)


@njit(error_model="numpy")
def sleep(pool: int, record: int, seen: int, shortest: int) -> None:
    """Sleep until this worker is woken, not before so many nanoseconds; not where a launch has come since `seen`."""
    started = nanoseconds(CLOCK_MONOTONIC)
    atomic_add(pool + SLEEPERS, 1)
    woken = wait_until_woken(pool, record, seen, shortest)
    atomic_add(pool + SLEEPERS, -1)
    store_word(record + SLEPT, load_word(record + SLEPT) + woken - started)


@njit(error_model="numpy")
def wait_until_woken(pool: int, record: int, seen: int, shortest: int) -> int:
    """Wait for `wake_one`, not where a launch has come since `seen`; return when that was, the worker may run only later.

    A caller stores its generation and then looks who sleeps; a worker says that it sleeps and then looks at the generation. So
    one of them sees what the other has stored. The same holds for `stop`.
    """
    started = nanoseconds(CLOCK_MONOTONIC)
    relaxed_store(record + ASLEEP_UNTIL, started + shortest)
    atomic_store(record + ASLEEP, 1)
    if atomic_load(pool + GENERATION) == seen and atomic_load(pool + STOPPED) == 0:
        futex(record + ASLEEP, FUTEX_WAIT, 1)  # it returns at once where ASLEEP is no longer 1
    atomic_store(record + ASLEEP, 0)
    woken = relaxed_load(record + WOKEN)
    return int(woken if woken > started else nanoseconds(CLOCK_MONOTONIC))


def stop(pool: int) -> None:
    """Let the threads end; what is launched from then on runs on the thread that launches it."""
    while not compare_and_swap(pool + OWNED, 0, 1):  # it is never given back
        pause()
    atomic_store(pool + STOPPED, 1)
    atomic_store(pool + GENERATION, (relaxed_load(pool + GENERATION) + 1) & GENERATION_MASK)
    for worker in range(1, load_word(pool + WORKERS)):
        asleep = pool + RECORDS + COUNTER_BYTES * worker + ASLEEP
        atomic_store(asleep, 0)
        futex(asleep, FUTEX_WAKE, 1)


SIGNATURES = {run: types.void(*[types.intp] * 7), work: types.intp(types.intp), stop: types.void(types.intp)}


def compiled(name: str) -> CFunc:
    """Return `run`, `work` or `stop` as a C function of words."""
    function, signature = next((function, kind) for function, kind in SIGNATURES.items() if function.__name__ == name)
    return cfunc(signature, error_model="numpy")(function)
