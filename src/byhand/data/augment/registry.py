"""The registry of augmentations.

    @augmentation("cutout", stage=PIXELS, kind=int, example=8, uniforms=2)
    def cutout(images, uniforms, side): ...

A function gets a chunk of images (N, H, W, C) in uint8, its uniform random numbers (uniforms, N) from [0, 1), and the value of
its setting, and returns new images. An image's result may depend on its own pixels and its own uniforms only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from byhand.errors import ArgumentError
from byhand.shapes import integer, number

Setting = bool | int | float

# The stages, in the order of work; within a stage, augmentations go by name.
MIX = 0  # functions (images, uniforms, setting, other images) -> images
GEOMETRY = 1  # functions (uniforms, setting) -> parameters of one affine map, which `geometry.transform` applies
PIXELS = 2  # functions (images, uniforms, setting) -> images

REGISTRY: dict[str, Augmentation] = {}  # by name


@dataclass(frozen=True)
class Augmentation:
    """One augmentation.

    kind: the type of its setting: bool, int (pixels) or float; below, at_most: its bounds; unit: of at_most in messages;
    example: a value for messages; uniforms: how many random numbers an image needs; largest: of an image's shorter side,
    the largest setting that fits.
    """

    name: str
    function: Callable[..., Any]
    stage: int
    kind: type
    uniforms: int
    example: float | None
    below: float
    at_most: float
    unit: str
    largest: Callable[[int], int] | None

    def check(self, value: Any) -> Setting:
        """Return a value of the setting in its own type, or raise an ArgumentError."""
        who = f"augment: {self.name}"
        if self.kind is bool:
            if not isinstance(value, bool):
                raise ArgumentError(f"{who} is {value!r}; expected True or False")
            return value
        checked = integer(who, value, 0) if self.kind is int else number(who, value, 0, self.below)
        if checked > self.at_most:
            raise ArgumentError(f"{who} is {checked:g}; expected {self.at_most:g} {self.unit} at most")
        return checked

    def parse(self, text: str, given: bool) -> Setting:
        """Return a value as typed: `name=text`, or `name` alone where it is not given."""
        if self.kind is bool and not given:
            return True
        try:
            if self.kind is not bool:
                return self.kind(text)  # type: ignore[no-any-return]
        except ValueError:
            pass
        kind = "a whole number" if self.kind is int else "a number"
        expected = f"{self.name} alone" if self.kind is bool else f"{kind}, such as {self.name}={self.example:g}"
        raise ArgumentError(f"augment: {self.name} is '{text}'; expected {expected}")


def augmentation(
    name: str,
    *,
    stage: int = PIXELS,
    kind: type = float,
    uniforms: int = 1,
    example: float | None = None,
    below: float = inf,
    at_most: float = inf,
    unit: str = "",
    largest: Callable[[int], int] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as an augmentation; the arguments are those of `Augmentation`."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        REGISTRY[name] = Augmentation(
            name=name,
            function=function,
            stage=stage,
            kind=kind,
            uniforms=uniforms,
            example=example,
            below=below,
            at_most=at_most,
            unit=unit,
            largest=largest,
        )
        return function

    return register


def shown_order() -> list[Augmentation]:
    """Return all augmentations in the order in which settings are shown: by stage, geometry first; then as registered."""
    return sorted(REGISTRY.values(), key=lambda entry: (GEOMETRY, PIXELS, MIX).index(entry.stage))


def work_order() -> list[Augmentation]:
    """Return all augmentations in the order of work, which is also that of their uniforms."""
    return sorted(REGISTRY.values(), key=lambda entry: (entry.stage, entry.name))
