"""What a session yields, and the comparison of its numbers with byhand's: a side that computes something else is not timed."""

from collections.abc import Generator
from typing import NamedTuple

from byhand.errors import ByhandError

Numbers = list[list[float]]
BF16_TOLERANCE = 0.1  # of the largest number: eight bits of precision, over some tens of layers or some steps
SHOWN_NUMBERS = 3


class Check(NamedTuple):
    """The numbers that all sides have in common, a list for each step, and the FLOPs of an image where they are counted."""

    numbers: Numbers
    flops: float | None = None


Session = Generator[Check | float, float]  # a Check, then the measurement of each turn of so many seconds


class PeerError(ByhandError):
    """A side that broke, or computed other numbers than byhand."""


def is_wrong(reason: str) -> bool:
    """Tell whether a PeerError's message is about other numbers."""
    return reason.endswith("same computation")


def compare_numbers(expected: Numbers, numbers: Numbers, tolerance: float) -> float:
    """Return the largest difference from byhand's numbers, as a fraction of the largest of their step.

    Raises PeerError where it is above the tolerance, where a number is no number, or where there are more or fewer of them.
    """
    if list(map(len, expected)) != list(map(len, numbers)):
        raise PeerError(
            f"it computed {list(map(len, numbers))} numbers, byhand {list(map(len, expected))}: not the same computation"
        )
    error = 0.0
    for ours, theirs in zip(expected, numbers):
        scale = max(map(abs, ours))
        differences = [abs(our - their) for our, their in zip(ours, theirs)]
        if not all(difference <= tolerance * scale for difference in differences):
            shown = [", ".join(f"{value:.4g}" for value in values[:SHOWN_NUMBERS]) for values in (theirs, ours)]
            raise PeerError(f"it computed {shown[0]}, byhand {shown[1]}: not the same computation")
        error = max(error, max(differences) / scale if scale else 0.0)
    return error
