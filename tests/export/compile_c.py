"""A helper that compiles exported C with sanitizers and runs it on images."""

import shutil
import subprocess
from math import prod
from pathlib import Path

import numpy as np
import pytest

from byhand.export.c_files import Examples, c_files

CC = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
needs_cc = pytest.mark.skipif(CC is None, reason="there is no C compiler: cc, gcc or clang")
STRICT_FLAGS = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow"]
SANITIZER_FLAGS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
MAIN = """
#include <stdio.h>
#include "{prefix}.h"
int main(void)
{{
    static unsigned char image[{pixels}];
    static float result[{outputs}];
    while (fread(image, 1, {pixels}, stdin) == {pixels}) {{
        {prefix}_run(image, result);
        fwrite(result, sizeof(float), {outputs}, stdout);
    }}
    return 0;
}}
"""


def compile_c(folder, *names, flags=(), out="program"):
    """Compile files of a folder into a program there; a warning fails."""
    command = [CC, *STRICT_FLAGS, *flags, *names, "-lm", "-o", out]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    assert not done.stderr
    return Path(folder) / out


def run_c(source, images, folder, flags=SANITIZER_FLAGS):
    """Return the results of a program on images (N, H, W, C): (N, outputs)."""
    network = source.network
    files = c_files(source, Examples(images[:1], np.zeros((1, network.output.size))))
    for name in (f"{source.prefix}.h", f"{source.prefix}.c"):
        (folder / name).write_bytes(files[name])
    outputs = network.output.size
    (folder / "run.c").write_text(MAIN.format(prefix=source.prefix, pixels=prod(network.input.shape), outputs=outputs))
    program = compile_c(folder, f"{source.prefix}.c", "run.c", flags=flags)
    done = subprocess.run([program], input=np.ascontiguousarray(images).tobytes(), capture_output=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()[:3000]
    return np.frombuffer(done.stdout, np.float32).reshape(len(images), outputs)


def random_pixels(shape, count, seed=0):
    """Return random images, one of them black and one white."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    images[0], images[-1] = 0, 255
    return images
