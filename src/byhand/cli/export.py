"""`byhand export`: a trained network as a web page, as ONNX, or as C99."""

import json
from contextlib import suppress
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from byhand import nn
from byhand.cli.column_options import ImageFolder, LabelColumn, PathColumn, SplitColumn, ValidationFold, table_options
from byhand.cli.command import (
    DATA,
    OUTPUT,
    TRAINED_MODEL,
    AsJson,
    ImageSize,
    Labels,
    Mean,
    OutputName,
    PixelRangeText,
    Reader,
    Std,
    Task,
    command,
    complete_pretrained,
    option,
)
from byhand.cli.look import find_run, render_page
from byhand.cli.model_argument import check_weights, format_shape, open_model, print_note, resolve_preprocessing
from byhand.cli.output_file import check_output
from byhand.cli.run_settings import read_settings
from byhand.cli.training_setup import find_as_trained, load_sets
from byhand.console import say, table_lines
from byhand.data import Dataset
from byhand.errors import ArgumentError, FileError
from byhand.export import ExportReport, check_folder, to_c
from byhand.export.layer_errors import LayerError
from byhand.files import write_whole
from byhand.text import quoted

CLASSIFIER_FILE = "classifier.html"


@command(
    "byhand export runs/efficientnet_lite0-photos --html",
    "byhand export runs/lenet5-mnist --onnx model.onnx --c firmware --int8",
    panel=OUTPUT,
)
def export(
    run: Annotated[str, typer.Argument(metavar="MODEL", help=TRAINED_MODEL, autocompletion=complete_pretrained)],
    page: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="HTML file, of --html only.", show_default="classifier.html in the run"),
    ] = None,
    html: Annotated[
        bool, option("--html", panel=OUTPUT, help="Write a web page: classifier and `byhand look`.")
    ] = False,
    onnx: Annotated[Path | None, option(metavar="FILE", panel=OUTPUT, help="Write an ONNX file.")] = None,
    softmax: Annotated[
        bool, option("--softmax", panel=OUTPUT, help="With --onnx: end in probabilities, not in logits.")
    ] = False,
    c: Annotated[Path | None, option("--c", metavar="DIR", panel=OUTPUT, help="Write C99 into a new folder.")] = None,
    int8: Annotated[
        bool, option("--int8", panel=OUTPUT, help="Quantize the C code to 8 bits, calibrated on training images.")
    ] = False,
    data: Annotated[
        str | None,
        option(panel=DATA, help="Data set for calibration and test of the C code.", show_default="the run's"),
    ] = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    split_column: SplitColumn = None,
    validation_fold: ValidationFold = None,
    image_folder: ImageFolder = None,
    labels: Labels = None,
    mean: Mean = None,
    std: Std = None,
    reader: Reader = None,
    pixel_range: PixelRangeText = None,
    size: ImageSize = None,
    output_name: OutputName = None,
    task: Task = None,
    as_json: AsJson = False,
) -> None:
    """Export a trained network as a web page, as ONNX, or as C99.

    The page is one self-contained HTML file: drop an image on it to classify it in the browser. The C code is one .c
    and one .h without malloc or printf, and a main.c that checks it on test images; a table shows errors, accuracy,
    RAM and flash.
    """
    if page is not None and not html:
        if page.suffix.lower() == ".onnx":
            raise ArgumentError(f"FILE is the HTML file of --html; for ONNX give --onnx {quoted(page)}")
        raise ArgumentError(f"{page} is the HTML file of --html; give --html with it")
    if onnx is None and c is None and not html:
        raise ArgumentError("no format given; give --html, --onnx FILE, --c DIR, or several")
    if c is None and (int8 or data is not None):
        raise ArgumentError("--int8 and --data are options of the C code; give --c DIR with them")
    columns = {
        "path_column": path_column,
        "label_column": label_column,
        "split_column": split_column,
        "validation_fold": validation_fold,
        "image_folder": None if image_folder is None else str(image_folder.resolve()),
    }
    if data is None and (given := table_options(columns).given):
        raise ArgumentError(f"{', '.join(given)} is for the table of --data; give --data with it")
    if softmax and onnx is None:
        raise ArgumentError("--softmax is an option of the ONNX file; give --onnx FILE with it")
    if c is not None:
        check_folder(c)
    if html:
        page = page or (Path(run) / CLASSIFIER_FILE if find_run(run) else Path(f"{Path(run).stem}-{CLASSIFIER_FILE}"))
    network = open_model(run, size, trained=True, output=output_name, task=task, labels=labels)
    note = resolve_preprocessing(network, run, mean, std, labels, reader, pixel_range)
    for path, option_name in ((onnx, "--onnx"), (page, "FILE")):
        if path is not None:
            check_output(path, option_name)
    found = None if c is None else _data(network, run, data, columns)
    if int8 and found is None:
        raise ArgumentError(f"{run} does not contain its training data's name; give --data DATA to calibrate int8")
    check_weights(network)
    message = None if onnx is None else _onnx(network, softmax)
    text = render_page(network, find_run(run), classifier=True) if html else None
    before = onnx.read_bytes() if onnx is not None and onnx.is_file() else None
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
        if onnx is not None:  # write all formats or none
            with suppress(OSError, FileError):
                onnx.unlink() if before is None else write_whole(onnx, before)
        raise
    if as_json:
        found_page = {} if page is None or text is None else {"html": {"file": str(page), "bytes": len(text)}}
        print(json.dumps(_object(network, onnx, message, c, done, softmax) | found_page, allow_nan=False))
        return
    if page is not None and text is not None:
        say(f"wrote {page}, {len(text) / 1e6:.2f} MB: a self-contained page that classifies images")
        if note:
            print_note(note)
    if onnx is not None and message is not None:
        say(_onnx_text(network, onnx, len(message), _output_kind(network, softmax)))
    if c is not None and done is not None:
        _print(network, c, done)


def _data(
    network: nn.Model, run: str, data: str | None, columns: dict[str, str | None]
) -> tuple[Dataset, Dataset] | None:
    """Return the training and the test set, of --data and the options of its table, or the run; None where none is known."""
    settings = read_settings(found) if (found := find_run(run)) else {}
    if data is not None:  # another set, with other columns
        settings |= {**columns, "data": data}
    if not isinstance(settings.get("data"), str):
        return None
    sets = load_sets(settings, find_as_trained(settings, network), network.input_shape, network.crop_pct or 1.0)
    if sets.held_out is None:
        raise ArgumentError(f"{data}: no class has two images; a test set needs one of them")
    return sets.train, sets.test or sets.held_out


def _onnx(network: nn.Model, softmax: bool) -> bytes:
    """Return a network as the bytes of an ONNX file; softmax: --softmax."""
    try:
        from byhand.onnx.save import as_onnx  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise FileError(str(error)) from None
    message: bytes = as_onnx(network, softmax=softmax).SerializeToString()
    return message


def _named(network: nn.Model) -> bool:
    """Tell whether the classes have names, which are stored in ONNX's metadata."""
    return network.classes != tuple(map(str, range(len(network.classes))))


def _output_kind(network: nn.Model, softmax: bool) -> str:
    """Return what the ONNX file's output is: logits, probabilities, ..."""
    from byhand.onnx.save import output_kind  # noqa: PLC0415  (an extra)

    return "probabilities" if softmax else output_kind(network)


def _onnx_text(network: nn.Model, file: Path, size: int, kind: str) -> str:
    height, width, channels = (*network.input_shape, 1, 1)[:3]
    names = "; " + f"the names of {len(network.classes):,} classes" if _named(network) else ""
    deep = network.preprocessing.pixel_range
    scaled = "" if deep is None else f"  scale its pixels first: {deep[0]:g} is 0, {deep[1]:g} is 255\n"
    return (
        f"wrote {file}, {size:,} bytes\n"
        f"  takes (N, {channels}, {height}, {width}) in {network.dtype}: (pixel / 255 - mean) / std\n{scaled}"
        f"  gives {_kind_text(network, kind)}\n"
        f"  in its metadata: mean {_spell(network.mean)}, std {_spell(network.std)}{names}"
    )


def _kind_text(network: nn.Model, kind: str) -> str:
    """Return what the file's output is, and how to get probabilities."""
    if kind in ("numbers", "features"):
        return kind
    of = "the second of two names" if network.answer.binary else f"{len(network.classes)} {network.task}"
    return f"{kind} of {of}" + ("" if kind == "probabilities" else "; --softmax writes probabilities")


def _spell(value: Any) -> str:
    return ", ".join(f"{number:g}" for number in (value if isinstance(value, list) else [value]))


# the printed report of the C export -----------------------------------------------------------------------------------


def _print(network: nn.Model, folder: Path, done: ExportReport) -> None:
    image = format_shape(network.input_shape)
    say(f"{network.name}: {image} -> {format_shape(network.logits.shape[1:])}, as C in {done.dtype}\n")
    say(f"{_summary(done)}\n")
    print(f"{_table(done)}\n")
    say(f"wrote to {folder}")
    header, code, main = done.files
    say(f"  {header:24}the interface\n  {code:24}the network\n  {main:24}checks it against Python")
    sources, program = f"{quoted(folder)}/*.c", quoted(Path(header).with_suffix(""))
    say(f"build and run:  cc -std=c99 -O2 {sources} -lm -o {program} && ./{program}")


def _table(done: ExportReport) -> str:
    """Return the table of errors, a row per layer: float32 C code against Python, int8 against float32."""
    int8 = done.dtype == "int8"
    heads = ["layer", "op", "shape", "float32 max error", "mean", *(["int8 max error", "mean", "SNR"] if int8 else [])]
    return "\n".join(table_lines([_cells(row, int8) for row in done.layer_errors], left=3, heads=heads))


def _cells(row: LayerError, int8: bool) -> list[str]:
    cells = [row.name, row.op, row.shape, f"{row.float32_max:.1e}", f"{row.float32_mean:.1e}"]
    if int8 and row.int8_max is not None and row.int8_mean is not None:
        noise = "-" if row.int8_snr is None else f"{row.int8_snr:.1f} dB" if isfinite(row.int8_snr) else "exact"
        cells += [f"{row.int8_max:.1e}", f"{row.int8_mean:.1e}", noise]
    return cells


def _summary(done: ExportReport) -> str:
    lines = []
    if done.accuracy_float32 is not None:
        accuracy = f"accuracy on {done.test_images:,} held-out images: float32 {done.accuracy_float32:.2%}"
        if done.accuracy_int8 is not None:
            accuracy = (
                f"accuracy on {done.test_images:,} held-out images: float32 {done.accuracy_float32:.2%},"
                f" int8 {done.accuracy_int8:.2%}"
            )
        lines.append(accuracy)
    if done.calibration_images:
        lines.append(f"calibrated on {done.calibration_images:,} training images")
    kind = "test" if done.test_images else "random"
    of = f"{done.compared_images:,} {kind} image{'s' * (done.compared_images != 1)}"
    reference = "; int8: against float32; SNR: signal-to-noise ratio" if done.dtype == "int8" else ""
    lines.append(f"max and mean absolute error on {of}; float32: C against Python{reference}")
    lines.append(
        f"RAM {done.ram_bytes:,} bytes, and up to {done.stack_bytes} of stack; flash {done.flash_bytes:,} bytes, and the code"
    )
    return "\n".join(lines)


def _object(
    network: nn.Model,
    onnx: Path | None,
    message: bytes | None,
    c: Path | None,
    done: ExportReport | None,
    softmax: bool,
) -> Any:
    found: dict[str, Any] = {"model": network.name}
    if onnx is not None and message is not None:
        found["onnx"] = {
            "file": str(onnx),
            "bytes": len(message),
            "output": _output_kind(network, softmax),
            "mean": network.mean,
            "std": network.std,
            "classes": list(network.classes) if _named(network) else None,
        }
    if c is not None and done is not None:
        rows = [
            {
                key: str(value) if isinstance(value, float) and not isfinite(value) else value
                for key, value in row.items()
            }
            for row in (asdict(layer) for layer in done.layer_errors)
        ]
        found["c"] = {"folder": str(c)} | asdict(done) | {"layer_errors": rows}
    return found
