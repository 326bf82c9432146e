"""Confusion matrices and learning curves: counts, pictures and names."""

import io
import os
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from PIL import Image

import byhand as bh
from byhand.report import confusion_matrix, draw_confusion_matrix, draw_learning_curves
from byhand.report.drawing import style
from byhand.report.metrics import top_confusions

# Counting -------------------------------------------------------------------------------------------------------------


@given(
    pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40),
    classes=st.integers(7, 300),
    dtype=st.sampled_from([np.int64, np.uint8, np.int8, np.uint64]),
)
def test_confusion_matrix_against_a_plain_loop(pairs, classes, dtype):
    expected = [[0] * classes for _ in range(classes)]
    for label, guess in pairs:
        expected[label][guess] += 1
    labels, guesses = np.array(pairs, dtype).reshape(-1, 2).T
    matrix = confusion_matrix(labels, guesses, classes)
    assert matrix.tolist() == expected and matrix.dtype == np.int64


def test_small_label_types_do_not_overflow():
    labels = np.array([200, 200, 3], np.uint8)
    matrix = confusion_matrix(labels, labels[::-1], 201)
    assert (matrix[200, 200], matrix[200, 3], matrix[3, 200], matrix.sum()) == (1, 1, 1, 3)


@pytest.mark.parametrize(
    ("labels", "guesses", "says"),
    [
        ([0, 1], [0], "got 2 labels for 1 predictions"),
        ([0, 2], [0, 1], "labels hold 2, but there are 2 classes"),
        ([0, 1], [0, -1], "hold -1"),
        ([0.0, 1.0], [0, 1], "hold float64"),
    ],
)
def test_uncountable_labels_are_refused(labels, guesses, says):
    with pytest.raises(bh.ArgumentError, match=says):
        confusion_matrix(np.array(labels), np.array(guesses), 2)


def test_the_most_frequent_mistakes_come_first_and_ties_in_order():
    matrix = np.array([[50, 2, 0, 7], [2, 60, 0, 0], [0, 9, 0, 1], [0, 0, 0, 5]])
    names = ("a", "b", "c", "d")
    assert top_confusions(matrix, names) == [("c", "b", 9), ("a", "d", 7), ("a", "b", 2)]
    assert top_confusions(matrix, names, count=9) == [*top_confusions(matrix, names), ("b", "a", 2), ("c", "d", 1)]
    assert top_confusions(matrix, names, count=1) == [("c", "b", 9)]
    assert top_confusions(np.diag([3, 4]), names) == []


@given(seed=st.integers(0, 2**32), most=st.integers(0, 12))
def test_mistakes_against_a_plain_sort(seed, most):
    matrix = np.random.default_rng(seed).integers(0, 4, (4, 4))
    wrong = [("abcd"[i], "abcd"[j], matrix[i, j]) for i in range(4) for j in range(4) if i != j and matrix[i, j]]
    assert top_confusions(matrix, "abcd", most) == sorted(wrong, key=lambda pair: -pair[2])[:most]


# Pictures -------------------------------------------------------------------------------------------------------------


def opened(path):
    """Return a picture that is whole: every pixel is read."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        image.load()
        return image.convert("RGB")


def draw_matrix(classes, path, title=""):
    matrix = np.random.default_rng(0).integers(0, 50, (len(classes), len(classes)))
    draw_confusion_matrix(matrix, classes, path, title)
    return opened(path)


def texts(draw, monkeypatch):
    """Return the texts of the figure that is drawn, each with whether matplotlib reads formulas in it."""
    figures, write = [], style.save_png
    monkeypatch.setattr(style, "save_png", lambda figure, path: figures.append(figure) or write(figure, path))
    draw()
    monkeypatch.undo()
    return {text.get_text(): text.get_parse_math() for text in figures[0].findobj(Text) if text.get_text()}


@pytest.mark.parametrize(
    ("count", "least", "most"),
    [(1, 500, 800), (2, 500, 800), (10, 600, 1000), (30, 1800, 2200), (100, 1800, 4000), (1000, 1800, 4000)],
)
def test_the_matrix_of_any_number_of_classes(tmp_path, count, least, most):
    image = draw_matrix([f"{i}" for i in range(count)], tmp_path / "confusion.png")
    assert least <= image.width <= most and image.height == image.width
    assert os.listdir(tmp_path) == ["confusion.png"]  # noqa: PTH208
    assert len(image.getcolors(2**24)) > 20, "something is drawn"


def test_mistakes_are_seen_in_the_picture(tmp_path):
    for name, matrix in (
        ("right", np.diag([9] * 4)),
        ("wrong", np.full((4, 4), 9)),
        ("nothing", np.zeros((4, 4), int)),
    ):
        draw_confusion_matrix(matrix, "abcd", tmp_path / name)

    def orange(name):
        red, _, blue = np.moveaxis(np.asarray(opened(tmp_path / name), int), -1, 0)
        return (red - blue > 80).mean()

    assert orange("right") == orange("nothing") == 0
    assert orange("wrong") > 0.1


NAMES = {
    "long": ["x" * 300, "a much longer name than any axis has room for " * 5, "short"],
    "no formula": ["$x$", "$5 and $6", "a_b^c"],
    "broken formulas": [r"$\frac$", r"$\badcommand{", "$$"],
    "unicode": ["naïve", "Ωmega", "Žluť"],
    "letters that the font lacks": ["数字", "고양이", "😀"],
    "control characters": ["a\nb\nc", "\x1b[2J", "\0"],
    "half a letter": ["\ud800", "ab\udcff", "x"],
    "empty": ["", " ", ""],
    "the same": ["cat", "cat", "cat"],
    "markup": ["<b>x</b>", "&amp;", "{x}"],
}


@pytest.mark.parametrize("kind", NAMES)
def test_any_name_can_be_drawn(tmp_path, kind):
    title = " ".join(NAMES[kind])
    image = draw_matrix(NAMES[kind], tmp_path / "confusion.png", title)
    assert 400 <= image.width <= 1000 and 400 <= image.height <= 1000
    history = [{"epoch": 1, "loss": 1.0, "accuracy": 0.5}]
    draw_learning_curves(history, [], tmp_path / "curves.png", title)
    curves = opened(tmp_path / "curves.png")
    assert curves.width == 1080 and (curves.height == 435 or (kind == "long" and curves.height > 435))


def test_names_are_no_formulas(tmp_path, monkeypatch):
    names = NAMES["no formula"]
    for draw in (
        lambda: draw_confusion_matrix(np.eye(3, dtype=int), names, tmp_path / "a.png", "$title$"),
        lambda: draw_learning_curves([{"epoch": 1, "loss": 1.0, "accuracy": 0.5}], [], tmp_path / "b.png", "$title$"),
    ):
        found = texts(draw, monkeypatch)
        wanted = {"$title$": False} | (dict.fromkeys(names, False) if "class" in found else {})
        assert wanted.items() <= found.items()


def test_names_tell_classes_apart(tmp_path, monkeypatch):
    """A name that is too long is cut where the reader sees it, and keeps its end."""
    names = ["n02085620-Chihuahua" * 4 + "-left", "n02085620-Chihuahua" * 4 + "-right", "cat"]
    found = texts(lambda: draw_confusion_matrix(np.eye(3, dtype=int), names, tmp_path / "a.png"), monkeypatch)
    assert "cat" in found and any("…" in text and text.endswith("-left") for text in found)


def test_a_picture_is_the_same_bytes_again(tmp_path):
    for name in ("a", "b"):
        draw_matrix(["a", "b"], tmp_path / name, "title")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_picture_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "a.png", tmp_path / "folder"):
        with pytest.raises(bh.FileError, match="can't write"):
            draw_matrix(["a", "b"], path)
    assert os.listdir(tmp_path) == ["folder"] and not os.listdir(tmp_path / "folder")  # noqa: PTH208


# Curves ---------------------------------------------------------------------------------------------------------------

ROW = {"epoch": 1, "loss": 0.7, "accuracy": 0.5}
TESTED = ROW | {"test_loss": 0.8, "test_accuracy": 0.4567}


@pytest.mark.parametrize(
    ("history", "curve"),
    [
        ([ROW], []),
        ([TESTED], []),
        ([TESTED], [[0.5, 0.9, 0.3], [1.0, 0.6, 0.6]]),
        ([ROW, TESTED | {"epoch": 2}, ROW | {"epoch": 3}], []),
        ([ROW | {"loss": 0.0, "accuracy": 1.0}], []),
        ([TESTED | {"test_loss": 0.0}], [[0.5, 1e-30, 1.0], [1.0, 0.0, 1.0]]),
        ([ROW | {"epoch": epoch} for epoch in range(1, 301)], []),
        ([], []),
        ([], [[0.1, 2.0, 0.1]]),
    ],
    ids=[
        "one epoch",
        "tested",
        "with points",
        "tested once",
        "loss 0",
        "all but 0",
        "300 epochs",
        "nothing",
        "not an epoch",
    ],
)
def test_curves_of_any_training(tmp_path, history, curve):
    draw_learning_curves(history, curve, tmp_path / "curves.png", "a title")
    image = opened(tmp_path / "curves.png")
    assert image.size == (1080, 435) and os.listdir(tmp_path) == ["curves.png"]  # noqa: PTH208


def test_a_single_point_is_visible(tmp_path):
    draw_learning_curves([ROW], [], tmp_path / "curves.png")
    pixels = np.asarray(opened(tmp_path / "curves.png"), int)
    blue = np.array([0x1F, 0x5F, 0xA8])
    half = pixels.shape[1] // 2
    for side in (pixels[:, :half], pixels[:, half:]):
        near = (np.abs(side - blue).sum(-1) < 40).any(0)
        columns = np.flatnonzero(near)
        assert len(columns), "the point itself, beside the legend's line"
        assert len(np.split(columns, np.flatnonzero(np.diff(columns) > 10) + 1)) >= 2


def test_the_legend_tells_the_last_test_result(tmp_path, monkeypatch):
    history = [TESTED, TESTED | {"epoch": 2, "test_loss": 0.1239, "test_accuracy": 0.98765}]
    found = texts(lambda: draw_learning_curves(history, [], tmp_path / "curves.png"), monkeypatch)
    assert {"training", "test: 98.77%", "test: 0.124", "epoch", "loss", "accuracy"} <= found.keys()


def test_a_trainings_own_history_can_be_drawn(tmp_path):
    train, test = bh.data.load("mnist")
    trainer = bh.Trainer(bh.models.create("article"), bh.SGD(0.05), batch_size=10)
    trainer.fit(train.take(100), test.take(20), quiet=True)
    draw_learning_curves(trainer.history, trainer.curve, tmp_path / "curves.png")
    guesses = trainer.model.predict(test.take(20).images).argmax(1)
    matrix = confusion_matrix(test.take(20).labels, guesses, 10)
    draw_confusion_matrix(matrix, test.classes, tmp_path / "confusion.png")
    assert matrix.trace() / 20 == trainer.history[-1]["test_accuracy"]
    assert opened(tmp_path / "curves.png") and opened(tmp_path / "confusion.png")


def test_drawing_leaves_matplotlib_and_warnings_as_they_were(tmp_path):
    import matplotlib

    before, filters = dict(matplotlib.rcParams), list(warnings.filters)
    draw_matrix(NAMES["letters that the font lacks"], tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before and warnings.filters == filters


def test_a_picture_needs_no_file(monkeypatch):
    written = []
    monkeypatch.setattr(style, "write_whole", lambda path, data: written.append(data))
    drawn_figure = style.new_figure(2, 1)
    style.save_png(drawn_figure, "x")
    assert Image.open(io.BytesIO(written[0])).size == (300, 150)
