"""Layers, which compose to a network, and the Model that holds its parameters."""

import typing as _typing

from byhand.hints import unknown_attribute as _unknown_attribute
from byhand.hints.attributes import MODULE_NAMES as _MODULE_NAMES
from byhand.nn.activations import (
    GELU,
    LRN,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from byhand.nn.base import Input, Layer, Sequential
from byhand.nn.compiled_model import CompiledModel
from byhand.nn.init import INITIALIZERS
from byhand.nn.layers import (
    Add,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    GlobalAvgPool2d,
    LayerNorm,
    Linear,
    MaxPool2d,
    Multiply,
    Scale,
)
from byhand.nn.model import Model
from byhand.nn.movement import (
    ChannelShuffle,
    Concat,
    Flatten,
    Pad2d,
    Reshape,
    Resize,
    Slice,
    Transpose,
    Upsample,
)
from byhand.nn.serialization import load
from byhand.ops.op import REGISTRY as _REGISTRY

__all__ = [
    "GELU",
    "INITIALIZERS",
    "LRN",
    "Add",
    "AvgPool2d",
    "BatchNorm",
    "ChannelShuffle",
    "CompiledModel",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "HardSigmoid",
    "HardSwish",
    "Input",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "Model",
    "Multiply",
    "Pad2d",
    "ReLU",
    "ReLU6",
    "Reshape",
    "Resize",
    "Scale",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Tanh",
    "Transpose",
    "Upsample",
    "load",
]

if not _typing.TYPE_CHECKING:  # else type checkers would take any name for one that is there

    def __getattr__(name):
        """Raise the error for a name that there is not: it says what to write."""
        op = name.lower()
        hints = (
            {name: f"write bh.{op} in its place: an op is a layer"}
            if op in _REGISTRY and _REGISTRY[op].inputs == ("x",)
            else {}
        )
        known = {layer.lower() for layer in __all__}  # relu is a slip of ReLU
        raise _unknown_attribute("byhand.nn", name, __all__, _MODULE_NAMES if op in known else hints | _MODULE_NAMES)
