"""PyTorch's OpInfo samples with every hand of every matching op.

Forward and backward, float32 and float64; PyTorch computes in float64. The loops take the small ones.
"""

import warnings
from collections import Counter
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from byhand.errors import ByhandError
from byhand.ops import REGISTRY
from byhand.ops.op import tree_leaves
from tests.ops.draw import each
from tests.ops.opinfo import TABLE, WITHOUT_COUNTERPART, In, Uncovered, elements
from tests.ops.test_torch import compare
from tests.oracle import needs_torch

LOOPS_MAX_ELEMENTS = 1000
LOOPS_MAX_FLOPS = 10_000
LOOPS_MAX_SAMPLES = 50  # of an op, a counterpart and a type: spread over all of them
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
TOLERANCE_OF = {"hard_sigmoid": 1e-7}  # PyTorch takes 1/6 in float32 for its gradient
MAX_UNCOVERED = 0.2  # of an op's samples
MAX_UNCOVERED_OF = {
    "avg_pool": 0.75,  # most have a divisor of their own
    "batch_norm": 0.45,  # a momentum below 0; inputs without channels
    "clip": 0.85,  # most have tensors for bounds
    "dropout": 0.55,  # random numbers
    "flatten": 0.7,  # other axes than all but the first
    "gelu": 0.5,  # the approximation with tanh
    "global_avg_pool": 0.95,  # means over other axes
    "layer_norm": 0.7,  # norms over all axes
    "linear": 0.25,  # inputs of one axis
    "max_pool": 0.5,  # the same calls, with indices returned
    "pad": 0.75,  # other axes than rows and columns
    "reduce_l1": 0.9,  # norms of other orders
    "reduce_l2": 0.9,
    "reshape": 0.9,  # another first axis
    "resize": 0.35,  # other ranks than an image's
    "slice": 0.8,  # indices that are no slices
    "softmax": 0.3,  # numbers without an axis
    "mse_loss": 0.7,  # other reductions than the mean
    "sigmoid_cross_entropy": 0.8,  # weights, other reductions than the mean
    "soft_target_cross_entropy": 0.8,  # labels, weights, other reductions than the mean
    "softmax_cross_entropy": 0.8,  # weights, probabilities for labels, other reductions than the mean
}


@cache
def infos():
    """Return PyTorch's ops by name, and by name and variant; importing them takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    found = {}
    for info in op_db:
        for name in (info.name, f"{info.name}.{info.variant_test_name}"):
            found.setdefault(name, info)
    return found


def test_every_op_is_in_the_table_or_has_no_counterpart():
    assert TABLE.keys() | WITHOUT_COUNTERPART.keys() == REGISTRY.keys()
    assert not TABLE.keys() & WITHOUT_COUNTERPART.keys()


@needs_torch
@pytest.mark.parametrize("name", TABLE)
def test_every_hand_does_what_pytorch_does_on_its_own_samples(name):
    covered, uncovered = 0, Counter()
    for counterpart, translate in TABLE[name]:
        for dtype in (np.float64, np.float32):
            every = list(samples(counterpart, dtype))
            step = -(-len(every) // LOOPS_MAX_SAMPLES)
            for i, sample in enumerate(every):
                try:
                    check(name, counterpart, translate, sample, dtype, loops=i % step == 0)
                    covered += 1
                except (Uncovered, Refused) as reason:
                    uncovered[str(reason)] += 1
    count = covered + uncovered.total()
    print(f"{name}: {covered} of {count} samples")
    limit = MAX_UNCOVERED_OF.get(name, MAX_UNCOVERED)
    assert covered and uncovered.total() <= limit * count, f"{name}: {covered} covered, not {dict(uncovered)}"


class Refused(Exception):
    """A call that byhand's contract refuses."""


def samples(counterpart, dtype):
    """Yield the samples of an op of PyTorch: numbers of a type, as float64 leaves that will have a gradient."""
    import torch
    from torch.testing._internal.common_utils import SEED, set_rng_seed
    from torch.utils._pytree import tree_map

    def leaf(value):
        if not isinstance(value, torch.Tensor):
            return value
        value = value.detach().clone()
        return value.double().requires_grad_() if value.is_floating_point() else value

    set_rng_seed(SEED)
    kind = getattr(torch, np.dtype(dtype).name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for sample in infos()[counterpart].sample_inputs("cpu", kind, requires_grad=False, set_seed=False):
            made = tree_map(leaf, (sample.input, tuple(sample.args), dict(sample.kwargs)))
            yield SimpleNamespace(**dict(zip(("input", "args", "kwargs"), made)))
            torch.default_generator.manual_seed(SEED)  # set_seed=True seeds GPUs too, which takes longer than a sample


def check(name, counterpart, translate, sample, dtype, loops):
    """Hold all hands to PyTorch's result for a sample; raise Uncovered or Refused where byhand has no such call."""
    import torch

    op, case = REGISTRY[name], translate(sample)
    inputs = {
        key: None if given_value is None else arrays(op, key, given_value, dtype)
        for key, given_value in zip(op.inputs, case.inputs)
    }
    try:
        call = op.infer([each(np.shape, value) for value in inputs.values()], case.attributes)
        op(*copied(inputs), hand="arrays", **case.attributes)
    except ByhandError as error:
        raise Refused(f"{name} refuses: {error}") from None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = infos()[counterpart].op(sample.input, *sample.args, **sample.kwargs)
        generator = torch.Generator().manual_seed(0)
        grad = (
            torch.randn(result.shape, dtype=torch.float64, generator=generator)
            .to(getattr(torch, np.dtype(dtype).name))
            .double()
        )
        result.backward(grad)
    expected = {"y": case.out(result.detach()).numpy().astype(dtype)}
    own_grad = case.out(grad).numpy().astype(dtype)
    for key in op.differentiable:
        value = case.inputs[op.inputs.index(key)]
        if value is not None:
            expected[f"grad_{key}"] = gradients(value, dtype)
    for key in op.state:
        value = case.inputs[op.inputs.index(key)]
        given = [*sample.args, *sample.kwargs.values()]
        if inputs[key].dtype.kind == "f" and any(tensor is value.tensor for tensor in given):
            expected[key] = value.layout(value.tensor.detach()).numpy().astype(dtype)

    who = f"{name}, {counterpart}, {[np.shape(array) for array in tree_leaves(inputs.values())]}, {case.attributes}"
    loops = loops and elements(case) <= LOOPS_MAX_ELEMENTS and call.flops <= LOOPS_MAX_FLOPS
    hands = [hand for hand in op.hands if hand != "loops" or loops]
    tolerance = max(TOLERANCE[dtype], TOLERANCE_OF.get(name, 0))
    for hand in hands:
        given = copied(inputs)
        grads = op.backward(own_grad, *given, hand=hand, **case.attributes)
        grads = dict(zip(op.differentiable, grads if len(op.differentiable) > 1 else (grads,), strict=True))
        with np.errstate(all="ignore"):
            found = {"y": op(*given, hand=hand, **case.attributes)}
        found |= {f"grad_{key}": grad for key, grad in grads.items()}
        found |= dict(zip(op.inputs, given))
        pairs = {key: value for key, value in expected.items() if value is not None}
        compare(f"{who}, {hand}", {key: found[key] for key in pairs}, pairs, tolerance)


def arrays(op, key, value, dtype):
    """Return what byhand is given for an input: an array, or a tuple of them."""
    if not isinstance(value, In):
        return tuple(arrays(op, key, part, dtype) for part in value)
    laid_out = value.layout(value.tensor.detach()).numpy()
    return np.array(laid_out, op.dtypes.get(key, dtype), order="C")


def copied(inputs):
    return [each(np.array, value) for value in inputs.values()]


def gradients(value, dtype):
    """Return PyTorch's gradient of an input in byhand's layout; None where it has none."""
    if not isinstance(value, In):
        return tuple(gradients(part, dtype) for part in value)
    return None if value.tensor.grad is None else value.layout(value.tensor.grad).numpy().astype(dtype)
