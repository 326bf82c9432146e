"""`byhand bench`: byhand and its peers on the same workloads, in one run."""

import json
from typing import Annotated

import typer
from rich.console import Console

from byhand.bench import WORKS, measure, table
from byhand.cli.command import AsJson, command, option
from byhand.errors import ArgumentError, UnknownNameError
from byhand.ops import DEFAULT_HAND, HANDS

SUITE, SCALING = "onnx-suite", "scaling"
MEASUREMENT = "Measurement"


@command("byhand bench lenet5 latency --quick", "byhand bench onnx-suite", panel="Machine")
def bench(
    works: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORKLOAD",
            help=f"Workloads: {', '.join(WORKS)}; or {SUITE}, or {SCALING}, alone.",
            show_default="all but the last two",
        ),
    ] = None,
    rounds: Annotated[int, option(min=1, panel=MEASUREMENT, help="Turns of each framework.")] = 5,
    seconds: Annotated[float, option(min=0.01, panel=MEASUREMENT, help="Length of a turn, in seconds.")] = 0.5,
    quick: Annotated[bool, option("--quick", panel=MEASUREMENT, help="One round.")] = False,
    hand: Annotated[
        str, option(panel=MEASUREMENT, help=f"byhand's implementation of the ops: {' or '.join(HANDS)}.")
    ] = DEFAULT_HAND,
    as_json: AsJson = False,
) -> None:
    """Benchmark byhand beside PyTorch, JAX and onnxruntime, where they are installed.

    Each framework runs in a process of its own, in turns; medians and ratios are printed. All workloads take almost an hour.
    onnx-suite counts the cases of ONNX's backend test suite that byhand passes, by operator. scaling measures data-parallel
    steps of two ranks, and extrapolates to more machines.
    """
    for name in works or ():
        if name not in (*WORKS, SUITE, SCALING):
            raise UnknownNameError("workload", name, [*WORKS, SUITE, SCALING])
    if hand not in HANDS:
        raise UnknownNameError("hand", hand, HANDS)
    for alone in (SUITE, SCALING):
        if works and alone in works and len(works) > 1:
            others = ", ".join(name for name in works if name != alone)
            raise ArgumentError(f"{alone} prints a table of its own; run it without {others}")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if works == [SUITE]:
        _suite(hand, as_json, console)
        return
    if works == [SCALING]:
        from byhand.bench import scaling  # noqa: PLC0415  (other workloads don't need it)

        found = scaling.scaling(seconds=seconds, quick=quick, hand=hand, tell=console.print)
        print(json.dumps(found) if as_json else scaling.report(found))
        return
    result = measure(
        works or list(WORKS), rounds=1 if quick else rounds, seconds=seconds, hand=hand, tell=console.print
    )
    if as_json:
        print(json.dumps(result))
    else:
        print(result["machine"])
        for row in result["rows"]:
            print(f"\n{table(row)}")
    if any("byhand" in row["failed"] for row in result["rows"]):
        raise typer.Exit(1)


def _suite(hand: str, as_json: bool, console: Console) -> None:
    from byhand.bench import onnx_suite  # noqa: PLC0415  (needs the package onnx)

    results = onnx_suite.suite(hand, console.print)
    print(json.dumps(onnx_suite.summary(results)) if as_json else onnx_suite.report(results))
    if any(result.outcome == onnx_suite.FAILED and result.case.known for result in results):
        raise typer.Exit(1)
