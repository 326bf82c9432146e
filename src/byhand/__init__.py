"""byhand: a convolutional neural network library written by hand in Python.

Every op has three implementations, its hands, one above the other in one file under `byhand.ops`: loops, NumPy arrays, and
compiled. (Fused ops and reductions derive theirs from their parts.) An op is a function of arrays:
`bh.conv2d(x, weight, bias, stride=2, padding="same", hand="loops")`. Layers (`bh.nn`) make a `Model`, whose training step is
one generated Python file: `print(model.program(train=True))`. `bh.Trainer` trains a model, `bh.load` opens a saved one, a
pretrained one or an ONNX file.

The packages by floor; each imports only from lower floors: cli; bench, sklearn, loading, optim; train, models, onnx, report,
export, page, tutorial; nn; program; graph; ops; kernels; data; hints; files, shapes; errors, interrupt; text.
"""

import byhand.interrupt  # noqa: F401  isort: skip  (first: the rest of the imports takes its time)
import typing as _typing

from byhand import data, models, nn, optim
from byhand.errors import (
    ArgumentError,
    ByhandError,
    DivergedError,
    FileError,
    NotFiniteError,
    ShapeError,
    UnknownArgumentError,
    UnknownAttributeError,
    UnknownImportError,
    UnknownNameError,
    UnsupportedError,
)
from byhand.hints import unknown_attribute as _unknown_attribute
from byhand.hints.attributes import MODULE_NAMES as _MODULE_NAMES
from byhand.loading import load
from byhand.nn import Model
from byhand.ops.catalog import *  # noqa: F403
from byhand.ops.op import REGISTRY as _REGISTRY
from byhand.train import Constant, Cosine, OneCycle, Run, StepDecay, Trainer, Warmup
from byhand.train.optim import OPTIMIZERS as _OPTIMIZERS
from byhand.train.optim.catalog import *  # noqa: F403

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "ByhandError",
    "Constant",
    "Cosine",
    "DivergedError",
    "FileError",
    "Model",
    "NotFiniteError",
    "OneCycle",
    "Run",
    "ShapeError",
    "StepDecay",
    "Trainer",
    "UnknownArgumentError",
    "UnknownAttributeError",
    "UnknownImportError",
    "UnknownNameError",
    "UnsupportedError",
    "Warmup",
    "data",
    "load",
    "models",
    "nn",
    "optim",
]
__all__ += list(_OPTIMIZERS)  # every optimizer
__all__ += list(_REGISTRY)  # every op

_ROOMS = ("bench", "export", "onnx", "page", "report", "sklearn")  # packages that are not imported with byhand

if not _typing.TYPE_CHECKING:  # else type checkers would take any name for one that is there

    def __getattr__(name):
        """Raise the error for a name that there is not: it says what to write."""
        layers = {layer: f"write nn.{layer}, after from byhand import nn" for layer in nn.__all__}
        rooms = {room: f"import it first: import byhand.{room}" for room in _ROOMS}
        raise _unknown_attribute("byhand", name, __all__, {**layers, **_MODULE_NAMES, **rooms})
