"""Small images and networks in files, for the tests of commands that take both."""

import numpy as np
from PIL import Image

from byhand import nn, onnx


def write_images(folder):
    """Write a dark stroke on light paper (one.png), a color image (photo.png), and a file that is no image (note.png)."""
    page = np.full((60, 60), 230, np.uint8)
    page[10:50, 28:33] = 20
    Image.fromarray(page).save(folder / "one.png")
    photo = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(photo).save(folder / "photo.png")
    (folder / "note.png").write_text("no picture")


def write_feature_maps(folder):
    """Write maps.onnx, a network that ends in feature maps; return its input and its output."""
    x = nn.Input(16, 20, 3)
    y = nn.ReLU(name="act")(nn.Conv2d(6, 3, name="block_0_conv")(x))
    onnx.save(nn.Model(x, y, classes=(), crop_pct=0.875), folder / "maps.onnx")
    return x, y
