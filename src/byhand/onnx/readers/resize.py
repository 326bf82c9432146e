"""Resize, and Upsample, which it was called before."""

from math import floor
from typing import Any

import numpy as np

from byhand.onnx.readers.shape import normal
from byhand.onnx.readers.table import operator
from byhand.onnx.values import IMAGE, Symbol, wrap
from byhand.ops import resize
from byhand.ops.movement.interpolation import FILTER_RADIUS, filter_support, interpolation_weights


@operator("Upsample")
def upsample(use: Any, x: Any, scales: Any = None) -> Any:
    """Read Upsample: what Resize does with asymmetric coordinates."""
    factors = use.get("scales") if scales is None else use.fixed(scales, "scales").reshape(-1).tolist()
    if len(factors) != x.ndim:
        raise ValueError(f"it has {len(factors)} scales; expected one for each axis of {x.shape}")
    return resized(
        use, x, outputs(x, factors), factors, use.get("mode", "nearest"), coordinates="asymmetric", nearest="floor"
    )


@operator("Resize")
def read_resize(use: Any, x: Any, *rest: Any) -> Any:
    """Read Resize, to sizes or by scales, of all axes or of some."""
    if use.version < 11:
        return upsample(use, x, *rest)
    given = (*rest, None, None)[:3]
    roi: Any
    roi, scales, sizes = (None if one is None or one.size == 0 else use.fixed(one, "size") for one in given)
    axes = [normal(axis, x.ndim) for axis in use.get("axes", range(x.ndim))]
    factors, out = [1.0] * x.ndim, list(x.shape)
    if sizes is not None:
        wanted = use.whole(sizes, "sizes")
        ratios = [size / x.shape[axis] for size, axis in zip(wanted, axes, strict=True)]
        policy = use.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            one = min(ratios) if policy == "not_larger" else max(ratios)
            ratios, wanted = [one] * len(ratios), [floor(one * x.shape[axis] + 0.5) for axis in axes]
        if isinstance(x, Symbol) and axes[0] == 0:
            ratios[0] = wanted[0] = 1
        for axis, ratio, size in zip(axes, ratios, wanted):
            factors[axis], out[axis] = ratio, size
    elif scales is not None:
        for axis, scale in zip(axes, scales, strict=True):
            factors[axis] = float(scale)
        out = outputs(x, factors)
    corners = [(0.0, 1.0)] * x.ndim
    for i, axis in enumerate(axes if roi is not None else ()):
        corners[axis] = (float(roi[i]), float(roi[i + len(axes)]))
    settings = {
        "coordinates": use.get("coordinate_transformation_mode", "half_pixel"),
        "nearest": use.get("nearest_mode", "round_prefer_floor"),
        "cubic_a": float(use.get("cubic_coeff_a", -0.75)),
        "exclude_outside": bool(use.get("exclude_outside", 0)),
        "antialias": bool(use.get("antialias", 0)),
    }
    return resized(
        use, x, out, factors, use.get("mode", "nearest"), corners, use.get("extrapolation_value", 0.0), **settings
    )


def outputs(x: Any, factors: list[float]) -> list[int]:
    """Return the sizes to which scales lead."""
    return [floor(size * factor) for size, factor in zip(x.shape, factors, strict=True)]


def resized(
    use: Any, x: Any, out: list[int], factors: list[float], mode: str, corners: Any = None, outside: float = 0.0,
    **settings: Any,
) -> Any:  # fmt: skip
    """Return x in another size: an image by the op, anything else axis by axis."""
    if min(out, default=1) < 1 <= min(x.shape):
        raise ValueError(f"of {x.shape} nothing would be left: {tuple(out)}")
    shrinks = settings.get("antialias", False)
    for size, factor in zip(out, factors) if not isinstance(x, Symbol) and mode in ("nearest", *FILTER_RADIUS) else ():
        use.room(8, size, filter_support(factor, mode, shrinks))  # type: ignore[no-untyped-call]  # the taps
    crop = settings["coordinates"] == "tf_crop_and_resize"
    if mode == "nearest":
        settings |= {"exclude_outside": False, "antialias": False}
    if x.ndim == 4 and out[:2] == list(x.shape[:2]) and not crop:
        floats = x if isinstance(x, Symbol) or x.dtype.kind == "f" else x.astype(np.float32)
        raw = use.arranged(floats, IMAGE)
        y = use.apply(resize, raw, size=tuple(out[2:]), mode=mode, scales=tuple(factors[2:]), **settings)
        return wrap(y if isinstance(x, Symbol) else y.astype(x.dtype), IMAGE)
    y, beyond = use.fixed(x, "input, resized along other axes than an image's,"), np.zeros((), bool)
    for axis, (size, factor) in enumerate(zip(out, factors)):
        if size == x.shape[axis] and factor == 1 and not (crop and corners[axis] != (0.0, 1.0)):
            continue
        start, end = corners[axis] if crop else (0.0, 1.0)
        use.room(*y.shape[:axis], size, *y.shape[axis + 1 :])
        indices, weights = interpolation_weights(  # type: ignore[no-untyped-call]
            x.shape[axis], size, factor, mode, start=start, end=end, **settings
        )
        across = [1] * axis + [-1] + [1] * (x.ndim - axis - 1)
        y = sum(np.take(y, i, axis) * w.reshape(across) for i, w in zip(indices.T, weights.T))
        beyond = beyond | ~weights.any(1).reshape(across)
    return np.where(beyond, outside, y).astype(x.dtype)
