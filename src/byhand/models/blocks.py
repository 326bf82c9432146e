"""Blocks of several architectures: convolution with batch norm and activation, and squeeze-and-excitation."""

from typing import Any

from byhand import nn
from byhand.graph import Tensor
from byhand.shapes import pair


def conv_norm(
    x: Tensor,
    filters: int,
    kernel: Any,
    names: tuple[str, str],
    activation: Any = nn.ReLU,
    *,
    stride: int = 1,
    padding: Any = None,
    groups: int = 1,
    **norm: Any,
) -> Tensor:
    """Return a convolution without bias, then a batch norm, then an activation (None: none).

    names: of the convolution and of the norm; padding: by default (kernel - 1) / 2 a side, which keeps the size at stride 1;
    norm: the norm's eps and momentum.
    """
    down, across = pair("kernel", kernel)
    padding = ((down - 1) // 2, (across - 1) // 2) if padding is None else padding
    x = nn.Conv2d(filters, kernel, stride=stride, padding=padding, groups=groups, bias=False, name=names[0])(x)
    x = nn.BatchNorm(name=names[1], **norm)(x)
    if activation is not None:
        x = activation()(x)
    return x


def squeeze_excite(x: Tensor, squeezed: int, name: str, activation: Any, gate: Any) -> Tensor:
    """Return the maps, each scaled by a gate that two fully connected layers compute from all maps' means: (N, H, W, C).

    activation, gate: layers, after the first and the second of its two fully connected layers.
    Source: Hu, Shen & Sun 2017, arXiv 1709.01507.
    """
    means = nn.GlobalAvgPool2d(keepdims=True)(x)  # (N, 1, 1, C): one pixel, so that the layers are 1x1 convolutions
    hidden = activation()(nn.Conv2d(squeezed, 1, name=f"{name}_fc1")(means))
    weights: Tensor = gate()(nn.Conv2d(x.shape[-1], 1, name=f"{name}_fc2")(hidden))
    return x * weights
