"""`byhand trace`: statistics of every layer's output for one image, or one layer's feature maps, drawn."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from byhand import nn
from byhand.cli.command import (
    ANY_MODEL,
    MODEL,
    OUTPUT,
    ImageSize,
    Mean,
    PixelRangeText,
    Reader,
    Std,
    command,
    option,
    output_option,
)
from byhand.cli.model_argument import image_reader, open_model, resolve_preprocessing, tensor_names, tensor_of
from byhand.errors import ArgumentError, FileError
from byhand.graph.graph import show
from byhand.ops.op import Array

NOT_FINITE_MARK = "  <- NaN or infinity"
DEFAULT_MAX_MAPS = 64
COLUMNS = ("layer", "op", "shape", "smallest", "mean", "largest", "zeros")
TEXT_COLUMNS = 3  # of the above, aligned to the left


@command(
    "byhand trace lenet5 digit.png",
    "byhand trace model.onnx photo.jpg --layer features_0 -o maps.png",
    panel=MODEL,
)
def trace(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=ANY_MODEL)],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image.")],
    layer: Annotated[
        str | None, option(panel=OUTPUT, help="Draw the output of this layer, by its name in byhand or in ONNX.")
    ] = None,
    output: Annotated[Path | None, output_option("PNG file of --layer.", "LAYER.png")] = None,
    scale_each: Annotated[
        bool, option("--scale-each", panel=OUTPUT, help="Give each map a color scale of its own.")
    ] = False,
    max_maps: Annotated[
        int, option(panel=OUTPUT, help="Number of maps to draw, the most active ones.")
    ] = DEFAULT_MAX_MAPS,
    mean: Mean = None,
    std: Std = None,
    reader: Reader = None,
    pixel_range: PixelRangeText = None,
    size: ImageSize = None,
) -> None:
    """Print the range, mean and fraction of zeros of every layer's output for an image, or draw one layer's output.

    Feature maps are drawn one per channel, vectors as bars. The image is preprocessed as by `byhand predict`.
    """
    if layer is None and (output is not None or scale_each or max_maps != DEFAULT_MAX_MAPS):
        raise ArgumentError("--output, --scale-each and --max-maps are of a drawing; give --layer NAME with them")
    network = open_model(model, size)
    name = None if layer is None else tensor_of(network, layer, model)
    path = Path(f"{name}.png") if output is None else output
    if name is not None and path.exists():
        raise FileError(f"{path} exists already; choose another file with --output")
    note = resolve_preprocessing(network, model, mean, std, None, reader, pixel_range)
    pixels = image_reader(network, note)(image)
    values = network.trace(pixels[None])
    if name is None:
        print(_table(network, values))
        return
    from byhand.report import draw_feature_maps  # noqa: PLC0415  (byhand.report imports matplotlib, which is slow)

    names = network.classes if name in (network.output.name, network.logits.name) else ()
    title = f"{network.name}, {name}, of {image.name}"
    draw_feature_maps(values[name][0], path, title, scale_each=scale_each, max_maps=max_maps, names=names)
    print(f"wrote {path}")


def _table(network: nn.Model, values: dict[str, Array]) -> str:
    ops = {node.output.name: node.op.name for node in network.graph.nodes}
    rows: list[tuple[str, ...]] = [COLUMNS]
    marks = [""]
    for name in tensor_names(network):
        array = values[name]
        finite = array[np.isfinite(array)].astype(np.float64)
        statistics = ["-"] * 3
        if finite.size:
            statistics = [f"{value:.4g}" for value in (finite.min(), finite.mean(), finite.max())]
        shape = show(network.graph.tensors[name])
        rows.append((name, ops.get(name, "input"), shape, *statistics, f"{np.mean(array == 0):.1%}"))
        marks.append("" if finite.size == array.size else NOT_FINITE_MARK)
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = []
    for row, mark in zip(rows, marks):
        cells = [
            cell.ljust(width) if i < TEXT_COLUMNS else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip() + mark)
    return "\n".join(lines)
