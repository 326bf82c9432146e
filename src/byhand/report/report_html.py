"""The report of a training as one self-contained HTML file: no script, responsive, with a dark and a print style."""

import base64
import io
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from math import isfinite
from re import sub

import numpy as np
from PIL import Image

from byhand.data import Dataset
from byhand.report.diagnosis_input import DiagnosisInput, Finding, percent
from byhand.report.doctor import Diagnosis
from byhand.report.drawing.svg_charts import chart_lines, curve_chart, legend, reliability_chart
from byhand.report.drawing.thumbnails import WHOLE_MAX_PIXELS, data_uri, thumbnail
from byhand.report.metrics import (
    calibration,
    mistake_scale,
    most_uncertain,
    precision_recall_f1,
    top_confusions,
    wilson_interval,
    worst_mistakes,
)
from byhand.text import class_labels, shorten
from byhand.translation import in_brackets, language, list_of, sentence_space, translate

MISTAKES_SHOWN = 24  # images
UNCERTAIN_SHOWN = 12  # images
FINDING_IMAGES_SHOWN = 12  # of each subset
CONFUSIONS_LISTED = 8
TABLE_MAX_CLASSES = 30  # larger confusion matrices are an image, one pixel per cell
PIXELATED_MAX_CLASSES = 300  # up to here the image is enlarged without smoothing
CLASSES_SHOWN = 20  # the rest of the table is folded
WELL_CALIBRATED_MAX_ERROR = 0.02  # expected calibration error
CONTENT_SECURITY_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # no request, no script


def render_html(
    inputs: DiagnosisInput,
    diagnosis: Diagnosis,
    *,
    names: Sequence[str] | None = None,
    train_names: Sequence[str] | None = None,
    title: str = "",
    facts: Sequence[tuple[str, object]] = (),
) -> str:
    """Return the page; names, train_names: the images' file names; facts: (name, value) pairs of the last section."""
    style = files("byhand.report").joinpath("report.css").read_text(encoding="utf-8")
    body = "".join(
        (
            _doctor(inputs, diagnosis, names, train_names),
            _curves(inputs),
            _confusion(inputs),
            _classes(inputs),
            _worst(inputs, names),
            _uncertain(inputs, names),
            _calibration(inputs),
            _facts(facts),
        )
    )
    title = translate(title or f"{inputs.model.name} on {inputs.held_out.name or 'images'}")
    head = f'<p class="result">{_text(translate(headline(inputs)))}</p><p class="lead">{_lead(inputs)}</p>'
    return (
        '<!doctype html>\n<html lang="' + language() + '">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{_text(title)}</h1>{head}</header>\n<main>\n{body}"
        f"<footer>{translate('written by byhand; this file is self-contained')}</footer>\n</main>\n</body>\n</html>\n"
    )


def headline(inputs: DiagnosisInput) -> str:
    """Return the result in one line: the accuracy and the number of mistakes."""
    images, correct = len(inputs.predictions), int(inputs.predictions.correct.sum())
    name, wrong = inputs.held_out_name, images - correct
    if not wrong:
        return f"All {images:,} {name} images correct" if images > 1 else f"The one {name} image is correct"
    return f"{accuracy(inputs)} accuracy: {wrong:,} of {images:,} {name} image{'s' * (images > 1)} wrong"


def accuracy(inputs: DiagnosisInput) -> str:
    """Return the accuracy, with the digits that the number of images supports."""
    return f"{inputs.predictions.accuracy:.{2 if len(inputs.predictions) >= 5000 else 1}%}"


def _lead(inputs: DiagnosisInput) -> str:
    images, correct = len(inputs.predictions), int(inputs.predictions.correct.sum())
    low, high = wilson_interval(correct, images)
    digits = 2 if images >= 5000 else 1 if images >= 200 else 0
    facts = [translate(f"The 95% confidence interval of the accuracy is {low:.{digits}%} to {high:.{digits}%}")]
    support = inputs.confusion.sum(1)
    if len(inputs.model.classes) > 1:
        largest = int(support.argmax())
        name = _text(inputs.class_names[largest])
        facts.append(translate(f"always predicting <b>{name}</b> would reach {support[largest] / images:.0%}"))
    text = translate("; ").join(facts) + translate(f". The mean loss is {inputs.predictions.loss.mean():.4g}.")
    space = sentence_space()
    if inputs.judged_epoch:
        best = ", the best on the validation images" if inputs.held_out_prefix == "val" else ""
        text += space + translate(
            f"The network is that of epoch {inputs.judged_epoch:d} of {len(inputs.history):d}{best}."
        )
    confusions = top_confusions(inputs.confusion, inputs.class_names, 3)
    if confusions:
        listed = (f"<b>{_text(true)}</b> → <b>{_text(other)}</b> ({count:,})" for true, other, count in confusions)
        text += space + translate(f"The most frequent confusions, true class → predicted class: {', '.join(listed)}.")
    return text


# Sections -------------------------------------------------------------------------------------------------------------


def _doctor(
    inputs: DiagnosisInput, diagnosis: Diagnosis, names: Sequence[str] | None, train_names: Sequence[str] | None
) -> str:
    checks = len(diagnosis.findings) + len(diagnosis.passed)
    notes = sum(finding.severity == "note" for finding in diagnosis.findings)
    problems = len(diagnosis.findings) - notes
    found = [translate(f"{problems:,} problem{'s' * (problems != 1)}" if problems else "No problems")]
    found += [translate(f"{notes:,} note{'s' * (notes != 1)}")] if notes else []
    summary = translate(f"{translate(' and ').join(found)} from {checks} checks") + (
        translate(f" ({len(diagnosis.skipped)} more did not apply)") if diagnosis.skipped else ""
    )
    summary += translate(", most severe first." if len(diagnosis.findings) > 1 else ".")
    body = "".join(_finding(inputs, finding, names, train_names) for finding in diagnosis.findings)
    if diagnosis.passed:
        passed = list_of(map(translate, diagnosis.passed))
        body += f'<p class="soft">{translate("Passed:")}{sentence_space()}{_text(passed, 2000)}{translate(".")}</p>'
    if diagnosis.skipped:
        skipped = (translate(name) + in_brackets(translate(reason)) for name, reason in diagnosis.skipped.items())
        reasons = _text(translate("; ").join(skipped), 2000)
        body += f'<p class="soft">{translate("Skipped:")}{sentence_space()}{reasons}{translate(".")}</p>'
    return _section("Training doctor", summary, body)


def _finding(
    inputs: DiagnosisInput, finding: Finding, names: Sequence[str] | None, train_names: Sequence[str] | None
) -> str:
    figures, listed = [], []
    for subset, data, file_names in (("evaluation", inputs.held_out, names), ("training", inputs.train, train_names)):
        notes = [(i, note) for image_subset, i, note in finding.images if image_subset == subset]
        prefix = "training " if subset == "training" else ""
        for position, (i, note) in enumerate(notes):
            name = _name(file_names, i, prefix)
            if position < FINDING_IMAGES_SHOWN:
                assert data is not None
                figures.append(_figure(data, i, name, translate(note), _text(translate(note))))
            else:
                listed.append(f"<li>{_text(name)}: {_text(translate(note))}</li>")
    more = ""
    if listed:
        count = translate(f"{len(listed):,} more")
        more = f"<details><summary>{count}</summary><ol class='often'>{''.join(listed)}</ol></details>"
    advice = sub("`([^`]+)`", r"<code>\1</code>", _text(translate(finding.advice), 2000))
    return (
        f'<article class="finding {finding.severity}"><div class="head"><h3>{_text(_capital(translate(finding.name)))}</h3>'
        f'<span class="tag">{translate(finding.severity)}</span></div>'
        f"<p>{_text(_capital(translate(finding.evidence)), 2000)}{translate('.')}</p>"
        f'<p class="try"><b>{translate("Try:")}</b>{sentence_space()}{advice}{translate(".")}</p>'
        f"{_gallery(figures)}{more}</article>"
    )


def _curves(inputs: DiagnosisInput) -> str:
    charts = ""
    for name in ("loss", "accuracy"):
        lines = chart_lines(inputs.history, inputs.curve, name)
        if lines:
            charts += f"<figure><figcaption>{legend(lines, name)}</figcaption>{curve_chart(lines, name)}</figure>"
    return (
        _section("Learning curves", "By epoch; the loss in nats.", f'<div class="two">{charts}</div>') if charts else ""
    )


def _confusion(inputs: DiagnosisInput) -> str:
    count, support = len(inputs.class_names), inputs.confusion.sum(1)
    if count < 2:
        return ""
    numbers = [str(k) for k in range(count)]  # names may occur twice
    confusions = top_confusions(inputs.confusion, numbers, CONFUSIONS_LISTED)
    rows = "".join(
        f"<li><b>{_text(inputs.class_names[int(true)])}</b> → <b>{_text(inputs.class_names[int(other)])}</b>:"
        f" {translate(f'{times:,} of {support[int(true)]:,}', part=True)}</li>"
        for true, other, times in confusions
    )
    listed = (
        f"<div><h3>{translate('Most frequent, true → predicted')}</h3><ol class='often'>{rows}</ol></div>"
        if confusions
        else ""
    )
    if count <= TABLE_MAX_CLASSES:
        matrix = f'<div class="wide">{_matrix(inputs)}</div>'
    else:
        alt = translate(f"confusion matrix of {count:,} classes: mistakes in orange")
        small = " small" if count <= PIXELATED_MAX_CLASSES else ""
        matrix = f'<img class="pixels{small}" alt="{alt}" src="{_matrix_image(inputs)}">'
    intro = "Rows are true classes, columns are predicted classes; mistakes in orange, by their fraction of the class."
    return _section("Confusion matrix", intro, f'<div class="side">{matrix}{listed}</div>')


def _matrix(inputs: DiagnosisInput) -> str:
    names = [_text(name) for name in class_labels(inputs.model.classes, 18)]
    turned = ' class="up"' if max(map(len, names)) > (3 if len(names) > 6 else 12) else ""
    head = "".join(f'<th scope="col"{turned}><span>{name}</span></th>' for name in names)
    fractions = inputs.confusion / np.maximum(inputs.confusion.sum(1, keepdims=True), 1)
    largest = mistake_scale(fractions * (1 - np.eye(len(names))))
    body = ""
    for i, name in enumerate(names):
        body += f'<tr><th scope="row">{name}</th>'
        for j, times in enumerate(inputs.confusion[i].tolist()):
            tint = f' style="--s:{85 * fractions[i, j] / largest:.0f}"' if times and i != j else ""
            own = ' class="own"' if i == j else ""
            body += f"<td{own}{tint}>{f'{times:,}' if times else ''}</td>"
        body += "</tr>"
    return f'<table class="matrix"><thead><tr><td style="background:none"></td>{head}</tr></thead><tbody>{body}</tbody></table>'


def _matrix_image(inputs: DiagnosisInput) -> str:
    """Return the matrix of many classes as an image, one pixel per cell; cells that are 0 are transparent."""
    fractions = inputs.confusion / np.maximum(inputs.confusion.sum(1, keepdims=True), 1)
    diagonal = np.eye(len(fractions), dtype=bool)
    opacity = np.where(diagonal, 0.35, 0.45 + 0.55 * np.sqrt(fractions)) * (fractions > 0)
    pixels = np.where(diagonal[..., None], (128, 124, 116), (214, 112, 36))
    pixels = np.concatenate([pixels, np.round(opacity[..., None] * 15) * 17], -1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _classes(inputs: DiagnosisInput) -> str:
    scores = precision_recall_f1(inputs.confusion)
    order = np.argsort(np.where(np.isnan(scores.recall), 2, scores.recall), kind="stable")
    wrong = inputs.confusion * (1 - np.eye(len(inputs.class_names), dtype=np.int64))
    trained = inputs.train is not None
    held_out = {"test": "test images", "validation": "validation images"}.get(inputs.held_out_name, "images")
    head = "".join(
        f'<th scope="col">{translate(name)}</th>'
        for name in ("class", "recall", "precision", "F1", held_out)
        + (("training images",) if trained else ())
        + ("most frequent mistake",)
    )
    rows = []
    for i in order.tolist():
        recall, other = scores.recall[i], int(wrong[i].argmax())
        bar = f'<meter aria-hidden="true" min="0" max="1" value="{recall:.4f}"></meter>' if isfinite(recall) else ""
        cells = [
            bar + percent(recall),
            percent(scores.precision[i]),
            percent(scores.f1[i]),
            f"{scores.support[i]:,}",
        ]
        cells += [f"{inputs.class_counts[i]:,}"] if trained else []
        cells.append(f"{_text(inputs.class_names[other])} ({wrong[i, other]:,})" if wrong[i, other] else "")
        data = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{_text(inputs.class_names[i])}</th>{data}</tr>')

    def table(rows: Sequence[str]) -> str:
        content = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
        return f'<div class="wide"><table class="classes">{content}</table></div>'

    shown = CLASSES_SHOWN if len(rows) > CLASSES_SHOWN + 5 else len(rows)
    body = table(rows[:shown])
    if rows[shown:]:
        others = translate(f"the other {len(rows) - shown:,} classes")
        body += f"<details><summary>{others}</summary>{table(rows[shown:])}</details>"
    intro = (
        "Recall: the fraction of the class's images that are predicted as it. Precision: the fraction of the images predicted"
        " as the class that belong to it. F1: their harmonic mean. Sorted by recall, lowest first."
    )
    return _section("Per-class metrics", intro, body)


def _worst(inputs: DiagnosisInput, names: Sequence[str] | None) -> str:
    chosen = worst_mistakes(inputs.predictions, MISTAKES_SHOWN)
    if not len(chosen):
        return ""
    intro = "Wrong and confident: sorted by loss, -ln of the true class's probability, largest first."
    return _section("Worst mistakes", intro, _gallery([_mistake(inputs, int(i), names) for i in chosen]))


def _uncertain(inputs: DiagnosisInput, names: Sequence[str] | None) -> str:
    chosen = most_uncertain(inputs.predictions, UNCERTAIN_SHOWN)
    if not len(chosen):
        return ""
    figures = [_uncertain_prediction(inputs, int(i), names) for i in chosen]
    intro = "Correct or wrong: sorted by the margin between the two most probable classes, smallest first."
    return _section("Most uncertain predictions", intro, _gallery(figures))


def _calibration(inputs: DiagnosisInput) -> str:
    if len(inputs.model.classes) < 2:
        return ""
    predictions = inputs.predictions
    found = calibration(predictions.confidence, predictions.correct)
    confidence, accuracy = predictions.confidence.mean(), predictions.accuracy
    if found.error < WELL_CALIBRATED_MAX_ERROR:
        verdict = "the network is well calibrated"
    elif abs(found.overconfidence) < found.error / 2:
        verdict = "the network is overconfident in some bins and underconfident in others"
    elif found.overconfidence > 0:
        verdict = (
            "the network is overconfident; temperature scaling, logits divided by a number above 1 that is fitted on held-out"
            " images, corrects that (Guo et al. 2017)"
        )
    else:
        verdict = "the network is underconfident, an effect of label smoothing, augmentation or few epochs"
    few = "With so few images this error is uncertain itself." if len(predictions) < 10 * len(found.count) else ""
    few = few and sentence_space() + translate(few)
    text = translate(
        f"<p>The mean confidence is <b>{confidence:.1%}</b>, the accuracy <b>{accuracy:.1%}</b>; the expected calibration error"
        f" is <b>{100 * found.error:.1f} points</b> ({len(found.count)} bins): {translate(verdict)}.{few}</p>"
    ) + translate(
        '<p class="soft">Reliability diagram. Bars: the accuracy of the predictions in each bin of confidence; orange lines:'
        " their mean confidence. In a well calibrated network the two agree. Below: the number of predictions per bin.</p>"
    )
    body = f'<div class="side"><figure class="chart">{reliability_chart(found)}</figure><div>{text}</div></div>'
    return _section("Calibration", "", body)


def _facts(facts: Sequence[tuple[str, object]]) -> str:
    rows = "".join(f"<dt>{_text(translate(name))}</dt><dd>{_text(translate(str(value)))}</dd>" for name, value in facts)
    return _section("About this training", "", f"<dl>{rows}</dl>") if rows else ""


# Parts of sections ----------------------------------------------------------------------------------------------------


def _mistake(inputs: DiagnosisInput, i: int, names: Sequence[str] | None) -> str:
    predictions = inputs.predictions
    true, other = inputs.class_names[predictions.labels[i]], inputs.class_names[predictions.predicted[i]]
    confidence, label = _text(percent(predictions.confidence[i])), _text(percent(predictions.label_probability[i]))
    predicted = translate("predicted")
    caption = f"<b>{_text(true)}</b> ({label})<br>{predicted} <b>{_text(other)}</b> ({confidence})"
    return _figure(inputs.held_out, i, _name(names, i), translate(f"{true}, predicted as {other}"), caption)


def _uncertain_prediction(inputs: DiagnosisInput, i: int, names: Sequence[str] | None) -> str:
    predictions = inputs.predictions
    first, second = inputs.class_names[predictions.predicted[i]], inputs.class_names[predictions.runner_up[i]]
    second_probability = predictions.confidence[i] - predictions.margin[i]
    result = translate("correct" if predictions.correct[i] else f"labeled {inputs.class_names[predictions.labels[i]]}")
    caption = (
        f"<b>{_text(first)}</b> {_text(percent(predictions.confidence[i]))} {translate('or')}"
        f" {_text(second)} {_text(percent(second_probability))}<span>{_text(result)}</span>"
    )
    return _figure(inputs.held_out, i, _name(names, i), translate(f"{first} or {second}"), caption)


def _figure(data: Dataset, i: int, name: str, alt: str, caption: str) -> str:
    image = thumbnail(data.images[i])
    small = ' class="small"' if max(image.size) <= WHOLE_MAX_PIXELS else ""
    return (
        f'<figure><img{small} src="{data_uri(image)}" alt="{_text(name)}: {_text(alt)}">'
        f"<figcaption>{caption}<span>{_text(name, 60)}</span></figcaption></figure>"
    )


def _gallery(figures: Sequence[str]) -> str:
    return f'<div class="gallery">{"".join(figures)}</div>' if figures else ""


def _section(title: str, intro: str, body: str) -> str:
    intro = f"<p>{_text(translate(intro), 2000)}</p>" if intro else ""
    return f"<section><h2>{translate(title)}</h2>{intro}{body}</section>\n"


def _name(names: Sequence[str] | None, i: int, prefix: str = "") -> str:
    return translate(f"{prefix}image {i:d}") if names is None else names[i]


def _text(value: object, max_letters: int = 200) -> str:
    """Return a value as escaped HTML text on one line."""
    return escape(shorten(str(value), max_letters)).replace(" %", "&nbsp;%")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
