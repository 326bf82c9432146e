"""Folders of small generated images, one subfolder per class."""

import numpy as np
from PIL import Image

COLORS = {"blue": (30, 60, 220), "green": (40, 200, 60), "red": (220, 40, 30)}


def noisy_image(color, size=(40, 30), seed=0):
    """Return a noisy picture (width, height) of about one color."""
    noise = np.random.default_rng(seed).integers(-25, 26, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(color) + noise, 0, 255).astype(np.uint8))


def write_image_folder(root, count=8, classes=tuple(COLORS), ending="png", size=(40, 30), start=0):
    """Make root/CLASS/0.png, ...; return root."""
    for place, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        color = COLORS.get(name, (60 * place % 256, 90, 200 - 50 * place % 200))
        for number in range(start, start + count):
            noisy_image(color, size, seed=1000 * place + number).save(root / name / f"{number}.{ending}")
    return root


def write_striped_folder(root, count=8, size=28, classes=("down", "across")):
    """Make a folder of gray stripes, down and across."""
    rng = np.random.default_rng(0)
    for place, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for number in range(count):
            ramp = np.arange(size) % 4 // 2 * 150
            stripes = np.tile(ramp, (size, 1))
            pixels = (stripes if place == 0 else stripes.T) + rng.integers(0, 80, (size, size))
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number}.png")
    return root


def color_of(image):
    """Return the class that an image's mean color is nearest to."""
    mean = image.reshape(-1, 3).mean(0)
    return min(COLORS, key=lambda name: np.abs(mean - COLORS[name]).sum())


def labels_match_colors(dataset):
    """Return whether every label names what its image shows."""
    return all(dataset.classes[label] == color_of(image) for image, label in zip(dataset.images, dataset.labels))
