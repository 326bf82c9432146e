"""`byhand.load`: a network by its name or its file, whatever has written it."""

import os
from collections.abc import Sequence
from pathlib import Path

from byhand import nn
from byhand.errors import ArgumentError, FileError
from byhand.models import ARCHITECTURES, TRAINED, pretrained
from byhand.nn import Model


def load(source: str | os.PathLike[str], *, input_shape: Sequence[int] | None = None) -> Model:
    """Return a trained network.

    source: a file that `model.save` wrote, a run's folder, an ONNX file, or the name of a pretrained network (./NAME is always
    a file). input_shape: an image's (H, W, C), for an ONNX file that leaves it open, or for a pretrained network.

    Raises FileError where there is no such file or it holds no network, ArgumentError where `input_shape` does not fit.

    >>> import byhand as bh
    >>> bh.load("efficientnet_lite0", input_shape=(192, 192, 3))
    <model efficientnet_lite0: (192, 192, 3) -> 1000 classes, 4,652,008 parameters>
    """
    path = Path(source)
    if isinstance(source, str) and source in TRAINED and not path.exists():
        return pretrained(source, input_shape=input_shape)
    if isinstance(source, str) and source in ARCHITECTURES and not path.exists():
        raise ArgumentError(
            f"load: {source} is an architecture without weights; byhand.models.create({source!r}) makes it"
        )
    if path.suffix.lower() == ".onnx":
        if not path.is_file():
            raise FileError(f"there is no file {path}; expected an ONNX file")
        return _from_onnx(path, input_shape)
    model = nn.load(path)
    if input_shape is not None and tuple(input_shape) != model.input_shape:
        raise ArgumentError(f"load: {path} takes images of {model.input_shape}; leave input_shape out")
    return model


def _from_onnx(path: Path, input_shape: Sequence[int] | None) -> Model:
    try:
        from byhand import onnx  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise FileError(str(error)) from None
    return onnx.load(path, input_shape=input_shape)
