"""The ops, a family a file: the equation, the contract, then the hands, one above the other, forward and backward together.

`op.py` says what an op is. Add one in a file here, import it below, and the graph finds it, the program calls it, and the
conformance test holds its hands together.
"""

from byhand.ops.activation import gelu, leaky_relu, relu, relu6, sigmoid, silu, tanh
from byhand.ops.arithmetic import add, multiply
from byhand.ops.avg_pool import avg_pool, global_avg_pool
from byhand.ops.binary import divide, power, subtract
from byhand.ops.conv2d import conv2d
from byhand.ops.conv2d_block import conv2d_block
from byhand.ops.conv2d_pool import conv2d_max_pool
from byhand.ops.conv_transpose import conv_transpose2d
from byhand.ops.dropout import dropout
from byhand.ops.extremes import maximum, minimum, prelu
from byhand.ops.fused import conv2d_relu, linear_relu
from byhand.ops.hard import hard_sigmoid, hard_swish
from byhand.ops.layer_norm import layer_norm
from byhand.ops.linear import linear
from byhand.ops.loss import softmax, softmax_cross_entropy
from byhand.ops.lrn import lrn
from byhand.ops.norm import batch_norm
from byhand.ops.norm_relu import batch_norm_relu
from byhand.ops.op import DEFAULT_HAND, HANDS, REGISTRY, Op, get
from byhand.ops.pool import max_pool
from byhand.ops.reduce import (
    reduce_l1,
    reduce_l2,
    reduce_log_sum,
    reduce_log_sum_exp,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_prod,
    reduce_sum,
    reduce_sum_square,
)
from byhand.ops.resize import resize
from byhand.ops.slice import slice
from byhand.ops.soft import celu, elu, selu, softplus, softsign
from byhand.ops.tensor import concat, flatten, pad, reshape
from byhand.ops.transpose import channel_shuffle, transpose
from byhand.ops.unary import abs, clip, erf, exp, log, neg, reciprocal, sqrt

__all__ = [
    "DEFAULT_HAND",
    "HANDS",
    "REGISTRY",
    "Op",
    "abs",
    "add",
    "avg_pool",
    "batch_norm",
    "batch_norm_relu",
    "celu",
    "channel_shuffle",
    "clip",
    "concat",
    "conv2d",
    "conv2d_block",
    "conv2d_max_pool",
    "conv2d_relu",
    "conv_transpose2d",
    "divide",
    "dropout",
    "elu",
    "erf",
    "exp",
    "flatten",
    "gelu",
    "get",
    "global_avg_pool",
    "hard_sigmoid",
    "hard_swish",
    "layer_norm",
    "leaky_relu",
    "linear",
    "linear_relu",
    "log",
    "lrn",
    "max_pool",
    "maximum",
    "minimum",
    "multiply",
    "neg",
    "pad",
    "power",
    "prelu",
    "reciprocal",
    "reduce_l1",
    "reduce_l2",
    "reduce_log_sum",
    "reduce_log_sum_exp",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_prod",
    "reduce_sum",
    "reduce_sum_square",
    "relu",
    "relu6",
    "reshape",
    "resize",
    "selu",
    "sigmoid",
    "silu",
    "slice",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "softsign",
    "sqrt",
    "subtract",
    "tanh",
    "transpose",
]
