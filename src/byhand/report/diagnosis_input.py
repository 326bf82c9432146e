"""A training as the doctor sees it: the network, its images and answers, its curves, and what can be worked out from these."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any, Literal

import numpy as np

from byhand.data import Dataset
from byhand.nn import Model
from byhand.ops.op import Array
from byhand.report.confusion import confusion_matrix
from byhand.report.picture import plain_text
from byhand.report.scores import Judged, judge

Severity = Literal["serious", "warning", "note"]
Kind = Literal["training", "evaluation"]
Place = tuple[Kind, int, str]  # an image: of which set, its number, what to say of it
TRACED, SOME, NUMBERS = 64, 16, 2**26  # images that are traced, those at least, and numbers that this may keep
PIXELS = 2**24  # that are looked at
WORK = 1e12  # FLOPs that answers to training images may take: some ten seconds
TENTHS, SEEN = (
    10,
    500,
)  # parts of a training that has few epochs; images that a part must have seen, or its loss is chance


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a training, or may be.

    name: what; severity: "serious" (it can't be right like this), "warning" or "note"; evidence: the numbers it was seen by;
    cure: what to try; images: those that show it.
    """

    name: str
    severity: Severity
    evidence: str
    cure: str
    images: tuple[Place, ...] = ()


@dataclass(frozen=True, eq=False)
class Case:
    """One training: what `examine` is given, and what its checks share.

    history: a row an epoch; curve: (epoch, loss, accuracy) at many points within them; logits: (N, classes) of `evaluated`;
    train_logits: of `train`, where they are known.
    """

    model: Model
    evaluated: Dataset
    logits: Array
    history: Sequence[Mapping[str, Any]] = ()
    curve: Sequence[Sequence[float]] = ()
    train: Dataset | None = None
    train_logits: Array | None = None

    @cached_property
    def judged(self) -> Judged:
        """What the network says of the evaluation images."""
        return judge(self.logits, self.evaluated.labels)

    @cached_property
    def matrix(self) -> Array:
        """How often each class (row) was taken for each (column)."""
        return confusion_matrix(self.judged.labels, self.judged.taken, len(self.model.classes))

    @cached_property
    def named(self) -> tuple[str, ...]:
        """The classes' names, each in one line and short enough for a sentence."""
        return tuple(plain_text(name) for name in self.model.classes)

    @cached_property
    def held_out(self) -> str:
        """What the history calls the images that were not trained on: "test" or "val"; "": nothing."""
        for prefix in ("test", "val"):
            if any(f"{prefix}_loss" in row for row in self.history):
                return prefix
        return ""

    @property
    def word(self) -> str:
        """What a sentence calls them."""
        return {"test": "test", "val": "validation"}.get(self.held_out, "evaluation")

    def called(self, kind: Kind) -> str:
        """Return what a sentence calls either set's images."""
        return kind if kind == "training" else self.word

    @cached_property
    def counts(self) -> Array:
        """How many images each class has to learn from; without training images, to be judged by."""
        labels = (self.evaluated if self.train is None else self.train).labels
        return np.bincount(labels, minlength=len(self.model.classes))

    @cached_property
    def guessing(self) -> float:
        """The loss of who knows the classes' shares and nothing else: their entropy, ln K where they are equal."""
        shares = self.counts[self.counts > 0] / self.counts.sum()
        return float(-(shares * np.log(shares)).sum())

    @cached_property
    def losses(self) -> list[float]:
        """The training loss, epoch by epoch; of fewer than ten epochs, tenths of the curve where each saw enough images."""
        rows = [float(row["loss"]) for row in self.history]
        enough = self.train is None or len(rows) * len(self.train) >= SEEN * TENTHS
        if len(rows) < TENTHS and len(self.curve) >= 2 * TENTHS and enough:
            return [float(np.mean([point[1] for point in part])) for part in _tenths(self.curve)]
        return rows

    @cached_property
    def last_loss(self) -> float | None:
        """The training loss at the end; None: nobody wrote it down."""
        return self.losses[-1] if self.losses else None

    @cached_property
    def learned_from(self) -> Array:
        """Which training images are looked at again: all, or as many as are worth the time."""
        if self.train is None:
            return np.zeros(0, np.int64)
        if self.train_logits is not None:
            return np.arange(len(self.train))
        return _drawn(len(self.train), max(TRACED, int(WORK / max(1, self.model.summary().flops))))

    @cached_property
    def learned_logits(self) -> Array:
        """What the network, as it is now, answers to those."""
        assert self.train is not None
        if self.train_logits is not None:
            return self.train_logits
        together = max(1, NUMBERS // self.train.images[0].size)  # a part of the images is a copy
        parts = np.array_split(self.learned_from, -(-len(self.learned_from) // together))
        return np.concatenate([self.model.logits_of(self.train.images[part]) for part in parts])

    @cached_property
    def learned(self) -> Judged | None:
        """What the network, as it is now, says of training images; None: there are none."""
        if self.train is None or not len(self.train):
            return None
        return judge(self.learned_logits, self.train.labels[self.learned_from])

    @cached_property
    def prepared(self) -> Array:
        """Some images as the network receives them."""
        images = (self.evaluated if self.train is None else self.train).images
        return self.model.prepare(images[_drawn(len(images), max(1, min(256, PIXELS // images[0].size)))])

    @cached_property
    def traced(self) -> dict[str, Array]:
        """Every activation and gradient for some images, by name: forward and backward, in training's own way."""
        data = self.evaluated if self.train is None else self.train
        _, shapes = self.model.graph.plan(1, training=True)
        kept = sum(prod(shapes[t.name]) for t in self.model.graph.of_kind("value"))
        most = max(2, min(TRACED, NUMBERS // (4 * kept)))  # each with its gradient, and a copy of both
        chosen = _drawn(len(data), most)
        return self.model.trace(data.images[chosen], data.labels[chosen])

    def activations(self) -> Iterator[dict[str, Array]]:
        """Yield what is traced, and where that is few images, the activations for more of them, as many at a time."""
        yield self.traced
        data, step = self.evaluated if self.train is None else self.train, len(self.traced["labels"])
        for end in range(2 * step, min(len(data), SOME) + step, step):
            yield self.model.trace(data.images[np.setdiff1d(_drawn(len(data), end), _drawn(len(data), end - step))])


def percent(share: float) -> str:
    """Return a probability as text: what is not quite 0 or 1 does not look like it.

    >>> [percent(share) for share in (0.5, 0.99996, 1.0, 1e-9)]
    ['50.0%', '>99.9%', '100%', '<0.1%']
    """
    if not np.isfinite(share):
        return "–"
    if share in (0, 1):
        return f"{share:.0%}"
    return "<0.1%" if share < 0.0005 else ">99.9%" if share >= 0.9995 else f"{share:.1%}"


def _drawn(count: int, most: int) -> Array:
    """Return at most so many places among `count`, drawn: images may lie class by class, or go around the classes."""
    return np.sort(np.random.default_rng(0).permutation(count)[:most])


def _tenths(points: Sequence[Any]) -> list[Sequence[Any]]:
    ends = [round(i * len(points) / TENTHS) for i in range(TENTHS + 1)]
    return [points[start:end] for start, end in pairwise(ends)]
