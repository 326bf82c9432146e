"""The ops: the equations of a convolutional network, a file each or a file a family.

Every file reads from top to bottom: equation and source, contract, then the loops, arrays and compiled hands, forward and
backward. op.py defines what an op is, and catalog.py lists them all.

    conv/  pool/  norm/  activation/  loss/  regularization/    the layers of a network
    arithmetic/  reduce/  movement/                             what they and ONNX graphs are put together from
    fused/                                                      chains of these in one pass, which a program puts together
    samples.py  special.py  windows.py  flat_kernels.py         shared by several ops
"""

from byhand.ops.catalog import *  # noqa: F403
from byhand.ops.op import DEFAULT_HAND, HANDS, REGISTRY, Op, get

__all__ = ["DEFAULT_HAND", "HANDS", "REGISTRY", "Op", "get"]
__all__ += list(REGISTRY)  # every op
