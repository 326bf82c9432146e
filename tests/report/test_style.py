"""Fonts: fallback for glyphs that matplotlib's font lacks."""

import io
import logging
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.font_manager import FontEntry, fontManager

from byhand.report.drawing import fonts
from byhand.report.drawing.confusion_matrix import draw_confusion_matrix
from byhand.report.drawing.fonts import fonts_covering, text_width, wrap
from byhand.report.drawing.style import new_figure, save_png
from byhand.report.metrics import mistake_scale

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


def test_a_missing_glyph_is_its_number(tmp_path):
    picture = new_figure(2, 1)
    picture.suptitle("\U0010fffd")
    save_png(picture, tmp_path / "a.png")
    assert fonts_covering("\U0010fffd") == [] and picture.texts[0].get_text() == "\\U0010fffd"


def ticks_of(names, path, monkeypatch):
    """Return the pixels of each label at a confusion matrix's left."""
    found = []

    def watched(figure, path):
        save_png(figure, path)
        found.extend(label.get_text() for label in figure.axes[0].get_yticklabels())

    monkeypatch.setattr("byhand.report.drawing.style.save_png", watched)
    draw_confusion_matrix(np.eye(len(names), dtype=int), names, path)
    return found


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["猫", "狗", "a dog, 狗"], ["0: \\u732b", "1: \\u72d7", "2: a dog, \\u72d7"]),
        (["cat", "cat", "dog"], ["0: cat", "1: cat", "dog"]),
        (["", " ", "x\u200b"], ["class 0", "class 1", "x"]),
        (
            ["a" * 100 + "b" + "a" * 100, "a" * 201],
            ["0: " + "a" * 15 + "…" + "a" * 16, "1: " + "a" * 15 + "…" + "a" * 16],
        ),
        (["café", "cafe\u0301"], ["0: café", "1: café"]),
        (["שלום", "مرحبا", "кот"], ["שלום", "مرحبا", "кот"]),
        (["a\nb", "$x$", "c, d"], ["a b", "$x$", "c, d"]),
    ],
)
def test_no_two_classes_look_the_same(names, labels, tmp_path, monkeypatch):
    own = [font for font in fontManager.ttflist if font.name == "DejaVu Sans"]
    monkeypatch.setattr(fontManager, "ttflist", own)  # as on a computer without fonts for Chinese
    found = ticks_of(names, tmp_path / "a.png", monkeypatch)
    assert found == labels and len(set(found)) == len(found)


def test_a_title_is_wrapped_not_cut():
    lines = wrap("efficientnet_lite0 on a data set with a long name: 95.00% of 1,000 validation images", 9, 400).split(
        "\n"
    )
    assert len(lines) > 1 and max(text_width(line, 9) for line in lines) <= 400
    lines = wrap("д" * 100, 9, 400).split("\n")
    assert "".join(lines) == "д" * 100 and max(text_width(line, 9) for line in lines) <= 400


def test_two_classes_of_which_most_are_right_are_pale():
    assert mistake_scale(np.array([[0, 0.05], [0.05, 0]])) == 0.5
    assert mistake_scale(np.eye(10) * 0.006) == 0.02


def entry(name, weight, file="DejaVuSansMono"):
    path = f"{matplotlib.get_data_path()}/fonts/ttf/{file}.ttf"
    return FontEntry(fname=path, name=name, style="normal", weight=weight)


def test_fonts_of_any_weight_serve_those_for_simplified_chinese_first(monkeypatch):
    installed = [
        entry("Songti", 700),
        entry("Noto Sans CJK HK", 400),
        entry("Noto Sans CJK SC", 700, "DejaVuSans-Bold"),
        entry("Noto Sans CJK SC", 400),
        entry("WenQuanYi Zen Hei", 500),
        entry("Last Resort", 400),
    ]
    monkeypatch.setattr(fontManager, "ttflist", installed)
    found = fonts._upright_fonts()
    assert list(found) == ["Noto Sans CJK SC", "Noto Sans CJK HK", "Songti", "WenQuanYi Zen Hei"]
    assert found["Noto Sans CJK SC"].endswith("DejaVuSansMono.ttf")


def test_a_font_without_bold_letters_is_no_warning(caplog):
    with caplog.at_level("WARNING", "matplotlib.font_manager"), fonts.without_font_warnings():
        logging.getLogger("matplotlib.font_manager").warning("findfont: Failed to find font weight bold")
    assert caplog.text == ""
