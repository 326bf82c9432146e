"""The types that kernels are annotated with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]  # of any type of number: a docstring says its shape
Indices = npt.NDArray[np.int64]
Argument = Array | float | np.number[Any] | None | tuple["Argument", ...]  # of a kernel: arguments.py
