"""`byhand look`: an interactive page of a network: activations, gradients and weights, in one HTML file."""

import os
import sys
import time
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from byhand import models, nn
from byhand.cli.command import (
    ANY_MODEL,
    MODEL,
    OUTPUT,
    ImageSize,
    Labels,
    Mean,
    OutputName,
    PixelRangeText,
    Reader,
    Std,
    Task,
    command,
    complete_architecture,
    option,
    output_option,
)
from byhand.cli.model_argument import image_reader, open_model, print_note, resolve_preprocessing
from byhand.cli.output_file import check_output
from byhand.cli.progress_bar import ProgressBar
from byhand.cli.run_settings import read_settings
from byhand.cli.training_setup import RUNS_FOLDER, TrainingSetup, find_as_trained, load_sets
from byhand.console import say
from byhand.data import Dataset, mnist
from byhand.errors import ByhandError, FileError
from byhand.files import write_whole
from byhand.nn import serialization
from byhand.ops.op import Array
from byhand.page import Look, Snapshot, document
from byhand.page.html import MAX_TEST_IMAGES
from byhand.text import command_line, printable
from byhand.train import Run, Trainer

HTML_FILE = "look.html"
MAX_OWN_IMAGES = 16  # the user's own images that a page holds
MAX_PAGE_TIME_FRACTION = 0.25  # of a training's time that updating its page may take


@command("byhand look runs/lenet5-mnist", "byhand look model.onnx photo.jpg -o page.html", panel=MODEL)
def look(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help=ANY_MODEL, autocompletion=complete_architecture, show_default="the newest run"
        ),
    ] = None,
    images: Annotated[list[Path] | None, typer.Argument(metavar="IMAGE", help="Images to run it on.")] = None,
    output: Annotated[Path | None, output_option("HTML file.", "look.html in the run, else NAME-look.html")] = None,
    no_open: Annotated[bool, option("--no-open", panel=OUTPUT, help="Don't open the page in a browser.")] = False,
    labels: Labels = None,
    mean: Mean = None,
    std: Std = None,
    reader: Reader = None,
    pixel_range: PixelRangeText = None,
    size: ImageSize = None,
    output_name: OutputName = None,
    task: Task = None,
) -> None:
    """Look inside a network: one self-contained HTML file that runs it in the browser, from disk.

    Feature maps and their gradients, the arithmetic of each number, training snapshots, editable kernels, channel ablation,
    Grad-CAM, the confusion matrix, a convolution step by step. For networks too large for a page it shows recorded values.
    """
    name = str(_newest()) if model is None else model
    network = open_model(name, size, output=output_name, task=task, labels=labels)
    note = resolve_preprocessing(network, name, mean, std, labels, reader, pixel_range)
    run = find_run(name)
    path = output or (run.folder / HTML_FILE if run else Path(f"{_stem(name)}-look.html"))
    own_images = _read_own_images(network, images or [], note)
    check_output(path)
    untrained = name in models.names() and not Path(name).exists() and name not in models.TRAINED
    page = render_page(network, run, own_images, untrained=untrained)
    write_whole(path, page)
    say(f"wrote {path}, {len(page) / 1e6:.2f} MB: one self-contained HTML file")
    if untrained:
        say(f"{name} is untrained: its weights are random; {command_line('byhand', 'train', name)} trains it")
    if not (no_open or open_in_browser(path)):
        say("open it with a browser")


def _newest() -> Path:
    found = [path.parent for path in RUNS_FOLDER.glob("*/model.safetensors")]
    if not found:
        raise FileError(
            f"there is no finished run in {RUNS_FOLDER}; train one with `byhand train`, or name a model: lenet5"
        )
    return max(found, key=lambda path: (path / "model.safetensors").stat().st_mtime)


def find_run(name: str) -> Run | None:
    """Return the run of a folder's name, None where it is no run."""
    return Run(name) if (Path(name) / "run.json").is_file() else None


def render_page(network: nn.Model, run: Run | None, images: Array | None = None, **more: bool) -> bytes:
    """Return a network's page, with the snapshots of its run and the images that it was not trained on."""
    held = _held_out(network, run)
    title = f"{network.name} on {held.name}" if run and held is not None and held.name else network.name
    return document(Look(network, printable(title), images, **_tests(held), **(_training(run) if run else {}), **more))  # type: ignore[arg-type]


def _stem(name: str) -> str:
    return Path(name).stem or "model"


def _read_own_images(network: nn.Model, images: Sequence[Path], note: str) -> Array | None:
    """Return the user's own images, (N, H, W, C)."""
    if len(images) > MAX_OWN_IMAGES:
        raise FileError(f"a page shows up to {MAX_OWN_IMAGES} images; got {len(images)}")
    read = image_reader(network, note) if images else None
    return None if read is None else np.stack([read(path) for path in images])


def _held_out(network: nn.Model, run: Run | None) -> Dataset | None:
    """Return images that a network was not trained on: of its run's data, or MNIST's for a digit classifier."""
    if run is None:
        digits = network.preprocessing.reader == "digit" and network.classes == tuple("0123456789")
        return mnist.load()[1] if digits else None
    bar = ProgressBar()
    try:
        settings = read_settings(run)
        shape = network.input_shape
        found = find_as_trained(settings, network, bar)
        held = load_sets(settings, found, shape, network.crop_pct or 1.0, bar).held_out
    except ByhandError as error:
        print_note(printable(f"no test images, as the data of {run.folder} can't be read: {error}"))
        return None
    finally:
        bar.close()
    return held if held is not None and held.shape == shape and held.classes == network.classes else None


def _tests(held: Dataset | None) -> dict[str, Any]:
    """Return at most MAX_TEST_IMAGES held-out images, of all classes, and their labels; nothing where they are not uint8."""
    if held is None or not len(held):
        return {}
    order = np.arange(len(held))
    if len(held) > MAX_TEST_IMAGES or held.files:  # images of a folder are sorted by class
        order = np.random.default_rng(0).permutation(len(held))[:MAX_TEST_IMAGES]
    sample = held.rows(order)
    images = np.asarray(sample.images[:])
    if images.dtype == np.uint8:
        return {"tests": images, "labels": sample.labels}
    print_note(
        printable(
            f"no test images: those of {held.name or 'this set'} are {images.dtype}, and a page shows pixels, uint8"
        )
    )
    return {}


def _training(run: Run) -> dict[str, Any]:
    """Return the snapshots and learning curves of a run."""
    curve = Trainer.load(run.checkpoint).curve if run.checkpoint.exists() else []
    return {"snapshots": _snapshots(run), "history": run.rows(), "curve": curve}


def _snapshots(run: Run) -> list[Snapshot]:
    found = []
    for step, path in run.snapshots():
        network, _, metadata = serialization.read(path)
        snapshot = metadata.get("snapshot")
        epoch = snapshot.get("epoch") if isinstance(snapshot, dict) else None
        found.append(Snapshot(step, float(epoch) if isinstance(epoch, (int, float)) else 0.0, network))
    return found


def page_writer(setup: TrainingSetup) -> tuple[Path, Callable[[], None]]:
    """Write a page into a run's folder; return its path, and the function that writes it again after an epoch."""
    path = setup.run.folder / HTML_FILE
    tests = _tests(setup.sets.held_out)
    title = f"{setup.model.name} on {setup.sets.train.name}"
    wrote, took, failed = -np.inf, 0.0, False

    def write() -> None:
        nonlocal wrote, took, failed
        if failed:
            return
        began = time.monotonic()
        trainer, live = setup.trainer, not setup.run.finished
        if live and took > MAX_PAGE_TIME_FRACTION * (began - wrote):
            return
        network = setup.final_model(trainer.model)
        page = Look(
            network,
            printable(title),
            snapshots=_snapshots(setup.run),
            history=trainer.history,
            curve=trainer.curve,
            live=live,
            **tests,
        )
        try:
            write_whole(path, document(page))
        except FileError as error:  # a failed page must not stop the training
            print_note(printable(str(error)))
            failed = True
        wrote = time.monotonic()
        took = wrote - began

    write()
    return path, write


def open_in_browser(path: Path) -> bool:
    """Open a page in the browser; return whether there is a browser."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False  # webbrowser would open a text browser in the terminal
    return webbrowser.open(path.resolve().as_uri())
