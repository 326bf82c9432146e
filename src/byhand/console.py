"""Standard output and error that never raise for a letter, and pass no control character of a name to the terminal.

`safe_streams` is the door of the command line. Everything printed within it, by byhand, typer or a warning, goes through a
`SafeStream`; only the escape sequences of progress bars and colors go past it, from a `SafeConsole`.
"""

import errno
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.text import Text

from byhand.errors import FileError
from byhand.translation import translate

# Control characters but line end and tab; marks, embeddings and overrides of text direction; line separators; tags.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)
SURROGATE = re.compile("[\ud800-\udfff]")
NO_LIMIT = 10**6  # columns
MIN_COLUMNS = 20  # a narrower terminal is taken for this wide
STANDARD_OUTPUT = "standard output"
STANDARD_ERROR = "standard error"
# Where a line may end: after a space, and beside a Chinese letter, with the punctuation that belongs to it.
BREAKABLE = re.compile(
    r"\s*(?:[（《“‘(\[]*(?:[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3000-\u30ff\u3400-\u9fff\uff00-\uffef“”‘’…]+)"
    r"[，。；：、！？）》”’…)\]]*|\S)\s*"
)
COMMAND = re.compile(r"(?:^|  |`)(?:byhand|mpiexec|pip|cc) +\S")  # a command line, which a line end would cut
SECOND_COLUMN = re.compile(r" *\S+(?:,? \S+)*? {2,}(?=\S)")  # what stands before it
INDENT = "  "  # of the second line of a row that is too wide for the terminal


def clean(text: str) -> str:
    """Return text without control characters, line ends and tabs excepted, and without marks of text direction.

    >>> clean("\\x1b[31mred\\n")
    '?[31mred\\n'
    """
    if SURROGATE.search(text):  # bytes of a file name; another lone surrogate is left to the stream's error handler
        with suppress(UnicodeEncodeError):
            text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return UNSAFE.sub("?", text)


class OutputStream:
    """A text stream in front of another one: a failure of standard output is a FileError, one of standard error is ignored.

    A closed pipe, as after `| head`, is a BrokenPipeError of standard output.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text; return its length."""
        with self._errors():
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream."""
        with self._errors():
            self._stream.flush()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            discard(self._stream)
            if self._name == STANDARD_ERROR:  # nothing can be told
                return
            if isinstance(error, BrokenPipeError) or error.errno == errno.EINVAL:  # EINVAL: a closed pipe on Windows
                raise BrokenPipeError from None
            raise FileError(f"can't write to {self._name}: {error.strerror}") from None


class SafeStream(OutputStream):
    """An output stream that cleans text; rich writes its own escape sequences to `rich_proxied_file`."""

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream, name)
        self.rich_proxied_file = OutputStream(stream, name)

    def write(self, text: str) -> int:
        """Write text; return its length."""
        return super().write(clean(text))


def discard(stream: Any) -> None:
    """Let everything that is written to a stream from now on vanish."""
    with suppress(OSError, ValueError):  # ValueError: a stream in memory
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def safe_streams() -> Iterator[None]:
    """Put a SafeStream before standard output and standard error, which write letters they lack as \\u732b."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_safe(stream, name) for stream, name in zip(before, (STANDARD_OUTPUT, STANDARD_ERROR)))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _safe(stream: TextIO | None, name: str) -> Any:
    if stream is None:  # closed, as by `>&-`
        stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (open until the process ends)
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return SafeStream(stream, name)


# rich -----------------------------------------------------------------------------------------------------------------


class SafeConsole(Console):
    """rich's console for text of others: it is cleaned, and no square bracket in it is markup."""

    def __init__(self, *, stderr: bool = False, **settings: Any) -> None:
        stream = sys.stderr if stderr else sys.stdout
        # The stream as it is now: while a bar is shown, rich puts its own in front of it.
        settings = {"file": getattr(stream, "rich_proxied_file", stream)} | settings
        super().__init__(highlight=False, markup=False, emoji=False, **settings)

    def on_broken_pipe(self) -> None:
        """Write no more; raise BrokenPipeError, where rich would end the process."""
        self.quiet = True
        discard(self.file)
        raise BrokenPipeError

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return text as rich's `Text`."""
        return super().render_str(clean(text), **settings)

    def render(self, renderable: RenderableType, options: Any = None) -> Iterable[Segment]:
        """Yield the segments of a renderable."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(clean(segment.text), segment.style)


# Lines ------------------------------------------------------------------------------------------------------------------


def say(text: str, *, error: bool = False) -> None:
    """Print text for a person, in their language; error: on standard error, a line a message."""
    if error:
        print(translate(text), file=sys.stderr, flush=True)
    else:
        print(fitted(translate(text)))


def fitted(text: str) -> str:
    """Return lines as they fit the terminal: a long one goes on below its second column, or indented.

    A file or a pipe gets lines as they are, and so do lines with a command, which can be pasted.
    """
    columns = terminal_columns() if sys.stdout.isatty() else None
    return text if columns is None else "\n".join(fit_line(line, columns) for line in text.split("\n"))


def fit_line(line: str, columns: int) -> str:
    """Return a line as lines of at most so many columns.

    >>> print(fit_line("  log.csv     the lines of log.jsonl as a table", 34))
      log.csv     the lines of
                  log.jsonl as a
                  table
    >>> print(fit_line("  41 of 205 were set aside to validate on", 24))
      41 of 205 were set
        aside to validate on
    """
    if cell_len(line) <= columns or COMMAND.search(line):
        return line
    spaces = len(line) - len(line.lstrip())
    column = SECOND_COLUMN.match(line)
    indent = cell_len(column[0]) if column and 2 * cell_len(column[0]) <= columns else spaces + len(INDENT)
    return fill(line, columns, " " * indent)


# Tables ---------------------------------------------------------------------------------------------------------------


def terminal_columns() -> int | None:
    """Return the width that output should fit: `COLUMNS`, else the terminal's; None for a file or a pipe."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdecimal() and int(given):
        return max(int(given), MIN_COLUMNS)
    with suppress(OSError, ValueError, AttributeError):
        if sys.stdout.isatty():
            return max(os.get_terminal_size(sys.stdout.fileno()).columns, MIN_COLUMNS)
    return None


def wrapped(text: str, indent: str = "", max_columns: int | None = None) -> str:
    """Return prose as lines that fit the terminal, and max_columns, the second and later ones indented.

    >>> wrapped("训练一个 LeNet-5 网络", max_columns=10)
    '训练一个\\nLeNet-5 网\\n络'
    """
    columns = min(terminal_columns() or NO_LIMIT, max_columns or NO_LIMIT)
    return "\n".join(fill(line, columns, indent) for line in translate(text).split("\n"))


def fill(line: str, columns: int, indent: str = "") -> str:
    """Return a line of prose as lines of at most so many columns, the second and later ones indented."""
    if line.isascii():
        return textwrap.fill(line, columns, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
    lines = [""]
    for piece in BREAKABLE.findall(line):
        if cell_len(lines[-1] + piece.rstrip()) > columns and lines[-1].strip():
            lines.append(indent + piece.lstrip())
        else:
            lines[-1] += piece
    return "\n".join(map(str.rstrip, lines))


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Return text padded with spaces to a width in terminal columns, of which a Chinese character takes two.

    >>> pad("猫", 4), pad("7", 3, right=True)
    ('猫  ', '  7')
    """
    space = " " * (columns - cell_len(text))
    return space + text if right else text + space


def table_lines(
    rows: Sequence[Sequence[str]],
    left: int,
    *,
    heads: Sequence[str] = (),
    ends: Sequence[str] = (),
    gap: int = 2,
    columns: int | None = None,
) -> list[str]:
    """Return the lines of a table of cells; the first `left` columns are aligned to the left, the others to the right.

    heads: the first row, shown in the reader's language; ends: a remark after each row. Where a row is wider than the
    terminal (or `columns`), all rows go on in a second line, a third, and so on.

    >>> print("\\n".join(table_lines([("class", "images"), ("猫", "12"), ("dog", "7")], 1)))
    class  images
    猫         12
    dog         7
    >>> print("\\n".join(table_lines([("layer", "op", "shape"), ("conv1", "conv2d", "(N, 26, 26, 8)")], 3, columns=20)))
    layer  op
      shape
    conv1  conv2d
      (N, 26, 26, 8)
    """
    columns = terminal_columns() if columns is None else columns
    rows = [list(map(translate, heads)), *rows] if heads else rows
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows)]
    lines = []
    for row, end in zip(rows, ends or [""] * len(rows)):
        for part, chosen in enumerate(_parts(widths, gap, columns)):
            cells = [pad(row[i], widths[i], right=i >= left) for i in chosen]
            line = f"{INDENT * (part > 0)}{(' ' * gap).join(cells)}".rstrip()
            lines += [line] if line or part == 0 else []
        lines[-1] += clean(end)
    return lines


def _parts(widths: Sequence[int], gap: int, columns: int | None) -> list[list[int]]:
    """Return the columns of a table that each line of a row holds."""
    parts: list[list[int]] = [[]]
    used = 0
    for i, width in enumerate(widths):
        if parts[-1] and columns is not None and used + gap + width > columns:
            parts.append([])
            used = len(INDENT)
        used += width + gap * bool(parts[-1])
        parts[-1].append(i)
    return parts
