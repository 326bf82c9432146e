"""Every op, one line each: importing this module registers them all.

`byhand.ops` and `byhand` export what is imported here. The form `import x as x` tells type checkers that x is exported.
"""

# ruff: noqa: PLC0414

from byhand.ops.activation.elu import celu as celu
from byhand.ops.activation.elu import elu as elu
from byhand.ops.activation.elu import selu as selu
from byhand.ops.activation.piecewise import hard_sigmoid as hard_sigmoid
from byhand.ops.activation.piecewise import hard_swish as hard_swish
from byhand.ops.activation.piecewise import leaky_relu as leaky_relu
from byhand.ops.activation.piecewise import relu as relu
from byhand.ops.activation.piecewise import relu6 as relu6
from byhand.ops.activation.prelu import prelu as prelu
from byhand.ops.activation.smooth import gelu as gelu
from byhand.ops.activation.smooth import sigmoid as sigmoid
from byhand.ops.activation.smooth import silu as silu
from byhand.ops.activation.smooth import softplus as softplus
from byhand.ops.activation.smooth import softsign as softsign
from byhand.ops.activation.smooth import tanh as tanh
from byhand.ops.arithmetic.add_multiply import add as add
from byhand.ops.arithmetic.add_multiply import multiply as multiply
from byhand.ops.arithmetic.binary import divide as divide
from byhand.ops.arithmetic.binary import power as power
from byhand.ops.arithmetic.binary import subtract as subtract
from byhand.ops.arithmetic.minmax import maximum as maximum
from byhand.ops.arithmetic.minmax import minimum as minimum
from byhand.ops.arithmetic.unary import abs as abs
from byhand.ops.arithmetic.unary import clip as clip
from byhand.ops.arithmetic.unary import erf as erf
from byhand.ops.arithmetic.unary import exp as exp
from byhand.ops.arithmetic.unary import log as log
from byhand.ops.arithmetic.unary import neg as neg
from byhand.ops.arithmetic.unary import reciprocal as reciprocal
from byhand.ops.arithmetic.unary import sqrt as sqrt
from byhand.ops.conv.conv2d import conv2d as conv2d
from byhand.ops.conv.conv_transpose2d import conv_transpose2d as conv_transpose2d
from byhand.ops.conv.linear import linear as linear
from byhand.ops.fused.batch_norm_relu import batch_norm_relu as batch_norm_relu
from byhand.ops.fused.conv2d_block import conv2d_block as conv2d_block
from byhand.ops.fused.conv2d_max_pool import conv2d_max_pool as conv2d_max_pool
from byhand.ops.fused.conv2d_relu import conv2d_relu as conv2d_relu
from byhand.ops.fused.linear_relu import linear_relu as linear_relu
from byhand.ops.loss.softmax import softmax as softmax
from byhand.ops.loss.softmax import softmax_cross_entropy as softmax_cross_entropy
from byhand.ops.loss.targets import mse_loss as mse_loss
from byhand.ops.loss.targets import sigmoid_cross_entropy as sigmoid_cross_entropy
from byhand.ops.loss.targets import soft_target_cross_entropy as soft_target_cross_entropy
from byhand.ops.movement.concat import concat as concat
from byhand.ops.movement.pad import pad as pad
from byhand.ops.movement.reshape import flatten as flatten
from byhand.ops.movement.reshape import reshape as reshape
from byhand.ops.movement.resize import resize as resize
from byhand.ops.movement.slice import slice as slice
from byhand.ops.movement.transpose import channel_shuffle as channel_shuffle
from byhand.ops.movement.transpose import transpose as transpose
from byhand.ops.norm.batch_norm import batch_norm as batch_norm
from byhand.ops.norm.layer_norm import layer_norm as layer_norm
from byhand.ops.norm.lrn import lrn as lrn
from byhand.ops.pool.avg_pool import avg_pool as avg_pool
from byhand.ops.pool.global_avg_pool import global_avg_pool as global_avg_pool
from byhand.ops.pool.max_pool import max_pool as max_pool
from byhand.ops.reduce.reduce import reduce_l1 as reduce_l1
from byhand.ops.reduce.reduce import reduce_l2 as reduce_l2
from byhand.ops.reduce.reduce import reduce_log_sum as reduce_log_sum
from byhand.ops.reduce.reduce import reduce_log_sum_exp as reduce_log_sum_exp
from byhand.ops.reduce.reduce import reduce_max as reduce_max
from byhand.ops.reduce.reduce import reduce_mean as reduce_mean
from byhand.ops.reduce.reduce import reduce_min as reduce_min
from byhand.ops.reduce.reduce import reduce_prod as reduce_prod
from byhand.ops.reduce.reduce import reduce_sum as reduce_sum
from byhand.ops.reduce.reduce import reduce_sum_square as reduce_sum_square
from byhand.ops.regularization.dropout import dropout as dropout
