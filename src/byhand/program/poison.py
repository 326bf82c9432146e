"""Poisoned memory (kernels/memory.py) in a program: its arena before each run, an op's outputs before each call."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

import numpy as np

from byhand.kernels.runtime.launch import poison
from byhand.ops.op import REGISTRY, tree_leaves
from byhand.program.micro_batch import MicroBatches


def poison_arena(arena: Any) -> None:
    """Fill an arena's arrays, and those of its micro-batches; not its scalars, some of which the program sets only once."""
    for value in vars(arena).values():
        if isinstance(value, MicroBatches):
            for part in value.parts:
                poison_arena(part.arena)
        elif isinstance(value, np.ndarray) and value.ndim:
            poison(value)


def poison_calls(module: ModuleType) -> None:
    """Let each op call of a program fill the arrays that it is to write before it runs."""
    for alias, hand in list(vars(module).items()):
        op = REGISTRY.get(alias.removesuffix("_backward"))
        if op is not None and callable(hand):
            backward = alias.endswith("_backward")
            names = op.backward_arguments if backward else op.forward_arguments
            written = {f"grad_{name}" for name in op.differentiable} if backward else set(op.outputs)
            setattr(module, alias, _poisoning(hand, [name in written for name in names]))


def _poisoning(hand: Callable[..., None], written: list[bool]) -> Callable[..., None]:
    """Return a hand that fills what it is to write, but where it works in place."""

    @wraps(hand)
    def poisoned(*arrays: Any, **attributes: Any) -> None:
        read = tree_leaves(value for value, out in zip(arrays, written) if not out)
        for array in tree_leaves(value for value, out in zip(arrays, written) if out):
            if not any(np.may_share_memory(array, other) for other in read):
                poison(array)
        hand(*arrays, **attributes)

    return poisoned
