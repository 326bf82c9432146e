"""The ops, a family a file: the equation, the contract, then the hands, one above the other, forward and backward together.

`op.py` says what an op is. Add one in a file here, import it below, and the graph finds it, the program calls it, and the
conformance test holds its hands together.
"""

from byhand.ops.activation import gelu, hard_swish, leaky_relu, relu, relu6, sigmoid, silu, tanh
from byhand.ops.arithmetic import add, multiply
from byhand.ops.conv2d import conv2d
from byhand.ops.dropout import dropout
from byhand.ops.linear import linear
from byhand.ops.loss import softmax, softmax_cross_entropy
from byhand.ops.norm import batch_norm, layer_norm
from byhand.ops.op import DEFAULT_HAND, HANDS, REGISTRY, Op, get
from byhand.ops.pool import avg_pool, global_avg_pool, max_pool
from byhand.ops.tensor import channel_shuffle, concat, flatten, pad, reshape, transpose

__all__ = [
    "DEFAULT_HAND",
    "HANDS",
    "REGISTRY",
    "Op",
    "add",
    "avg_pool",
    "batch_norm",
    "channel_shuffle",
    "concat",
    "conv2d",
    "dropout",
    "flatten",
    "gelu",
    "get",
    "global_avg_pool",
    "hard_swish",
    "layer_norm",
    "leaky_relu",
    "linear",
    "max_pool",
    "multiply",
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
