"""The ops, a family a file: the equation, the contract, then the hands, one above the other, forward and backward together.

`op.py` says what an op is. Add one in a file here, import it below, and the graph finds it, the program calls it, and the
conformance test holds its hands together.
"""

from byhand.ops.activation.activation import gelu, leaky_relu, relu, relu6, sigmoid, silu, tanh
from byhand.ops.activation.activation_piecewise import hard_sigmoid, hard_swish
from byhand.ops.activation.activation_smooth import celu, elu, selu, softplus, softsign
from byhand.ops.activation.dropout import dropout
from byhand.ops.arithmetic.add_multiply import add, multiply
from byhand.ops.arithmetic.binary import divide, power, subtract
from byhand.ops.arithmetic.minmax import maximum, minimum, prelu
from byhand.ops.arithmetic.unary import abs, clip, erf, exp, log, neg, reciprocal, sqrt
from byhand.ops.conv.conv2d import conv2d
from byhand.ops.conv.conv_transpose2d import conv_transpose2d
from byhand.ops.conv.linear import linear
from byhand.ops.fused.batch_norm_relu import batch_norm_relu
from byhand.ops.fused.conv2d_block import conv2d_block
from byhand.ops.fused.conv2d_max_pool import conv2d_max_pool
from byhand.ops.fused.relu import conv2d_relu, linear_relu
from byhand.ops.loss.softmax import softmax, softmax_cross_entropy
from byhand.ops.movement.movement import concat, flatten, pad, reshape
from byhand.ops.movement.resize import resize
from byhand.ops.movement.slice import slice
from byhand.ops.movement.transpose import channel_shuffle, transpose
from byhand.ops.norm.batch_norm import batch_norm
from byhand.ops.norm.layer_norm import layer_norm
from byhand.ops.norm.lrn import lrn
from byhand.ops.op import DEFAULT_HAND, HANDS, REGISTRY, Op, get
from byhand.ops.pool.avg_pool import avg_pool, global_avg_pool
from byhand.ops.pool.max_pool import max_pool
from byhand.ops.reduce.reduce import (
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
