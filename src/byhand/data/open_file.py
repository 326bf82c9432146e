"""Opening an untrusted file: every operating system error becomes a one-line FileError."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from byhand.errors import FileError


def exists(path: str | os.PathLike[str]) -> bool:
    """Tell whether something is at a path, also a link in a circle or what may not be read: opening it then says so."""
    try:
        Path(path).lstat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a null byte
        return False
    except OSError:
        return True
    return True


@contextmanager
def open_regular_file(path: str | os.PathLike[str], expected: str) -> Iterator[BinaryIO]:
    """Open a regular file to read its bytes; expected: what it should be, for the message.

    Raises FileError where there is no file, or a folder, a pipe or a device in its place, or where it can't be read.

    >>> with open_regular_file("no-such-file", "an image") as file: pass
    Traceback (most recent call last):
    byhand.errors.FileError: can't read no-such-file: there is no such file; expected an image
    """
    path = Path(path)
    if "\0" in str(path):
        raise FileError(f"can't read {str(path)!r}: no path holds a null byte; expected {expected}")
    try:
        mode = path.stat().st_mode  # before the opening: to open a pipe would wait for its writer
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise FileError(f"can't read {path}: it is {what}; expected {expected}")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise FileError(f"can't read {path}: there is no such file; expected {expected}") from None
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror or error}; expected {expected}") from None
