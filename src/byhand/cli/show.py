"""`byhand show`: a network's layers, or the program that trains it."""

from pathlib import Path
from typing import Annotated

import typer

from byhand import models, nn
from byhand.ops import DEFAULT_HAND, HANDS
from byhand.train import SGD, Trainer


def show(
    model: Annotated[
        str, typer.Argument(help="an architecture (`byhand models` lists them), a run's folder or a model's file")
    ],
    program: Annotated[bool, typer.Option("--program", help="the generated training program instead")] = False,
    batch_size: Annotated[int, typer.Option(help="of the program")] = 64,
    hand: Annotated[str, typer.Option(help=f"of the program: {' or '.join(HANDS)}")] = DEFAULT_HAND,
) -> None:
    """Show a network's layers, or the program that trains it."""
    network = open_model(model)
    if program:
        trainer = Trainer(network, SGD(lr=0.1, momentum=0.9), batch_size=batch_size, hand=hand)
        print(trainer.program(), end="")
    else:
        print(network.summary())


def open_model(name: str) -> nn.Model:
    """Return a new model of an architecture, or the one in a run's folder or a file."""
    if name in models.names() or not (Path(name).exists() or "/" in name or "." in name):
        return models.create(name)
    return nn.load(name)
