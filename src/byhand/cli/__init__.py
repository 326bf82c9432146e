"""The command line `byhand`: one file per command, registered by the decorator `@command`."""

from byhand.cli.app import main

__all__ = ["main"]
