"""The arguments of a program that a call leaves out: `program(images, labels)` runs on the arrays of its model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from byhand.errors import ArgumentError, ShapeError
from byhand.ops import softmax_cross_entropy
from byhand.ops.loss.softmax import check_labels
from byhand.ops.op import Array, Op

if TYPE_CHECKING:
    from byhand.nn.model import Model
    from byhand.program import Program


def model_arguments(model: Model, loss: Op | None) -> Callable[[Program, tuple[Any, ...]], tuple[Any, ...]]:
    """Return the function that completes (images,) or (images, labels) to all arguments of one of the model's programs.

    images: (N, H, W, C), as `model.prepare` takes them; loss: of a training program, whose labels it takes. It holds no
    reference that would keep the model alive.
    """
    reference = ref(model)
    expected = ("images",) if loss is None else ("images", "labels")

    def complete(program: Program, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        model = reference()
        if model is None:
            raise ArgumentError("the model of this program is gone; keep it in a variable")
        if len(inputs) != len(expected):
            raise ArgumentError(f"the program takes {' and '.join(expected)}; got {len(inputs)} arrays")
        images = model.prepare(inputs[0], hand=program.hand)
        _check_batch(program, "images", images)
        if loss is None:
            return images, model.p, model.state, program.arena
        labels = _labels(model, program, loss, inputs[1])
        return images, labels, model.p, model.g, model.state, program.arena

    return complete


def _labels(model: Model, program: Program, loss: Op, given: Any) -> Array:
    """Return labels as a program's loss reads them: without a check of its own, the compiled hand trusts them."""
    labels = np.asarray(given)
    _check_batch(program, "labels", labels)
    if loss.in_python:  # a function of the user's, which takes what it likes
        return labels
    shape: tuple[int, ...] = () if loss is softmax_cross_entropy else model.logits.shape[1:]
    if labels.shape[1:] != shape:
        raise ShapeError(f"labels have the shape {labels.shape}; expected {(program.batch, *shape)}")
    if loss is softmax_cross_entropy:
        return check_labels(labels, model.logits.shape[1])
    if labels.dtype.kind not in "fiub":
        raise ArgumentError(f"labels hold {labels.dtype}; expected numbers")
    return labels.astype(model.dtype, copy=False)


def _check_batch(program: Program, name: str, array: Array) -> None:
    if array.shape[:1] != (program.batch,):
        count = len(array) if array.ndim else 0
        hint = f"; model.program({count}, ...) makes one for them" if count else ""
        raise ShapeError(f"the program is for batches of {program.batch}, but got {count} {name}{hint}")
