"""The files of an exported model: a header, the program, and a main that checks its results on example images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from byhand.errors import FileError
from byhand.export.c_source import STACK_BYTES, CSource, result_name, run_parameters
from byhand.export.c_text import number_lines
from byhand.export.lowering import Network
from byhand.files import write_whole
from byhand.ops.op import Array

TOLERANCE = 1e-5  # of C's results against Python's: relative above 1, absolute below


@dataclass(frozen=True)
class Examples:
    """The examples that main.c runs: images (N, H, W, C) in uint8, Python's results, and labels where they are known."""

    images: Array
    expected: Array
    labels: Array | None = None


def c_files(source: CSource, examples: Examples) -> dict[str, bytes]:
    """Return the contents of all files by name."""
    prefix, network = source.prefix, source.network
    about = f"the network {network.name} in {source.dtype}, written by byhand"
    files = {
        f"{prefix}.h": header(source, about),
        f"{prefix}.c": source.code(about),
        "main.c": main(source, examples),
    }
    return {name: ("\n".join(lines) + "\n").encode() for name, lines in files.items()}


def header(source: CSource, about: str) -> Iterator[str]:
    """Yield the lines of the `.h` file."""
    prefix, network = source.prefix, source.network
    upper, result = prefix.upper(), result_name(network)
    height, width, channels = (*network.input.shape, 1, 1)[:3]
    interleaved = f", {channels} interleaved channels" if channels > 1 else ""
    yield f"""/* {prefix}.h: {about}

   {prefix}_run(image, {result}) takes one image of {height} x {width} pixels, 0 to 255, row by row{interleaved}, and
   writes {network.result or ("the probability of each class" if network.classes else "the output of the network")}.

   Preprocessing in training, of which {prefix}_run does the last step, the pixels, itself:
   {network.preprocessing.replace("*/", "")}

   RAM    {source.ram_bytes} bytes, static, and up to {STACK_BYTES} on the stack.
   flash  {source.flash_bytes} bytes of constants, and the code.

   It allocates no memory, prints nothing and can't fail. It is not reentrant: all values are computed in one static array,
   so that only one thread, or one interrupt handler, may run it at a time. */
#ifndef {upper}_H
#define {upper}_H

#ifdef __cplusplus
extern "C" {{
#endif

#define {upper}_HEIGHT {height}
#define {upper}_WIDTH {width}
#define {upper}_CHANNELS {channels}
#define {upper}_{"CLASSES" if network.classes else "OUTPUTS"} {network.output.size}
"""
    if network.classes:
        yield f"extern const char *const {prefix}_classes[{len(network.classes)}]; /* their names, in UTF-8 */"
    yield f"""void {prefix}_run({run_parameters(network)});

#ifdef __cplusplus
}}
#endif

#endif"""


def main(source: CSource, examples: Examples) -> Iterator[str]:
    """Yield the lines of `main.c`."""
    prefix, network, count = source.prefix, source.network, len(examples.images)
    result, size, outputs = result_name(network), prod(network.input.shape), network.output.size
    labels = examples.labels
    label_array = (
        "" if labels is None else f"static const int labels[COUNT] = {{{', '.join(map(str, labels.tolist()))}}};\n"
    )
    label_format, label = ("", "") if labels is None else (" (label %d)", "labels[n], ")
    if network.classes:
        best_format, best = "%s, %.1f %%", f"{prefix}_classes[best], 100.0 * (double){result}[best]"
    else:
        best_format, best = "the largest is number %d, %g", f"best, (double){result}[best]"
    yield f"""/* main.c: runs {prefix} on {count} images, and compares its results with those of Python */
#include <stdio.h>

#include "{prefix}.h"

#define COUNT {count}

static const unsigned char images[COUNT][{size}] = {{"""
    yield from _rows(examples.images.reshape(count, -1))
    yield f"}};\nstatic const float expected[COUNT][{outputs}] = {{"
    yield from _rows(examples.expected.reshape(count, -1).astype(np.float32))
    yield f"""}};
{label_array}
int main(void)
{{
    static float {result}[{outputs}];
    int wrong = 0;
    for (int n = 0; n < COUNT; n++) {{
        int best = 0, good = 1;
        double far = 0.0;
        {prefix}_run(images[n], {result});
        for (int k = 0; k < {outputs}; k++) {{
            double off = (double){result}[k] - (double)expected[n][k], size = (double)expected[n][k];
            off = off < 0.0 ? -off : off;
            size = size < 0.0 ? -size : size;
            good = good && off <= {TOLERANCE:g} * (size > 1.0 ? size : 1.0); /* false for a NaN */
            far = off > far ? off : far;
            best = {result}[k] > {result}[best] ? k : best;
        }}
        wrong += !good;
        printf("image %d{label_format}: {best_format}; off by %.1e: %s\\n", n, {label}{best},
               far, good ? "ok" : "WRONG");
    }}
    printf("%d of %d images as in Python\\n", COUNT - wrong, COUNT);
    return wrong != 0;
}}"""


def _rows(values: Array) -> Iterator[str]:
    for row in values:
        yield "  {"
        yield from number_lines(row)
        yield "  },"


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Return a folder that files can be written to; raises FileError where it is not empty, or is a file."""
    path = Path(folder)
    try:
        if path.is_dir() and any(path.iterdir()):
            raise FileError(f"{path} exists already, and is not empty; choose another folder")
        existing = next((parent for parent in (path, *path.parents) if parent.exists()), path)
        if existing.exists() and not existing.is_dir():
            raise FileError(f"{existing} is a file; expected a folder, or a path where one can be made")
    except OSError as error:
        raise FileError(f"can't use the folder {path}: {error.strerror}; choose another") from None
    return path


def write_all(folder: str | os.PathLike[str], files: dict[str, bytes]) -> None:
    """Write files into a folder, which is made where there is none: all of them, or none."""
    path = check_folder(folder)
    made_folders: list[Path] = []
    written: list[Path] = []
    try:
        for parent in reversed([path, *path.parents]):
            if not parent.exists():
                parent.mkdir()
                made_folders.append(parent)
        for name, data in files.items():
            write_whole(path / name, data)
            written.append(path / name)
    except BaseException as error:
        for file in written:
            with suppress(OSError):
                file.unlink()
        for made in reversed(made_folders):
            with suppress(OSError):
                made.rmdir()
        if isinstance(error, OSError):
            raise FileError(f"can't make the folder {path}: {error.strerror}; choose another") from None
        raise


def random_images(network: Network, count: int, seed: int = 0) -> Array:
    """Return random images (count, H, W, C) in uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, *network.input.shape), dtype=np.uint8)
