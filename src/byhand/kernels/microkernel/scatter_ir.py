"""`scatter` as LLVM IR: a block of numbers, times a number, added at one place after the other."""

from __future__ import annotations

from typing import NamedTuple

from byhand.kernels.microkernel.simd import WORD, Vectors
from byhand.kernels.runtime.llvm import Value

SCATTER_ROWS = (5, 3, 1)  # of the blocks, as registers allow; rows left over are done in blocks of fewer


class ScatterArguments(NamedTuple):
    """The arguments of `scatter`'s function."""

    block: Value
    block_rows: Value
    places: Value
    count: Value
    numbers: Value
    target: Value
    target_rows: Value
    rows: Value
    columns: Value


class Scatter(Vectors):
    """Writes `scatter`: a block of numbers stays in registers, and is added, times a number, at one place after the other."""

    def emit(self) -> None:
        """Write the function."""
        given = ScatterArguments(*self.function.args)
        build, new = self.builder, self.function.append_basic_block
        self.make_masks(given.columns)
        for m, count in self.row_loops(given.rows, SCATTER_ROWS):
            rows = self.rows_at(given.block, given.block_rows, m, count)
            block = [self.load(row, n) for row in rows for n in range(self.vectors)]
            into = self.rows_at(given.target, given.target_rows, m, count)
            before, head, body, after = build.block, new(), new(), new()
            build.branch(head)
            build.position_at_end(head)
            t = build.phi(WORD)
            t.add_incoming(WORD(0), before)
            build.cbranch(build.icmp_signed("<", t, given.count), body, after)
            build.position_at_end(body)
            offset, times = (
                build.load(self.at(given.places, t, WORD), typ=WORD),
                self.broadcast(self.at(given.numbers, t)),
            )
            rows_now = [self.at(row, offset) for row in into]
            sums = [
                self.multiply_add(value, times, self.load(rows_now[i // self.vectors], i % self.vectors))
                for i, value in enumerate(block)
            ]
            for i, value in enumerate(sums):
                self.store(value, rows_now[i // self.vectors], i % self.vectors)
            t.add_incoming(build.add(t, WORD(1)), body)
            build.branch(head)
            build.position_at_end(after)
        build.ret_void()
