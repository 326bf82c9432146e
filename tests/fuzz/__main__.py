"""`python -m tests.fuzz COUNT`: reads so many mutants; the exit code is 1 where there are findings."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.driver import Reader, fuzz


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("count", type=int, help="mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--target", action="append", default=[], help="of tests/fuzz/targets.py, in lower case; else all"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", type=int, help="one mutant, in this process, with its whole traceback")
    given = parser.parse_args()
    names = tuple(given.target)
    if given.only is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(Reader(Path(folder), names).read(given.seed, given.only, show=True))
        return 0
    start = time.time()
    seen, findings = fuzz(given.count, given.seed, given.jobs, names, start + 60 * given.minutes)
    again = "".join(f" --target {name}" for name in names)
    for where, (index, what) in findings.items():
        print(f"{seen[where]:6} x {what}\n         python -m tests.fuzz 1 --seed {given.seed}{again} --only {index}")
    kinds = ", ".join(f"{seen[kind]:,} {kind}" for kind in ("used", "loaded", "refused"))
    found = sum(seen[where] for where in findings)
    print(f"{sum(seen[kind] for kind in ('used', 'loaded', 'refused')):,} mutants in {time.time() - start:.0f} s: {kinds};"
          f" {found:,} findings")  # fmt: skip
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
