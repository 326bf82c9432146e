"""The types that kernels are annotated with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from byhand.shapes import Array as Array  # noqa: PLC0414  (exported: kernels are annotated with it)

Indices = npt.NDArray[np.int64]
Argument = Array | float | np.number[Any] | None | tuple["Argument", ...]  # of a kernel: arguments.py
