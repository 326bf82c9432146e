"""`byhand train`: trains a network on a data set, and writes the run's folder with model, checkpoint, log and report."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from byhand import models
from byhand.cli import training_setup
from byhand.cli.column_options import ImageFolder, LabelColumn, PathColumn, SplitColumn, ValidationFold
from byhand.cli.command import (
    CONTROL_C_EXIT_CODE,
    DATA,
    HAND_CHOICES,
    MODEL,
    OUTPUT,
    PRECISION_HELP,
    TRAINING,
    AsJson,
    Mean,
    OutputName,
    PixelRangeText,
    Reader,
    Std,
    Task,
    choices,
    command,
    complete_architecture,
    option,
    output_option,
)
from byhand.cli.defaults import Settings, split_arguments
from byhand.cli.look import page_writer
from byhand.cli.model_argument import parse_image_size
from byhand.cli.progress_bar import ProgressBar
from byhand.cli.training_output import evaluate_and_report
from byhand.cli.training_setup import TTA, TrainingSetup
from byhand.console import discard, fitted, say
from byhand.data.augment.registry import shown_order
from byhand.errors import ArgumentError
from byhand.kernels.conv.problem import FLOAT32
from byhand.ops import DEFAULT_HAND
from byhand.text import command_line
from byhand.train.distributed.mpi import world
from byhand.train.history import Row
from byhand.train.optim import OPTIMIZERS
from byhand.train.tensorboard import FOLDER, TensorBoard, import_tensorboard
from byhand.translation import translate

AUGMENTATION_CHOICES = ", ".join(
    entry.name if entry.example is None else f"{entry.name}={entry.example:g}" for entry in shown_order()
)
OPTIMIZER_CHOICES = choices(sorted(name.lower() for name in OPTIMIZERS))


@command(
    "byhand train",
    "byhand train photos --minutes 5 --model small --augment flip,crop=0.3",
    "byhand train photos --from efficientnet_lite0 --unfreeze 3",
    panel=TRAINING,
)
def train(
    data_and_model: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA|MODEL",
            help="DATA: mnist, a folder with a subfolder of images per class, a folder of IDX files, an .npz, or a table "
            "(.csv, .tsv, .txt, .jsonl) of paths and labels. MODEL: an architecture (see `byhand models`). In any order.",
        ),
    ] = None,
    data: Annotated[str | None, option(panel=DATA, help="Alias of DATA.", show_default="mnist")] = None,
    size: Annotated[
        str | None,
        option(
            "--image-size",
            metavar="HxW",
            panel=DATA,
            help="Resize images to HEIGHTxWIDTH.",
            show_default="as they are",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        option(
            panel=DATA,
            show_default="by shape",
            help=f"Augmentation: none, or a list, without spaces, of {AUGMENTATION_CHOICES}.",
        ),
    ] = None,
    validation_fraction: Annotated[
        float | None,
        option(
            panel=DATA, show_default="0.2", help="Fraction of each class for validation, if there is no val folder."
        ),
    ] = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    split_column: SplitColumn = None,
    validation_fold: ValidationFold = None,
    image_folder: ImageFolder = None,
    pixel_range: PixelRangeText = None,
    reader: Reader = None,
    stream: Annotated[
        bool, option("--stream", panel=DATA, help="Decode images while training, even if all fit in memory.")
    ] = False,
    model: Annotated[
        str | None,
        option(
            panel=MODEL,
            autocompletion=complete_architecture,
            help="Alias of MODEL.",
            show_default="by the data: lenet5, efficientnet_lite0 or small",
        ),
    ] = None,
    source: Annotated[
        str | None,
        option(
            "--from",
            panel=MODEL,
            metavar="NETWORK",
            help="Transfer learning: a trained network that gets a new classifier (efficientnet_lite0, a run, an ONNX file). "
            "none: train from scratch.",
        ),
    ] = None,
    output_name: OutputName = None,
    mean: Mean = None,
    std: Std = None,
    task: Task = None,
    unfreeze: Annotated[
        str | None,
        option(
            panel=MODEL,
            metavar="N",
            show_default="0",
            help="With --from: layers to train below the classifier, or all.",
        ),
    ] = None,
    tta: Annotated[
        str | None,
        option(
            panel=MODEL, metavar="|".join(TTA), show_default="none", help="Test-time augmentation of the saved model."
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        option(panel=TRAINING, help="Passes over the training images.", show_default="5 for mnist, else 8 to 60"),
    ] = None,
    minutes: Annotated[
        float | None, option(panel=TRAINING, help="Time budget instead of --epochs: as many epochs as fit.")
    ] = None,
    batch_size: Annotated[
        int | None, option(panel=TRAINING, help="Images per step.", show_default="64 for mnist, else 16 to 256")
    ] = None,
    optimizer: Annotated[
        str | None,
        option(
            panel=TRAINING,
            help=f"Optimizer: {OPTIMIZER_CHOICES}.",
            show_default="muon; sgd for mnist and with --from",
        ),
    ] = None,
    lr: Annotated[
        float | None,
        option(
            "--lr",
            "--learning-rate",
            panel=TRAINING,
            help="Peak learning rate of the one-cycle schedule.",
            show_default="0.1 for mnist, 0.003 with --unfreeze N, else from the data",
        ),
    ] = None,
    label_smoothing: Annotated[
        float | None, option(panel=TRAINING, help="Label smoothing, from 0 up to 1.", show_default="0")
    ] = None,
    early_stopping: Annotated[
        int | None,
        option(
            metavar="EPOCHS",
            panel=TRAINING,
            help="Stop after so many epochs without a better validation accuracy (if equal, a smaller validation loss).",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        option(panel=TRAINING, help="Seed of initial weights, split, shuffling and augmentation.", show_default="0"),
    ] = None,
    hand: Annotated[
        str | None,
        option(panel=TRAINING, help=f"Implementation of the ops: {HAND_CHOICES}.", show_default=DEFAULT_HAND),
    ] = None,
    precision: Annotated[str | None, option(panel=TRAINING, help=PRECISION_HELP, show_default=FLOAT32)] = None,
    sync_batchnorm: Annotated[
        bool, option("--sync-batchnorm", panel=TRAINING, help="Under mpiexec: synchronize batch norm across ranks.")
    ] = False,
    resume: Annotated[
        bool, option("--resume", panel=TRAINING, help="Resume a stopped run: --output, or the newest.")
    ] = False,
    output: Annotated[Path | None, output_option("The run's folder.", "runs/MODEL-DATA", metavar="DIR")] = None,
    look: Annotated[
        bool,
        option(
            "--look", panel=OUTPUT, help="Update look.html in the run's folder, the page of `byhand look`, every epoch."
        ),
    ] = False,
    tensorboard: Annotated[
        bool, option("--tensorboard", panel=OUTPUT, help="Write TensorBoard event files to the run's folder.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a network: by default LeNet-5 on MNIST; with a folder of images, an image classifier for its classes."""
    started, ranks = time.perf_counter(), world()
    verbose = not as_json and ranks.rank == 0
    model_name, data_name = split_arguments(data_and_model or [])
    given: Settings = {
        "model": _one_of("model", model_name, model),
        "data": _one_of("data set", data_name, data),
        "from": source,
        "output_name": output_name,
        "mean": mean,
        "std": std,
        "task": task,
        "unfreeze": _unfrozen_layers(unfreeze),
        "epochs": epochs,
        "minutes": minutes,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "lr": lr,
        "augment": augment,
        "label_smoothing": label_smoothing,
        "tta": tta,
        "size": None if size is None else list(parse_image_size(size)),
        "validation_fraction": validation_fraction,
        "early_stopping": early_stopping,
        "pixel_range": pixel_range,
        "reader": reader,
        "stream": stream or None,
        "path_column": path_column,
        "label_column": label_column,
        "split_column": split_column,
        "validation_fold": validation_fold,
        "image_folder": None if image_folder is None else str(image_folder.resolve()),
        "seed": seed,
        "hand": hand,
        "precision": precision,
        "sync_batchnorm": sync_batchnorm or None,
    }
    for name in ("data", "from"):
        if given[name] not in (None, *models.ARCHITECTURES) and Path(str(given[name])).exists():
            given[name] = str(Path(str(given[name])).resolve())  # --resume works from any folder
    if tensorboard:
        import_tensorboard()  # refused before anything is read
    bar = ProgressBar(quiet=not verbose)
    tell = _print_lines if verbose else lambda lines: None
    try:
        if resume:
            setup = training_setup.resume(given, output, bar, tell)
        else:
            setup = training_setup.start(given, output, started, bar, tell)
    except KeyboardInterrupt:
        raise _stopped_before_training(bar, as_json) from None
    finally:
        bar.close()
    settings, run = setup.settings, setup.run
    callbacks: list[Callable[[Row], object]] = []
    if tensorboard and ranks.rank == 0:
        callbacks.append(TensorBoard(run.folder / FOLDER))
    page, write_page = page_writer(setup) if look and ranks.rank == 0 else (None, None)
    if write_page is not None:
        callbacks.append(lambda row: write_page())
    if page:
        tell([f"watch the training:  {page}", ""])
    held_out: dict[str, Any] = {"validation" if setup.sets.val is not None else "test": setup.held_out}
    try:
        setup.trainer.fit(
            setup.train,
            **held_out,
            epochs=settings["epochs"],
            epoch_size=settings.get("epoch_size"),
            early_stopping=settings.get("early_stopping"),
            stop_when_learned=settings.get("stop_when_learned", False),
            max_seconds=setup.max_seconds,
            quiet=not verbose,
            run=run,
            callbacks=callbacks,
            export_model=setup.final_model,
        )
    except KeyboardInterrupt:  # the second Ctrl-C, within a step
        raise _stopped(setup, as_json, within_step=True) from None
    if setup.trainer.state is not None:  # Ctrl-C
        raise _stopped(setup, as_json)
    if ranks.rank > 0:  # rank 0 writes the report
        return
    try:
        if write_page is not None:
            write_page()
        bar.spin("evaluating, and writing the report")
        result, summary = evaluate_and_report(setup, time.perf_counter() - started)
    except KeyboardInterrupt:
        raise _stopped(setup, as_json) from None
    finally:
        bar.close()
    if as_json:
        result |= {"history": setup.trainer.history, "images_per_second": setup.trainer.images_per_second}
        print(json.dumps(result | {"seconds": time.perf_counter() - started, "run": str(run.folder)}))
    else:
        _print_lines(summary)


def _stopped_before_training(bar: ProgressBar, as_json: bool) -> typer.Exit:
    """Say in which phase Ctrl-C stopped a training before its first step, on rank 0; return the exit."""
    bar.close()
    if as_json and world().rank == 0:
        print(json.dumps({"test": None, "history": [], "stopped": True, "run": None}))
    elif world().rank == 0:
        say(f"stopped before the first step ({bar.task or 'opening the data'}): nothing was written")
    return typer.Exit(CONTROL_C_EXIT_CODE)


def _stopped(setup: TrainingSetup, as_json: bool, *, within_step: bool = False) -> typer.Exit:
    """Say what is kept of a training that Ctrl-C stopped, and how to resume it, on rank 0; return the exit."""
    run, kept = setup.run, "everything is saved"
    if within_step:
        kept = "stopped at once; the last checkpoint is kept"
        if not run.checkpoint.exists():
            kept = "stopped at once, before the first checkpoint; the settings are kept"
    if as_json and setup.trainer.comm.rank == 0:
        print(json.dumps({"test": None, "history": setup.trainer.history, "stopped": True, "run": str(run.folder)}))
    elif setup.trainer.comm.rank == 0:
        say(f"{kept}; resume with:  {command_line('byhand', 'train', '--resume', '--output', run.folder)}")
    return typer.Exit(CONTROL_C_EXIT_CODE)


def _one_of(kind: str, argument: str | None, option_value: str | None) -> str | None:
    if argument is not None and option_value is not None and argument != option_value:
        raise ArgumentError(f"got two {kind}s: {argument} and {option_value}; expected one")
    return option_value if argument is None else argument


def _unfrozen_layers(text: str | None) -> int | str | None:
    if text is None or text == training_setup.ALL:
        return text
    if not (text.isascii() and text.isdigit()):
        raise ArgumentError(f"--unfreeze is {text!r}; expected a number of layers, or all")
    return int(text)


def _print_lines(lines: Sequence[str]) -> None:
    """Print lines; if standard output is closed, as by `| head`, discard them and let training continue."""
    try:
        print(fitted(translate("\n".join(lines))), flush=True)
    except BrokenPipeError:
        discard(sys.stdout)
