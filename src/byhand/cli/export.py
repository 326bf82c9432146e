"""`byhand export`: a trained network as a page, as ONNX, or as C that needs nothing else."""

import json
from contextlib import suppress
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from byhand import nn
from byhand.cli.look import check_page, page_of, run_of
from byhand.cli.model_argument import Mean, Size, Std, open_model, settle, spelled
from byhand.cli.training_setup import sets_of
from byhand.data import Dataset, find
from byhand.errors import ArgumentError, FileError
from byhand.export import ExportReport, check_folder, to_c
from byhand.export.layer_errors import LayerError
from byhand.files import write_whole
from byhand.models import TRAINED

CLASSIFIER = "classifier.html"
WIDE = 200  # columns of the table, at most


def export(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help=f"a run's folder, a model's file (ONNX too), or {', '.join(TRAINED)}")
    ],
    page: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="with --html: the page's file  [classifier.html in the run]")
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="write it as a page that answers, and shows itself")] = False,
    onnx: Annotated[Path | None, typer.Option(metavar="FILE", help="write it as ONNX")] = None,
    c: Annotated[Path | None, typer.Option("--c", metavar="DIR", help="write it as C99, into a new folder")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="the C in 8 bits, calibrated on the training data")] = False,
    data: Annotated[str | None, typer.Option(help="a data set's name or folder  [what the run was trained on]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else")] = False,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
) -> None:
    """Write a trained network as a page, as ONNX, or as C that needs nothing else.

    The page is one HTML file: whoever opens it drops a picture and reads the answer, without Python, and looks inside.
    The C is one .c and one .h without malloc or printf, and a main.c that shows on images of the test set that it does what
    Python does. A table tells what each layer differs by, accuracy, and RAM and flash in bytes.
    """
    if page is not None and not html:
        raise ArgumentError(f"{page} is the file of a page; give --html with it")
    if onnx is None and c is None and not html:
        raise ArgumentError("nothing to write; give --html, --onnx FILE, --c DIR, or several")
    if c is None and (int8 or data is not None):
        raise ArgumentError("--int8 and --data are of the C; give --c DIR with them")
    if onnx is not None and onnx.exists():
        raise FileError(f"{onnx} exists already; choose another file with --onnx")
    if c is not None:
        check_folder(c)
    if html:
        page = page or (Path(run) / CLASSIFIER if run_of(run) else Path(f"{Path(run).stem}-{CLASSIFIER}"))
        check_page(page)
    network = open_model(run, size, trained=True)
    settle(network, run, mean, std)
    found = None if c is None else _data(network, run, data)
    if int8 and found is None:
        raise ArgumentError(f"{run} does not say what it was trained on; --data DATA tells what to calibrate int8 on")
    message = None if onnx is None else _onnx(network)
    text = page_of(network, run_of(run), classifier=True) if html else None
    if message is not None and onnx is not None:
        write_whole(onnx, message)
    done = None
    try:
        if c is not None:
            train, test = found or (None, None)
            done = to_c(network, c, int8=int8, train=train, test=test)
        if page is not None and text is not None:
            write_whole(page, text)
    except BaseException:
        if onnx is not None:  # all that was asked for, or nothing
            with suppress(OSError):
                onnx.unlink()
        raise
    if as_json:
        found_page = {} if page is None or text is None else {"html": {"file": str(page), "bytes": len(text)}}
        print(json.dumps(_object(network, onnx, message, c, done) | found_page))
        return
    if page is not None and text is not None:
        print(f"wrote {page}, {len(text) / 1e6:.2f} MB: whoever opens it drops a picture and reads the answer")
    if onnx is not None and message is not None:
        print(_told_onnx(network, onnx, len(message)))
    if c is not None and done is not None:
        _print(network, c, done)


def _data(network: nn.Model, run: str, data: str | None) -> tuple[Dataset, Dataset] | None:
    """Return the training set, and the one to test on: of the data asked for, else the run's; None where it has none."""
    settings = found.settings if (found := run_of(run)) else {}
    if data is None:
        data = settings["data"] if isinstance(settings.get("data"), str) else None
    if data is None:
        return None
    sets = sets_of(settings, find(data), network.input_shape, network.crop_pct or 1.0)
    if sets.held_out is None:
        raise ArgumentError(f"{data}: no class has two images; one of them must be set aside to test on")
    return sets.train, sets.test or sets.held_out


def _onnx(network: nn.Model) -> bytes:
    """Return a network as ONNX's bytes."""
    try:
        from byhand.onnx.save import as_onnx  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise FileError(str(error)) from None
    message: bytes = as_onnx(network).SerializeToString()
    return message


def _named(network: nn.Model) -> bool:
    """Tell whether classes have names, which go into ONNX's metadata."""
    return network.classes != tuple(map(str, range(len(network.classes))))


def _told_onnx(network: nn.Model, file: Path, size: int) -> str:
    height, width, channels = (*network.input_shape, 1, 1)[:3]
    names = f", the names of {len(network.classes)} classes" if _named(network) else ""
    return (
        f"wrote {file}, {size:,} bytes\n"
        f"  takes (N, {channels}, {height}, {width}) in {network.dtype}: (pixel / 255 - mean) / std\n"
        f"  in its metadata: mean {_spell(network.mean)}, std {_spell(network.std)}{names}"
    )


def _spell(value: Any) -> str:
    return ", ".join(f"{one:g}" for one in (value if isinstance(value, list) else [value]))


# what is told of the C ------------------------------------------------------------------------------------------------


def _print(network: nn.Model, folder: Path, done: ExportReport) -> None:
    image = spelled(network.input_shape)
    print(f"{network.name}: {image} -> {spelled(network.logits.shape[1:])}, as C in {done.dtype}\n")
    print(_table(done))
    print(f"\n{_summary(done)}\n\nwrote to {folder}")
    header, code, main = done.files
    print(f"  {header:24}how to call it\n  {code:24}the network\n  {main:24}shows that it does what Python does")
    print(
        f"to try it:  cc -std=c99 -O2 {folder}/*.c -lm -o {header.removesuffix('.h')} && ./{header.removesuffix('.h')}"
    )


def _table(done: ExportReport) -> str:
    """Return a row a layer: float32 as C adds beside Python, int8 beside that."""
    small, table = done.dtype == "int8", Table(box=None, pad_edge=False, header_style="dim")
    heads = ["layer", "op", "shape", "float32 off by", "mean", *(["int8 off by", "mean", "SNR"] if small else [])]
    for i, name in enumerate(heads):
        table.add_column(name, justify="left" if i < 3 else "right", no_wrap=True)
    for row in done.layer_errors:
        table.add_row(*_cells(row, small))
    console = Console(highlight=False, markup=False, width=WIDE)
    with console.capture() as printed:
        console.print(table)
    return "\n".join(line.rstrip() for line in printed.get().splitlines())


def _cells(row: LayerError, small: bool) -> list[str]:
    cells = [row.name, row.op, row.shape, f"{row.float32_max:.1e}", f"{row.float32_mean:.1e}"]
    if small and row.int8_max is not None and row.int8_mean is not None:
        noise = "-" if row.int8_snr is None else f"{row.int8_snr:.1f} dB" if isfinite(row.int8_snr) else "exact"
        cells += [f"{row.int8_max:.1e}", f"{row.int8_mean:.1e}", noise]
    return cells


def _summary(done: ExportReport) -> str:
    lines = []
    if done.accuracy_float32 is not None:
        told = f"accuracy on {done.test_images:,} test images: float32 {done.accuracy_float32:.2%}"
        lines.append(told + ("" if done.accuracy_int8 is None else f", int8 {done.accuracy_int8:.2%}"))
    if done.calibration_images:
        lines.append(f"calibrated on {done.calibration_images:,} training images")
    of = f"{done.compared_images} {'test' if done.test_images else 'random'} images"
    beside = "; int8 beside that; SNR: signal to noise" if done.dtype == "int8" else ""
    lines.append(f"off by, mean: the largest and the mean difference on {of}; float32 in C beside Python{beside}")
    flash = f"flash {done.flash_bytes:,} bytes, and the code"
    lines.append(f"RAM {done.ram_bytes:,} bytes, and up to {done.stack_bytes} of stack; {flash}")
    return "\n".join(lines)


def _object(
    network: nn.Model, onnx: Path | None, message: bytes | None, c: Path | None, done: ExportReport | None
) -> Any:
    found: dict[str, Any] = {"model": network.name}
    if onnx is not None and message is not None:
        found["onnx"] = {
            "file": str(onnx), "bytes": len(message), "mean": network.mean, "std": network.std,
            "classes": list(network.classes) if _named(network) else None,
        }  # fmt: skip
    if c is not None and done is not None:
        rows = [
            {
                key: str(value) if isinstance(value, float) and not isfinite(value) else value
                for key, value in row.items()
            }
            for row in (asdict(one) for one in done.layer_errors)
        ]
        found["c"] = {"folder": str(c)} | asdict(done) | {"layer_errors": rows}
    return found
