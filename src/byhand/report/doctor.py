"""The training doctor: what is wrong with a training, by what evidence, and what to try.

Each check is a function of a `Case`; it returns a `Finding`, None where all is well, or, as text, why it could not look. Its
docstring has the source of its limit, or the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from byhand.report import check_curves, check_data, check_network
from byhand.report.case import Case, Finding

Check = Callable[[Case], Finding | str | None]
CHECKS: dict[str, Check] = {  # causes before effects: the first of a severity is the first to see to
    "input scale": check_data.input_scale,
    "dead ReLUs": check_network.dead_relus,
    "exploding gradients": check_network.exploding,
    "vanishing gradients": check_network.vanishing,
    "unstable loss": check_curves.unstable,
    "loss stuck at guessing": check_curves.stuck,
    "labels that look wrong": check_data.wrong_labels,
    "images of one colour": check_data.blank_images,
    "rare classes": check_data.imbalance,
    "classes that are hardly found": check_data.not_found,
    "few images to learn from": check_data.few_images,
    "overfitting": check_curves.overfits,
    "underfitting": check_curves.underfits,
    "still improving": check_curves.still_improving,
    "few images to judge by": check_data.few_to_judge_by,
}
SEVERITIES = ("serious", "warning", "note")


@dataclass(frozen=True)
class Diagnosis:
    """What was found, what matters first; the checks that found nothing; and those that could not look, with the reason."""

    findings: list[Finding]
    well: list[str]
    unseen: dict[str, str]

    def __str__(self) -> str:
        done = len(self.well) + len(self.findings)
        if not self.findings:
            return f"the doctor has nothing to complain of: {done} checks"
        lines = [f"{one.severity}: {one.name}: {one.evidence}\n  try: {one.cure}" for one in self.findings]
        return "\n".join(lines)


def examine(model: Any, evaluated: Any, logits: Any, **rest: Any) -> list[Finding]:
    """Return what is wrong with a training, what matters first; nothing: all is well.

    model: the trained network; evaluated: a Dataset it was not trained on, logits: (N, classes) of it; history: a row an epoch,
    curve: points within them, as `Trainer.fit` leaves them; train: the training Dataset.

    >>> import byhand as bh
    >>> train, test = bh.data.load("mnist")
    >>> model, test = bh.models.create("lenet5"), test.take(500)
    >>> [one.name for one in examine(model, test, model.logits_of(test.images))]  # nothing was learned yet
    ['the loss is stuck at ln(10)']
    """
    return diagnose(Case(model, evaluated, logits, **rest)).findings


def diagnose(case: Case) -> Diagnosis:
    """Make every check."""
    found, well, unseen = list[Finding](), list[str](), dict[str, str]()
    for name, check in CHECKS.items():
        result = check(case)
        if isinstance(result, Finding):
            found.append(result)
        elif isinstance(result, str):
            unseen[name] = result
        else:
            well.append(name)
    return Diagnosis(sorted(found, key=lambda one: SEVERITIES.index(one.severity)), well, unseen)
