"""Poisoned memory (kernels/memory.py) in a program: its arena before each run, an op's outputs before each call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import numpy as np

from byhand.kernels.runtime.launch import poison
from byhand.ops.op import tree_leaves
from byhand.program.generated_file import Callee
from byhand.program.micro_batch import MicroBatches


def poison_arena(arena: Any) -> None:
    """Fill an arena's arrays, and those of its micro-batches; not its scalars, some of which the program sets only once."""
    for value in vars(arena).values():
        if isinstance(value, MicroBatches):
            for part in value.parts:
                poison_arena(part.arena)
        elif isinstance(value, np.ndarray) and value.ndim:
            poison(value)


def with_poisoned_outputs(callees: Mapping[str, Callee]) -> dict[str, Callee]:
    """Return the functions that a program calls; those of ops fill the arrays that they are to write before they run."""
    return {
        name: callee._replace(function=_poisoning(callee.function, callee.writes)) if callee.writes else callee
        for name, callee in callees.items()
    }


def _poisoning(hand: Callable[..., None], writes: tuple[bool, ...]) -> Callable[..., None]:
    """Return a hand that fills what it is to write, but where it works in place."""

    @wraps(hand)
    def poisoned(*arrays: Any, **attributes: Any) -> None:
        read = tree_leaves(value for value, written in zip(arrays, writes) if not written)
        for array in tree_leaves(value for value, written in zip(arrays, writes) if written):
            if not any(np.may_share_memory(array, other) for other in read):
                poison(array)
        hand(*arrays, **attributes)

    return poisoned
