"""The help texts in the language of the person who reads them; in English nothing changes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from byhand.console import BREAKABLE
from byhand.translation import language, translate

TITLES = (
    "ARGUMENTS_PANEL_TITLE",
    "OPTIONS_PANEL_TITLE",
    "COMMANDS_PANEL_TITLE",
    "DEFAULT_STRING",
    "REQUIRED_LONG_STRING",
)


@contextmanager
def translated_help(command: Any, ctx: Any) -> Iterator[None]:
    """Show a command's help in the reader's language within."""
    if language() == "en":
        yield
        return
    from rich import _wrap  # noqa: PLC0415  (slow to import)
    from typer import rich_utils  # noqa: PLC0415

    with ExitStack() as changes:
        for name in TITLES:
            changes.enter_context(patch.object(rich_utils, name, translate(getattr(rich_utils, name))))
        changes.enter_context(patch.object(_wrap, "re_word", BREAKABLE))  # rich cuts a line without a space
        for entry in (command, *getattr(command, "commands", {}).values()):
            _translate(entry, changes, "help", "short_help", "epilog", "rich_help_panel")
        for parameter in command.get_params(ctx):
            _translate(parameter, changes, "help", "rich_help_panel", "show_default")
        yield


def _translate(entry: Any, changes: ExitStack, *names: str) -> None:
    for name in names:
        text = getattr(entry, name, None)
        if isinstance(text, str):
            changes.enter_context(patch.object(entry, name, translate(text)))
