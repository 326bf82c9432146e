"""What the doctor reads from the curves: a training that learned nothing, ran away, learned by heart, or ended too early."""

from itertools import pairwise
from math import isfinite, log, sqrt

from byhand.report.diagnosis_input import Case, Finding

STUCK, WORSE = (
    0.95,
    1.1,
)  # of the loss of guessing: from here on nothing was learned; from here on it is worse than that
CHANCE = 0.05  # above the share of the largest class: an accuracy that guessing may have
ROSE, OFTEN = 0.1, 1 / 3  # a rise of the loss, as a part of guessing's; how many of the steps may rise
RAN_AWAY = 0.1  # above its best, as a part of guessing's loss
EXPLAINED = 0.5  # of the loss of guessing: who leaves more has not learned half of what there is to know
GAP, SURE = 0.10, 3.0  # accuracy lost on images never seen; standard errors that it must be above chance
WORSENED = 0.10  # of the held-out loss's best: Prechelt stops at 0.05, looking after each epoch
GAIN = 0.01  # of accuracy in the last epoch: a training of twice the length would give some points


def stuck(case: Case) -> Finding | str | None:
    """See whether anything was learned: a network that says the same of every image has the loss of guessing, ln K.

    Source of the number: the loss of K equal probabilities (Karpathy 2019, "A Recipe for Training Neural Networks", asks that
    training begins there); 5 % below it is 0.12 nats for ten classes.
    """
    if len(case.model.classes) < 2 or not case.guessing:
        return "there is one class"
    last = case.judged.loss.mean() if case.last_loss is None else case.last_loss
    share, most = case.counts.max() / case.counts.sum(), case.matrix.sum(0)
    if not STUCK * case.guessing <= last <= WORSE * case.guessing or case.judged.accuracy > share + CHANCE:
        return None
    count, favourite = len(case.model.classes), int(most.argmax())
    return Finding(
        f"the loss is stuck at ln({count})",
        "serious",
        f"the training loss ends at {last:.3f}; guessing by how frequent the classes are gives {case.guessing:.3f}"
        f" (ln {count} = {log(count):.3f}): nothing was learned. {most[favourite] / most.sum():.0%} of the images are taken for"
        f" {case.named[favourite]!r}",
        "see first to dead ReLUs, gradients and input scale in this list; then a learning rate ten times smaller, and ten times"
        " larger. A network that can learn must be able to learn twenty images by heart: try it on those. Do the labels fit"
        " the images?",
    )


def unstable(case: Case) -> Finding | str | None:
    """See whether the training loss goes down and stays there; a learning rate too large makes it climb, or jump.

    Source: Goodfellow, Bengio & Courville 2016, "Deep Learning", 11.4.1: too large a learning rate can increase the loss.
    """
    losses, scale = case.losses, case.guessing
    if len(losses) < 3 or not scale:
        return "fewer than three points of the training loss" if scale else "there is one class"
    cure = "a learning rate 3 to 10 times smaller, or one that is warmed up; clip_norm=1 keeps single steps short"
    best, last = min(losses), losses[-1]
    steps = [(after - before) / scale for before, after in pairwise(losses)]
    rises = [i for i, step in enumerate(steps) if step > ROSE]
    if len(rises) > 1 and len(rises) >= OFTEN * len(steps) and min(steps[rises[0] :]) < -ROSE:
        return Finding(
            "the loss jumps",
            "serious" if last > WORSE * scale else "warning",
            f"it rose by more than {ROSE:.0%} of guessing's {scale:.3f} in {len(rises)} of {len(steps)} steps from one"
            f" {'epoch' if len(losses) == len(case.history) else 'tenth of the training'} to the next, and fell again",
            cure,
        )
    if not all(map(isfinite, losses)) or last > max(best + RAN_AWAY * scale, WORSE * best):
        return Finding(
            "the loss ran away",
            "serious",
            f"the training loss was {best:.3f} at its best and ended at {last:.3f}; guessing gives {scale:.3f}",
            cure,
        )
    if last > WORSE * scale:
        return Finding(
            "the loss is worse than guessing",
            "serious",
            f"the training loss ends at {last:.3f}; guessing by how frequent the classes are gives {scale:.3f}",
            cure,
        )
    return None


def failed(case: Case) -> bool:
    """Tell whether the training as a whole came to nothing, so that lesser complaints would lead astray."""
    found = (stuck(case), unstable(case))
    return any(isinstance(one, Finding) and one.severity == "serious" for one in found)


def underfits(case: Case) -> Finding | str | None:
    """See how much of the labels the network explains on its own training images: 1 - loss / entropy of the classes.

    Source of the measure: McFadden 1974, pseudo R²; half of it is our choice of a limit (CIFAR-10 at 65 % explains 0.57).
    """
    learned, scale = case.learned, case.guessing
    if not scale or (learned is None and case.last_loss is None):
        return "there is one class" if not scale else "no training loss"
    loss = float(learned.loss.mean()) if learned is not None else case.last_loss
    assert loss is not None
    if 1 - loss / scale >= EXPLAINED or failed(case) or isinstance(overfits(case), Finding):
        return None
    return Finding(
        "it has not learned its own training images",
        "warning",
        f"on training images the loss is {loss:.3f} where guessing has {scale:.3f}:"
        f" {max(0.0, 1 - loss / scale):.0%} of what there is to know is learned{_accuracy(case)}",
        "train for more epochs, with a larger learning rate if the curve is smooth; then a larger network, or one with batch"
        " norms; larger images, if details matter. Weight decay, dropout and strong augmentation, if any, can be less",
    )


def overfits(case: Case) -> Finding | str | None:
    """See whether images never seen are answered worse than those that were trained on, or more and more so.

    Source: Prechelt 1998, "Early Stopping - But When?": its generalization loss, 100 (loss / best loss so far - 1), ends a
    training at 5. The gap in accuracy must be above what the number of images leaves to chance.
    """
    learned, accuracy, images = case.learned, case.judged.accuracy, len(case.judged)
    if learned is None and not case.history:
        return "no training accuracy"
    at_home = learned.accuracy if learned is not None else float(case.history[-1]["accuracy"])
    chance = SURE * sqrt(max(accuracy * (1 - accuracy), 0.25 / images) / images)
    said = []
    if at_home - accuracy > max(GAP, chance):
        said.append(f"{at_home:.1%} of the training images are right, {accuracy:.1%} of the {case.word} images")
    rows = [row for row in case.history if f"{case.held_out}_loss" in row]
    if len(rows) > 1:
        losses = [float(row[f"{case.held_out}_loss"]) for row in rows]
        at = losses.index(min(losses))
        # small beside guessing, a loss moves by chance
        worse = losses[-1] - losses[at] > max(WORSENED * losses[at], 0.02 * case.guessing)
        if worse and float(rows[-1]["loss"]) < float(rows[at]["loss"]):
            said.append(
                f"the {case.word} loss was best after epoch {rows[at]['epoch']}, {losses[at]:.3f}, and rose to"
                f" {losses[-1]:.3f} while the training loss fell"
            )
    if not said:
        return None
    return Finding(
        "it learns by heart (overfitting)",
        "warning",
        "; ".join(said),
        "more images, or augmentation (shifts, flips, crops); weight decay or dropout; a smaller network, or a trained one"
        " with a new head. Stop where the held-out loss was best",
    )


def still_improving(case: Case) -> Finding | str | None:
    """See whether the last epoch still brought more than a point of accuracy, and more than chance would."""
    prefix = f"{case.held_out}_" if case.held_out else ""
    rows = [row for row in case.history if f"{prefix}accuracy" in row]
    if len(rows) < 2:
        return "fewer than two epochs"
    values = [float(row[f"{prefix}accuracy"]) for row in rows]
    images = len(case.judged) if prefix else int(case.counts.sum())
    gain, chance = values[-1] - values[-2], sqrt(values[-1] * (1 - values[-1]) / images)
    if gain <= max(GAIN, chance) or values[-1] < max(values) or failed(case):
        return None
    what = f"{case.word} accuracy" if prefix else "training accuracy"
    return Finding(
        "it was still getting better",
        "note",
        f"the last epoch of {len(rows)} took the {what} from {values[-2]:.1%} to {values[-1]:.1%}",
        f"train longer: try {2 * len(rows)} epochs",
    )


def _accuracy(case: Case) -> str:
    return "" if case.learned is None else f"; {case.learned.accuracy:.1%} of them are right"
