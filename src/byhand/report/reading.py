"""Reading a photo of digits: a network names what `data.digit_segmentation` found, or finds that it is none.

It stands here because it needs both: `data` knows no network, and `nn` no paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from byhand.data import digit_segmentation
from byhand.data.digit_segmentation import Candidate
from byhand.errors import ArgumentError
from byhand.nn import Model
from byhand.ops.op import Array

DIGITS = tuple("0123456789")
SURE, LEAST = 0.9, 0.5  # confidence: of a digit that needs no second look; lower, and it is taken for no digit
APART = 0.3  # how much surer of two digits than of one a network must be where both would be narrow
SPACE = 0.6  # of the usual height: how much wider than the usual gap one between two numbers is


@dataclass(frozen=True)
class Digit:
    """A digit that was read: what it says, how sure that is (0 to 1), its box (x, y, width, height), its line, from 0."""

    text: str
    confidence: float
    box: tuple[float, float, float, float]
    line: int


def read_digits(model: Model, photo: Array, *, least: float = LEAST) -> list[Digit]:
    """Return the digits on a photo of paper, (H, W) grey uint8, in reading order; boxes are in its pixels.

    A digit's confidence is the network's probability; below `least` it is taken for dirt.
    Where a network is unsure, or ink is wide, it is also asked about the ink's two halves.
    Raises ArgumentError for a network that does not read 28 x 28 grey digits, ShapeError for another photo.

    >>> from byhand import models
    >>> read_digits(models.create("lenet5"), np.full((300, 400), 230, np.uint8))
    []
    """
    check(model)
    found = digit_segmentation.find(photo)
    named = _named(model, found)
    unsure = [one for one in found if one.wide or named[one].max() < SURE]
    while unsure:
        parts = [part for one in unsure for pair in one.parts for part in pair]
        named |= _named(model, parts)
        unsure = [one for one in parts if one.wide]
    read = [digit for one in found for digit in _best(one, named)]
    return [digit for digit in read if digit.confidence >= least]


def check(model: Model) -> None:
    """Raise ArgumentError for a network that does not read 28 x 28 grey digits."""
    if model.input_shape != (28, 28, 1) or tuple(model.classes) != DIGITS:
        takes = " x ".join(map(str, model.input_shape))
        raise ArgumentError(
            f"{model.name} takes {takes} and tells {_listed(model.classes)}; expected 28 x 28 x 1 and the digits 0 to 9: "
            "train one with `byhand train`"
        )


def texts(digits: Sequence[Digit]) -> list[str]:
    """Return what digits say, a text a line, with a space where a gap is wide.

    >>> boxes = [(0, 0, 20, 30), (25, 0, 20, 30), (90, 0, 20, 30), (0, 60, 20, 30)]
    >>> texts([Digit(str(k), 1.0, box, int(box[1] > 30)) for k, box in enumerate(boxes)])
    ['01 2', '3']
    """
    lines = [list(line) for _, line in groupby(digits, lambda digit: digit.line)]
    gaps = [_gap(a, b) for line in lines for a, b in pairwise(line)]
    if not gaps:
        return ["".join(digit.text for digit in line) for line in lines]
    height = float(np.median([digit.box[3] for digit in digits]))
    wide = min(float(np.median(gaps)), 0.8 * height) + SPACE * height
    return [
        line[0].text + "".join(" " * (_gap(a, b) > wide) + b.text for a, b in pairwise(line)) for line in lines
    ]  # fmt: skip


def _gap(a: Digit, b: Digit) -> float:
    return b.box[0] - a.box[0] - a.box[2]


def _listed(classes: Sequence[str]) -> str:
    if not classes:
        return "no classes"
    return ", ".join(map(repr, classes[:3])) + (f" ... ({len(classes)} classes)" if len(classes) > 3 else "")


def _named(model: Model, candidates: Sequence[Candidate]) -> dict[Candidate, Array]:
    """Return each candidate's probabilities."""
    return dict(zip(candidates, model.predict(np.stack([one.image for one in candidates])))) if candidates else {}


def _best(candidate: Candidate, named: dict[Candidate, Array]) -> list[Digit]:
    """Return a candidate's digits: it as one, or its parts where the network is surer of them."""
    share = named[candidate]
    one = [Digit(DIGITS[int(share.argmax())], float(share.max()), candidate.box, candidate.line)]
    if not (candidate.wide or share.max() < SURE):
        return one
    pairs = [[digit for part in pair for digit in _best(part, named)] for pair in candidate.parts if pair[0] in named]
    several = max(pairs, key=_least, default=one)
    return several if _least(several) > _least(one) + (0 if candidate.wide else APART) else one


def _least(reading: Sequence[Digit]) -> float:
    return min(digit.confidence for digit in reading)
