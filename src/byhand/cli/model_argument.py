"""What commands share: a network by any of its names, and how a picture becomes its numbers."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from byhand import models, nn
from byhand.data import digits, photos
from byhand.errors import ArgumentError, FileError, UnknownNameError
from byhand.models.architecture import IMAGENET_MEAN, IMAGENET_STD
from byhand.ops.op import Array

MODEL = "an architecture (`byhand models` lists them), a run's folder, or a model's file, ONNX too"
Size = Annotated[str | None, typer.Option(help="of its images, HEIGHTxWIDTH, where the model leaves that open")]
Mean = Annotated[
    str | None, typer.Option(help="what is taken from pixel / 255: a number, or one a channel, as 0.5,0.4,0.3")
]
Std = Annotated[
    str | None, typer.Option(help="what it is divided by then; --mean 0 --std 1/255 leaves pixels as they are")
]
NUMBER = re.compile(r"\s*([-+.\de]+)\s*(?:/\s*([-+.\de]+)\s*)?", re.ASCII | re.IGNORECASE)  # 0.5 or 1/255
IMAGENET = 1000  # classes


def open_model(name: str, size: str | None = None, *, trained: bool = False) -> nn.Model:
    """Return the model in a run's folder or a file, or a new one of an architecture (trained, where it comes with weights).

    size: of its images, for an architecture or an ONNX file; trained: an architecture that knows nothing will not do.
    An architecture's name goes before a file's, but where it must be trained; ./NAME is always a file.
    """
    sides = None if size is None else sides_of(size)
    path = Path(name)
    if name in models.names() and not (trained and path.exists()):
        return _architecture(name, sides, trained)
    if path.suffix.lower() == ".onnx" and path.is_file():
        return _from_onnx(path, sides)
    if not (trained or path.exists() or "/" in name or "." in name):
        return models.create(name)  # which tells what names there are
    network = nn.load(name)
    if sides is not None and network.input_shape[:2] != sides:
        raise ArgumentError(f"--size is for architectures and ONNX files; {name} takes {spelled(network.input_shape)}")
    return network


def _architecture(name: str, sides: tuple[int, int] | None, trained: bool) -> nn.Model:
    shape = None if sides is None else (*sides, models.ARCHITECTURES[name].image[2])
    if name in models.TRAINED:
        return models.pretrained(name, input_shape=shape)
    if trained:
        known = ", ".join(models.TRAINED)
        raise ArgumentError(f"{name} is an architecture, which knows nothing yet: train it first, or take {known}")
    return models.create(name, input_shape=shape)


def _from_onnx(path: Path, sides: tuple[int, int] | None) -> nn.Model:
    try:
        from byhand import onnx  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise FileError(str(error)) from None
    try:
        return onnx.load(path, input_shape=None if sides is None else (*sides, _channels(path)))
    except FileError as error:
        raise type(error)(str(error).replace("input_shape=(height, width, channels)", "--size HEIGHTxWIDTH")) from None


def _channels(path: Path) -> int:
    """Return how many channels an ONNX file's images have; where it leaves that open, 3."""
    from byhand.onnx.load import CHANNEL_COUNTS  # noqa: PLC0415
    from byhand.onnx.mapped_weights import read_model  # noqa: PLC0415

    graph = read_model(path)[0].graph
    held = {tensor.name for tensor in graph.initializer}
    for given in graph.input:
        sizes = [one.dim_value for one in given.type.tensor_type.shape.dim]
        if given.name not in held and len(sizes) == 4:
            return next((sizes[axis] for axis in (1, 3) if sizes[axis] in CHANNEL_COUNTS), sizes[1] or 3)
    return 3


def sides_of(size: str) -> tuple[int, int]:
    """Return what --size says: height, width."""
    found = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", size.strip().lower(), re.ASCII)
    if found is None:
        raise ArgumentError(f"--size is {size!r}; expected HEIGHTxWIDTH, as 224x224")
    return int(found[1]), int(found[2])


def check_classifier(network: nn.Model, model: str, picture: object) -> None:
    """Raise an ArgumentError for a network that gives no score a class; model, picture: as they were typed."""
    if not network.classes:
        raise ArgumentError(
            f"{network.name} gives {spelled(network.output.shape[1:])} numbers, no score a class; to see them:  "
            f"byhand trace {model} {picture}"
        )


def tensor_names(network: nn.Model) -> list[str]:
    """Return the input, and what each layer makes, in the order in which they run."""
    assert network.graph.input is not None
    return [network.graph.input.name, *(node.output.name for node in network.graph.nodes)]


def tensor_of(network: nn.Model, layer: str) -> str:
    """Return the tensor of a layer by byhand's name or ONNX's."""
    known = tensor_names(network)
    if layer in known:
        return layer
    try:
        from byhand.onnx.node_context import python_name  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError:
        raise UnknownNameError("layer", layer, known) from None
    if python_name(layer) not in known:
        raise UnknownNameError("layer", layer, known)
    return python_name(layer)


def tell(note: str) -> None:
    """Print a note beside the results, on standard error."""
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(note, style="dim")


def plain(text: str) -> str:
    """Return text without what a terminal would obey: a stranger's file may have written it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


# pictures -------------------------------------------------------------------------------------------------------------


def reader(network: nn.Model) -> Callable[[Path], Array]:
    """Return what makes a picture into a network's images, (H, W, C) uint8, as training made them."""
    if network.crop_pct is None and network.input_shape == (28, 28, 1):
        return digits.from_file
    if len(network.input_shape) != 3 or network.input_shape[2] not in (1, 3):
        raise ArgumentError(
            f"a picture has one channel or three, but {network.name} takes {spelled(network.input_shape)} numbers"
        )
    height, width, channels = network.input_shape
    return lambda path: photos.from_file(path, (height, width), channels, network.crop_pct or photos.CROP)


def spelled(shape: tuple[int, ...]) -> str:
    """Return a shape as people say it.

    >>> spelled((28, 28, 1))
    '28 x 28 x 1'
    """
    return " x ".join(map(str, shape))


def settle(network: nn.Model, source: str, mean: str | None, std: str | None, labels: Path | None = None) -> None:
    """Settle how pixels become a network's numbers, and what its classes are called, from the options and from its file.

    An ONNX file may tell neither. One of three channels and 1,000 classes is then taken for ImageNet's, which is said.
    """
    silent = source.lower().endswith(".onnx") and (network.mean, network.std) == (0.0, 1.0)
    channels, count = network.input_shape[-1], len(network.classes)
    imagenet = silent and channels == 3 and count == IMAGENET
    guessed = {}  # what, and the options that tell it
    if labels is not None:
        network.classes = _names(labels, network)
    elif imagenet and network.classes == tuple(map(str, range(count))):
        network.classes = _names(models.WEIGHTS / models.TRAINED["efficientnet_lite0"][1], network)
        guessed["what its classes are"] = "--labels"
    if mean is not None or std is not None:
        network.mean = network.mean if mean is None else _numbers("--mean", mean, channels)
        network.std = network.std if std is None else _numbers("--std", std, channels)
        if not np.all(network.std):
            raise ArgumentError("--std is 0; expected numbers to divide by")
    elif silent:
        guessed["how pixels become numbers"] = "--mean and --std"
        if imagenet:
            network.mean, network.std = list(IMAGENET_MEAN), list(IMAGENET_STD)
    if guessed:
        guess = "as ImageNet's" if imagenet else "to go from 0 to 1"
        note = f"{source} does not say {' and '.join(guessed)}: taken {guess}; {', '.join(guessed.values())} tell it"
        tell(note)


def _numbers(option: str, text: str, channels: int) -> Any:
    """Return what --mean or --std says: a number, or a list of one a channel."""
    found = [NUMBER.fullmatch(part) for part in text.split(",")]
    try:
        numbers = [float(one[1]) / float(one[2] or 1) for one in found if one is not None]
    except (ValueError, ZeroDivisionError):
        numbers = []
    if len(numbers) != len(found) or len(numbers) not in (1, channels) or not np.isfinite(numbers).all():
        raise ArgumentError(f"{option} is {text!r}; expected a number, or {channels} of them, with commas between")
    return numbers[0] if len(numbers) == 1 else numbers


def _names(path: Path, network: nn.Model) -> tuple[str, ...]:
    """Return the names of the classes in a file, one a line."""
    try:
        names = path.read_text(encoding="utf-8").strip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise FileError(f"can't read the names of the classes in {path}: {why}") from None
    if len(names) != len(network.classes):
        raise FileError(f"{path} names {len(names)} classes, but {network.name} has {len(network.classes)}")
    return tuple(name.strip() for name in names)
