"""Reading handwritten digits on a photo: a network classifies the candidates that `data.digit_segmentation` segments."""

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
CONFIDENT = 0.9  # from this confidence on, a digit is accepted without trying to split it
MIN_CONFIDENCE = 0.5  # below, a candidate is no digit
SPLIT_MIN_GAIN = 0.3  # confidence that a split into two narrow digits must add
SPACE_MIN_HEIGHTS = 0.6  # median digit heights that a space is wider than the median gap


@dataclass(frozen=True)
class Digit:
    """A digit that was read: its text, confidence (0 to 1), box (x, y, width, height), and line number, from 0."""

    text: str
    confidence: float
    box: tuple[float, float, float, float]
    line: int


def read_digits(model: Model, photo: Array, *, min_confidence: float = MIN_CONFIDENCE) -> list[Digit]:
    """Return the digits on a photo of paper, (H, W) gray uint8, in reading order; boxes are in its pixels.

    A digit's confidence is the network's probability; candidates below `min_confidence` are dropped. Wide candidates, and those
    below CONFIDENT, are also classified in two halves.
    Raises ArgumentError for a network that does not read 28 x 28 gray digits, ShapeError for another photo.

    >>> from byhand import models
    >>> read_digits(models.create("lenet5"), np.full((300, 400), 230, np.uint8))
    []
    """
    check_reads_digits(model)
    candidates = digit_segmentation.find(photo)
    probabilities = _probabilities(model, candidates)
    unsure = [candidate for candidate in candidates if candidate.wide or probabilities[candidate].max() < CONFIDENT]
    while unsure:
        parts = [part for candidate in unsure for pair in candidate.parts for part in pair]
        probabilities |= _probabilities(model, parts)
        unsure = [candidate for candidate in parts if candidate.wide]
    read = [digit for candidate in candidates for digit in _best_reading(candidate, probabilities)]
    return [digit for digit in read if digit.confidence >= min_confidence]


def check_reads_digits(model: Model) -> None:
    """Raise ArgumentError for a network that does not read 28 x 28 gray digits."""
    if model.input_shape != (28, 28, 1) or tuple(model.classes) != DIGITS:
        takes = " x ".join(map(str, model.input_shape))
        raise ArgumentError(
            f"{model.name} takes {takes} and has {_list_classes(model.classes)}; expected 28 x 28 x 1 and the digits 0 to 9: "
            "train one with `byhand train`"
        )


def lines_of_text(digits: Sequence[Digit]) -> list[str]:
    """Return the text of each line of digits, with a space where a gap is wide.

    >>> boxes = [(0, 0, 20, 30), (25, 0, 20, 30), (90, 0, 20, 30), (0, 60, 20, 30)]
    >>> lines_of_text([Digit(str(k), 1.0, box, int(box[1] > 30)) for k, box in enumerate(boxes)])
    ['01 2', '3']
    """
    lines = [list(line) for _, line in groupby(digits, lambda digit: digit.line)]
    gaps = [_gap(a, b) for line in lines for a, b in pairwise(line)]
    if not gaps:
        return ["".join(digit.text for digit in line) for line in lines]
    height = float(np.median([digit.box[3] for digit in digits]))
    min_space = min(float(np.median(gaps)), 0.8 * height) + SPACE_MIN_HEIGHTS * height
    return [
        line[0].text + "".join(" " * (_gap(a, b) > min_space) + b.text for a, b in pairwise(line)) for line in lines
    ]


def _gap(a: Digit, b: Digit) -> float:
    return b.box[0] - a.box[0] - a.box[2]


def _list_classes(classes: Sequence[str]) -> str:
    if not classes:
        return "no classes"
    return ", ".join(map(repr, classes[:3])) + (f" ... ({len(classes)} classes)" if len(classes) > 3 else "")


def _probabilities(model: Model, candidates: Sequence[Candidate]) -> dict[Candidate, Array]:
    """Return each candidate's probabilities."""
    if not candidates:
        return {}
    return dict(zip(candidates, model.predict(np.stack([candidate.image for candidate in candidates]))))


def _best_reading(candidate: Candidate, probabilities: dict[Candidate, Array]) -> list[Digit]:
    """Return a candidate's digits: one digit, or the split into two that the network is more confident of."""
    p = probabilities[candidate]
    whole = [Digit(DIGITS[int(p.argmax())], float(p.max()), candidate.box, candidate.line)]
    if not (candidate.wide or p.max() < CONFIDENT):
        return whole
    pairs = [pair for pair in candidate.parts if pair[0] in probabilities]
    readings = [[digit for part in pair for digit in _best_reading(part, probabilities)] for pair in pairs]
    split = max(readings, key=_lowest_confidence, default=whole)
    gain = _lowest_confidence(split) - _lowest_confidence(whole)
    return split if gain > (0 if candidate.wide else SPLIT_MIN_GAIN) else whole


def _lowest_confidence(reading: Sequence[Digit]) -> float:
    return min(digit.confidence for digit in reading)
