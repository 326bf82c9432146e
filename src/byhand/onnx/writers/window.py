"""Window attributes of Conv, ConvTranspose and the pooling operators, written."""

from collections.abc import Sequence


def onnx_pads(padding: Sequence[int]) -> list[int]:
    """Return byhand's (top, bottom, left, right) as ONNX's pads: all at the start, then all at the end.

    >>> onnx_pads((1, 2, 3, 4))
    [1, 3, 2, 4]
    """
    top, bottom, left, right = padding
    return [top, left, bottom, right]
