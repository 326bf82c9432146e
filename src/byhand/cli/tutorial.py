"""`byhand tutorial`: the article's two programs."""

import json
from typing import Annotated

import typer

from byhand.tutorial import HANDS, run


def tutorial(
    hand: Annotated[str, typer.Option(help=f"who computes: {' or '.join(HANDS)}")] = "compiled",
    seed: Annotated[int, typer.Option(help="where the random numbers start")] = 0,
    images: Annotated[int, typer.Option(help="how many images of each set")] = 1000,
    epochs: Annotated[int, typer.Option(help="how often the training images are gone through")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object at the end, and nothing else")] = False,
) -> None:
    """Run the article's own program, an image at a time."""
    result = run(hand=hand, seed=seed, images=images, epochs=epochs, say=_silent if as_json else _say)
    if as_json:
        print(json.dumps(result))


def _say(line: str) -> None:
    print(line, flush=True)


def _silent(line: str) -> None:
    pass
