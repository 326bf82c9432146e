"""The memory that the threads of a pool share, words at offsets from its address, and how long its threads wait."""

from __future__ import annotations

from byhand.kernels.runtime.arguments import WORD_BYTES
from byhand.kernels.runtime.cpu import COUNTER_BYTES

# Words of a pool, by offset. First the open launch, in one cache line: its generation, kernel, arguments, blocks; over how
# many ranges its blocks are distributed, how many workers may take them, and the core that its caller runs on.
GENERATION, ENTRY, ADDRESS, BLOCKS, RANGES, LIMIT, CORE = (WORD_BYTES * i for i in range(7))
# Words that different threads write, in lines of their own: blocks that others than the caller have done, and whether the
# caller sleeps until more are; whether a caller has the pool; how many workers sleep; whether the threads shall end.
DONE, OWNED, SLEEPERS, STOPPED = (COUNTER_BYTES * i for i in range(1, 5))
WAITING = DONE + WORD_BYTES  # whether the caller sleeps until a block is done
RESTING = SLEEPERS + WORD_BYTES  # how many workers rest because their cores are busy; they are no sleepers
LOOKED = RESTING + WORD_BYTES  # when a caller last looked whether one of them has rested long enough
WORKERS = STOPPED + WORD_BYTES  # the caller too
MAX_LACK = WORKERS + WORD_BYTES  # MAX_LACK_PERCENT; 100: no worker rests
# A record for each worker: its counter; whether it sleeps, and until when it is not to be woken; its pool and its number.
RECORDS = 5 * COUNTER_BYTES
COUNTER, ASLEEP, ASLEEP_UNTIL, POOL, NUMBER = (WORD_BYTES * i for i in range(5))
# Then when it was woken, and its own account: since when, from which CPU time on, and how long it has slept since.
WOKEN, ACCOUNT_START, ACCOUNT_CPU, SLEPT = (WORD_BYTES * i for i in range(5, 9))

# A counter holds the generation of a launch, then the blocks left. Generations repeat after 2^39 launches, three days at 0.5 us
# each: so long a worker would have to stand still between two instructions of take_blocks to mistake one launch for another.
BLOCK_BITS = 24
MAX_BLOCKS = (1 << BLOCK_BITS) - 1
GENERATION_MASK = (1 << (63 - BLOCK_BITS)) - 1

# Pauses before a thread that waits sleeps, 25 to 100 us: about twice what it takes to wake it.
SPINS = 2000
# The shortest sleep of a worker. To wake one costs some 3 us, which this keeps below 3 % of the time.
SLEEP_NANOSECONDS = 100_000

# A thread that loses its core to another program gets it back after some milliseconds, the other's time slice. So long the
# caller waits for a block that it has begun; and where Linux divides the cores among programs, not threads, a worker that has a
# core leaves less to the caller. So a worker rests that lacks a core for more than this part of the time that it wants one.
MAX_LACK_PERCENT = 25
ACCOUNT_NANOSECONDS = 20_000_000  # of that time, before it is looked at
LOST_NANOSECONDS = 1_000_000  # without a core, in a spin that takes 100 us
# The first rest is short. Then the worker is on probation: it spins for longer than a time slice, without taking a block. If it
# loses its core meanwhile, it rests twice as long. So on a busy machine the caller soon runs alone, and the longest rest is how
# long workers still stay away when the machine is quiet again.
MIN_REST_NANOSECONDS, MAX_REST_NANOSECONDS = 8_000_000, 512_000_000
LOOK_NANOSECONDS = 1_000_000  # from one look for a worker that has rested long enough to the next
PROBATION_NANOSECONDS = 12_000_000
PROBATION_PAUSES = 64  # between two looks at the clock
# A worker that has to rest again so soon after its probation goes on with rests that are twice as long.
RELAPSE_NANOSECONDS = 2 * MAX_REST_NANOSECONDS

# How often in a row a worker goes to sleep again because it was woken on the caller's core and can't leave it: the next time it
# may be another. Then it takes blocks all the same: Linux moves only threads that are ready to run to a core with less work.
MAX_REFUSALS = 16
REFUSAL_NANOSECONDS = 3_000_000
