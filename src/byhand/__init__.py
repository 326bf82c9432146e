"""byhand: the convolutional network written by hand, whole.

Every op can be read as loops and as NumPy, one above the other in one file under `byhand.ops`, and called on plain arrays:
`bh.conv2d(x, weight, bias, stride=2, padding="same", hand="loops")`. Layers (`bh.nn`) make a `Model`, whose training step
is one generated Python file: `print(model.program(train=True))`. `bh.Trainer` trains it, `bh.load` opens a saved one.

    rooms, from the command line down: cli; train, models, report; nn; program; graph; ops; and data, shapes, errors below all
"""

from byhand import data, models, nn
from byhand.errors import (
    ArgumentError,
    ByhandError,
    DivergedError,
    FileError,
    ShapeError,
    UnknownNameError,
)
from byhand.nn import Model, load
from byhand.ops import (
    add,
    avg_pool,
    batch_norm,
    channel_shuffle,
    concat,
    conv2d,
    dropout,
    flatten,
    gelu,
    global_avg_pool,
    hard_swish,
    layer_norm,
    leaky_relu,
    linear,
    max_pool,
    multiply,
    pad,
    relu,
    relu6,
    reshape,
    sigmoid,
    silu,
    softmax,
    softmax_cross_entropy,
    tanh,
    transpose,
)
from byhand.train import SGD, Adam, AdamW, Constant, Cosine, OneCycle, Run, StepDecay, Trainer, WarmUp

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
    "OneCycle",
    "Run",
    "ShapeError",
    "StepDecay",
    "Trainer",
    "UnknownNameError",
    "WarmUp",
    "add",
    "avg_pool",
    "batch_norm",
    "channel_shuffle",
    "concat",
    "conv2d",
    "data",
    "dropout",
    "flatten",
    "gelu",
    "global_avg_pool",
    "hard_swish",
    "layer_norm",
    "leaky_relu",
    "linear",
    "load",
    "max_pool",
    "models",
    "multiply",
    "nn",
    "pad",
    "relu",
    "relu6",
    "reshape",
    "sigmoid",
    "silu",
    "softmax",
    "softmax_cross_entropy",
    "tanh",
    "transpose",
]
