"""The generated file of a program: its text, the functions that it calls, and the arrays that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from byhand.program.algorithm_table import LayerAlgorithms
from byhand.program.buffers import ArraySpec, arena_bytes


class Callee(NamedTuple):
    """A function that a program calls.

    writes: whether it writes each of the arrays that it is given, where it is an op's; backward: it is an op's backward.
    """

    function: Callable[..., None]
    writes: tuple[bool, ...] = ()
    backward: bool = False


@dataclass
class GeneratedFile:
    """A program as text, in three parts; the functions that it calls, by name; its arrays, and their offsets in the arena."""

    head: str = ""  # the docstring
    imports: str = ""
    body: str = ""  # the functions
    callees: dict[str, Callee] = field(default_factory=dict)
    micro_batches: int = 1
    micro_batch_size: int = 1  # images
    arrays: dict[str, ArraySpec] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)  # bytes
    outputs: tuple[str, ...] = ()  # of the last node: they are read after a run, and lie outside the arena
    algorithms: dict[str, LayerAlgorithms] = field(default_factory=dict)  # by the name of the node's output

    @property
    def text(self) -> str:
        """The whole file, which also runs by itself."""
        return self.head + self.imports + self.body

    @property
    def nbytes(self) -> int:
        """The bytes of all arrays, for one micro-batch and one step."""
        return arena_bytes(self.arrays, self.offsets) + sum(self.arrays[name].aligned_bytes for name in self.outputs)

    def load(self, path: Path, callees: Mapping[str, Callee]) -> ModuleType:
        """Return the file at a path as a module that calls these functions, which are given in place of its imports.

        Blank lines stand for the imports: lines keep their numbers, so that a debugger shows them.
        """
        module = ModuleType(f"byhand_{path.stem}")
        module.__file__ = str(path)
        vars(module).update({name: callee.function for name, callee in callees.items()})
        source = self.head + "\n" * self.imports.count("\n") + self.body
        exec(compile(source, str(path), "exec"), vars(module))
        return module
