"""What the doctor sees in images and labels: scale, blank images, few images, rare classes, labels that look wrong."""

import numpy as np

from byhand.data import Dataset
from byhand.ops.op import Array
from byhand.report.diagnosis_input import PIXELS, Case, Finding, Kind, Place, percent
from byhand.report.doctor.curves import failed
from byhand.report.scores import Judged, class_scores, interval, suspects

SMALLEST, LARGEST = 0.1, 10.0  # standard deviations of what the network receives
ASIDE = 5.0  # standard deviations between its mean and 0
RARE, RARER = 3.0, 10.0  # times that the largest class is larger than the smallest
LOST = 0.10  # recall that rare classes lose
JUDGED = 10  # images of a class, before its recall says something
ENOUGH, GOOD = 200, 0.9  # images a class; the accuracy at which as many are enough
BLURRED = 0.05  # accuracy: half of the interval
TRUSTED = 0.5  # accuracy, and probability of the other class, above which the network may accuse a label
ODDS = 20.0  # how much less likely than another class a label must be: one in twenty
NAMED = 100  # images that a finding names, of either set


def input_scale(case: Case) -> Finding | str | None:
    """See whether the numbers that reach the first layer have a mean near 0 and a standard deviation near 1.

    Source: LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", 4.3. He's and Glorot's initial values hand the scale of
    the input on to the logits; ten times too large or too small is what they don't bear. Pixels from 0 to 1, less a half,
    with a deviation of 0.2 to 0.4, are fine.
    """
    x = case.prepared.astype(np.float64)
    mean, std = float(x.mean()), float(x.std())
    far = abs(mean) > ASIDE * max(std, 1e-30)
    if np.isfinite(x).all() and SMALLEST <= std <= LARGEST and not far:
        return None
    fix = f"now mean={case.model.mean}, std={case.model.std}"
    images = (case.evaluated if case.train is None else case.train).images
    if images.dtype == np.uint8:  # x = (pixel / 255 - mean) / std
        pixels = x * np.asarray(case.model.std) + np.asarray(case.model.mean)
        fix += f"; of these images mean={pixels.mean():.3f}, std={max(pixels.std(), 0.01):.3f}"
    else:
        fix += ", which floating point images pass by: scale them before, or give uint8"
    return Finding(
        "the input's scale is wrong",
        "warning" if SMALLEST / 5 <= std <= LARGEST else "serious",
        f"the network receives numbers with mean {mean:.3g} and standard deviation {std:.3g}, from {x.min():.3g} to"
        f" {x.max():.3g}; expected about 0 and 1",
        f"scale pixels to mean 0 and variance 1 with the model's mean and std ({fix})",
    )


def blank_images(case: Case) -> Finding | str | None:
    """See whether images are one colour all over: nothing can be learned from those, or be seen in them."""
    sets: list[tuple[Kind, Dataset]] = [("evaluation", case.evaluated)]
    sets += [] if case.train is None else [("training", case.train)]
    places: list[Place] = []
    told = []
    for kind, data in sets:
        step = max(1, -(-len(data) * data.images[0].size // PIXELS))
        images = data.images[::step].reshape(-(-len(data) // step), -1)
        blank = np.flatnonzero((images == images[:, :1]).all(1)) * step
        if len(blank):
            told.append(f"{len(blank):,} of {len(images):,} {case.called(kind)} images")
            places += [(kind, i, f"labelled {case.named[data.labels[i]]}") for i in blank[:NAMED].tolist()]
    if not told:
        return None
    return Finding(
        "images of one colour",
        "warning",
        f"{' and '.join(told)} {'are' if len(told) > 1 or not told[0].startswith('1 ') else 'is'} one colour all over",
        "take them out, or find out how they got there: a picture that could not be read, a mask, a crop beside the picture",
        tuple(places),
    )


def imbalance(case: Case) -> Finding | str | None:
    """See whether classes are rare, and whether the rare ones are found less often.

    Source: Buda, Maki & Mazurowski 2018, "A systematic study of the class imbalance problem in convolutional neural
    networks", arXiv 1710.05381: up to 10 to 1 harms little; oversampling is what helps.
    """
    counts, classes = case.counts, len(case.model.classes)
    if classes < 2:
        return "there is one class"
    missing = np.flatnonzero(counts == 0)
    least, most = int(counts.argmin()), int(counts.argmax())
    ratio = float(counts[most] / max(1, int(counts[least])))
    recall = class_scores(case.matrix).recall
    rare = counts < counts[most] / RARE
    with np.errstate(invalid="ignore"):
        lost = _mean(recall[~rare]) - _mean(recall[rare])
    whose = "training" if case.train is not None else case.word
    if not len(missing) and (ratio < RARE or (ratio < RARER and not lost >= LOST)):
        return None
    effect = f"; recall is {_mean(recall[rare]):.0%} in the rare classes, {_mean(recall[~rare]):.0%} in the others"
    none = ", ".join(repr(case.named[i]) for i in missing[:3]) + (" ..." if len(missing) > 3 else "")
    return Finding(
        "classes without an image" if len(missing) else "rare classes",
        "serious"
        if len(missing) and case.train is not None
        else "warning"
        if lost >= LOST or ratio >= RARER
        else "note",
        f"{len(missing):,} of {classes:,} classes have no {whose} image: {none}"
        if len(missing)
        else f"{case.named[least]!r} has {counts[least]:,} {whose} images, {case.named[most]!r} has {counts[most]:,},"
        f" {ratio:.0f} times as many{effect if np.isfinite(lost) else ''}",
        "more images of the rare classes; show them more often (oversampling), or count their loss more; judge by each class's"
        " recall, not by the accuracy",
    )


def not_found(case: Case) -> Finding | str | None:
    """See whether a class is found less often than by guessing: who names each of K classes equally often finds 1 / K of it.

    Of ten images at least: of fewer, none may be found by chance.
    """
    classes, support = len(case.model.classes), case.matrix.sum(1)
    if classes < 2:
        return "there is one class"
    recall = class_scores(case.matrix).recall
    lost = np.flatnonzero((support >= JUDGED) & (recall < 1 / classes))
    if not len(lost) or failed(case):
        return None
    worst = int(lost[recall[lost].argmin()])
    others = case.matrix[worst] * (np.arange(classes) != worst)
    taken = int(others.argmax())
    return Finding(
        "classes that are hardly found",
        "warning",
        f"{case.matrix[worst, worst]:,} of {support[worst]:,} {case.word} images of {case.named[worst]!r} are found,"
        f" {others[taken]:,} are taken for {case.named[taken]!r}; {len(lost):,} of {classes:,} classes are found less"
        f" often than by guessing ({percent(1 / classes)})",
        "look at its images beside those of the other class: are its labels right, and can it be told at this size? More"
        " images of it, or both classes as one",
    )


def few_images(case: Case) -> Finding | str | None:
    """See whether there are enough images to learn from, where the answers are not good anyway.

    200 a class is our choice: CIFAR-100, with 500, is the smallest set that is usually learned from nothing. Below, the
    features of a trained network serve better: Donahue et al. 2014, "DeCAF", arXiv 1310.1531.
    """
    if case.train is None:
        return "no training images"
    each = len(case.train) / max(1, int(np.count_nonzero(case.counts)))
    if each >= ENOUGH or case.judged.accuracy >= GOOD or failed(case):
        return None
    return Finding(
        "few images to learn from",
        "warning",
        f"{len(case.train):,} training images are {each:.0f} a class, and {case.judged.accuracy:.1%} of the"
        f" {case.word} images are right",
        "begin with a trained network and a new head (`model.replace_head`): its features come from many more images;"
        " augmentation; more images",
    )


def few_to_judge_by(case: Case) -> Finding | str | None:
    """See how well the accuracy is known: between what it lies with 95 % confidence (Wilson 1927)."""
    right, images = int(case.judged.right.sum()), len(case.judged)
    low, high = interval(right, images)
    if (high - low) / 2 <= BLURRED:
        return None
    return Finding(
        "few images to judge by",
        "note",
        f"{right:,} of {images:,} {case.word} image{'s' if images > 1 else ''} {'are' if right != 1 else 'is'} right: the"
        f" accuracy is between {low:.0%} and {high:.0%}, with 95 % confidence",
        "believe no difference smaller than that; hold out more images, or average over several splits (cross-validation)",
    )


def wrong_labels(case: Case) -> Finding | str | None:
    """Find images that are confidently another class than their label: either the label is wrong, or the network is.

    Source: Northcutt, Jiang & Chuang 2019, "Confident Learning", arXiv 1911.00068 (`scores.suspects`); beyond it, the other
    class must be likelier than all the rest, and the label twenty times less likely than it. In ten well-known test sets
    3.3 % of the labels were wrong: Northcutt, Athalye & Mueller 2021, arXiv 2103.14749.
    """
    if failed(case):
        return "the training failed"
    told, places = [], list[Place]()
    sets: list[tuple[Kind, Array, Judged, Array]] = [
        ("evaluation", case.logits, case.judged, np.arange(len(case.judged)))
    ]
    if case.learned is not None and len(case.learned):
        sets.append(("training", case.learned_logits, case.learned, case.learned_from))
    sets = [one for one in sets if one[2].accuracy > TRUSTED]
    if not sets:
        return "at most half of the answers are right: too few to accuse a label"
    for kind, logits, judged, where in sets:
        found, looks = suspects(logits, judged)
        sure = judged.confidence[found] > np.maximum(TRUSTED, ODDS * judged.of_label[found])
        sure &= looks == judged.taken[found]
        found, looks = found[sure], looks[sure]
        if len(found):
            told.append(f"{len(found):,} of {len(judged):,} {case.called(kind)} images")
        for i, other in list(zip(found.tolist(), looks.tolist()))[:NAMED]:
            says = (
                f"labelled {case.named[judged.labels[i]]} ({percent(judged.of_label[i])}),"
                f" looks like {case.named[other]} ({percent(judged.confidence[i])})"
            )
            places.append((kind, int(where[i]), says))
    if not told:
        return None
    return Finding(
        "labels that look wrong",
        "note",
        f"{' and '.join(told)} are confidently taken for another class, their label at least {ODDS:g} times less likely",
        "look at each: is the label wrong, or the network? Correct or take out what is mislabelled, and train anew; what is"
        " right but rare needs more images like it",
        tuple(places),
    )


def _mean(values: Array) -> float:
    """Return the mean of what is a number; NaN of nothing."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")
