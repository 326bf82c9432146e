"""Benchmarks of byhand beside PyTorch, JAX and onnxruntime, in one run: the same data, from the same weights."""

from byhand.bench.benchmarks import BENCHMARKS
from byhand.bench.runner import measure
from byhand.bench.table import table

__all__ = ["BENCHMARKS", "measure", "table"]
