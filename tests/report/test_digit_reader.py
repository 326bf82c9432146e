"""Digit reading in photos: the fraction of correct and invented digits, and the picture."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand.errors import ArgumentError
from byhand.report.digit_reader import Digit, accept, check_reads_digits, lines_of_text, read_digits
from byhand.report.drawing.digit_boxes import draw_digit_boxes
from tests.data import dirty_paper, forms
from tests.data.reader import reader
from tests.data.synthetic_photos import KINDS, Score, compose, score

NOTHING = Score(0, 0, 0, 0)
SEEDS = range(6)  # a kind: 48 photos


def read(photo):
    return read_digits(reader(), np.asarray(photo.image.convert("L")))


@cache
def scored(kind):
    """What reading this kind of photo gives, all seeds together."""
    photos = [compose(seed, kind) for seed in SEEDS]
    return sum((score(photo.truth, [(found.text, found.box) for found in read(photo)]) for photo in photos), NOTHING)


@pytest.mark.parametrize("kind", KINDS)
def test_most_digits_of_each_kind_of_photo_are_right(kind):
    found = scored(kind)
    assert found.right >= 0.94 * found.written, found
    assert found.invented <= 0.03 * found.found, found


def test_19_digits_of_20_are_right_and_at_most_1_of_50_is_invented():
    found = sum(map(scored, KINDS), NOTHING)
    assert found.written > 1300
    assert found.right >= 0.95 * found.written, found
    assert found.invented <= 0.02 * found.written and found.invented <= 0.02 * found.found, found


def test_the_score_sees_what_is_wrong_missing_and_invented():
    truth = compose(0, "plain").truth
    right = [(str(digit.label), digit.box) for digit in truth]
    assert score(truth, right).right == len(truth)
    moved = [(text, (box[0], box[1] - 1000, *box[2:])) for text, box in right]
    wrong = [(str((int(text) + 1) % 10), box) for text, box in right]
    assert score(truth, moved[:1]) == Score(len(truth), 1, 0, 0)
    assert score(truth, wrong) == Score(len(truth), len(truth), len(truth), 0)
    assert score(truth, right[1:] + right[1:2]).invented == 1  # a digit found twice


@pytest.mark.parametrize("kind", ["plain", "rotated", "squared"])
def test_lines_come_in_reading_order(kind):
    photo = compose(9, kind)
    found = read(photo)
    lines = {}
    for digit in photo.truth:
        lines.setdefault(digit.line, []).append(str(digit.label))
    told = ["".join(line.split()) for line in lines_of_text(found)]
    assert len(told) == len(lines)
    assert sum(len(a) == len(b) for a, b in zip(told, lines.values())) >= len(lines) - 1


def test_blank_paper_says_next_to_nothing():
    """Dirt, rules, edges of the paper: over 16 photos without a digit, of every kind."""
    said = [len(read(compose(seed, kind, blank=True))) for kind in KINDS for seed in range(2)]
    assert sum(map(bool, said)) <= 2, said


@pytest.mark.parametrize("layout", forms.LAYOUTS)
def test_a_filled_form_says_what_was_written_and_no_more(layout):
    read = NOTHING
    for seed in range(2):
        form = forms.fill_in(seed + 40, layout)
        read += score(form.truth, [(digit.text, digit.box) for digit in read_digits(reader(), form.gray)])
    assert read.right >= 0.85 * read.written, read
    assert read.invented <= 0.05 * read.written, read


def test_dirty_paper_of_every_kind_says_nothing():
    """One sheet a kind; `python -m tests.data.measure_reading blank --seeds 64` measures more."""
    said = {}
    for kind in dirty_paper.KINDS:
        gray = np.asarray(Image.fromarray(dirty_paper.sheet(3, kind, size=(520, 400))).convert("L"))
        said[kind] = "".join(digit.text for digit in read_digits(reader(), gray))
    assert sum(map(bool, said.values())) <= 1, said


def test_a_page_is_dirt_where_most_marks_are_no_digits():
    box = (0, 0, 20, 30)
    four, hair = Digit("4", 0.99, box, 0, 0.9, 0.6), Digit("7", 0.99, box, 0, 0.6, 0.6)
    assert accept([four, four, hair]) == [four, four]
    assert accept([four, hair, hair]) == []
    assert accept([replace(four, contrast=0.2)]) == [] and len(accept([replace(four, contrast=0.2)] * 5)) == 5
    assert accept([replace(four, text="1", contrast=0.2)] * 9) == []  # creases
    assert accept([replace(four, text="1")] * 100) == []  # a screen's pattern
    assert accept([four], side=2000) == []  # a speck
    unsure = replace(four, confidence=0.7)
    assert accept([four, unsure]) == [four, unsure] and not unsure.sure


def test_digits_that_touch_are_told_apart():
    found = NOTHING
    for seed in range(4):
        photo = compose(seed, "plain", gap=-0.02)
        found += score(photo.truth, [(digit.text, digit.box) for digit in read(photo)])
    assert found.right >= 0.85 * found.written, found


def test_a_wide_gap_is_a_space():
    height = [(0, 0, 20, 30), (26, 0, 20, 30), (52, 0, 20, 30), (110, 0, 20, 30), (136, 0, 20, 30)]
    digits = [Digit(str(k), 1.0, box, 0) for k, box in enumerate(height)]
    assert lines_of_text(digits) == ["012 34"]
    assert lines_of_text(digits[:1]) == ["0"] and lines_of_text([]) == []
    apart = [Digit("1", 1.0, (60 * k, 0, 20, 30), 0) for k in range(5)]  # evenly wide: one number
    assert lines_of_text(apart) == ["11111"]


def test_a_network_that_does_not_read_digits_is_refused():
    for shape, classes, told in (((32, 32, 3), 10, "takes 32 x 32 x 3"), ((28, 28, 1), 12, "(12 classes)")):
        model = bh.models.create("lenet5", input_shape=shape, classes=classes)
        with pytest.raises(ArgumentError, match="expected 28 x 28 x 1 and the digits 0 to 9") as caught:
            check_reads_digits(model)
        assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(200, 150), (1000, 700), (3000, 2000), (100, 2000)])
def test_boxes_are_drawn_where_digits_are(tmp_path, size):
    photo = Image.new("RGB", size, (230, 230, 230))
    boxes = {0.99: (0.2, 0.2, 0.1, 0.2), 0.6: (0.5, 0.5, 0.2, 0.3)}  # by confidence, in parts of the photo
    pixels = np.array([*size, *size]) * 2  # the boxes' pixels are half as large as the photo's
    digits = [Digit("8", confidence, tuple(pixels * box), 0) for confidence, box in boxes.items()]
    draw_digit_boxes(photo, digits, tmp_path / "read.png", scale=0.5)
    with Image.open(tmp_path / "read.png") as image:
        drawn = np.asarray(image.convert("RGB")).astype(int)
    longest = min(max(900, *size), 2000)
    width, height = (round(side * longest / max(size)) for side in size)
    assert drawn.shape == (height + 36, width, 3)
    for color, (x, y, box_width, box_height) in zip(((0x1F, 0x5F, 0xA8), (0xC8, 0x64, 0x1B)), boxes.values()):
        rows, columns = np.nonzero(np.abs(drawn[:height] - color).sum(2) < 30)
        assert rows.max() == pytest.approx((y + box_height) * height, abs=8)
        assert columns.min() == pytest.approx(x * width, abs=8)
        assert columns.max() >= (x + box_width) * width - 8
        assert (y - 0.2) * height < rows.min() < y * height  # what it says stands above its box


def test_no_partial_file_is_left(tmp_path):
    with pytest.raises(bh.errors.FileError, match="can't write"):
        draw_digit_boxes(Image.new("L", (50, 50), 200), [], tmp_path / "none" / "read.png")
    assert list(tmp_path.iterdir()) == []
