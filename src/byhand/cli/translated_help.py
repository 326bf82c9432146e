"""The help texts in the language of the person who reads them; in English nothing changes."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from byhand.console import BREAKABLE, fill
from byhand.translation import language, translate

TITLES = (
    "ARGUMENTS_PANEL_TITLE",
    "OPTIONS_PANEL_TITLE",
    "COMMANDS_PANEL_TITLE",
    "DEFAULT_STRING",
    "REQUIRED_LONG_STRING",
)


@contextmanager
def translated_help(command: Any, ctx: Any, formatter: Any) -> Iterator[None]:
    """Show a command's help in the reader's language within."""
    if language() == "en":
        yield
        return
    from rich import _wrap  # noqa: PLC0415  (slow to import)
    from typer import core, rich_utils  # noqa: PLC0415

    formatting = sys.modules[type(formatter).__module__]  # of click, or of the copy that typer has
    with ExitStack() as changes:
        for name in TITLES:
            _replace(changes, rich_utils, name, translate(getattr(rich_utils, name)))
        _replace(changes, _wrap, "re_word", BREAKABLE)  # rich cuts a line without a space
        _replace(changes, formatting, "wrap_text", _wrap_text)  # click counts letters, not columns
        _replace(changes, formatter, "write_heading", lambda heading: formatter.write(f"{heading}：\n"))
        _replace(changes, core, "_", translate)
        for entry in (command, *getattr(command, "commands", {}).values()):
            _translate(entry, changes, "help", "short_help", "epilog", "rich_help_panel")
        for parameter in command.get_params(ctx):
            _translate(parameter, changes, "help", "rich_help_panel", "show_default")
        yield


def _wrap_text(
    text: str,
    width: int = 78,
    initial_indent: str = "",
    subsequent_indent: str = "",
    preserve_paragraphs: bool = False,
) -> str:
    """Return text in lines of a width in columns, as click's function of this name does in letters.

    preserve_paragraphs: an empty line ends a paragraph; one that begins with the line \\b keeps its lines.
    """
    paragraphs = []
    for paragraph in text.split("\n\n") if preserve_paragraphs else [text]:
        first, _, rest = paragraph.partition("\n")
        if first == "\b":
            paragraphs.append("\n".join(initial_indent + line for line in rest.split("\n")))
        else:
            line = " ".join(paragraph.split("\n"))
            paragraphs.append(fill(initial_indent + line, width, subsequent_indent))
    return "\n\n".join(paragraphs)


def _translate(entry: Any, changes: ExitStack, *names: str) -> None:
    for name in names:
        text = getattr(entry, name, None)
        if isinstance(text, str):
            _replace(changes, entry, name, translate(text))


def _replace(changes: ExitStack, owner: Any, name: str, value: Any) -> None:
    """Set an attribute until the changes end."""
    changes.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)
