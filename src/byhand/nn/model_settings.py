"""The settings of a Model beside its graph and weights: preprocessing, task, the names of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from byhand.data.preprocessing import Preprocessing
from byhand.nn.task import OutputSpec, with_names


class ModelSettings:
    """What a model says of its images and of its outputs, and the settings for a model that is made from it."""

    name: str
    dtype: np.dtype[Any]
    answer: OutputSpec

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
        return {name: getattr(self, name) for name in ("name", "dtype", "preprocessing")}

    @property
    def output_settings(self) -> dict[str, Any]:
        """Its settings, task and classes: for a model with the same outputs."""
        return self.settings | {"task": self.task, "classes": self.classes}

    @property
    def task(self) -> str:
        """What its outputs answer: "classes", "labels", "numbers" or "features"."""
        return self.answer.task

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes or labels, in order; other names may be assigned, as many."""
        return self.answer.classes

    @classes.setter
    def classes(self, names: Sequence[str]) -> None:
        self.answer = with_names(self.answer, names)
