"""Images as the input of a network: checked, normalized, and a warning for floats that look like pixels."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from byhand.data.dataset import Dataset
from byhand.data.lazy_images import LazyImages
from byhand.data.pixel_range import BYTE_MIN_PEAK, DIM_FRACTION, kind_of
from byhand.data.preprocessing import Preprocessing
from byhand.errors import ArgumentError, ShapeError
from byhand.hints import warn
from byhand.kernels.lookup_table import look_up
from byhand.ops.op import Array
from byhand.text import one_line

if TYPE_CHECKING:
    from byhand.nn.model import Model

LOOKUP_MIN_ELEMENTS = 8192  # below, NumPy scales pixels sooner than a kernel is launched
IMAGE_CHANNELS = (1, 3, 4)
WARNING_IMAGES = 64  # that are looked at
PIXELS = "for pixels give uint8: model.preprocessing.pixels(images)"
BEYOND_WHITE = 1.1  # times white: no normalized image goes there
PIXEL_MIN_PEAK = 32.0  # floats beyond this multiple of the normalized range are pixels that nobody normalized


def as_images(model: Model, images: Any) -> Any:
    """Return images as an array, or as LazyImages; of a Dataset, its images. Raises ArgumentError for anything else."""
    if isinstance(images, Dataset):
        images = images.images
    if isinstance(images, (np.ndarray, LazyImages)):
        return images
    first = images[0] if isinstance(images, (list, tuple)) and images else images
    kind = type(first).__name__
    expected = f"expected an array (N, {', '.join(map(str, model.input_shape))})"
    if isinstance(first, (str, os.PathLike)):
        read = "model.preprocessing.read(path, model.input_shape) reads an image file as in training"
        raise ArgumentError(f"{model.name}: images hold {first!r:.60}; {expected}; {read}")
    if hasattr(first, "getbands"):  # of Pillow
        raise ArgumentError(
            f"{model.name}: images hold {kind} of Pillow; {expected}: numpy.asarray(image), resized; "
            "model.preprocessing.read(path, model.input_shape) reads an image file as in training"
        )
    try:
        array = np.asarray(images)
    except (TypeError, ValueError, RuntimeError) as error:
        shapes = {np.shape(image) for image in images} if kind == "ndarray" else set()
        why = "images of several shapes" if len(shapes) > 1 else one_line(error, 120)
        raise ArgumentError(f"{model.name}: images are no array ({why}); {expected}") from None
    if array.dtype == object:
        raise ArgumentError(f"{model.name}: images hold {kind}; {expected}")
    return array


def check_images(model: Model, images: npt.ArrayLike) -> Array:
    """Return images as an array that `prepare_images` takes, or raise as it does."""
    images, shape = np.asarray(images), model.input_shape
    if images.shape[1:] != shape or not len(images):
        hint = "; for a single image, give image[None]" if images.shape == shape else ""
        hint = "; add the channel axis: images[..., None]" if (*images.shape[1:], 1) == shape else hint
        hint = "; for a single image, give image[None, ..., None]" if (*images.shape, 1) == shape else hint
        if images.ndim == 4 and (*images.shape[2:], images.shape[1]) == shape:
            hint = "; channels come last here: images.transpose(0, 2, 3, 1)"
        expected = ", ".join(map(str, shape))
        raise ShapeError(f"{model.name}: images have the shape {images.shape}; expected (N, {expected}){hint}")
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise ArgumentError(
            f"{model.name}: images hold {images.dtype}; expected uint8 (0 to 255) or floating point; "
            "model.preprocessing.pixels(images) makes them uint8"
        )
    return images


def check_takes_pixels(model: Model) -> None:
    """Raise ArgumentError where it is not known how pixels become the network's input: it was trained on floats."""
    if model.preprocessing.reader == "array":
        raise ArgumentError(
            f"{model.name} was trained on floating point arrays: how pixels become them is not known; give floats as in"
            " training, or state it: --reader picture, --mean and --std, or model.preprocessing = bh.data.Preprocessing(...)"
        )


def prepare_images(model: Model, images: npt.ArrayLike, rows: Array | None, out: Array | None, hand: str) -> Array:
    """Return images (N, H, W, C) as the network receives them; see `Model.prepare`."""
    images, levels = model.check(images), model.pixel_levels
    if images.dtype == np.uint8:
        check_takes_pixels(model)
    count = len(images) if rows is None else len(rows)
    if images.dtype == np.uint8 and hand == "compiled" and count * images[0].size > LOOKUP_MIN_ELEMENTS:
        out = np.empty((count, *model.input_shape), model.dtype) if out is None else out
        look_up(images, np.arange(count) if rows is None else np.asarray(rows, np.int64), levels, out)
        return out
    images = images if rows is None else images[rows]
    if images.dtype == np.uint8:
        several = len(levels) > 1
        images = levels[np.arange(images.shape[-1]), images] if several else levels[0].take(images)
    if out is None:
        return np.ascontiguousarray(images, model.dtype)
    out[...] = images
    return out


def warn_of_pixels(model: Model, images: Any, *, is_training: bool = False) -> Any:
    """Return images; warn, once a model, of those that look like pixels of another range than the network's input.

    These are floating point images from 0 to 255, or from 0 to 1 (but for training on), where normalized ones are expected;
    floating point images of another scale than those of the training; and uint8 images of 0 and 1 where the training's became
    0 and 255.
    """
    is_new = not model.warned_of_pixels and isinstance(images, np.ndarray) and images.size > 0
    if is_new and (problem := _other_range(model, images, is_training)):
        model.warned_of_pixels = True
        warn(f"{model.name}: {problem}")
    return images


def _other_range(model: Model, images: Array, is_training: bool) -> str:
    """Return what is wrong with the range of images, and what to do, or ""."""
    is_bytes = images.dtype == np.uint8
    if is_bytes and kind_of(model.preprocessing.pixel_range) != "uint8":  # first: the usual case of each `predict`
        return ""
    shape = model.input_shape
    is_image = len(shape) == 3 and shape[2] in IMAGE_CHANNELS and shape[:2] != (1, 1)
    # `check_images` refuses another shape or type.
    if images.shape[1:] != shape or not is_image or not (is_bytes or images.dtype.kind == "f"):
        return ""
    sample = images[:WARNING_IMAGES]
    if is_bytes:
        return _other_bytes(model.preprocessing, sample)
    floor, peak = sample.item(sample.argmin()), sample.item(sample.argmax())
    if model.preprocessing.reader == "array":  # trained on floating point images
        return _other_scale(model.preprocessing, floor, peak)
    return _not_normalized(model, floor, peak, is_training)


def _not_normalized(model: Model, floor: float, peak: float, is_training: bool) -> str:
    """Return what is wrong with floating point images from `floor` to `peak`, of a model that was trained on pixels, or ""."""
    if not floor >= 0:  # the usual case: normalized images have numbers below 0; also NaN
        return ""
    black, white = float(model.pixel_levels[:, 0].min()), float(model.pixel_levels[:, -1].max())
    # Normalized images have no 0 but by chance, and none brighter than white.
    is_unit = 0 < peak <= 1 and black < 0 and (floor == 0 or peak > BEYOND_WHITE * white)
    far_peak = min(PIXEL_MIN_PEAK * max(abs(black), abs(white)), max(BYTE_MIN_PEAK, 2 * white))
    is_far = peak > far_peak
    # Floating point pixels as of the data set, which training normalized: none is negative, as dark ones are then.
    recorded = model.preprocessing.pixel_range
    if not is_training and recorded is not None and kind_of(recorded) == "float" and black < 0:
        low, high = recorded
        is_far = is_far or (floor >= max(low, 0.0) and (peak <= high if high <= white else peak > BEYOND_WHITE * white))
    if not (is_far or (is_unit and not is_training)):  # also NaN
        return ""
    return (
        f"images in floating point go up to {peak:.4g}, but are taken as normalized, (pixel / 255 - mean) / std, from "
        f"{black:.3g} to {white:.3g}; {PIXELS}"
    )


def _other_bytes(record: Preprocessing, images: Array) -> str:
    """Return what is wrong with the range of uint8 images, or ""; record: of a training on uint8 of another range."""
    low, high = record.pixel_range or (0.0, 255.0)
    if (peak := int(images.max())) > high:
        return ""
    told = f"uint8 images go up to {peak}, but are taken as 0 to 255; in the training {low:g} was black, {high:g} white"
    return f"{told}; {PIXELS}"


def _other_scale(record: Preprocessing, floor: float, peak: float) -> str:
    """Return what is wrong with floating point images from `floor` to `peak`, or ""; record: of a training on such."""
    low, high = record.float_range or (floor, peak)
    span = high - low
    # Images from 0 to 1 where the training's were from -1 to 1, or normalized: their smallest value is 0, to the bit.
    is_unit = floor == 0 and peak <= 1 and low < 0
    is_dim = span > 0 and peak - low <= DIM_FRACTION * span
    if floor < low - span / 2 or peak > high + span or is_dim or is_unit:
        told = f"images go from {floor:.4g} to {peak:.4g}, those of the training went from {low:.4g} to {high:.4g}"
        return f"{told}; scale them alike"
    return ""  # also NaN
