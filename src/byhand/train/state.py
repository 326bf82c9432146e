"""The state of a training that is under way: all that a checkpoint holds beside the arrays."""

from dataclasses import dataclass, field

from byhand.errors import ArgumentError
from byhand.train.history import History, Row

CURVE_POINTS = 100  # of loss and accuracy, in a whole training
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
    end_reason: str = ""  # why the training ended before its last step; "": it did not

    def total_steps(self, batch_size: int) -> int:
        """Return the number of steps of the whole training."""
        return self.epochs * steps_per_epoch(self.epoch_size, batch_size)

    def curve_interval(self, total: int) -> int:
        """Return the number of steps between two points of the curve."""
        return max(1, total // CURVE_POINTS)

    def group_steps(self, first: int, done: int, batch_size: int) -> int:
        """Return how many steps of `batch_size` images may run together: up to the curve's next point or the next snapshot.

        first: the index of the first one within its epoch, done: within the training. The last batch of an epoch, of another
        size, runs alone: 0 or less.
        """
        total = self.total_steps(batch_size)
        full = total // self.epochs - (self.epoch_size % batch_size > 0)
        to_point = self.curve_interval(total) - done % self.curve_interval(total)
        return min(full - first, to_point, next((step for step in snapshot_steps(total) if step > done), total) - done)

    def check_same(self, epochs: int, images: int) -> None:
        """Raise ArgumentError unless a training of so many epochs of so many images is this one."""
        if (epochs, images) != (self.epochs, self.epoch_size):
            raise ArgumentError(
                f"fit: the training under way has {self.epochs} epochs of {self.epoch_size} images; "
                f"got {epochs} of {images}; finish it first, or make a new Trainer"
            )

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


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of steps of an epoch; the last batch may be smaller.

    A single image that is left over joins the batch before it: batch norm has no variance over one number per channel.

    >>> [steps_per_epoch(images, 16) for images in (15, 16, 17, 18, 33)]
    [1, 1, 1, 2, 2]
    """
    full, rest = divmod(images, batch_size)
    return full if rest == 1 and full and batch_size > 1 else full + (rest > 0)


def batch_sizes(images: int, batch_size: int) -> set[int]:
    """Return the sizes of an epoch's batches.

    >>> sorted(batch_sizes(33, 16)), sorted(batch_sizes(40, 16)), sorted(batch_sizes(5, 16))
    ([16, 17], [8, 16], [5])
    """
    steps = steps_per_epoch(images, batch_size)
    last = images - (steps - 1) * batch_size
    return {last} if steps == 1 else {batch_size, last}


def _rank(row: Row) -> tuple[float, float]:
    return row.get("val_accuracy", 0.0), -row["val_loss"]


def snapshot_steps(total: int) -> list[int]:
    """Return the numbers of steps after which a run keeps a snapshot: more often at the beginning.

    >>> snapshot_steps(4690)
    [0, 18, 36, 73, 146, 293, 586, 1172, 2345]
    """
    return sorted({0, *(total >> halving for halving in range(1, SNAPSHOT_HALVINGS + 1))})
