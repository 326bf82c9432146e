"""The training doctor: what is wrong with a training, by what evidence, and what to try.

Each check is a function of a `Case`; it returns a `Finding`, None where all is well, or, as text, why it could not look. Its
docstring has the source of its limit, or the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from byhand.report.diagnosis_input import Case, Finding
from byhand.report.doctor import curves, data, network

Check = Callable[[Case], Finding | str | None]
CHECKS: dict[str, Check] = {  # causes before effects: the first of a severity is the first to see to
    "input scale": data.input_scale,
    "dead ReLUs": network.dead_relus,
    "exploding gradients": network.exploding,
    "vanishing gradients": network.vanishing,
    "unstable loss": curves.unstable,
    "loss stuck at guessing": curves.stuck,
    "labels that look wrong": data.wrong_labels,
    "images of one colour": data.blank_images,
    "rare classes": data.imbalance,
    "classes that are hardly found": data.not_found,
    "few images to learn from": data.few_images,
    "overfitting": curves.overfits,
    "underfitting": curves.underfits,
    "still improving": curves.still_improving,
    "few images to judge by": data.few_to_judge_by,
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
