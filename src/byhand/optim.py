"""The optimizers under PyTorch's name, `from byhand.optim import SGD`; they are in `byhand.train.optim`."""

import typing as _typing

from byhand.hints import unknown_attribute as _unknown_attribute
from byhand.train.optim.catalog import SGD, Adam, AdamW, Muon, RMSprop

__all__ = ["SGD", "Adam", "AdamW", "Muon", "RMSprop"]

if not _typing.TYPE_CHECKING:  # else type checkers would take any name for one that is there

    def __getattr__(name):
        """Raise the error for a name that there is not: it says what to write."""
        raise _unknown_attribute("byhand.optim", name, __all__)
