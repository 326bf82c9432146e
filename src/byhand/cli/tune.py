"""`byhand tune`: measure convolution algorithms on this machine, and keep the table by which they are chosen."""

import json
import os
from typing import Annotated

import typer

from byhand.cli.command import MACHINE, OUTPUT, AsJson, check_native, command, option
from byhand.cli.progress_bar import ProgressBar
from byhand.console import say, table_lines, wrapped
from byhand.kernels import mode
from byhand.kernels.conv import tuning
from byhand.kernels.conv.problem import PASSES
from byhand.kernels.conv.tuning import Factors

BUSY_EXIT_CODE = 1
TASK = "measuring convolutions"
LEGEND = (
    "A factor above 1: the algorithm is slower here than its estimate says, compared with direct and packed; below 1: faster. "
    "1: as estimated, or the convolutions measured disagree. Algorithms that are not listed (sparse, depthwise, gemv, "
    "transposed) are not tuned."
)


@command("byhand tune", "byhand tune --forget", panel=MACHINE)
def tune(
    forget: Annotated[bool, option("--forget", panel=OUTPUT, help="Delete the table: estimates choose.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the convolution algorithms that compete on this machine, and keep the table by which programs choose.

    It takes about ten seconds; close other programs first. Where the machine is too busy to be measured, no table is kept, and
    the exit code is 1. A training records the table in its run; a resumed one goes on with it.
    """
    if forget:
        _forget(as_json)
        return
    from byhand.kernels.conv import tuning_measurement  # noqa: PLC0415  (no other command needs it)

    check_native(mode())
    tuning.check_folder()
    problems, measurements = tuning_measurement.problems(), []
    bar = ProgressBar(quiet=as_json)
    try:
        for done, (problem, shape) in enumerate(problems):
            bar.update(done, len(problems), TASK)
            measurements.append(tuning_measurement.measure(tuning_measurement.competitors(problem), problem, shape))
    finally:
        bar.close()
    factors, spread = tuning_measurement.fit(measurements), tuning_measurement.spread(measurements)
    is_busy = spread > tuning_measurement.MAX_SPREAD
    if not is_busy:
        tuning.keep(factors)
    path = str(tuning.table_path())
    if as_json:
        print(json.dumps({"file": None if is_busy else path, "factors": factors, "spread": round(spread, 3)}))
    elif not is_busy:
        _print(factors)
        say(f"the table is kept in {path}")
        if os.environ.get("BYHAND_TUNING") == "off":
            say("BYHAND_TUNING is off: until it is unset, the table is not used")
    if is_busy:
        say(
            f"byhand: the machine is too busy to be measured: the same convolution took {spread:.0%} longer at most times than "
            "at its fastest; no table is kept; close other programs and try again",
            error=True,
        )
        raise typer.Exit(BUSY_EXIT_CODE)


def _forget(as_json: bool) -> None:
    was_there = tuning.forget()
    if as_json:
        print(json.dumps({"file": str(tuning.table_path()), "deleted": was_there}))
    else:
        say("the table is deleted" if was_there else "there is no table to delete")


def _print(factors: Factors) -> None:
    rows = [
        (name, *(f"{passes[key]:.2f}" if key in passes else "-" for key in PASSES)) for name, passes in factors.items()
    ]
    print("\n".join(table_lines(rows, left=1, heads=("algorithm", *PASSES))))
    print(wrapped(LEGEND))
