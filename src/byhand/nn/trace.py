"""The trace of a model: every tensor of a forward pass, and with labels of a backward pass, by name.

Outputs (`conv1`), what forward saves (`pool1_argmax`), parameters (`conv1_weight`), states; with labels also the loss, and the
gradient of the loss with respect to each of them (`grad_conv1`, `grad_conv1_weight`, `grad_images`; where a tensor is used
twice, `grad_2_...` is the second use's part, which the sum includes).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from byhand.errors import ShapeError
from byhand.nn.output_activation import values_after
from byhand.ops.loss.softmax import check_labels
from byhand.ops.op import Array
from byhand.program.buffers import flat_views

if TYPE_CHECKING:
    from byhand.nn.model import Model


def trace(model: Model, images: Any, labels: Any, hand: str) -> dict[str, Array]:
    """Return every tensor by name; see `Model.trace`."""
    x = model.prepare(images, hand=hand)
    with model.lock.rlock:
        state = SimpleNamespace(**{name: value.copy() for name, value in vars(model.state).items()})
        assert model.graph.input is not None
        named = {model.graph.input.name: x} | model.parameters | vars(state)
        if labels is None:
            program = model.program(len(x), hand=hand, keep=True)
            program(x, model.p, state, program.arena)
            named |= vars(program.arena)
            named |= values_after(model.graph.up_to(model.output).nodes, named, hand)
        else:
            labels = check_labels(labels, len(model.classes))
            if labels.shape != (len(x),):
                raise ShapeError(
                    f"{model.name}: labels have the shape {labels.shape}; expected ({len(x)},), one an image"
                )
            program = model.program(len(x), train=True, hand=hand, input_gradient=True, keep=True)
            gradients = flat_views(model.graph.of_kind("parameter"), model.dtype, "grad_")
            program(x, labels, model.p, gradients, state, program.arena)
            named |= {"labels": labels} | vars(program.arena)
            named |= {name: value for name, value in vars(gradients).items() if name != "flat"}
        return {name: np.array(value) for name, value in named.items()}
