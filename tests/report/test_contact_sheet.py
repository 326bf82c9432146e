"""Contact sheets: pixels, labels and unusual rows."""

import os
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.font_manager import FontEntry, fontManager, get_font
from matplotlib.text import Text
from PIL import Image

import byhand as bh
from byhand.report.drawing import contact_sheet, fonts, style
from byhand.report.drawing.contact_sheet import HALVES_GAP, HALVES_HEAD, ROW_MIN_PIXELS, draw_contact_sheet
from byhand.report.drawing.feature_maps import GAP, HEAD_HEIGHT, MARGIN


def images(n, *shape, seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8))


def draw_and_read(path, rows, *words):
    """Return the pixels of a picture that is whole."""
    draw_contact_sheet(path, rows, *words)
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def texts(monkeypatch):
    """Every text of the figure that was written last, by what it says."""
    found, write = {}, style.save_png

    def watched(figure, path):
        found.clear()
        found.update({text.get_text(): text for text in figure.findobj(Text) if text.get_text()})
        write(figure, path)

    monkeypatch.setattr(style, "save_png", watched)
    return found


def left_of(rows):
    """Return where the images begin, as matplotlib measures what stands before them."""
    labels = fonts.class_labels([row[0] for row in rows])
    widths = [fonts.text_width(fonts.fit(label, 8, 240), 8) for label in labels]
    widths += [fonts.text_width(f"{row[1]:,} image{'s' * (row[1] != 1)}", 6.5) for row in rows]
    return MARGIN + max(widths) + 2 * GAP


@pytest.mark.parametrize(("channels", "factor", "side"), [(1, 2, 28), (3, 2, 32), (3, 1, 64), (1, 56, 1)])
def test_each_pixel_is_a_square_of_its_color(tmp_path, channels, factor, side):
    rows = [(name, 4, images(4, side, side, channels, seed=k)) for k, name in enumerate(("cat", "dog"))]
    pixels = draw_and_read(tmp_path / "a.png", rows, "pets")
    size, left = side * factor, left_of(rows)
    assert size >= 56
    for k, (_, _, row) in enumerate(rows):
        for i, image in enumerate(row):
            top, x = HEAD_HEIGHT + k * (size + GAP), left + i * (size + GAP)
            wanted = np.kron(image.repeat(3 // channels, 2), np.ones((factor, factor, 1), np.uint8))
            np.testing.assert_array_equal(pixels[top : top + size, x : x + size], wanted)
    paper = np.array(style.rgb(style.BACKGROUND_COLOR))
    assert (pixels[:, left - GAP : left] == paper).all() and (pixels[:, -MARGIN:] == paper).all()


def test_photos_are_reduced(tmp_path):
    flat = [np.full((480, 640, 3), (10, 200, 30), np.uint8)]
    pixels = draw_and_read(tmp_path / "a.png", [("green", 1, flat)])
    ys, xs = np.nonzero((pixels == (10, 200, 30)).all(-1))
    assert (np.ptp(ys) + 1, np.ptp(xs) + 1) == (84, 112) and len(ys) == 84 * 112


def test_plain_and_augmented_stand_side_by_side(tmp_path, texts):
    plain, augmented = images(2, 28, 28, 1), images(6, 28, 28, 1, seed=1)
    rows = [("a", 2, plain, augmented), ("b", 2, plain, augmented)]
    pixels = draw_and_read(tmp_path / "a.png", rows, "mnist", "shift=2")
    assert {"plain", "augmented", "mnist", "shift=2", "a", "b", "2 images"} == set(texts)
    right = left_of(rows) + 2 * (56 + GAP) + HALVES_GAP
    top = HEAD_HEIGHT + HALVES_HEAD + 56 + GAP
    for left, row in ((left_of(rows), plain), (right, augmented)):
        for i, image in enumerate(row):
            got = pixels[top : top + 56, left + i * (56 + GAP) : left + i * (56 + GAP) + 56]
            np.testing.assert_array_equal(got, image.repeat(3, 2).repeat(2, 0).repeat(2, 1))
    line = pixels[HEAD_HEIGHT : HEAD_HEIGHT + HALVES_HEAD + 2 * 56 + GAP, right - HALVES_GAP - GAP : right]
    assert ((line == np.array(style.rgb(style.GRID_COLOR))).all((0, 2))).sum() == 1, "one line between them"
    draw_and_read(tmp_path / "b.png", [row[:3] for row in rows])
    assert "plain" not in texts and "augmented" not in texts


def test_omitted_images_are_reported(tmp_path, texts):
    few, single = images(15, 4, 4, 3), images(1, 4, 4, 3)
    draw_and_read(tmp_path / "a.png", [(f"class {i}", 100, few) for i in range(103)])
    assert "class 19" in texts and "class 20" not in texts and "and 83 more classes, 10,060 more images" in texts
    assert "100 images" in texts
    draw_and_read(tmp_path / "b.png", [("a", 14, few), ("b", 1, single)])
    assert "and 2 more images" in texts and "1 image" in texts
    draw_and_read(tmp_path / "c.png", [("a", 1, single)] * 21)
    assert "and 1 more class, 1 more image" in texts
    draw_and_read(tmp_path / "d.png", [("a", 9, few[:9], few[:9])])
    assert "and 3 more images" in texts, "six plain ones"
    draw_and_read(tmp_path / "e.png", [("a", 12, few[:12])])
    assert not any(text.startswith("and ") for text in texts)


def test_the_largest_sheet_fits_a_screens_width(tmp_path):
    photos = [np.full((224, 224, 3), 20 * i, np.uint8) for i in range(12)]
    for row in ((photos,), (photos, photos)):
        height, width = draw_and_read(
            tmp_path / "a.png", [("a class with a very long name", 1000, *row)] * 20, "t"
        ).shape[:2]
        assert 1600 < width < 1800 and height < 2700


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3000, 3), (3000, 2, 1), (5, 3, 2), (60, 60, 4), (7, 7, 9)], ids=str)
def test_images_of_any_shape(tmp_path, shape):
    pixels = draw_and_read(tmp_path / "a.png", [("a", 3, images(3, *shape)), ("b", 1, images(1, 28, 28, 1))])
    assert pixels.shape[0] < 400 and pixels.shape[1] < 1000
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_more_channels_than_colors(tmp_path):
    four, two = images(1, 8, 8, 4)[0], images(1, 8, 8, 2)[0]
    np.testing.assert_array_equal(contact_sheet._tile(four)[::7, ::7], four[..., :3])
    np.testing.assert_array_equal(contact_sheet._tile(two)[::7, ::7], two[..., :1].repeat(3, 2))


def test_rows_of_nothing(tmp_path, texts):
    draw_and_read(tmp_path / "a.png", [], "nothing", "0 images")
    assert set(texts) == {"nothing", "0 images"}
    pixels = draw_and_read(tmp_path / "b.png", [("none", 0, []), ("one", 1, images(1, 8, 8, 1))])
    assert "0 images" in texts and pixels.shape[0] > HEAD_HEIGHT + ROW_MIN_PIXELS + 56
    draw_and_read(tmp_path / "c.png", [("none", 0, [], [])])
    assert "augmented" in texts


def test_names_are_cut_and_are_no_formulas(tmp_path, texts):
    row = images(1, 8, 8, 1)
    draw_and_read(
        tmp_path / "a.png", [("$x_1$ {a", 1, row), ("tab\there\n", 1, row), ("w" * 50, 1, row), ("", 1, row)], "$y$"
    )
    assert {"$x_1$ {a", "tab here", "class 3", "$y$"} <= set(texts)
    for letter in "wWi":
        cut = fonts.fit(letter * 50, 8, 240, 32)
        half = len(cut) // 2
        assert set(cut) == {letter, "…"} and abs(cut.index("…") - half) < 2 and 6 < len(cut) <= 32
        assert 180 < fonts.text_width(cut, 8) <= 240 or letter == "i"


def test_labels_do_not_overlap_images(tmp_path):
    for name in ("W" * 50, "数" * 50, "wide letters MMMM", "a"):
        row = [(name, 1, images(1, 28, 28, 1))]
        pixels = draw_and_read(tmp_path / "a.png", row)
        left = left_of(row)
        assert (pixels[:, left - 4 : left] == np.array(style.rgb(style.BACKGROUND_COLOR))).all(), name
        assert (pixels[HEAD_HEIGHT:-MARGIN, MARGIN : left - 4] != pixels[0, 0]).any(), "there is a name"


def test_chinese_gets_a_font_that_knows_it_where_there_is_one(tmp_path, texts, monkeypatch):
    path = matplotlib.get_data_path() + "/fonts/ttf/DejaVuSansMono.ttf"
    fonts._characters.cache_clear()
    default, rows = fonts.font_families(""), [("数字", 1, images(1, 8, 8, 1)), ("digit", 1, images(1, 8, 8, 1))]
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if "DejaVu" in font.name])
    draw_and_read(tmp_path / "a.png", rows, "数据")
    assert texts["0: \\u6570\\u5b57"].get_family() == default, "no boxes"
    fonts._characters.cache_clear()
    fontManager.ttflist.append(FontEntry(fname=path, name="SimHei", style="normal", weight=400))
    charmaps = SimpleNamespace(get_charmap=lambda: dict.fromkeys(map(ord, "数字据")))
    monkeypatch.setattr(fonts, "get_font", lambda file: charmaps if file == path else get_font(file))
    draw_and_read(tmp_path / "b.png", rows, "数据")
    assert texts["数字"].get_family() == texts["数据"].get_family() == [*default, "SimHei"]
    draw_and_read(tmp_path / "c.png", rows[1:], "data")
    assert texts["digit"].get_family() == default
    fonts._characters.cache_clear()


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([("a", 1)], bh.ArgumentError, r"a row is \('a', 1\); expected \(name, count, images\)"),
        (["cat"], bh.ArgumentError, "a row is 'cat'"),
        ([("a", 1, [np.zeros((3, 3), np.uint8)])], bh.ShapeError, r"an image is uint8 \(3, 3\); expected uint8"),
        ([("a", 1, [np.zeros((3, 3, 1))])], bh.ShapeError, r"an image is float64 \(3, 3, 1\)"),
        ([("a", 1, [], [np.zeros((0, 3, 1), np.uint8)])], bh.ShapeError, r"an image is uint8 \(0, 3, 1\)"),
    ],
)
def test_undrawable_arguments_are_refused(tmp_path, rows, error, message):
    with pytest.raises(error, match=f"draw_contact_sheet: {message}"):
        draw_contact_sheet(tmp_path / "a.png", rows)
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_written_whole_or_not_at_all_and_the_same_again(tmp_path):
    rows = [("a", 1, images(1, 8, 8, 3))]
    with pytest.raises(bh.FileError, match="can't write"):
        draw_contact_sheet(tmp_path / "none" / "a.png", rows)
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    for name in "ab":
        draw_contact_sheet(tmp_path / name, rows, "title", "about")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
