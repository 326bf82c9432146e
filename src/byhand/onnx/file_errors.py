"""Any exception that a broken ONNX file causes, as a one-line FileError or UnsupportedError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from byhand.errors import ByhandError, FileError, UnsupportedError
from byhand.text import one_line

# Exceptions of NumPy, protobuf, ONNX's own helpers and byhand's ops for values that a file should not hold.
BROKEN_FILE_ERRORS = (
    ArithmeticError,
    AttributeError,
    ByhandError,
    DecodeError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


def describe(error: Exception) -> str:
    """Return an exception's message as one printable line, or its type where it has none."""
    return one_line(error) or type(error).__name__


@contextmanager
def file_errors(broken: str = "", unsupported: str = "") -> Iterator[None]:
    """Turn exceptions into FileError, prefixed with `broken`, or UnsupportedError, prefixed with `unsupported`.

    >>> with file_errors("net.onnx is broken: "):
    ...     [][1]
    Traceback (most recent call last):
        ...
    byhand.errors.FileError: net.onnx is broken: list index out of range
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except UnsupportedError as error:
        raise UnsupportedError(f"{unsupported}{one_line(error)}") from None
    except BROKEN_FILE_ERRORS as error:
        raise FileError(f"{broken}{describe(error)}") from None
