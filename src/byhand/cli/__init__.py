"""What a person types: `byhand`, one file a command."""

from byhand.cli.app import main

__all__ = ["main"]
