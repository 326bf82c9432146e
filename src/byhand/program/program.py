"""A program: its text, the file it is run from, and the arrays it writes."""

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from functools import cached_property
from math import prod
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from byhand import kernels
from byhand.errors import ArgumentError, ShapeError
from byhand.files import cache_folder, write_whole
from byhand.graph import Graph, Tensor
from byhand.kernels import memory
from byhand.ops.op import Array
from byhand.program import buffers, lanes
from byhand.program.buffers import allocate
from byhand.program.fork_safe_lock import ForkSafeLock
from byhand.program.fuse import fuse
from byhand.program.poison import poison_arena, poison_calls
from byhand.program.source import Source, Update, Writer
from byhand.shapes import Shape

TOGETHER, MOST_STEPS = 512, 64  # images, and steps, of a small batch that are handed over together
HAND = kernels.compiled(lambda: None).__code__  # what runs when a compiled hand is called

T = TypeVar("T")


class once(cached_property[T]):
    """A cached property that is made under the program's lock: once, whatever threads ask for it."""

    def __get__(self, program: Any, owner: type[Any] | None = None) -> Any:
        if program is None:
            return self
        with program.lock.rlock:
            return super().__get__(program, owner)


class Program:
    """A generated Python file, ready to run: `print` it, step through it with a debugger, or call it.

    text: the file; path: where it lies (the cache folder, named by the hash of its text); arena: its arrays by name;
    lock: held while it runs. Threads may call one program at the same time: it runs for one after the other, and returns
    an array of the caller's own. What else a run leaves in `arena` or `outputs` is the caller's while it holds the lock:
    `with program.lock.rlock: ...`.
    """

    def __init__(
        self, source: Source, hand: str, image: Shape, parameters: Sequence[Tensor], dtype: Any, room: int,
        lock: ForkSafeLock | None = None,
    ) -> None:  # fmt: skip
        self.text, self.hand, self._source, self._parameters, self._dtype = source.text, hand, source, parameters, dtype
        self._image, self.room = image, room  # room: steps that run together
        self.lock = lock or ForkSafeLock()
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

    @once
    def module(self) -> ModuleType:
        """The program as a module."""
        name = f"byhand_{self.path.stem}"
        spec = importlib.util.spec_from_file_location(name, self.path)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        exec(compile(self.text, str(self.path), "exec"), module.__dict__)  # the text printed is the text run
        sys.modules[name] = module  # where debuggers look
        if memory.POISON:
            poison_calls(module)
        return module

    @once
    def arena(self) -> SimpleNamespace:
        """Every array that the program writes: outputs, what forward saves for backward, gradients.

        They share memory where they are not needed at the same time, unless the program was built to `keep` them. Where
        there are lanes, each has its own in `lanes`; the last layer's outputs and the loss are those of all.
        """
        first = {name: array[0, ...] for name, array in self.outputs.items()}
        if self._source.lanes > 1:
            return lanes.arena(self._source, first, self._parameters, self._dtype)
        return SimpleNamespace(**(allocate(self._source.arena, self._source.places) | first))

    @once
    def images(self) -> Array:
        """Where images may be written for `steps`, which then need not copy them: (steps, batch, H, W, C)."""
        batch = self._source.images * self._source.lanes
        shape = self.room, batch, *self._image
        images: Array = buffers.room_for(prod(shape) * np.dtype(self._dtype).itemsize).view(self._dtype).reshape(shape)
        return images

    @once
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
        """Run the step and return its result; the arena goes in where the program names it.

        Infinities pass through, as in PyTorch, unremarked.

        The compiled hand's launches are written down at the first call and run without Python from then on, as long as the
        parameters, gradients and states that are handed in stay the same ones; images, labels and settings may change.
        """
        with self.lock.rlock:
            if self.hand == "compiled" and kernels.mode() == "native":
                recording = self._record(arguments, settings)
                recording.run([one[None] for one in arguments[: len(recording.inputs)]], settings, 1)
                return np.array(recording.result)
            with np.errstate(all="ignore"):
                return np.array(self.step(*arguments, **settings))

    def step(self, *arguments: Any, **settings: Any) -> Any:
        """Call the file's `step`."""
        if memory.POISON:
            poison_arena(self.arena)
        return self.module.step(*arguments, **settings)

    def steps(self, *arguments: Any, **settings: Any) -> dict[str, Array]:
        """Run several steps one after the other, with no Python between them where the hand is compiled.

        Images, labels and settings have one more axis, the steps'. Returns what the last layer wrote in each, by name.
        """
        with self.lock.rlock:
            return self._steps(*arguments, **settings)

    def _steps(self, *arguments: Any, **settings: Any) -> dict[str, Array]:
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
        self.tape, self.result = kernels.record(program.step, *(one[0] for one in self.inputs), *self.spaces, **first)
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
    lock: ForkSafeLock | None = None,
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
        several = lanes.count(graph, output.name, batch, source.size, size if training else 0)
        source = write(several) if several > 1 else source
    assert graph.input is not None
    room = 1 if update is None else max(1, min(MOST_STEPS, TOGETHER // batch))
    return Program(source, hand, graph.input.shape[1:], parameters, dtype, room, lock)
