"""The lines that `byhand train` prints before the first step, in three parts, each as soon as it is known.

1. the network and the data, before images are decoded;
2. what was found in the images, before the learning-rate range test;
3. the settings of the training.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from byhand import nn
from byhand.cli.defaults import Settings
from byhand.cli.model_argument import format_shape
from byhand.data.image_source import ImageSource
from byhand.data.split_names import purpose
from byhand.kernels.conv.problem import FLOAT32
from byhand.ops import DEFAULT_HAND
from byhand.shapes import Shape
from byhand.train.state import steps_per_epoch
from byhand.translation import translate

if TYPE_CHECKING:
    from byhand.cli.training_setup import TrainingSetup

PRINTED_BAD_FILES = 8
NO_PARAMETERS = ("_running_mean", "_running_var", "_key")  # states of batch norm and dropout

Tell = Callable[[Sequence[str]], None]  # prints lines


def title(settings: Settings, source: nn.Model | None, listing: ImageSource, shape: Shape) -> str:
    """Return the first line; source: the pretrained network, if any."""
    network = settings["model"] if source is None else source.name
    counts = listing.counts
    classes = counts.get("train") or counts["all"]
    return f"{network} on {listing.name}: {format_shape(shape)} -> {len(classes)} classes"


def data_lines(setup: "TrainingSetup", notes: Sequence[str]) -> list[str]:
    """Return the second part: the network's size, the images; notes: on the choice of defaults."""
    sets, network = setup.sets, setup.model
    summary = network.summary()
    parameters = f"{summary.parameters:,} parameters"
    if setup.full_model is not None:
        frozen = (value.size for name, value in vars(network.state).items() if not name.endswith(NO_PARAMETERS))
        total = summary.parameters + sum(frozen)
        parameters = f"{setup.trainer.model.parameter_count:,} of {total:,} parameters are trainable"
    counts = [purpose(part, f"{len(images):,}{' images' * (part == 'train')}") for part, images in sets.parts.items()]
    return [
        f"  {line}"
        for line in (
            f"{parameters}, {summary.flops:,} FLOPs per image",
            network.preprocessing.describe(network.input_shape),
            ", ".join(counts),
            *notes,
            *skipped_files_lines(sets.bad),
        )
    ]


def settings_lines(setup: "TrainingSetup", notes: Sequence[str], resume: bool) -> list[str]:
    """Return the third part: epochs, augmentation, optimizer, folder; notes: on the learning rate and the time budget."""
    settings, trainer = setup.settings, setup.trainer
    epochs, images = settings["epochs"], settings.get("epoch_size") or len(setup.train)
    steps = steps_per_epoch(images, trainer.batch_size)
    whole_batch = f" (more than the {images:,} images: all in one step)" if trainer.batch_size > images else ""
    kind, momentum = type(trainer.optimizer).__name__, getattr(trainer.optimizer, "momentum", 0.0)
    optimizer = f"{kind} with momentum {momentum:g}" if momentum else kind
    rate = f"one-cycle learning rate up to {trainer.optimizer.lr:g}"
    ranks = f"    {trainer.comm.size} ranks share each batch" if trainer.comm.size > 1 else ""
    precision = "" if trainer.precision == FLOAT32 else f"    precision: {trainer.precision}"
    tuned = "    tuned by `byhand tune`" if trainer.tuning.factors and trainer.hand == DEFAULT_HAND else ""
    lines = [
        *notes,
        f"{epochs} epoch{'s' * (epochs > 1)} of {steps:,} step{'s' * (steps > 1)}, batch {trainer.batch_size:,}{whole_batch}",
        *([f"augmentation: {trainer.augment}"] if trainer.augment.uniforms_per_image else []),
        *([f"label smoothing {trainer.label_smoothing:.3g}"] if trainer.label_smoothing else []),
        f"{optimizer}, {rate}, seed {trainer.seed}",
        f"hand: {trainer.hand}{precision}{tuned}    run: {setup.run.folder}{ranks}",
    ]
    if resume and trainer.state is not None:
        lines.append(f"resuming after {trainer.state.steps_done:,} steps")
    return [*(f"  {line}" for line in lines), ""]


def skipped_files_lines(bad: Sequence[tuple[str, str]]) -> list[str]:
    """Return lines that list skipped files with the reasons."""
    if not bad:
        return []
    lines = [f"{len(bad):,} unusable file{'s' * (len(bad) > 1)} skipped:"]
    lines += [f"  {name}  {translate(reason)}" for name, reason in bad[:PRINTED_BAD_FILES]]
    more = len(bad) - PRINTED_BAD_FILES
    return lines + ([f"  and {more:,} more: --json lists all"] if more > 0 else [])
