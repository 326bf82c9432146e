"""Where a training stands: all that a checkpoint needs beside the arrays."""

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]  # an epoch of the history: its number, loss and accuracy, and those on the test set


@dataclass
class Progress:
    """Where a training stands: `done` of its steps, and of the epoch under way the images seen and the sums over them."""

    epochs: int
    images: int
    first: int  # the trainer's steps when this training began
    done: int = 0
    seen: int = 0
    loss: float = 0.0
    correct: int = 0
    history: list[Row] = field(default_factory=list)
    curve: list[list[float]] = field(default_factory=list)
    window: list[float] = field(default_factory=lambda: [0, 0.0, 0])  # of the curve's next point: images, loss, correct
