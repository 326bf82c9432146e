"""`scatter` as LLVM IR: adds a block times a factor to a target, at one offset after the other."""

from __future__ import annotations

from typing import NamedTuple

from byhand.kernels.microkernel.simd import Vectors
from byhand.kernels.runtime.llvm import WORD, Value

# Rows of the blocks that are held in registers, largest first: with AVX-512, 5 rows of 4 vectors are 20 of 32 registers.
SCATTER_ROWS = (5, 3, 1)


class ScatterArguments(NamedTuple):
    """The arguments of `scatter`'s function."""

    block: Value
    block_rows: Value
    offsets: Value
    count: Value
    factors: Value
    target: Value
    target_rows: Value
    rows: Value
    columns: Value


class Scatter(Vectors):
    """Emits `scatter`: the block stays in registers while it is added at one offset after the other."""

    def emit(self) -> None:
        """Write the function."""
        given = ScatterArguments(*self.function.args)
        build, new = self.builder, self.function.append_basic_block
        self.make_masks(given.columns)
        for m, count in self.row_loops(given.rows, SCATTER_ROWS):
            rows = self.rows_at(given.block, given.block_rows, m, count)
            block = [self.load(row, n) for row in rows for n in range(self.vectors)]
            target_rows = self.rows_at(given.target, given.target_rows, m, count)
            before, head, body, after = build.block, new(), new(), new()
            build.branch(head)
            build.position_at_end(head)
            t = build.phi(WORD)
            t.add_incoming(WORD(0), before)
            build.cbranch(build.icmp_signed("<", t, given.count), body, after)
            build.position_at_end(body)
            offset = build.load(self.at(given.offsets, t, WORD), typ=WORD)
            factor = self.broadcast(self.at(given.factors, t))
            rows_now = [self.at(row, offset) for row in target_rows]
            sums = [
                self.multiply_add(value, factor, self.load(rows_now[i // self.vectors], i % self.vectors))
                for i, value in enumerate(block)
            ]
            for i, value in enumerate(sums):
                self.store(value, rows_now[i // self.vectors], i % self.vectors)
            t.add_incoming(build.add(t, WORD(1)), body)
            build.branch(head)
            build.position_at_end(after)
        build.ret_void()
