"""The gradient of the filters of a max-pooled convolution with small patches: a dense sum over all pixels, tap by tap.

    grad_weight[:, k] = sum over taps t of the pooling window, and windows (i, j), of  patch * (grad_y if argmax == t else 0)

For a patch of a few elements, this is less work than listing the maxima, which sparse.py does for larger ones.
"""

from __future__ import annotations

import numpy as np

from byhand.kernels.conv.operands import Gradients
from byhand.kernels.conv.padded_images import PaddedImages, pad_image
from byhand.kernels.conv.sparse_operands import Maxima, PartialSums, Patch, TapGradients
from byhand.kernels.microkernel.microkernel import no_epilogue, tile
from byhand.kernels.microkernel.operands import ADD, A, B, C, Extent
from byhand.kernels.reductions import add_up
from byhand.kernels.runtime.cpu import vector_unit
from byhand.kernels.runtime.kernel import kernel
from byhand.kernels.runtime.launch import launch, scratch
from byhand.kernels.runtime.launch_graph import scratch_workers


@kernel
def sum_all_pixels(x, patch, maxima, grads, sums, block, worker):
    """Sum the gradients of one part of the batch over all pixels, a row of windows at a time."""
    filters, line, taps = maxima.filters, maxima.columns * maxima.filters, maxima.taps.size
    padded_size, size = x.padded_height * x.padded_width * x.channels, x.height * x.width * x.channels
    patch_size = patch.rows.size
    for k in range(block * patch_size * filters, (block + 1) * patch_size * filters):
        sums.weight[k] = 0.0
    total = sums.bias[block * line : (block + 1) * line]
    for k in range(line):
        total[k] = 0.0
    for n in range(block * x.images // sums.parts, (block + 1) * x.images // sums.parts):
        image, start = x.array, n * size
        if x.needs_padding:
            image, start = x.padded, worker * padded_size
            pad_image(x, n, worker)
        for i in range(maxima.rows):
            first = (n * maxima.rows + i) * line
            argmax, y = maxima.argmax[first : first + line], maxima.y[first : first + line]
            grad = maxima.grad_y[first : first + line]
            for tap in range(taps):
                begin = (worker * taps + tap) * line
                tap_grads = grads.array[begin : begin + line]
                for k in range(line):
                    tap_grads[k] = grad[k] if argmax[k] == tap and not (maxima.relu and y[k] <= 0.0) else 0.0
                    total[k] += tap_grads[k]
            for k in range(0, filters, grads.columns):
                tile(
                    A(
                        image,
                        start + maxima.start + i * maxima.row_stride,
                        patch.rows,
                        maxima.taps,
                        maxima.column_stride,
                    ),
                    B(grads.array, worker * taps * line + k, grads.starts, filters),
                    C(sums.weight, block * patch_size * filters + k, patch.filter_rows, 0),
                    Extent(patch_size, min(grads.columns, filters - k), taps, maxima.columns),
                    ADD,
                    no_epilogue(sums.weight),
                )


def launch_small_patch(images: PaddedImages, patch: Patch, maxima: Maxima, gradients: Gradients, parts: int) -> None:
    """Launch the sums over all pixels, of each part of the batch, and add them up."""
    dtype, filters, line = images.array.dtype, maxima.filters, maxima.columns * maxima.filters
    rows = (patch.rows[:, None] + np.arange(patch.width)).reshape(-1)
    elements = Patch(rows, np.arange(len(rows)) * filters, 1)  # each element of the patch a row of its own
    weights = scratch(parts, len(rows) * filters, dtype=dtype)
    biases = scratch(parts * maxima.columns, filters, dtype=dtype)
    empty = images.array[:0]
    sums = PartialSums(weights.reshape(-1), biases.reshape(-1), parts, True, empty, empty, False)
    taps = len(maxima.taps)
    memory = scratch(scratch_workers() * taps * line, dtype=dtype)
    grads = TapGradients(memory, np.arange(taps) * line, vector_unit().tile_columns(dtype))
    launch(sum_all_pixels, parts, images, elements, maxima, grads, sums)
    for total, gradient in ((weights, gradients.weight), (biases, gradients.bias)):
        if gradient is not None:
            add_up(total, gradient.reshape(-1))
