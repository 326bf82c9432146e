"""Object files: machine code that is loaded without LLVM does the same, and what LLVM must load is left to it."""

import ctypes
import math

import numpy as np
import pytest

from byhand.kernels.runtime import build, object_file
from byhand.kernels.runtime.arguments import kind_of, pack
from byhand.kernels.runtime.kernel import kernel
from tests.kernels import process

pytestmark = pytest.mark.skipif(not object_file.SUPPORTED, reason="LLVM loads the object files of this platform")


@kernel
def curve(x, y, block):
    """Constants, a call of another function, one of the C library, and a table of cases."""
    for i in range(x.size):
        y[i] = math.tanh(x[i]) + abs(x[i]) ** 1.25 / 3.0
        if i % 5 == 3:
            y[i] = 0.0


@kernel
def failing(x, y, block):
    """An entry whose kernel raises where x[0] is negative."""
    if x[0] < 0.0:
        raise ValueError("negative")
    y[0] = 1.0


def object_of(kernel, *arguments):
    """Return (entry, library) of a kernel, compiled for some arguments."""
    return build.build(kernel, tuple(map(kind_of, arguments)))


def run(address, *arguments):
    ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(address)(pack(arguments).ctypes.data, 0, 0)


def test_it_does_what_llvm_loads():
    x = np.random.default_rng(0).standard_normal(1000, np.float32)
    results = [np.zeros_like(x) for _ in range(2)]
    entry, library = object_of(curve, x, x)
    addresses = object_file.load(library[2][0], entry), build.load_library(library).get_pointer_to_function(entry)
    assert addresses[0] not in (None, addresses[1])
    for address, y in zip(addresses, results):
        run(address, x, y)
    np.testing.assert_array_equal(*results)
    assert results[0].std() > 0


def test_a_kernel_that_raises_is_told(capfd):
    x, y = np.full(1, -1.0), np.zeros(1)
    entry, library = object_of(failing, x, y)
    address = object_file.load(library[2][0], entry)
    run(address, x, y)
    assert "a kernel raised an exception; BYHAND_DEBUG=1 tells where" in capfd.readouterr().err
    assert y[0] == 0
    run(address, -x, y)
    assert y[0] == 1


def test_what_is_not_known_is_left_to_llvm(monkeypatch):
    x = np.zeros(1)
    entry, library = object_of(failing, x, x)
    content = library[2][0]
    for other in (b"", content[:100], b"\xcf\xfa\xed\xfe" + content[4:], content[:18] + b"\xb7\0" + content[20:]):
        assert object_file.load(other, entry) is None
    assert object_file.load(content, "another") is None
    monkeypatch.setattr(object_file, "R_X86_64_64", 2)
    assert object_file.load(content, entry) is None


def test_no_damage_makes_it_raise():
    rng, x = np.random.default_rng(0), np.zeros(1)
    entry, library = object_of(failing, x, x)
    content = np.frombuffer(library[2][0], np.uint8)
    first_section = int.from_bytes(content[40:48].tobytes(), "little")
    for start, end in ((0, 64), (first_section, content.size), (0, content.size)):
        for _ in range(200):
            damaged = content.copy()
            damaged[rng.integers(start, end, 3)] = rng.integers(0, 256, 3)
            object_file.load(damaged.tobytes(), entry)
    without_symbols = content.copy()
    without_symbols[first_section:] = 0
    assert object_file.load(without_symbols.tobytes(), entry) is None


def test_a_process_that_finds_its_kernels_imports_no_compiler():
    text = """
import sys
import numpy as np
import byhand as bh

print(bh.relu(np.array([-1.0, 2.0]), hand="compiled"), *(name for name in ("numba", "llvmlite") if name in sys.modules))
"""
    assert process.run(text).startswith("[0. 2.]")
    assert process.run(text).strip() == "[0. 2.]"
