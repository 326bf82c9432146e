"""The state of a training that is under way: all that a checkpoint holds beside the arrays."""

from dataclasses import dataclass, field

from byhand.kernels import cdiv
from byhand.train.history import History, Row

SNAPSHOT_HALVINGS = 8  # of a training's length, from the last snapshot to the first


@dataclass
class TrainingState:
    """How far a training has come: the steps done, and of the epoch under way the images seen and the sums over them."""

    epochs: int  # of the whole training
    epoch_size: int  # images per epoch
    first_step: int  # the trainer's steps when this training began
    steps_done: int = 0
    images_seen: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    history: History = field(default_factory=History)
    curve: list[list[float]] = field(default_factory=list)
    # Since the curve's last point: images, loss, correct.
    window: list[float] = field(default_factory=lambda: [0, 0.0, 0])
    best_epoch: int = 0  # by the validation images, from 1; 0: none yet

    def total_steps(self, batch_size: int) -> int:
        """Return the number of steps of the whole training; the last batch of an epoch may be smaller."""
        return self.epochs * cdiv(self.epoch_size, batch_size)

    def add_step(self, images: int, loss: float, correct: int) -> None:
        """Count a step: its images, their mean loss, and how many were right."""
        self.steps_done, self.images_seen = self.steps_done + 1, self.images_seen + images
        self.loss_sum, self.correct = self.loss_sum + loss * images, self.correct + correct
        self.window = [a + b for a, b in zip(self.window, (images, loss * images, correct))]

    def add_curve_point(self, total: int) -> None:
        """Add the mean of the steps since the last point to the curve."""
        images, loss, correct = self.window
        self.curve.append([self.steps_done / total * self.epochs, loss / images, correct / images])
        self.window = [0, 0.0, 0]

    def end_epoch(self, row: Row) -> bool:
        """Add a finished epoch to the history; return whether it is the best so far on the validation images.

        The best epoch has the highest validation accuracy, and among equal ones the smallest validation loss.
        """
        self.history.append(row)
        self.images_seen, self.loss_sum, self.correct = 0, 0.0, 0
        if "val_loss" not in row or (self.best_epoch and _rank(row) <= _rank(self.history[self.best_epoch - 1])):
            return False
        self.best_epoch = len(self.history)
        return True

    def out_of_patience(self, patience: int | None) -> bool:
        """Return whether the last `patience` epochs brought no improvement; None: never."""
        return patience is not None and self.best_epoch > 0 and len(self.history) - self.best_epoch >= patience


def _rank(row: Row) -> tuple[float, float]:
    return row.get("val_accuracy", 0.0), -row["val_loss"]


def snapshot_steps(total: int) -> list[int]:
    """Return the numbers of steps after which a run keeps a snapshot: more often at the beginning.

    >>> snapshot_steps(4690)
    [0, 18, 36, 73, 146, 293, 586, 1172, 2345]
    """
    return sorted({0, *(total >> halving for halving in range(1, SNAPSHOT_HALVINGS + 1))})
