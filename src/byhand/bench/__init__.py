"""byhand beside its peers, in one run: whole training steps, on the same data, from the same weights."""

from byhand.bench.bench import measure
from byhand.bench.table import table
from byhand.bench.work import WORKS

__all__ = ["WORKS", "measure", "table"]
