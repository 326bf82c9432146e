"""The learning rate and the time budget of `byhand train`: what is measured before the first step, and within which time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from byhand.cli.progress_bar import ProgressBar
from byhand.data import Dataset
from byhand.train.lr_finder import RANGE_TEST_STEPS, affordable_steps, find_learning_rate, trial_step_seconds
from byhand.train.time_budget import TIMING_SECONDS, plan_epochs, seconds_per_step

if TYPE_CHECKING:
    from byhand.cli.training_setup import TrainingSetup

FINE_TUNING_RATE = 0.003  # learning rate of pretrained layers

# --minutes
REPORT_SECONDS = 4.0  # for matplotlib and the files of the report
MAX_PLANNED_EPOCHS = 300  # thousands would fit for a small classifier, without gain
RANGE_TEST_FRACTION = 0.1  # of the budget, at most
TIMING_FRACTION = 0.05  # of the budget, for timing steps
TRIAL_STEP_FRACTION = 0.3  # of that time: a trial step that took longer is timing enough
TIMED_IMAGES = (16, 256)  # for timing an evaluation
PLANNED_FRACTION = 0.95  # of the budget; the speed of a machine varies


@dataclass
class TimeBudget:
    """A number of minutes that began with the command."""

    minutes: float
    started: float  # a time of time.perf_counter
    step_seconds: float | None = None  # of a training step, once it was tried

    @property
    def seconds(self) -> float:
        """The whole budget."""
        return 60 * self.minutes

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.started + self.seconds - time.perf_counter()


def learning_rate(setup: TrainingSetup, budget: TimeBudget | None, bar: ProgressBar) -> tuple[float, str]:
    """Return a learning rate, and its origin for the notes."""
    unfreeze = setup.settings["unfreeze"]
    if setup.full_model is not None and setup.settings["optimizer"] == "sgd":
        if unfreeze:
            return FINE_TUNING_RATE, "small, for fine-tuning pretrained layers"
        return classifier_rate(setup.train), "2 / mean squared norm of the features"
    task, steps = "learning-rate range test", RANGE_TEST_STEPS
    bar.begin(task)
    if budget is not None:
        budget.step_seconds = trial_step_seconds(setup.trainer, setup.train)
        left = setup.trainer.comm.broadcast(budget.left)  # clocks of ranks differ
        steps = affordable_steps(min(RANGE_TEST_FRACTION * budget.seconds, left), budget.step_seconds)
    if not steps:
        share = f"{RANGE_TEST_FRACTION:.0%} of the time"
        origin = f"the default of {setup.settings['optimizer']}; a range test would take more than {share}"
        return type(setup.trainer.optimizer)().lr, origin
    found = find_learning_rate(
        setup.trainer, setup.train, steps, progress=lambda done, total: bar.update(done, total, task)
    )
    return found.learning_rate, "found by a learning rate range test"


def classifier_rate(features: Dataset) -> float:
    """Return a learning rate for a linear layer: the curvature of its loss is at most half the squared norm of its inputs."""
    squared_norm = float(np.mean(np.square(features.images, dtype=np.float64).sum((1, 2, 3))))
    return float(f"{2 / max(squared_norm, 1e-6):.2g}")


def plan_training(setup: TrainingSetup, budget: TimeBudget, bar: ProgressBar) -> str:
    """Set the number of epochs that fits into a time budget, and the seconds of their steps; return a note on it."""
    from byhand.report.diagnosis_input import RESCORE_MAX_FLOPS  # noqa: PLC0415  (matplotlib)

    settings, trainer, train = setup.settings, setup.trainer, setup.train
    bar.begin("timing training steps")
    timing = max(0.0, min(TIMING_SECONDS, TIMING_FRACTION * budget.seconds))
    step = budget.step_seconds
    if step is None or step < timing * TRIAL_STEP_FRACTION:
        step = seconds_per_step(trainer, train, timing)
    image = 0.0 if setup.held_out is None else _evaluation_seconds(setup, setup.held_out, timing)
    evaluation = 0.0 if setup.held_out is None else image * len(setup.held_out)
    rescored = 0 if setup.full_model else min(len(train), RESCORE_MAX_FLOPS / max(1, setup.model.summary().flops))
    left = budget.left - REPORT_SECONDS - evaluation - rescored * image
    left, evaluation = trainer.comm.broadcast((left, evaluation))  # clocks of ranks differ
    epochs, images = plan_epochs(
        left * PLANNED_FRACTION,
        step_seconds=step,
        images=len(train),
        batch_size=trainer.batch_size,
        evaluation_seconds=evaluation,
    )
    epochs = min(epochs, MAX_PLANNED_EPOCHS)
    settings["epochs"], settings["epoch_size"] = epochs, min(images, len(train))
    setup.max_seconds = max(0.0, left - evaluation)
    planned = f"{epochs:,} epoch{'s' * (epochs > 1)}" if images >= len(train) else f"one epoch of {images:,} images"
    minutes = f"{budget.minutes:g} minute{'s' * (budget.minutes != 1)}"
    return f"{planned} in {minutes}: a step takes {step:.2g} s, an evaluation {evaluation:.2g} s"


def _evaluation_seconds(setup: TrainingSetup, held_out: Dataset, timing: float) -> float:
    """Return the seconds of evaluating an image, measured in about the given time."""
    trainer, seconds = setup.trainer, 0.0
    for count in sorted({min(count, len(held_out)) for count in TIMED_IMAGES}):
        sample = held_out.take(count)
        trainer.evaluate(sample)  # compiles
        before = time.perf_counter()
        trainer.evaluate(sample)
        seconds = trainer.comm.maximum(time.perf_counter() - before) / count
        if 2 * seconds * max(TIMED_IMAGES) > timing:
            break
    return seconds
