"""The kinds of program, and an update for each."""

from byhand.program.spec import Update

KINDS = [{"train": False}, {"train": True}, {"train": True, "input_gradient": True, "label_smoothing": 0.1}]


def double_step(p, g, *, lr):
    """Update every parameter: enough of an optimizer for a program."""
    p -= 2 * lr * g


UPDATE = Update((double_step,), ("double_step(p.flat, g.flat, lr=lr)",))
