"""The report as one HTML file: everything inside, no script, readable on a telephone, in the dark and on paper."""

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
from byhand.report.charts import caption, curve_chart, lines, reliability_chart
from byhand.report.confusion import mistakes
from byhand.report.diagnosis_input import Case, Finding, percent
from byhand.report.doctor import Diagnosis
from byhand.report.picture import plain_text
from byhand.report.scores import calibration, class_scores, interval, uncertain, worst
from byhand.report.thumbnails import SMALL, data_uri, thumbnail

WORST, UNCERTAIN, OFTEN = 24, 12, 8  # images that are shown; mistakes that are listed
NUMBERED, CRISP = 30, 300  # classes up to which the matrix is a table, or a picture whose pixels are squares
PICTURED = 12  # images of a finding that are shown, of either set
OPEN = 20  # classes that are seen at once
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # nothing is fetched, nothing runs


def document(
    case: Case,
    diagnosis: Diagnosis,
    *,
    names: Sequence[str] | None = None,
    train_names: Sequence[str] | None = None,
    title: str = "",
    facts: Sequence[tuple[str, object]] = (),
) -> str:
    """Return the page; names, train_names: of the images' files; facts: what else to tell, (name, value) each."""
    style = files("byhand.report").joinpath("report.css").read_text(encoding="utf-8")
    body = "".join(
        (
            _doctor(case, diagnosis, names, train_names),
            _curves(case),
            _confusion(case),
            _classes(case),
            _worst(case, names),
            _uncertain(case, names),
            _calibration(case),
            _facts(facts),
        )
    )
    title = title or f"{case.model.name} on {case.evaluated.name or 'images'}"
    head = f'<p class="result">{_text(headline(case))}</p><p class="lead">{_lead(case)}</p>'
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{_text(title)}</h1>{head}</header>\n<main>\n{body}"
        "<footer>written by byhand; this file needs nothing else</footer>\n</main>\n</body>\n</html>\n"
    )


def headline(case: Case) -> str:
    """Return the result in a sentence."""
    images, right = len(case.judged), int(case.judged.right.sum())
    what = f"{case.word} image{'s' if images != 1 else ''}"
    if right == images:
        return f"All {images:,} {what} right" if images > 1 else f"The one {what} is right"
    return f"{accuracy(case)} right: {images - right:,} of {images:,} {what} wrong"


def accuracy(case: Case) -> str:
    """Return the accuracy, to as many digits as its images give."""
    return f"{case.judged.accuracy:.{2 if len(case.judged) >= 5000 else 1}%}"


def _lead(case: Case) -> str:
    images, right = len(case.judged), int(case.judged.right.sum())
    low, high = interval(right, images)
    digits = 2 if images >= 5000 else 1 if images >= 200 else 0
    said = [f"With 95 % confidence the accuracy is between {low:.{digits}%} and {high:.{digits}%}"]
    support = case.matrix.sum(1)
    if len(case.model.classes) > 1:
        most = int(support.argmax())
        said.append(f"to say <b>{_text(case.named[most])}</b> of each would make {support[most] / images:.0%} right")
    text = "; ".join(said) + f". The mean loss is {case.judged.loss.mean():.4g}."
    often = mistakes(case.matrix, case.named, 3)
    if often:
        text += " Most often it takes " + ", ".join(
            f"<b>{_text(true)}</b> for <b>{_text(taken)}</b> ({count:,})" for true, taken, count in often
        )
        text += "."
    return text


# the sections ---------------------------------------------------------------------------------------------------------


def _doctor(case: Case, diagnosis: Diagnosis, names: Sequence[str] | None, train_names: Sequence[str] | None) -> str:
    done = len(diagnosis.findings) + len(diagnosis.well)
    heavy = [one for one in diagnosis.findings if one.severity != "note"]
    if heavy:
        summary = f"{len(heavy)} complaint{'s' if len(heavy) > 1 else ''}, what matters first; {done} checks were made."
    elif diagnosis.findings:
        summary = f"Nothing to complain of: {done} checks. Worth knowing:"
    else:
        summary = f"Nothing to complain of: {done} checks."
    found = "".join(_finding(case, one, names, train_names) for one in diagnosis.findings)
    if diagnosis.well:
        found += f'<p class="well">All is well with: {_text(", ".join(diagnosis.well), 2000)}.</p>'
    if diagnosis.unseen:
        why = "; ".join(f"{name} ({reason})" for name, reason in diagnosis.unseen.items())
        found += f'<p class="well">Not looked at: {_text(why, 2000)}.</p>'
    return _section("The training doctor", summary, found)


def _finding(case: Case, one: Finding, names: Sequence[str] | None, train_names: Sequence[str] | None) -> str:
    shown, told = [], []
    for kind, data, words in (("evaluation", case.evaluated, names), ("training", case.train, train_names)):
        places = [(i, says) for where, i, says in one.images if where == kind]
        before = "training " if kind == "training" else ""
        for place, (i, says) in enumerate(places):
            name = _name(words, i, before)
            if place < PICTURED:
                assert data is not None
                shown.append(_figure(data, i, name, says, _text(says)))
            else:
                told.append(f"<li>{_text(name)}: {_text(says)}</li>")
    more = (
        f"<details><summary>{len(told)} more</summary><ol class='often'>{''.join(told)}</ol></details>" if told else ""
    )
    cure = sub("`([^`]+)`", r"<code>\1</code>", _text(one.cure, 2000))
    return (
        f'<article class="finding {one.severity}"><div class="head"><h3>{_text(_capital(one.name))}</h3>'
        f'<span class="tag">{one.severity}</span></div><p>{_text(_capital(one.evidence), 2000)}.</p>'
        f'<p class="try"><b>Try:</b> {cure}.</p>{_gallery(shown)}{more}</article>'
    )


def _curves(case: Case) -> str:
    charts = ""
    for name in ("loss", "accuracy"):
        found = lines(case.history, case.curve, name)
        if found:
            charts += f"<figure><figcaption>{caption(found, name)}</figcaption>{curve_chart(found, name)}</figure>"
    return _section("Curves", "By epoch; the loss in nats.", f'<div class="two">{charts}</div>') if charts else ""


def _confusion(case: Case) -> str:
    count, support = len(case.named), case.matrix.sum(1)
    if count < 2:
        return ""
    often = mistakes(case.matrix, [str(k) for k in range(count)], OFTEN)  # by number: two classes may have one name
    rows = "".join(
        f"<li><b>{_text(case.named[int(true)])}</b> taken for <b>{_text(case.named[int(taken)])}</b>:"
        f" {times:,} of {support[int(true)]:,}</li>"
        for true, taken, times in often
    )
    listed = f"<div><h3>Most often</h3><ol class='often'>{rows}</ol></div>" if often else ""
    if count <= NUMBERED:
        picture = f'<div class="wide">{_matrix(case)}</div>'
    else:
        about = f"confusion matrix of {count:,} classes: mistakes in orange"
        picture = (
            f'<img class="pixels{" small" if count <= CRISP else ""}" alt="{about}" src="{_matrix_picture(case)}">'
        )
    intro = "A row for each class, a column for what it was taken for; mistakes in orange, by their share of the class."
    return _section("What is taken for what", intro, f'<div class="side">{picture}{listed}</div>')


def _matrix(case: Case) -> str:
    names = [_text(plain_text(name, 18)) for name in case.model.classes]
    turned = ' class="up"' if max(map(len, names)) > (3 if len(names) > 6 else 12) else ""
    head = "".join(f'<th scope="col"{turned}><span>{name}</span></th>' for name in names)
    shares = case.matrix / np.maximum(case.matrix.sum(1, keepdims=True), 1)
    most = max(0.02, (shares * (1 - np.eye(len(names)))).max())
    body = ""
    for i, name in enumerate(names):
        body += f'<tr><th scope="row">{name}</th>'
        for j, times in enumerate(case.matrix[i].tolist()):
            tint = f' style="--s:{85 * shares[i, j] / most:.0f}"' if times and i != j else ""
            own = ' class="own"' if i == j else ""
            body += f"<td{own}{tint}>{f'{times:,}' if times else ''}</td>"
        body += "</tr>"
    return f'<table class="matrix"><thead><tr><td style="background:none"></td>{head}</tr></thead><tbody>{body}</tbody></table>'


def _matrix_picture(case: Case) -> str:
    """Return the matrix of many classes as a picture, a pixel a number; what is 0 lets the paper through."""
    shares = case.matrix / np.maximum(case.matrix.sum(1, keepdims=True), 1)
    diagonal = np.eye(len(shares), dtype=bool)
    seen = np.where(diagonal, 0.35, 0.45 + 0.55 * np.sqrt(shares)) * (shares > 0)
    pixels = np.where(diagonal[..., None], (128, 124, 116), (214, 112, 36))
    pixels = np.concatenate([pixels, np.round(seen[..., None] * 15) * 17], -1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _classes(case: Case) -> str:
    scores = class_scores(case.matrix)
    order = np.argsort(np.where(np.isnan(scores.recall), 2, scores.recall), kind="stable")
    wrong = case.matrix * (1 - np.eye(len(case.named), dtype=np.int64))
    trained = case.train is not None
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("class", "recall", "precision", "F1", f"{case.word} images")
        + (("training images",) if trained else ())
        + ("most often taken for",)
    )
    rows = []
    for i in order.tolist():
        recall, taken = scores.recall[i], int(wrong[i].argmax())
        bar = f'<meter aria-hidden="true" min="0" max="1" value="{recall:.4f}"></meter>' if isfinite(recall) else ""
        cells = [
            bar + percent(recall),
            percent(scores.precision[i]),
            percent(scores.f1[i]),
            f"{scores.support[i]:,}",
        ]
        cells += [f"{case.counts[i]:,}"] if trained else []
        cells.append(f"{_text(case.named[taken])} ({wrong[i, taken]:,})" if wrong[i, taken] else "")
        data = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{_text(case.named[i])}</th>{data}</tr>')

    def table(some: Sequence[str]) -> str:
        rows = f"<thead><tr>{head}</tr></thead><tbody>{''.join(some)}</tbody>"
        return f'<div class="wide"><table class="classes">{rows}</table></div>'

    shown = OPEN if len(rows) > OPEN + 5 else len(rows)
    body = table(rows[:shown])
    if rows[shown:]:
        body += f"<details><summary>the other {len(rows) - shown:,} classes</summary>{table(rows[shown:])}</details>"
    intro = (
        "Recall: of its images, the part that was found. Precision: of what was taken for it, the part that is. F1 is their"
        " harmonic mean. The class found least often comes first."
    )
    return _section("Class by class", intro, body)


def _worst(case: Case, names: Sequence[str] | None) -> str:
    chosen = worst(case.judged, WORST)
    if not len(chosen):
        return ""
    intro = "Wrong, and sure of it: the largest loss first, which is -ln of the probability that the right class got."
    return _section("The worst mistakes", intro, _gallery([_answer(case, int(i), names) for i in chosen]))


def _uncertain(case: Case, names: Sequence[str] | None) -> str:
    chosen = uncertain(case.judged, UNCERTAIN)
    if not len(chosen):
        return ""
    intro = "Right or wrong: the smallest margin between the two likeliest classes first."
    return _section("The most uncertain", intro, _gallery([_doubt(case, int(i), names) for i in chosen]))


def _calibration(case: Case) -> str:
    if len(case.model.classes) < 2:
        return ""
    judged = case.judged
    found = calibration(judged.confidence, judged.right)
    sure, right = judged.confidence.mean(), judged.accuracy
    if found.error < 0.02:
        verdict = "you can take its probabilities at their word"
    elif abs(found.excess) < found.error / 2:
        verdict = (
            "sometimes too sure and sometimes not sure enough, it is right about as often as it says only on the whole"
        )
    elif found.excess > 0:
        verdict = (
            "it is too sure of itself; dividing the logits by a number above 1, fitted on held-out images, repairs that"
            " (temperature scaling, Guo et al. 2017)"
        )
    else:
        verdict = "it is better than it thinks: label smoothing, augmentation or few epochs do that"
    few = " With so few images the error is itself uncertain." if len(judged) < 10 * len(found.count) else ""
    text = (
        f"<p>Its answers have a probability of <b>{sure:.1%}</b> on average, and <b>{right:.1%}</b> of them are right; in bins"
        f" of like probability the two are <b>{100 * found.error:.1f} points</b> apart (expected calibration error,"
        f" {len(found.count)} bins): {verdict}.{few}</p>"
        '<p class="well">Bars: how often answers of that probability are right; orange: what they said. Bars that end at the'
        " orange line keep their word. Below: how many answers there are of each.</p>"
    )
    body = f'<div class="side"><figure class="chart">{reliability_chart(found)}</figure><div>{text}</div></div>'
    return _section("Does a probability keep its word?", "", body)


def _facts(facts: Sequence[tuple[str, object]]) -> str:
    rows = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts)
    return _section("About this training", "", f"<dl>{rows}</dl>") if rows else ""


# their parts ----------------------------------------------------------------------------------------------------------


def _answer(case: Case, i: int, names: Sequence[str] | None) -> str:
    judged = case.judged
    true, taken = case.named[judged.labels[i]], case.named[judged.taken[i]]
    chance, label = _text(percent(judged.confidence[i])), _text(percent(judged.of_label[i]))
    says = f"<b>{_text(true)}</b> ({label})<br>taken for <b>{_text(taken)}</b> ({chance})"
    return _figure(case.evaluated, i, _name(names, i), f"{true}, taken for {taken}", says)


def _doubt(case: Case, i: int, names: Sequence[str] | None) -> str:
    judged = case.judged
    first, second = case.named[judged.taken[i]], case.named[judged.second[i]]
    next_ = judged.confidence[i] - judged.margin[i]
    mark = "right" if judged.right[i] else f"is {case.named[judged.labels[i]]}"
    says = (
        f"<b>{_text(first)}</b> {_text(percent(judged.confidence[i]))} or {_text(second)} {_text(percent(next_))}"
        f"<span>{_text(mark)}</span>"
    )
    return _figure(case.evaluated, i, _name(names, i), f"{first} or {second}", says)


def _figure(data: Dataset, i: int, name: str, alt: str, says: str) -> str:
    picture = thumbnail(data.images[i])
    small = ' class="small"' if max(picture.size) <= SMALL else ""
    return (
        f'<figure><img{small} src="{data_uri(picture)}" alt="{_text(name)}: {_text(alt)}">'
        f"<figcaption>{says}<span>{_text(name, 60)}</span></figcaption></figure>"
    )


def _gallery(figures: Sequence[str]) -> str:
    return f'<div class="gallery">{"".join(figures)}</div>' if figures else ""


def _section(title: str, intro: str, body: str) -> str:
    intro = f"<p>{_text(intro, 2000)}</p>" if intro else ""
    return f"<section><h2>{title}</h2>{intro}{body}</section>\n"


def _name(names: Sequence[str] | None, i: int, before: str = "") -> str:
    return f"{before}image {i}" if names is None else names[i]


def _text(value: object, most: int = 200) -> str:
    """Return anything as text that a page can hold: what is not printable is a space, what means something to HTML is not."""
    return escape(plain_text(str(value), most)).replace(" %", "&nbsp;%")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
