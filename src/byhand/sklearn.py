"""CNNClassifier: a convolutional network with scikit-learn's interface, for its pipelines, searches and cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from math import isqrt, prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from byhand.data import Augment, Dataset, Preprocessing
from byhand.data.stratified_split import stratified_split
from byhand.errors import ArgumentError, ShapeError, UnknownNameError
from byhand.graph import Tensor
from byhand.hints import hinted
from byhand.kernels.conv.problem import FLOAT32
from byhand.models import ARCHITECTURES
from byhand.nn import Conv2d, Flatten, Input, Linear, MaxPool2d, Model, ReLU, load
from byhand.nn.init import constant
from byhand.nn.network_input import warn_of_pixels
from byhand.ops import batch_norm, softmax
from byhand.ops.op import Array
from byhand.shapes import integer, number
from byhand.train import AdamW, OneCycle, Trainer

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import Tags, check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "sklearn":
        raise
    raise ModuleNotFoundError(
        "byhand.sklearn needs scikit-learn: run  pip install 'byhand[sklearn]'", name="sklearn"
    ) from None

__all__ = ["CNNClassifier"]

MIN_SQUARE_SIDE = 8  # pixels: a row of a smaller square number of values is not taken for an image
SMALL_CNN_SIDE = 16  # pixels: images from this size on get the architecture "tiny", smaller ones `shallow`
STATISTICS_IMAGES = 4096  # at most so many are read for mean and standard deviation
LARGE_SET_MIN_IMAGES = 2000  # batch_size="auto": from here on a set is large
SMALL_SET_BATCH_SIZE = 16
LARGE_SET_BATCH_SIZE = 64
CONSTANT_RATIO = 1e-6  # of standard deviation to mean: below it the deviation is rounding, and the channel is constant
SEED_BOUND = 2**31 - 1
MODEL_FILE = "model.safetensors"

# What scikit-learn's validate_data accepts for X: arrays, lists, data frames.
MatrixLike = Any


class CNNClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A convolutional network as a scikit-learn classifier.

    X holds images, (n_samples, height, width, channels) or gray (n_samples, height, width), or rows (n_samples, n_features).
    With `image_shape`, a row is a flattened image. Without it, a row of 8 x 8 or more values whose number is a square is a gray
    image; any other row is one pixel with n_features channels, on which a convolution is a fully connected layer. Labels may
    be of any type. The network standardizes each channel of X to mean 0 and variance 1, with the statistics of `fit`. uint8
    and floating point stand for the same values.

    Parameters
    ----------
    model : {"auto"}, str or callable, default="auto"
        A name of `bh.models.names()`, or a function (images, classes) -> logits that calls layers. "auto" is "tiny" for images
        of 16 x 16 pixels or more, and two convolutions for smaller ones.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of an image that is a row of X.
    learning_rate_init : float, default=0.01
        The peak learning rate of AdamW under a one-cycle schedule (`bh.OneCycle`).
    max_iter : int, default=20
        Epochs; with early stopping, the maximum.
    batch_size : int or "auto", default="auto"
        Images per update; "auto" is 64, or 16 for fewer than 2,000 images.
    early_stopping : bool, default=False
        Set `validation_fraction` of the images aside, stratified by class; stop after `n_iter_no_change` epochs without
        improvement on them, and keep the network of the best epoch.
    validation_fraction : float, default=0.1
        The fraction of the images that early stopping sets aside.
    n_iter_no_change : int, default=10
        Epochs without improvement after which early stopping ends the training.
    augment : bh.data.Augment or str, default="none"
        How uint8 images are augmented, as "flip,shift=2".
    precision : {"float32", "bf16"}, default="float32"
        In which precision products are computed, in `fit` and in `predict`; "bf16" is faster on some CPUs.
    random_state : int, RandomState instance or None, default=None
        An int gives the same network from each `fit`.
    verbose : bool, default=False
        Print each epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    model_ : bh.Model
        The network; `model_.save(path)` writes it, and `bh.load(path).predict` takes the same images.
    image_shape_ : tuple of int
        (height, width, channels) of its images.
    n_iter_ : int
        Epochs done.
    loss_curve_, loss_ : list of float, float
        The mean loss of each epoch, and of the last one.
    validation_scores_, best_validation_score_ : list of float, float
        The validation accuracy after each epoch, and the best one; None without early stopping.
    n_features_in_ : int
        Values per image.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The column names of X, where it is a data frame.

    Raises ValueError (byhand's ArgumentError is one) for a parameter, an image or a label that is not valid, and DivergedError
    where the learning rate is too high. Ctrl-C in `fit` raises KeyboardInterrupt once the network so far is kept.

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

    @hinted
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
        precision: str = FLOAT32,
        random_state: int | np.random.RandomState | None = None,
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
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: MatrixLike, y: npt.ArrayLike) -> CNNClassifier:
        """Train a new network on images X and labels y (n_samples,); return the classifier."""
        X, y = validate_data(self, X, y, **validation_options(X))
        self.image_shape_ = self._shape(X)
        self.n_features_in_, self._pixels = prod(self.image_shape_), X.dtype == np.uint8
        images = X.reshape(-1, *self.image_shape_)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ArgumentError(f"y has {len(self.classes_)} class, {self.classes_[0]}; expected two or more")
        names = tuple(map(str, self.classes_.tolist()))
        train = Dataset(images, labels, names)
        seed, validation = int(check_random_state(self.random_state).randint(SEED_BOUND)), None
        if self.early_stopping:
            fraction = number("validation_fraction", self.validation_fraction, 0, 1)
            kept, held_out = stratified_split(labels, fraction, seed)
            if not len(held_out):
                raise ArgumentError(
                    f"validation_fraction {fraction:g} of {len(labels)} images is none; give more of them"
                )
            train, validation = train.rows(kept), train.rows(held_out)
        augment = Augment.of(self.augment)
        if augment != Augment() and not self._pixels:
            raise ArgumentError(
                f"augment is {augment}, which is for uint8; X holds {X.dtype} (for pixels 0 to 255, X.astype('uint8'))"
            )
        automatic = LARGE_SET_BATCH_SIZE if len(train) >= LARGE_SET_MIN_IMAGES else SMALL_SET_BATCH_SIZE
        batch = integer("batch_size", automatic if self.batch_size == "auto" else self.batch_size)
        trainer = Trainer(
            self._network(train, seed),
            AdamW(number("learning_rate_init", self.learning_rate_init, 0)),
            batch_size=batch,
            schedule=OneCycle(),
            augment=augment,
            precision=self.precision,
            seed=seed,
        )
        rows = trainer.fit(
            train,
            validation=validation,
            epochs=integer("max_iter", self.max_iter),
            early_stopping=integer("n_iter_no_change", self.n_iter_no_change) if self.early_stopping else None,
            # Batch norm has no variance of one image: an epoch leaves one out where the last batch would hold it alone.
            epoch_size=len(train) - (len(train) % batch == 1),
            quiet=not self.verbose,
        )
        self.model_, self.n_iter_ = trainer.model, len(rows)
        self.loss_curve_ = [row["loss"] for row in rows]
        self.loss_ = self.loss_curve_[-1] if rows else float("nan")
        self.validation_scores_ = [row["val_accuracy"] for row in rows] if self.early_stopping else None
        self.best_validation_score_ = max(self.validation_scores_, default=0.0) if self.validation_scores_ else None
        if trainer.state is not None:  # stopped by Ctrl-C
            raise KeyboardInterrupt
        return self

    def predict_proba(self, X: MatrixLike) -> Array:
        """Return the probability of each class, (n_samples, n_classes) in float64, in the order of `classes_`."""
        check_is_fitted(self)
        if np.asarray(X).shape == self.image_shape_[:2] != (1, self.n_features_in_):
            raise ShapeError(f"X has the shape {self.image_shape_[:2]}; for one image, give X[None]")
        X = validate_data(self, X, reset=False, **validation_options(X))
        if X.ndim > 2 and (X.ndim > 4 or (*X.shape[1:], 1)[:3] != self.image_shape_):
            raise ShapeError(f"X holds images of {X.shape[1:]}; expected {self.image_shape_}, as in fit")
        images = X.reshape(-1, *self.image_shape_)
        if not self._pixels:
            images = images.astype(np.float32, copy=False)
            warn_of_pixels(self.model_, images)
        elif images.dtype != np.uint8:  # a network takes floating point as it is: scale it as it scales uint8
            if 0 < images.max(initial=0) <= 1:
                warnings.warn(
                    f"X goes up to {images.max():.4g}, that of fit was uint8, 0 to 255; scale it alike", stacklevel=2
                )
            mean, std = (np.asarray(value, np.float32) for value in (self.model_.mean, self.model_.std))
            images = (images / 255 - mean) / std
        return softmax(self.model_.logits_of(images, precision=self.precision).astype(np.float64), hand="arrays")

    def predict(self, X: MatrixLike) -> Array:
        """Return the label of each image, (n_samples,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]  # type: ignore[no-any-return]

    def _shape(self, X: Array) -> tuple[int, int, int]:
        """Return (height, width, channels) of one image of X."""
        given, wanted = X.shape[1:], self.image_shape
        if X.ndim > 4 or 0 in X.shape:
            raise ShapeError(f"X has the shape {X.shape}; expected (N, H, W, C), (N, H, W) or (N, features)")
        if wanted is None:
            side = isqrt(given[0])
            square = side >= MIN_SQUARE_SIDE and side * side == given[0]
            wanted = given if len(given) > 1 else (side, side) if square else (1, 1, *given)
        if not isinstance(wanted, (tuple, list)) or len(wanted) not in (2, 3):
            raise ArgumentError(f"image_shape is {wanted!r}; expected (H, W) or (H, W, C)")
        height, width, channels = (integer("image_shape", size) for size in (*wanted, 1)[:3])
        shape = height, width, channels
        if given != (prod(shape),) and (*given, 1)[:3] != shape:
            raise ShapeError(f"image_shape is {tuple(wanted)}, but X has the shape {X.shape}")
        return shape

    def _network(self, train: Dataset, seed: int) -> Model:
        """Return a new network that standardizes each channel with the mean and variance of `train`."""
        pixels, build = train.images.dtype == np.uint8, self.model
        if isinstance(build, str) and build == "auto":
            build = "tiny" if min(train.shape[:2]) >= SMALL_CNN_SIDE else shallow
        name = build if isinstance(build, str) else getattr(build, "__name__", "")
        if isinstance(build, str):
            if build not in ARCHITECTURES:
                raise UnknownNameError("model", build, ["auto", *ARCHITECTURES], "`byhand models` lists them")
            build = ARCHITECTURES[build].build
        if not callable(build):
            raise ArgumentError(f"model is {build!r}; expected a name or a function (images, classes) -> logits")
        sample = train.images[:: max(1, len(train) // STATISTICS_IMAGES)]
        values = np.asarray(sample, np.float64) / (255 if pixels else 1)
        mean, std = values.mean((0, 1, 2)), values.std((0, 1, 2))
        std = np.where(std > CONSTANT_RATIO * np.abs(mean), std, 1.0)
        images = Input(*train.shape)
        x = images if pixels else standardize(images, mean, std)
        scale: dict[str, Any] = {"mean": mean.tolist(), "std": std.tolist()} if pixels else {}
        name = name if name.isidentifier() else "cnn"
        record = Preprocessing("picture" if pixels else "array", 1.0)
        logits = build(x, len(train.classes))
        network = Model(images, logits, name=name, classes=train.classes, seed=seed, preprocessing=record, **scale)
        if not network.learns_classes:
            raise ArgumentError(
                f"model: {name} returns {network.task} after {network.answer.activation}; return the logits"
            )
        return network

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle: the network as the bytes of its file."""
        state = dict(super().__getstate__())
        if "model_" in state:
            with TemporaryDirectory() as folder:
                state["model_"].save(Path(folder, MODEL_FILE))
                state["model_"] = Path(folder, MODEL_FILE).read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "model_" in state:
            with TemporaryDirectory() as folder:
                Path(folder, MODEL_FILE).write_bytes(state["model_"])
                state = state | {"model_": load(Path(folder, MODEL_FILE))}
        super().__setstate__(state)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def validation_options(X: MatrixLike) -> dict[str, Any]:
    """Return the options of scikit-learn's `validate_data` for X: three or more axes are images, one or two are rows."""
    images = np.asarray(X).ndim > 2
    return {"dtype": [np.float32, np.uint8], "order": "C", "allow_nd": images, "ensure_2d": not images}


def shallow(images: Tensor, classes: int) -> Tensor:
    """Return the logits of small images: two convolutions and one max pool. On one pixel these are linear layers."""
    kernel = tuple(3 if side > 1 else 1 for side in images.shape[1:3])
    x = images
    for filters in (32, 64):
        x = ReLU()(Conv2d(filters, kernel, padding=tuple(side // 2 for side in kernel))(x))
    x = MaxPool2d(tuple(2 if side >= MIN_SQUARE_SIDE else 1 for side in images.shape[1:3]))(x)
    return Linear(classes)(Flatten()(x))


def standardize(images: Tensor, mean: Array, std: Array) -> Tensor:
    """Return (images - mean) / std as a frozen batch norm, so that the saved network takes the same images."""
    graph = images.graph
    arrays = {  # the scale goes into gamma: a variance may be too large or too small for float32
        "gamma": 1 / std,
        "beta": np.zeros_like(mean),
        "running_mean": mean,
        "running_var": np.ones_like(mean),
    }
    tensors = {
        key: graph.add_tensor(f"standardize_{key}", array.shape, "state", None, constant(array))
        for key, array in arrays.items()
    }
    return graph.add(batch_norm, {"x": images, **tensors}, {"eps": 0.0, "training": False}, "standardize")
