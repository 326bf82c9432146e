"""The kernel cache: machine code on disk, a file a kernel, named by the hash of all that it was made from.

The name is the hash of the kernel's source with all that it calls, of the argument types, of Numba's and llvmlite's versions
and of the processor: a change of any of these finds no file and builds anew. A file is written whole or not at all, so that
two processes that start at once both succeed, and it begins with the hash of its own content, so that a file cut short is
built again.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from byhand.errors import FileError
from byhand.files import cache_folder, write_whole

# A library of machine code as Numba takes it: its name, "object", (machine code, LLVM bitcode).
LibraryState = tuple[str, str, tuple[bytes, bytes]]

# Called with a kernel's name before it is built: a person who waits is told.
BUILDING: list[Callable[[str], None]] = []
COMPILING = "compiling kernels for this processor, once"


def tell(name: str) -> None:
    """Tell those who wait what is being built."""
    for listener in BUILDING:
        listener(name)
    if not BUILDING:
        _tell_terminal()


@cache
def _tell_terminal() -> None:
    """Say once, on standard error if it is a terminal, that kernels are being compiled."""
    if sys.stderr is not None and sys.stderr.isatty():
        with suppress(OSError):
            print(f"{COMPILING} (some seconds) ...", file=sys.stderr, flush=True)


def key(*parts: object) -> str:
    """Return the name of what is made from these parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def load(name: str) -> tuple[str, LibraryState] | None:
    """Return (the entry's symbol, a library as Numba takes it back), or None where there is none that is whole."""
    with suppress(OSError, ValueError, FileError):
        content = (cache_folder("kernels") / f"{name}.kernel").read_bytes()
        digest, body = content[:64], content[64:]
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        line, _, rest = body.partition(b"\n")
        symbol, library, size = json.loads(line)
        return symbol, (library, "object", (rest[:size], rest[size:]))
    return None


def store(name: str, symbol: str, state: LibraryState) -> None:
    """Keep a library; where the disk is full or may not be written, it is built again next time."""
    library, how, data = state
    if how != "object":
        return
    line = json.dumps([symbol, library, len(data[0])]).encode()
    body = line + b"\n" + data[0] + data[1]
    with suppress(OSError, FileError):
        write_whole(cache_folder("kernels") / f"{name}.kernel", hashlib.sha256(body).hexdigest().encode() + body)


class Held(NamedTuple):
    """What the cache holds, where, and whether it can be written to and will be there next time."""

    folder: Path
    kernels: int
    bytes: int
    writable: bool


def held() -> Held:
    """Return what the cache holds."""
    folder = cache_folder("kernels")
    sizes = [path.stat().st_size for path in folder.glob("*.kernel")]
    lasting = not folder.parent.name.startswith("byhand-")  # else a temporary folder, as the real one can't be written
    with suppress(OSError, FileError):
        probe = folder / "probe"
        write_whole(probe, b"byhand")
        probe.unlink()
        return Held(folder, len(sizes), sum(sizes), lasting)
    return Held(folder, len(sizes), sum(sizes), False)
