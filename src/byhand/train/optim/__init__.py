"""The optimisers by name, and what each adds to a generated program.

The settings are a frozen dataclass, one a file; the update is a function with hands, like an op, that the program calls once a
step: all parameters lie in one flat buffer, their gradients in another.
"""

from collections.abc import Callable
from typing import Any

from byhand.errors import UnknownNameError
from byhand.program.source import Update
from byhand.train.optim.adam import Adam, AdamW, adam_arrays, adam_compiled, adam_loops
from byhand.train.optim.clip import clip_arrays, clip_compiled, clip_loops
from byhand.train.optim.muon import Muon, muon_arrays, muon_compiled, muon_loops
from byhand.train.optim.sgd import SGD, sgd_arrays, sgd_compiled, sgd_loops

Optimizer = SGD | Adam | AdamW | Muon
OPTIMIZERS: dict[str, type[Any]] = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW, "Muon": Muon}
HANDS: dict[str, dict[str, Callable[..., None]]] = {
    "loops": {"sgd": sgd_loops, "adam": adam_loops, "muon": muon_loops, "clip": clip_loops},
    "arrays": {"sgd": sgd_arrays, "adam": adam_arrays, "muon": muon_arrays, "clip": clip_arrays},
    "compiled": {"sgd": sgd_compiled, "adam": adam_compiled, "muon": muon_compiled, "clip": clip_compiled},
}


def update(optimizer: Optimizer, clip_norm: float | None, hand: str) -> Update:
    """Return what an optimiser adds to the generated program."""
    if hand not in HANDS:
        raise UnknownNameError("hand", hand, HANDS)
    functions: list[Callable[..., None]]
    functions, lines = [HANDS[hand][optimizer.function]], [optimizer.call]
    if clip_norm is not None:
        functions.insert(0, HANDS[hand]["clip"])
        lines.insert(0, f"clip(g.flat, norm={clip_norm})")
    return Update(tuple(functions), tuple(lines))
