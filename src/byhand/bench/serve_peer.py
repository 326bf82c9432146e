"""The main program of a peer's process: two OpenMP runtimes in one process would slow each other down.

`python -m byhand.bench.serve_peer JOB` (a JSON object) writes JSON lines: {"check": [[...], ...]} with numbers of the first
steps, then {"values": [...]} for each line "SECONDS" that it reads, or {"error": "..."}.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any

from byhand.bench.benchmarks import BENCHMARKS


def main() -> None:
    """Serve one peer until standard input ends."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error

    def reply(**message: Any) -> None:
        print(json.dumps(message), file=lines, flush=True)

    job = json.loads(sys.argv[1])
    try:
        session = BENCHMARKS[job["benchmark"]].session(import_module(job["module"]).Peer(**job["settings"]))
        reply(check=next(session))
        for line in sys.stdin:
            reply(values=session.send(float(line)))
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        reply(error=f"{type(error).__name__}: {first_line}"[:200])


if __name__ == "__main__":
    main()
