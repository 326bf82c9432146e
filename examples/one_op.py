"""One op on plain arrays: find the vertical edges of a digit, with loops and with NumPy, forward and backward."""

import numpy as np

import byhand as bh

image = bh.data.mnist.test_images()[:1, ..., None] / 255  # (1, 28, 28, 1): a seven
sobel = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]).reshape(3, 3, 1, 1)  # (R, S, C, K)

edges = bh.conv2d(image, sobel, padding="same", hand="loops")
assert np.allclose(edges, bh.conv2d(image, sobel, padding="same", hand="arrays"))

for row in edges[0, ::2, :, 0]:
    print("".join("+" if value > 1 else "-" if value < -1 else "." for value in row))

# the gradients: which pixels, and which weights, would make the edges stronger?
grad_image, grad_sobel, _ = bh.conv2d.backward(edges, image, sobel, padding="same")
assert grad_image.shape == image.shape
print("the weights' gradient:", *np.round(grad_sobel[..., 0, 0], 1), sep="\n")
