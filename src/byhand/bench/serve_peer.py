"""The main program of a side's process: two OpenMP runtimes in one process would slow each other down.

`python -m byhand.bench.serve_peer JOB` (a JSON object) reads JSON lines and answers each with one:

    {"line": NAME}      prepare this line of the benchmark      {"numbers": [[...], ...], "flops": F}, of the first steps
    {"seconds": S}      measure it for so long                  {"value": V, "cores": C}, CPU seconds a second
                                                                {"error": "..."} where either fails
"""

import json
import os
import sys
import time
from importlib import import_module
from typing import Any

from byhand.bench import child_process
from byhand.bench.benchmarks import BENCHMARKS
from byhand.bench.check import Check, Session


def main() -> None:
    """Serve until the parent ends."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error
    job = json.loads(sys.argv[1])
    peer: Any = None
    session: Session | None = None
    for line in child_process.parent_lines():
        command = json.loads(line)
        try:
            if "line" in command:
                session = None  # its network leaves the memory
                peer = peer or import_module(job["module"]).Peer(**job["settings"])
                session = BENCHMARKS[job["benchmark"]].lines[command["line"]](peer)
                reply = first(session)
            else:
                assert session is not None
                reply = turn(session, command["seconds"])
        except Exception as error:
            first_line = (str(error).strip().splitlines() or [""])[0]
            reply = {"error": f"{type(error).__name__}: {first_line}"[:200]}
        print(json.dumps(reply), file=lines, flush=True)


def first(session: Session) -> dict[str, Any]:
    """Return what a session has to agree upon with those of other sides."""
    check = next(session)
    assert isinstance(check, Check)
    return check._asdict()


def turn(session: Session, seconds: float) -> dict[str, Any]:
    """Return the measurement of one turn, and the CPU seconds of the process for each second of it."""
    wall, cpu = time.perf_counter(), time.process_time()
    value = session.send(seconds)
    return {"value": value, "cores": (time.process_time() - cpu) / (time.perf_counter() - wall)}


if __name__ == "__main__":
    main()
