"""The files of an exported model: a header that says how to call it, the program, and a main that reproduces images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from byhand.errors import FileError
from byhand.export.lower import Network
from byhand.export.source import STACK, Source, arguments, result_name
from byhand.export.text import numbers
from byhand.files import write_whole
from byhand.ops.op import Array

CLOSE = 1e-5  # how far C's probabilities may be from Python's


@dataclass(frozen=True)
class Examples:
    """Images (N, H, W, C) in uint8 that a main runs, what Python makes of them, and their labels where they are known."""

    images: Array
    expected: Array
    labels: Array | None = None


def texts(source: Source, examples: Examples) -> dict[str, bytes]:
    """Return the files by name."""
    prefix, network = source.prefix, source.network
    about = f"the network {network.name} in {source.kind}, written by byhand"
    files = {
        f"{prefix}.h": header(source, about),
        f"{prefix}.c": source.code(about),
        "main.c": main(source, examples),
    }
    return {name: ("\n".join(lines) + "\n").encode() for name, lines in files.items()}


def header(source: Source, about: str) -> Iterator[str]:
    """Yield the lines of the `.h` file."""
    prefix, network = source.prefix, source.network
    upper, result = prefix.upper(), result_name(network)
    height, width, channels = (*network.input.shape, 1, 1)[:3]
    beside = f", the {channels} channels of each side by side" if channels > 1 else ""
    yield f"""/* {prefix}.h: {about}

   {prefix}_run(image, {result}) takes one image of {height} x {width} pixels, 0 to 255, row by row{beside}, and
   writes {"the probability of each class" if network.classes else "what the network gives"}.

   RAM    {source.ram} bytes, static: the linker counts them, no call can lack them. Plus some {STACK} on the stack.
   flash  {source.flash} bytes of constants, and the code.

   No memory is asked for, nothing is printed, nothing fails. All of it is computed in one static array, so one thread at a
   time may run it, and no interrupt may while another runs. */
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
    yield f"""void {prefix}_run({arguments(network)});

#ifdef __cplusplus
}}
#endif

#endif"""


def main(source: Source, examples: Examples) -> Iterator[str]:
    """Yield the lines of `main.c`."""
    prefix, network, count = source.prefix, source.network, len(examples.images)
    result, size, outputs = result_name(network), prod(network.input.shape), network.output.size
    labels = examples.labels
    known = "" if labels is None else f"static const int labels[COUNT] = {{{', '.join(map(str, labels.tolist()))}}};\n"
    of, label = ("", "") if labels is None else (" (label %d)", "labels[n], ")
    if network.classes:
        said, tell = "%s, %.1f %%", f"{prefix}_classes[best], 100.0 * (double){result}[best]"
    else:
        said, tell = "the largest is number %d, %g", f"best, (double){result}[best]"
    yield f"""/* main.c: runs {prefix} on {count} images, and compares what it makes of them with what Python did */
#include <stdio.h>

#include "{prefix}.h"

#define COUNT {count}

static const unsigned char images[COUNT][{size}] = {{"""
    yield from _rows(examples.images.reshape(count, -1))
    yield f"}};\nstatic const float expected[COUNT][{outputs}] = {{"
    yield from _rows(examples.expected.reshape(count, -1).astype(np.float32))
    yield f"""}};
{known}
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
            good = good && off <= {CLOSE:g} * (size > 1.0 ? size : 1.0); /* false for a NaN */
            far = off > far ? off : far;
            best = {result}[k] > {result}[best] ? k : best;
        }}
        wrong += !good;
        printf("image %d{of}: {said}; off by %.1e: %s\\n", n, {label}{tell},
               far, good ? "ok" : "WRONG");
    }}
    printf("%d of %d images as in Python\\n", COUNT - wrong, COUNT);
    return wrong != 0;
}}"""


def _rows(values: Array) -> Iterator[str]:
    for row in values:
        yield "  {"
        yield from numbers(row)
        yield "  },"


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """Return a folder that files can be written to; raises FileError where it is none, or is not empty."""
    path = Path(folder)
    try:
        if path.is_dir() and any(path.iterdir()):
            raise FileError(f"{path} exists already, and is not empty; choose another folder")
        there = next((one for one in (path, *path.parents) if one.exists()), path)
        if there.exists() and not there.is_dir():
            raise FileError(f"{there} is a file; expected a folder, which is made where there is none")
    except OSError as error:
        raise FileError(f"can't use the folder {path}: {error.strerror}") from None
    return path


def write_all(folder: str | os.PathLike[str], files: dict[str, bytes]) -> None:
    """Write files into a folder, which is made where there is none: all of them, or none."""
    path, made, done = check_folder(folder), [], []
    try:
        for one in reversed([path, *path.parents]):
            if not one.exists():
                one.mkdir()
                made.append(one)
        for name, data in files.items():
            write_whole(path / name, data)
            done.append(path / name)
    except BaseException as error:
        for file in done:
            with suppress(OSError):
                file.unlink()
        for one in reversed(made):
            with suppress(OSError):
                one.rmdir()
        if isinstance(error, OSError):
            raise FileError(f"can't make the folder {path}: {error.strerror}; choose another") from None
        raise


def sample(network: Network, count: int, seed: int = 0) -> Array:
    """Return random images (count, H, W, C) in uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, *network.input.shape), dtype=np.uint8)
