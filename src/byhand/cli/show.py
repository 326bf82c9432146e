"""`byhand show`: a network's layers, a drawing of them, or the program that trains it."""

from pathlib import Path
from typing import Annotated

import typer

from byhand import nn
from byhand.cli.model_argument import MODEL, Size, open_model
from byhand.errors import ArgumentError, FileError
from byhand.ops import DEFAULT_HAND, HANDS
from byhand.train import SGD, Trainer


def show(
    model: Annotated[str, typer.Argument(help=MODEL)],
    graph: Annotated[bool, typer.Option("--graph", help="draw the layers and what they read, as SVG")] = False,
    out: Annotated[Path | None, typer.Option(help="of the drawing: its file  [MODEL.svg]")] = None,
    program: Annotated[bool, typer.Option("--program", help="the generated training program instead")] = False,
    batch_size: Annotated[int, typer.Option(help="of the program")] = 64,
    hand: Annotated[str, typer.Option(help=f"of the program: {' or '.join(HANDS)}")] = DEFAULT_HAND,
    size: Size = None,
) -> None:
    """Show a network's layers, a drawing of them, or the program that trains it."""
    if graph and program:
        raise ArgumentError("show draws the graph or prints the program; give --graph or --program")
    if out is not None and not graph:
        raise ArgumentError("--out is the file of a drawing; give --graph with it")
    network = open_model(model, size)
    if graph:
        _draw(network, Path(f"{network.name}.svg") if out is None else out)
    elif program:
        trainer = Trainer(network, SGD(lr=0.1, momentum=0.9), batch_size=batch_size, hand=hand)
        print(trainer.program(), end="")
    else:
        print(network.summary())


def _draw(network: nn.Model, path: Path) -> None:
    from byhand.report import draw_graph  # noqa: PLC0415  (matplotlib, which report's other pictures need, is slow to import)

    if path.exists():
        raise FileError(f"{path} exists already; choose another file with --out")
    draw_graph(network, path)
    print(f"wrote {path}, which any browser shows")
