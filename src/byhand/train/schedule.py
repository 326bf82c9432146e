"""Learning-rate schedules.

A schedule is a function of the progress of a training, from 0 at the first step to 1 at the end, whatever its number of epochs.
It returns the factor that the optimizer's learning rate is multiplied by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature
from math import cos, pi
from typing import Any

from byhand.errors import ArgumentError
from byhand.hints import hinted_class
from byhand.shapes import number


@hinted_class
@dataclass(frozen=True)
class Constant:
    """A constant learning rate: the factor is 1.

    >>> Constant()(0.5)
    1.0
    """

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress from 0 to 1."""
        return 1.0


@hinted_class
@dataclass(frozen=True)
class StepDecay:
    """The learning rate is multiplied by `factor` at each milestone.

    >>> StepDecay(milestones=(0.5, 0.75), factor=0.1)(0.6)
    0.1
    """

    milestones: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __post_init__(self) -> None:
        number("StepDecay: factor", self.factor, 0)
        if not isinstance(self.milestones, (tuple, list)):
            raise ArgumentError(
                f"StepDecay: milestones is {self.milestones!r}; expected points of the progress, such as (0.5, 0.75)"
            )
        points = tuple(number("StepDecay: milestones", point, 0) for point in self.milestones)
        object.__setattr__(self, "milestones", points)

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress from 0 to 1."""
        return float(self.factor ** sum(progress >= point for point in self.milestones))


@hinted_class
@dataclass(frozen=True)
class Cosine:
    """Cosine annealing from 1 to `final` (Loshchilov & Hutter 2016, arXiv 1608.03983).

    >>> Cosine()(0.5)
    0.5
    """

    final: float = 0.0

    def __post_init__(self) -> None:
        number("Cosine: final", self.final, 0)

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress from 0 to 1."""
        return round(self.final + (1 - self.final) * (1 + cos(pi * min(progress, 1))) / 2, 15)


@hinted_class
@dataclass(frozen=True)
class OneCycle:
    """From `start` up to 1 in the first `warmup_fraction` of the training, then down to `final`, along two half cosines.

    Source: Smith & Topin 2017, arXiv 1708.07120.

    >>> [round(OneCycle(warmup_fraction=0.25)(progress), 3) for progress in (0, 0.25, 0.625, 1)]
    [0.04, 1.0, 0.5, 0.0]
    """

    warmup_fraction: float = 0.25
    start: float = 0.04
    final: float = 0.0

    def __post_init__(self) -> None:
        for name in ("start", "final"):
            number(f"OneCycle: {name}", getattr(self, name), 0)
        number("OneCycle: warmup_fraction", self.warmup_fraction, 0, 1)

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress from 0 to 1."""
        if progress < self.warmup_fraction:
            return self.start + (1 - self.start) * (1 - Cosine()(progress / self.warmup_fraction))
        return Cosine(self.final)((progress - self.warmup_fraction) / (1 - self.warmup_fraction))


@hinted_class
@dataclass(frozen=True)
class Warmup:
    """Linear warmup from 0 to 1 over the first `fraction` of the training, then another schedule over the rest.

    Source: Goyal et al. 2017, arXiv 1706.02677.

    >>> [Warmup(0.1)(progress) for progress in (0, 0.05, 0.1)]
    [0.0, 0.5, 1.0]
    """

    fraction: float = 0.05
    then: Schedule = field(default_factory=Cosine)

    def __post_init__(self) -> None:
        number("Warmup: fraction", self.fraction, 0, 1)
        if not isinstance(self.then, tuple(SCHEDULES.values())):
            raise ArgumentError(f"Warmup: then is {self.then!r}; expected a schedule, such as Cosine()")

    def __call__(self, progress: float) -> float:
        """Return the factor at a progress from 0 to 1."""
        if progress < self.fraction:
            return progress / self.fraction
        return float(self.then((progress - self.fraction) / (1 - self.fraction)))


Schedule = Constant | StepDecay | Cosine | OneCycle | Warmup
SCHEDULES: dict[str, type[Any]] = {kind.__name__: kind for kind in (Constant, StepDecay, Cosine, OneCycle, Warmup)}


@dataclass(frozen=True)
class ScheduleFunction:
    """A function of the user's as a schedule: of `epoch` or `step`, from 0, or of `progress`; it returns the factor.

    >>> ScheduleFunction.of(lambda epoch: 0.5**epoch).factor(step=25, total=100, steps_per_epoch=10)
    0.25
    """

    function: Callable[[Any], float]
    argument: str

    @classmethod
    def of(cls, function: Callable[[Any], float]) -> ScheduleFunction:
        """Return a function as a schedule; the name of its first argument says what it is a function of."""
        name = next(iter(signature(function).parameters), "nothing")
        if name not in ("epoch", "step", "progress"):
            raise ArgumentError(
                f"Trainer: schedule is a function of {name}; name its argument epoch or step, both from 0, or progress, from 0 "
                "to 1; it returns the factor of the optimizer's learning rate"
            )
        return cls(function, name)

    def factor(self, step: int, total: int, steps_per_epoch: int) -> float:
        """Return the factor of a step."""
        values = {"epoch": step // steps_per_epoch, "step": step, "progress": step / total}
        return number("Trainer: schedule's factor", self.function(values[self.argument]), 0)


def resolve(schedule: object) -> Schedule | ScheduleFunction:
    """Return what a Trainer takes as its schedule; raise ArgumentError for anything else."""
    if schedule is None:
        return Constant()
    if isinstance(schedule, tuple(SCHEDULES.values())):
        return schedule  # type: ignore[return-value]
    if callable(schedule) and not isinstance(schedule, type):
        return ScheduleFunction.of(schedule)
    names = {name.lower(): name for name in SCHEDULES}
    given = schedule.__name__ if isinstance(schedule, type) else str(schedule).lower().replace("_", "").replace("-", "")
    if given.lower() in names:
        raise ArgumentError(f"Trainer: schedule is {schedule!r}; write bh.{names[given.lower()]}()")
    raise ArgumentError(
        f"Trainer: schedule is {schedule!r}; expected one of {', '.join(SCHEDULES)}, or a function of step or epoch"
    )


def factor_at(schedule: Schedule | ScheduleFunction, step: int, total: int, steps_per_epoch: int) -> float:
    """Return the factor of the learning rate of a step, from 0."""
    if isinstance(schedule, ScheduleFunction):
        return schedule.factor(step, total, steps_per_epoch)
    return schedule(step / total)
