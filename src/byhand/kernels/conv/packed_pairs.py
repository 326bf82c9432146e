"""Images and filters packed as pairs of bfloat16 numbers, in 32-bit words, for the algorithm `bfloat16`.

A sum of products is a sum over pairs: the register tile multiplies two words, and adds both products. Which numbers make a
pair depends on what is summed over:

    forward, backward_data   channels: (0, 1), (2, 3), ... of a pixel; of an odd number, the last is paired with 0
    backward_weights         pixels: one and its neighbor to the right, of the same channel

With words in place of numbers, a convolution is one of half as many channels, or of half as many pixels in a row of y. So all
plans of float32 are reused (plan.py, weights_plan.py).

Pixels, for backward_weights, in an example: a row of 6 pixels, a filter of 3 taps, padding 1. Pixels 2p and 2p + 1 of grad_y
are pair p. Through tap s they see the pixels 2p + s - 1 and 2p + s of x. So x is packed as words j = 0 ... 6 of the pixels
(j - 1, j), pixels beyond the edges being 0, and pair p sees word 2p + s: a convolution with a stride of 2 and no padding.

Images are packed row by row, just before the block that reads them, so that they are in the L2 cache when it does. Where
several blocks read the same rows, for parts of the filters, whole images are packed first.
"""

from __future__ import annotations

from math import ceil
from typing import Any, NamedTuple

from byhand.kernels.conv.pixel_runs import PixelRun
from byhand.kernels.microkernel.rounding import pair_rows, round_pairs
from byhand.kernels.runtime.kernel import Kernel, cdiv, kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import scratch_workers
from byhand.kernels.runtime.types import Array

# Numbers that one block packs.
PACK_BLOCK_ELEMENTS = 16384


class RowSpan(NamedTuple):
    """The rows that row i of the grid reads: those from i * step + first to i * step + last that there are."""

    step: int
    first: int
    last: int


class ChannelPairs(NamedTuple):
    """Neighboring channels are pairs: `depth` channels of each group, half as many words, rounded up."""

    depth: int


class PixelPairs(NamedTuple):
    """Pixels of a row as pairs: word j of `words` holds pixel first + j * pixels_per_word and the one `gap` further."""

    words: int
    first: int
    pixels_per_word: int
    gap: int


class PairedImages(NamedTuple):
    """Images as the register tile reads them, in words, and the float32 images of which a block packs the rows that it reads.

    array, images and steps are those of `Images` (operands.py). source is empty where the array is packed already; else each
    worker has `worker_words` words of it.
    """

    array: Array
    images: int
    image_step: int
    row_step: int
    pixel_step: int
    source: Array
    height: int
    width: int
    channels: int
    rows: RowSpan
    pairing: ChannelPairs | PixelPairs
    worker_words: int


def row_span(runs: list[PixelRun], step: int) -> RowSpan:
    """Return the rows that a sweep reads; step: rows from one row of the grid to the next."""
    taps = [at for run in runs for _, at in run.taps] or [0]
    return RowSpan(step, min(taps), max(taps))


def paired_images(
    source: Array,
    pairing: ChannelPairs | PixelPairs,
    stride: tuple[int, int],
    rows: RowSpan,
    block: tuple[int, int] | None,
) -> PairedImages:
    """Return images (N, H, W, C), of which each block packs the rows that it reads.

    stride: from one pixel of the grid to the next, in rows and words; block: images of a block, and their rows of the grid;
    None: launch the packing of whole images, now.
    """
    images, height, width, channels = source.shape
    if isinstance(pairing, PixelPairs):
        pixels, pixel = pairing.words, channels
    else:
        pixels, pixel = width, channels // pairing.depth * ceil(pairing.depth / 2)
    row_words, worker_words = pixels * pixel, 0
    if block is not None:
        block_rows = min(height, (block[1] - 1) * rows.step + rows.last - rows.first + 1)
        worker_words = ((block[0] - 1) * height + block_rows) * row_words
    words = scratch_workers() * worker_words if block is not None else images * height * row_words
    result = PairedImages(
        scratch(words, dtype=source.dtype),
        images,
        height * row_words,
        stride[0] * row_words,
        stride[1] * pixel,
        source.reshape(-1),
        height,
        width,
        channels,
        rows,
        pairing,
        worker_words,
    )
    if block is not None:
        return result
    packer = pack_pixel_rows if isinstance(pairing, PixelPairs) else pack_channel_rows
    rows_per_block = max(1, PACK_BLOCK_ELEMENTS // (width * channels))
    launch(packer, cdiv(images * height, rows_per_block), result, rows_per_block, row_words)
    return result._replace(source=result.source[:0])


def pack_channels(x, start, at):
    """Pack a row of pixels, from source[start] on, in pairs of channels."""
    depth = x.pairing.depth
    if depth % 2 == 0:
        round_pairs(x.source, start, x.array, at, x.width * x.channels)
        return
    for i in range(x.width * x.channels // depth):  # the last channel of each group alone
        round_pairs(x.source, start + i * depth, x.array, at + i * (depth + 1) // 2, depth)


def pack_pixels(x, start, at):
    """Pack a row of pixels, from source[start] on, in pairs of pixels."""
    pairing, channels, j = x.pairing, x.channels, 0
    while j < pairing.words:
        q = pairing.first + j * pairing.pixels_per_word
        first = start + q * channels if 0 <= q < x.width else -1
        second = start + (q + pairing.gap) * channels if 0 <= q + pairing.gap < x.width else -1
        words = 1
        if pairing.pixels_per_word == 1 and first >= 0 and second >= 0:  # all up to the right edge
            words = min(pairing.words - j, x.width - q - pairing.gap)
        pair_rows(x.source, first, second, x.array, at + j * channels, words * channels)
        j += words


def make_pack_kernel(pack_row: Any) -> Kernel:
    """Return the kernel that packs rows of whole images."""

    @kernel
    def pack_rows(x, rows, row_words, block):
        """Pack `rows` rows, of row_words words each."""
        for row in range(block * rows, min((block + 1) * rows, x.images * x.height)):
            pack_row(x, row * x.width * x.channels, row * row_words)

    return pack_rows


pack_channel_rows, pack_pixel_rows = make_pack_kernel(pack_channels), make_pack_kernel(pack_pixels)


def make_load(pack_row: Any) -> Any:
    """Return the function that packs what a block reads, with a function that packs one row."""

    def load(x, n, top, images, grid_rows, worker):
        """Pack the rows that `grid_rows` rows of the grid from `top` on read, of some images from n on.

        Return where row `top` of the grid begins among the words.
        """
        if x.source.size == 0:  # packed already
            return n * x.image_step + top * x.row_step
        base, row_words, step = worker * x.worker_words, x.image_step // x.height, x.rows.step
        first = max(0, top * step + x.rows.first)
        end = min(x.height, (top + grid_rows - 1) * step + x.rows.last + 1)
        every = step if x.rows.first == x.rows.last == 0 else 1  # 1x1: no others are read
        for i in range(images):
            for row in range(first, end, every):
                start = ((n + i) * x.height + row) * x.width * x.channels
                pack_row(x, start, base + i * x.image_step + (row - first) * row_words)
        return base + (top * step - first) * row_words

    return load


load_channels, load_pixels = make_load(pack_channels), make_load(pack_pixels)


def load_block(x, n, top, images, plan, worker):
    """Pack what a block of a sweep reads; return where it begins."""
    return load_channels(x, n, top, images, min(plan.rows_per_block, plan.grid_rows - top), worker)


def load_chunk(x, grad_y, n, top, images, plan, tiles, worker):
    """Pack what a chunk of backward_weights reads; return where it begins in x and in grad_y."""
    rows = min(plan.rows_per_chunk, plan.grid_rows - top)
    return load_pixels(x, n, top, images, rows, worker), load_pixels(grad_y, n, top, images, rows, worker)


# filters --------------------------------------------------------------------------------------------------------------


class PairedFilters(NamedTuple):
    """Filters, flat (taps, depth, K), and their panels of words, flat (groups, tiles, taps, pairs, columns)."""

    weight: Array
    panels: Array
    taps: int
    depth: int
    groups: int
    filters_per_group: int
    columns: int
    parts: int  # into which the filters of a tap are divided, each for a block


@kernel
def pack_filters(filters, block):
    """Pack a part of one tap's filters, in pairs of channels; columns are filters."""
    tap, part = block // filters.parts, block % filters.parts
    depth, columns, per_group = filters.depth, filters.columns, filters.filters_per_group
    row_elements, pairs, tiles = filters.groups * per_group, cdiv(depth, 2), cdiv(per_group, columns)
    for i in range(part * pairs // filters.parts, (part + 1) * pairs // filters.parts):
        row = (tap * depth + 2 * i) * row_elements
        for g in range(filters.groups):
            for t in range(tiles):
                first = row + g * per_group + t * columns
                second = first + row_elements if 2 * i + 1 < depth else -1
                at = (((g * tiles + t) * filters.taps + tap) * pairs + i) * columns
                pair_rows(filters.weight, first, second, filters.panels, at, min(columns, per_group - t * columns))


@kernel
def pack_filters_transposed(filters, rows, block, worker):
    """Pack a part of one tap's filters, turned by 180 degrees, in pairs of filters; columns are channels.

    rows: memory in which each worker rounds a row of filters.
    """
    tap, part = block // filters.parts, block % filters.parts
    depth, columns, per_group = filters.depth, filters.columns, filters.filters_per_group
    pairs, tiles = cdiv(per_group, 2), cdiv(depth, columns)
    first, end = part * depth // filters.parts, (part + 1) * depth // filters.parts
    row, panels = rows[worker * pairs : (worker + 1) * pairs], filters.panels
    for g in range(filters.groups):
        for c in range(first, end):
            start = ((tap * depth + c) * filters.groups + g) * per_group
            round_pairs(filters.weight, start, rows, worker * pairs, per_group)
            at = ((g * tiles + c // columns) * filters.taps + filters.taps - 1 - tap) * pairs * columns + c % columns
            for i in range(pairs):
                panels[at + i * columns] = row[i]
