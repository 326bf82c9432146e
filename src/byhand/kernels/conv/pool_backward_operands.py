"""The operands of the kernels of pool_backward.py: padded images, patches, winners, filters, partial sums, lists of winners."""

from __future__ import annotations

from typing import NamedTuple

from byhand.kernels.runtime.types import Array, Indices


class PaddedImages(NamedTuple):
    """Images (N, height, width, channels), flat; where windows reach beyond the edges, each image is padded with zeros.

    padded: memory for one padded image for each worker; top, left: its first pixel, in pixels of the image.
    """

    array: Array
    images: int
    height: int
    width: int
    channels: int
    needs_padding: bool
    padded: Array
    padded_height: int
    padded_width: int
    top: int
    left: int


class Patch(NamedTuple):
    """What a filter sees: the offsets of its rows in a padded image and in the filter, and the elements of a row."""

    rows: Indices
    filter_rows: Indices
    width: int


class Winners(NamedTuple):
    """The pooled output, flat; the patch of the winner of window (i, j) is at start + i * down + j * across + taps[argmax]."""

    y: Array
    argmax: Array
    grad_y: Array
    rows: int
    columns: int
    filters: int
    relu: bool
    start: int
    down: int
    across: int
    taps: Indices


class TransposedFilters(NamedTuple):
    """The filters, transposed: (K, patch), in groups; columns: of a tile."""

    array: Array
    groups: int
    depth: int
    columns: int


class PartialSums(NamedTuple):
    """Partial sums over parts of the batch, (parts, K, patch) and (parts, K); images, padded: the gradient of the images."""

    weight: Array
    bias: Array
    parts: int
    want_weight: bool
    images: Array
    padded: Array
    want_images: bool


class WinnerLists(NamedTuple):
    """Memory for a list of winners for each worker, those in `strip_rows` rows of windows: offsets and gradients.

    Windows `spacing` columns from one another are listed together: their patches do not overlap.
    """

    offsets: Indices
    gradients: Array
    strip_rows: int
    spacing: int


class TapGradients(NamedTuple):
    """Memory for each worker: the gradients of a row of windows by tap, 0 where another tap won; starts: offsets of taps."""

    array: Array
    starts: Indices
    columns: int  # of a tile
