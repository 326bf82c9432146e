"""The tutorial's third hand: the article's layers on byhand's compiled ops, in float32.

Convolution and the fully connected layer call the library's ops. Pooling has two kernels of its own: the article gives the
gradient to every pixel that equals its window's maximum, the library only to the first. Equal regions of an image have equal
outputs of the convolution, whichever tile computes them, because every output is summed in the same order.

A layer keeps its arrays, so that its launches are captured once and replayed for each image.
"""

from typing import Any

import numpy as np

from byhand.kernels import Replay, kernel, launch
from byhand.ops.conv.conv2d import conv2d_backward_compiled, conv2d_compiled
from byhand.ops.conv.linear import linear_backward_compiled, linear_compiled
from byhand.shapes import Array
from byhand.tutorial.checks import as_gradient, as_image
from byhand.tutorial.network import Conv3x3, MaxPool2, Softmax

CONV_ATTRIBUTES: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1}


class CompiledConv3x3(Conv3x3):
    """`Conv3x3` with the compiled hand of `conv2d`."""

    def __init__(self, num_filters: int, rng: np.random.RandomState | None = None) -> None:
        super().__init__(num_filters, rng)
        self.filters = self.filters.astype(np.float32)
        self._image = np.empty((0, 0), np.float32)

    def _prepare(self, height: int, width: int) -> None:
        """Allocate the arrays for images of this size, and capture the launches on them."""
        self._image = np.empty((height, width), np.float32)
        self._weight = np.empty((3, 3, 1, self.num_filters), np.float32)
        self._out = np.empty((1, height - 2, width - 2, self.num_filters), np.float32)
        self._gradient = np.empty_like(self._out)
        self._grad = np.empty_like(self._weight)
        x = self._image[None, :, :, None]
        self._forward = Replay(conv2d_compiled, x, self._weight, None, self._out, **CONV_ATTRIBUTES)
        self._backward = Replay(
            conv2d_backward_compiled, x, self._weight, self._gradient, None, self._grad, None, **CONV_ATTRIBUTES
        )

    def forward(self, input: Array) -> Array:
        """Convolve the image, (H, W) -> (H-2, W-2, F)."""
        self.last_input = as_image("Conv3x3", input, "(H, W)", smallest=3)
        if self.last_input.shape != self._image.shape:
            self._prepare(*self.last_input.shape)
        self._image[...] = self.last_input
        self._weight[:, :, 0] = self.filters.transpose(1, 2, 0)  # FxRxS -> RxSxF
        self._forward()
        self.last_output = self._out[0].copy()
        return self.last_output

    def backprop(self, gradient: Array, learn_rate: float) -> None:
        """Update the filters."""
        self._gradient[0] = as_gradient(self, gradient)
        self._image[...] = self.last_input
        self._backward()
        self.filters -= np.float32(learn_rate) * self._grad[:, :, 0].transpose(2, 0, 1)


class CompiledMaxPool2(MaxPool2):
    """`MaxPool2` with its loops compiled by Numba."""

    _image = np.empty((0, 0, 0), np.float32)

    def _prepare(self, height: int, width: int, filters: int) -> None:
        """Allocate the arrays for inputs of this size, and capture the launches on them."""
        self._image, self._grad = (np.empty((height, width, filters), np.float32) for _ in range(2))
        self._out, self._gradient = (np.empty((height // 2, width // 2, filters), np.float32) for _ in range(2))
        self._forward = Replay(launch, max_pool_2x2, 1, self._image, self._out)
        self._backward = Replay(launch, max_pool_2x2_backward, 1, self._image, self._out, self._gradient, self._grad)

    def forward(self, input: Array) -> Array:
        """Keep the maximum of each window, (H, W, F) -> (H//2, W//2, F)."""
        self.last_input = as_image("MaxPool2", input, "(H, W, F)", smallest=2)
        if self.last_input.shape != self._image.shape:
            self._prepare(*self.last_input.shape)
        self._image[...] = self.last_input
        self._forward()
        self.last_output = self._out.copy()
        return self.last_output

    def backprop(self, gradient: Array) -> Array:
        """Return the gradient of the input: that of the output, copied to every pixel that equals the maximum."""
        self._gradient[...] = as_gradient(self, gradient)
        self._backward()
        return self._grad.copy()


@kernel
def max_pool_2x2(image, out, block):
    """Write the maximum of each window."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for f in range(out.shape[2]):
                upper = max(image[2 * i, 2 * j, f], image[2 * i, 2 * j + 1, f])
                lower = max(image[2 * i + 1, 2 * j, f], image[2 * i + 1, 2 * j + 1, f])
                out[i, j, f] = max(upper, lower)


@kernel
def max_pool_2x2_backward(image, out, gradient, grad_input, block):
    """Copy each window's gradient to every pixel that equals its maximum; the others, and an odd last row, get 0."""
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            pooled = i // 2 < out.shape[0] and j // 2 < out.shape[1]  # False in an odd last row or column
            for f in range(image.shape[2]):
                grad_input[i, j, f] = 0.0
                if pooled and image[i, j, f] == out[i // 2, j // 2, f]:
                    grad_input[i, j, f] = gradient[i // 2, j // 2, f]


class CompiledSoftmax(Softmax):
    """`Softmax` with the compiled hand of `linear`."""

    def __init__(self, input_len: int, nodes: int, rng: np.random.RandomState | None = None) -> None:
        super().__init__(input_len, nodes, rng)
        self.weights, self.biases = self.weights.astype(np.float32), self.biases.astype(np.float32)
        self._x, self._grad_x = (np.empty((1, input_len), np.float32) for _ in range(2))
        self._totals, self._grad = (np.empty((1, nodes), np.float32) for _ in range(2))
        self._grad_weights = np.empty_like(self.weights)
        self._forward = Replay(linear_compiled, self._x, self.weights, self.biases, self._totals)
        self._backward = Replay(
            linear_backward_compiled, self._x, self.weights, self._grad, self._grad_x, self._grad_weights, None
        )

    def totals(self, x: Array) -> Array:
        """Return t = x W + b."""
        self._x[0] = x.reshape(-1)
        self._forward()
        totals: Array = self._totals[0]
        return totals

    def update(self, grad_totals: Array, learn_rate: float) -> Array:
        """Update weights and biases; return dL/dx."""
        self._x[0], self._grad[0] = self.last_input.reshape(-1), grad_totals
        self._backward()
        self._grad_weights *= np.float32(learn_rate)
        self.weights -= self._grad_weights
        self.biases -= np.float32(learn_rate) * self._grad[0]
        grad_x: Array = self._grad_x[0].copy()
        return grad_x
