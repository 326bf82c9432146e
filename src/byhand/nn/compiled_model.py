"""A model compiled for inference: `compiled = model.compile(batch=1)`, then `compiled.predict(images)`.

What depends on the weights alone is computed once, when the model is compiled: batch norms become a scale and a shift, filters
are packed or transformed in the form that kernels read. The program of one batch is captured as a launch graph, with all of
its memory (kernels/runtime/launch_graph.py). A call copies the images in, replays the graph, and copies the result out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from numbers import Real
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from byhand.errors import ArgumentError
from byhand.graph import Graph
from byhand.hints import Hinted, hinted
from byhand.hints.sentences import COMPILED
from byhand.kernels import aligned, capture, fixed_weights
from byhand.kernels.conv.problem import FLOAT32
from byhand.kernels.runtime.launch_graph import LaunchGraph
from byhand.nn.inference import is_empty, nodes_after_logits, outputs_of
from byhand.nn.network_input import as_images, warn_of_pixels
from byhand.nn.parameters import NamedArrays
from byhand.nn.task import answer_op, answers
from byhand.ops.op import Array, tree_leaves
from byhand.program.algorithm_table import LayerAlgorithms
from byhand.program.fork_safe_lock import ForkSafeLock
from byhand.shapes import integer

if TYPE_CHECKING:
    from byhand.nn.model import Model

# Inputs of ops from which kernels prepare arrays.
PREPARED_INPUTS = ("weight", "bias", "gamma", "beta", "running_mean", "running_var")


class CompiledModel(Hinted):
    """A model for inference alone, with the weights that it had when it was compiled.

    Called, it returns what the model returns; `predict` and `logits_of` are those of the model. batch: images of one run.
    More of them run in parts; of fewer, zeros fill the batch. A call allocates nothing but its result. Threads may call it at
    the same time: it runs for one after the other. After further training, compile again.

    algorithms: of its convolutions and linear layers, by layer; nbytes: its memory, weights included; `print` shows its
    program.

    >>> import byhand as bh
    >>> _, test = bh.data.load("mnist")
    >>> compiled = bh.models.create("lenet5").compile(batch=1)
    >>> compiled.predict(test.images[:3]).shape
    (3, 10)
    """

    def __init__(self, model: Model, batch: Any, precision: str = FLOAT32) -> None:
        if not isinstance(batch, Real):
            raise ArgumentError(f"compile: batch is {batch!r:.60}; expected a number of images; {COMPILED}")
        self.batch, self._lock = integer("compile: batch", batch), ForkSafeLock()
        with model.lock.rlock:
            self._model: Model = _copy(model)
        with self._fixed_weights():
            self._program = self._model.program(self.batch, precision=precision)
            self._images = self._program.images[0]
            self._arguments: tuple[Any, ...] = self._images, self._model.p, self._model.state, self._program.arena
            self._graph: LaunchGraph | None = None
            self._outputs: tuple[Array, ...] = ()
            if self._program.is_native:
                self._graph, self._outputs = capture(self._step)
                self._release_weights()
        # Run once, on pixels where it takes any: the first call finds its kernels compiled, and its memory mapped.
        dtype = np.uint8 if model.preprocessing.reader != "array" else model.dtype
        self._run_batches(np.zeros((self.batch, *model.input_shape), dtype), 0)

    def __repr__(self) -> str:
        counts = Counter(layer.forward for layer in self.algorithms)
        names = "".join(f", {count} {name}" for name, count in counts.most_common())
        return f"<compiled model {self._model.name}: batch {self.batch}, {self.nbytes / 1e6:.1f} MB{names}>"

    def __str__(self) -> str:
        return str(self._program)

    def __reduce__(self) -> NoReturn:
        raise ArgumentError("a compiled model can't be pickled or copied; pickle the model, and compile it there")

    def __call__(self, images: Any) -> Array:
        """Return the network's output for images (N, H, W, C), uint8 or floating point, as `model(images)` does."""
        return outputs_of(self._model, self.logits_of(images))

    @hinted
    def predict(self, images: Any) -> Array:
        """Return the probability of each class or label, (N, classes), as `model.predict(images)` does."""
        if answer_op(self._model.answer) is None:
            return answers(self._model.answer, self.logits_of(images))
        return self._run(images, 1)

    @hinted
    def logits_of(self, images: Any) -> Array:
        """Return the logits (N, classes) of images."""
        return self._run(images, 0)

    def _step(self) -> tuple[Array, ...]:
        """Run the program on the images that were copied in; return logits, and the probabilities where an op makes them."""
        logits, op = self._program.step(*self._arguments), answer_op(self._model.answer)
        return (logits,) if op is None else (logits, op(logits))

    def _run(self, images: Any, output: int) -> Array:
        """Return an output of `_step` for images, which are checked."""
        model = self._model
        images = warn_of_pixels(model, as_images(model, images))
        if not is_empty(model, images) and isinstance(images, np.ndarray):
            images = model.check(images)
        return self._run_batches(images, output)

    def _run_batches(self, images: Any, output: int) -> Array:
        """Return an output of `_step` for images that were checked, a batch at a time."""
        model, batch = self._model, self.batch
        result = np.empty((len(images), *model.logits.shape[1:]), model.dtype)
        with self._lock.rlock:
            for start in range(0, len(images), batch):
                part = np.asarray(images[start : start + batch])
                if self._graph is not None and (part.shape, part.dtype) == (self._images.shape, self._images.dtype):
                    self._images[...] = part  # of a small network's time, the general way takes a quarter
                    self._graph.run()
                else:
                    self._run_part(part)
                result[start : start + batch] = self._outputs[output][: len(part)]
        return result

    def _run_part(self, images: Array) -> None:
        """Run the program on images of any type, a batch or fewer."""
        with np.errstate(all="ignore"):
            self._model.prepare(images, out=self._images[: len(images)])
            self._images[len(images) :] = 0
            if self._graph is None:
                with self._fixed_weights():  # of the algorithms that the program names
                    self._outputs = self._step()
            else:
                self._graph.run()

    def _fixed_weights(self) -> AbstractContextManager[None]:
        """Mark a block in which the weights of the model do not change; not where nodes compute weights."""
        if not _weights_are_arrays(self._model.graph):
            return nullcontext()
        return fixed_weights(*vars(self._model.p).values(), *vars(self._model.state).values())

    @property
    def algorithms(self) -> list[LayerAlgorithms]:
        """The algorithms of its convolutions and linear layers, in the order of execution."""
        return self._program.algorithms

    @property
    def nbytes(self) -> int:
        """The bytes of its arrays: images, activations, weights, and what was made of weights."""
        launches = [] if self._graph is None else self._graph.all_launches
        arrays = _arrays([self._arguments, *(launch.arguments for launch in launches)])
        buffers = {id(buffer): buffer.nbytes for buffer in map(_buffer, arrays)}
        return sum(buffers.values())

    def _release_weights(self) -> None:
        """Release the weights that no launch reads: those that were packed, transformed or folded."""
        nodes = nodes_after_logits(self._model)
        read = {tensor.name for node in nodes for tensor in tree_leaves(node.inputs.values())}
        settings = vars(self._model)
        for kind in ("p", "state"):
            settings[kind] = NamedArrays(
                **{name: value for name, value in vars(settings[kind]).items() if name in read}
            )
        self._arguments = ()


def _copy(model: Model) -> Model:
    """Return a model with copies of a model's weights, an array each, so that each can be released."""
    copy: Model = object.__new__(type(model))
    settings: dict[str, Any] = vars(copy)
    settings.update(vars(model), _programs={}, lock=ForkSafeLock())
    settings.pop("g", None)
    for kind, arrays in (("p", model.parameters), ("state", vars(model.state))):
        settings[kind] = NamedArrays(**{name: _aligned_copy(array) for name, array in arrays.items()})
    return copy


def _aligned_copy(array: Array) -> Array:
    copy = aligned(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _weights_are_arrays(graph: Graph) -> bool:
    """Tell whether no node computes a weight: what is prepared of it would be made before it is there."""
    inputs = [node.inputs.get(name) for node in graph.nodes for name in PREPARED_INPUTS]
    return not any(tensor is not None and tensor.kind in ("value", "input") for tensor in inputs)


def _arrays(values: Iterable[Any]) -> Iterator[Array]:
    """Yield the arrays among values, also those within tuples and namespaces."""
    for value in values:
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, tuple):
            yield from _arrays(value)
        elif isinstance(value, SimpleNamespace):
            yield from _arrays(vars(value).values())


def _buffer(array: Array) -> Array:
    """Return the array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
