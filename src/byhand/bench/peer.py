"""One peer in a process of its own: two OpenMP run-times in one process would slow each other.

`python -m byhand.bench.peer PEER WORK` answers with the losses of its first steps, one JSON line, so that the other side can
check that all computed the same; then, for each line "SECONDS" that it reads, with the images a second over that time.
"""

import json
import sys
import time
from itertools import cycle

from byhand.bench.work import PEERS, WORKS

CHECKED = 5  # steps whose losses are compared


def main() -> None:
    """Serve one peer until standard input ends."""
    work = WORKS[sys.argv[2]]
    step, batches = PEERS[sys.argv[1]](work), work.batches()
    print(json.dumps([step(*batch) for batch in batches[:CHECKED]]), flush=True)
    turn = cycle(batches)
    for line in sys.stdin:
        steps, started, end = 0, time.perf_counter(), time.perf_counter() + float(line)
        while time.perf_counter() < end or not steps:
            step(*next(turn))
            steps += 1
        print(steps * work.batch / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    main()
