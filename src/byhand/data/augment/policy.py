"""`Augment`: which augmentations are applied to training images, and how strongly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from byhand.data.augment.geometry import transform
from byhand.data.augment.registry import GEOMETRY, MIX, PIXELS, REGISTRY, Augmentation, Setting, shown_order, work_order
from byhand.errors import ArgumentError, ShapeError, UnknownNameError
from byhand.hints import hinted
from byhand.shapes import Array, Shape

CHUNK_PIXELS = 2**15  # worked on at a time, so that intermediate arrays stay in the cache
MAX_SHIFTED_SIDE = 64  # pixels: up to here, `suggest` shifts images; above, it crops them


class Augment:
    """Random changes of a training image, applied in this order; 0 and False: not applied.

    mixup   blended with another image: weight * image + (1 - weight) * other, weight ~ Beta(mixup + 1, mixup)
    crop    up to this fraction of the area is cut off, anywhere, and the rest is stretched to the whole; its aspect ratio
            changes by up to 4/3, as far as the area allows
    flip    mirrored, left to right, every other time
    rotate  turned by up to so many degrees, either way
    shift   moved by up to so many whole pixels, along both axes
    color   brightness, contrast and, of three channels, saturation multiplied by 1 - color to 1 + color
    cutout  a square with sides of so many pixels set to the image's mean

    Every setting of the registry is an argument and an attribute. Crop and rotate, and with them flip and shift, are one
    bilinear resampling; flip and shift alone change no pixel. Each augmentation's file names its source.

    Raises ArgumentError for a setting out of range, UnknownNameError for one that does not exist.

    >>> augment = Augment(flip=True, shift=2, cutout=8)
    >>> images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), np.uint8)
    >>> augment(images, np.random.default_rng(1).random((64, augment.uniforms_per_image))).shape
    (64, 32, 32, 3)
    """

    @hinted
    def __init__(self, **settings: Any) -> None:
        if unknown := next((name for name in settings if name not in REGISTRY), None):
            raise UnknownNameError("augmentation", unknown, [entry.name for entry in shown_order()])
        checked = {entry.name: entry.check(settings.get(entry.name, entry.kind(0))) for entry in shown_order()}
        self._settings: dict[str, Setting]
        object.__setattr__(self, "_settings", checked)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"Augment is immutable; make another: Augment({name}={value!r})")

    def __getattr__(self, name: str) -> Any:
        """Return a setting by name."""
        if name.startswith("_") or name not in self._settings:
            known = ", ".join(entry.name for entry in shown_order())  # a copy that is being made has no settings yet
            raise AttributeError(f"Augment has no setting '{name}'; it has {known}")
        return self._settings[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Augment) and self._settings == other._settings

    def __hash__(self) -> int:
        return hash(tuple(self._settings.items()))

    def __repr__(self) -> str:
        """Return the call that makes it.

        >>> Augment(flip=True, rotate=7.5)
        Augment(flip=True, rotate=7.5)
        """
        return f"Augment({', '.join(f'{name}={value!r}' for name, value in self._settings.items() if value)})"

    def __str__(self) -> str:
        """Return the text that `parse` reads.

        >>> str(Augment(flip=True, rotate=7.5)), str(Augment())
        ('flip,rotate=7.5', 'none')
        """
        words = []
        for name, value in self._settings.items():
            if value:
                words.append(name if value is True else f"{name}={repr(value).removesuffix('.0')}")
        return ",".join(words) or "none"

    @classmethod
    def of(cls, given: Augment | str | None) -> Augment:
        """Return what a Trainer takes: an augmentation, its text, or None for none; raise ArgumentError for anything else."""
        if given is None or isinstance(given, Augment):
            return cls() if given is None else given
        if isinstance(given, str):
            return cls.parse(given)
        raise ArgumentError(f"augment is {given!r}; expected a bh.data.Augment, or a text such as 'flip,shift=2'")

    @classmethod
    def parse(cls, text: str) -> Augment:
        """Return the augmentation that a person typed: settings separated by commas, or "none".

        Raises UnknownNameError for a name that is no setting, ArgumentError for a value out of range.

        >>> Augment.parse("flip, shift=2, crop=0.3")
        Augment(flip=True, shift=2, crop=0.3)
        """
        settings: dict[str, Setting] = {}
        for part in [] if text.strip() == "none" else text.split(","):
            name, equals, value = (word.strip() for word in part.partition("="))
            if name not in REGISTRY:
                raise UnknownNameError("augmentation", name, [*(entry.name for entry in shown_order()), "none"])
            if name in settings:
                raise ArgumentError(f"augment: {name} is given twice; expected it once")
            settings[name] = REGISTRY[name].parse(value, bool(equals))
        return cls(**settings)

    @property
    def uniforms_per_image(self) -> int:
        """How many uniform random numbers an image needs."""
        return sum(entry.uniforms for entry in self._applied())

    def _applied(self) -> list[Augmentation]:
        """Return the augmentations that are applied, in the order of work."""
        return [entry for entry in work_order() if self._settings[entry.name]]

    def draw(self, count: int, epoch: int, rng: np.random.Generator, seed: Sequence[int]) -> Array:
        """Return the uniforms (count, uniforms_per_image) of an epoch, from `rng`; flips alternate between epochs.

        In any two epochs each image is seen from both sides; drawn independently, a quarter would be seen from one side only.
        seed: decides which side is first. Source: Jordan 2024, arXiv 2404.00498 ("alternating flip").

        >>> augment = Augment(flip=True)
        >>> first, second = (augment.draw(1000, epoch, np.random.default_rng(epoch), [0]) < 0.5 for epoch in range(2))
        >>> bool((first != second).all()), 400 < int(first.sum()) < 600
        (True, True)
        """
        uniforms = rng.random((count, self.uniforms_per_image), np.float32)
        if self.flip:
            side = np.random.default_rng([*seed, 0, 1]).random(count, np.float32)  # apart from any epoch's own numbers
            self._by_name(uniforms)["flip"][0] = (side + np.float32(0.5 * (epoch % 2))) % 1
        return uniforms

    def _by_name(self, uniforms: Array) -> dict[str, Array]:
        """Return the uniforms of each augmentation, (uniforms, N): views, by name."""
        views, first = {}, 0
        for entry in self._applied():
            views[entry.name] = uniforms[:, first : first + entry.uniforms].T
            first += entry.uniforms
        return views

    def check(self, shape: Shape) -> None:
        """Raise an ArgumentError where images of `shape` (H, W, C) are too small for a setting in pixels."""
        side = min(shape[:2])
        for entry in shown_order():
            value = self._settings[entry.name]
            if entry.largest is not None and value > entry.largest(side):
                raise ArgumentError(
                    f"augment: {entry.name} is {value} pixels, but the images have {shape[0]} x {shape[1]}; "
                    f"expected {entry.largest(side)} at most"
                )

    def __call__(self, images: Array, uniforms: Array, others: Array | None = None) -> Array:
        """Return images (N, H, W, C) in uint8, changed as their uniforms (N, uniforms_per_image) from [0, 1) say.

        An image's result depends on its own pixels and its own uniforms only: the same, whichever images come with it.
        others: (N, H, W, C), the images that mixup blends in, before anything else happens to either.

        Raises ArgumentError or ShapeError for arrays that don't fit.

        >>> image = np.arange(4, dtype=np.uint8).reshape(1, 1, 4, 1)
        >>> Augment(flip=True)(image, np.array([[0.2]])).ravel()
        array([3, 2, 1, 0], dtype=uint8)
        """
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape[1:]:
            raise ShapeError(f"augment: images are {_describe(images)}; expected uint8 (N, H, W, C)")
        uniforms = np.asarray(uniforms, np.float64)
        if uniforms.shape != (len(images), self.uniforms_per_image):
            raise ShapeError(
                f"augment: uniforms are {_describe(uniforms)}; expected ({len(images)}, {self.uniforms_per_image})"
            )
        if uniforms.size and not 0 <= uniforms.min() <= uniforms.max() < 1:
            raise ArgumentError(f"augment: uniforms go from {uniforms.min():g} to {uniforms.max():g}; expected [0, 1)")
        mixes = any(entry.stage == MIX for entry in self._applied())
        if not mixes:
            others = None
        elif getattr(others, "shape", None) != images.shape or getattr(others, "dtype", None) != np.uint8:
            raise ShapeError(f"augment: mixup's other images are {_describe(others)}; expected uint8 {images.shape}")
        self.check(images.shape[1:])
        if not self.uniforms_per_image:
            return images.copy()
        result = np.empty(images.shape, np.uint8)
        step = max(1, CHUNK_PIXELS // (images.shape[1] * images.shape[2]))
        for i in range(0, len(images), step):
            chunk = slice(i, i + step)
            result[chunk] = self._apply(images[chunk], uniforms[chunk], None if others is None else others[chunk])
        return result

    def _apply(self, images: Array, uniforms: Array, others: Array | None) -> Array:
        """Return a chunk of images, changed stage by stage."""
        drawn, applied = self._by_name(uniforms), self._applied()
        for entry in applied:
            if entry.stage == MIX:
                images = entry.function(images, drawn[entry.name], self._settings[entry.name], others)
        parameters = {
            entry.name: entry.function(drawn[entry.name], self._settings[entry.name])
            for entry in applied
            if entry.stage == GEOMETRY
        }
        images = transform(images, parameters)
        for entry in applied:
            if entry.stage == PIXELS:
                images = entry.function(images, drawn[entry.name], self._settings[entry.name])
        return images


def suggest(shape: Shape, classes: Sequence[str]) -> Augment:
    """Return the augmentation that usually helps on images (H, W, C) of such classes.

    Digits and letters (28 x 28 gray images, or classes of one character each) get a small shift and no flip: a mirrored
    letter is another letter or none. Others get a flip; up to 64 pixels a shift of a sixteenth, above a crop, for objects in
    photos are of any size, and jittered colors.

    >>> str(suggest((28, 28, 1), "0123456789")), str(suggest((32, 32, 3), ["cat", "dog"]))
    ('shift=2', 'flip,shift=2')
    >>> str(suggest((224, 224, 3), ["ants", "bees"]))
    'flip,crop=0.3,color=0.2'
    """
    side = min(shape[:2])
    if tuple(shape) == (28, 28, 1) or (classes and all(len(name.strip()) == 1 for name in classes)):
        return Augment(shift=side // 14)
    if max(shape[:2]) <= MAX_SHIFTED_SIDE:
        return Augment(flip=True, shift=side // 16)
    return Augment(flip=True, crop=0.3, color=0.2)


def _describe(value: object) -> str:
    """Return what an array is, in words."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
