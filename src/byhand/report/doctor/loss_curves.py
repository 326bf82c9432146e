"""Checks of the learning curves: loss at chance level, divergence, overfitting, underfitting, training that ended too early."""

from itertools import pairwise
from math import isfinite, log, sqrt

from byhand.report.diagnosis_input import DiagnosisInput, Finding
from byhand.report.doctor.registry import check

# Fractions of the chance loss, the loss of a constant predictor
CHANCE_MIN_FRACTION = 0.95  # a final loss above this is at chance level
CHANCE_MAX_FRACTION = 1.1  # a final loss above this is worse than chance
JUMP_MIN_RISE = 0.1  # a rise from one point of the curve to the next that counts as a jump
DIVERGED_MIN_FRACTION = 0.1  # the final loss above the best one
HELD_OUT_MIN_FRACTION = 0.02  # a smaller rise of the held-out loss is noise
REGULARIZATION = ("weight decay", "dropout", "augmentation")  # which keep a network from fitting
UNDERFIT_MAX_EXPLAINED = 0.5  # 1 - loss / chance loss: McFadden's pseudo R²

JUMP_MIN_FRACTION = 1 / 3  # of all steps, before the loss is called unstable
CHANCE_ACCURACY_MARGIN = 0.05  # above the frequency of the largest class
OVERFIT_MIN_GAP = 0.10  # training accuracy minus held-out accuracy
OVERFIT_MIN_STANDARD_ERRORS = 3.0  # of that gap
OVERFIT_MIN_LOSS_RISE = 0.10  # of the best held-out loss; Prechelt stops at 0.05, with a look after every epoch
IMPROVING_MIN_GAIN = 0.01  # accuracy gained in the last epoch
ONE_CLASS = "there is one class"


@check("unstable loss", stage="optimization")
def unstable_loss(inputs: DiagnosisInput) -> Finding | str | None:
    """The training loss jumps, diverges, or ends above chance level: the learning rate is too large.

    Source: Goodfellow, Bengio & Courville 2016, "Deep Learning", 11.4.1: too large a learning rate can increase the loss.
    """
    losses, chance = inputs.training_losses, inputs.chance_loss
    if len(losses) < 3 or not chance:
        return "fewer than three points of the training loss" if chance else ONE_CLASS
    advice = "a learning rate 3 to 10 times smaller, or learning rate warmup; gradient clipping with clip_norm=1"
    best, last = min(losses), losses[-1]
    steps = [(after - before) / chance for before, after in pairwise(losses)]
    jumps = [i for i, step in enumerate(steps) if step > JUMP_MIN_RISE]
    if len(jumps) > 1 and len(jumps) >= JUMP_MIN_FRACTION * len(steps) and min(steps[jumps[0] :]) < -JUMP_MIN_RISE:
        interval = "epoch" if len(losses) == len(inputs.history) else "tenth of the training"
        return Finding(
            "unstable training loss",
            "serious" if last > CHANCE_MAX_FRACTION * chance else "warning",
            f"it rose by more than {JUMP_MIN_RISE:.0%} of the chance loss, {chance:.3f}, in {len(jumps)} of {len(steps)}"
            f" steps from one {interval} to the next, and fell again",
            advice,
        )
    if not all(map(isfinite, losses)) or last > max(best + DIVERGED_MIN_FRACTION * chance, CHANCE_MAX_FRACTION * best):
        return Finding(
            "diverging training loss",
            "serious",
            f"the training loss was {best:.3f} at its best and ended at {last:.3f}; chance level is {chance:.3f}",
            advice,
        )
    if last > CHANCE_MAX_FRACTION * chance:
        return Finding(
            "loss above chance level",
            "serious",
            f"the training loss ends at {last:.3f}; predicting the class frequencies gives {chance:.3f}",
            advice,
        )
    return None


@check("loss at chance level", stage="optimization")
def loss_at_chance(inputs: DiagnosisInput) -> Finding | str | None:
    """The loss stays at chance level: a network that predicts the same for every image has the loss ln K.

    Source: Karpathy 2019, "A Recipe for Training Neural Networks", asks that training begins there; 5% below it is 0.12 nats
    for ten classes.
    """
    chance = inputs.chance_loss
    if len(inputs.model.classes) < 2 or not chance:
        return ONE_CLASS
    last = inputs.predictions.loss.mean() if inputs.final_loss is None else inputs.final_loss
    largest, predicted = inputs.class_counts.max() / inputs.class_counts.sum(), inputs.confusion.sum(0)
    if not CHANCE_MIN_FRACTION * chance <= last <= CHANCE_MAX_FRACTION * chance:
        return None
    if inputs.predictions.accuracy > largest + CHANCE_ACCURACY_MARGIN:
        return None
    classes, favorite = len(inputs.model.classes), int(predicted.argmax())
    return Finding(
        f"loss stuck at ln({classes})",
        "serious",
        f"the training loss ends at {last:.3f}; predicting the class frequencies gives {chance:.3f}"
        f" (ln {classes} = {log(classes):.3f}), so nothing was learned; {predicted[favorite] / predicted.sum():.0%} of the"
        f" images are predicted as {inputs.class_names[favorite]!r}",
        "first the dead ReLUs, gradients and input scale of this list; then a learning rate ten times smaller, and ten times"
        " larger; check that the labels belong to the images. A network that can learn overfits twenty images: try that",
    )


def training_failed(inputs: DiagnosisInput) -> bool:
    """Tell whether the training as a whole failed; checks of finer problems would then mislead."""
    findings = (loss_at_chance(inputs), unstable_loss(inputs))
    return any(isinstance(finding, Finding) and finding.severity == "serious" for finding in findings)


@check("overfitting", stage="generalization")
def overfitting(inputs: DiagnosisInput) -> Finding | str | None:
    """The accuracy on held-out images is far below that on training images, or the held-out loss rises again.

    Source: Prechelt 1998, "Early Stopping - But When?": stop where the generalization loss, 100 (loss / best loss so far - 1),
    exceeds 5. The gap in accuracy must also exceed three standard errors.
    """
    trained, accuracy, images = inputs.train_predictions, inputs.predictions.accuracy, len(inputs.predictions)
    if trained is None and not inputs.history:
        return "no training accuracy"
    train_accuracy = trained.accuracy if trained is not None else float(inputs.history[-1]["accuracy"])
    noise = OVERFIT_MIN_STANDARD_ERRORS * sqrt(max(accuracy * (1 - accuracy), 0.25 / images) / images)
    evidence = []
    if train_accuracy - accuracy > max(OVERFIT_MIN_GAP, noise):
        evidence.append(
            f"the accuracy is {train_accuracy:.1%} on training images, {accuracy:.1%} on {inputs.held_out_name} images"
        )
    rows = [row for row in inputs.history if f"{inputs.held_out_prefix}_loss" in row]
    rows = [row for row in rows if row["epoch"] <= inputs.judged_epoch]  # later ones are not in the network
    if len(rows) > 1:
        losses = [float(row[f"{inputs.held_out_prefix}_loss"]) for row in rows]
        best = losses.index(min(losses))
        rise = losses[-1] - losses[best]
        rose = rise > max(OVERFIT_MIN_LOSS_RISE * losses[best], HELD_OUT_MIN_FRACTION * inputs.chance_loss)
        if rose and float(rows[-1]["loss"]) < float(rows[best]["loss"]):
            evidence.append(
                f"the {inputs.held_out_name} loss was best after epoch {rows[best]['epoch']}, {losses[best]:.3f}, and rose to"
                f" {losses[-1]:.3f} while the training loss fell"
            )
    if not evidence:
        return None
    return Finding(
        "overfitting",
        "warning",
        "; ".join(evidence),
        inputs.advice(
            ("more images", ""),
            ("augmentation (shifts, flips, crops)", "augmentation"),
            ("weight decay", "weight decay"),
            ("dropout", "dropout"),
            ("a smaller network", ""),
            ("transfer learning", "transfer learning"),
            *([] if inputs.held_out_prefix == "val" else [("early stopping where the held-out loss was best", "")]),
        ),
    )


@check("underfitting", stage="generalization")
def underfitting(inputs: DiagnosisInput) -> Finding | str | None:
    """The network does not fit its own training images: 1 - loss / chance loss is below one half.

    Source: McFadden 1974, pseudo R²; the threshold is our choice (CIFAR-10 at 65% accuracy has 0.57).
    """
    trained, chance = inputs.train_predictions, inputs.chance_loss
    if not chance or (trained is None and inputs.final_loss is None):
        return ONE_CLASS if not chance else "no training loss"
    loss = float(trained.loss.mean()) if trained is not None else inputs.final_loss
    assert loss is not None
    explained = 1 - loss / chance
    if explained >= UNDERFIT_MAX_EXPLAINED or training_failed(inputs) or isinstance(overfitting(inputs), Finding):
        return None
    accuracy = "" if trained is None else f"; the training accuracy is {trained.accuracy:.1%}"
    return Finding(
        "underfitting",
        "warning",
        f"the loss on training images is {loss:.3f}, chance level is {chance:.3f}: pseudo R²"
        f" {max(0.0, explained):.2f}{accuracy}",
        "more epochs, and a larger learning rate if the curve is smooth; then a larger network, or one with batch norm; larger"
        f" images, if details matter{_less(inputs)}",
    )


def _less(inputs: DiagnosisInput) -> str:
    """Return the advice to use less of what keeps a network from fitting, if it was used."""
    used = [name for name in REGULARIZATION if inputs.methods is None or name in inputs.methods]
    return f"; less {' and '.join(filter(None, [', '.join(used[:-1]), used[-1]]))}" if used else ""


@check("still improving", stage="generalization")
def still_improving(inputs: DiagnosisInput) -> Finding | str | None:
    """The last epoch still gained more than a point of accuracy, and more than one standard error."""
    prefix = f"{inputs.held_out_prefix}_" if inputs.held_out_prefix else ""
    rows = [row for row in inputs.history if f"{prefix}accuracy" in row]
    if len(rows) < 2:
        return "fewer than two epochs"
    values = [float(row[f"{prefix}accuracy"]) for row in rows]
    images = len(inputs.predictions) if prefix else int(inputs.class_counts.sum())
    gain, noise = values[-1] - values[-2], sqrt(values[-1] * (1 - values[-1]) / images)
    if gain <= max(IMPROVING_MIN_GAIN, noise) or values[-1] < max(values) or training_failed(inputs):
        return None
    name = f"{inputs.held_out_name} accuracy" if prefix else "training accuracy"
    return Finding(
        "still improving",
        "note",
        f"the last of {len(rows)} epochs raised the {name} from {values[-2]:.1%} to {values[-1]:.1%}",
        f"train longer: try {2 * len(rows)} epochs",
    )
