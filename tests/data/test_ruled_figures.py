"""Figures drawn with a ruler: boxes and combs of every look are told from handwriting, and nothing of them is read."""

from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from byhand.data import components, digit_segmentation, mnist, ruled_figures
from byhand.data.components import Component
from tests.data import forms

SIDE = 40  # pixels, of a box


def drawn(draw_on, size=(SIDE, SIDE)):
    """Return what `draw_on` draws with a margin of 10 pixels around, (H, W) from 0 to 1."""
    image = Image.new("L", (size[0] + 20, size[1] + 20))
    draw_on(ImageDraw.Draw(image), 10, 10, 10 + size[0], 10 + size[1])
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float32) / 255


def box(draw, *corners, thick=3):
    draw.rectangle(corners, outline=255, width=thick)


def rounded(draw, *corners, thick=3):
    draw.rounded_rectangle(corners, (corners[3] - corners[1]) // 5, outline=255, width=thick)


def cell(draw, left, top, right, bottom, thick=3):
    draw.line((left, top, left, bottom, right, bottom, right, top), 255, thick)


def comb(draw, left, top, right, bottom, thick=3):
    draw.line((left, bottom, right, bottom), 255, thick)
    for x in np.linspace(left, right, 6):
        draw.line((x, (top + bottom) / 2, x, bottom), 255, thick)


def table(draw, left, top, right, bottom, thick=3):
    box(draw, left, top, right, bottom, thick=thick)
    draw.line((left, top + 14, right, top + 14), 255, thick + 1)  # below the header
    for x in np.linspace(left, right, 5):
        draw.line((x, top, x, bottom), 255, thick)


FIGURES = (box, rounded, cell, comb, table)


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("thick", [2, 3, 5])
@pytest.mark.parametrize("angle", [0.0, 1.0, -1.0])
def test_a_figure_is_lines_and_nothing_else(figure, thick, angle):
    size = (3 * SIDE, SIDE) if figure in (comb, table) else (SIDE, SIDE)
    page = drawn(partial(figure, thick=thick), size)
    page = np.asarray(Image.fromarray(page).rotate(angle, Image.Resampling.BILINEAR))
    (found,) = ruled_figures.find(components.connected_components(page > 0.3))
    assert found.is_empty


def test_a_speck_on_a_line_and_writing_in_a_box_do_not_hide_it():
    page = drawn(box)
    page[20:26, 7:12] = 1  # a speck on its left side
    (found,) = ruled_figures.find(components.connected_components(page > 0.3))
    assert found.is_empty
    page[12:44, 28:32] = 1  # a one that touches the top
    (found,) = ruled_figures.find(components.connected_components(page > 0.3))
    assert not found.is_empty and not (found.across | found.down)[8:28, 20:26].any()


@pytest.mark.parametrize("thick", [8, 11, 14])
def test_a_box_of_thick_lines_is_a_figure_and_a_one_is_none(thick):
    (found,) = ruled_figures.find(components.connected_components(drawn(partial(box, thick=thick)) > 0.3))
    assert found.is_empty
    one = np.pad(np.ones((SIDE, thick), bool), 5)
    assert ruled_figures.find(components.connected_components(one)) == []


@pytest.mark.parametrize("shape", ["rectangle", "rounded_rectangle", "ellipse"])
@pytest.mark.parametrize("thick", [3, 8])
def test_a_printed_ring_is_its_own_mirror_image_and_a_nought_is_not(shape, thick):
    def ring(draw, *corners):
        draw_on = getattr(draw, shape)
        draw_on(corners, **({"radius": 12} if "rounded" in shape else {}), outline=255, width=thick)

    (found,) = components.connected_components(drawn(ring) > 0.45)
    assert components.is_printed_ring(found)
    images, labels = mnist.test_images(), mnist.test_labels()
    noughts = [forms.digit(images[index], SIDE, 0.0) > 0.45 for index in np.flatnonzero(labels == 0)[:300]]
    assert sum(components.is_printed_ring(Component(0, 0, nought)) for nought in noughts) <= 1


def test_bars_that_begin_and_end_together_are_a_bar_code():
    rng = np.random.default_rng(0)
    page = np.full((300, 500), 230, np.uint8)
    left = 60
    while left < 420:
        wide = int(rng.integers(2, 10))
        page[100:180, left : left + wide] = 30
        left += wide + int(rng.integers(4, 12))
    assert digit_segmentation.find(page) == []
    bars = [
        Component(10 + 4 * (k % 2), 20 * k, np.ones((40 - 5 * (k % 3), 5), bool)) for k in range(9)
    ]  # a row of ones
    assert components.without_bar_codes(bars) == bars


def test_the_height_of_a_cell_is_the_distance_of_lines_across():
    def rows(draw, left, top, right, bottom):
        box(draw, left, top, right, bottom)
        for y in (top + 40, top + 80):
            draw.line((left, y, right, y), 255, 3)

    (found,) = ruled_figures.find(components.connected_components(drawn(rows, (90, 120)) > 0.3))
    assert found.cell_height == pytest.approx(40, abs=3)


def test_digits_are_no_figures():
    images, labels = mnist.test_images(), mnist.test_labels()
    rng = np.random.default_rng(0)
    taken = []
    for index in np.flatnonzero(np.isin(labels, (0, 4, 7, 8, 9)))[:600]:
        ink = np.pad(forms.digit(images[index], rng.uniform(20, 90), rng.uniform(-0.15, 0.15)), 1) > 0.3
        taken += ruled_figures.find(components.connected_components(ink))
    assert len(taken) <= 1


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("darkness", [0.3, 0.9])
def test_an_empty_form_has_no_candidates(figure, darkness):
    """Boxes of one kind, small ones beside large ones: nothing tells how high writing is."""
    page = np.zeros((500, 700), np.float32)
    for top, side, thick in ((20, 26, 2), (110, SIDE, 3), (220, 60, 3), (350, 100, 5)):
        size = (3 * side, side) if figure in (comb, table) else (side, side)
        part = drawn(partial(figure, thick=thick), size)
        for left in range(10, 680 - part.shape[1], part.shape[1]):
            page[top : top + part.shape[0], left : left + part.shape[1]] = part
    noise = 2 * np.random.default_rng(0).standard_normal(page.shape)
    photo = np.clip(230 * (1 - darkness * page) + noise, 0, 255).astype(np.uint8)
    assert [candidate.box for candidate in digit_segmentation.find(photo)] == []
