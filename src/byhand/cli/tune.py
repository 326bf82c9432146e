"""`byhand tune`: measure convolution algorithms on this machine, and keep the table by which they are chosen."""

import json
from typing import Annotated

from byhand.cli.command import MACHINE, OUTPUT, AsJson, command, option
from byhand.cli.progress_bar import ProgressBar
from byhand.console import say, table_lines

HEAD = ("algorithm", "forward", "backward_data", "backward_weights")
TASK = "measuring convolutions"


@command("byhand tune", "byhand tune --forget", panel=MACHINE)
def tune(
    forget: Annotated[bool, option("--forget", panel=OUTPUT, help="Delete the table: estimates choose.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the convolution algorithms that compete on this machine, and keep the table by which programs choose.

    A factor above 1: the algorithm is slower here than its estimate says, compared with the others. A training records the
    table in its run; a resumed one goes on with it.
    """
    from byhand.kernels.conv import algorithm, tuning  # noqa: PLC0415  (no other command needs it)

    if forget:
        say("the table is deleted" if tuning.forget() else "there is no table to delete")
        return
    problems, measurements = tuning.problems(), []
    bar = ProgressBar(quiet=as_json)
    try:
        for done, (problem, shape) in enumerate(problems):
            bar.update(done, len(problems), TASK)
            able = [found for found in algorithm.ALGORITHMS.values() if algorithm.supports(found, problem)]
            measurements += tuning.measure(able, problem, shape)
    finally:
        bar.close()
    factors = tuning.fit(measurements)
    tuning.keep(factors)
    if as_json:
        print(json.dumps({"file": str(tuning.table_path()), "factors": factors}))
        return
    rows = [
        (name, *(f"{passes[key]:.2f}" if key in passes else "-" for key in HEAD[1:]))
        for name, passes in factors.items()
    ]
    print("\n".join(table_lines(rows, left=1, heads=HEAD)))
    say(f"the table is kept in {tuning.table_path()}")
