"""`byhand explain`: where in a picture a network sees what it says."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from byhand import nn
from byhand.cli.model_argument import (
    Mean,
    Size,
    Std,
    check_classifier,
    open_model,
    plain,
    reader,
    settle,
    spelled,
    tensor_of,
)
from byhand.errors import ArgumentError, FileError, UnknownNameError
from byhand.models import TRAINED
from byhand.ops.op import Array

if TYPE_CHECKING:
    from byhand.report.explain import Explanation


def explain(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help=f"a run's folder, a model's file (ONNX too), or {', '.join(TRAINED)}"),
    ],
    image: Annotated[Path, typer.Argument(help="a picture")],
    name: Annotated[
        str | None, typer.Option("--class", help="what to look for, its name or number  [the most probable]")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="whose maps Grad-CAM weighs; as ONNX calls it will do")] = None,
    out: Annotated[Path | None, typer.Option(help="the drawing's file  [IMAGE-explained.png]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else")] = False,
    labels: Annotated[Path | None, typer.Option(help="a file with the names of the classes, one a line")] = None,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
) -> None:
    """Draw where in a picture a network sees what it says: Grad-CAM, saliency, occlusion, its filters and maps.

    A picture becomes a network's numbers as `byhand predict` says.
    """
    file = Path(f"{image.stem}-explained.png") if out is None else out
    if file.exists():
        raise FileError(f"{file} exists already; choose another file with --out")
    network = open_model(model, size, trained=True)
    check_classifier(network, model, image)
    read = reader(network)
    settle(network, model, mean, std, labels)
    index = None if name is None else class_number(network.classes, name)
    asked = None if layer is None else tensor_of(network, layer)
    pixels = read(image)
    from byhand.report.explain import explain as explained  # noqa: PLC0415  (report brings matplotlib, slow to import)
    from byhand.report.explanation import draw_explanation  # noqa: PLC0415

    found = explained(network, pixels, index, layer=asked)
    draw_explanation(found, file, f"{image.name} in {network.name}")
    if as_json:
        print(json.dumps({"image": str(image), "model": network.name} | _facts(found) | {"file": str(file)}))
    else:
        for head, text in _told(found, network, asked is not None):
            print(plain(f"{head:9}  {text}"))
        print(f"wrote {file}: {', '.join(_parts(found))}")


def class_number(classes: tuple[str, ...], name: str) -> int:
    """Return the number of a class by its name, by one of its names where it has several, or by its number.

    >>> class_number(("tench, Tinca tinca", "goldfish"), "tench"), class_number(("cat", "dog"), "1")
    (0, 1)
    """
    if name in classes:
        return classes.index(name)
    names = [[one.strip() for one in names.split(",")] for names in classes]
    found = [i for i, several in enumerate(names) if name.lower() in [one.lower() for one in several]]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        raise ArgumentError(
            f"{len(found)} classes are called {name}: the numbers {', '.join(map(str, found))}; give one"
        )
    if name.isascii() and name.isdecimal() and int(name[:9]) < len(classes):
        return int(name[:9])
    raise UnknownNameError("class", name, {one for several in names for one in several})


def _told(found: "Explanation", network: nn.Model, asked: bool) -> list[tuple[str, str]]:
    """Return what was found, as (what, in words)."""
    lines = [("class", f"{found.name} (number {found.index} of {len(network.classes):,}), {found.probability:.1%}")]
    if found.cam is None or found.maps is None:
        lines.append(("layer", f"none: no layer of {network.name} has maps, so there is no Grad-CAM"))
    else:
        why = "as asked" if asked else f"the last layer with maps before {' and '.join(found.after)}"
        lines.append(("layer", f"{found.layer}, {spelled(found.maps.shape)}: {why}"))
        seen = f"brightest at {_place(found.cam.argmax(), found.cam)}"
        lines.append(("Grad-CAM", seen if found.cam.max() > 0 else f"empty: nothing in {found.layer} speaks for it"))
    lines.append(("saliency", f"largest at {_place(found.saliency.argmax(), found.saliency)}"))
    lowest = f"{found.occlusion.min():.1%} at {_place(found.occlusion.argmin(), found.occlusion)}"
    lines.append(("occlusion", f"a grey patch of {spelled(found.patch)} leaves {lowest}"))
    return lines


def _parts(found: "Explanation") -> list[str]:
    """Return what the drawing holds."""
    parts = ["the picture", *(["Grad-CAM"] if found.cam is not None else []), "saliency", "occlusion"]
    parts += ["the first filters"] if found.filters is not None else []
    return parts + (["the most active maps"] if found.maps is not None else [])


def _facts(found: "Explanation") -> dict[str, Any]:
    """Return what was found, as JSON says it; places are (row, column), from 0."""
    facts: dict[str, Any] = {"class": found.name, "index": found.index, "probability": found.probability}
    facts["layer"] = facts["grad_cam"] = None
    if found.cam is not None and found.maps is not None:
        facts["layer"] = {"name": found.layer, "shape": list(found.maps.shape), "before": list(found.after)}
        facts["grad_cam"] = {"brightest": _at(found.cam.argmax(), found.cam) if found.cam.max() > 0 else None}
    facts["saliency"] = {"largest": _at(found.saliency.argmax(), found.saliency)}
    lowest = {"probability": float(found.occlusion.min()), "at": _at(found.occlusion.argmin(), found.occlusion)}
    return facts | {"occlusion": {"patch": list(found.patch), "lowest": lowest}, "holds": _parts(found)}


def _at(flat: Any, array: Array) -> list[int]:
    return [int(i) for i in np.unravel_index(flat, array.shape)]


def _place(flat: Any, array: Array) -> str:
    row, column = _at(flat, array)
    return f"row {row}, column {column}"
