"""Checks of images and labels: input scale, blank images, label noise, class imbalance, low recall, small data sets."""

import numpy as np

from byhand.data import Dataset
from byhand.kernels import cdiv
from byhand.ops.op import Array
from byhand.report.diagnosis_input import (
    INPUT_MAX_PIXELS,
    DiagnosisInput,
    Finding,
    ImageNote,
    Severity,
    Subset,
    percent,
)
from byhand.report.doctor.loss_curves import ONE_CLASS, training_failed
from byhand.report.doctor.registry import check
from byhand.report.metrics import Predictions, find_label_issues, precision_recall_f1, wilson_interval

INPUT_MIN_STD = 0.1
INPUT_MAX_STD = 10.0
INPUT_SERIOUS_MIN_STD = INPUT_MIN_STD / 5
INPUT_MAX_MEAN_IN_STD = 5.0  # the mean's distance from 0, in standard deviations

IMBALANCE_MIN_RATIO = 3.0  # images of the largest class over those of a rare one
IMBALANCE_WARNING_RATIO = 10.0  # up to this, imbalance alone harms little (Buda et al. 2018)
IMBALANCE_MIN_RECALL_GAP = 0.10  # recall of frequent classes minus that of rare ones
RECALL_MIN_IMAGES = 10  # of a class, before its recall means something

SMALL_SET_MAX_IMAGES = 200  # per class
SMALL_SET_MAX_ACCURACY = 0.9  # a higher accuracy shows that the images suffice
INTERVAL_MAX_HALF_WIDTH = 0.05  # accuracy

LABEL_MIN_ACCURACY = 0.5  # of the network, before it may question labels
LABEL_MIN_CONFIDENCE = 0.5  # of the other class
LABEL_MIN_ODDS = 20.0  # probability of the other class over that of the label
LISTED_IMAGES = 100  # of each subset, in a finding


@check("input scale", stage="input")
def input_scale(inputs: DiagnosisInput) -> Finding | str | None:
    """The inputs of the first layer are far from mean 0 and standard deviation 1.

    Source: LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", 4.3. He's and Glorot's initialization pass the scale of the
    input on to the logits; a factor of ten is too much. Pixels from 0 to 1 minus a half, with a standard deviation of 0.2 to
    0.4, are fine.
    """
    x = inputs.network_inputs.astype(np.float64)
    mean, std = float(x.mean()), float(x.std())
    far = abs(mean) > INPUT_MAX_MEAN_IN_STD * max(std, 1e-30)
    if np.isfinite(x).all() and INPUT_MIN_STD <= std <= INPUT_MAX_STD and not far:
        return None
    settings = f"now mean={inputs.model.mean}, std={inputs.model.std}"
    images = (inputs.held_out if inputs.train is None else inputs.train).images
    if images.dtype == np.uint8:  # x = (pixel / 255 - mean) / std
        pixels = x * np.asarray(inputs.model.std) + np.asarray(inputs.model.mean)
        settings += f"; these images have mean={pixels.mean():.3f}, std={max(pixels.std(), 0.01):.3f}"
    else:
        settings += ", which floating point images bypass: scale them yourself, or pass uint8"
    return Finding(
        "wrong input scale",
        "warning" if INPUT_SERIOUS_MIN_STD <= std <= INPUT_MAX_STD else "serious",
        f"the network's inputs have mean {mean:.3g} and standard deviation {std:.3g}, and range from {x.min():.3g} to"
        f" {x.max():.3g}; expected about 0 and 1",
        f"normalize pixels to mean 0 and variance 1 with the model's mean and std ({settings})",
    )


@check("label noise", stage="data")
def label_noise(inputs: DiagnosisInput) -> Finding | str | None:
    """Images are confidently predicted as another class than their label: the label is wrong, or the network.

    Source: Northcutt, Jiang & Chuang 2019, "Confident Learning", arXiv 1911.00068 (`metrics.find_label_issues`); in addition
    the other class must have a probability above one half, and the label one twenty times smaller. Ten well-known test sets
    have 3.3% of wrong labels: Northcutt, Athalye & Mueller 2021, arXiv 2103.14749.
    """
    if training_failed(inputs):
        return "the training failed"
    counts, notes = [], list[ImageNote]()
    subsets: list[tuple[Subset, Array, Predictions, Array]] = [
        ("evaluation", inputs.logits, inputs.predictions, np.arange(len(inputs.predictions)))
    ]
    if inputs.train_predictions is not None and len(inputs.train_predictions):
        subsets.append(("training", inputs.train_sample_logits, inputs.train_predictions, inputs.train_indices))
    subsets = [part for part in subsets if part[2].accuracy > LABEL_MIN_ACCURACY]
    if not subsets:
        return "at most half of the predictions are correct, too few to question labels"
    for subset, logits, predictions, indices in subsets:
        issues, looks_like = find_label_issues(logits, predictions)
        confidence, label_probability = predictions.confidence[issues], predictions.label_probability[issues]
        certain = confidence > np.maximum(LABEL_MIN_CONFIDENCE, LABEL_MIN_ODDS * label_probability)
        certain &= looks_like == predictions.predicted[issues]
        issues, looks_like = issues[certain], looks_like[certain]
        if len(issues):
            counts.append(f"{len(issues):,} of {len(predictions):,} {inputs.subset_name(subset)} images")
        for i, other in list(zip(issues.tolist(), looks_like.tolist()))[:LISTED_IMAGES]:
            text = (
                f"labeled {inputs.class_names[predictions.labels[i]]} ({percent(predictions.label_probability[i])}),"
                f" looks like {inputs.class_names[other]} ({percent(predictions.confidence[i])})"
            )
            notes.append((subset, int(indices[i]), text))
    if not counts:
        return None
    return Finding(
        "label noise",
        "note",
        f"{' and '.join(counts)} are confidently predicted as another class, their label at least {LABEL_MIN_ODDS:g} times less"
        " probable",
        "review these images: correct or remove wrong labels, and train again; for correct but rare ones, add similar images",
        tuple(notes),
    )


@check("blank images", stage="data")
def blank_images(inputs: DiagnosisInput) -> Finding | str | None:
    """Images are one color all over, so they carry no information about their class."""
    subsets: list[tuple[Subset, Dataset]] = [("evaluation", inputs.held_out)]
    subsets += [] if inputs.train is None else [("training", inputs.train)]
    notes, counts = list[ImageNote](), []
    for subset, data in subsets:
        step = max(1, cdiv(len(data) * data.images[0].size, INPUT_MAX_PIXELS))
        images = data.images[::step].reshape(cdiv(len(data), step), -1)
        blank = np.flatnonzero((images == images[:, :1]).all(1)) * step
        if len(blank):
            counts.append(f"{len(blank):,} of {len(images):,} {inputs.subset_name(subset)} images")
            notes += [
                (subset, i, f"labeled {inputs.class_names[data.labels[i]]}") for i in blank[:LISTED_IMAGES].tolist()
            ]
    if not counts:
        return None
    several = len(counts) > 1 or not counts[0].startswith("1 ")
    return Finding(
        "blank images",
        "warning",
        f"{' and '.join(counts)} {'are' if several else 'is'} one color all over",
        "remove them, or find their cause: a file that could not be decoded, a mask, a crop outside the image",
        tuple(notes),
    )


@check("class imbalance", stage="data")
def class_imbalance(inputs: DiagnosisInput) -> Finding | str | None:
    """Classes have no image, or few images and a lower recall.

    Source: Buda, Maki & Mazurowski 2018, "A systematic study of the class imbalance problem in convolutional neural
    networks", arXiv 1710.05381: a ratio up to 10 to 1 harms little; oversampling helps.
    """
    counts, classes = inputs.class_counts, len(inputs.model.classes)
    if classes < 2:
        return ONE_CLASS
    missing = np.flatnonzero(counts == 0)
    subset = "training" if inputs.train is not None else inputs.held_out_name
    advice = (
        "more images of the rare classes; oversampling, or a class-weighted loss; judge by the recall of each class, not by the"
        " accuracy"
    )
    if len(missing):
        names = ", ".join(repr(inputs.class_names[i]) for i in missing[:3]) + (" ..." if len(missing) > 3 else "")
        severity: Severity = "serious" if inputs.train is not None else "warning"
        evidence = f"{len(missing):,} of {classes:,} classes have no {subset} image: {names}"
        return Finding("classes without images", severity, evidence, advice)
    smallest, largest = int(counts.argmin()), int(counts.argmax())
    ratio = float(counts[largest] / counts[smallest])
    recall = precision_recall_f1(inputs.confusion).recall
    rare = counts < counts[largest] / IMBALANCE_MIN_RATIO
    with np.errstate(invalid="ignore"):
        rare_recall, other_recall = _finite_mean(recall[rare]), _finite_mean(recall[~rare])
        gap = other_recall - rare_recall
    harmful = gap >= IMBALANCE_MIN_RECALL_GAP or ratio >= IMBALANCE_WARNING_RATIO
    if ratio < IMBALANCE_MIN_RATIO or not harmful:
        return None
    effect = f"; recall is {rare_recall:.0%} in the rare classes, {other_recall:.0%} in the others"
    return Finding(
        "class imbalance",
        "warning",
        f"{inputs.class_names[smallest]!r} has {counts[smallest]:,} {subset} images, {inputs.class_names[largest]!r} has"
        f" {counts[largest]:,}, {ratio:.0f} times as many{effect if np.isfinite(gap) else ''}",
        advice,
    )


@check("low recall", stage="data")
def low_recall(inputs: DiagnosisInput) -> Finding | str | None:
    """A class has a lower recall than random guessing, 1 / K; of classes with ten images at least."""
    classes, support = len(inputs.model.classes), inputs.confusion.sum(1)
    if classes < 2:
        return ONE_CLASS
    recall = precision_recall_f1(inputs.confusion).recall
    low = np.flatnonzero((support >= RECALL_MIN_IMAGES) & (recall < 1 / classes))
    if not len(low) or training_failed(inputs):
        return None
    lowest = int(low[recall[low].argmin()])
    wrong = inputs.confusion[lowest] * (np.arange(classes) != lowest)
    other = int(wrong.argmax())
    return Finding(
        "classes with low recall",
        "warning",
        f"{inputs.confusion[lowest, lowest]:,} of {support[lowest]:,} {inputs.held_out_name} images of"
        f" {inputs.class_names[lowest]!r} are recognized, {wrong[other]:,} are predicted as {inputs.class_names[other]!r};"
        f" the recall of {len(low):,} of {classes:,} classes is below chance ({percent(1 / classes)})",
        "compare its images with those of the other class: are the labels correct, is the difference visible at this image"
        " size? Add images of it, or merge the classes",
    )


@check("small training set", stage="data")
def few_training_images(inputs: DiagnosisInput) -> Finding | str | None:
    """There are fewer than 200 training images per class, and the accuracy is below 90%.

    The threshold is our choice: CIFAR-100, with 500, is the smallest set that is commonly trained from scratch. Below,
    features of a pretrained network serve better: Donahue et al. 2014, "DeCAF", arXiv 1310.1531.
    """
    if inputs.train is None:
        return "no training images"
    per_class = len(inputs.train) / max(1, int(np.count_nonzero(inputs.class_counts)))
    accuracy = inputs.predictions.accuracy
    if per_class >= SMALL_SET_MAX_IMAGES or accuracy >= SMALL_SET_MAX_ACCURACY or training_failed(inputs):
        return None
    return Finding(
        "small training set",
        "warning",
        f"{len(inputs.train):,} training images are {per_class:.0f} per class, and the {inputs.held_out_name} accuracy is"
        f" {accuracy:.1%}",
        inputs.advice(
            (
                "transfer learning: a pretrained network with a new classifier (`byhand train --from`, `model.replace_head`)",
                "transfer learning",
            ),
            ("augmentation", "augmentation"),
            ("more images", ""),
        ),
    )


@check("small evaluation set", stage="evaluation")
def few_evaluation_images(inputs: DiagnosisInput) -> Finding | str | None:
    """The 95% confidence interval of the accuracy is wider than 10 points (Wilson 1927)."""
    correct, images = int(inputs.predictions.correct.sum()), len(inputs.predictions)
    low, high = wilson_interval(correct, images)
    if (high - low) / 2 <= INTERVAL_MAX_HALF_WIDTH:
        return None
    return Finding(
        "small evaluation set",
        "note",
        f"{correct:,} of {images:,} {inputs.held_out_name} image{'s' if images > 1 else ''} {'are' if correct != 1 else 'is'}"
        f" correct: the accuracy is between {low:.0%} and {high:.0%}, with 95% confidence",
        "trust no smaller difference than that; hold out more images, or use cross-validation",
    )


def _finite_mean(values: Array) -> float:
    """Return the mean of the finite values; NaN if there are none."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")
