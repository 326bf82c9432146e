"""Schedules: how the learning rate changes through training.

A schedule gives the factor of the learning rate at a progress from 0 (the first step) to 1 (the end), so that the same
schedule serves any number of epochs.
"""

from dataclasses import dataclass, field
from math import cos, pi
from typing import Any

from byhand.errors import ArgumentError
from byhand.shapes import number


@dataclass(frozen=True)
class Constant:
    """The same learning rate throughout."""

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress from 0 to 1."""
        return 1.0


@dataclass(frozen=True)
class StepDecay:
    """The rate times `factor` at each of the points `at`.

    >>> StepDecay(at=(0.5, 0.75), factor=0.1)(0.6)
    0.1
    """

    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __post_init__(self) -> None:
        number("StepDecay: factor", self.factor, 0)
        if not isinstance(self.at, (tuple, list)):
            raise ArgumentError(f"StepDecay: at is {self.at!r}; expected points of the progress, such as (0.5, 0.75)")
        object.__setattr__(self, "at", tuple(number("StepDecay: at", point, 0) for point in self.at))

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress from 0 to 1."""
        return float(self.factor ** sum(progress >= point for point in self.at))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine, from 1 down to `final` (Loshchilov & Hutter 2016, arXiv 1608.03983).

    >>> Cosine()(0.5)
    0.5
    """

    final: float = 0.0

    def __post_init__(self) -> None:
        number("Cosine: final", self.final, 0)

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress from 0 to 1."""
        return round(self.final + (1 - self.final) * (1 + cos(pi * min(progress, 1))) / 2, 15)


@dataclass(frozen=True)
class OneCycle:
    """Up to the full rate at `peak`, then down to `final`, both along half a cosine (Smith & Topin 2017, arXiv 1708.07120).

    >>> [round(OneCycle(peak=0.25)(progress), 3) for progress in (0, 0.25, 0.625, 1)]
    [0.04, 1.0, 0.5, 0.0]
    """

    peak: float = 0.25
    start: float = 0.04
    final: float = 0.0

    def __post_init__(self) -> None:
        for name in ("start", "final"):
            number(f"OneCycle: {name}", getattr(self, name), 0)
        number("OneCycle: peak", self.peak, 0, 1)

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress from 0 to 1."""
        if progress < self.peak:
            return self.start + (1 - self.start) * (1 - Cosine()(progress / self.peak))
        return Cosine(self.final)((progress - self.peak) / (1 - self.peak))


@dataclass(frozen=True)
class WarmUp:
    """A straight line from 0 to the full rate over the first `part`, then another schedule over the rest.

    Source: Goyal et al. 2017, arXiv 1706.02677.

    >>> [WarmUp(0.1)(progress) for progress in (0, 0.05, 0.1)]
    [0.0, 0.5, 1.0]
    """

    part: float = 0.05
    then: Any = field(default_factory=Cosine)

    def __post_init__(self) -> None:
        number("WarmUp: part", self.part, 0, 1)
        if not isinstance(self.then, tuple(SCHEDULES.values())):
            raise ArgumentError(f"WarmUp: then is {self.then!r}; expected a schedule, as Cosine()")

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress from 0 to 1."""
        if progress < self.part:
            return progress / self.part
        return float(self.then((progress - self.part) / (1 - self.part)))


Schedule = Constant | StepDecay | Cosine | OneCycle | WarmUp
SCHEDULES: dict[str, type[Any]] = {kind.__name__: kind for kind in (Constant, StepDecay, Cosine, OneCycle, WarmUp)}
