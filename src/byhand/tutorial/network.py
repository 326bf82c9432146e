"""The layers of the article's network, as loops and as NumPy arrays; `compiled.py` has their third hand."""

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from byhand.errors import ShapeError
from byhand.shapes import Array
from byhand.tutorial.checks import as_generator, as_gradient, as_image, integer_within

# ---------------------------------------------------------------------------------------------------------------- loops


class Conv3x3:
    """A layer of 3x3 filters: valid padding, stride 1, no bias, no activation.

    Args:
        num_filters: how many filters, F.
        rng: draws the filters; without one, NumPy's global generator does.

    Raises:
        ArgumentError: `num_filters` is not 1 or more, `rng` is no RandomState, or `backprop` comes before `forward`.
        ShapeError: the image is not (H, W), 3x3 or more, or the gradient has not the output's shape.
    """

    def __init__(self, num_filters: int, rng: np.random.RandomState | None = None) -> None:
        self.num_filters = integer_within("Conv3x3", "num_filters", num_filters, 1)
        # Divided by 9 so that a sum of nine products starts neither large nor tiny.
        self.filters: Array = as_generator(rng).randn(self.num_filters, 3, 3) / 9

    def iterate_regions(self, image: Array) -> Iterator[tuple[Array, int, int]]:
        """Yield each 3x3 region of the image (H, W) with the output position i, j that it makes."""
        height, width = image.shape
        for i in range(height - 2):
            for j in range(width - 2):
                yield image[i : i + 3, j : j + 3], i, j

    def forward(self, input: Array) -> Array:
        """Convolve, (H, W) -> (H-2, W-2, F): out[i, j, f] = sum_ab image[i+a, j+b] filters[f, a, b]."""
        image = self.last_input = as_image("Conv3x3", input, "(H, W)", smallest=3)
        height, width = image.shape
        out = self.last_output = np.zeros((height - 2, width - 2, self.num_filters))
        for region, i, j in self.iterate_regions(image):
            out[i, j] = np.sum(region * self.filters, axis=(1, 2))
        return out

    def backprop(self, gradient: Array, learn_rate: float) -> None:
        """Update the filters with the gradient (H-2, W-2, F) of the loss with respect to the output.

        filters[f, a, b] enters out[i, j, f] once, times image[i+a, j+b], so d out[i, j, f] / d filters[f, a, b] is that
        pixel. The chain rule sums over the positions:

            dL/d filters[f, a, b] = sum_ij gradient[i, j, f] image[i+a, j+b]

        Nothing is returned: this is the first layer, its input is the image, and no layer waits for dL/d image.
        """
        gradient = as_gradient(self, gradient)
        grad_filters = np.zeros_like(self.filters)
        for region, i, j in self.iterate_regions(self.last_input):
            for f in range(self.num_filters):
                grad_filters[f] += gradient[i, j, f] * region
        self.filters -= learn_rate * grad_filters


class MaxPool2:
    """Max pooling: neighbors say much the same, so keep the largest of each 2x2 window. An odd last row is left out.

    Raises:
        ArgumentError: `backprop` comes before `forward`.
        ShapeError: the input is not (H, W, F), 2x2 or more, or the gradient has not the output's shape.
    """

    def iterate_regions(self, image: Array) -> Iterator[tuple[Array, int, int]]:
        """Yield each 2x2 window of the image (H, W, F), all F deep, with the output position i, j that it makes."""
        height, width, _ = image.shape
        for i in range(height // 2):
            for j in range(width // 2):
                yield image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2], i, j

    def forward(self, input: Array) -> Array:
        """Keep each window's maximum, (H, W, F) -> (H//2, W//2, F): out[i, j, f] = max_ab input[2i+a, 2j+b, f]."""
        image = self.last_input = as_image("MaxPool2", input, "(H, W, F)", smallest=2)
        height, width, filters = image.shape
        out = self.last_output = np.zeros((height // 2, width // 2, filters))
        for region, i, j in self.iterate_regions(image):
            out[i, j] = np.max(region, axis=(0, 1))
        return out

    def backprop(self, gradient: Array) -> Array:
        """Return the gradient with respect to the input (H, W, F); gradient: with respect to the output (H//2, W//2, F).

        The output follows the maximum of its window with slope 1 and the others not at all:

            dL/d input[2i+a, 2j+b, f] = gradient[i, j, f]  if input[2i+a, 2j+b, f] = out[i, j, f],  else 0

        Where several equal the maximum there is no derivative, and a rule must choose. Here EVERY one of them receives
        the gradient, because the article does so; byhand's library op sends it to the first only, as PyTorch and ONNX
        do. It matters: on a digit's blank background all four are equal.
        """
        gradient = as_gradient(self, gradient)
        grad_input = np.zeros_like(self.last_input)
        for region, i, j in self.iterate_regions(self.last_input):
            for a, b, f in np.ndindex(region.shape):
                if region[a, b, f] == self.last_output[i, j, f]:
                    grad_input[2 * i + a, 2 * j + b, f] = gradient[i, j, f]
        return grad_input


class Softmax:
    """A fully connected layer with softmax. It has no loop over pixels, so loops and arrays share it.

    Args:
        input_len: the count of input numbers, K, in any shape.
        nodes: the count of classes, N.
        rng: draws the weights; without one, NumPy's global generator does.

    Raises:
        ArgumentError: a count is not 1 or more, `rng` is no RandomState, or `backprop` comes before `forward`.
        ShapeError: the input does not hold K numbers, or the gradient is not (N,).
    """

    def __init__(self, input_len: int, nodes: int, rng: np.random.RandomState | None = None) -> None:
        input_len = integer_within("Softmax", "input_len", input_len, 1)
        nodes = integer_within("Softmax", "nodes", nodes, 1)
        self.weights: Array = as_generator(rng).randn(input_len, nodes) / input_len
        self.biases: Array = np.zeros(nodes)

    def forward(self, input: Array) -> Array:
        """Flatten to x, (K,) -> probabilities (N,): t = x W + b, out_j = exp(t_j) / sum_i exp(t_i)."""
        x = self.last_input = np.asarray(input, dtype=np.float64)
        if x.size != len(self.weights):
            got = f"input has shape {x.shape}, {x.size} numbers"
            raise ShapeError(f"Softmax.forward: {got}, expected {len(self.weights)}, the layer's input_len")
        totals = self.totals(x)
        exp = np.exp(totals - totals.max())  # the shift cancels in the ratio, and exp can't overflow
        out: Array = exp / exp.sum()
        self.last_output = out
        return out

    def totals(self, x: Array) -> Array:
        """Return t = x W + b."""
        totals: Array = x.reshape(-1) @ self.weights + self.biases
        return totals

    def backprop(self, gradient: Array, learn_rate: float) -> Array:
        """Update weights and biases; return the gradient with respect to the input; gradient: to the output (N,).

        Softmax first. Every t_j enters every out_i, if only through the sum below. The quotient rule gives
        d out_i / d t_j = out_i ([i = j] - out_j), and the chain rule

            dL/dt_j = sum_i gradient_i out_i ([i = j] - out_j) = out_j (gradient_j - sum_i gradient_i out_i)

        With the cross-entropy's gradient, -1/out_j at the label, that is out_j - 1 at the label and out_j elsewhere.
        Then, from t_j = sum_k x_k W_kj + b_j:

            dL/dW_kj = x_k dL/dt_j        dL/db_j = dL/dt_j        dL/dx_k = sum_j W_kj dL/dt_j

        The last takes the weights that `forward` used, so it comes before their update.
        """
        gradient = as_gradient(self, gradient)
        grad_totals = self.last_output * (gradient - gradient @ self.last_output)
        return self.update(grad_totals, learn_rate).reshape(self.last_input.shape)

    def update(self, grad_totals: Array, learn_rate: float) -> Array:
        """Update weights and biases, given dL/dt; return dL/dx."""
        grad_input: Array = self.weights @ grad_totals
        self.weights -= np.outer(self.last_input, learn_rate * grad_totals)
        self.biases -= learn_rate * grad_totals
        return grad_input


# --------------------------------------------------------------------------------------------------------------- arrays


class ArraysConv3x3(Conv3x3):
    """`Conv3x3` without loops: the pixels that each of the nine weights meets, side by side."""

    taps: Array  # 9 x P, P = (H-2)(W-2): row 3a+b holds image[i+a, j+b] for every output position

    def forward(self, input: Array) -> Array:
        """Convolve the image, (H, W) -> (H-2, W-2, F): a sum over nine weights, for all positions at once."""
        image = self.last_input = as_image("Conv3x3", input, "(H, W)", smallest=3)
        size = image.shape[0] - 2, image.shape[1] - 2
        self.taps = sliding_window_view(image, size).reshape(9, -1)  # 3x3 windows of the output's size, a row each
        # No matrix product: BLAS may round equal regions differently, and MaxPool2 would miss their tie.
        out = (self.filters.reshape(-1, 9, 1) * self.taps).sum(axis=1)  # Fx9x1 * 9xP -> FxP
        self.last_output = out.reshape(-1, *size).transpose(1, 2, 0)
        return self.last_output

    def backprop(self, gradient: Array, learn_rate: float) -> None:
        """Update the filters: dL/d filters, the sum over positions, is a matrix product, FxP times Px9."""
        gradient = as_gradient(self, gradient)
        grad_filters = gradient.reshape(-1, self.num_filters).T @ self.taps.T
        self.filters -= learn_rate * grad_filters.reshape(-1, 3, 3)


class ArraysMaxPool2(MaxPool2):
    """`MaxPool2` without loops: the four corners of all windows, each an array."""

    def corners(self, image: Array) -> list[Array]:
        """Return the four corners of all windows of the image (H, W, F), each a view (H//2, W//2, F)."""
        height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
        return [image[a:height:2, b:width:2] for a in range(2) for b in range(2)]

    def forward(self, input: Array) -> Array:
        """Keep the maximum of each window, (H, W, F) -> (H//2, W//2, F)."""
        self.last_input = as_image("MaxPool2", input, "(H, W, F)", smallest=2)
        a, b, c, d = self.corners(self.last_input)
        self.last_output = np.maximum(np.maximum(a, b), np.maximum(c, d))
        return self.last_output

    def backprop(self, gradient: Array) -> Array:
        """Return the gradient of the input: that of the output, copied to every corner that equals the maximum."""
        gradient = as_gradient(self, gradient)
        grad_input = np.zeros_like(self.last_input)
        for corner, grad_corner in zip(self.corners(self.last_input), self.corners(grad_input)):
            np.copyto(grad_corner, gradient, where=corner == self.last_output)
        return grad_input
