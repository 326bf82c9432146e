"""Make the pictures of the READMEs, and the digits that `byhand predict` can be tried on.

python scripts/make_pictures.py [RUN]

RUN: the folder of a finished `byhand train`, whose confusion matrix and curves go into docs/pictures too.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

import byhand as bh

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
DIGITS = ROOT / "examples" / "digits"


def digits() -> None:
    """Write five test digits as a camera would see them: large, dark ink on shaded paper, off the center."""
    for number, place in ((7, 0), (2, 1), (0, 3), (4, 4), (9, 7)):
        ink = Image.fromarray(bh.data.mnist.test_images()[place]).resize((300, 300), Image.Resampling.BICUBIC)
        page = Image.new("L", (480, 400), 0)
        page.paste(ink, (40 + 17 * number % 120, 30))
        ink = np.asarray(page.filter(ImageFilter.GaussianBlur(2)), float) / 255
        light = 225 - 40 * np.linspace(0, 1, 480)[None] - 15 * np.linspace(0, 1, 400)[:, None]
        noise = np.random.default_rng(number).normal(0, 3, ink.shape)
        gray = (light * (1 - 0.8 * ink) + noise).clip(0, 255)
        color = (gray[..., None] * np.array([1, 0.97, 0.9])).astype(np.uint8)
        Image.fromarray(color).save(DIGITS / f"{number}.jpg", quality=85)


if __name__ == "__main__":
    PICTURES.mkdir(parents=True, exist_ok=True)
    DIGITS.mkdir(parents=True, exist_ok=True)
    digits()
    for name in ("confusion.png", "curves.png") if len(sys.argv) > 1 else ():
        shutil.copyfile(Path(sys.argv[1], name), PICTURES / name)
