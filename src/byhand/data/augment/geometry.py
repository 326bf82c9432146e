"""flip, shift, rotate and crop: one affine map of each image, one bilinear resampling; flip and shift alone are exact.

Pixels from beyond the border are reflected. The order of work is crop, flip, rotate, shift.

Source: Szegedy et al. 2014, arXiv 1409.4842 (crops of random area and aspect ratio).
"""

from math import log
from typing import Any

import numpy as np

from byhand.data.augment.registry import GEOMETRY, augmentation
from byhand.data.image_warp import affine_warp, flip_and_shift
from byhand.shapes import Array

MAX_LOG_ASPECT = log(4 / 3)  # how much wider or taller than the image a crop is at most


@augmentation("flip", stage=GEOMETRY, kind=bool)
def flip(uniforms: Array, setting: bool) -> Array:
    """Return which images (N,) are mirrored, left to right: half of them."""
    return uniforms[0] < 0.5  # type: ignore[no-any-return]


@augmentation("shift", stage=GEOMETRY, kind=int, uniforms=2, example=2, largest=lambda side: side - 1)
def shift(uniforms: Array, pixels: int) -> Array:
    """Return by how many whole pixels images move down and right, (2, N)."""
    return (uniforms * (2 * pixels + 1)).astype(np.int64) - pixels


@augmentation("rotate", stage=GEOMETRY, example=10, at_most=180, unit="degrees")
def rotate(uniforms: Array, degrees: float) -> Array:
    """Return the angles (N,) in radians by which images turn, either way."""
    return np.radians(degrees) * (2 * uniforms[0] - 1)  # type: ignore[no-any-return]


@augmentation("crop", stage=GEOMETRY, uniforms=4, example=0.3, below=1)
def crop(uniforms: Array, fraction: float) -> Array:
    """Return the part of each image that is kept, as fractions (4, N): width, height, and its middle across and down."""
    area = 1 - fraction * uniforms[0]
    max_log_aspect = np.minimum(MAX_LOG_ASPECT, -np.log(area))  # more would be wider than the image
    root = np.sqrt(np.exp(max_log_aspect * (2 * uniforms[1] - 1)))
    wide, tall = np.minimum(np.sqrt(area) * root, 1), np.minimum(np.sqrt(area) / root, 1)
    return np.stack([wide, tall, wide / 2 + (1 - wide) * uniforms[2], tall / 2 + (1 - tall) * uniforms[3]])


def transform(images: Array, parameters: dict[str, Any]) -> Array:
    """Return images changed by all geometric augmentations at once; parameters: what their functions returned, by name."""
    n, height, width, _ = images.shape
    mirrored = parameters.get("flip", np.zeros(n, bool))
    down, right = parameters.get("shift", np.zeros((2, n), np.int64))
    if "crop" in parameters or "rotate" in parameters:
        angle = parameters.get("rotate", np.zeros(n))
        kept = parameters["crop"] if "crop" in parameters else np.tile([[1.0], [1.0], [0.5], [0.5]], n)
        return affine_warp(images, affine_maps((height, width), kept, mirrored, angle, down, right))
    return flip_and_shift(images, down, right, mirrored) if parameters else images


def affine_maps(size: tuple[int, int], kept: Array, mirrored: Array, angle: Array, down: Array, right: Array) -> Array:
    """Return the map from each pixel of the result to the image, (N, 2, 3): shift, rotate, flip and crop inverted."""
    height, width = size
    wide, tall, x, y = kept
    cos, sin, mirror = np.cos(angle), np.sin(angle), np.where(mirrored, -1, 1)
    maps = np.empty((len(angle), 2, 3))
    maps[:, 0, 0], maps[:, 0, 1] = wide * mirror * cos, wide * mirror * sin
    maps[:, 1, 0], maps[:, 1, 1] = -tall * sin, tall * cos
    middle = np.stack([width / 2 + right, height / 2 + down], 1)  # of the image after the shift
    for axis, target in ((0, width * x), (1, height * y)):
        maps[:, axis, 2] = target - maps[:, axis, 0] * middle[:, 0] - maps[:, axis, 1] * middle[:, 1]
    return maps
