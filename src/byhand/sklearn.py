"""A classifier of images with scikit-learn's verbs and names, for its pipelines, searches and cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isqrt, prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from byhand.data import Augment, Dataset
from byhand.data.stratified_split import stratified_split
from byhand.errors import ArgumentError, ShapeError, UnknownNameError
from byhand.graph import Tensor
from byhand.models import ARCHITECTURES
from byhand.nn import Conv2d, Flatten, Input, Linear, MaxPool2d, Model, ReLU, load
from byhand.nn.init import constant
from byhand.ops import batch_norm, softmax
from byhand.ops.op import Array
from byhand.shapes import integer, number
from byhand.train import AdamW, OneCycle, Trainer

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "sklearn":
        raise
    raise ModuleNotFoundError(
        "byhand.sklearn needs scikit-learn: run  pip install 'byhand[sklearn]'", name="sklearn"
    ) from None

__all__ = ["CNNClassifier"]

SIDE, LARGE = 8, 16  # pixels of a side: from which on a square of numbers is an image, and an image is large
SAMPLE = 4096  # images whose numbers tell mean and deviation
MANY, BATCHES = 2000, (16, 64)  # images, from which on a batch holds more
STEADY = 1e-6  # a deviation that is such a part of the mean is rounding: the channel is the same everywhere
SEEDS = 2**31 - 1
FILE = "model.safetensors"


class CNNClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A convolutional network as a scikit-learn classifier.

    X holds images, (N, H, W, C) or grey ones (N, H, W), or rows of numbers (N, F), one an image: with `image_shape` of such;
    without it a square of 8 x 8 or more numbers is a grey image, and anything else no image but features, one pixel of F
    channels, on which a convolution is a fully connected layer. Labels may be of any type. What X holds is brought to mean 0
    and variance 1 a channel inside the network, as it was in `fit`; uint8 and floating point are the same numbers.

    Parameters
    ----------
    model : "auto", a name of `bh.models.names()`, or a function (images, classes) -> logits that calls layers; "auto" is
        "tiny" for images of 16 x 16 pixels or more, and two convolutions for less
    image_shape : (H, W) or (H, W, C) of an image that is a row of X
    learning_rate_init : the highest learning rate (of AdamW); it goes up, and down to 0 at the end (`bh.OneCycle`)
    max_iter : epochs; with early stopping, at most so many
    batch_size : images an update; "auto": 64, or 16 of fewer than 2,000
    early_stopping : set `validation_fraction` of the images aside, the same share of each class; end after
        `n_iter_no_change` epochs in a row that did no better on them; keep the network of the epoch that did best
    augment : how images (uint8) are varied while training: a `bh.data.Augment` or its text, as "flip,shift=2"
    random_state : an int, for the same network from each `fit`, a RandomState, or None
    verbose : tell each epoch

    Attributes
    ----------
    classes_ : the labels, sorted
    model_ : the network, a `bh.Model`; `model_.save(path)` writes it, `bh.load(path).predict` takes the same images
    image_shape_ : (H, W, C) of what it takes
    n_iter_, loss_curve_, loss_ : epochs done; the mean loss of each, and of the last
    validation_scores_, best_validation_score_ : the accuracy on what was set aside after each epoch, and of the best; None
        without early stopping
    n_features_in_, feature_names_in_ : numbers an image; the names of a data frame's columns

    Raises ValueError, of which byhand's ArgumentError is one, for what can't be an argument, an image or a label, and
    DivergedError where the learning rate was too high. Ctrl-C in `fit` is raised once what was learned so far is
    kept.

    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> digits = load_digits()
    >>> train, test, labels, truth = train_test_split(digits.images, digits.target, random_state=0)
    >>> classifier = CNNClassifier(random_state=0).fit(train, labels)
    >>> classifier.score(test, truth) > 0.97
    True
    >>> classifier.model_
    <model shallow: (8, 8, 1) -> 10 classes, 29,066 parameters>
    """

    def __init__(
        self,
        model: str | Callable[[Tensor, int], Tensor] = "auto",
        *,
        image_shape: Sequence[int] | None = None,
        learning_rate_init: float = 0.01,
        max_iter: int = 20,
        batch_size: int | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        augment: Augment | str = "none",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.image_shape = image_shape
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.augment = augment
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> CNNClassifier:
        """Train a new network on X and their labels y (N,); return the classifier."""
        X, y = validate_data(self, X, y, **form(X))
        self.image_shape_ = self._shape(X)
        self.n_features_in_, self._pixels = prod(self.image_shape_), X.dtype == np.uint8
        images = X.reshape(-1, *self.image_shape_)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ArgumentError(f"y has {len(self.classes_)} class, {self.classes_[0]}; expected two or more")
        names = tuple(str(one) for one in self.classes_.tolist())
        train = Dataset(images, labels, names)
        seed, validation = int(check_random_state(self.random_state).randint(SEEDS)), None
        if self.early_stopping:
            share = number("validation_fraction", self.validation_fraction, 0, 1)
            stay, aside = stratified_split(labels, share, seed)
            if not len(aside):
                raise ArgumentError(f"validation_fraction {share:g} of {len(labels)} images is none; give more of them")
            train, validation = train.rows(stay), train.rows(aside)
        augment = Augment.parse(self.augment) if isinstance(self.augment, str) else self.augment
        if augment != Augment() and not self._pixels:
            raise ArgumentError(
                f"augment is {augment}, which is for uint8; X holds {X.dtype} (for pixels 0 to 255, X.astype('uint8'))"
            )
        batch = BATCHES[len(train) >= MANY] if self.batch_size == "auto" else self.batch_size
        batch = integer("batch_size", batch)
        trainer = Trainer(
            self._network(train, seed), AdamW(number("learning_rate_init", self.learning_rate_init, 0)),
            batch_size=batch, schedule=OneCycle(), augment=augment, seed=seed,
        )  # fmt: skip
        rows = trainer.fit(
            train, validation=validation, epochs=integer("max_iter", self.max_iter),
            early_stopping=integer("n_iter_no_change", self.n_iter_no_change) if self.early_stopping else None,
            # a batch norm knows no variance of one image alone: an epoch leaves another one out then
            epoch_size=len(train) - (len(train) % batch == 1), quiet=not self.verbose,
        )  # fmt: skip
        self.model_, self.n_iter_ = trainer.model, len(rows)
        self.loss_curve_ = [row["loss"] for row in rows]
        self.loss_ = self.loss_curve_[-1] if rows else float("nan")
        self.validation_scores_ = [row["val_accuracy"] for row in rows] if self.early_stopping else None
        self.best_validation_score_ = max(self.validation_scores_, default=0.0) if self.validation_scores_ else None
        if trainer.progress is not None:  # stopped within
            raise KeyboardInterrupt
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class: X as `fit` takes it -> (N, classes) in float64, in the order of `classes_`."""
        check_is_fitted(self)
        if np.asarray(X).shape == self.image_shape_[:2] != (1, self.n_features_in_):
            raise ShapeError(f"X has the shape {self.image_shape_[:2]}; for one image, give X[None]")
        X = validate_data(self, X, reset=False, **form(X))
        if X.ndim > 2 and (X.ndim > 4 or (*X.shape[1:], 1)[:3] != self.image_shape_):
            raise ShapeError(f"X holds images of {X.shape[1:]}; expected {self.image_shape_}, as in fit")
        images = X.reshape(-1, *self.image_shape_)
        if not self._pixels:
            images = images.astype(np.float32, copy=False)
        elif images.dtype != np.uint8:  # floating point is what a network takes as it is
            mean, std = (np.asarray(one, np.float32) for one in (self.model_.mean, self.model_.std))
            images = (images / 255 - mean) / std
        return softmax(self.model_.logits_of(images).astype(np.float64), hand="arrays")  # type: ignore[no-any-return]

    def predict(self, X: Any) -> Array:
        """Return the label of each image: X as `fit` takes it -> (N,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]  # type: ignore[no-any-return]

    def _shape(self, X: Array) -> tuple[int, int, int]:
        """Return (H, W, C) of one image of X."""
        given, wanted = X.shape[1:], self.image_shape
        if X.ndim > 4 or 0 in X.shape:
            raise ShapeError(f"X has the shape {X.shape}; expected (N, H, W, C), (N, H, W) or (N, features)")
        if wanted is None:
            side = isqrt(given[0])
            square = side >= SIDE and side * side == given[0]
            wanted = given if len(given) > 1 else (side, side) if square else (1, 1, *given)
        if not isinstance(wanted, (tuple, list)) or len(wanted) not in (2, 3):
            raise ArgumentError(f"image_shape is {wanted!r}; expected (H, W) or (H, W, C)")
        height, width, channels = (integer("image_shape", one) for one in (*wanted, 1)[:3])
        shape = height, width, channels
        if given != (prod(shape),) and (*given, 1)[:3] != shape:
            raise ShapeError(f"image_shape is {tuple(wanted)}, but X has the shape {X.shape}")
        return shape

    def _network(self, train: Dataset, seed: int) -> Model:
        """Return a new network, in which each channel of `train` comes to mean 0 and variance 1."""
        pixels, build = train.images.dtype == np.uint8, self.model
        if isinstance(build, str) and build == "auto":
            build = "tiny" if min(train.shape[:2]) >= LARGE else shallow
        name = build if isinstance(build, str) else getattr(build, "__name__", "")
        if isinstance(build, str):
            if build not in ARCHITECTURES:
                raise UnknownNameError("model", build, ["auto", *ARCHITECTURES])
            build = ARCHITECTURES[build].build
        if not callable(build):
            raise ArgumentError(f"model is {build!r}; expected a name or a function (images, classes) -> logits")
        numbers = np.asarray(train.images[:: max(1, len(train) // SAMPLE)], np.float64) / (255 if pixels else 1)
        mean, std = numbers.mean((0, 1, 2)), numbers.std((0, 1, 2))
        std = np.where(std > STEADY * np.abs(mean), std, 1.0)
        images = Input(*train.shape)
        x = images if pixels else standardized(images, mean, std)
        scale: dict[str, Any] = {"mean": mean.tolist(), "std": std.tolist()} if pixels else {}
        name = name if name.isidentifier() else "cnn"
        return Model(images, build(x, len(train.classes)), name=name, classes=train.classes, seed=seed, **scale)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: the network as the bytes of its file."""
        state = dict(super().__getstate__())
        if "model_" in state:
            with TemporaryDirectory() as folder:
                state["model_"].save(Path(folder, FILE))
                state["model_"] = Path(folder, FILE).read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "model_" in state:
            with TemporaryDirectory() as folder:
                Path(folder, FILE).write_bytes(state["model_"])
                state = state | {"model_": load(Path(folder, FILE))}
        super().__setstate__(state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def form(X: Any) -> dict[str, Any]:
    """Return how scikit-learn should look at X: as rows, where it does not hold images."""
    images = np.asarray(X).ndim > 2
    return {"dtype": [np.float32, np.uint8], "order": "C", "allow_nd": images, "ensure_2d": not images}


def shallow(images: Tensor, classes: int) -> Tensor:
    """Return the logits of small images, two convolutions and one pooling; of one pixel, a network of linear layers."""
    kernel = tuple(3 if side > 1 else 1 for side in images.shape[1:3])
    x = images
    for filters in (32, 64):
        x = ReLU()(Conv2d(filters, kernel, padding=tuple(side // 2 for side in kernel))(x))
    x = MaxPool2d(tuple(2 if side >= SIDE else 1 for side in images.shape[1:3]))(x)
    return Linear(classes)(Flatten()(x))


def standardized(images: Tensor, mean: Array, std: Array) -> Tensor:
    """Return (images - mean) / std as a batch norm that does not learn, so that whoever loads the network need not know."""
    graph, zero, one = images.graph, np.zeros_like(mean), np.ones_like(mean)
    first = {"gamma": 1 / std, "beta": zero, "running_mean": mean, "running_var": one}  # a variance may be no float32
    values = {
        key: graph.add_tensor(f"standardize_{key}", value.shape, "state", None, constant(value))
        for key, value in first.items()
    }
    return graph.add(batch_norm, {"x": images, **values}, {"eps": 0.0, "training": False}, "standardize")
