"""The tutorial article's training loop: only the imports differ, and there are fewer images."""

import numpy as np

from byhand.data import mnist
from byhand.tutorial import Conv3x3, MaxPool2, Softmax

images, labels = mnist.train_images()[:200], mnist.train_labels()[:200]
np.random.seed(0)
conv, pool, softmax = Conv3x3(8), MaxPool2(), Softmax(13 * 13 * 8, 10)

losses = []
for image, label in zip(images, labels):
    out = softmax.forward(pool.forward(conv.forward(image / 255 - 0.5)))
    losses.append(-np.log(out[label]))
    gradient = np.zeros(10)
    gradient[label] = -1 / out[label]
    conv.backprop(pool.backprop(softmax.backprop(gradient, 0.005)), 0.005)

print(f"loss over the first 50 images {np.mean(losses[:50]):.3f}, over the last 50 {np.mean(losses[-50:]):.3f}")
assert np.mean(losses[-50:]) < np.mean(losses[:50])
