"""A convolutional network by hand: the program of a tutorial article, as a chapter that runs.

It follows Victor Zhou's "CNNs, Part 1: An Introduction to Convolutional Neural Networks" and "CNNs, Part 2: Training a
Convolutional Neural Network" (victorzhou.com, 2019). The task is MNIST: which digit does a gray 28x28 image show?

**Why not a fully connected net?** It does not scale: a color image is 224 x 224 x 3 = 150,528 numbers, and a first
layer of 1,024 units on it has 154 million weights. And it does not follow a feature that moves: each weight belongs to
one pixel, so a stroke learned on the left means nothing on the right.

**Convolution.** Lay a small filter of weights, here 3x3, on the image, multiply each weight by the pixel under it and
add up: that is one number of the output. Move the filter by a pixel for the next. The same nine weights serve every
position, so they are few, and they find their feature wherever it is. Sobel's filter finds vertical edges:

>>> sobel = Conv3x3(1)
>>> sobel.filters[0] = [[-1, 0, 1],
...                     [-2, 0, 2],
...                     [-1, 0, 1]]
>>> image = np.array([[10, 10, 10, 80, 80]] * 3)
>>> sobel.forward(image)[:, :, 0]
array([[  0., 280., 280.]])

The second is -1*10 + 0*10 + 1*80 - 2*10 + 0*10 + 2*80 - 1*10 + 0*10 + 1*80 = 280: an edge. The first is 0: none.

**Padding.** A 3x3 filter fits into an image of 28x28 at 26x26 positions: "valid" padding, that is none. With a border
of zeros around the image the output keeps its size, 28x28: "same" padding. This network uses "valid".

**The network.** Eight filters, 2x2 max pooling, a fully connected softmax layer. Fresh, on a black image:

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

**Training.** Backpropagation is the chain rule, from the loss back to the image. Each layer's `backprop` gets the
gradient dL/d(its output) and makes two of it: dL/d(its weights), which it follows downhill at once (stochastic gradient
descent: `weights -= learn_rate * gradient`), and dL/d(its input), which it hands to the layer before. The first
gradient is the loss's own: dL/dq is -1/q(label) at the label and 0 elsewhere.

**Testing** is the forward pass on images that the net has not been trained on. `run` runs the article's two programs,
the untrained net and the training, with any hand: loops, the formula position by position, and NumPy arrays (both in
`network.py`), or byhand's compiled ops in float32 (`compiled.py`).
"""

import time
from collections.abc import Callable
from typing import TypedDict

import numpy as np

from byhand.data import mnist
from byhand.errors import UnknownNameError
from byhand.ops import HANDS
from byhand.shapes import Array
from byhand.tutorial.checks import as_generator, integer_within
from byhand.tutorial.network import ArraysConv3x3, ArraysMaxPool2, Conv3x3, MaxPool2, Softmax

__all__ = ["HANDS", "LEARN_RATE", "ArraysConv3x3", "ArraysMaxPool2", "Conv3x3", "MaxPool2", "Softmax", "layers", "run"]

Say = Callable[[str], object]
LEARN_RATE = 0.005


class Mean(TypedDict):
    """The mean loss (nats) and the accuracy (0 to 1) over several images."""

    loss: float
    accuracy: float


class Step(Mean):
    """A printed line of the training: the means over the 100 images before it."""

    epoch: int
    step: int


class Result(TypedDict):
    """What the two programs measured; seconds: of both, without reading the images."""

    untrained: Mean
    steps: list[Step]
    test: Mean
    seconds: float


def layers(hand: str) -> tuple[type[Conv3x3], type[MaxPool2], type[Softmax]]:
    """Return the layers of a hand."""
    if hand == "compiled":
        from byhand.tutorial import compiled as own  # noqa: PLC0415  (needs Numba)

        return own.CompiledConv3x3, own.CompiledMaxPool2, own.CompiledSoftmax
    return (ArraysConv3x3, ArraysMaxPool2, Softmax) if hand == "arrays" else (Conv3x3, MaxPool2, Softmax)


def run(
    *, hand: str = "compiled", seed: int | None = None, images: int = 1000, epochs: int = 3, say: Say = print
) -> Result:
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

    def test(lines: bool) -> Mean:
        past = []
        for i, (image, label) in enumerate(zip(test_images, test_labels)):
            past.append(forward(image, int(label))[1:])
            if lines and i % 100 == 99:
                _past_100(past, i + 1, say)
        return _mean(past, images)

    say("MNIST CNN initialized!")
    untrained = test(lines=True)
    steps: list[Step] = []
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


def _mean(past: list[tuple[float, bool]], count: int) -> Mean:
    return {"loss": sum(loss for loss, _ in past) / count, "accuracy": sum(correct for _, correct in past) / count}


def _past_100(past: list[tuple[float, bool]], step: int, say: Say) -> Mean:
    mean = _mean(past[-100:], 100)
    say(f"[Step {step}] Past 100 steps: Average Loss {mean['loss']:.3f} | Accuracy: {100 * mean['accuracy']:.0f}%")
    return mean
