"""Reading handwritten digits on a photo: a network classifies the candidates that `data.digit_segmentation` segments."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np

from byhand.data import digit_segmentation
from byhand.data.digit_likeness import likeness
from byhand.data.digit_segmentation import Candidate
from byhand.errors import ArgumentError
from byhand.nn import Model
from byhand.ops.op import Array

DIGITS = tuple("0123456789")
CONFIDENT = 0.9  # from this confidence on, a digit is accepted without trying to split it
MIN_CONFIDENCE = 0.5  # below, a candidate is no digit
SPLIT_MIN_GAIN = 0.3  # confidence that a split into two narrow digits must add
MIN_LIKENESS = 0.72  # to MNIST; below, a candidate is no digit: 1 of 200 written ones is
# What tells writing from dirt: counts are of sure digits, and `telling` ones are no mere straight stroke, as a one is.
MIN_CONTRAST = 0.35  # of the strokes, in the median; fainter writing must be telling and of one height
MIN_FAINT_TELLING = 5
MIN_TELLING = 3
MAX_HEIGHT_RATIO = 2.0  # of the tallest tenth to the lowest
MIN_LONE_HEIGHT = 0.025  # of the photo's longer side, where fewer than MIN_TELLING digits are sure
MAX_ONES = 40  # on a page with next to nothing else; more are a pattern
SPACE_MIN_HEIGHTS = 0.6  # median digit heights that a space is wider than the median gap


@dataclass(frozen=True)
class Digit:
    """A digit that was read: its text, confidence (0 to 1), box (x, y, width, height), and line number, from 0.

    likeness: to the nearest digit of MNIST; contrast: of its strokes; both from 0 to 1.
    """

    text: str
    confidence: float
    box: tuple[float, float, float, float]
    line: int
    likeness: float = 1.0
    contrast: float = 1.0

    @property
    def sure(self) -> bool:
        """Whether the network is confident of it."""
        return self.confidence >= CONFIDENT


def read_digits(model: Model, photo: Array, *, min_confidence: float = MIN_CONFIDENCE) -> list[Digit]:
    """Return the digits on a photo of paper, (H, W) gray uint8, in reading order; boxes are in its pixels.

    A digit's confidence is the network's probability; candidates below `min_confidence` are dropped, and all of a page that
    looks like dirt (`accept`). Wide candidates, and those below CONFIDENT, are also classified in two halves.
    Raises ArgumentError for a network that does not read 28 x 28 gray digits, ShapeError for another photo.

    >>> from byhand import models
    >>> read_digits(models.create("lenet5"), np.full((300, 400), 230, np.uint8))
    []
    """
    return accept(read_marks(model, photo), max(np.shape(photo)), min_confidence=min_confidence)


def read_marks(model: Model, photo: Array) -> list[Digit]:
    """Return what the network makes of each mark on a photo, in reading order, dirt included; as `read_digits`."""
    check_reads_digits(model)
    candidates = digit_segmentation.find(photo)
    answers = _classify(model, candidates)
    unsure = [
        candidate for candidate in candidates if candidate.wide or answers[candidate].probabilities.max() < CONFIDENT
    ]
    while unsure:
        parts = [part for candidate in unsure for pair in candidate.parts for part in pair]
        answers |= _classify(model, parts)
        unsure = [candidate for candidate in parts if candidate.wide]
    return [digit for candidate in candidates for digit in _best_reading(candidate, answers)]


def accept(marks: Sequence[Digit], side: float = 0.0, *, min_confidence: float = MIN_CONFIDENCE) -> list[Digit]:
    """Return the marks that are digits: none where the page holds dirt and no writing.

    side: the longer side of the photo. A digit is sure where the network is confident and the mark is like a digit of MNIST.
    Where somebody has written, at least half of the marks are sure digits, and they do not look like dirt (`_is_writing`).

    >>> box = (0, 0, 20, 30)
    >>> [digit.text for digit in accept([Digit("4", 0.99, box, 0, 0.9), Digit("7", 0.8, box, 0, 0.8)])]
    ['4', '7']
    >>> accept([Digit("4", 0.99, box, 0, 0.9), *[Digit("1", 0.6, box, 0, 0.7)] * 5])
    []
    """
    digits = [mark for mark in marks if mark.confidence >= min_confidence and mark.likeness >= MIN_LIKENESS]
    sure = [digit for digit in digits if digit.sure]
    written = sure and 2 * len(sure) >= len(marks) and _is_writing(sure, side)
    return digits if written else []


def _is_writing(sure: Sequence[Digit], side: float) -> bool:
    """Tell whether digits stand out from the paper, or are several of one height; a lone one must be no speck."""
    heights = np.array([digit.box[3] for digit in sure])
    telling = sum(digit.text != "1" for digit in sure)
    if len(sure) - telling > MAX_ONES and telling < MIN_TELLING + len(sure) / MAX_ONES:
        return False
    if len(sure) < MIN_TELLING and heights.max() < MIN_LONE_HEIGHT * side:
        return False
    low, high = np.percentile(heights, [10, 90])
    stands_out = np.median([digit.contrast for digit in sure]) >= MIN_CONTRAST
    return bool(stands_out or (telling >= MIN_FAINT_TELLING and high <= MAX_HEIGHT_RATIO * low))


def check_reads_digits(model: Model) -> None:
    """Raise ArgumentError for a network that does not read 28 x 28 gray digits."""
    if model.input_shape != (28, 28, 1) or tuple(model.classes) != DIGITS or model.task != "classes":
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


class Answer(NamedTuple):
    """What a network says of a candidate: the probability of each digit, and the candidate's likeness to MNIST."""

    probabilities: Array
    likeness: float


def _classify(model: Model, candidates: Sequence[Candidate]) -> dict[Candidate, Answer]:
    if not candidates:
        return {}
    images = np.stack([candidate.image for candidate in candidates])
    return dict(zip(candidates, map(Answer, model.predict(images), likeness(images).tolist())))


def _best_reading(candidate: Candidate, answers: dict[Candidate, Answer]) -> list[Digit]:
    """Return a candidate's digits: one digit, or the split into two that the network is more confident of."""
    p, like = answers[candidate]
    text, confidence = DIGITS[int(p.argmax())], float(p.max())
    whole = [Digit(text, confidence, candidate.box, candidate.line, like, candidate.contrast)]
    if not (candidate.wide or confidence < CONFIDENT):
        return whole
    pairs = [pair for pair in candidate.parts if pair[0] in answers]
    readings = [[digit for part in pair for digit in _best_reading(part, answers)] for pair in pairs]
    split = max(readings, key=_lowest_confidence, default=whole)
    gain = _lowest_confidence(split) - _lowest_confidence(whole)
    return split if gain > (0 if candidate.wide else SPLIT_MIN_GAIN) else whole


def _lowest_confidence(reading: Sequence[Digit]) -> float:
    return min(digit.confidence for digit in reading)
