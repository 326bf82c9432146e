"""A convolutional network by hand: the program of a tutorial article, as a chapter that runs.

It follows Victor Zhou's "CNNs, Part 1: An Introduction to Convolutional Neural Networks" and "CNNs, Part 2: Training a
Convolutional Neural Network" (victorzhou.com, 2019). The task is MNIST: which digit does a grey 28x28 picture show?

**Why not a fully connected net?** It does not scale: a colour picture is 224 x 224 x 3 = 150,528 numbers, and a first
layer of 1,024 units on it has 154 million weights. And it does not follow a feature that moves: each weight belongs to
one pixel, so a stroke learned on the left means nothing on the right.

**Convolution.** Lay a small filter of weights, here 3x3, on the picture, multiply each weight by the pixel under it and
add up: that is one number of the output. Move the filter by a pixel for the next. The same nine weights serve every
position, so they are few, and they find their feature wherever it is. Sobel's filter finds vertical edges:

>>> sobel = Conv3x3(1)
>>> sobel.filters[0] = [[-1, 0, 1],
...                     [-2, 0, 2],
...                     [-1, 0, 1]]
>>> picture = np.array([[10, 10, 10, 80, 80]] * 3)
>>> sobel.forward(picture)[:, :, 0]
array([[  0., 280., 280.]])

The second is -1*10 + 0*10 + 1*80 - 2*10 + 0*10 + 2*80 - 1*10 + 0*10 + 1*80 = 280: an edge. The first is 0: none.

**Padding.** A 3x3 filter fits into a picture of 28x28 at 26x26 positions: "valid" padding, that is none. With a border
of zeros around the picture the output keeps its size, 28x28: "same" padding. This network uses "valid".

**The network.** Eight filters, 2x2 max pooling, a fully connected softmax layer. Fresh, on a black picture:

>>> conv, pool, softmax = Conv3x3(8), MaxPool2(), Softmax(13 * 13 * 8, 10)
>>> out = conv.forward(np.zeros((28, 28)))  # 28x28 -> 26x26x8
>>> out = pool.forward(out)  # 26x26x8 -> 13x13x8
>>> out = softmax.forward(out)  # 13x13x8 = 1352 -> 10
>>> out
array([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])

**Cross-entropy** says how wrong that is: H(p, q) = -sum_x p(x) ln q(x). The truth p is 1 for the label and 0 elsewhere,
so the loss is L = -ln q(label). A net that knows nothing says 1/10 for each digit:

>>> f"{-np.log(out[7]):.3f}"
'2.303'

**Training.** Backpropagation is the chain rule, from the loss back to the picture. Each layer's `backprop` gets the
gradient dL/d(its output) and makes two of it: dL/d(its weights), which it follows downhill at once (stochastic gradient
descent: `weights -= learn_rate * gradient`), and dL/d(its input), which it hands to the layer before. The first
gradient is the loss's own: dL/dq is -1/q(label) at the label and 0 elsewhere.

**Testing** is the forward pass on pictures that the net has not been trained on. `run` runs the article's two programs,
the untrained net and the training, with any hand: loops, the formula position by position; NumPy arrays; or byhand's
compiled ops in float32 (`compiled.py`).
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from byhand.data import mnist
from byhand.errors import ShapeError, UnknownNameError
from byhand.shapes import Array
from byhand.tutorial.checks import as_generator, as_gradient, as_image, integer_within

Say = Callable[[str], object]
LEARN_RATE = 0.005

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
        """Update the filters with the gradient (H-2, W-2, F) of the loss in the output.

        filters[f, a, b] enters out[i, j, f] once, times image[i+a, j+b], so d out[i, j, f] / d filters[f, a, b] is that
        pixel. The chain rule sums over the positions:

            dL/d filters[f, a, b] = sum_ij gradient[i, j, f] image[i+a, j+b]

        Nothing is returned: this is the first layer, its input is the picture, and no layer waits for dL/d image.
        """
        gradient = as_gradient(self, gradient)
        grad_filters = np.zeros_like(self.filters)
        for region, i, j in self.iterate_regions(self.last_input):
            for f in range(self.num_filters):
                grad_filters[f] += gradient[i, j, f] * region
        self.filters -= learn_rate * grad_filters


class MaxPool2:
    """Max pooling: neighbours say much the same, so keep the largest of each 2x2 window. An odd last row is left out.

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
        """Return the gradient in the input (H, W, F), given that in the output (H//2, W//2, F).

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
    """A fully connected layer with softmax. It has no loop over pixels, so both hands share it.

    Args:
        input_len: the count of input numbers, K, in any shape.
        nodes: the count of classes, N.
        rng: draws the weights; without one, NumPy's global generator does.

    Raises:
        ArgumentError: a count is not 1 or more, `rng` is no RandomState, or `backprop` comes before `forward`.
        ShapeError: the input does not hold K numbers, or the gradient is not (N,).
    """

    def __init__(self, input_len: int, nodes: int, rng: np.random.RandomState | None = None) -> None:
        input_len, nodes = (
            integer_within("Softmax", "input_len", input_len, 1),
            integer_within("Softmax", "nodes", nodes, 1),
        )
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
        """Update weights and biases; return the gradient in the input, in its shape, given that in the output (N,).

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
        """Return the gradient in the input: that of the output, copied to every corner that equals the maximum."""
        gradient = as_gradient(self, gradient)
        grad_input = np.zeros_like(self.last_input)
        for corner, grad_corner in zip(self.corners(self.last_input), self.corners(grad_input)):
            np.copyto(grad_corner, gradient, where=corner == self.last_output)
        return grad_input


HANDS = ("loops", "arrays", "compiled")


def layers(hand: str) -> tuple[type[Conv3x3], type[MaxPool2], type[Softmax]]:
    """Return the layers of a hand."""
    if hand == "compiled":
        from byhand.tutorial import compiled as own  # noqa: PLC0415  (it takes its classes from here)

        return own.CompiledConv3x3, own.CompiledMaxPool2, own.CompiledSoftmax
    return (ArraysConv3x3, ArraysMaxPool2, Softmax) if hand == "arrays" else (Conv3x3, MaxPool2, Softmax)


def run(
    *, hand: str = "compiled", seed: int | None = None, images: int = 1000, epochs: int = 3, say: Say = print
) -> dict[str, Any]:
    """Run the article's two programs: the untrained net over test images, then training and testing.

    Batch one, learning rate 0.005, pixels scaled from 0..255 to -0.5..0.5. Drawn in this order: filters, weights, one
    permutation an epoch, of the images as the last one left them.

    Args:
        hand: a name in `HANDS`.
        seed: of a `numpy.random.RandomState`; without one, NumPy's global generator draws.
        images: how many, from the start of the training set and of the test set: 1 to 10000.
        epochs: how often the net sees the training images.
        say: called with each line of text.

    Returns:
        `untrained` and `test`: mean `loss` (nats) and `accuracy` (0 to 1) over the test images. `steps`: `epoch`,
        `step`, `loss`, `accuracy` of each training line. `seconds`: of both programs, without reading the images.

    Raises:
        UnknownNameError: there is no such hand.
        ArgumentError: `seed`, `images` or `epochs` is out of range.

    >>> result = run(seed=0, images=100, epochs=1)
    MNIST CNN initialized!
    [Step 100] Past 100 steps: Average Loss 2.302 | Accuracy: 8%
    --- Epoch 1 ---
    [Step 100] Past 100 steps: Average Loss 2.192 | Accuracy: 27%
    --- Testing the CNN ---
    Test Loss: 2.0307...
    Test Accuracy: 0.41
    """
    if hand not in HANDS:
        raise UnknownNameError("hand", hand, HANDS)
    images = integer_within("tutorial.run", "images", images, 1, 10_000)
    epochs = integer_within("tutorial.run", "epochs", epochs, 0)
    rng = None if seed is None else np.random.RandomState(integer_within("tutorial.run", "seed", seed, 0, 2**32 - 1))

    train_images, train_labels = mnist.train_images()[:images], mnist.train_labels()[:images]
    test_images, test_labels = mnist.test_images()[:images], mnist.test_labels()[:images]
    start = time.perf_counter()
    make_conv, make_pool, make_softmax = layers(hand)
    conv, pool, softmax = make_conv(8, rng=rng), make_pool(), make_softmax(13 * 13 * 8, 10, rng=rng)

    def forward(image: Array, label: int) -> tuple[Array, float, bool]:
        out = conv.forward(image / 255 - 0.5)  # 28x28 -> 26x26x8
        out = pool.forward(out)  # -> 13x13x8
        out = softmax.forward(out)  # -> 10
        return out, -float(np.log(out[label])), int(np.argmax(out)) == label

    def train(image: Array, label: int) -> tuple[float, bool]:
        out, loss, correct = forward(image, label)
        gradient = np.zeros(10)
        gradient[label] = -1 / out[label]
        gradient = softmax.backprop(gradient, LEARN_RATE)
        gradient = pool.backprop(gradient)
        conv.backprop(gradient, LEARN_RATE)
        return loss, correct

    def test(lines: bool) -> dict[str, float]:
        past = []
        for i, (image, label) in enumerate(zip(test_images, test_labels)):
            past.append(forward(image, int(label))[1:])
            if lines and i % 100 == 99:
                _past_100(past, i + 1, say)
        return _mean(past, images)

    say("MNIST CNN initialized!")
    untrained = test(lines=True)
    steps: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        say(f"--- Epoch {epoch} ---")
        order = as_generator(rng).permutation(images)
        train_images, train_labels = train_images[order], train_labels[order]
        past: list[tuple[float, bool]] = []
        for i, (image, label) in enumerate(zip(train_images, train_labels)):
            if i % 100 == 99:  # as in the article, before step i runs: an epoch's first line is 99 steps, over 100
                steps.append({"epoch": epoch, "step": i + 1, **_past_100(past, i + 1, say)})
            past.append(train(image, int(label)))

    say("--- Testing the CNN ---")
    tested = test(lines=False)
    say(f"Test Loss: {tested['loss']}")
    say(f"Test Accuracy: {tested['accuracy']}")
    return {"untrained": untrained, "steps": steps, "test": tested, "seconds": time.perf_counter() - start}


def _mean(past: list[tuple[float, bool]], count: int) -> dict[str, float]:
    return {"loss": sum(loss for loss, _ in past) / count, "accuracy": sum(correct for _, correct in past) / count}


def _past_100(past: list[tuple[float, bool]], step: int, say: Say) -> dict[str, float]:
    mean = _mean(past[-100:], 100)
    say(f"[Step {step}] Past 100 steps: Average Loss {mean['loss']:.3f} | Accuracy: {100 * mean['accuracy']:.0f}%")
    return mean
