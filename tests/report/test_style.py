"""Fonts: fallback for glyphs that matplotlib's font lacks."""

import io
import warnings

from byhand.report.drawing.style import fonts_covering, new_figure, save_png

RARE = "\u1d81"  # a letter of STIX, which comes with matplotlib, and not of DejaVu Sans


def test_the_default_font_covers_common_text():
    assert fonts_covering("cat, 12 %, Straße, кошка") == []


def test_a_fallback_font_supplies_missing_glyphs(tmp_path):
    assert fonts_covering(f"a {RARE} b")
    picture = new_figure(2, 1)
    picture.suptitle(f"d{RARE}g")
    save_png(picture, tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "Glyph missing from font"
        picture.savefig(io.BytesIO())


def test_a_missing_glyph_is_a_box(tmp_path):
    picture = new_figure(2, 1)
    picture.suptitle("\U0010fffd")
    save_png(picture, tmp_path / "a.png")
    assert fonts_covering("\U0010fffd") == [] and (tmp_path / "a.png").exists()
