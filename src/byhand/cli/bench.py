"""`byhand bench`: byhand and its peers on the same benchmarks, in one run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from byhand.bench import BENCHMARKS, history, measure, report
from byhand.bench.runner import ROUNDS
from byhand.bench.runner import TURN_SECONDS as SECONDS
from byhand.cli.command import HAND_CHOICES, MACHINE, OUTPUT, AsJson, check_choice, command, option
from byhand.console import SafeConsole
from byhand.errors import ArgumentError, UnknownNameError
from byhand.ops import DEFAULT_HAND, HANDS
from byhand.translation import translate

SUITE = "onnx-suite"
SCALING = "scaling"


@command(
    "byhand bench lenet5 latency --quick",
    "byhand bench inference --only resnet --only mobilenet --busy",
    "byhand bench lenet5 --record",
    "byhand bench onnx-suite",
    panel=MACHINE,
)
def bench(
    benchmarks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BENCHMARK",
            help=f"Benchmarks: {', '.join(BENCHMARKS)}; or {SUITE}, or {SCALING}, alone.",
            show_default="all but the last two",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        option(
            metavar="TEXT",
            panel=MACHINE,
            help="Measure only lines whose names contain TEXT: a network, a convolution. Give it once for each text.",
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        option(min=1, metavar="N", panel=MACHINE, help="Turns of each framework.", show_default="5, or 1 with --quick"),
    ] = None,
    seconds: Annotated[
        float | None,
        option(
            min=0.01, metavar="NUMBER", panel=MACHINE, help="Length of a turn, in seconds.", show_default=f"{SECONDS:g}"
        ),
    ] = None,
    quick: Annotated[bool, option("--quick", panel=MACHINE, help="One turn of each framework.")] = False,
    busy: Annotated[
        bool, option("--busy", panel=MACHINE, help="Measure on a busy machine: two processes that spin run beside.")
    ] = False,
    hand: Annotated[
        str, option(panel=MACHINE, help=f"byhand's implementation of the ops: {HAND_CHOICES}.")
    ] = DEFAULT_HAND,
    record: Annotated[
        bool, option("--record", panel=OUTPUT, help="Append the results to the history, a line per benchmark.")
    ] = False,
    show_history: Annotated[
        bool, option("--history", panel=OUTPUT, help="Measure nothing; print the last recorded runs.")
    ] = False,
    file: Annotated[
        Path, option("--history-file", panel=OUTPUT, metavar="FILE", help="The file of --record and --history.")
    ] = Path(history.DEFAULT_FILE),
    as_json: AsJson = False,
) -> None:
    """Benchmark byhand beside PyTorch, JAX, onnxruntime, OpenVINO and OpenCV, where they are installed.

    Each framework runs in a process of its own, in turns, with a thread for each core or BYHAND_THREADS of them; of small
    networks also with one, and the faster counts. Medians are printed, and two ratios: float32 to float32, and the best of any
    precision to the best. All benchmarks take more than an hour.

    onnx-suite counts the cases of ONNX's backend test suite that byhand passes, by operator. scaling measures data-parallel
    steps of two ranks, and extrapolates to more machines.
    """
    for name in benchmarks or ():
        if name not in (*BENCHMARKS, SUITE, SCALING) and only and _is_line(name):
            raise ArgumentError(f"there is no benchmark '{name}'; to choose its lines too, write --only {name}")
        if name not in (*BENCHMARKS, SUITE, SCALING):
            raise UnknownNameError("benchmark", name, [*BENCHMARKS, SUITE, SCALING])
    check_choice("--hand", hand, HANDS)
    for single in (SUITE, SCALING):
        if benchmarks and single in benchmarks and len(benchmarks) > 1:
            others = ", ".join(name for name in benchmarks if name != single)
            raise ArgumentError(f"{single} prints a table of its own; run it without {others}")
        if benchmarks == [single]:
            given: dict[str, object] = {"--only": only, "--busy": busy, "--rounds": rounds}
            if single == SUITE:
                given |= {"--seconds": seconds, "--quick": quick}
            if ignored := [name for name, value in given.items() if value]:
                raise ArgumentError(f"{single} takes no {ignored[0]}; leave it out")
    if (record or show_history) and (alone := [name for name in benchmarks or () if name in (SUITE, SCALING)]):
        raise ArgumentError(f"the history holds no {alone[0]}; give it benchmarks: {', '.join(BENCHMARKS)}")
    if record and only:
        raise ArgumentError("the history holds whole benchmarks; give --record without --only")
    console = SafeConsole(stderr=True, soft_wrap=True)

    def progress(line: str) -> None:
        console.print(translate(line))

    if show_history:
        _history(file, benchmarks, as_json, progress)
        return
    if benchmarks == [SUITE]:
        _suite(hand, as_json, progress)
        return
    if benchmarks == [SCALING]:
        from byhand.bench import scaling  # noqa: PLC0415  (other benchmarks don't need it)

        found = scaling.scaling(seconds=seconds or SECONDS, quick=quick, hand=hand, progress=progress)
        print(json.dumps(found) if as_json else scaling.report(found))
        return
    result = measure(
        benchmarks or list(BENCHMARKS),
        rounds=rounds or (1 if quick else ROUNDS),
        seconds=seconds or SECONDS,
        hand=hand,
        busy=busy,
        only=only or (),
        progress=progress,
    )
    if as_json:
        print(json.dumps(result))
    else:
        print(report(result))
    if record:
        rows = history.append(file, benchmarks or list(BENCHMARKS), result, hand)
        progress(f"recorded {rows} {'row' if rows == 1 else 'rows'} in {file}")
    if any("byhand" in line["failed"] for row in result["rows"] for line in row["lines"].values()):
        raise typer.Exit(1)


def _is_line(text: str) -> bool:
    return any(text in line for benchmark in BENCHMARKS.values() for line in benchmark.lines)


def _history(file: Path, benchmarks: list[str] | None, as_json: bool, progress: Callable[[str], None]) -> None:
    rows, bad = history.read(file)
    if bad:
        progress(history.bad_lines(file, bad))
    rows = [row for row in rows if not benchmarks or row["benchmark"] in benchmarks]
    print(json.dumps(rows) if as_json else history.table(rows) or translate(f"{file} holds no such run"))


def _suite(hand: str, as_json: bool, progress: Callable[[str], None]) -> None:
    from byhand.bench import onnx_suite  # noqa: PLC0415  (needs the package onnx)

    results = onnx_suite.suite(hand, progress)
    print(json.dumps(onnx_suite.summary(results)) if as_json else onnx_suite.report(results))
    if any(result.outcome == onnx_suite.FAILED and result.case.known for result in results):
        raise typer.Exit(1)
