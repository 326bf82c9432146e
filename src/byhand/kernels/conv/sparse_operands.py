"""The operands of the gradients of a max-pooled convolution: patches, maxima, filters, partial sums, lists of maxima."""

from __future__ import annotations

from typing import NamedTuple

from byhand.kernels.runtime.types import Array, Indices


class Patch(NamedTuple):
    """A patch, the input elements under a filter: offsets of its rows in a padded image and in the filter; their width."""

    rows: Indices
    filter_rows: Indices
    width: int


class Maxima(NamedTuple):
    """The pooled output, flat, and where its maxima lie.

    The patch of the maximum of window (i, j) begins at start + i * row_stride + j * column_stride + taps[argmax].
    """

    y: Array
    argmax: Array
    grad_y: Array
    rows: int
    columns: int
    filters: int
    relu: bool
    start: int
    row_stride: int
    column_stride: int
    taps: Indices


class TransposedFilters(NamedTuple):
    """The filters, transposed: (K, patch), in groups; columns: of a tile."""

    array: Array
    groups: int
    depth: int
    columns: int


class PartialSums(NamedTuple):
    """Partial sums over parts of the batch, weight (parts, K, patch) and bias (parts, K), and the gradient of the images.

    grad_padded: memory for the gradient of one padded image for each worker.
    """

    weight: Array
    bias: Array
    parts: int
    want_weight: bool
    grad_images: Array
    grad_padded: Array
    want_images: bool


class MaximaLists(NamedTuple):
    """Memory for a list of maxima for each worker, those in `strip_rows` rows of windows: offsets and gradients.

    Windows `spacing` columns from one another are listed together: their patches do not overlap.
    """

    offsets: Indices
    gradients: Array
    strip_rows: int
    spacing: int


class TapGradients(NamedTuple):
    """Memory for each worker: the gradients of a row of windows by tap, 0 at other taps than the maximum's.

    starts: offsets of the taps; columns: of a tile.
    """

    array: Array
    starts: Indices
    columns: int
