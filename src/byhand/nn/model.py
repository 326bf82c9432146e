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
from byhand.data.preprocessing import Preprocessing
from byhand.errors import ArgumentError, ShapeError
from byhand.graph import Graph, Tensor
from byhand.nn.network_input import check_images, prepare_images, warn_of_pixels
from byhand.nn.summary import Summary
from byhand.ops import DEFAULT_HAND, softmax
from byhand.ops.loss.softmax import check_labels
from byhand.ops.op import Array
from byhand.program import Program, build
from byhand.program.buffers import flat_views
from byhand.program.fork_safe_lock import ForkSafeLock
from byhand.program.spec import Update
from byhand.shapes import integer

MAX_PROGRAMS = 8  # that a model keeps: for the full and the last batch of training, testing, predicting, and two more
MAX_BATCH = 250  # images, where no batch size is given
MAX_BATCH_PIXELS = 1 << 20  # in all of these images


class Model:
    """A network with its parameters.

    inputs: an `nn.Input`; outputs: a tensor made from it, or a layer (or function) to apply to it. The outputs are logits; a
    softmax at the end is left out of training, whose loss contains it. seed: of the parameters' first values; None: zeros.
    classes: their names, in order; (): the output is no logits, and may have any shape (such a model can be run and traced,
    not trained). preprocessing: what is done to an image before, a `bh.data.Preprocessing`; mean, std, crop_pct: its fields,
    as (pixel / 255 - mean) / std of uint8 images; floating point images are taken as they are. auxiliary: (logits, weight)
    pairs, whose weighted losses are added to the loss in training (what training reports is the loss of the outputs).

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
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        dtype: npt.DTypeLike = np.float32,
        auxiliary: Sequence[tuple[Tensor, float]] = (),
        crop_pct: float | None = None,
        preprocessing: Preprocessing | None = None,
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
        self.graph = inputs.graph.up_to(outputs, *(tensor for tensor, _ in self.auxiliary))
        self.output, self.name, self.dtype = outputs, name, np.dtype(dtype)
        changes = {"mean": mean, "std": std, "crop_pct": crop_pct}
        self.preprocessing = (preprocessing or Preprocessing()).for_channels(inputs.shape[-1], **changes)
        free = isinstance(classes, tuple) and not classes
        self.logits = outputs if free else _before_softmax(self.graph, outputs)
        sizes = self.logits.shape[1:]
        if len(sizes) != 1 and not free:
            raise ShapeError(
                f"Model: the output {self.logits!r} is not (N, classes); end with nn.Flatten() or nn.Linear()"
            )
        if self.graph.plan(2, training=False)[1][self.logits.name] != (2, *sizes):
            raise ShapeError(f"Model: the first axis of the output {self.logits!r} is not the batch; keep it first")
        count = prod(sizes) if classes is None else len(classes)
        for tensor, weight in self.auxiliary:
            if tensor.graph is not inputs.graph or tensor.shape != self.logits.shape or not 0 <= weight < np.inf:
                raise ArgumentError(
                    f"Model: auxiliary has {tensor!r} with the weight {weight:g}; expected (N, {count}) made from the same "
                    "nn.Input, and a weight of 0 or more"
                )
        self.classes = tuple(map(str, range(count) if classes is None else classes))
        if sizes != (count,) and not free:
            raise ArgumentError(f"Model: got {count} class names for {prod(sizes)} outputs")
        self._programs: dict[tuple[object, ...], Program] = {}  # the last few, each with its arena
        self._warned = False  # of floating point pixels
        self._lock = ForkSafeLock()  # of its programs: one thread runs one of them at a time
        if seed is not None:
            self._initialize(integer("Model: seed", seed, 0))

    def _initialize(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for values, kind in ((self.p, "parameter"), (self.state, "state")):
            for tensor in self.graph.of_kind(kind):
                assert tensor.initializer is not None
                vars(values)[tensor.name][...] = tensor.initializer(rng, tensor.shape)

    def __repr__(self) -> str:
        what = f"{len(self.classes)} classes" if self.classes else str(self.output.shape[1:])
        return f"<model {self.name}: {self.input_shape} -> {what}, {self.parameter_count:,} parameters>"

    def _repr_html_(self) -> str:
        """Return the table of layers, as a notebook shows it."""
        return self.summary()._repr_html_()

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to an image before it is the network's input: written by training, obeyed at prediction."""
        return self._preprocessing

    @preprocessing.setter
    def preprocessing(self, value: Preprocessing) -> None:
        self._preprocessing = value
        self.pixel_levels = value.normalized_levels(self.dtype)  # of each of the 256 values, a row a channel or one

    @property
    def mean(self) -> float | list[float]:
        """The mean of the normalization of pixels, (pixel / 255 - mean) / std."""
        return self._preprocessing.mean

    @property
    def std(self) -> float | list[float]:
        """The standard deviation of the normalization of pixels."""
        return self._preprocessing.std

    @property
    def crop_pct(self) -> float | None:
        """The fraction of a photo's shorter side that an image shows; None: unknown."""
        return self._preprocessing.crop_pct

    @property
    def settings(self) -> dict[str, Any]:
        """Its name, dtype and preprocessing, as the constructor takes them: for a model that is made from this one."""
        names = ("name", "dtype", "preprocessing")
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
        if train and not self.classes:
            raise ArgumentError(f"{self.name} has no classes to learn: {self.output!r} is its output; see replace_head")
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
        return check_images(self, images)

    def prepare(
        self, images: npt.ArrayLike, rows: Array | None = None, *, out: Array | None = None, hand: str = DEFAULT_HAND
    ) -> Array:
        """Return images (N, H, W, C) as the network receives them: uint8 pixels scaled, floating point as it is.

        rows: which of the images, by default all; out: where they are written, (rows, H, W, C).
        Raises ShapeError where the images are not of the network's shape, ArgumentError where they hold something else.
        """
        return prepare_images(self, images, rows, out, hand)

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
        """Return the probability of each class: images (N, H, W, C) uint8 or floating point -> (N, classes).

        A model without classes returns its output unchanged. Floating point images are taken as normalized; it warns once of
        such that look like pixels.
        """
        if not self._warned and not isinstance(images, LazyImages):
            self._warned = warn_of_pixels(self, np.asarray(images))
        if not self.classes:
            return self.logits_of(images, batch_size=batch_size, hand=hand)
        return softmax(self.logits_of(images, batch_size=batch_size, hand=hand))  # type: ignore[no-any-return]

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
                logits = program(x, self.p, state, program.arena)
                if self.output is not self.logits:
                    named[self.output.name] = softmax(logits)
                named |= vars(program.arena)
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


def _before_softmax(graph: Graph, output: Tensor) -> Tensor:
    for node in graph.nodes:
        if node.output is output and node.op is softmax:
            return node.inputs["x"]  # type: ignore[no-any-return]
    return output
