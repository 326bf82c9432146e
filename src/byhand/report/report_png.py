"""The report as one picture: the result, the curves, the confusion matrix, the worst mistakes, and what the doctor says."""

import tempfile
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from byhand.report import picture
from byhand.report.charts import lines, mark_text, marks, value_text
from byhand.report.confusion import draw_confusion
from byhand.report.diagnosis_input import Case, Finding
from byhand.report.doctor import Diagnosis
from byhand.report.report_html import headline
from byhand.report.scores import worst
from byhand.report.thumbnails import SMALL, thumbnail

WIDE, EDGE, GAP = 1500, 45, 50  # pixels
HEAD, CURVES, MATRIX = 130, 300, 690
COLUMNS, ROWS = 4, 4  # of worst mistakes
LINE, WORDS, MOST = 26, 140, 6  # of what the doctor says: a line's height and letters; how many findings
SHADE = {"serious": "#b3261e", "warning": picture.MINUS, "note": picture.SOFT}


def poster(case: Case, diagnosis: Diagnosis, title: str = "") -> Any:
    """Return the figure."""
    said = [(one, textwrap.wrap(_told(one), WORDS)) for one in diagnosis.findings[:MOST]]
    height = sum(LINE * len(text) + 8 for _, text in said) or LINE
    tall = HEAD + CURVES + 95 + MATRIX + 70 + 15 + height + EDGE
    figure = picture.figure(WIDE / 150, tall / 150)
    figure.set_layout_engine("none")  # each part has its place
    sheet = Sheet(figure, tall)
    sheet.write(EDGE, 55, headline(case), 14, weight="bold")
    title = title or f"{case.model.name} on {case.evaluated.name or 'images'}"
    sheet.write(EDGE, 92, picture.plain_text(title, 110), 8, color=picture.SOFT)
    half = (WIDE - 2 * EDGE - GAP) // 2
    _curves(sheet, case, half)
    top = HEAD + CURVES + 95
    _matrix(sheet, case, top)
    _mistakes(sheet, case, EDGE + half + GAP, top, half)
    y = top + MATRIX + 70
    sheet.write(EDGE, y, "the training doctor", 9, weight="bold")
    if not said:
        sheet.write(EDGE, y + LINE, str(diagnosis), 8, color=picture.SOFT)
    for one, text in said:
        sheet.write(EDGE, y + LINE + 8, one.severity, 8, color=SHADE[one.severity])
        for line in text:
            y += LINE
            sheet.write(EDGE + 100, y + 8, line, 8)
        y += 8
    return figure


def _told(one: Finding) -> str:
    return picture.plain_text(f"{one.name}: {one.evidence}", 3 * WORDS)


class Sheet:
    """A figure that is drawn on in pixels from its left upper corner."""

    def __init__(self, figure: Any, tall: int) -> None:
        self.figure, self.tall = figure, tall

    def axes(self, left: float, top: float, wide: float, tall: float) -> Any:
        """Return axes that fill a rectangle."""
        return self.figure.add_axes((left / WIDE, 1 - (top + tall) / self.tall, wide / WIDE, tall / self.tall))

    def write(self, left: float, base: float, text: str, size: float, **style: Any) -> None:
        """Write a line; base: where its letters stand."""
        style = {"color": picture.INK, "va": "baseline"} | style
        self.figure.text(left / WIDE, 1 - base / self.tall, text, fontsize=size, parse_math=False, **style)


def _curves(sheet: Sheet, case: Case, half: int) -> None:
    for place, name in enumerate(("loss", "accuracy")):
        left = EDGE + 55 + place * (half + GAP)
        sheet.write(left, HEAD + 12, name, 9, weight="bold")
        axes = sheet.axes(left, HEAD + 30, half - 55, CURVES - 30)
        found = lines(case.history, case.curve, name)
        for line in found:
            colour = picture.MINUS if line.kind == "minus" else picture.PLUS
            label = f"{line.label} {value_text(line.last, name)}" if line.label else None
            faint = {"alpha": 0.25, "linewidth": 0.7} if line.kind == "faint" else {"alpha": 1.0, "linewidth": 1.2}
            axes.plot(
                *zip(*line.points), "o-" if line.marked else "-", color=colour, markersize=3.5, label=label, **faint
            )
        if found:
            sides, logarithmic = marks(found, name)
            axes.set_yscale("log" if logarithmic else "linear")
            axes.set_yticks(sides, [mark_text(mark, name) for mark in sides])
            axes.set_yticks([], minor=True)
            axes.legend(frameon=False, fontsize=8, labelcolor=picture.INK)
        axes.grid(axis="y", color=picture.LINE, linewidth=0.6)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
        picture.plain(axes)


def _matrix(sheet: Sheet, case: Case, top: int) -> None:
    """Paste what `draw_confusion` draws."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "confusion.png"
        draw_confusion(case.matrix, case.model.classes, path)
        with Image.open(path) as image:
            drawn = image.convert("RGB")
    drawn.thumbnail((MATRIX, MATRIX), Image.Resampling.LANCZOS)
    axes = sheet.axes(EDGE, top, *drawn.size)
    axes.imshow(np.asarray(drawn), interpolation="none", aspect="auto")
    axes.set_axis_off()


def _mistakes(sheet: Sheet, case: Case, left: int, top: int, wide: int) -> None:
    chosen = worst(case.judged, COLUMNS * ROWS)
    sheet.write(left, top + 16, "the worst mistakes" if len(chosen) else "no mistake", 9, weight="bold")
    step, side = wide / COLUMNS, 108
    for place, i in enumerate(chosen.tolist()):
        x, y = left + place % COLUMNS * step, top + 36 + place // COLUMNS * (side + 56)
        small = thumbnail(case.evaluated.images[i])
        scale = side / max(small.size)
        size = max(1, round(small.width * scale)), max(1, round(small.height * scale))
        kind = Image.Resampling.NEAREST if max(small.size) <= SMALL else Image.Resampling.LANCZOS
        axes = sheet.axes(x, y, *size)
        axes.imshow(np.asarray(small.resize(size, kind).convert("RGB")), interpolation="none", aspect="auto")
        axes.set_axis_off()
        true, taken = (
            picture.plain_text(case.model.classes[one[i]], 14) for one in (case.judged.labels, case.judged.taken)
        )
        sheet.write(x, y + side + 17, true, 6.5)
        sheet.write(x, y + side + 35, f"for {taken}", 6.5, color=picture.MINUS)
