"""A program: its text, the file it is run from, and the arrays it writes."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import prod
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from byhand import kernels
from byhand.errors import ArgumentError, ShapeError
from byhand.files import cache_folder, write_whole
from byhand.graph import Graph, Tensor
from byhand.ops.op import Array
from byhand.program import buffers, micro_batch
from byhand.program.buffers import allocate
from byhand.program.fuse import fuse
from byhand.program.source import Source, Update, Writer
from byhand.shapes import Shape

TOGETHER, MOST_STEPS = 512, 64  # images, and steps, of a small batch that are handed over together
HAND = kernels.compiled(lambda: None).__code__  # what runs when a compiled hand is called


class Program:
    """A generated Python file, ready to run: `print` it, step through it with a debugger, or call it.

    text: the file; path: where it lies (the cache folder, named by the hash of its text); arena: its arrays by name.
    """

    def __init__(
        self, source: Source, hand: str, image: Shape, parameters: Sequence[Tensor], dtype: Any, room: int
    ) -> None:
        self.text, self.hand, self._source, self._parameters, self._dtype = source.text, hand, source, parameters, dtype
        self._image, self.room = image, room  # room: steps that run together
        self._recording: Recording | None = None

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
        module = self._load()
        sys.modules[module.__name__] = module  # where debuggers look
        return module

    def module_with(self, replacements: Mapping[str, Callable[..., None]]) -> ModuleType:
        """Return a new module in which other functions replace some of the ops that the program calls, by name.

        Data-parallel training replaces batch norm by one that exchanges its statistics with other processes.
        """
        module = self._load()
        for name, function in replacements.items():
            if not hasattr(module, name):
                raise ArgumentError(f"the program calls no '{name}' that could be replaced")
            setattr(module, name, function)
        return module

    def _load(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"byhand_{self.path.stem}", self.path)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        exec(compile(self.text, str(self.path), "exec"), module.__dict__)  # the text printed is the text run
        return module

    @cached_property
    def arena(self) -> SimpleNamespace:
        """Every array that the program writes: outputs, what forward saves for backward, gradients.

        They share memory where they are not needed at the same time, unless the program was built to `keep` them. Where
        there are lanes, each has its own in `lanes`; the last layer's outputs and the loss are those of all.
        """
        first = {name: array[0, ...] for name, array in self.outputs.items()}
        if self._source.lanes > 1:
            return micro_batch.arena(self._source, first, self._parameters, self._dtype)
        return SimpleNamespace(**(allocate(self._source.arena, self._source.places) | first))

    @cached_property
    def images(self) -> Array:
        """Where images may be written for `steps`, which then need not copy them: (steps, batch, H, W, C)."""
        batch = self._source.images * self._source.lanes
        shape = self.room, batch, *self._image
        images: Array = buffers.room_for(prod(shape) * np.dtype(self._dtype).itemsize).view(self._dtype).reshape(shape)
        return images

    @cached_property
    def outputs(self) -> dict[str, Array]:
        """What the last layer wrote, by name, for each of the steps that run together: (steps, ...)."""
        images, made = self._source.images, {}
        for name in self._source.kept:
            shape, kind = self._source.arena[name]
            if self._source.lanes > 1 and shape[:1] == (images,):
                shape = (images * self._source.lanes, *shape[1:])
            size = self.room * prod(shape) * int(np.dtype(kind).itemsize)
            made[name] = buffers.room_for(size).view(kind).reshape(self.room, *shape)
        return made

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """Run the step; the arena goes in where the program names it. Infinities pass through, as in PyTorch, unremarked.

        The compiled hand's launches are written down at the first call and run without Python from then on, as long as the
        parameters, gradients and states that are handed in stay the same ones; images, labels and settings may change.
        """
        if self.hand == "compiled" and kernels.mode() == "native":
            recording = self._record(arguments, settings)
            recording.run([one[None] for one in arguments[: len(recording.inputs)]], settings, 1)
            return recording.result
        with np.errstate(all="ignore"):
            return self.module.step(*arguments, **settings)

    def steps(self, *arguments: Any, **settings: Any) -> dict[str, Array]:
        """Run several steps one after the other, with no Python between them where the hand is compiled.

        Images, labels and settings have one more axis, the steps'. Returns what the last layer wrote in each, by name.
        """
        images, labels, *spaces = arguments
        results = {name: np.empty((len(images), *array.shape[1:]), array.dtype) for name, array in self.outputs.items()}
        native = self.hand == "compiled" and kernels.mode() == "native"
        together = self.room if native else 1
        for start in range(0, len(images), together):
            end = min(start + together, len(images))
            now = {name: values[start:end] for name, values in settings.items()}
            if native:
                recording = self._record((images[0], labels[0], *spaces), now)
                recording.run([images[start:end], labels[start:end]], now, end - start)
            else:
                one = {name: values.tolist()[0] for name, values in now.items()}  # NumPy's float64 would widen float32
                self(images[start], labels[start], *spaces, **one)
            for name, array in self.outputs.items():
                results[name][start:end] = array[: end - start]
        return results

    def _record(self, arguments: tuple[Any, ...], settings: dict[str, Any]) -> "Recording":
        if self._recording is None or not self._recording.fits(arguments):
            self._recording = Recording(self, arguments, list(settings))
        return self._recording


class Recording:
    """A program's launches on certain arrays; images, labels and settings are copied in, for one step or for several."""

    def __init__(self, program: Program, arguments: tuple[Any, ...], settings: list[str]) -> None:
        room = program.room
        self.spaces = [one for one in arguments if not isinstance(one, np.ndarray)]
        more = [one for one in arguments[1:] if isinstance(one, np.ndarray)]
        self.inputs = [program.images, *(np.zeros((room, *one.shape), one.dtype) for one in more)]
        self.settings = {name: np.zeros((room, 1)) for name in settings}
        first = {name: values[0] for name, values in self.settings.items()}
        self.tape, self.result = kernels.capture(
            program.module.step, *(one[0] for one in self.inputs), *self.spaces, **first
        )
        self.tape.move([*self.inputs, *self.settings.values(), *program.outputs.values()])

    def fits(self, arguments: tuple[Any, ...]) -> bool:
        """Tell whether the launches are for these parameters, gradients and states."""
        return all(ours is theirs for ours, theirs in zip(self.spaces, arguments[len(self.inputs) :]))

    def run(self, inputs: Sequence[Any], settings: dict[str, Any], steps: int) -> None:
        """Run some steps."""
        for ours, theirs in zip(self.inputs, inputs):
            if theirs.shape[1:] != ours.shape[1:]:
                raise ShapeError(
                    f"the program was made for {ours.shape[1:]}; got {theirs.shape[1:]}: make one for that batch"
                )
            if theirs.ctypes.data != ours.ctypes.data:
                ours[:steps] = theirs
        for name, values in settings.items():
            self.settings[name][:steps, 0] = values
        self.tape.run(steps)


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
    keep: bool = False,
    auxiliary: Sequence[tuple[Tensor, float]] = (),
) -> Program:
    """Return the program of a graph: its logits, or in training the loss, every gradient, and the update where one is given.

    Raises ArgumentError where a compiled program's update is no compiled hand: it would run but once, while it is recorded.
    """
    for function in update.functions if update is not None and hand == "compiled" else ():
        if getattr(function, "__code__", None) is not HAND:
            raise ArgumentError(
                f"the update {function.__name__} is no compiled hand; let it launch kernels, under @byhand.kernels.compiled, "
                "or take hand='arrays'"
            )
    others = [tensor for tensor, _ in auxiliary] if training else []
    graph, output, losses = graph.up_to(logits, *others), logits, {}
    if training:
        graph = graph.with_loss(logits, label_smoothing, others)
        output, weights = graph.nodes[-1].output, [*(weight for _, weight in auxiliary), 1.0]
        losses = {node.output.name: weight for node, weight in zip(graph.nodes[-len(weights) :], weights)}
    if not keep:
        graph = fuse(graph, logits, training)

    def write(count: int) -> Source:
        writer = Writer(graph, output, batch, losses, hand, dtype, lanes=count, keep=keep)
        return writer.write(title, update, input_gradient)

    parameters, source = graph.of_kind("parameter"), write(1)
    if hand == "compiled" and not keep and not input_gradient:
        size = sum(prod(t.shape) for t in parameters) * np.dtype(dtype).itemsize
        several = micro_batch.count(graph, output.name, batch, source.size, size if training else 0)
        source = write(several) if several > 1 else source
    assert graph.input is not None
    room = 1 if update is None else max(1, min(MOST_STEPS, TOGETHER // batch))
    return Program(source, hand, graph.input.shape[1:], parameters, dtype, room)
