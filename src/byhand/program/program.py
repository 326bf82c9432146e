"""A program: generated text, the file that debuggers show, and the arrays it writes."""

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from byhand import kernels
from byhand.errors import ArgumentError, ShapeError
from byhand.files import cache_folder, write_whole
from byhand.graph import Graph, Tensor
from byhand.kernels import memory
from byhand.kernels.conv import tuning, with_precision
from byhand.kernels.conv.problem import FLOAT32
from byhand.ops.op import Array, Op
from byhand.program.algorithm_table import LayerAlgorithms
from byhand.program.buffers import ArraySpec, allocate, allocate_bytes
from byhand.program.fork_safe_lock import ForkSafeLock
from byhand.program.fuse import fuse
from byhand.program.generated_file import Callee, GeneratedFile
from byhand.program.micro_batch import micro_batch_arena, micro_batch_count
from byhand.program.poison import poison_arena, with_poisoned_outputs
from byhand.program.spec import ProgramSpec, Update
from byhand.program.writer import ProgramWriter

MAX_IMAGES_PER_EXECUTION = 512  # in all the steps that one call runs
MAX_STEPS_PER_EXECUTION = 64
MIN_ARGUMENTS = 4  # of a step: images, p, state, arena

T = TypeVar("T")


class locked_cached_property(cached_property[T]):
    """A cached property that is computed under the program's lock: once, whatever threads ask for it."""

    def __get__(self, program: Any, owner: type[Any] | None = None) -> Any:
        if program is None:
            return self
        with program.lock.rlock:
            return super().__get__(program, owner)


class Program:
    """A generated Python file, ready to run: `print` it, step through it with a debugger, or call it.

    text: the file; path: where it lies (the cache folder, named by the hash of its text); arena: its arrays by name;
    steps_per_execution: the most steps that one call of `steps` runs without returning to Python;
    lock: held while it runs. Threads may call one program at the same time: it runs for one after the other, and returns
    an array of the caller's own. What else a run leaves in `arena` or `outputs` is the caller's while it holds the lock:
    `with program.lock.rlock: ...`.
    """

    def __init__(self, spec: ProgramSpec, file: GeneratedFile, lock: ForkSafeLock | None = None) -> None:
        assert spec.graph.input is not None
        self.text, self.hand, self.precision, self.steps_per_execution = file.text, spec.hand, spec.precision, 1
        self._tuning = tuning.in_use()
        self._has_python = any(node.op.in_python for node in spec.graph.nodes)
        if spec.update is not None and not self._has_python:
            self.steps_per_execution = max(1, min(MAX_STEPS_PER_EXECUTION, MAX_IMAGES_PER_EXECUTION // spec.batch))
        self._file, self._dtype, self._image = file, np.dtype(spec.dtype), spec.graph.input.shape[1:]
        self._parameters = spec.graph.of_kind("parameter")
        self.lock = lock or ForkSafeLock()
        # Completes (images,) or (images, labels) to all arguments; a model sets it.
        self.complete: Callable[[Program, tuple[Any, ...]], tuple[Any, ...]] | None = None
        self._captured: CapturedProgram | None = None

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        title = self.text.splitlines()[0].strip('".')
        return f"<program {title}>"

    @property
    def batch(self) -> int:
        """How many images it is for."""
        return self._file.micro_batch_size * self._file.micro_batches

    @property
    def micro_batches(self) -> int:
        """How many micro-batches a batch is cut into."""
        return self._file.micro_batches

    @property
    def algorithms(self) -> list[LayerAlgorithms]:
        """The algorithms of its convolutions and linear layers, in the order of forward; empty where no hand is compiled."""
        return list(self._file.algorithms.values())

    @cached_property
    def path(self) -> Path:
        """The file of the text, which debuggers show; it is written at the first access, and where it holds another text."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:16]
        path = cache_folder("programs") / f"program_{digest}.py"
        if not path.exists() or path.read_bytes() != self.text.encode():
            write_whole(path, self.text.encode())
        return path

    @locked_cached_property
    def module(self) -> ModuleType:
        """The program as a module: its function `step`, and `update` where an optimizer adds one."""
        module = self.load(self.callees)
        sys.modules[module.__name__] = module  # where debuggers look
        return module

    @property
    def callees(self) -> dict[str, Callee]:
        """The functions that it calls, by name; in poisoned memory, those of ops fill first what they write."""
        return with_poisoned_outputs(self._file.callees) if memory.POISON else self._file.callees

    def load(self, callees: Mapping[str, Callee]) -> ModuleType:
        """Return a new module that calls other functions, one for each name in `callees`.

        Data-parallel training gives it a batch norm that exchanges its statistics with other processes.
        """
        if unknown := callees.keys() - self._file.callees.keys():
            raise ArgumentError(f"the program calls no '{min(unknown)}' that could be replaced")
        return self._file.load(self.path, callees)

    @locked_cached_property
    def arena(self) -> SimpleNamespace:
        """Every array that the program writes: outputs, what forward saves for backward, gradients.

        Arrays that are not needed at the same time share memory, unless the program was built to preserve all. Where there
        are micro-batches, each has an arena of its own in `micro_batches`; the last layer's outputs and the loss are those
        of the whole batch.
        """
        outputs = {name: array[0, ...] for name, array in self.outputs.items()}  # of the first step
        if self._file.micro_batches > 1:
            return micro_batch_arena(self._file, outputs, self._parameters, self._dtype)
        return SimpleNamespace(**(allocate(self._file.arrays, self._file.offsets) | outputs))

    @locked_cached_property
    def images(self) -> Array:
        """Where images may be written for `steps`, which then need not copy them: (steps, batch, H, W, C)."""
        return self._for_each_step(ArraySpec((self.batch, *self._image), self._dtype))

    @locked_cached_property
    def outputs(self) -> dict[str, Array]:
        """The outputs of the last layer, by name, for each of the steps that one call runs: (steps, ...)."""
        size, count, arrays = self._file.micro_batch_size, self._file.micro_batches, {}
        for name in self._file.outputs:
            shape, dtype = self._file.arrays[name]
            if count > 1 and shape[:1] == (size,):
                shape = (size * count, *shape[1:])
            arrays[name] = self._for_each_step(ArraySpec(shape, dtype))
        return arrays

    def _for_each_step(self, spec: ArraySpec) -> Array:
        """Return an unwritten array with an axis of steps before its own."""
        steps = self.steps_per_execution
        array: Array = allocate_bytes(steps * spec.nbytes).view(spec.dtype).reshape(steps, *spec.shape)
        return array

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """Run `step` on the arguments that it names, the arena among them; return its result.

        Of a model's program, images, or images and labels, are enough: p, g, state and the arena are then the model's and its
        own. (A program with an optimizer's update is `trainer.step`'s.)

        Infinities pass through without a warning, as in PyTorch.

        The compiled hand's launches are captured at the first call and replayed without Python from then on, as long as the
        parameters, gradients and states are the same arrays; images, labels and settings may change.
        """
        if self.complete is not None and len(arguments) < MIN_ARGUMENTS:
            arguments = self.complete(self, arguments)
        with self.lock.rlock:
            if self.is_native:
                captured = self._capture(arguments, settings)
                captured.run([array[None] for array in arguments[: len(captured.inputs)]], settings, 1)
                return np.array(captured.result)
            with np.errstate(all="ignore"):
                return np.array(self.step(*arguments, **settings))

    @property
    def is_native(self) -> bool:
        """Whether its launches are captured, and replayed without Python."""
        return self.hand == "compiled" and kernels.mode() == "native" and not self._has_python

    def step(self, *arguments: Any, **settings: Any) -> Any:
        """Call the file's `step`."""
        if memory.POISON:
            poison_arena(self.arena)
        with self.choices():
            return self.module.step(*arguments, **settings)

    @contextmanager
    def choices(self) -> Iterator[None]:
        """Choose the algorithms that the text names, within the block: by its precision, and the tuning table of its time."""
        with with_precision(self.precision), tuning.using(self._tuning):
            yield

    def steps(self, *arguments: Any, **settings: Any) -> dict[str, Array]:
        """Run several steps one after the other, with no Python between them where the hand is compiled.

        Images, labels and settings have one more axis, the steps'. Returns what the last layer wrote in each, by name.
        """
        with self.lock.rlock:
            return self._steps(*arguments, **settings)

    def _steps(self, *arguments: Any, **settings: Any) -> dict[str, Array]:
        images, labels, *namespaces = arguments
        results = {name: np.empty((len(images), *array.shape[1:]), array.dtype) for name, array in self.outputs.items()}
        native = self.is_native
        stride = self.steps_per_execution if native else 1
        for start in range(0, len(images), stride):
            end = min(start + stride, len(images))
            now = {name: values[start:end] for name, values in settings.items()}
            if native:
                captured = self._capture((images[0], labels[0], *namespaces), now)
                captured.run([images[start:end], labels[start:end]], now, end - start)
            else:
                step = {name: values.tolist()[0] for name, values in now.items()}  # NumPy's float64 would widen float32
                self(images[start], labels[start], *namespaces, **step)
            for name, array in self.outputs.items():
                results[name][start:end] = array[: end - start]
        return results

    def _capture(self, arguments: tuple[Any, ...], settings: dict[str, Any]) -> "CapturedProgram":
        """Return the captured program for these arguments: the last one where it fits, else a new one."""
        if self._captured is None or not self._captured.fits(arguments):
            self._captured = CapturedProgram(self, arguments, list(settings))
        return self._captured


class CapturedProgram:
    """A program's launches on certain arrays. Images, labels and settings are copied in, for one step or for several."""

    def __init__(self, program: Program, arguments: tuple[Any, ...], settings: list[str]) -> None:
        steps = program.steps_per_execution
        self.namespaces = [argument for argument in arguments if not isinstance(argument, np.ndarray)]
        others = [array for array in arguments[1:] if isinstance(array, np.ndarray)]
        self.inputs = [program.images, *(np.zeros((steps, *array.shape), array.dtype) for array in others)]
        self.addresses = [array.ctypes.data for array in self.inputs]
        self.settings = {name: np.zeros((steps, 1)) for name in settings}
        first = {name: values[0] for name, values in self.settings.items()}
        self.launch_graph, self.result = kernels.capture(
            program.step, *(array[0] for array in self.inputs), *self.namespaces, **first
        )
        self.launch_graph.advance([*self.inputs, *self.settings.values(), *program.outputs.values()])

    def fits(self, arguments: tuple[Any, ...]) -> bool:
        """Tell whether the launches work on these parameters, gradients and states."""
        return all(ours is theirs for ours, theirs in zip(self.namespaces, arguments[len(self.inputs) :]))

    def run(self, inputs: Sequence[Any], settings: dict[str, Any], steps: int) -> None:
        """Run some steps."""
        for ours, address, theirs in zip(self.inputs, self.addresses, inputs):
            if theirs.shape[1:] != ours.shape[1:]:
                raise ShapeError(
                    f"the program was made for {ours.shape[1:]}; got {theirs.shape[1:]}: make one for that batch"
                )
            if theirs.ctypes.data != address:  # else it was written in place
                ours[:steps] = theirs
        for name, values in settings.items():
            self.settings[name][:steps, 0] = values
        self.launch_graph.run(steps)


def build(
    graph: Graph,
    logits: Tensor,
    title: str,
    *,
    batch: int,
    training: bool,
    hand: str,
    dtype: npt.DTypeLike,
    update: Update | None = None,
    input_gradient: bool = False,
    loss: Op | None = None,
    label_smoothing: float = 0.0,
    keep: bool = False,
    auxiliary: Sequence[tuple[Tensor, float]] = (),
    lock: ForkSafeLock | None = None,
    precision: str = FLOAT32,
) -> Program:
    """Return the program of a graph: its logits, or in training the loss, every gradient, and the update where one is given.

    Raises ArgumentError where a compiled program's update is no compiled hand: it would run only during the capture.
    """
    for function in update.functions if update is not None and hand == "compiled" else ():
        if not getattr(function, "is_compiled_hand", False):
            raise ArgumentError(
                f"the update {function.__name__} is no compiled hand; let it launch kernels, under @byhand.kernels.compiled, "
                "or take hand='arrays'"
            )
    others = [tensor for tensor, _ in auxiliary] if training else []
    graph, output, losses = graph.up_to(logits, *others), logits, {}
    if training:
        graph = graph.with_loss(logits, label_smoothing, others, loss)
        output, weights = graph.nodes[-1].output, [*(weight for _, weight in auxiliary), 1.0]
        losses = {node.output.name: weight for node, weight in zip(graph.nodes[-len(weights) :], weights)}
    if not keep:
        graph = fuse(graph, logits, training)

    spec = ProgramSpec(
        title,
        graph,
        output,
        batch,
        hand,
        dtype,
        losses=losses,
        update=update,
        input_gradient=input_gradient,
        keep=keep,
        precision=precision,
    )
    file = ProgramWriter(spec).write()
    in_python = loss is not None and loss.in_python  # of the whole batch
    if hand == "compiled" and not keep and not input_gradient and not in_python:
        parameters = graph.of_kind("parameter") if training else []
        gradient_bytes = sum(ArraySpec(tensor.shape, dtype).nbytes for tensor in parameters)
        count = micro_batch_count(graph, output.name, batch, file.nbytes, gradient_bytes)
        file = ProgramWriter(replace(spec, micro_batches=count)).write() if count > 1 else file
    return Program(spec, file, lock)
