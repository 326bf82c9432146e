"""`byhand look`: a network whole, as one page: forward and backward, down to the numbers of one patch."""

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
from byhand.cli.model_argument import MODEL, Mean, Size, Std, open_model, plain, reader, settle, tell
from byhand.cli.progress import Bar
from byhand.cli.training_setup import Job, sets_of
from byhand.data import Dataset, find, mnist
from byhand.errors import ByhandError, FileError
from byhand.files import write_whole
from byhand.nn import file
from byhand.ops.op import Array
from byhand.page import Look, Snapshot, document
from byhand.page.html import GENERATOR, TESTS
from byhand.train import Run, Trainer

PAGE = "look.html"
MOST = 16  # pictures of the reader's own
RUNS = Path("runs")
SPARE = 4  # times as long as a page took to write, until the next


def look(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help=f"{MODEL}  [the newest run]")] = None,
    images: Annotated[list[Path] | None, typer.Argument(metavar="IMAGE", help="pictures to show it")] = None,
    out: Annotated[
        Path | None, typer.Option(help="the page's file  [look.html in the run, else NAME-look.html]")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="write it, and open nothing")] = False,
    labels: Annotated[Path | None, typer.Option(help="a file with the names of the classes, one a line")] = None,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
) -> None:
    """Show a network whole: one HTML file that computes by itself, and opens from disk.

    Its maps and their gradients, the numbers of one patch and the lines that made them; training at its snapshots; kernels
    to edit, channels to switch off; Grad-CAM, the confusion matrix, a convolution step by step. A network that is too large
    for a page shows what Python recorded of the pictures.
    """
    name = str(_newest()) if model is None else model
    network = open_model(name, size)
    settle(network, name, mean, std, labels)
    run = run_of(name)
    path = out or (run.folder / PAGE if run else Path(f"{_stem(name)}-look.html"))
    check_page(path)
    untrained = name in models.names() and not Path(name).exists() and name not in models.TRAINED
    page = page_of(network, run, _read(network, images or []), untrained=untrained)
    write_whole(path, page)
    print(f"wrote {path}, {len(page) / 1e6:.2f} MB: one file, which opens from disk and needs nothing else")
    if not (no_open or opened(path)):
        print("open it with a browser")


def _newest() -> Path:
    found = [path.parent for path in RUNS.glob("*/model.safetensors")]
    if not found:
        raise FileError(f"there is no finished run in {RUNS}; train one with `byhand train`, or name a model: lenet5")
    return max(found, key=lambda path: (path / "model.safetensors").stat().st_mtime)


def run_of(name: str) -> Run | None:
    """Return the run that a name means, if it means one."""
    return Run(name) if (Path(name) / "run.json").is_file() else None


def page_of(network: nn.Model, run: Run | None, images: Array | None = None, **more: bool) -> bytes:
    """Return a network's page: with what its run kept, and the images that it was not trained on."""
    held = _held_out(network, run)
    title = f"{network.name} on {held.name}" if run and held is not None and held.name else network.name
    return document(Look(network, plain(title), images, **_tests(held), **(_training(run) if run else {}), **more))  # type: ignore[arg-type]


def _stem(name: str) -> str:
    return Path(name).stem or "model"


def check_page(path: Path) -> None:
    """Raise a FileError for a file that is there and is no page of ours, which alone are written over."""
    try:
        with path.open("rb") as opened:
            ours = f'content="{GENERATOR}"'.encode() in opened.read(2000)
    except FileNotFoundError:
        return
    except OSError as error:
        raise FileError(f"can't write {path}: {error.strerror}; choose another file with --out") from None
    if not ours:
        raise FileError(f"{path} exists already and is no page of byhand; choose another file with --out")


def _read(network: nn.Model, images: Sequence[Path]) -> Array | None:
    """Return the reader's own pictures, (N, H, W, C)."""
    if len(images) > MOST:
        raise FileError(f"a page shows up to {MOST} pictures of your own; got {len(images)}")
    read = reader(network) if images else None
    return None if read is None else np.stack([read(path) for path in images])


def _held_out(network: nn.Model, run: Run | None) -> Dataset | None:
    """Return images that a network was not trained on: its run's, or MNIST's for one that reads digits."""
    if run is None:
        digits = network.input_shape == (28, 28, 1) and network.classes == tuple(map(str, range(10)))
        return mnist.load()[1] if digits and network.crop_pct is None else None
    settings = run.settings
    bar = Bar()
    try:
        shape = network.input_shape
        held = sets_of(
            settings, find(str(settings.get("data")), bar.tell), shape, network.crop_pct or 1.0, bar
        ).held_out
    except ByhandError as error:
        tell(plain(f"no test images, as the data of {run.folder} can't be read: {error}"))
        return None
    finally:
        bar.close()
    return held if held is not None and held.shape == shape and held.classes == network.classes else None


def _tests(held: Dataset | None) -> dict[str, Any]:
    """Return up to 1,000 of held out images, of all classes, and their labels; none where they are no pixels."""
    if held is None or not len(held):
        return {}
    order = np.arange(len(held))
    if len(held) > TESTS or held.files:  # the images of a folder lie class by class
        order = np.random.default_rng(0).permutation(len(held))[:TESTS]
    some = held.rows(order)
    images = np.asarray(some.images[:])
    if images.dtype == np.uint8:
        return {"tests": images, "labels": some.labels}
    tell(
        plain(f"no test images: those of {held.name or 'this set'} are {images.dtype}, and a page shows pixels, uint8")
    )
    return {}


def _training(run: Run) -> dict[str, Any]:
    """Return what a run kept of its training."""
    curve = Trainer.load(run.checkpoint).curve if run.checkpoint.exists() else []
    return {"snapshots": _snapshots(run), "history": run.rows(), "curve": curve}


def _snapshots(run: Run) -> list[Snapshot]:
    found = []
    for step, path in run.snapshots():
        network, _, about = file.read(path)
        told = about.get("snapshot")
        epoch = told.get("epoch") if isinstance(told, dict) else None
        found.append(Snapshot(step, float(epoch) if isinstance(epoch, (int, float)) else 0.0, network))
    return found


def keep_fresh(job: Job) -> tuple[Path, Callable[[], None]]:
    """Write a page into a run's folder; return its path, and the function that writes it again after an epoch."""
    path = job.run.folder / PAGE
    tests = _tests(job.sets.held_out)
    title = f"{job.model.name} on {job.sets.train.name}"
    wrote, took, failed = -np.inf, 0.0, False

    def write() -> None:
        nonlocal wrote, took, failed
        if failed:
            return
        began = time.monotonic()
        trainer, live = job.trainer, not job.run.finished
        if live and began - wrote < SPARE * took:  # a page must not take longer than what it shows
            return
        network = job.finished(trainer.model)
        page = Look(
            network, plain(title), snapshots=_snapshots(job.run), history=trainer.history, curve=trainer.curve,
            live=live, **tests,
        )  # fmt: skip
        try:
            write_whole(path, document(page))
        except FileError as error:  # training is worth more than its page
            tell(plain(str(error)))
            failed = True
        wrote = time.monotonic()
        took = wrote - began

    write()
    return path, write


def opened(path: Path) -> bool:
    """Open a page in the browser; return whether there is one to open it in."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False  # what would open here is a browser of text
    return webbrowser.open(path.resolve().as_uri())
