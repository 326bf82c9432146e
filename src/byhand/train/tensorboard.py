"""TensorBoard event files of a training: `TensorBoard(folder)` is a callback of `fit`. Needs `byhand[tensorboard]`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from byhand.errors import UnsupportedError
from byhand.train.history import Row

FOLDER = "tensorboard"  # of a run


class TensorBoard:
    """A callback that writes each epoch's numbers: `tensorboard --logdir FOLDER` shows them.

    The loss of the training is `loss/train`, that of validation images `loss/val`, and so on: one chart for all of a kind.
    Raises UnsupportedError where the package tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._event, self._summary, writer = import_tensorboard()
        self._writer: Any = writer(str(Path(folder)))

    def __call__(self, row: Row) -> None:
        """Write the numbers of an epoch."""
        values = [self._summary.Value(tag=tag(name), simple_value=float(row[name])) for name in row if name != "epoch"]
        event = self._event(wall_time=time.time(), step=row["epoch"], summary=self._summary(value=values))
        self._writer.add_event(event)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def import_tensorboard() -> tuple[Any, Any, Any]:
    """Return the classes Event, Summary and EventFileWriter; raise UnsupportedError where the package is not installed."""
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2  # noqa: PLC0415  (an extra)
        from tensorboard.summary.writer.event_file_writer import EventFileWriter  # noqa: PLC0415
    except ImportError:
        raise UnsupportedError(
            "TensorBoard files need the package tensorboard: run  pip install 'byhand[tensorboard]'"
        ) from None
    return event_pb2.Event, summary_pb2.Summary, EventFileWriter


def tag(name: str) -> str:
    """Return the tag of a column: the kind, then the images that it is of.

    >>> tag("loss"), tag("val_accuracy"), tag("test_loss"), tag("val_top_5")
    ('loss/train', 'accuracy/val', 'loss/test', 'top_5/val')
    """
    part, _, rest = name.partition("_")
    return f"{rest}/{part}" if rest and part in ("val", "test") else f"{name}/train"
