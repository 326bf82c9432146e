"""Make the pictures of the READMEs, and the digits that `byhand predict` can be tried on.

python scripts/make_pictures.py [RUN]

RUN: the folder of a finished `byhand train`, whose confusion matrix and curves go into docs/pictures too.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image, ImageFilter

import byhand as bh
from byhand.report import picture

ROOT = Path(__file__).parent.parent
PICTURES, DIGITS = ROOT / "docs" / "pictures", ROOT / "examples" / "digits"
DIGIT = 61  # of the test images: an eight
WIDTH, HEIGHT = 12.7, 5.2  # of the picture, in inches
COLOURS = LinearSegmentedColormap.from_list("signs", [picture.MINUS, picture.PAPER, picture.PLUS])


def inside() -> None:
    """Draw the article's network on one digit: its maps forward, and the gradient of the loss at each of them."""
    train, test = bh.data.load("mnist")
    model = bh.models.create("article")
    bh.Trainer(model, bh.SGD(lr=0.02), batch_size=16).fit(train.take(12000), epochs=1, quiet=True)
    trace = model.trace(test.images[DIGIT : DIGIT + 1], test.labels[DIGIT : DIGIT + 1])
    figure = picture.figure(WIDTH, HEIGHT)
    figure.set_layout_engine("none")
    for prefix, top, title in (
        ("", 0.45, "what the network sees"),
        ("grad_", 2.95, "grad_images"),
    ):
        _text(figure, 0.25, top - 0.12, title)
        _map(figure, trace[f"{prefix}images"][0, ..., 0], 0.25, top, 1.9, colours=COLOURS if prefix else "gray")
        for layer, left in (("conv1", 2.75), ("pool1", 6.75)):
            maps = trace[prefix + layer][0]
            _text(figure, left, top - 0.12, f"{prefix}{layer}  {' x '.join(map(str, maps.shape))}")
            for k in range(8):
                _map(figure, maps[..., k], left + 0.93 * (k % 4), top + (k // 4) * 1.02, 0.87, np.abs(maps).max())
        _text(figure, 10.9, top - 0.12, f"{prefix}fc1" if prefix else "softmax")
        values = trace["grad_fc1"][0] if prefix else bh.softmax(trace["fc1"])[0]
        axes = figure.add_axes(_box(11.05, top, 1.4, 1.75))
        axes.barh(
            range(10), values, color=[picture.PLUS if value > 0 else picture.MINUS for value in values], height=0.7
        )
        axes.invert_yaxis()
        axes.set_yticks(range(10))
        picture.plain(axes)
    picture.write(figure, PICTURES / "inside.png")


def _box(left, top, width, height):
    """Return a box given in inches from the upper left corner as matplotlib wants it."""
    return (left / WIDTH, 1 - (top + height) / HEIGHT, width / WIDTH, height / HEIGHT)


def _text(figure, left, top, text):
    figure.text(left / WIDTH, 1 - top / HEIGHT, text, fontsize=9, color=picture.INK)


def _map(figure, values, left, top, side, largest=None, colours=COLOURS):
    largest = largest or np.abs(values).max()
    axes = figure.add_axes(_box(left, top, side, side))
    axes.imshow(values, cmap=colours, vmin=-largest, vmax=largest)
    axes.set_axis_off()


def digits() -> None:
    """Write five test digits as a camera would see them: large, dark ink on shaded paper, off the centre."""
    for number, place in ((7, 0), (2, 1), (0, 3), (4, 4), (9, 7)):
        ink = Image.fromarray(bh.data.mnist.test_images()[place]).resize((300, 300), Image.Resampling.BICUBIC)
        page = Image.new("L", (480, 400), 0)
        page.paste(ink, (40 + 17 * number % 120, 30))
        ink = np.asarray(page.filter(ImageFilter.GaussianBlur(2)), float) / 255
        light = 225 - 40 * np.linspace(0, 1, 480)[None] - 15 * np.linspace(0, 1, 400)[:, None]
        noise = np.random.default_rng(number).normal(0, 3, ink.shape)
        grey = (light * (1 - 0.8 * ink) + noise).clip(0, 255)
        colour = (grey[..., None] * np.array([1, 0.97, 0.9])).astype(np.uint8)
        Image.fromarray(colour).save(DIGITS / f"{number}.jpg", quality=85)


if __name__ == "__main__":
    PICTURES.mkdir(parents=True, exist_ok=True)
    DIGITS.mkdir(parents=True, exist_ok=True)
    digits()
    inside()
    for name in ("confusion.png", "curves.png") if len(sys.argv) > 1 else ():
        shutil.copyfile(Path(sys.argv[1], name), PICTURES / name)
