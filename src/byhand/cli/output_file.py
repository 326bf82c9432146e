"""The rule for files that commands write: a file of byhand's own is replaced, any other file is left as it is.

Every command checks its output after its arguments and before its work. byhand's pictures, pages and ONNX files carry its name.
A folder (a run, C code) is never written over.
"""

from pathlib import Path

from byhand.errors import FileError

HEAD_BYTES = 4096  # at most so far from a file's beginning stands its mark
MARKS = {  # what a file begins with, and what byhand writes into its own
    b"\x89PNG": b"Software\x00byhand",
    b"<svg": b'data-generator="byhand"',
    b"<!doctype html": b'<meta name="generator" content="byhand',
    b"\x08": b"\x12\x06byhand",  # ONNX: protobuf's fields 1, the version, and 2, the producer
}


def check_output(path: Path, option: str = "--output") -> None:
    """Raise a FileError where a file can't be written, or holds what byhand did not write; option: the one that names it."""
    try:
        if path.is_dir():
            raise FileError(f"{path} is a folder; expected a file as {option}")
        if not path.parent.is_dir():
            raise FileError(
                f"can't write {path}: there is no folder {path.parent}; make it, or choose another {option}"
            )
        if not path.exists():
            return
        if not path.is_file():  # a device or a pipe, which a file would replace
            raise FileError(f"{path} is no regular file; choose another {option}")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise FileError(f"can't write {path}: {error.strerror}; choose another {option}") from None
    if not any(head.lower().startswith(start.lower()) and mark in head for start, mark in MARKS.items()):
        raise FileError(f"{path} exists already and was not written by byhand; choose another {option}")
