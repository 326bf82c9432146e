"""Conv and ConvTranspose, along one, two or three axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from byhand.onnx.readers.table import operator
from byhand.onnx.values import IMAGE, wrap
from byhand.ops import conv2d, conv_transpose2d

HWIO = (2, 3, 1, 0)  # byhand's filters out of ONNX's (out, in, H, W)


def frame(
    use: Any, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Return the pixels of padding before and after each axis, ONNX's way: all befores, then all afters."""
    auto, count = use.get("auto_pad", "NOTSET"), len(kernel)
    if auto == "VALID":
        return [0] * 2 * count
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        return list(use.get("pads", [0] * 2 * count))
    totals = [
        max(0, (-(-pixels // step) - 1) * step + (k - 1) * apart + 1 - pixels)
        for pixels, k, step, apart in zip(size, kernel, strides, dilations)
    ]
    less = [total // 2 for total in totals]
    more = [total - part for total, part in zip(totals, less)]
    return [*less, *more] if auto == "SAME_UPPER" else [*more, *less]


def sides(pads: Sequence[int]) -> tuple[int, int, int, int]:
    """Return ONNX's pads of two axes as byhand's (top, bottom, left, right)."""
    top, left, bottom, right = pads
    return top, bottom, left, right


def settings(use: Any, axes: int) -> tuple[list[int], list[int]]:
    """Return the strides and the dilations of a node whose window has some axes."""
    found = [list(use.get(name, [1] * axes)) for name in ("strides", "dilations")]
    if any(len(one) != axes for one in found):
        raise ValueError(f"strides {found[0]} and dilations {found[1]} are not of {axes} axes, as its window is")
    return found[0], found[1]


@operator("Conv")
def conv(use: Any, x: Any, weight: Any, bias: Any = None) -> Any:
    """Read Conv."""
    weight, bias = use.fixed(weight, "weight"), use.fixed(bias, "bias")
    axes = weight.ndim - 2
    if x.ndim != weight.ndim or axes < 1:
        raise ValueError(
            f"x has the shape {x.shape}, its weight {weight.shape}; expected the same number of axes, 3 or more"
        )
    kernel = list(use.get("kernel_shape", weight.shape[2:]))
    if kernel != list(weight.shape[2:]):
        raise ValueError(f"kernel_shape is {kernel}, but the weight has the shape {weight.shape}")
    strides, dilations = settings(use, axes)
    pads, group = frame(use, x.shape[2:], kernel, strides, dilations), use.get("group", 1)
    if axes == 1:
        (before, after), image = pads, use.reshaped(x, (*x.shape[:2], 1, x.shape[2]))
        y = planar(use, image, weight[:, :, None], bias, [1, *strides], [0, before, 0, after], [1, *dilations], group)
        return use.reshaped(y, (*y.shape[:2], y.shape[3]))
    if axes == 2:
        return planar(use, x, weight, bias, strides, pads, dilations, group)
    return volume(use, use.fixed(x, "volume"), weight, bias, strides, pads, dilations, group)


def planar(
    use: Any, x: Any, weight: Any, bias: Any, strides: Any, pads: Any, dilations: Any, group: int
) -> Any:  # fmt: skip
    """Return the convolution of images."""
    raw = use.arranged(x, IMAGE)
    y = use.apply(
        conv2d, raw, weight.transpose(HWIO), bias,
        stride=tuple(strides), padding=sides(pads), dilation=tuple(dilations), groups=group,
    )  # fmt: skip
    return wrap(y, IMAGE)


def volume(use: Any, x: Any, weight: Any, bias: Any, strides: Any, pads: Any, dilations: Any, group: int) -> Any:
    """Return the convolution of volumes (N, C, D, H, W): the sum of those of their slices."""
    if weight.ndim != 5:
        raise use.refuse(f"its window has {weight.ndim - 2} axes; byhand has windows of one to three")
    use.room(*x.shape[:2], x.shape[2] + pads[0] + pads[3], *x.shape[3:])
    x = np.pad(x, [(0, 0), (0, 0), (pads[0], pads[3]), (0, 0), (0, 0)])
    reach = (weight.shape[2] - 1) * dilations[0]
    count = (x.shape[2] - reach - 1) // strides[0] + 1
    total = 0
    for k in range(weight.shape[2]):
        seen = x[:, :, k * dilations[0] :][:, :, : (count - 1) * strides[0] + 1 : strides[0]]
        flat = [pads[1], pads[2], pads[4], pads[5]]
        part = planar(
            use, slices(seen), weight[:, :, k], bias if k == 0 else None, strides[1:], flat, dilations[1:], group
        )
        total = part + total
    return stacked(total, count)


def slices(x: Any) -> Any:
    """Return volumes (N, C, D, H, W) as images (N * D, C, H, W)."""
    return x.swapaxes(1, 2).reshape(-1, x.shape[1], *x.shape[3:])


def stacked(images: Any, depth: int) -> Any:
    """Return images (N * D, C, H, W) as volumes (N, C, D, H, W)."""
    return images.reshape(-1, depth, *images.shape[1:]).swapaxes(1, 2)


@operator("ConvTranspose")
def conv_transpose(use: Any, x: Any, weight: Any, bias: Any = None) -> Any:
    """Read ConvTranspose; its padding may be told by the output's shape."""
    weight, bias = use.fixed(weight, "weight"), use.fixed(bias, "bias")
    axes, size = weight.ndim - 2, x.shape[2:]
    if x.ndim != weight.ndim or axes < 1:
        raise ValueError(
            f"x has the shape {x.shape}, its weight {weight.shape}; expected the same number of axes, 3 or more"
        )
    strides, dilations = settings(use, axes)
    more = list(use.get("output_padding", [0] * axes))
    full = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(size, strides, weight.shape[2:], dilations)]
    wanted, auto = use.get("output_shape"), use.get("auto_pad", "NOTSET")
    if wanted is None and auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [n * s for n, s in zip(size, strides)]
    pads = list(use.get("pads", [0] * 2 * axes)) if auto == "NOTSET" else [0] * 2 * axes
    if wanted is not None:
        totals = [a + b - c for a, b, c in zip(full, more, wanted[-axes:])]
        less = [max(total, 0) // 2 for total in totals]
        rest = [max(total, 0) - part for total, part in zip(totals, less)]
        more = [b + max(-total, 0) for b, total in zip(more, totals)]
        pads = [*less, *rest] if auto == "SAME_UPPER" else [*rest, *less]
    group = use.get("group", 1)
    if axes == 1:
        (before, after), image = pads, use.reshaped(x, (*x.shape[:2], 1, x.shape[2]))
        y = transposed(
            use,
            image,
            weight[:, :, None],
            bias,
            [1, *strides],
            [0, before, 0, after],
            [1, *dilations],
            group,
            [0, *more],
        )
        return use.reshaped(y, (*y.shape[:2], y.shape[3]))
    if axes == 2:
        return transposed(use, x, weight, bias, strides, pads, dilations, group, more)
    if axes > 3:
        raise use.refuse(f"its window has {axes} axes; byhand has windows of one to three")
    use.room(*use.fixed(x, "volume").shape)
    flat, y = [pads[1], pads[2], pads[4], pads[5]], None
    for k in range(weight.shape[2]):
        part = transposed(
            use, slices(x), weight[:, :, k], None, strides[1:], flat, dilations[1:], group, more[1:]
        )  # fmt: skip
        part = stacked(part, x.shape[2])
        if y is None:
            y = np.zeros(use.room(*part.shape[:2], full[0] + more[0], *part.shape[3:]), part.dtype)
        y[:, :, k * dilations[0] :][:, :, : (x.shape[2] - 1) * strides[0] + 1 : strides[0]] += part
    y = y[:, :, pads[0] : y.shape[2] - pads[3]]
    return y if bias is None else y + bias.reshape(-1, 1, 1, 1)


def transposed(
    use: Any, x: Any, weight: Any, bias: Any, strides: Any, pads: Any, dilations: Any, group: int, more: Any
) -> Any:  # fmt: skip
    """Return the transposed convolution of images."""
    y = use.apply(
        conv_transpose2d, use.arranged(x, IMAGE), weight.transpose(HWIO), bias,
        stride=tuple(strides), padding=sides(pads), output_padding=tuple(more), dilation=tuple(dilations), groups=group,
    )  # fmt: skip
    return wrap(y, IMAGE)
