"""The report of a training as one image: accuracy, learning curves, confusion matrix, worst mistakes, doctor's findings."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from byhand.console import fill
from byhand.report.diagnosis_input import DiagnosisInput, Finding
from byhand.report.doctor import Diagnosis
from byhand.report.drawing import fonts, style
from byhand.report.drawing.confusion_matrix import draw_confusion_matrix
from byhand.report.drawing.fonts import DOTS_PER_INCH
from byhand.report.drawing.svg_charts import axis_ticks, chart_lines, tick_label, value_label
from byhand.report.drawing.thumbnails import WHOLE_MAX_PIXELS, thumbnail
from byhand.report.metrics import worst_mistakes
from byhand.report.report_html import headline
from byhand.text import shorten

# Pixels
WIDTH = 1500
MARGIN = 45
GAP = 50
HEAD_HEIGHT = 130
CURVES_HEIGHT = 300
MATRIX_HEIGHT = 690
CURVES_GAP = 95  # below the curves
MATRIX_GAP = 70  # below the matrix
LINE_HEIGHT = 26
MISTAKE_SIDE = 108
NAME_GAP = 10  # between the names below two mistakes

NAME_POINTS = 6.5  # font size of these

MISTAKE_COLUMNS = 4
MISTAKE_ROWS = 4
FINDINGS_SHOWN = 6
LINE_LETTERS = 140
SEVERITY_COLORS = {"serious": "#b3261e", "warning": style.ORANGE, "note": style.MUTED_COLOR}


def draw_report(inputs: DiagnosisInput, diagnosis: Diagnosis, title: str = "") -> Figure:
    """Return the report as a figure."""
    findings = [(finding, _lines(_sentence(finding))) for finding in diagnosis.findings]
    findings = findings[:FINDINGS_SHOWN]
    findings_height = sum(LINE_HEIGHT * len(lines) + 8 for _, lines in findings) or LINE_HEIGHT
    top = HEAD_HEIGHT + CURVES_HEIGHT + CURVES_GAP
    height = top + MATRIX_HEIGHT + MATRIX_GAP + 15 + findings_height + MARGIN
    figure = style.new_figure(WIDTH / DOTS_PER_INCH, height / DOTS_PER_INCH)
    figure.set_layout_engine("none")  # positions are given in pixels
    canvas = PixelCanvas(figure, height)
    canvas.write(MARGIN, 55, fonts.translated(headline(inputs)), 14, weight="bold")
    title = fonts.translated(title or f"{inputs.model.name} on {inputs.held_out.name or 'images'}")
    canvas.write(MARGIN, 92, fonts.fit(title, 8, WIDTH - 2 * MARGIN), 8, color=style.MUTED_COLOR)
    half = (WIDTH - 2 * MARGIN - GAP) // 2
    _curves(canvas, inputs, half)
    _matrix(canvas, inputs, top)
    _mistakes(canvas, inputs, MARGIN + half + GAP, top, half)
    y = top + MATRIX_HEIGHT + MATRIX_GAP
    canvas.write(MARGIN, y, fonts.translated("Training doctor"), 9, weight="bold")
    if not findings:
        canvas.write(MARGIN, y + LINE_HEIGHT, fonts.translated(str(diagnosis)), 8, color=style.MUTED_COLOR)
    for finding, lines in findings:
        canvas.write(
            MARGIN, y + LINE_HEIGHT + 8, fonts.translated(finding.severity), 8, color=SEVERITY_COLORS[finding.severity]
        )
        for line in lines:
            y += LINE_HEIGHT
            canvas.write(MARGIN + 100, y + 8, line, 8)
        y += 8
    return figure


def _sentence(finding: Finding) -> str:
    name, evidence = fonts.translated(finding.name), fonts.translated(finding.evidence)
    return shorten(f"{name}: {evidence}", 3 * LINE_LETTERS)


def _lines(text: str) -> list[str]:
    return fill(text, LINE_LETTERS).split("\n")


class PixelCanvas:
    """A figure with positions in pixels, from its upper left corner."""

    def __init__(self, figure: Figure, height: int) -> None:
        self.figure, self.height = figure, height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Return axes that fill a rectangle."""
        box = (left / WIDTH, 1 - (top + height) / self.height, width / WIDTH, height / self.height)
        return self.figure.add_axes(box)

    def write(self, left: float, baseline: float, text: str, size: float, **settings: Any) -> None:
        """Write a line of text."""
        settings = {"color": style.TEXT_COLOR, "va": "baseline"} | settings
        self.figure.text(left / WIDTH, 1 - baseline / self.height, text, fontsize=size, parse_math=False, **settings)


def _curves(canvas: PixelCanvas, inputs: DiagnosisInput, half: int) -> None:
    for column, name in enumerate(("loss", "accuracy")):
        left = MARGIN + 55 + column * (half + GAP)
        canvas.write(left, HEAD_HEIGHT + 12, fonts.translated(name), 9, weight="bold")
        axes = canvas.axes(left, HEAD_HEIGHT + 30, half - 55, CURVES_HEIGHT - 30)
        lines = chart_lines(inputs.history, inputs.curve, name)
        for line in lines:
            color = style.ORANGE if line.kind == "held-out" else style.BLUE
            label = f"{fonts.translated(line.label)} {value_label(line.value, name)}" if line.label else None
            raw = line.kind == "raw"
            weight: dict[str, Any] = {"alpha": 0.25 if raw else 1.0, "linewidth": 0.7 if raw else 1.2}
            marker = "o-" if line.marked else "-"
            axes.plot(*zip(*line.points), marker, color=color, markersize=3.5, label=label, **weight)
        if lines:
            ticks, logarithmic = axis_ticks(lines, name)
            axes.set_yscale("log" if logarithmic else "linear")
            axes.set_yticks(ticks, [tick_label(tick, name) for tick in ticks])
            axes.set_yticks([], minor=True)
            axes.legend(frameon=False, fontsize=8, labelcolor=style.TEXT_COLOR)
        axes.grid(axis="y", color=style.GRID_COLOR, linewidth=0.6)
        axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        axes.set_xlabel(fonts.translated("epoch"))
        style.style_axes(axes)


def _matrix(canvas: PixelCanvas, inputs: DiagnosisInput, top: int) -> None:
    """Paste the figure of `draw_confusion_matrix`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "confusion.png"
        draw_confusion_matrix(inputs.confusion, inputs.model.classes, path)
        with Image.open(path) as image:
            matrix = image.convert("RGB")
    matrix.thumbnail((MATRIX_HEIGHT, MATRIX_HEIGHT), Image.Resampling.LANCZOS)
    axes = canvas.axes(MARGIN, top, *matrix.size)
    axes.imshow(np.asarray(matrix), interpolation="none", aspect="auto")
    axes.set_axis_off()


def _mistakes(canvas: PixelCanvas, inputs: DiagnosisInput, left: int, top: int, width: int) -> None:
    predictions, names = inputs.predictions, fonts.class_labels(inputs.model.classes)
    mistakes = worst_mistakes(predictions, MISTAKE_COLUMNS * MISTAKE_ROWS)
    canvas.write(
        left, top + 16, fonts.translated("Worst mistakes" if len(mistakes) else "No mistakes"), 9, weight="bold"
    )
    step, predicted_word = width / MISTAKE_COLUMNS, fonts.translated("predicted")
    for position, i in enumerate(mistakes.tolist()):
        row, column = divmod(position, MISTAKE_COLUMNS)
        x, y = left + column * step, top + 36 + row * (MISTAKE_SIDE + 56)
        small = thumbnail(inputs.held_out.images[i])
        scale = MISTAKE_SIDE / max(small.size)
        size = max(1, round(small.width * scale)), max(1, round(small.height * scale))
        crisp = max(small.size) <= WHOLE_MAX_PIXELS
        resized = small.resize(size, Image.Resampling.NEAREST if crisp else Image.Resampling.LANCZOS)
        axes = canvas.axes(x, y, *size)
        axes.imshow(np.asarray(resized.convert("RGB")), interpolation="none", aspect="auto")
        axes.set_axis_off()
        true, predicted = names[predictions.labels[i]], f"{predicted_word} {names[predictions.predicted[i]]}"
        canvas.write(x, y + MISTAKE_SIDE + 17, fonts.fit(true, NAME_POINTS, step - NAME_GAP), NAME_POINTS)
        predicted = fonts.fit(predicted, NAME_POINTS, step - NAME_GAP)
        canvas.write(x, y + MISTAKE_SIDE + 35, predicted, NAME_POINTS, color=style.ORANGE)
