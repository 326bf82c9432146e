"""Digit segmentation on paper: each step against scikit-image or ground truth."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import filters, measure, morphology

from byhand.data import components, digit_segmentation, mnist, rule_removal
from byhand.data import morphology as windows
from byhand.data.components import Component
from byhand.errors import FileError, ShapeError
from tests.data.synthetic_photos import KINDS, compose, score

SEVEN = mnist.test_images()[0]


def gray(photo):
    return np.asarray(photo.image.convert("L"))


def boxes(photo):
    return [("", candidate.box) for candidate in digit_segmentation.find(photo)]


# steps ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.02, 0.3, 0.45, 0.6, 0.97])
def test_components_are_those_of_scikit_image(share):
    rng = np.random.default_rng(int(100 * share))
    for shape in ((1, 1), (1, 40), (40, 1), (37, 53), (120, 90)):
        mask = rng.random(shape) < share
        theirs = measure.label(mask, connectivity=2)
        found = components.connected_components(mask)
        assert len(found) == theirs.max()
        seen = np.zeros(shape, bool)
        for piece in found:
            label = np.unique(theirs[piece.window][piece.mask])
            assert len(label) == 1 and piece.area == np.count_nonzero(theirs == label)
            rows, columns = np.nonzero(theirs == label)
            assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (
                piece.top,
                piece.bottom,
                piece.left,
                piece.right,
            )
            seen[piece.window] |= piece.mask
        assert np.array_equal(seen, mask)


def test_components_of_a_spiral_and_of_an_empty_mask():
    spiral = morphology.skeletonize(np.add.outer(np.arange(60), np.zeros(60, int)) % 2 == 0)
    spiral[:, 0], spiral[1::4, 0], spiral[1::4, -1], spiral[3::4, 0] = False, False, True, True
    assert len(components.connected_components(spiral)) == measure.label(spiral, connectivity=2).max()
    assert components.connected_components(np.zeros((5, 7), bool)) == []
    (component,) = components.connected_components(np.ones((5, 7), bool))
    assert component.area == 35


@pytest.mark.parametrize("side", [1, 3, 9, 21])
def test_closing_and_opening_are_those_of_scikit_image(side):
    image = np.random.default_rng(side).integers(0, 256, (60, 80), np.uint8)
    inside = slice(side, -side)
    for mine, theirs in (
        (windows.closing, morphology.closing),
        (windows.opening, morphology.opening),
    ):
        assert np.array_equal(mine(image, side)[inside, inside], theirs(image, np.ones((side, side)))[inside, inside])


def test_the_ink_threshold_is_otsus():
    rng = np.random.default_rng(0)
    faint, strong = 0.2 + 0.02 * rng.standard_normal(4000), 0.7 + 0.05 * rng.standard_normal(1500)
    contrast = np.concatenate([np.abs(0.01 * rng.standard_normal(30_000)), faint, strong])
    above = contrast[contrast > 0.05]
    theirs = above[above > filters.threshold_otsu(above)]
    assert digit_segmentation.ink_level(contrast) == pytest.approx(np.median(theirs), abs=0.01)
    assert digit_segmentation.ink_level(np.abs(0.02 * rng.standard_normal(30_000))) == 0


@pytest.mark.parametrize("angle", [-17.3, -6.0, -0.4, 0.0, 3.2, 11.7])
@pytest.mark.parametrize("ruled", [False, True])
def test_skew_is_measured(angle, ruled):
    rng = np.random.default_rng(5)
    page = np.zeros((700, 900), np.float32)
    for top in range(150, 560, 80):
        for left in range(180, 700, 60):
            image = mnist.test_images()[rng.integers(10_000)]
            page[top : top + 42, left : left + 42] = np.asarray(Image.fromarray(image).resize((42, 42))) / 300
        if ruled:
            page[top + 50 : top + 52] = np.maximum(page[top + 50 : top + 52], 0.15)
    turned = np.asarray(Image.fromarray(page).rotate(-angle, Image.Resampling.BILINEAR))
    assert digit_segmentation.estimate_skew(turned) == pytest.approx(angle, abs=0.3 if ruled else 1.0)


def test_ruled_lines_are_removed_and_strokes_over_them_stay():
    page = np.zeros((600, 800), np.float32)
    page[40:560:60] = page[41:560:60] = 0.3
    page[:, 100:103] = 0.3
    ink = np.zeros_like(page)
    for k, (top, left) in enumerate(((85, 200), (200, 400), (330, 500))):
        ink[top : top + 84, left : left + 84] = np.kron(mnist.test_images()[k], np.ones((3, 3))) / 255 * 0.7
    left, rules = rule_removal.divide_ruled_lines(1 - (1 - page) * (1 - ink))
    assert np.abs(left - ink).max() < 0.1
    assert np.abs(rules - page).mean() < 0.01


def test_touching_digits_are_split_where_ink_is_least():
    mask = np.zeros((40, 60), bool)
    mask[5:35, 5:27] = mask[5:35, 32:55] = mask[20, 27:32] = True
    a, b = components.split_horizontally(Component(0, 0, mask), 0.25, 0.75)
    assert (a.left, b.right, a.area + b.area) == (5, 55, np.count_nonzero(mask))
    assert a.right <= b.left and 27 <= a.right <= 32
    upper, lower = components.split_vertically(Component(0, 0, mask.T), 0.25, 0.75)
    assert (upper.area, lower.area) == (a.area, b.area) and upper.bottom <= lower.top


def test_parts_of_a_digit_are_merged_and_specks_dropped():
    stem, bar = Component(20, 10, np.ones((30, 12), bool)), Component(12, 14, np.ones((4, 18), bool))
    speck, next_one = Component(30, 60, np.ones((3, 3), bool)), Component(12, 70, np.ones((38, 12), bool))
    found = components.merge_parts([stem, bar, speck, next_one], 38)
    assert sorted((component.left, component.area) for component in found) == [(10, 432), (70, 456)]


def test_reading_order_follows_lines_that_rise():
    box = np.ones((20, 12), bool)
    places = [(40 * row + 30 - column * 2, 30 * column + 7 * row) for row in range(4) for column in range(9)]
    order = np.random.default_rng(0).permutation(len(places))
    lines = components.text_lines([Component(*places[k], box) for k in order], 20)
    assert [[int(order[k]) for k in line] for line in lines] == [list(range(9 * row, 9 * row + 9)) for row in range(4)]


# photos ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_digits_are_found_where_they_were_written(kind):
    photo = compose(71, kind)
    found = score(photo.truth, boxes(gray(photo)))
    assert found.placed >= 0.95 * found.written
    assert found.invented <= max(1, 0.05 * found.written)  # no network has looked yet


def test_candidates_are_normalized_as_in_mnist():
    photo = compose(72, "plain")
    for candidate in digit_segmentation.find(gray(photo)):
        assert candidate.image.shape == (28, 28, 1) and candidate.image.dtype == np.uint8
        image = candidate.image[..., 0]
        y, x = np.nonzero(image)
        assert image.max() == 255 and max(np.ptp(y), np.ptp(x)) in (18, 19, 20)
        middle = image.sum(1) @ np.arange(28) / image.sum(), image.sum(0) @ np.arange(28) / image.sum()
        assert np.abs(np.array(middle) - 14).max() < 1.6


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 3), (50, 20), (300, 400)])
@pytest.mark.parametrize("what", ["white", "black", "noise", "half"])
def test_a_blank_page_has_no_digits(shape, what):
    rng = np.random.default_rng(0)
    page = {
        "white": np.full(shape, 255, np.uint8),
        "black": np.zeros(shape, np.uint8),
        "noise": np.clip(200 + 6 * rng.standard_normal(shape), 0, 255).astype(np.uint8),
        "half": np.where(np.arange(shape[1]) < shape[1] / 2, 60, 220).astype(np.uint8) * np.ones(shape, np.uint8),
    }[what]
    assert digit_segmentation.find(page) == []


def test_a_pattern_of_thousands_of_spots_ends_soon():
    page = np.full((1400, 1400), 230, np.uint8)
    for top in range(0, 1400, 22):
        for left in range(0, 1400, 14):
            page[top : top + 18, left : left + 3] = 20
    assert len(digit_segmentation.find(page)) <= digit_segmentation.MAX_DIGITS


@pytest.mark.parametrize("seed", range(12))
def test_random_pictures_raise_nothing(seed):
    """Rectangles of any gray, of any size, on any ground: what is found has its box and its image."""
    rng = np.random.default_rng(seed)
    page = np.full(rng.integers(1, 400, 2), rng.integers(0, 256), np.uint8)
    for _ in range(int(rng.integers(1, 60))):
        top, left, height, width = rng.integers(0, (*page.shape, 80, 80))
        page[top : top + height, left : left + width] = rng.integers(0, 256)
    for candidate in digit_segmentation.find(page):
        x, y, width, height = candidate.box
        assert x >= -1 and y >= -1 and x + width <= page.shape[1] + 1 and y + height <= page.shape[0] + 1
        assert candidate.image.shape == (28, 28, 1)
        assert all(part.image.shape == (28, 28, 1) for pair in candidate.parts for part in pair)


@pytest.mark.parametrize("light_ink", [False, True])
@pytest.mark.parametrize("margin", [4, 200])
def test_a_clean_scan_is_read(light_ink, margin):
    """Nothing but paper and ink: no noise, no blur, no light."""
    page = np.zeros((28 + 2 * margin, 4 * 32 + 2 * margin), np.uint8)
    for k in range(4):
        page[margin : margin + 28, margin + 32 * k : margin + 32 * k + 28] = mnist.test_images()[k]
    found = digit_segmentation.find(page if light_ink else 255 - page)
    assert [round((candidate.box[0] - margin) / 32 - 0.25) for candidate in found] == [0, 1, 2, 3]


def test_a_photo_of_another_shape_is_refused():
    for wrong in (np.zeros((5, 5, 3), np.uint8), np.zeros((5, 5)), np.zeros((0, 5), np.uint8)):
        with pytest.raises(ShapeError, match=r"digit_segmentation\.find: the photo must be \(H, W\) of uint8"):
            digit_segmentation.find(wrong)


def test_boxes_are_in_pixels_of_the_photo_as_it_is_displayed(tmp_path):
    """A large JPEG is decoded at a fraction of its size; the camera held it sideways."""
    photo = compose(73, "plain", size=(1100, 800)).image
    large = photo.resize((photo.width * 8, photo.height * 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    large.rotate(90, expand=True).save(tmp_path / "large.jpg", exif=exif)
    shown, scale = digit_segmentation.from_file(tmp_path / "large.jpg")
    assert shown.width > shown.height and shown.width * scale == 8800 and shown.width < 8800
    truth = compose(73, "plain", size=(1100, 800)).truth
    found = [("", tuple(value * scale / 8 for value in box)) for _, box in boxes(np.asarray(shown.convert("L")))]
    assert score(truth, found).placed >= len(truth) - 1


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    (tmp_path / "note.png").write_bytes(io.BytesIO(b"no picture").getvalue())
    with pytest.raises(FileError, match="no image that can be read"):
        digit_segmentation.from_file(tmp_path / "note.png")


# what is no writing ---------------------------------------------------------------------------------------------------


def test_a_pattern_all_over_the_page_is_no_writing():
    """A screen under a camera: waves over waves, of which no part is paper."""
    y, x = np.mgrid[:400, :500]
    waves = np.sin((x + 0.3 * y) / 2) + np.sin((y - 0.4 * x) / 4)
    assert digit_segmentation.find((190 + 25 * waves).astype(np.uint8)) == []


@pytest.mark.parametrize("filling", [0, 45])
def test_a_nought_shows_paper_in_its_middle_and_a_stain_does_not(filling):
    y, x = np.mgrid[:600, :600]
    away = np.hypot(y - 300, 1.2 * (x - 300))
    page = np.full((600, 600), 230, np.uint8)
    page[away < 24] -= filling
    page[np.abs(away - 24) < 3] = 120
    assert len(digit_segmentation.find(page)) == (not filling)


@pytest.mark.parametrize("table", [40, 225])
def test_a_bar_between_paper_and_a_dark_table_is_an_edge(table):
    page = np.full((400, 500), 230, np.uint8)
    page[:, :150] = table
    page[180:220, 150:154] = 20
    assert len(digit_segmentation.find(page)) == (table > 200)
