"""A program: its text, the file it is run from, and the arrays it writes."""

import hashlib
import importlib.util
import sys
from functools import cached_property
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from byhand.files import cache_folder, write_whole
from byhand.graph import Graph, Tensor
from byhand.program.source import Source, Update, Writer, allocate


class Program:
    """A generated Python file, ready to run: `print` it, step through it with a debugger, or call it.

    text: the file; path: where it lies (the cache folder, named by the hash of its text); arena: its arrays by name.
    """

    def __init__(self, source: Source) -> None:
        self.text, self._arena = source.text, source.arena

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        title = self.text.splitlines()[0].strip('".')
        return f"<program {title}>"

    @cached_property
    def path(self) -> Path:
        """The file that is run; it is written when first asked for, and again where it does not hold the text."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:16]
        path = cache_folder("programs") / f"program_{digest}.py"
        if not path.exists() or path.read_bytes() != self.text.encode():
            write_whole(path, self.text.encode())
        return path

    @cached_property
    def module(self) -> ModuleType:
        """The program as a module."""
        name = f"byhand_{self.path.stem}"
        spec = importlib.util.spec_from_file_location(name, self.path)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        exec(compile(self.text, str(self.path), "exec"), module.__dict__)  # the text printed is the text run
        sys.modules[name] = module  # where debuggers look
        return module

    @cached_property
    def arena(self) -> SimpleNamespace:
        """Every array that the program writes: outputs, what forward saves for backward, gradients."""
        return SimpleNamespace(**allocate(self._arena))

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """Run the step; the arena goes in where the program names it. Infinities pass through, as in PyTorch, unremarked."""
        with np.errstate(all="ignore"):
            return self.module.step(*arguments, **settings)


def build(
    graph: Graph,
    logits: Tensor,
    title: str,
    *,
    batch: int,
    training: bool,
    hand: str,
    dtype: Any,
    update: Update | None = None,
    input_gradient: bool = False,
    label_smoothing: float = 0.0,
) -> Program:
    """Return the program of a graph: its logits, or in training the loss, every gradient, and the update where one is given."""
    graph, output = graph.up_to(logits), logits
    if training:
        graph = graph.with_loss(logits, label_smoothing)
        output = graph.nodes[-1].output
    return Program(Writer(graph, output, batch, training, hand, dtype).write(title, update, input_gradient))
