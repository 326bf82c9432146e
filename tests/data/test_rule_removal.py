"""Removal of printed lines: what is left of a form is what was written on it."""

import numpy as np
import pytest

from byhand.data import digit_segmentation, rule_removal
from tests.data import forms
from tests.data.synthetic_photos import score

PEN = {
    "ink_color": (25, 40, 120),
    "paper": (250, 250, 248),
    "inverted": False,
    "shaded": False,
    "noise": 2.0,
    "pen": 0.0,
}
CELLS = {"side": 64, "fill": 0.7, "gap": 0.15, "loose": 0.06, "columns": 7, "rows": 2}
GRAY, BLACK, RED = (120, 120, 125), (20, 20, 20), (200, 60, 60)
LINES = [(1, GRAY, 0, 0.0), (3, BLACK, 0, 1.5), (5, BLACK, 0, -3.5), (2, RED, 0, 3.0), (2, BLACK, 6, 0.0)]


def found_on(form):
    return score(form.truth, [("", candidate.box) for candidate in digit_segmentation.find(form.gray)])


@pytest.mark.parametrize("layout", forms.LAYOUTS)
@pytest.mark.parametrize(("line", "color", "dash", "angle"), LINES)
def test_lines_of_a_form_are_no_candidates_and_digits_are(layout, line, color, dash, angle):
    form = forms.fill_in(3, layout, line=line, line_color=color, dash=dash, angle=angle, **PEN, **CELLS)
    found = found_on(form)
    assert found.placed >= found.written - 1, found
    assert found.invented <= 1, found


@pytest.mark.parametrize("labels", [(1,), (7,), (4, 1), (1, 7)])
def test_strokes_that_are_as_straight_as_lines_stay(labels):
    """Ones, and the bars of sevens and fours, without a line on the page."""
    form = forms.fill_in(5, "bare", labels=labels, dash=0, angle=0.0, line=1, line_color=GRAY, **PEN, **CELLS)
    found = found_on(form)
    assert found.placed == found.written == 14 and found.invented == 0


@pytest.mark.parametrize("slope", [-1.0, -0.5, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("thickness", [1, 3, 5])
def test_a_stroke_that_crosses_a_line_is_mended(slope, thickness):
    stroke = np.zeros((120, 400), bool)
    for row in range(40, 90):
        left = round(200 + slope * (row - 65))
        stroke[row, left : left + 9] = True
    page = stroke.copy()
    page[64 : 64 + thickness] = True
    left, lines = rule_removal.remove_lines(0.8 * page.astype(np.float32), 0.8, 9)
    assert lines[64 : 64 + thickness, 20].all() and not left[64 : 64 + thickness, :150].any()
    assert np.count_nonzero(left[stroke]) >= 0.95 * np.count_nonzero(stroke)


def test_ink_darker_than_a_line_stays_where_it_runs_along_it():
    page = np.zeros((120, 400), np.float32)
    page[60:63] = 0.35
    page[58:64, 100:140] = 0.9  # the foot of a two
    page[30:64, 100:106] = 0.9
    left, _ = rule_removal.remove_lines(page, 0.9, 9)
    assert left[58:64, 100:140].all() and not left[60:63, 200:].any()


def test_a_page_without_lines_keeps_its_bits():
    form = forms.fill_in(7, "bare", dash=0, angle=0.0, line=1, line_color=GRAY, **PEN, **CELLS)
    contrast = 1 - form.gray.astype(np.float32) / 255
    left, lines = rule_removal.remove_lines(contrast, 0.7, 9)
    assert np.array_equal(left, contrast) and not lines.any()
