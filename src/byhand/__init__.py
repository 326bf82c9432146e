"""byhand: the convolutional network written by hand, whole.

Every op is written as loops, as NumPy arrays and compiled, one above the other in one file under `byhand.ops`, and can be
called on arrays: `bh.conv2d(x, weight, bias, stride=2, padding="same", hand="loops")`. Layers (`bh.nn`) make a `Model`, whose
training step is one generated Python file: `print(model.program(train=True))`. `bh.Trainer` trains it, `bh.load` opens a saved
one.

The packages, each importing only what stands below it: cli; train, models, onnx, report, export, page; nn; program; graph; ops;
kernels; data; shapes, files, errors.
"""

from byhand import data, models, nn
from byhand.errors import (
    ArgumentError,
    ByhandError,
    DivergedError,
    FileError,
    ShapeError,
    UnknownNameError,
    UnsupportedError,
)
from byhand.nn import Model, load
from byhand.ops.catalog import *  # noqa: F403
from byhand.ops.op import REGISTRY as _REGISTRY
from byhand.train import SGD, Adam, AdamW, Constant, Cosine, Muon, OneCycle, Run, StepDecay, Trainer, Warmup

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "ArgumentError",
    "ByhandError",
    "Constant",
    "Cosine",
    "DivergedError",
    "FileError",
    "Model",
    "Muon",
    "OneCycle",
    "Run",
    "ShapeError",
    "StepDecay",
    "Trainer",
    "UnknownNameError",
    "UnsupportedError",
    "Warmup",
    "data",
    "load",
    "models",
    "nn",
]
__all__ += list(_REGISTRY)  # every op
