"""`byhand.load`: a network by its name or its file, whatever has written it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from byhand import nn
from byhand.data.open_file import exists
from byhand.errors import ArgumentError, FileError
from byhand.models import ARCHITECTURES, TRAINED, pretrained
from byhand.nn import Model
from byhand.nn.with_activation import with_task


def load(
    source: str | os.PathLike[str],
    *,
    input_shape: Sequence[int] | None = None,
    output: str | None = None,
    classes: Sequence[str] | None = None,
    task: str | None = None,
    notes: list[str] | None = None,
) -> Model:
    """Return a trained network.

    source: a file that `model.save` wrote, a run's folder, an ONNX file, or the name of a pretrained network (./NAME is always
    a file). input_shape: an image's (H, W, C), for an ONNX file that leaves it open, or for a pretrained network. output,
    classes, notes: of an ONNX file, see `byhand.onnx.load`; task: what the outputs answer, by default what the file says
    (nn/task.py).

    Raises FileError where there is no such file or it holds no network, ArgumentError where `input_shape` does not fit.

    >>> import byhand as bh
    >>> bh.load("efficientnet_lite0", input_shape=(192, 192, 3))
    <model efficientnet_lite0: (192, 192, 3) -> 1000 classes, 4,652,008 parameters>
    """
    path = Path(source)
    if isinstance(source, str) and source in TRAINED and not exists(path):
        return with_task(pretrained(source, input_shape=input_shape), task)
    if isinstance(source, str) and source in ARCHITECTURES and not exists(path):
        raise ArgumentError(
            f"load: {source} is an architecture without weights; byhand.models.create({source!r}) makes it"
        )
    if path.suffix.lower() == ".onnx":
        if not exists(path):
            raise FileError(f"there is no file {path}; expected an ONNX file")
        return _from_onnx(path, input_shape=input_shape, output=output, classes=classes, task=task, notes=notes)
    if output is not None:
        raise ArgumentError(f"load: output is for ONNX files, which may have several; {path} has one; leave output out")
    model = with_task(nn.load(path), task)
    if input_shape is not None and tuple(input_shape) != model.input_shape:
        raise ArgumentError(f"load: {path} takes images of {model.input_shape}; leave input_shape out")
    return model


def _from_onnx(path: Path, **settings: Any) -> Model:
    try:
        from byhand import onnx  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise FileError(str(error)) from None
    return onnx.load(path, **settings)
