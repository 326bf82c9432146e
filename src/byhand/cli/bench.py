"""`byhand bench`: byhand beside its peers, measured in one run."""

import json
from typing import Annotated

import typer
from rich.console import Console

from byhand.bench import WORKS, measure, table
from byhand.errors import UnknownNameError
from byhand.ops import DEFAULT_HAND, HANDS


def bench(
    works: Annotated[
        list[str] | None, typer.Argument(metavar="[WORK...]", help=f"{', '.join(WORKS)}; by default all")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="how often each side has its turn")] = 5,
    seconds: Annotated[float, typer.Option(min=0.01, help="a turn's length")] = 0.5,
    quick: Annotated[bool, typer.Option("--quick", help="one round")] = False,
    hand: Annotated[str, typer.Option(help=f"who computes for byhand: {' or '.join(HANDS)}")] = DEFAULT_HAND,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else")] = False,
) -> None:
    """Measure byhand beside PyTorch, JAX and onnxruntime, where they are installed.

    Each in a process of its own, in turns; medians and ratios are printed. All of it takes the better part of an hour.
    """
    for name in works or ():
        if name not in WORKS:
            raise UnknownNameError("work", name, WORKS)
    if hand not in HANDS:
        raise UnknownNameError("hand", hand, HANDS)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
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
