"""Every layer in a small network, with its expected node, shapes and attributes.

`CASES` holds one entry or more for each layer that `byhand.nn` exports; test_layers.py fails where a new layer has none.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

import byhand as bh
from byhand import nn
from byhand.program.fuse import INFERENCE_FUSIONS


@dataclass(frozen=True)
class Case:
    """make: the layer, given a name or none; shape: an example's; attributes: what the op gets; node: the counted name."""

    make: Callable
    op: Callable
    node: str
    shape: tuple
    output: tuple
    attributes: dict = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)  # suffix -> shape
    states: dict = field(default_factory=dict)
    inputs: Callable = lambda x: (x,)  # what the layer is called on, made from the network's input

    def model(self, *, head=True, **settings):
        """Return (the model, its layer's node); head: with a linear layer at the end, so that it has classes."""
        x = nn.Input(*self.shape)
        y = self.make()(*self.inputs(x))
        settings = {"dtype": np.float64, "seed": 3} | settings
        flat = nn.Flatten(name="flat_end")(y)
        outputs, settings = (
            (nn.Linear(5, name="fc_end")(flat), settings) if head else (flat, settings | {"classes": ()})
        )
        model = nn.Model(x, outputs, **settings)
        return model, next(node for node in model.graph.nodes if node.output is y)


def _two(x):
    return x, nn.Tanh()(x)


def _gate(x):
    return x, nn.Sigmoid()(nn.GlobalAvgPool2d(keepdims=True)(x))


def _three(x):
    return nn.ReLU()(x), x, nn.Conv2d(1, 1)(x)


def _norm(shape):
    return {"gamma": shape, "beta": shape}


def _ones(rng, shape):
    return np.ones(shape)


RUNNING = {"running_mean": (3,), "running_var": (3,)}
CASES = {
    "Conv2d": [
        Case(partial(nn.Conv2d, 4), bh.conv2d, "conv1", (5, 6, 2), (3, 4, 4),
             parameters={"weight": (3, 3, 2, 4), "bias": (4,)}),
        Case(partial(nn.Conv2d, 4, (3, 2), stride=(2, 1), padding="same", groups=2, bias=False, initializer=_ones),
             bh.conv2d, "conv1", (5, 6, 2), (3, 6, 4), {"stride": (2, 1), "padding": "same", "groups": 2},
             {"weight": (3, 2, 1, 4)}),
        Case(partial(nn.Conv2d, 1, 2, dilation=2, padding=(1, 0, 2, 0), initializer="glorot"), bh.conv2d, "conv1",
             (5, 5, 1), (4, 5, 1), {"dilation": 2, "padding": (1, 0, 2, 0)}, {"weight": (2, 2, 1, 1), "bias": (1,)}),
    ],
    "ConvTranspose2d": [
        Case(partial(nn.ConvTranspose2d, 4), bh.conv_transpose2d, "conv1", (3, 2, 2), (5, 4, 4),
             parameters={"weight": (3, 3, 4, 2), "bias": (4,)}),
        Case(partial(nn.ConvTranspose2d, 4, (2, 3), stride=(3, 2), padding=(0, 1), output_padding=(2, 1), groups=2, bias=False,
                     initializer=_ones),
             bh.conv_transpose2d, "conv1", (2, 3, 2), (7, 6, 4),
             {"stride": (3, 2), "padding": (0, 1), "output_padding": (2, 1), "groups": 2}, {"weight": (2, 3, 2, 2)}),
        Case(partial(nn.ConvTranspose2d, 1, 2, dilation=2, padding=(1, 0, 2, 0), initializer="glorot"),
             bh.conv_transpose2d, "conv1", (4, 4, 1), (5, 4, 1), {"dilation": 2, "padding": (1, 0, 2, 0)},
             {"weight": (2, 2, 1, 1), "bias": (1,)}),
    ],
    "Linear": [
        Case(partial(nn.Linear, 4), bh.linear, "fc1", (5,), (4,), parameters={"weight": (5, 4), "bias": (4,)}),
        Case(partial(nn.Linear, 2, bias=False, initializer="lecun"), bh.linear, "fc1", (5,), (2,),
             parameters={"weight": (5, 2)}),
    ],
    "BatchNorm": [
        Case(nn.BatchNorm, bh.batch_norm, "norm1", (3, 2, 3), (3, 2, 3), {"training": True}, _norm((3,)), RUNNING),
        Case(partial(nn.BatchNorm, eps=0.1, momentum=0.3), bh.batch_norm, "norm1", (3,), (3,),
             {"training": True, "eps": 0.1, "momentum": 0.3}, _norm((3,)), RUNNING),
        Case(partial(nn.BatchNorm, training=False), bh.batch_norm, "norm1", (2, 2, 3), (2, 2, 3), {"training": False},
             _norm((3,)), RUNNING),
    ],
    "LayerNorm": [
        Case(nn.LayerNorm, bh.layer_norm, "norm1", (2, 3, 4), (2, 3, 4), parameters=_norm((4,))),
        Case(partial(nn.LayerNorm, axes=3, eps=0.1), bh.layer_norm, "norm1", (2, 3, 4), (2, 3, 4), {"eps": 0.1},
             _norm((2, 3, 4))),
    ],
    "Dropout": [
        Case(nn.Dropout, bh.dropout, "dropout1", (4, 2), (4, 2), {"training": True}, states={"key": (1,)}),
        Case(partial(nn.Dropout, 0.25), bh.dropout, "dropout1", (8,), (8,), {"rate": 0.25, "training": True},
             states={"key": (1,)}),
    ],
    "MaxPool2d": [
        Case(nn.MaxPool2d, bh.max_pool, "pool1", (5, 4, 2), (2, 2, 2), {"kernel": 2}),
        Case(partial(nn.MaxPool2d, (2, 3), stride=1, padding=(1, 0, 0, 1), dilation=(2, 1)), bh.max_pool, "pool1",
             (5, 4, 2), (4, 3, 2), {"kernel": (2, 3), "stride": 1, "padding": (1, 0, 0, 1), "dilation": (2, 1)}),
        Case(partial(nn.MaxPool2d, 2, ceil_mode=True), bh.max_pool, "pool1", (5, 4, 1), (3, 2, 1),
             {"kernel": 2, "ceil_mode": True}),
    ],
    "AvgPool2d": [
        Case(nn.AvgPool2d, bh.avg_pool, "pool1", (5, 4, 2), (2, 2, 2), {"kernel": 2}),
        Case(partial(nn.AvgPool2d, 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False), bh.avg_pool, "pool1",
             (6, 5, 2), (4, 3, 2),
             {"kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False}),
    ],
    "GlobalAvgPool2d": [
        Case(nn.GlobalAvgPool2d, bh.global_avg_pool, "pool1", (3, 4, 2), (2,)),
        Case(partial(nn.GlobalAvgPool2d, keepdims=True), bh.global_avg_pool, "pool1", (3, 4, 2), (1, 1, 2),
             {"keepdims": True}),
    ],
    "Flatten": [Case(nn.Flatten, bh.flatten, "flatten1", (2, 3, 2), (12,))],
    "Reshape": [Case(partial(nn.Reshape, 4, -1), bh.reshape, "reshape1", (2, 3, 2), (4, 3), {"shape": (4, -1)})],
    "Transpose": [
        Case(partial(nn.Transpose, 0, 3, 1, 2), bh.transpose, "transpose1", (2, 3, 4), (4, 2, 3), {"axes": (0, 3, 1, 2)}),
    ],
    "Pad2d": [
        Case(partial(nn.Pad2d, 1), bh.pad, "pad1", (2, 3, 1), (4, 5, 1), {"padding": 1}),
        Case(partial(nn.Pad2d, (0, 1, 2, 0), value=-1.5), bh.pad, "pad1", (2, 2, 1), (3, 4, 1),
             {"padding": (0, 1, 2, 0), "value": -1.5}),
    ],
    "ChannelShuffle": [
        Case(partial(nn.ChannelShuffle, 3), bh.channel_shuffle, "shuffle1", (2, 1, 6), (2, 1, 6), {"groups": 3}),
    ],
    "Slice": [
        Case(partial(nn.Slice, -1, 1, 3), bh.slice, "slice1", (2, 3, 4), (2, 3, 2),
             {"starts": (1,), "stops": (3,), "axes": (-1,)}),
        Case(partial(nn.Slice, 1, -2), bh.slice, "slice1", (3, 2), (2, 2), {"starts": (-2,), "stops": (None,), "axes": (1,)}),
    ],
    "Add": [Case(nn.Add, bh.add, "add1", (2, 3), (2, 3), inputs=_two)],
    "Multiply": [
        Case(nn.Multiply, bh.multiply, "multiply1", (2, 3), (2, 3), inputs=_two),
        Case(nn.Multiply, bh.multiply, "multiply1", (2, 3, 4), (2, 3, 4), inputs=_gate),
    ],
    "Scale": [
        Case(nn.Scale, bh.multiply, "scale1", (2, 3), (2, 3), parameters={"scale": (3,)}),
        Case(partial(nn.Scale, 0.1), bh.multiply, "scale1", (2, 3, 4), (2, 3, 4), parameters={"scale": (4,)}),
    ],
    "Concat": [
        Case(nn.Concat, bh.concat, "concat1", (2, 2, 3), (2, 2, 7), inputs=_three),
        Case(partial(nn.Concat, 1), bh.concat, "concat1", (2, 3), (4, 3), {"axis": 1}, inputs=_two),
    ],
    "ReLU": [Case(nn.ReLU, bh.relu, "relu1", (3, 4), (3, 4))],
    "LeakyReLU": [
        Case(nn.LeakyReLU, bh.leaky_relu, "leaky_relu1", (3, 4), (3, 4)),
        Case(partial(nn.LeakyReLU, 0.2), bh.leaky_relu, "leaky_relu1", (12,), (12,), {"slope": 0.2}),
    ],
    "ReLU6": [Case(nn.ReLU6, bh.relu6, "relu6_1", (3, 4), (3, 4))],
    "Sigmoid": [Case(nn.Sigmoid, bh.sigmoid, "sigmoid1", (3, 4), (3, 4))],
    "SiLU": [Case(nn.SiLU, bh.silu, "silu1", (3, 4), (3, 4))],
    "Tanh": [Case(nn.Tanh, bh.tanh, "tanh1", (3, 4), (3, 4))],
    "GELU": [Case(nn.GELU, bh.gelu, "gelu1", (3, 4), (3, 4))],
    "HardSigmoid": [
        Case(nn.HardSigmoid, bh.hard_sigmoid, "hard_sigmoid1", (3, 4), (3, 4), {"alpha": 1 / 6, "beta": 0.5}),
        Case(partial(nn.HardSigmoid, alpha=0.25, beta=0.4), bh.hard_sigmoid, "hard_sigmoid1", (12,), (12,),
             {"alpha": 0.25, "beta": 0.4}),
    ],
    "HardSwish": [Case(nn.HardSwish, bh.hard_swish, "hard_swish1", (3, 4), (3, 4))],
    "LRN": [
        Case(partial(nn.LRN, 3), bh.lrn, "lrn1", (2, 2, 4), (2, 2, 4), {"size": 3}),
        Case(partial(nn.LRN, 2, alpha=0.5, beta=0.5, bias=2.0), bh.lrn, "lrn1", (12,), (12,),
             {"size": 2, "alpha": 0.5, "beta": 0.5, "bias": 2.0}),
    ],
    "Resize": [
        Case(partial(nn.Resize, (4, 2)), bh.resize, "resize1", (2, 3, 2), (4, 2, 2), {"size": (4, 2)}),
        Case(partial(nn.Resize, 3, "cubic", coordinates="align_corners"), bh.resize, "resize1", (2, 4, 1), (3, 3, 1),
             {"size": 3, "mode": "cubic", "coordinates": "align_corners"}),
    ],
    "Upsample": [
        Case(nn.Upsample, bh.resize, "upsample1", (2, 3, 2), (4, 6, 2), {"size": (4, 6)}),
        Case(partial(nn.Upsample, (1, 1.5), "linear"), bh.resize, "upsample1", (2, 3, 1), (2, 4, 1),
             {"size": (2, 4), "mode": "linear", "scales": (1, 1.5)}),
    ],
    "Softmax": [Case(nn.Softmax, bh.softmax, "softmax1", (3, 4), (3, 4))],
}  # fmt: skip
FUSED = set(INFERENCE_FUSIONS.values())  # ops that only a program calls
ALL = [(f"{name}-{i}", case) for name, cases in CASES.items() for i, case in enumerate(cases)]


def images(model, count=4, seed=0):
    """Return (float images for a model, labels)."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, *model.input_shape)), rng.integers(0, len(model.classes), count)
