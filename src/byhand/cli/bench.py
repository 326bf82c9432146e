"""`byhand bench`: byhand beside its peers, measured in one run."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from byhand.bench import BENCHMARKS, history, measure, table
from byhand.errors import ArgumentError, UnknownNameError
from byhand.ops import DEFAULT_HAND, HANDS

SUITE, SCALING = "onnx-suite", "scaling"


def bench(
    works: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BENCHMARK...]", help=f"{', '.join(BENCHMARKS)}, by default all; or {SUITE}, or {SCALING}"
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="how often each side has its turn")] = 5,
    seconds: Annotated[float, typer.Option(min=0.01, help="a turn's length")] = 0.5,
    quick: Annotated[bool, typer.Option("--quick", help="one round")] = False,
    hand: Annotated[str, typer.Option(help=f"who computes for byhand: {' or '.join(HANDS)}")] = DEFAULT_HAND,
    record: Annotated[
        bool, typer.Option("--record", help="append the results to the history, a line a benchmark")
    ] = False,
    show_history: Annotated[
        bool, typer.Option("--history", help="measure nothing: print the last runs recorded")
    ] = False,
    file: Annotated[
        Path, typer.Option("--history-file", metavar="FILE", help="the file of --record and --history")
    ] = Path(history.DEFAULT_FILE),
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else")] = False,
) -> None:
    """Measure byhand beside PyTorch, JAX and onnxruntime, where they are installed.

    Each in a process of its own, in turns; medians and ratios are printed. All of it takes the better part of an hour.
    `onnx-suite` counts instead: which cases of ONNX's own suite byhand passes, by operator. `scaling` measures steps that
    two ranks share, and says what many machines would give.

    Examples: byhand bench lenet5 --record; byhand bench --history.
    """
    for name in works or ():
        if name not in (*BENCHMARKS, SUITE, SCALING):
            raise UnknownNameError("benchmark", name, [*BENCHMARKS, SUITE, SCALING])
    if hand not in HANDS:
        raise UnknownNameError("hand", hand, HANDS)
    if (record or show_history) and (others := [name for name in works or () if name in (SUITE, SCALING)]):
        raise ArgumentError(f"the history holds no {others[0]}; give it benchmarks: {', '.join(BENCHMARKS)}")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if show_history:
        _history(file, works, as_json, console)
        return
    if works and SUITE in works:
        if len(works) > 1:
            raise ArgumentError(
                f"{SUITE} measures no time; run it without {', '.join(one for one in works if one != SUITE)}"
            )
        _suite(hand, as_json, console)
        return
    if works and SCALING in works:
        if len(works) > 1:
            raise ArgumentError(
                f"{SCALING} has a table of its own; run it without {', '.join(one for one in works if one != SCALING)}"
            )
        from byhand.bench import scaling  # noqa: PLC0415  (the others need none of it)

        found = scaling.scaling(seconds=seconds, quick=quick, hand=hand, tell=console.print)
        print(json.dumps(found) if as_json else scaling.report(found))
        return
    result = measure(
        works or list(BENCHMARKS), rounds=1 if quick else rounds, seconds=seconds, hand=hand, tell=console.print
    )
    if as_json:
        print(json.dumps(result))
    else:
        print(result["machine"])
        for row in result["rows"]:
            print(f"\n{table(row)}")
    if record:
        rows = history.append(file, works or list(BENCHMARKS), result, hand)
        console.print(f"recorded {rows} {'row' if rows == 1 else 'rows'} in {file}", markup=False)
    if any("byhand" in row["failed"] for row in result["rows"]):
        raise typer.Exit(1)


def _history(file: Path, works: list[str] | None, as_json: bool, console: Console) -> None:
    rows, bad = history.read(file)
    if bad:
        console.print(history.bad_lines(file, bad), markup=False)
    rows = [row for row in rows if not works or row["benchmark"] in works]
    print(json.dumps(rows) if as_json else history.table(rows) or f"{file} holds no such run")


def _suite(hand: str, as_json: bool, console: Console) -> None:
    from byhand.bench import onnx_suite  # noqa: PLC0415  (it needs the package onnx)

    results = onnx_suite.suite(hand, console.print)
    print(json.dumps(onnx_suite.summary(results)) if as_json else onnx_suite.report(results))
    if any(one.outcome == onnx_suite.FAILED and one.case.known for one in results):
        raise typer.Exit(1)
