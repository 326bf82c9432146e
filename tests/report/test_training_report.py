"""The training report: complete, escaped, written whole or not at all."""

import base64
import io
import os
import re
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand import nn
from byhand.data import Dataset
from byhand.report import training_report
from byhand.report.doctor import examine
from byhand.report.drawing import svg_charts
from byhand.report.drawing.svg_charts import chart_lines, curve_chart, reliability_chart
from byhand.report.drawing.thumbnails import data_uri, thumbnail
from byhand.report.metrics import calibration
from byhand.report.training_report import write_report

VOID = {"meta", "img", "br"}
ROWS = [
    {"epoch": i + 1, "loss": 2 / (i + 1), "accuracy": 0.2 * i, "val_loss": 2.2 / (i + 1), "val_accuracy": 0.19 * i}
    for i in range(4)
]


class Page(HTMLParser):
    """A page that is well formed: every element is closed in order. What it holds, by element."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@cache
def network(classes, size=8, channels=1, names=None):
    x = nn.Input(size, size, channels)
    y = nn.ReLU()(nn.Conv2d(4, 3)(x))
    return nn.Model(x, nn.Linear(classes)(nn.GlobalAvgPool2d()(y)), classes=names, name="tiny")


def made(images, classes, size=8, channels=1, right=0.8, names=None, seed=0):
    """Return a model, images, and logits of which so many are right."""
    rng = np.random.default_rng(seed)
    model = network(classes, size, channels, names)
    labels = rng.integers(0, classes, images)
    pixels = rng.integers(0, 256, (images, size, size, channels), dtype=np.uint8)
    logits = rng.standard_normal((images, classes)).astype(np.float32)
    logits[np.arange(images), labels] += np.where(rng.random(images) < right, 9, 0)
    return {"model": model, "held_out": Dataset(pixels, labels, model.classes, "noise"), "logits": logits}


def report(folder, **arguments):
    """Write a report; return its page and its picture, both checked to be whole."""
    write_report(folder, **arguments)
    assert sorted(os.listdir(folder)) == ["report.html", "report.png"]  # noqa: PTH208
    text = (folder / "report.html").read_text(encoding="utf-8")
    with Image.open(folder / "report.png") as image:
        image.load()
        assert image.format == "PNG" and image.width == 1500 and image.height < 2200
    return Page(text), text


# Content --------------------------------------------------------------------------------------------------------------


@cache
def mnist():
    train, test = bh.data.load("mnist")
    train, test = train.take(2000), test.take(500)
    model = bh.models.create("lenet5")
    trainer = bh.Trainer(model, bh.SGD(0.05, momentum=0.9))
    trainer.fit(train, test, epochs=2, quiet=True)
    return {
        "model": model,
        "held_out": test,
        "logits": model.logits_of(test.images),
        "history": trainer.history,
        "curve": trainer.curve,
        "train": train,
    }


def test_a_report_of_a_real_training(tmp_path):
    given = mnist()
    page, text = report(tmp_path, **given, title="lenet5 on mnist", facts=[("batch", 64), ("seed", 0)])
    right = (given["logits"].argmax(1) == given["held_out"].labels).sum()
    assert f"{right / 500:.1%} accuracy: {500 - right} of 500 test images wrong" in page.words
    sections = [
        "Training doctor",
        "Learning curves",
        "Confusion matrix",
        "Per-class metrics",
        "Worst mistakes",
        "Most uncertain predictions",
        "Calibration",
        "About this training",
    ]
    places = [text.index(f"<h2>{title}</h2>") for title in sections]
    assert places == sorted(places)
    assert "batch 64 seed 0" in page.words and "lenet5 on mnist" in page.words
    assert len(page.all("svg")) == 3 and len(page.all("meter")) == 10
    assert "test 0." in page.words, "the curve's last value"


def test_the_report_is_self_contained(tmp_path):
    page, text = report(tmp_path, **mnist())
    tags = {tag for tag, _ in page.found}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base"}
    assert "http:" not in text and "https:" not in text and "url(" not in text and "@import" not in text
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")


def test_the_report_is_accessible(tmp_path):
    page, _ = report(tmp_path, **mnist())
    assert page.all("html")[0]["lang"] == "en"
    assert all(image["alt"] for image in page.all("img")) and len(page.all("img")) > 12
    assert all(chart["aria-label"] and chart["role"] == "img" for chart in page.all("svg"))
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    assert len(page.all("h1")) == 1


def test_the_pictures_are_the_images(tmp_path):
    given = made(40, 3, size=16)
    page, _ = report(tmp_path, **given)
    images = given["held_out"].images[..., 0]
    shown = 0
    for tag in page.all("img"):
        with Image.open(io.BytesIO(base64.b64decode(tag["src"].split(",")[1]))) as image:
            number = int(re.match(r"image (\d+):", tag["alt"])[1])
            assert image.mode == "L", "gray stays gray"
            assert np.array_equal(np.asarray(image), images[number])
            shown += 1
    assert shown > 10


def test_the_matrix_and_the_classes(tmp_path):
    names = ("ant", "bee", "cat")
    labels = np.array([0] * 6 + [1] * 3 + [2])
    taken = np.array([0, 0, 0, 0, 1, 1, 1, 1, 0, 2])
    held_out = Dataset(np.zeros((10, 8, 8, 1), np.uint8), labels, names)
    page, text = report(
        tmp_path, model=network(3, names=names), held_out=held_out, logits=4.0 * np.eye(3)[taken], history=ROWS
    )
    assert "ant → bee : 2 of 6" in page.words and "bee → ant : 1 of 3" in page.words
    body = text[text.index('<table class="matrix">') :]
    rows = [re.findall(r"<td[^>]*>(\d*)</td>", row) for row in body[: body.index("</table>")].split("<tr>")[2:]]
    assert rows == [["4", "2", ""], ["1", "2", ""], ["", "", "1"]]
    body = text[text.index('<table class="classes">') :]
    order = re.findall(r'<th scope="row">(\w+)</th>', body)
    assert order == ["ant", "bee", "cat"], "the one found least often first"
    assert "66.7%" in page.words and "80.0%" in page.words, "recall and precision of ants"


def test_file_names_are_shown(tmp_path):
    given = made(30, 2)
    names = [f"photos/{i:03}.jpg" for i in range(30)]
    page, _ = report(tmp_path, **given, names=names, train=given["held_out"], train_names=names)
    wrong = np.flatnonzero(given["logits"].argmax(1) != given["held_out"].labels)
    assert len(wrong) and all(names[i] in page.words for i in wrong)


STRANGE = ("<img src=x onerror=alert(1)>", "\"'><script>alert(1)</script>", "&amp; \ud800 \u202e\0", "数字 $x$ {0}")


def test_names_are_escaped(tmp_path):
    given = made(30, 4, names=STRANGE)
    page, text = report(
        tmp_path,
        **given,
        names=[STRANGE[i % 4] for i in range(30)],
        title=STRANGE[1],
        facts=[(STRANGE[0], STRANGE[1])],
        train=given["held_out"],
        train_names=[STRANGE[i % 4] for i in range(30)],
        history=ROWS,
    )
    assert not {tag for tag, _ in page.found} & {"script"} and all(
        "onerror" not in attributes for _, attributes in page.found
    )
    assert STRANGE[0] in page.words and "\u202e" not in text and "\0" not in text
    assert "数字 $x$ {0}" in page.words


# Unusual data ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("images", "classes"), [(1, 2), (3, 2), (3, 5), (50, 30), (300, 31)])
def test_few_images_and_any_number_of_classes(tmp_path, images, classes):
    page, text = report(tmp_path, **made(images, classes))
    assert len(text) < 300_000 and ("accuracy" in page.words or "correct" in page.words)
    assert ('<table class="matrix">' in text) == (2 <= classes <= 30)


def test_many_images_of_a_thousand_classes(tmp_path):
    given = made(20_000, 1000, right=0.7)
    page, text = report(tmp_path, **given, history=ROWS)
    assert len(text) < 3_000_000
    assert "the other 980 classes" in page.words and len(page.all("details")) >= 1
    matrix = next(image for image in page.all("img") if image["alt"].startswith("confusion matrix"))
    with Image.open(io.BytesIO(base64.b64decode(matrix["src"].split(",")[1]))) as image:
        assert image.size == (1000, 1000)
        alpha = np.asarray(image)[..., 3]
    counts = np.zeros((1000, 1000), bool)
    counts[given["held_out"].labels, given["logits"].argmax(1)] = True
    assert np.array_equal(alpha > 0, counts), "every mistake is seen"


def test_large_images_become_thumbnails(tmp_path):
    page, text = report(tmp_path, **made(40, 3, size=224, channels=3, right=0.2))
    assert len(text) < 3_000_000
    for tag in page.all("img"):
        with Image.open(io.BytesIO(base64.b64decode(tag["src"].split(",")[1]))) as image:
            assert max(image.size) == 160 and image.mode == "RGB"


def test_a_report_without_mistakes(tmp_path):
    page, _ = report(tmp_path, **made(60, 3, right=1.0))
    assert "All 60 evaluation images correct" in page.words and "Worst mistakes" not in page.words


def test_a_report_is_the_same_bytes_again(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        report(tmp_path / name, **made(40, 3), history=ROWS)
    for file in ("report.html", "report.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


# Errors ---------------------------------------------------------------------------------------------------------------


def test_mismatched_arguments_are_refused_and_nothing_is_written(tmp_path):
    given = made(30, 3)
    free = nn.Model(x := nn.Input(8, 8, 1), nn.ReLU()(x), classes=())
    for other, says in (
        ({"names": ["a"]}, "got 1 names for 30 images"),
        ({"train_names": ["a"]}, "got 1 train_names for 0 images"),
        ({"logits": given["logits"][:5]}, r"logits have the shape \(5, 3\); expected \(30, 3\)"),
        ({"model": free}, "has no classes"),
        ({"logits": given["logits"] * np.nan}, "the logits hold NaN"),
    ):
        with pytest.raises(bh.ArgumentError, match=says):
            write_report(tmp_path, **(given | other))
    assert not os.listdir(tmp_path)  # noqa: PTH208


def test_no_file_is_written_when_drawing_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(training_report, "draw_report", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(tmp_path, **made(5, 2))
    assert not os.listdir(tmp_path)  # noqa: PTH208


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(bh.FileError, match="can't write"):
        write_report(tmp_path / "none", **made(5, 2))


# Charts and thumbnails ------------------------------------------------------------------------------------------------


def test_lines_of_a_training():
    (loss, held_out) = chart_lines(ROWS, [], "loss")
    assert [loss.label, held_out.label] == ["training", "validation"] and loss.points[0] == (1, 2.0)
    assert chart_lines([], [], "loss") == []
    curve = [(i / 100, float(i % 2), 0.5) for i in range(100)]
    faint, smooth, _ = chart_lines(ROWS, curve, "loss")
    assert (faint.kind, faint.label, smooth.label, smooth.value) == ("raw", "", "training", 0.5)
    assert all(abs(y - 0.5) < 0.2 for _, y in smooth.points) and [x for x, _ in smooth.points] == [x for x, *_ in curve]
    broken = [{"epoch": 1, "loss": float("nan"), "accuracy": 0.1}, {"epoch": 2, "loss": 1.0, "accuracy": 0.1}]
    assert chart_lines(broken, [], "loss")[0].points == [(2, 1.0)]


@pytest.mark.parametrize(
    "values",
    [[1.0], [0.0], [3.0, 3.0], [1e-30, 1e5], [2.3, 0.01], [0.5, 0.49], [0.0, 2.0], [5.0, 7e-9], [1e-13, 2e-13]],
)
@pytest.mark.parametrize("name", ["loss", "accuracy"])
def test_a_chart_of_any_values_stays_in_its_frame(values, name):
    history = [{"epoch": i + 1, name: value} for i, value in enumerate(values)]
    found = chart_lines(history, [], name)
    text = curve_chart(found, name)
    Page(text)
    numbers = [float(number) for number in re.findall(r'y="(-?[\d.]+)"', text)]
    assert numbers and all(0 <= number <= svg_charts.HEIGHT for number in numbers)
    sides, _ = svg_charts.axis_ticks(found, name)
    assert 2 <= len(sides) <= 9 and sides == sorted(set(sides))
    points = re.search(r'class="line train" d="M([^"]+)"', text)[1].split("L")
    assert all(0 <= float(point.split()[1]) <= svg_charts.HEIGHT for point in points) and len(points) == len(values)


def test_the_reliability_chart_shows_what_was_counted():
    confidence = np.array([0.95] * 20 + [0.5] * 10)
    right = np.array([True] * 10 + [False] * 10 + [True] * 10)
    text = reliability_chart(calibration(confidence, right))
    Page(text)
    assert (
        "20 predictions: mean confidence 95.0%, accuracy 50.0%" in text
        and "10 predictions: mean confidence 50.0%, accuracy 100.0%" in text
    )
    assert text.count("<rect") == 4


def test_thumbnails_of_any_image():
    rng = np.random.default_rng(0)
    for channels, mode in ((1, "L"), (2, "L"), (3, "RGB"), (4, "L")):
        image = rng.integers(0, 256, (20, 30, channels), dtype=np.uint8)
        small = thumbnail(image)
        assert small.mode == mode and small.size == (30, 20)
        if channels in (1, 3):
            assert np.array_equal(np.asarray(small).reshape(image.shape), image)
        assert data_uri(small).startswith("data:image/png;base64,")
    assert data_uri(thumbnail(np.zeros((100, 100, 3), np.uint8))).startswith("data:image/jpeg;base64,")
    floating = np.linspace(-3, 7, 24, dtype=np.float32).reshape(4, 6, 1)
    pixels = np.asarray(thumbnail(floating))
    assert (pixels[0, 0], pixels[-1, -1]) == (0, 255) and np.asarray(thumbnail(np.full((3, 3, 1), np.nan))).max() == 0
    assert thumbnail(np.zeros((1, 5000, 3), np.uint8)).size == (160, 1)


def test_matplotlib_stays_as_it_was(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    report(tmp_path, **made(20, 3), history=ROWS)
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("losses", [(0.09, 0.4), (0.05, 0.2), (1e-44, 1e-3), (5e-324, 1.0), (0.0, 1.0), (2.3, 2.3)])
def test_any_loss_can_be_drawn(losses):
    history = [{"epoch": 1 + i, "loss": loss, "accuracy": 0.5} for i, loss in enumerate(losses)]
    svg = curve_chart(chart_lines(history, [], "loss"), "loss")
    numbers = [float(number) for number in re.findall(r"[LM](?:[\d.]+) (-?[\d.]+)", svg)]
    assert numbers and all(0 <= number <= 400 for number in numbers)


def test_labels_get_no_report(tmp_path):
    given = made(30, 3)
    labels = nn.Model(x := nn.Input(8, 8, 1), nn.Linear(3)(nn.Flatten()(x)), task="labels")
    with pytest.raises(bh.ArgumentError, match="write_report: model gives labels; expected a classifier"):
        write_report(tmp_path, **(given | {"model": labels}))
    with pytest.raises(bh.ArgumentError, match="examine: model gives labels"):
        examine(labels, given["held_out"], given["logits"])
