"""Where a training stands: all that a checkpoint needs beside the arrays."""

from dataclasses import dataclass, field

from byhand.train.history import History, Row

HALVINGS = 8  # of a training's length, between its first snapshot and its last


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
    history: History = field(default_factory=History)
    curve: list[list[float]] = field(default_factory=list)
    window: list[float] = field(default_factory=lambda: [0, 0.0, 0])  # of the curve's next point: images, loss, correct
    best: int = 0  # the epoch that did best on the images to validate on

    def add(self, images: int, loss: float, correct: int) -> None:
        """Count a step: its images, their mean loss, and how many were right."""
        self.done, self.seen = self.done + 1, self.seen + images
        self.loss, self.correct = self.loss + loss * images, self.correct + correct
        self.window = [a + b for a, b in zip(self.window, (images, loss * images, correct))]

    def add_point(self, total: int) -> None:
        """Add the mean of the steps since the last point to the curve."""
        counted, loss, right = self.window
        self.curve.append([self.done / total * self.epochs, loss / counted, right / counted])
        self.window = [0, 0.0, 0]

    def end(self, row: Row) -> bool:
        """End an epoch; return whether it did best so far on the images to validate on: more right, else a smaller loss."""
        self.history.append(row)
        self.seen, self.loss, self.correct = 0, 0.0, 0
        if "val_loss" not in row or (self.best and _merit(row) <= _merit(self.history[self.best - 1])):
            return False
        self.best = len(self.history)
        return True

    def stale(self, patience: int | None) -> bool:
        """Return whether so many epochs in a row did no better than the best before them."""
        return patience is not None and self.best > 0 and len(self.history) - self.best >= patience


def _merit(row: Row) -> tuple[float, float]:
    return row["val_accuracy"], -row["val_loss"]


def moments(total: int) -> list[int]:
    """Return after how many of a training's steps it is looked back on: more often at first.

    >>> moments(4690)
    [0, 18, 36, 73, 146, 293, 586, 1172, 2345]
    """
    return sorted({0, *(total >> halving for halving in range(1, HALVINGS + 1))})
