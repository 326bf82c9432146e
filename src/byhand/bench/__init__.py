"""Benchmarks of byhand beside PyTorch, JAX, onnxruntime, OpenVINO and OpenCV, in one run: same data, same weights."""

from byhand.bench.benchmarks import BENCHMARKS
from byhand.bench.runner import measure
from byhand.bench.table import report, table

__all__ = ["BENCHMARKS", "measure", "report", "table"]
