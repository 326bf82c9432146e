"""Kernel modes: plain Python, bounds checks and guard pages."""

import sys

import numpy as np
import pytest

from byhand.ops import REGISTRY
from byhand.ops.op import tree_leaves
from tests.kernels import process
from tests.kernels.guard_pages import GuardedBuffers
from tests.ops.draw import Seeded, cast_inputs, plan, with_gradient
from tests.ops.test_conformance import check

COMPILED = [op for op in REGISTRY.values() if "compiled" in op.hands]


def check_all(dtypes, seeds, names=None):
    """Hold the compiled hand of all ops, or of some, to the loops; print how many there are."""
    ops = [op for op in COMPILED if names is None or op.name in names]
    for op in ops:
        for dtype in dtypes:
            for seed in range(seeds):
                values, attributes = op.sample(Seeded(seed))
                check(op, ["compiled"], cast_inputs(op, values, dtype), attributes)
    print(len(ops))


def test_every_op_runs_as_plain_python(tmp_path):
    text = """
import numpy as np
from tests.kernels.test_modes import check_all
check_all([np.float32, np.float64], 2)
"""
    assert process.run(text, NUMBA_DISABLE_JIT="1", BYHAND_CACHE=str(tmp_path)).strip() == str(len(COMPILED))
    assert not (tmp_path / "kernels").exists()  # nothing was compiled


def test_checked_some_ops_do_the_same():
    text = "import numpy as np; from tests.kernels.test_modes import check_all; check_all([np.float32], 3, {})"
    assert process.run(text.format({"relu", "leaky_relu"}), BYHAND_DEBUG="1").strip() == "2"


WRONG = """
import numpy as np
from byhand.kernels import elementwise, kernel, launch

@kernel
def shifted(x, y, by, block):
    for i in range(x.size):
        y[i] = x[i + by]

def shifted_loops(x, y, *, by):
    for i in np.ndindex(x.shape):
        y[i] = x[i[0] + by]

for by in (0, 1):
    for work in (lambda x, y: launch(shifted, 1, x, y, by), lambda x, y: elementwise(shifted_loops)(x, y, by=by)):
        x, y = np.arange(4.0), np.zeros(4)
        try:
            work(x, y)
            print("good" if (x == y).all() else y)
        except IndexError:
            print("IndexError")
"""


@pytest.mark.parametrize("mode", ["BYHAND_DEBUG", "NUMBA_DISABLE_JIT"])
def test_an_access_beyond_an_array_raises(mode):
    assert process.run(WRONG, **{mode: "1"}).split() == ["good", "good", "IndexError", "IndexError"]


def check_where_memory_ends():
    """Run the compiled hand of every op on arrays that end where memory ends, and on such as begin there."""
    buffers = GuardedBuffers()
    for op in COMPILED:
        for dtype in (np.float32, np.float64):
            for seed in range(12):
                values, attributes = op.sample(Seeded(seed))
                inputs = cast_inputs(op, values, dtype)
                at_edge(buffers, op, dtype, inputs, attributes, at_end=seed % 4 > 0)
    print(len(COMPILED))


def at_edge(buffers, op, dtype, inputs, attributes, at_end):
    buffers.clear()

    def place(value):
        if value is None:
            return None
        return tuple(map(place, value)) if isinstance(value, tuple) else buffers.place(value, at_end)

    call, first = plan(op, inputs, attributes), op.outputs[0]
    arguments = {name: place(value) for name, value in (inputs | op.allocate(call, dtype)).items()}
    arguments[f"grad_{first}"] = place(np.random.default_rng(0).standard_normal(call.shapes[first]).astype(dtype))
    arguments |= {f"grad_{name}": place(inputs[name]) for name in with_gradient(op, inputs)}
    print(
        f"{op.name} {np.dtype(dtype)} {attributes} {[a.shape for a in tree_leaves(inputs.values())]}", file=sys.stderr
    )
    for names, hand in zip((op.forward_arguments, op.backward_arguments), op.hands["compiled"]):
        hand(*(arguments.get(name) for name in names), **call.attributes)


@pytest.mark.skipif(sys.platform == "win32", reason="no mprotect here")
def test_no_op_accesses_memory_outside_its_arrays():
    text = "from tests.kernels.test_modes import check_where_memory_ends; check_where_memory_ends()"
    child = process.start(text)
    out, err = child.communicate(timeout=300)
    assert out.strip() == str(len(COMPILED)), "\n".join(err.splitlines()[-30:])
