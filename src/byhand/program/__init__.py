"""A graph becomes one generated Python file: a whole training step as a list of op calls, which runs with any hand."""

from byhand.program.program import Program, build

__all__ = ["Program", "build"]
