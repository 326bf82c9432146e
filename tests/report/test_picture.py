"""Letters in pictures: what matplotlib's own font has not is drawn with one of this machine's that has."""

import io
import warnings

from byhand.report.picture import families_with, figure, write

RARE = "\u1d81"  # a letter of STIX, which comes with matplotlib, and not of DejaVu Sans


def test_its_own_font_is_enough_for_most():
    assert families_with("cat, 12 %, Straße, кошка") == []


def test_another_font_lends_what_is_missing(tmp_path):
    assert families_with(f"a {RARE} b")
    picture = figure(2, 1)
    picture.suptitle(f"d{RARE}g")
    write(picture, tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "Glyph missing from font"
        picture.savefig(io.BytesIO())


def test_what_no_font_has_is_a_box(tmp_path):
    picture = figure(2, 1)
    picture.suptitle("\U0010fffd")
    write(picture, tmp_path / "a.png")
    assert families_with("\U0010fffd") == [] and (tmp_path / "a.png").exists()
