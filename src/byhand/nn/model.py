"""The Model: a graph, its parameters in one flat buffer, and what people do with it: predict, trace, save."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from byhand.data.preprocessing import Preprocessing
from byhand.errors import ArgumentError, ShapeError
from byhand.graph import Graph, Tensor
from byhand.hints import hinted, unknown_attribute
from byhand.hints.attributes import FREE_NAMES, MODEL_NAMES
from byhand.kernels.conv import tuning
from byhand.kernels.conv.problem import FLOAT32
from byhand.nn.compiled_model import CompiledModel
from byhand.nn.inference import logits_of, outputs_of
from byhand.nn.model_settings import ModelSettings
from byhand.nn.network_input import as_images, check_images, prepare_images, warn_of_pixels
from byhand.nn.parameters import NamedArrays, ParameterDict, initialize, layer_hints, load_arrays
from byhand.nn.program_arguments import model_arguments
from byhand.nn.summary import Summary
from byhand.nn.task import answers, inherited_task, read_output
from byhand.nn.trace import trace
from byhand.ops import DEFAULT_HAND, Op, softmax_cross_entropy
from byhand.ops.op import Array
from byhand.program import Program, build
from byhand.program.buffers import flat_views
from byhand.program.fork_safe_lock import ForkSafeLock
from byhand.program.precision import resolve_precision
from byhand.program.spec import Update
from byhand.shapes import integer

MAX_PROGRAMS = 8  # that a model keeps: for the full and the last batch of training, testing, predicting, and two more

METHODS: dict[str, Callable[..., Any]] = {}  # of Model, which byhand.train, a floor above, adds: fit, evaluate


class Model(ModelSettings):
    """A network with its parameters.

    inputs: an `nn.Input`; outputs: a tensor made from it, or a layer (or function) to apply to it. seed: of the parameters'
    first values; None: zeros. task: what the outputs answer, by default read from the graph: "classes" (logits, or a softmax,
    which training leaves out: its loss contains it), "labels" (a sigmoid each), "numbers" or "features"; see nn/task.py.
    classes: the names of classes or labels, in order; (): the output has none, and may have any shape: features, unless task
    says "numbers". preprocessing: what is done to an image before, a `bh.data.Preprocessing`; mean, std, crop_pct:
    its fields, as (pixel / 255 - mean) / std of uint8 images; floating point images are taken as they are. auxiliary: (logits,
    weight) pairs, whose weighted losses are added to the loss in training (which reports the loss of the outputs).

    p: the parameters by name, and all of them in one buffer, `p.flat`; g: their gradients, `grad_<name>`, and `g.flat`;
    state: what forward updates in training (running statistics, random keys), by name. Assigning to one of them, or to an
    item of `parameters`, writes into the array. A model is called on images, or as a layer of another network on a tensor.

    >>> import byhand as bh
    >>> from byhand import nn
    >>> x = nn.Input(28, 28, 1)
    >>> y = nn.Conv2d(8, 3, padding="same")(x)
    >>> y = nn.ReLU()(y + nn.Conv2d(8, 3, padding="same")(y))  # a residual
    >>> model = nn.Model(x, nn.Linear(10)(nn.GlobalAvgPool2d()(y)))
    >>> model.parameter_count
    754
    """

    @hinted
    def __init__(
        self,
        inputs: Tensor,
        outputs: Tensor | Callable[[Tensor], Tensor],
        *,
        name: str = "model",
        seed: int | None = 0,
        classes: Sequence[str] | int | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        dtype: npt.DTypeLike = np.float32,
        auxiliary: Sequence[tuple[Tensor, float]] = (),
        crop_pct: float | None = None,
        task: str | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        if not isinstance(inputs, Tensor):
            raise ArgumentError(f"Model: inputs is a {type(inputs).__name__}; expected an nn.Input")
        outputs = outputs(inputs) if callable(outputs) else outputs
        if type(outputs).__name__ in ("list", "tuple"):
            raise ArgumentError(f"Model: outputs is a {type(outputs).__name__}; write nn.Sequential(*layers)")
        if not isinstance(outputs, Tensor) or outputs.graph is not inputs.graph or inputs.graph.input is not inputs:
            raise ArgumentError("Model: the outputs must be made from the nn.Input that is given as inputs")
        if not name.replace("_", "").replace("-", "").replace(".", "").isalnum() or not name.isascii():
            raise ArgumentError(f"Model: the name {name!r} may hold only letters, digits, '_', '-' and '.'")
        if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise ArgumentError(f"Model: dtype is {dtype}; expected float32 or float64")
        self.auxiliary = tuple((tensor, float(weight)) for tensor, weight in auxiliary)
        self.answer = read_output(inputs.graph, outputs, classes, task or inherited_task(outputs, classes))
        self.logits = self.answer.logits
        self.classes_are_integers = False  # whether `fit` named the classes after integer labels
        self.graph = inputs.graph.up_to(outputs, self.logits, *(tensor for tensor, _ in self.auxiliary))
        self.output, self.name, self.dtype = outputs, name, np.dtype(dtype)
        changes = {"mean": mean, "std": std, "crop_pct": crop_pct}
        given = preprocessing or inputs.graph.preprocessing or Preprocessing()
        self.preprocessing = given.for_channels(inputs.shape[-1], **changes)
        if self.graph.plan(2, training=False)[1][self.logits.name] != (2, *self.logits.shape[1:]):
            raise ShapeError(f"Model: the first axis of the output {self.logits!r} is not the batch; keep it first")
        for tensor, weight in self.auxiliary:
            if tensor.graph is not inputs.graph or tensor.shape != self.logits.shape or not 0 <= weight < np.inf:
                raise ArgumentError(
                    f"Model: auxiliary has {tensor!r} with the weight {weight:g}; expected (N, {len(self.classes)}) made from "
                    "the same nn.Input, and a weight of 0 or more"
                )
        self._programs: dict[tuple[object, ...], Program] = {}  # the last few, each with its arena
        self.warned_of_pixels = False
        self.lock = ForkSafeLock()  # of its programs: one thread runs one of them at a time
        if seed is not None:
            rng = np.random.default_rng(integer("Model: seed", seed, 0))
            initialize(self.graph.of_kind("parameter"), self.p, rng)
            initialize(self.graph.of_kind("state"), self.state, rng)

    def __repr__(self) -> str:
        what = f"{len(self.classes)} {self.task}" if self.classes else str(self.output.shape[1:])
        return f"<model {self.name}: {self.input_shape} -> {what}, {self.parameter_count:,} parameters>"

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("p", "g", "state"):
            raise ArgumentError(f"Model: {name} can't be replaced; write its arrays: model.{name}.conv1_weight = ...")
        if name == "task":
            raise ArgumentError(
                "Model: the task can't be replaced; make a model of it: nn.Model(inputs, outputs, task=...)"
            )
        hints = MODEL_NAMES if "graph" not in vars(self) else MODEL_NAMES | layer_hints(self.graph)
        if name in hints and name not in FREE_NAMES:
            raise ArgumentError(f"Model: nothing reads {name}; {hints[name]}")
        super().__setattr__(name, value)

    if not TYPE_CHECKING:  # else type checkers would take any name for one that is there

        def __getattr__(self, name):
            hints = MODEL_NAMES | layer_hints(vars(self).get("graph", Graph()))
            raise unknown_attribute("the model", name, [key for key in dir(self) if key[0] != "_"], hints)

    def __reduce__(self) -> Any:
        """Copy and pickle what a file of the model holds; programs and gradients are made anew."""
        from byhand.nn.serialization import record, restore  # noqa: PLC0415  (it makes Models)

        return restore, record(self)

    def __call__(self, images: Any) -> Any:
        """Return the network's output for images; on a symbolic tensor, be a layer of its network, with these weights."""
        if isinstance(images, Tensor):
            from byhand.nn.model_layer import apply_model  # noqa: PLC0415  (it takes Models)

            return apply_model(self, images)
        return outputs_of(self, self.logits_of(warn_of_pixels(self, as_images(self, images))))

    def eval(self) -> Model:
        """Return the model itself, which has no modes to switch: predict is inference, a Trainer's step is training."""
        return self

    @hinted
    def fit(self, images: Any, labels: Any = None, **settings: Any) -> Any:
        """Train on arrays or on a Dataset; return a row per epoch. settings: as `byhand.train.fitting.fit` takes them."""
        return METHODS["fit"](self, images, labels, **settings)

    @hinted
    def evaluate(self, images: Any, labels: Any = None, **settings: Any) -> dict[str, float]:
        """Return the mean loss and the accuracy on arrays or on a Dataset; see `byhand.train.fitting.evaluate`."""
        return METHODS["evaluate"](self, images, labels, **settings)  # type: ignore[no-any-return]

    def _repr_html_(self) -> str:
        """Return the table of layers, as a notebook shows it."""
        return self.summary()._repr_html_()

    @cached_property
    def p(self) -> NamedArrays:
        """Every parameter by name, and all of them in one buffer, `flat`."""
        return NamedArrays(**vars(flat_views(self.graph.of_kind("parameter"), self.dtype)))

    @cached_property
    def state(self) -> NamedArrays:
        """The arrays that forward updates in training, by name: running statistics, random keys."""
        return NamedArrays(**{t.name: np.zeros(t.shape, t.dtype or self.dtype) for t in self.graph.of_kind("state")})

    @cached_property
    def g(self) -> NamedArrays:
        """The gradient of every parameter, `grad_<name>`, and all of them in one buffer, `flat`."""
        return NamedArrays(**vars(flat_views(self.graph.of_kind("parameter"), self.dtype, "grad_")))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One image's shape, (H, W, C)."""
        assert self.graph.input is not None
        return self.graph.input.shape[1:]

    @property
    def parameters(self) -> ParameterDict:
        """Every parameter by name: the arrays that training changes, not copies; assigning an item writes into its array."""
        return ParameterDict({t.name: vars(self.p)[t.name] for t in self.graph.of_kind("parameter")})

    def named_parameters(self) -> Iterator[tuple[str, Array]]:
        """Yield (name, array) of every parameter."""
        return iter(self.parameters.items())

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and states by name, for `load_state_dict`."""
        return {name: array.copy() for name, array in (self.parameters | vars(self.state)).items()}

    def load_state_dict(self, arrays: Mapping[str, npt.ArrayLike], strict: bool = True) -> None:
        """Copy parameters and states by name, all or none; strict=False: those whose names the model has.

        Raises ArgumentError where a name is missing or unknown, ShapeError for another shape.
        """
        load_arrays(self.parameters | vars(self.state), arrays, strict)

    @property
    def parameter_count(self) -> int:
        """How many numbers the parameters hold."""
        return sum(prod(t.shape) for t in self.graph.of_kind("parameter"))

    @property
    def learns_classes(self) -> bool:
        """Whether its loss is the softmax cross-entropy of classes."""
        return self.task == "classes" and self.answer.activation != "other"

    def summary(self) -> Summary:
        """Return the table of layers: output shape, parameters, FLOPs, receptive field; `print` it."""
        return Summary(self.graph, self.output, self.name)

    def program(
        self,
        batch: int = 64,
        train: bool = False,
        *,
        hand: str = DEFAULT_HAND,
        update: Update | None = None,
        input_gradient: bool = False,
        loss: Op = softmax_cross_entropy,
        label_smoothing: float = 0.0,
        keep: bool = False,
        precision: str = FLOAT32,
    ) -> Program:
        """Return the generated program for a batch size; `print` shows it.

        update: what an optimizer adds (`trainer.program()` passes it); input_gradient: also d loss / d images; loss: its op;
        label_smoothing: the part of each label's probability that is spread over all classes; keep: one op a
        layer, none fused, and no array is overwritten: to read all afterwards, and to step through in a debugger;
        precision: "bf16" rounds the factors of each product to bfloat16, in float32 arrays: twice as fast on some CPUs, and
        float32 on others, with a warning.
        """
        precision = resolve_precision(precision, hand, self.dtype)
        batch = integer("program: batch", batch)
        if train and not self.learns_classes and "label_smoothing" in loss.attributes:
            raise ArgumentError(f"{self.name} has no classes to learn: its output gives {self.task}; see replace_head")
        key = (batch, train, hand, update, input_gradient, loss, label_smoothing, keep, precision, tuning.in_use())
        with self.lock.rlock:
            program = self._programs.pop(key, None)
            if program is None:
                program = build(
                    self.graph,
                    self.logits,
                    f"{self.name}, {self.parameter_count:,} parameters",
                    batch=batch,
                    training=train,
                    hand=hand,
                    dtype=self.dtype,
                    update=update,
                    input_gradient=input_gradient,
                    loss=loss,
                    label_smoothing=label_smoothing,
                    keep=keep,
                    auxiliary=self.auxiliary,
                    lock=self.lock,
                    precision=precision,
                )
                program.complete = None if update else model_arguments(self, loss if train else None)
            self._programs[key] = program
            if len(self._programs) > MAX_PROGRAMS:
                del self._programs[next(iter(self._programs))]  # the least recently used
            return program

    def check(self, images: npt.ArrayLike) -> Array:
        """Return images as an array that `prepare` takes, or raise as it does."""
        return check_images(self, images)

    def prepare(
        self, images: npt.ArrayLike, rows: Array | None = None, *, out: Array | None = None, hand: str = DEFAULT_HAND
    ) -> Array:
        """Return images (N, H, W, C) as the network receives them: uint8 pixels scaled, floating point as it is.

        rows: which of the images, by default all; out: where they are written, (rows, H, W, C).
        Raises ShapeError where the images are not of the network's shape, ArgumentError where they hold something else.
        """
        return prepare_images(self, images, rows, out, hand)

    def logits_of(
        self, images: Any, *, batch_size: int | None = None, hand: str = DEFAULT_HAND, precision: str = FLOAT32
    ) -> Array:
        """Return the logits (N, classes) of images, a batch at a time.

        images: an array, or `data.lazy_images.LazyImages`, prefetched; batch_size: by default as many images as have
        a million pixels, at most 250; precision: as `program` takes it.
        """
        return logits_of(self, as_images(self, images), batch_size, hand, precision)

    @hinted
    def predict(
        self, images: Any, *, batch_size: int | None = None, hand: str = DEFAULT_HAND, precision: str = FLOAT32
    ) -> Array:
        """Return the probability of each class or label: images (N, H, W, C) uint8 or floating point -> (N, classes).

        A model of numbers or features returns its output unchanged. Floating point images are taken as normalized; it warns
        once of such that look like pixels. precision: as `program` takes it.
        """
        images = warn_of_pixels(self, as_images(self, images))
        return answers(self.answer, logits_of(self, images, batch_size, hand, precision))

    @hinted
    def compile(self, batch: int = 1, *, precision: str = FLOAT32) -> CompiledModel:
        """Return the model compiled for inference, with the weights that it has now; see `byhand.nn.CompiledModel`.

        batch: images of one run; precision: as `program` takes it. The results are those of `predict` but for rounding.
        """
        return CompiledModel(self, batch, precision)

    def trace(self, images: Any, labels: Any = None, *, hand: str = DEFAULT_HAND) -> dict[str, Array]:
        """Return every tensor of a forward pass, and with labels of a backward pass, under the name that the program uses.

        The model does not change. See `byhand.nn.trace` for the names.

        >>> import byhand as bh
        >>> train, _ = bh.data.load("mnist")
        >>> model = bh.models.create("article")
        >>> model.trace(train.images[:1])["conv1"].shape
        (1, 26, 26, 8)
        >>> model.trace(train.images[:1], train.labels[:1])["grad_conv1_weight"].shape
        (3, 3, 1, 8)
        """
        return trace(self, images, labels, hand)

    def replace_head(
        self, classes: int | Sequence[str], *, frozen: bool = True, unfreeze: int = 0, seed: int = 0
    ) -> Model:
        """Return a model with a new last layer for other classes, on the features of this one: transfer learning.

        frozen: only the new layer learns; the others keep their weights, and their batch norms the running statistics.
        unfreeze: so many layers with weights below the new one learn too (a few more, where a shortcut joins them).

        >>> import byhand as bh
        >>> bh.models.create("lenet5").replace_head(["cat", "dog"]).parameter_count
        170
        """
        from byhand.nn.replace_head import replace_head  # noqa: PLC0415  (it makes Models)

        return replace_head(self, classes, frozen, seed, unfreeze)

    def with_frozen(self, *layers: str) -> Model:
        """Return a model in which training leaves layers alone: their parameters, and the running statistics of their norms.

        layers: names, or patterns such as "conv*". Raises UnknownNameError for one that no layer with parameters has.

        >>> import byhand as bh
        >>> bh.models.create("lenet5").with_frozen("conv*", "fc1").parameter_count
        11014
        """
        from byhand.nn.freeze import with_frozen  # noqa: PLC0415  (it makes Models)

        return with_frozen(self, layers)

    def with_flip_tta(self) -> Model:
        """Return a model with horizontal-flip test-time augmentation: the mean of the logits of an image and its mirror image.

        For networks that were trained on images and their mirror images (`bh.data.Augment(flip=True)`).
        """
        from byhand.nn.flip_tta import with_flip_tta  # noqa: PLC0415  (it makes Models)

        return with_flip_tta(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one safetensors file, whole or not at all; `bh.load` reads it."""
        from byhand.nn.serialization import save  # noqa: PLC0415  (it makes Models)

        save(self, path)

    def load_torchvision(self, path: str | os.PathLike[str]) -> None:
        """Read the weights that torchvision publishes for this architecture: a PyTorch state dict as safetensors.

        All of them, or nothing: raises FileError where a name or a shape is another.
        """
        from byhand.nn.torchvision import load  # noqa: PLC0415  (it takes Models)

        load(self, path)
