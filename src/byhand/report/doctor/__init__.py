"""The training doctor: checks for known problems of a training, each with its evidence and advice.

Every module of this package registers its checks with the decorator of `registry.py`; a new check is a function there, or in a
new file here, and nothing else.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

from byhand.data import Dataset
from byhand.nn import Model
from byhand.ops.op import Array
from byhand.report.diagnosis_input import DiagnosisInput, Finding, check_learns_classes
from byhand.report.doctor.registry import Check, check, registered_checks

for module in iter_modules(__path__):
    import_module(f"{__name__}.{module.name}")

__all__ = ["SEVERITIES", "Check", "Diagnosis", "check", "diagnose", "examine", "registered_checks"]

SEVERITIES = ("serious", "warning", "note")


@dataclass(frozen=True)
class Diagnosis:
    """The result of all checks: findings, most severe first; names of passed checks; skipped checks with the reason."""

    findings: list[Finding]
    passed: list[str]
    skipped: dict[str, str]

    def __str__(self) -> str:
        if not self.findings:
            return f"no problems found by {len(self.passed)} checks"
        lines = [f"{item.severity}: {item.name}: {item.evidence}\n  try: {item.advice}" for item in self.findings]
        return "\n".join(lines)


def examine(
    model: Model,
    held_out: Dataset,
    logits: Array,
    *,
    history: Sequence[Mapping[str, float]] = (),
    curve: Sequence[Sequence[float]] = (),
    train: Dataset | None = None,
    train_logits: Array | None = None,
    methods: Collection[str] | None = None,
) -> list[Finding]:
    """Return the problems of a training, most severe first; an empty list where there are none.

    model: the trained network; held_out: images that it was not trained on, logits: (N, classes) of them; history: a row per
    epoch, curve: points within the epochs, as `Trainer.fit` leaves them; train: the training images;
    methods: what the training did already (`DiagnosisInput`).

    >>> import byhand as bh
    >>> train, test = bh.data.load("mnist")
    >>> model, test = bh.models.create("lenet5"), test.take(500)
    >>> [finding.name for finding in examine(model, test, model.logits_of(test.images))]  # before any training
    ['loss stuck at ln(10)']
    """
    check_learns_classes("examine", model)
    return diagnose(DiagnosisInput(model, held_out, logits, history, curve, train, train_logits, methods)).findings


def diagnose(inputs: DiagnosisInput) -> Diagnosis:
    """Run every check."""
    findings, passed, skipped = list[Finding](), list[str](), dict[str, str]()
    for entry in registered_checks():
        result = entry.run(inputs)
        if isinstance(result, Finding):
            findings.append(result)
        elif isinstance(result, str):
            skipped[entry.name] = result
        else:
            passed.append(entry.name)
    return Diagnosis(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)), passed, skipped)
