"""The MODEL argument of commands: opening a network by any of its names, and its preprocessing of images."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from math import isqrt, prod
from pathlib import Path
from typing import Any

import numpy as np

from byhand import models, nn
from byhand.cli.command import check_choice
from byhand.console import SafeConsole
from byhand.data.label_map import read_class_names
from byhand.data.open_file import exists
from byhand.data.pixel_range import parse_pixel_range
from byhand.data.preprocessing import DIGIT_SHAPE, FILE_READERS
from byhand.errors import ArgumentError, FileError, NotFiniteError, UnknownNameError
from byhand.loading import load
from byhand.models.architecture import IMAGENET_MEAN, IMAGENET_STD
from byhand.nn.with_activation import with_task
from byhand.ops.op import Array
from byhand.text import command_line, printable
from byhand.translation import translate

NUMBER = re.compile(r"\s*([-+.\de]+)\s*(?:/\s*([-+.\de]+)\s*)?", re.ASCII | re.IGNORECASE)  # 0.5 or 1/255
IMAGENET_CLASSES = 1000


def open_model(
    name: str,
    size: str | None = None,
    *,
    trained: bool = False,
    output: str | None = None,
    task: str | None = None,
    labels: Path | None = None,
) -> nn.Model:
    """Return the model of a run's folder or a file, or a new one of an architecture (pretrained where weights are included).

    size: the image size, for an architecture or an ONNX file; trained: refuse an architecture without weights; output, task,
    labels: --output-name, --task and --labels. A name that is
    both an architecture and a file means the architecture, or the file if `trained`; ./NAME is always the file.
    """
    sides = None if size is None else parse_image_size(size)
    path = Path(name)
    is_onnx = path.suffix.lower() == ".onnx" and exists(path) and not os.path.isdir(path)  # noqa: PTH112
    if is_onnx and not (name in models.names() and not trained):
        return _from_onnx(path, sides, output, task, labels)
    if output is not None:
        raise ArgumentError(f"--output-name is for ONNX files, which may have several outputs; {name} has one")
    return named_classes(with_task(_open_own(name, path, sides, trained), task), labels)


def named_classes(network: nn.Model, labels: Path | None) -> nn.Model:
    """Return a network with the class names of a file, where there is one.

    Raises FileError where their number is another.
    """
    if labels is None:
        return network
    names = _read_labels(labels)
    if network.answer.binary and len(names) == 1:
        names = (f"not {names[0]}", *names)
    if len(names) != len(network.classes):
        has = f"{len(network.classes):,} classes" if network.classes else f"no classes, it gives {network.task}"
        raise FileError(f"{labels} has {len(names)} class names, but {network.name} has {has}")
    network.classes = names
    return network


def _read_labels(path: Path) -> tuple[str, ...]:
    notes = list[str]()
    names = read_class_names(path, notes)
    for note in notes:
        print_note(note)
    return names


def _open_own(name: str, path: Path, sides: tuple[int, int] | None, trained: bool) -> nn.Model:
    """Return an architecture, or the model in a file of byhand's."""
    if name in models.names() and not (trained and exists(path)):
        return _architecture(name, sides, trained)
    if not (trained or exists(path) or "/" in name or "." in name):
        return models.create(name)  # raises an error that lists the names
    if not exists(path):
        others = f"pretrained network: {', '.join(models.TRAINED)}" if trained else "architecture (see `byhand models`)"
        raise FileError(
            f"there is no file {path}; expected a run's folder (`byhand train` writes one), a model file (ONNX included),"
            f" or {'a' if trained else 'an'} {others}"
        )
    network = nn.load(name)
    if sides is not None and network.input_shape[:2] != sides:
        raise ArgumentError(
            f"--image-size is for architectures and ONNX files; {name} takes {format_shape(network.input_shape)}"
        )
    return network


def _architecture(name: str, sides: tuple[int, int] | None, trained: bool) -> nn.Model:
    shape = None if sides is None else (*sides, models.ARCHITECTURES[name].image[2])
    if name in models.TRAINED:
        return models.pretrained(name, input_shape=shape)
    if trained:
        known = ", ".join(models.TRAINED)
        raise ArgumentError(f"{name} is an untrained architecture: train it first, or use {known}")
    return models.create(name, input_shape=shape)


def _from_onnx(
    path: Path, sides: tuple[int, int] | None, output: str | None, task: str | None, labels: Path | None
) -> nn.Model:
    """Return the network in an ONNX file; errors name options in place of Python's arguments."""
    names, notes = None if labels is None else _read_labels(labels), list[str]()
    shape = None if sides is None else (*sides, _channels(path))
    try:
        network = load(path, input_shape=shape, output=output, task=task, classes=names, notes=notes)
    except FileError as error:
        told = str(error).replace("input_shape=(height, width, channels)", "--image-size HEIGHTxWIDTH")
        told = (
            told.replace("output=NAME", "--output-name NAME")
            .replace("task='", "--task '")
            .replace("task=TASK", "--task")
        )
        count = "" if names is None else f"{len(names)} class names"
        told = told.replace(f"got {count}", f"{labels} has {count}", 1) if count else told
        raise type(error)(told) from None
    for note in notes:
        print_note(printable(f"{path}: {note}"))
    return network


def _channels(path: Path) -> int:
    """Return the number of channels of an ONNX file's images; 3 where it is left open."""
    from byhand.onnx.load import CHANNEL_COUNTS  # noqa: PLC0415
    from byhand.onnx.mapped_weights import read_model  # noqa: PLC0415

    graph = read_model(path)[0].graph
    held = {tensor.name for tensor in graph.initializer}
    for given in graph.input:
        sizes = [dim.dim_value for dim in given.type.tensor_type.shape.dim]
        if given.name not in held and len(sizes) == 4:
            return next((sizes[axis] for axis in (1, 3) if sizes[axis] in CHANNEL_COUNTS), sizes[1] or 3)
    return 3


def parse_image_size(size: str) -> tuple[int, int]:
    """Return the height and width that --image-size gives."""
    found = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", size.strip().lower(), re.ASCII)
    if found is None:
        raise ArgumentError(f"--image-size is {size!r}; expected HEIGHTxWIDTH, such as 224x224")
    return int(found[1]), int(found[2])


def check_classifier(network: nn.Model, model: str, image: str | Path) -> None:
    """Raise an ArgumentError for a network that has no classes and no labels; model, image: as typed."""
    if network.task == "numbers":
        raise ArgumentError(
            f"{network.name} is no classifier, its output is {format_shape(network.output.shape[1:])} of numbers; to see "
            f"them: {command_line('byhand', 'predict', model, image)}"
        )
    if not network.classes:
        raise ArgumentError(
            f"{network.name} is no classifier, its output is {format_shape(network.output.shape[1:])}; to see it: "
            f"{command_line('byhand', 'trace', model, image)}"
        )


def check_weights(network: nn.Model) -> None:
    """Raise a NotFiniteError for a network whose weights hold NaN or infinity."""
    for name, values in (network.parameters | vars(network.state)).items():
        if not np.isfinite(values).all():
            raise NotFiniteError(f"{network.name} can't answer: its '{name}' holds NaN or infinity")


def tensor_names(network: nn.Model) -> list[str]:
    """Return the names of the input and of each layer's output, in the order of execution."""
    assert network.graph.input is not None
    return [network.graph.input.name, *(node.output.name for node in network.graph.nodes)]


def tensor_of(network: nn.Model, layer: str, model: str) -> str:
    """Return the name of a layer's output, by its name in byhand or in ONNX; model: as typed."""
    known = tensor_names(network)
    if layer in known:
        return layer
    unknown = UnknownNameError("layer", layer, known, f"`{command_line('byhand', 'show', model)}` lists them")
    try:
        from byhand.onnx.node_context import python_name  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError:
        raise unknown from None
    if python_name(layer) not in known:
        raise unknown
    return python_name(layer)


def print_note(note: str) -> None:
    """Print a note on standard error."""
    SafeConsole(stderr=True, soft_wrap=True).print(translate(note), style="dim")


# Images ---------------------------------------------------------------------------------------------------------------


def image_reader(network: nn.Model, note: str = "") -> Callable[[Path], Array]:
    """Return the function that reads an image as the network's preprocessing says: path -> (H, W, C) uint8.

    note: what `resolve_preprocessing` had to assume, printed with the first image that can be read.
    """
    shape = image_shape(network)
    notes, told = [note] * bool(note), list[Path]()
    if len(network.input_shape) == 1:
        notes.append(
            f"{network.name} takes {prod(shape):,} numbers: an image becomes {format_shape(shape[:2])} gray pixels"
        )

    def read(path: Path) -> Array:
        pixels = network.preprocessing.read(path, shape).reshape(network.input_shape)
        if not told and (other := network.preprocessing.range_note(path)):
            told.append(path)
            print_note(printable(other))
        while notes:
            print_note(notes.pop())
        return pixels

    return read


def image_shape(network: nn.Model) -> tuple[int, ...]:
    """Return the (H, W, C) of the images that a network takes; raises ArgumentError where an image has no such shape."""
    shape = _as_image(network.input_shape)
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise ArgumentError(
            f"an image has one channel or three, but {network.name} takes {format_shape(network.input_shape)} arrays"
        )
    return shape


def _as_image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return an input's shape as (H, W, C): (H, W), and a vector that fills a square, are gray; others as they are."""
    if len(shape) == 1 and isqrt(shape[0]) ** 2 == shape[0]:
        shape = (isqrt(shape[0]),) * 2
    return (*shape, 1) if len(shape) == 2 else shape


def format_shape(shape: tuple[int, ...]) -> str:
    """Return a shape as text.

    >>> format_shape((28, 28, 1))
    '28 x 28 x 1'
    """
    return " x ".join(map(str, shape))


def resolve_preprocessing(
    network: nn.Model,
    source: str,
    mean: str | None,
    std: str | None,
    labels: Path | None = None,
    reader: str | None = None,
    pixel_range: str | None = None,
) -> str:
    """Set a network's preprocessing from --mean, --std, --reader and --pixel-range; labels: --labels, which names its classes.

    An ONNX file may contain none of these. With three channels and 1,000 classes ImageNet's are then assumed, with a note;
    images of 28 x 28 with the classes 0 to 9 are then assumed to be digits, as in MNIST. Returns what is assumed of files.
    """
    note = _resolve_reader(network, source, reader)
    if pixel_range is not None:
        network.preprocessing = replace(network.preprocessing, pixel_range=parse_pixel_range(pixel_range))
    silent = source.lower().endswith(".onnx") and (network.mean, network.std) == (0.0, 1.0)
    channels, count = network.input_shape[-1] if len(network.input_shape) == 3 else 1, len(network.classes)
    imagenet = silent and channels == 3 and count == IMAGENET_CLASSES
    assumed = {}  # what is missing, and the option that gives it
    if labels is None and imagenet and network.classes == tuple(map(str, range(count))):
        named_classes(network, models.WEIGHTS / models.TRAINED["efficientnet_lite0"][1])
        assumed["its class names"] = "--labels"
    if mean is not None or std is not None:
        given_mean = network.mean if mean is None else _numbers("--mean", mean, channels)
        given_std = network.std if std is None else _numbers("--std", std, channels)
        if not np.all(given_std):
            raise ArgumentError("--std is 0; expected numbers to divide by")
        network.preprocessing = replace(network.preprocessing, mean=given_mean, std=given_std)
    elif silent:
        assumed["the pixels' mean and std"] = "--mean and --std"
        if imagenet:
            network.preprocessing = replace(network.preprocessing, mean=list(IMAGENET_MEAN), std=list(IMAGENET_STD))
    if assumed:
        assumption = "assuming ImageNet's" if imagenet else "assuming pixels from 0 to 1"
        options = ", ".join(assumed.values())
        print_note(f"{source} does not contain {' and '.join(assumed)}: {assumption}; set them with {options}")
    return note


def _resolve_reader(network: nn.Model, source: str, reader: str | None) -> str:
    """Set how images are read, from --reader; without it and without a record, MNIST's way for what looks like digits.

    Returns a note that tells what is assumed, or "".
    """
    check_choice("--reader", reader, tuple(FILE_READERS))
    is_digit = network.input_shape in (DIGIT_SHAPE, DIGIT_SHAPE[:2], (prod(DIGIT_SHAPE),))
    if reader == "digit" and not is_digit:
        raise ArgumentError(
            f"--reader digit gives 28 x 28 x 1; {network.name} takes {format_shape(network.input_shape)}"
        )
    unknown = network.preprocessing.reader == "picture" and network.crop_pct is None
    digits = unknown and is_digit and network.classes == tuple("0123456789")
    if reader is not None or digits:
        network.preprocessing = replace(network.preprocessing, reader=reader or "digit")
    if not unknown or reader == "digit" or (source in models.names() and not Path(source).exists()):
        return ""
    if reader is None and digits:
        return (
            f"{source} does not say how images are read: assuming one digit each, centered as in MNIST; --reader picture takes "
            "them as they are"
        )
    return (
        f"{source} does not say how images are cropped: assuming 87.5% of the shorter side, the whole of one of "
        f"{format_shape(_as_image(network.input_shape)[:2])}"
    )


def _numbers(option: str, text: str, channels: int) -> Any:
    """Return the value of --mean or --std: a number, or a list with one per channel."""
    found = [NUMBER.fullmatch(part) for part in text.split(",")]
    try:
        numbers = [float(match[1]) / float(match[2] or 1) for match in found if match is not None]
    except (ValueError, ZeroDivisionError):
        numbers = []
    if len(numbers) != len(found) or len(numbers) not in (1, channels) or not np.isfinite(numbers).all():
        raise ArgumentError(f"{option} is {text!r}; expected a number, or {channels} separated by commas")
    return numbers[0] if len(numbers) == 1 else numbers
