"""Feature map sheets: pixels, order and unusual arrays."""

import os

import matplotlib
import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand.report import draw_feature_maps
from byhand.report.drawing import feature_maps, style
from byhand.report.drawing.feature_maps import GAP, HEAD_HEIGHT, LABEL_HEIGHT, MARGIN, most_active


def draw_and_read(values, path, *words, **settings):
    """Return the pixels of a picture that is whole."""
    draw_feature_maps(values, path, *words, **settings)
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def color(part):
    return np.array(matplotlib.colormaps["magma"](part, bytes=True)[:3])


def test_each_number_is_a_square_of_its_color(tmp_path):
    values = np.arange(24.0).reshape(2, 3, 4)
    pixels = draw_and_read(values, tmp_path / "a.png")
    _, map_height, map_width = feature_maps._grid(4, 2, 3)
    side = map_height // 2
    assert map_width == 3 * side and side > 20
    columns = feature_maps._grid(4, 2, 3)[0]
    for channel in range(4):
        top = HEAD_HEIGHT + LABEL_HEIGHT + channel // columns * (map_height + LABEL_HEIGHT + GAP)
        left = MARGIN + channel % columns * (map_width + GAP)
        for i, j in np.ndindex(2, 3):
            square = pixels[top + i * side : top + (i + 1) * side, left + j * side : left + (j + 1) * side]
            wanted = color(values[i, j, channel] / 23)
            assert np.abs(square.astype(int) - wanted).max() <= 1, (channel, i, j)


def test_one_scale_for_all_or_one_each(tmp_path, texts):
    values = np.stack([np.eye(4), 100 * np.eye(4)], -1)
    together = draw_and_read(values, tmp_path / "a.png")
    assert {"0", "100"} <= set(texts), "the scale of colors"
    each = draw_and_read(values, tmp_path / "b.png", scale_each=True)
    assert "4 × 4 × 2, 2 maps, 0 … 100, each map on its own scale" in texts and "100" not in texts
    bright = [(pixels == color(1.0)).all(-1).sum() for pixels in (together, each)]
    assert bright[1] > 1.9 * (bright[0] - 200)


def test_the_most_active_maps_come_first(tmp_path, texts):
    values = np.zeros((3, 3, 512))
    values[..., 40], values[..., 7], values[0, 0, 300] = -2, 1, 50
    assert most_active(values, 3) == [300, 40, 7]
    assert most_active(values[..., :5], 5) == [0, 1, 2, 3, 4]
    draw_and_read(values, tmp_path / "a.png", "vgg16, conv5_3")
    assert "vgg16, conv5_3" in texts and "3 × 3 × 512, the 64 most active of 512 maps, −2 … 50" in texts
    numbers = [text for text in texts if text.isdigit()]
    assert numbers[:5] == ["300", "40", "7", "0", "1"]
    draw_and_read(values, tmp_path / "b.png", max_maps=2)
    assert "3 × 3 × 512, the 2 most active of 512 maps, −2 … 50" in texts


@pytest.mark.parametrize(
    ("shape", "largest"),
    [
        ((28, 28, 1), (700, 700)),
        ((28, 28, 6), (1600, 1000)),
        ((112, 112, 32), (1650, 1000)),
        ((7, 7, 1280), (1650, 1000)),
        ((14, 14, 512), (1650, 1000)),
        ((480, 640, 21), (1650, 1000)),
        ((2, 3000, 4), (1650, 1000)),
        ((3000, 2, 4), (1650, 1000)),
        ((196, 768), (1650, 1000)),
        ((1, 1, 1000), (1650, 1000)),
        ((25088,), (1650, 1000)),
        ((10,), (1650, 1000)),
        ((1,), (1650, 1000)),
        ((), (1650, 1000)),
    ],
)
def test_any_layer_fits_a_laptops_screen(tmp_path, shape, largest):
    pixels = draw_and_read(np.random.default_rng(0).standard_normal(shape), tmp_path / "a.png", "network, layer")
    height, width = pixels.shape[:2]
    assert 500 < width <= largest[0] and 150 < height <= largest[1]
    assert len(np.unique(pixels @ (1 << 16, 1 << 8, 1))) > 20, "colors"
    assert os.listdir(tmp_path) == ["a.png"]  # noqa: PTH208


def test_a_sheet_of_many_maps_grows_in_height(tmp_path, texts, monkeypatch):
    monkeypatch.setattr(feature_maps, "MAX_MAPS", 1100)  # 4,096 take seconds
    height, width, _ = draw_and_read(
        np.random.default_rng(0).random((7, 7, 1280)), tmp_path / "a.png", max_maps=1280
    ).shape
    assert width <= 1650 and 1200 < height < 3000
    assert any("the 1100 most active of 1,280 maps" in text for text in texts)


def test_nan_and_infinity_are_marked(tmp_path, texts):
    values = np.ones((4, 4, 2))
    clean = draw_and_read(values, tmp_path / "a.png")
    values[1, 2, 0], values[0, 0, 1] = np.nan, np.inf
    pixels = draw_and_read(values, tmp_path / "b.png")
    assert "4 × 4 × 2, 2 maps, 1 … 1, 2 NaN or infinite (cyan)" in texts
    blue = [(image == np.array([0x19, 0xC3, 0xD6])).all(-1).sum() for image in (clean, pixels)]
    assert blue[0] == 0 and blue[1] > 1000
    for odd in (
        np.full((3, 3, 2), np.nan),
        np.full((3, 3, 2), 1e308) * [1, -1],
        np.full(5, np.inf),
        np.zeros((4, 4, 3)),
    ):
        draw_and_read(odd, tmp_path / "c.png")
        draw_and_read(odd, tmp_path / "c.png", scale_each=True)


def test_a_vector_is_bars_and_its_largest_are_named(tmp_path, texts):
    values = np.zeros(1000)
    values[[17, 400, 999]] = 3, 9, -5
    pixels = draw_and_read(
        values, tmp_path / "a.png", "network, fc", names=[f"class {i}, {'and so on ' * 9}" for i in range(1000)]
    )
    assert {"network, fc", "1,000 numbers, −5 … 9", "9", "class 400", "3", "class 17"} <= set(texts)
    for shade in (style.BLUE, style.ORANGE):  # no peak is lost, though there are more numbers than bars
        assert (pixels == np.array(style.rgb(shade))).all(-1).sum() > 50
    draw_and_read(np.array([0.2, 0.8]), tmp_path / "b.png", names=["$cat$", "dog"])
    assert {"$cat$", "dog"} <= set(texts)
    draw_and_read(values, tmp_path / "c.png")
    assert "number 400" in texts


def test_undrawable_arguments_are_refused(tmp_path):
    for shape in ((2, 3, 4, 5), (0, 3, 2), (0,)):
        with pytest.raises(bh.ShapeError, match="expected \\(H, W, C\\), \\(H, W\\) or \\(C,\\)"):
            draw_feature_maps(np.zeros(shape), tmp_path / "a.png")
    with pytest.raises(bh.ArgumentError, match="draw_feature_maps: max_maps is 0"):
        draw_feature_maps(np.zeros((3, 3, 2)), tmp_path / "a.png", max_maps=0)
    with pytest.raises(bh.FileError, match="can't write"):
        draw_feature_maps(np.zeros((3, 3, 2)), tmp_path / "none" / "a.png")
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_sheet_is_the_same_bytes_again(tmp_path):
    values = np.random.default_rng(0).random((9, 9, 7))
    for name in "ab":
        draw_feature_maps(values, tmp_path / name, "title")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
