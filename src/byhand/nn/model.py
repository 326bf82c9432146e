"""The Model: a graph, its parameters in one flat buffer, and what people do with it: predict, trace, save."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from byhand.data.lazy_images import LazyImages
from byhand.data.prefetch import Prefetcher
from byhand.errors import ArgumentError, ShapeError
from byhand.graph import Tensor
from byhand.kernels.lookup_table import look_up
from byhand.nn.output_activation import values_after
from byhand.nn.summary import Summary
from byhand.nn.task import answers, read_output
from byhand.ops import DEFAULT_HAND
from byhand.ops.loss.softmax import check_labels
from byhand.ops.op import Array
from byhand.program import Program, build
from byhand.program.buffers import flat_views
from byhand.program.fork_safe_lock import ForkSafeLock
from byhand.program.spec import Update
from byhand.shapes import integer, number

MAX_PROGRAMS = 8  # that a model keeps: for the full and the last batch of training, testing, predicting, and two more
MAX_BATCH = 250  # images, where no batch size is given
MAX_BATCH_PIXELS = 1 << 20  # in all of these images
LOOKUP_MIN_ELEMENTS = 8192  # below, NumPy scales pixels sooner than a kernel is launched


class Model:
    """A network with its parameters.

    inputs: an `nn.Input`; outputs: a tensor made from it, or a layer (or function) to apply to it. seed: of the parameters'
    first values; None: zeros. task: what the outputs answer, by default read from the graph: "classes" (logits, or a softmax,
    which training leaves out: its loss contains it), "labels" (a sigmoid each), "numbers" or "features"; see nn/task.py.
    classes: the names of classes or labels, in order; (): the output has none, and may have any shape (such a model can be run
    and traced, not trained). mean, std: of the normalization of uint8 images, (pixel / 255 - mean) / std, a number or one a
    channel; floating point images are taken as they are. auxiliary: (logits, weight) pairs, whose weighted losses are added to
    the loss in training (what training reports is the loss of the outputs). crop_pct: the fraction of a photo's shorter side
    that the images of the training showed (timm's word), which `byhand predict` shows too.

    p: the parameters by name, and all of them in one buffer, `p.flat`; g: their gradients, `grad_<name>`, and `g.flat`;
    state: what forward updates in training (running statistics, random keys), by name.

    >>> import byhand as bh
    >>> from byhand import nn
    >>> x = nn.Input(28, 28, 1)
    >>> y = nn.Conv2d(8, 3, padding="same")(x)
    >>> y = nn.ReLU()(y + nn.Conv2d(8, 3, padding="same")(y))  # a residual
    >>> model = nn.Model(x, nn.Linear(10)(nn.GlobalAvgPool2d()(y)))
    >>> model.parameter_count
    754
    """

    def __init__(
        self,
        inputs: Tensor,
        outputs: Tensor | Callable[[Tensor], Tensor],
        *,
        name: str = "model",
        seed: int | None = 0,
        classes: Sequence[str] | None = None,
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 1.0,
        dtype: npt.DTypeLike = np.float32,
        auxiliary: Sequence[tuple[Tensor, float]] = (),
        crop_pct: float | None = None,
        task: str | None = None,
    ) -> None:
        if not isinstance(inputs, Tensor):
            raise ArgumentError(f"Model: inputs is a {type(inputs).__name__}; expected an nn.Input")
        outputs = outputs(inputs) if callable(outputs) else outputs
        if not isinstance(outputs, Tensor) or outputs.graph is not inputs.graph or inputs.graph.input is not inputs:
            raise ArgumentError("Model: the outputs must be made from the nn.Input that is given as inputs")
        if not name.replace("_", "").replace("-", "").replace(".", "").isalnum() or not name.isascii():
            raise ArgumentError(f"Model: the name {name!r} may hold only letters, digits, '_', '-' and '.'")
        if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise ArgumentError(f"Model: dtype is {dtype}; expected float32 or float64")
        self.auxiliary = tuple((tensor, float(weight)) for tensor, weight in auxiliary)
        self.answer = read_output(inputs.graph, outputs, classes, task)
        self.task, self.logits, self.classes = self.answer.task, self.answer.logits, self.answer.classes
        self.graph = inputs.graph.up_to(outputs, self.logits, *(tensor for tensor, _ in self.auxiliary))
        self.output, self.name, self.dtype = outputs, name, np.dtype(dtype)
        self.crop_pct = None if crop_pct is None else number("Model: crop_pct", crop_pct)
        if self.crop_pct is not None and not 0 < self.crop_pct <= 1:
            raise ArgumentError(
                f"Model: crop_pct is {crop_pct}; expected a fraction of a photo's shorter side, up to 1"
            )
        if self.graph.plan(2, training=False)[1][self.logits.name] != (2, *self.logits.shape[1:]):
            raise ShapeError(f"Model: the first axis of the output {self.logits!r} is not the batch; keep it first")
        for tensor, weight in self.auxiliary:
            if tensor.graph is not inputs.graph or tensor.shape != self.logits.shape or not 0 <= weight < np.inf:
                raise ArgumentError(
                    f"Model: auxiliary has {tensor!r} with the weight {weight:g}; expected (N, {len(self.classes)}) made from "
                    "the same nn.Input, and a weight of 0 or more"
                )
        self.mean, self.std = (self._per_channel(what, value) for what, value in (("mean", mean), ("std", std)))
        if not np.all(self.std):
            raise ArgumentError("Model: std is 0; expected numbers to divide by")
        self._programs: dict[tuple[object, ...], Program] = {}  # the last few, each with its arena
        self._lock = ForkSafeLock()  # of its programs: one thread runs one of them at a time
        if seed is not None:
            self._initialize(integer("Model: seed", seed, 0))

    def _per_channel(self, what: str, value: npt.ArrayLike) -> float | list[float]:
        """Return a number, or a list of one a channel."""
        channels = self.input_shape[-1:]
        try:
            array = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            array = np.array(np.nan)
        if array.shape not in ((), channels) or not np.isfinite(array).all():
            raise ArgumentError(
                f"Model: {what} is {value!r}; expected a number, or {prod(channels)} of them, one a channel"
            )
        return array.tolist()  # type: ignore[no-any-return]

    def _initialize(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for values, kind in ((self.p, "parameter"), (self.state, "state")):
            for tensor in self.graph.of_kind(kind):
                assert tensor.initializer is not None
                vars(values)[tensor.name][...] = tensor.initializer(rng, tensor.shape)

    def __repr__(self) -> str:
        what = f"{len(self.classes)} {self.task}" if self.classes else str(self.output.shape[1:])
        return f"<model {self.name}: {self.input_shape} -> {what}, {self.parameter_count:,} parameters>"

    def _repr_html_(self) -> str:
        """Return the table of layers, as a notebook shows it."""
        return self.summary()._repr_html_()

    @property
    def settings(self) -> dict[str, Any]:
        """Its name, dtype and preprocessing, as the constructor takes them: for a model that is made from this one."""
        names = ("name", "dtype", "mean", "std", "crop_pct")
        return {name: getattr(self, name) for name in names}

    @cached_property
    def p(self) -> SimpleNamespace:
        """Every parameter by name, and all of them in one buffer, `flat`."""
        return flat_views(self.graph.of_kind("parameter"), self.dtype)

    @cached_property
    def state(self) -> SimpleNamespace:
        """The arrays that forward updates in training, by name: running statistics, random keys."""
        return SimpleNamespace(
            **{t.name: np.zeros(t.shape, t.dtype or self.dtype) for t in self.graph.of_kind("state")}
        )

    @cached_property
    def g(self) -> SimpleNamespace:
        """The gradient of every parameter, `grad_<name>`, and all of them in one buffer, `flat`."""
        return flat_views(self.graph.of_kind("parameter"), self.dtype, "grad_")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One image's shape, (H, W, C)."""
        assert self.graph.input is not None
        return self.graph.input.shape[1:]

    @property
    def parameters(self) -> dict[str, Array]:
        """Every parameter by name: the arrays that training changes, not copies."""
        return {t.name: vars(self.p)[t.name] for t in self.graph.of_kind("parameter")}

    @property
    def parameter_count(self) -> int:
        """How many numbers the parameters hold."""
        return sum(prod(t.shape) for t in self.graph.of_kind("parameter"))

    @property
    def trainable(self) -> bool:
        """Whether training has a loss for it: the softmax cross-entropy of classes."""
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
        label_smoothing: float = 0.0,
        preserve_all: bool = False,
    ) -> Program:
        """Return the generated program for a batch size; `print` shows it.

        update: what an optimizer adds (`trainer.program()` passes it); input_gradient: also d loss / d images;
        label_smoothing: the part of each label's probability that is spread over all classes; preserve_all: no array shares
        memory with another, so that all can be read afterwards.
        """
        batch = integer("program: batch", batch)
        if train and not self.trainable:
            raise ArgumentError(f"{self.name} has no classes to learn: its output gives {self.task}; see replace_head")
        key = (batch, train, hand, update, input_gradient, label_smoothing, preserve_all)
        with self._lock.rlock:
            program = self._programs.pop(key, None)
            if program is None:
                title = f"{self.name}, {self.parameter_count:,} parameters"
                program = build(
                    self.graph,
                    self.logits,
                    title,
                    batch=batch,
                    training=train,
                    hand=hand,
                    dtype=self.dtype,
                    update=update,
                    input_gradient=input_gradient,
                    label_smoothing=label_smoothing,
                    preserve_all=preserve_all,
                    auxiliary=self.auxiliary,
                    lock=self._lock,
                )
            self._programs[key] = program
            if len(self._programs) > MAX_PROGRAMS:
                del self._programs[next(iter(self._programs))]  # the least recently used
            return program

    def check(self, images: npt.ArrayLike) -> Array:
        """Return images as an array that `prepare` takes, or raise as it does."""
        images = np.asarray(images)
        if images.shape[1:] != self.input_shape or not len(images):
            hint = "; for a single image, give image[None]" if images.shape == self.input_shape else ""
            hint = "; add the channel axis: images[..., None]" if (*images.shape[1:], 1) == self.input_shape else hint
            expected = ", ".join(map(str, self.input_shape))
            raise ShapeError(f"{self.name}: images have the shape {images.shape}; expected (N, {expected}){hint}")
        if images.dtype != np.uint8 and images.dtype.kind != "f":
            raise ArgumentError(f"{self.name}: images hold {images.dtype}; expected uint8 (0 to 255) or floating point")
        return images

    def prepare(
        self, images: npt.ArrayLike, rows: Array | None = None, *, out: Array | None = None, hand: str = DEFAULT_HAND
    ) -> Array:
        """Return images (N, H, W, C) as the network receives them: uint8 pixels scaled, floating point as it is.

        rows: which of the images, by default all; out: where they are written, (rows, H, W, C).
        Raises ShapeError where the images are not of the network's shape, ArgumentError where they hold something else.
        """
        images = self.check(images)
        count = len(images) if rows is None else len(rows)
        if images.dtype == np.uint8 and hand == "compiled" and count * images[0].size > LOOKUP_MIN_ELEMENTS:
            out = np.empty((count, *self.input_shape), self.dtype) if out is None else out
            look_up(images, np.arange(count) if rows is None else np.asarray(rows, np.int64), self._scale, out)
            return out
        images = images if rows is None else images[rows]
        if images.dtype == np.uint8:
            several = len(self._scale) > 1
            images = self._scale[np.arange(images.shape[-1]), images] if several else self._scale[0].take(images)
        if out is None:
            return np.ascontiguousarray(images, self.dtype)
        out[...] = images
        return out

    @cached_property
    def _scale(self) -> Array:
        """The normalized value of each of the 256 pixel values: a row for each channel, or one row for all."""
        mean, std = (np.atleast_1d(np.asarray(value, self.dtype))[:, None] for value in (self.mean, self.std))
        return (np.arange(256).astype(self.dtype) / 255 - mean) / std  # type: ignore[no-any-return]

    def logits_of(self, images: Any, *, batch_size: int | None = None, hand: str = DEFAULT_HAND) -> Array:
        """Return the logits (N, classes) of images, a batch at a time.

        images: an array, or `data.lazy_images.LazyImages`, prefetched; batch_size: by default as many images as have
        a million pixels, at most 250.
        """
        files = isinstance(images, LazyImages)
        images = images if files else np.atleast_1d(images)
        default = max(1, min(MAX_BATCH, MAX_BATCH_PIXELS // max(1, prod(self.input_shape[:2]))))
        size = default if batch_size is None else integer("batch_size", batch_size)
        starts = range(0, max(1, len(images)), size)

        def batch(start: int) -> Array:
            return np.asarray(images[start : start + size])

        parts = []
        for part in Prefetcher(batch, starts) if files else map(batch, starts):
            part = self.check(part)
            program = self.program(len(part), hand=hand)
            with self._lock.rlock:  # from the images to the result, which the program copies
                x = self.prepare(part, out=program.images[0], hand=hand)
                parts.append(program(x, self.p, self.state, program.arena))
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def predict(self, images: Any, *, batch_size: int | None = None, hand: str = DEFAULT_HAND) -> Array:
        """Return the probability of each class or label: images (N, H, W, C) uint8 or floating point -> (N, classes).

        A model of numbers or features returns its output unchanged.
        """
        return answers(self.answer, self.logits_of(images, batch_size=batch_size, hand=hand))

    def trace(self, images: Any, labels: Any = None, *, hand: str = DEFAULT_HAND) -> dict[str, Array]:
        """Return every tensor of a forward pass, and with labels of a backward pass, under the name that the program uses.

        Outputs (`conv1`), what forward saves (`pool1_argmax`), parameters (`conv1_weight`), states; with labels also the loss,
        and the gradient of the loss with respect to each of them (`grad_conv1`, `grad_conv1_weight`, `grad_images`; where a
        tensor is used twice, `grad_2_...` is the second use's part, which the sum includes). The model does not change.

        >>> import byhand as bh
        >>> train, _ = bh.data.load("mnist")
        >>> model = bh.models.create("article")
        >>> model.trace(train.images[:1])["conv1"].shape
        (1, 26, 26, 8)
        >>> model.trace(train.images[:1], train.labels[:1])["grad_conv1_weight"].shape
        (3, 3, 1, 8)
        """
        x = self.prepare(images, hand=hand)
        with self._lock.rlock:
            state = SimpleNamespace(**{name: value.copy() for name, value in vars(self.state).items()})
            assert self.graph.input is not None
            named = {self.graph.input.name: x} | self.parameters | vars(state)
            if labels is None:
                program = self.program(len(x), hand=hand, preserve_all=True)
                program(x, self.p, state, program.arena)
                named |= vars(program.arena)
                named |= values_after(self.graph.up_to(self.output), named, hand)
            else:
                labels = check_labels(labels, len(self.classes))
                if labels.shape != (len(x),):
                    raise ShapeError(
                        f"{self.name}: labels have the shape {labels.shape}; expected ({len(x)},), one an image"
                    )
                program = self.program(len(x), train=True, hand=hand, input_gradient=True, preserve_all=True)
                gradients = flat_views(self.graph.of_kind("parameter"), self.dtype, "grad_")
                program(x, labels, self.p, gradients, state, program.arena)
                named |= {"labels": labels} | vars(program.arena)
                named |= {name: value for name, value in vars(gradients).items() if name != "flat"}
            return {name: np.array(value) for name, value in named.items()}

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

    def with_flip_tta(self) -> Model:
        """Return a model with horizontal-flip test-time augmentation: the mean of the logits of an image and its mirror image.

        For networks that were trained on images and their mirror images (`bh.data.Augment(flip=True)`).

        >>> import byhand as bh
        >>> model = bh.models.create("tiny", classes=["cat", "dog"])
        >>> image = np.random.default_rng(0).random((1, 32, 32, 3))
        >>> tta = model.with_flip_tta()
        >>> bool(np.allclose(tta.logits_of(image), tta.logits_of(image[:, :, ::-1]), atol=1e-6))
        True
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
