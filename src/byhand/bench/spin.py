"""A process that spins until its parent ends: `python -m byhand.bench.spin`."""

from itertools import repeat

from byhand.bench import child_process

if __name__ == "__main__":
    child_process.end_with_parent()
    print("spinning", flush=True)
    for _ in repeat(None):
        pass
