"""NaN and infinity, in any input or in the gradient, reach with the compiled hand what they reach with arrays.

A NaN that got lost would hide a training that diverges; one too many would end a good one. Whether it is a NaN or an infinity
that arrives depends on the order of operations, and is left open. That forward agrees with PyTorch, test_torch.py holds.
"""

import numpy as np
import pytest

from byhand.ops import REGISTRY
from byhand.ops.op import flat
from tests.ops.draw import Seeded, copies, plan, typed
from tests.ops.test_torch import ours

SPECIAL = (np.nan, np.inf, -np.inf)
CALLS = 30
COMPILED = [name for name, op in REGISTRY.items() if "compiled" in op.hands]
LEFT_OPEN = {  # an op's inputs that may hold no such number here, and why
    "conv2d": {
        "weight"
    },  # it meets the zeros of a frame, which each hand draws where it needs one: 0 * infinity is NaN
    "conv2d_relu": {"weight"},
    "conv2d_max_pool": {"x", "weight"},  # a pixel that won no window is left out, where arrays multiply it by 0
}


def spoiled(op, seed, dtype):
    """Return what was spoiled, and a sample's inputs, attributes and gradient, one of which holds NaN or infinities."""
    draw = Seeded(seed)
    values, attributes = op.sample(draw)
    inputs = typed(op, values, dtype)
    grad = draw.random.standard_normal(plan(op, inputs, attributes).shapes[op.outputs[0]]).astype(dtype)
    there = [name for name, value in inputs.items() if value is not None and name not in (*op.state, *op.dtypes)]
    where = draw.choice([name for name in (*there, "grad") if name not in LEFT_OPEN.get(op.name, ())])
    arrays = [one for one in flat([grad if where == "grad" else inputs[where]]) if one.size]
    for _ in range(draw.integer(1, 3)):
        array = draw.choice(arrays)
        array.flat[draw.integer(0, array.size - 1)] = draw.choice(SPECIAL)
    return where, inputs, attributes, grad


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", COMPILED)
def test_nan_and_infinity_reach_what_they_reach_with_arrays(name, dtype):
    op = REGISTRY[name]
    for seed in range(CALLS):
        where, inputs, attributes, grad = spoiled(op, seed, dtype)
        with np.errstate(all="ignore"):  # NumPy is right to warn; here it is meant
            expected, got = (ours(op, hand, copies(inputs), attributes, grad) for hand in ("arrays", "compiled"))
        for key, value in expected.items():
            for mine, theirs in zip(flat([got[key]]), flat([value]), strict=True):
                finite = np.isfinite(theirs)
                limit = 1e-5 * np.abs(theirs[finite]).max(initial=1)
                good = (
                    np.array_equal(np.isfinite(mine), finite) and (np.abs(mine[finite] - theirs[finite]) <= limit).all()
                )
                assert good, f"{name}, seed {seed}, {where} spoiled: {key} is\n{mine}\nwith arrays it is\n{theirs}"


def test_most_numbers_stay_finite():
    """A test in which all becomes NaN would see nothing."""
    for name in COMPILED:
        finite = []
        for seed in range(CALLS):
            _, inputs, attributes, grad = spoiled(REGISTRY[name], seed, np.float64)
            with np.errstate(all="ignore"):
                got = ours(REGISTRY[name], "compiled", copies(inputs), attributes, grad)
            finite += [np.isfinite(one).mean() for one in flat(got.values()) if one.size]
        assert 0.2 < np.mean(finite) < 1, name
