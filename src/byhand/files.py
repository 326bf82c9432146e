"""Atomic file writes, and the cache folder."""

import errno
import os
import secrets
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from byhand.errors import FileError


def write_whole(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write a file atomically: after a kill, a full disk or a power cut it holds either all of `data` or its previous content.

    The bytes go to a temporary file in the same folder and are synced to disk before a rename replaces the file; the folder
    is synced last, so that the rename survives a power cut.

    Raises FileError where the system cannot write; the previous content is then unchanged.
    """
    path = Path(path)
    if not path.name or "\0" in str(path):
        raise FileError(f"can't write {str(path)!r}: it names no file")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        cure = "free some space and try again" if full else "try another folder"
        raise FileError(f"can't write {path}: {error.strerror}; what was there before is untouched; {cure}") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot sync a folder; its rename is durable
        return
    with suppress(OSError):  # the file is complete; some network file systems cannot sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cache_folder(name: str) -> Path:
    """Return a subfolder of the cache: of `BYHAND_CACHE` where that is set, else of the user's cache folder.

    Where it is not writable, a private temporary folder takes its place.
    """
    with suppress(OSError, RuntimeError):  # RuntimeError: the user has no home folder
        home = os.environ.get("BYHAND_CACHE")
        folder = Path(home or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "byhand") / name
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    folder = _private_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def _private_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="byhand-"))
