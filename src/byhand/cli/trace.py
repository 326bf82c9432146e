"""`byhand trace`: statistics of every layer's output for one image, or one layer's feature maps, drawn."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from byhand import nn
from byhand.cli.command import (
    ANY_MODEL,
    MODEL,
    OUTPUT,
    AsJson,
    ImageSize,
    Labels,
    Mean,
    OutputName,
    PixelRangeText,
    Reader,
    Std,
    Task,
    command,
    complete_architecture,
    option,
    output_option,
)
from byhand.cli.model_argument import image_reader, open_model, resolve_preprocessing, tensor_names, tensor_of
from byhand.cli.output_file import check_output
from byhand.console import say, table_lines
from byhand.errors import ArgumentError
from byhand.ops.op import Array
from byhand.translation import translate

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
    model: Annotated[str, typer.Argument(metavar="MODEL", help=ANY_MODEL, autocompletion=complete_architecture)],
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
    labels: Labels = None,
    mean: Mean = None,
    std: Std = None,
    reader: Reader = None,
    pixel_range: PixelRangeText = None,
    size: ImageSize = None,
    output_name: OutputName = None,
    task: Task = None,
    as_json: AsJson = False,
) -> None:
    """Print the range, mean and fraction of zeros of every layer's output for an image, or draw one layer's output.

    Feature maps are drawn one per channel, vectors as bars. The image is preprocessed as by `byhand predict`.
    """
    if layer is None and (output is not None or scale_each or max_maps != DEFAULT_MAX_MAPS):
        raise ArgumentError("--output, --scale-each and --max-maps are of a drawing; give --layer NAME with them")
    if layer is not None and as_json:
        raise ArgumentError("--json prints the table, --layer draws an image; give one of them")
    network = open_model(model, size, output=output_name, task=task, labels=labels)
    name = None if layer is None else tensor_of(network, layer, model)
    path = Path(f"{name}.png") if output is None else output
    note = resolve_preprocessing(network, model, mean, std, labels, reader, pixel_range)
    pixels = image_reader(network, note)(image)
    if name is not None:
        check_output(path)
    values = network.trace(pixels[None])
    if name is None:
        rows = _rows(network, values)
        print(json.dumps({"model": network.name, "image": str(image), "layers": rows}) if as_json else _table(rows))
        return
    from byhand.report import draw_feature_maps  # noqa: PLC0415  (byhand.report imports matplotlib, which is slow)

    names = network.classes[1:] if network.answer.binary else network.classes
    is_answer = name in (network.output.name, network.logits.name) and len(names) == values[name][0].size
    title = f"{image.name}: output of {name} in {network.name}"
    draw_feature_maps(
        values[name][0], path, title, scale_each=scale_each, max_maps=max_maps, names=names if is_answer else ()
    )
    say(f"wrote {path}")


def _rows(network: nn.Model, values: dict[str, Array]) -> list[dict[str, Any]]:
    """Return the statistics of each layer's output, in the order of execution, as --json prints them.

    smallest, mean and largest are those of the finite numbers, None where there are none; zeros and not_finite are
    fractions of all numbers.
    """
    ops = {node.output.name: node.op.name for node in network.graph.nodes}
    rows = []
    for name in tensor_names(network):
        array = values[name]
        finite = array[np.isfinite(array)].astype(np.float64)
        statistics = [finite.min(), finite.mean(), finite.max()] if finite.size else [None] * 3
        row = dict(zip(("smallest", "mean", "largest"), (x if x is None else float(x) for x in statistics)))
        fractions = {"zeros": float(np.mean(array == 0)), "not_finite": 1 - finite.size / array.size}
        shape = list(network.graph.tensors[name].shape[1:])
        rows.append({"layer": name, "op": ops.get(name, "input"), "shape": shape, **row, **fractions})
    return rows


def _table(rows: list[dict[str, Any]]) -> str:
    marks = ["", *(translate(NOT_FINITE_MARK) if row["not_finite"] else "" for row in rows)]
    return "\n".join(table_lines(list(map(_cells, rows)), left=TEXT_COLUMNS, heads=COLUMNS, ends=marks))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    statistics = ["-" if row[name] is None else f"{row[name]:.4g}" for name in ("smallest", "mean", "largest")]
    shape = f"({', '.join(map(str, ['N', *row['shape']]))})"
    return row["layer"], row["op"], shape, *statistics, f"{row['zeros']:.1%}"
