"""`byhand explain`: attribution maps of a prediction: Grad-CAM, saliency and occlusion."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byhand import nn
from byhand.cli.command import (
    MODEL,
    TRAINED_MODEL,
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
    complete_pretrained,
    option,
    output_option,
)
from byhand.cli.model_argument import (
    check_classifier,
    format_shape,
    image_reader,
    open_model,
    resolve_preprocessing,
    tensor_of,
)
from byhand.cli.output_file import check_output
from byhand.cli.progress_bar import ProgressBar
from byhand.console import pad, say
from byhand.errors import ArgumentError, UnknownNameError
from byhand.text import printable
from byhand.translation import translate

if TYPE_CHECKING:
    from byhand.report.explain import Explanation


@command(
    "byhand explain runs/efficientnet_lite0-photos bee.jpg",
    "byhand explain efficientnet_lite0 dog.jpg --class collie",
    panel=MODEL,
)
def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=TRAINED_MODEL, autocompletion=complete_pretrained)],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image.")],
    name: Annotated[
        str | None,
        option(
            "--class",
            panel=MODEL,
            help="Class to explain, by name or number; of a regression, the number's position.",
            show_default="the most probable",
        ),
    ] = None,
    layer: Annotated[
        str | None,
        option(
            panel=MODEL,
            help="Layer of Grad-CAM, by its name in byhand or in ONNX.",
            show_default="the last with feature maps",
        ),
    ] = None,
    labels: Labels = None,
    mean: Mean = None,
    std: Std = None,
    reader: Reader = None,
    pixel_range: PixelRangeText = None,
    size: ImageSize = None,
    output_name: OutputName = None,
    task: Task = None,
    output: Annotated[Path | None, output_option("PNG file.", "IMAGE-explained.png")] = None,
    as_json: AsJson = False,
) -> None:
    """Show which parts of an image a prediction depends on: Grad-CAM, saliency and occlusion maps, filters, feature maps.

    The image is preprocessed as by `byhand predict`.
    """
    file = Path(f"{image.stem}-explained.png") if output is None else output
    network = open_model(model, size, trained=True, output=output_name, task=task, labels=labels)
    if network.task != "numbers":
        check_classifier(network, model, image)
    note = resolve_preprocessing(network, model, mean, std, labels, reader, pixel_range)
    read_image = image_reader(network, note)
    index = None if name is None else _index_of(network, name)
    cam_layer = None if layer is None else tensor_of(network, layer, model)
    pixels = read_image(image)
    check_output(file)
    from byhand.report.explain import draw_explanation  # noqa: PLC0415  (byhand.report imports matplotlib, which is slow)
    from byhand.report.explain import explain as explain_image  # noqa: PLC0415

    bar = ProgressBar(quiet=as_json)
    bar.spin(f"explaining {printable(image.name)}")
    try:
        found = explain_image(network, pixels, index, layer=cam_layer)
        draw_explanation(found, file, f"{image.name}, as {network.name} sees it")
    finally:
        bar.close()
    if as_json:
        print(
            json.dumps(
                {"image": str(image), "model": network.name} | _facts(found) | {"file": str(file)}, allow_nan=False
            )
        )
    else:
        for title, text in _lines(found, network, cam_layer is not None):
            print(printable(f"{pad(translate(title), 9)}  {translate(text, part=True)}"))
        say(f"wrote {file}: {', '.join(_panels(found))}")


def _index_of(network: nn.Model, name: str) -> int:
    """Return the index that --class names: of a class, a label or a number."""
    if network.task != "numbers":
        return class_number(network.classes, name)
    count = network.logits.shape[-1]
    if not (name.isascii() and name.isdecimal() and int(name[:9]) < count):
        raise ArgumentError(f"--class is {name!r}; expected the position of a number, from 0 to {count - 1}")
    return int(name)


def class_number(classes: tuple[str, ...], name: str) -> int:
    """Return the index of a class, by its name, by one of several comma-separated names, or by its number.

    >>> class_number(("tench, Tinca tinca", "goldfish"), "tench"), class_number(("cat", "dog"), "1")
    (0, 1)
    """
    if classes.count(name) == 1:
        return classes.index(name)
    synonyms = [[synonym.strip() for synonym in names.split(",")] for names in classes]
    found = [i for i, names in enumerate(synonyms) if name.lower() in [synonym.lower() for synonym in names]]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        raise ArgumentError(
            f"{len(found)} classes are called {name}: numbers {', '.join(map(str, found))}; give the number"
        )
    if name.isascii() and name.isdecimal() and int(name[:9]) < len(classes):
        return int(name[:9])
    raise UnknownNameError("class", name, {synonym for names in synonyms for synonym in names})


def _lines(found: "Explanation", network: nn.Model, layer_given: bool) -> list[tuple[str, str]]:
    """Return the results as (title, text) lines."""
    from byhand.report.explain.figure import OCCLUSION_MIN_DROP  # noqa: PLC0415  (it imports matplotlib, which is slow)

    is_number = found.task == "numbers"
    count = network.logits.shape[-1] if is_number else len(network.classes)
    score = found.format(found.score)
    if is_number:
        lines = [("number", f"{score} (number {found.index} of {count:,})")]
    else:
        lines = [("class", f"{found.name} (number {found.index} of {count:,}), {score}")]
    if found.cam is None or found.maps is None:
        lines.append(("layer", f"none: no layer of {network.name} has feature maps, so there is no Grad-CAM"))
    else:
        why = "as given" if layer_given else f"the last layer with feature maps before {' and '.join(found.after)}"
        lines.append(("layer", f"{found.layer}, {format_shape(found.maps.shape)}: {why}"))
        peak = found.largest(found.cam)
        none = "the same everywhere" if found.cam.max() > 0 else f"zero: no positive evidence in {found.layer}"
        lines.append(("Grad-CAM", f"largest at {_position(peak)}" if peak else none))
    seen = found.largest(found.saliency)
    lines.append(("saliency", f"largest at {_position(seen)}" if seen else "zero everywhere: the gradient vanishes"))
    patch, where = format_shape(found.patch), found.occluded_most
    value, position = (found.format(found.occlusion[where]), _position(where)) if where else ("", "")
    told = f"with a {patch} gray patch, the probability drops to {value} at {position}"
    if not where and is_number:
        told = f"with a {patch} gray patch, the number stays the same"
    elif not where:
        told = f"with a {patch} gray patch, the probability stays the same"
    elif is_number:
        told = f"with a {patch} gray patch, the number becomes {value} at {position}"
    elif found.effect.max() < OCCLUSION_MIN_DROP:
        told = f"with a {patch} gray patch, the probability drops by less than 1%"
    lines.append(("occlusion", told))
    return lines


def _panels(found: "Explanation") -> list[str]:
    """Return the panels of the figure."""
    parts = ["input", *(["Grad-CAM"] if found.cam is not None else []), "saliency", "occlusion"]
    parts += ["first filters"] if found.filters is not None else []
    return parts + (["most active feature maps"] if found.maps is not None else [])


def _facts(found: "Explanation") -> dict[str, Any]:
    """Return the results for JSON; positions are (row, column), from 0."""
    facts: dict[str, Any] = {"class": found.name, "index": found.index, "probability": found.score}
    if found.task == "numbers":
        facts = {"index": found.index, "number": found.score}
    facts["layer"] = facts["grad_cam"] = None
    if found.cam is not None and found.maps is not None:
        facts["layer"] = {"name": found.layer, "shape": list(found.maps.shape), "before": list(found.after)}
        facts["grad_cam"] = {"largest": found.largest(found.cam)}
    facts["saliency"] = {"largest": found.largest(found.saliency)}
    extreme = float(found.occlusion.flat[int(found.effect.argmax())])
    keys = ("largest_change", "number") if found.task == "numbers" else ("lowest", "probability")
    occluded = {keys[0]: {keys[1]: extreme, "at": found.occluded_most}}
    return facts | {"occlusion": {"patch": list(found.patch), **occluded}, "panels": _panels(found)}


def _position(at: tuple[int, int]) -> str:
    row, column = at
    return f"row {row}, column {column}"
