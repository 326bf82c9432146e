"""Resize, and Upsample, its name up to opset 9."""

from collections.abc import Sequence
from math import floor
from typing import Any

import numpy as np

from byhand.onnx.node_context import NodeContext
from byhand.onnx.registry import reader
from byhand.onnx.symbol import NHWC, OnnxValue, Symbol, from_layout, normalized_axis
from byhand.ops import resize
from byhand.ops.movement.interpolation import FILTER_RADIUS, Interpolation, filter_support, interpolation_weights
from byhand.ops.op import Array

TAP_ARRAYS = 8  # of (output pixels, taps) elements that computing the taps of one axis allocates


@reader("Upsample")
def read_upsample(node: NodeContext, x: OnnxValue, scales: OnnxValue | None = None) -> OnnxValue:
    """Read Upsample: Resize with asymmetric coordinates."""
    factors = node.attribute("scales") if scales is None else node.constant(scales, "scales").reshape(-1).tolist()
    if len(factors) != x.ndim:
        raise ValueError(f"it has {len(factors)} scales; expected one for each axis of {x.shape}")
    mode = node.attribute("mode", "nearest")
    return resize_value(node, x, scaled_sizes(x, factors), factors, mode, coordinates="asymmetric", nearest="floor")


@reader("Resize")
def read_resize(
    node: NodeContext,
    x: OnnxValue,
    roi: OnnxValue | None = None,
    scales: OnnxValue | None = None,
    sizes: OnnxValue | None = None,
) -> OnnxValue:
    """Read Resize: to sizes or by scales, of all axes or of those listed."""
    if node.opset < 11:
        return read_upsample(node, x, roi)  # opset 10: x, scales
    region, factors, wanted = (
        None if value is None or value.size == 0 else node.constant(value, "size") for value in (roi, scales, sizes)
    )
    axes = [normalized_axis(axis, x.ndim) for axis in node.attribute("axes", range(x.ndim))]
    scale_of, size_of = [1.0] * x.ndim, list(x.shape)
    if wanted is not None:
        for axis, scale, size in zip(axes, *_scales_to(node, x, axes, node.integers(wanted, "sizes"))):
            scale_of[axis], size_of[axis] = scale, size
    elif factors is not None:
        for axis, factor in zip(axes, factors, strict=True):
            scale_of[axis] = float(factor)
        size_of = scaled_sizes(x, scale_of)
    corners = [(0.0, 1.0)] * x.ndim
    if region is not None:
        for i, axis in enumerate(axes):
            corners[axis] = (float(region[i]), float(region[i + len(axes)]))
    return resize_value(
        node,
        x,
        size_of,
        scale_of,
        node.attribute("mode", "nearest"),
        corners=corners,
        extrapolation_value=node.attribute("extrapolation_value", 0.0),
        coordinates=node.attribute("coordinate_transformation_mode", "half_pixel"),
        nearest=node.attribute("nearest_mode", "round_prefer_floor"),
        cubic_a=float(node.attribute("cubic_coeff_a", -0.75)),
        exclude_outside=bool(node.attribute("exclude_outside", 0)),
        antialias=bool(node.attribute("antialias", 0)),
    )


def _scales_to(node: NodeContext, x: OnnxValue, axes: list[int], sizes: list[int]) -> tuple[list[float], list[int]]:
    """Return the scale and the size of each axis, from the sizes that are wanted and the policy for their ratio."""
    scales = [size / x.shape[axis] for size, axis in zip(sizes, axes, strict=True)]
    policy = node.attribute("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        scale = min(scales) if policy == "not_larger" else max(scales)
        scales, sizes = [scale] * len(scales), [floor(scale * x.shape[axis] + 0.5) for axis in axes]
    if isinstance(x, Symbol) and axes[0] == 0:  # the batch stays
        scales[0] = sizes[0] = 1
    return scales, sizes


def scaled_sizes(x: OnnxValue, factors: Sequence[float]) -> list[int]:
    """Return the sizes that scales lead to."""
    return [floor(size * factor) for size, factor in zip(x.shape, factors, strict=True)]


def resize_value(
    node: NodeContext,
    x: OnnxValue,
    sizes: list[int],
    factors: Sequence[float],
    mode: str,
    *,
    corners: Sequence[tuple[float, float]] = (),
    extrapolation_value: float = 0.0,
    **settings: Any,
) -> OnnxValue:
    """Return x in another size: an image by the op resize, any other array axis by axis."""
    if min(sizes, default=1) < 1 <= min(x.shape):
        raise ValueError(f"from {x.shape} it makes {tuple(sizes)}; expected sizes of 1 or more")
    if not isinstance(x, Symbol) and mode in ("nearest", *FILTER_RADIUS):
        for size, factor in zip(sizes, factors):
            pixels = filter_support(factor, mode, settings.get("antialias", False))  # type: ignore[no-untyped-call]
            node.reserve(TAP_ARRAYS, size, pixels)
    crops = settings["coordinates"] == "tf_crop_and_resize"
    if mode == "nearest":
        settings |= {"exclude_outside": False, "antialias": False}
    if x.ndim == 4 and sizes[:2] == list(x.shape[:2]) and not crops:
        floats = x if isinstance(x, Symbol) or x.dtype.kind == "f" else x.astype(np.float32)
        stored = node.in_layout(floats, NHWC)
        y = node.apply(resize, stored, size=tuple(sizes[2:]), mode=mode, scales=tuple(factors[2:]), **settings)
        return from_layout(y if isinstance(x, Symbol) else np.asarray(y).astype(x.dtype), NHWC)
    array = node.constant(x, "input, resized along other axes than an image's,")
    regions = corners if crops else [(0.0, 1.0)] * x.ndim
    return _resized_array(node, array, sizes, factors, mode, regions, extrapolation_value, settings)


def _resized_array(
    node: NodeContext,
    x: Array,
    sizes: Sequence[int],
    factors: Sequence[float],
    mode: str,
    regions: Sequence[tuple[float, float]],
    extrapolation_value: float,
    settings: dict[str, Any],
) -> Array:
    """Return an array resized axis by axis; regions: the part of each axis that is resized, from 0 to 1."""
    y: Any = x
    outside: Any = np.zeros((), bool)
    for axis, (size, factor) in enumerate(zip(sizes, factors)):
        if size == x.shape[axis] and factor == 1 and regions[axis] == (0.0, 1.0):
            continue
        node.reserve(*y.shape[:axis], size, *y.shape[axis + 1 :])
        indices, weights = interpolation_weights(  # type: ignore[no-untyped-call]
            x.shape[axis], size, factor, Interpolation(mode, **settings), regions[axis]
        )
        along = [1] * axis + [-1] + [1] * (x.ndim - axis - 1)
        y = sum(np.take(y, i, axis) * w.reshape(along) for i, w in zip(indices.T, weights.T))
        outside = outside | ~weights.any(1).reshape(along)
    return np.where(outside, extrapolation_value, y).astype(x.dtype)
