"""The kernel cache: machine code on disk, one file per kernel, named after it and the hash of all that it was made from.

The key covers the kernel's source and all that it calls, the types of its arguments, the vector unit, the processor, the
versions of Numba, LLVM and NumPy, and the text of build.py, kernel.py, intrinsic.py, arguments.py, llvm.py and source_key.py,
which makes it. After a change of any of these no file is found, and the kernel is built anew. Files are written atomically, so
that two processes that start together both succeed. A file begins with the hash of its content and its own name: a truncated
one is built again.

Machine code is executed, so that only a file of this user's is loaded, one that nobody else can write to, and no link.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from byhand.errors import FileError
from byhand.files import cache_folder, outlives_process, write_whole
from byhand.translation import translate

# A library of machine code as Numba takes it: its name, "object", (machine code, LLVM bitcode).
LibraryState = tuple[str, str, tuple[bytes, bytes]]

NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # to open a pipe in a file's place does not wait for its writer

DIGEST_CHARACTERS = 64  # of a SHA-256 hash

# Functions that are called with a kernel's name before it is built, to show progress.
BUILD_LISTENERS: list[Callable[[str], None]] = []
COMPILING = "compiling new kernels for this processor"
BUILDS: list[str] = []  # the kernels that this process has begun to build


def notify_build(name: str) -> None:
    """Call the listeners with the name of the kernel that is about to be built."""
    BUILDS.append(name)
    for listener in BUILD_LISTENERS:
        listener(name)
    if not BUILD_LISTENERS and sys.stderr is not None and sys.stderr.isatty():
        tell_building()


@cache
def tell_building() -> None:
    """Say once a process, on standard error, that kernels are being compiled."""
    with suppress(OSError):
        print(translate(f"{COMPILING} (once, some seconds) ..."), file=sys.stderr, flush=True)


def key(*parts: object) -> str:
    """Return the key of what is made from these parts, a hash."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def load(name: str) -> tuple[str, LibraryState] | None:
    """Return (the entry's symbol, the library), or None where the file is missing, damaged, or not to be trusted."""
    with suppress(OSError, ValueError, FileError):
        line, _, rest = read_hashed(cache_folder("kernels") / f"{name}.kernel").partition(b"\n")
        key_inside, symbol, library, size = json.loads(line)
        if key_inside != name:
            _distrust(f"{name}.kernel holds another kernel")
            return None
        return symbol, (library, "object", (rest[:size], rest[size:]))
    return None


def read_hashed(path: Path) -> bytes:
    """Return what `write_hashed` wrote; raises ValueError where the file is damaged, OSError where it is not to be trusted."""
    content = read_own(path)
    digest, body = content[:DIGEST_CHARACTERS], content[DIGEST_CHARACTERS:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError(f"{path.name} is damaged")
    return body


def write_hashed(path: Path, body: bytes) -> None:
    """Write a file of this user alone, its hash first; where the disk is full or read-only, nothing is written."""
    with suppress(OSError, FileError):
        write_whole(path, hashlib.sha256(body).hexdigest().encode() + body, mode=0o600)


def read_own(path: Path) -> bytes:
    """Return the bytes of a file that this user alone can have written; raises OSError for any other, also behind a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            _distrust(f"{path.name} is a link")
        raise
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        problem = ""
        if not stat.S_ISREG(facts.st_mode):
            problem = f"{path.name} is no file"
        elif os.name != "nt" and facts.st_uid != os.geteuid():
            problem = f"{path.name} belongs to another user ({facts.st_uid})"
        elif os.name != "nt" and facts.st_mode & 0o022:
            problem = f"{path.name} can be written by other users"
        if problem:
            _distrust(problem)
            raise PermissionError(problem)
        return file.read()


@cache
def _tell_distrust(folder: Path) -> list[str]:
    """Return the list of what was said about a folder: the first file is told, the others are not."""
    return []


def _distrust(what: str) -> None:
    """Say once, on standard error, that machine code of the cache is not executed."""
    said = _tell_distrust(cache_folder("kernels"))
    if not said and sys.stderr is not None:
        with suppress(OSError):
            print(
                translate(f"byhand: the kernel cache is not trusted: {what}; kernels like it are compiled anew"),
                file=sys.stderr,
                flush=True,
            )
    said.append(what)


def store(name: str, symbol: str, state: LibraryState) -> None:
    """Store a library; where the disk is full or read-only, it is built again next time."""
    library, how, data = state
    if how != "object":
        return
    line = json.dumps([name, symbol, library, len(data[0])]).encode()
    with suppress(OSError, FileError):
        write_hashed(cache_folder("kernels") / f"{name}.kernel", line + b"\n" + data[0] + data[1])


class CacheInfo(NamedTuple):
    """The cache: its folder, how many kernels and bytes it holds, whether it can be written and outlives the process."""

    folder: Path
    kernels: int
    bytes: int
    writable: bool


def cache_info() -> CacheInfo:
    """Return the state of the cache."""
    folder = cache_folder("kernels")
    sizes = [path.stat().st_size for path in folder.glob("*.kernel")]
    lasting = outlives_process(folder)
    with suppress(OSError, FileError):
        probe = folder / "probe"
        write_whole(probe, b"byhand")
        probe.unlink()
        return CacheInfo(folder, len(sizes), sum(sizes), lasting)
    return CacheInfo(folder, len(sizes), sum(sizes), False)
