"""`byhand trace`: what every layer makes of a picture, in a table; or one layer's maps, drawn."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from byhand import nn
from byhand.cli.model_argument import MODEL, Mean, Size, Std, open_model, reader, settle, tensor_names, tensor_of
from byhand.errors import ArgumentError, FileError
from byhand.graph.graph import show
from byhand.ops.op import Array

BROKEN = "  <- NaN or infinity"
MOST = 64  # maps that are drawn


def trace(
    model: Annotated[str, typer.Argument(help=MODEL)],
    image: Annotated[Path, typer.Argument(help="a picture")],
    layer: Annotated[str | None, typer.Option(help="draw what this layer gives; as ONNX calls it will do")] = None,
    out: Annotated[Path | None, typer.Option(help="of the drawing: its file  [LAYER.png]")] = None,
    each: Annotated[bool, typer.Option("--each", help="a scale of colours a map, not one for all")] = False,
    most: Annotated[int, typer.Option(help="how many maps are drawn, the most active ones")] = MOST,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
) -> None:
    """Tell what every layer makes of a picture, or draw what one layer gives: a map a channel, or a vector's bars.

    A picture becomes a network's numbers as `byhand predict` says.
    """
    if layer is None and (out is not None or each or most != MOST):
        raise ArgumentError("--out, --each and --most are of a drawing; give --layer NAME with them")
    network = open_model(model, size)
    name = None if layer is None else tensor_of(network, layer)
    file = Path(f"{name}.png") if out is None else out
    if name is not None and file.exists():
        raise FileError(f"{file} exists already; choose another file with --out")
    pixels = reader(network)(image)
    settle(network, model, mean, std)
    values = network.trace(pixels[None])
    if name is None:
        print(_table(network, values))
    else:
        _draw(network, name, values[name][0], file, each, most, image)


def _table(network: nn.Model, values: dict[str, Array]) -> str:
    ops = {node.output.name: node.op.name for node in network.graph.nodes}
    rows: list[tuple[str, ...]] = [("layer", "op", "shape", "smallest", "mean", "largest", "zeros")]
    marks = [""]
    for name in tensor_names(network):
        array = values[name]
        good = array[np.isfinite(array)].astype(np.float64)
        figures = [f"{figure:.4g}" for figure in (good.min(), good.mean(), good.max())] if good.size else ["-"] * 3
        shape = show(network.graph.tensors[name])
        rows.append((name, ops.get(name, "input"), shape, *figures, f"{np.mean(array == 0):.1%}"))
        marks.append("" if good.size == array.size else BROKEN)
    widths = [max(len(row[i]) for row in rows) for i in range(7)]
    lines = [
        "  ".join(cell.ljust(width) if i < 3 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths)))
        for row in rows
    ]
    return "\n".join(line.rstrip() + mark for line, mark in zip(lines, marks))


def _draw(network: nn.Model, name: str, values: Array, file: Path, each: bool, most: int, image: Path) -> None:
    from byhand.report import draw_maps  # noqa: PLC0415  (matplotlib is slow to import)

    scored = name in (network.output.name, network.logits.name)
    names = network.classes if scored else ()
    draw_maps(values, file, f"{network.name}, {name}, of {image.name}", each=each, most=most, names=names)
    print(f"wrote {file}")
