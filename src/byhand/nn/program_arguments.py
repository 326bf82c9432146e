"""The arguments of a program that a call leaves out: `program(images, labels)` runs on the arrays of its model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from byhand.errors import ArgumentError, ShapeError
from byhand.ops.op import Array

if TYPE_CHECKING:
    from byhand.nn.model import Model
    from byhand.program import Program


def model_arguments(model: Model, training: bool) -> Callable[[Program, tuple[Any, ...]], tuple[Any, ...]]:
    """Return the function that completes (images,) or (images, labels) to all arguments of one of the model's programs.

    images: (N, H, W, C), as `model.prepare` takes them; labels: as the program's loss takes them. It holds no reference that
    would keep the model alive.
    """
    reference = ref(model)
    expected = ("images", "labels") if training else ("images",)

    def complete(program: Program, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        model = reference()
        if model is None:
            raise ArgumentError("the model of this program is gone; keep it in a variable")
        if len(inputs) != len(expected):
            raise ArgumentError(f"the program takes {' and '.join(expected)}; got {len(inputs)} arrays")
        arrays = [model.prepare(inputs[0], hand=program.hand), *map(np.asarray, inputs[1:])]
        for name, array in zip(expected, arrays):
            _check_batch(program, name, array)
        gradients = (model.g,) if training else ()
        return (*arrays, model.p, *gradients, model.state, program.arena)

    return complete


def _check_batch(program: Program, name: str, array: Array) -> None:
    if array.shape[:1] != (program.batch,):
        count = len(array) if array.ndim else 0
        hint = f"; model.program({count}, ...) makes one for them" if count else ""
        raise ShapeError(f"the program is for batches of {program.batch}, but got {count} {name}{hint}")
