"""`byhand bench`: byhand beside its peers, measured in one run."""

import json
from typing import Annotated

import typer
from rich.console import Console

from byhand.bench import WORKS, measure
from byhand.errors import UnknownNameError


def bench(
    works: Annotated[
        list[str] | None, typer.Argument(metavar="[WORK...]", help=f"{', '.join(WORKS)}; by default all")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="how often each side has its turn")] = 5,
    seconds: Annotated[float, typer.Option(min=0.01, help="a turn's length")] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else")] = False,
) -> None:
    """Measure training steps beside PyTorch.

    Both take turns in one run; medians and ratios are printed. Without PyTorch, byhand is measured alone.
    """
    for name in works or ():
        if name not in WORKS:
            raise UnknownNameError("work", name, WORKS)
    console = Console(stderr=True, highlight=False)
    result = measure(
        works or list(WORKS), rounds=rounds, seconds=seconds, tell=lambda line: console.print(f"measuring: {line}")
    )
    if as_json:
        print(json.dumps(result))
        return
    print(result["machine"])
    for row in result["rows"]:
        print(f"\n{row['work']:46}{row['unit']:>10}")
        for name, rate in {**row["hands"], **row["peers"]}.items():
            print(f"  {name:44}{rate:10,.0f}")
        if row["ratio"] is None:
            print("  no peer is installed: make bench asks for PyTorch")
        else:
            print(f"  {'byhand / best peer':44}{row['ratio']:10.2f}")
