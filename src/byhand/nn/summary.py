"""The table of a network's layers, as Keras users expect it."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import prod

from byhand.console import table_lines
from byhand.graph import Graph, Tensor
from byhand.graph.graph import show
from byhand.ops.op import tree_leaves
from byhand.shapes import PIXEL, Field, Shape, Window, widen
from byhand.translation import translate

TEXT_COLUMNS = 3  # of the table: layer, op, output


@dataclass(frozen=True)
class Row:
    """One layer: its name and op, output shape, parameters, FLOPs for an image (a multiplication and an addition are two), and
    the receptive field of an output, in pixels."""

    layer: str
    op: str
    output: str
    parameters: int
    flops: int
    receptive_field: int | tuple[int, int]  # (height, width) where they differ


class Summary:
    """A network's table: `rows`, totals, and the table itself as text.

    >>> import byhand as bh
    >>> print(bh.models.create("article").summary())
    article: 28 x 28 x 1 -> 10
    layer     op        output          parameters    FLOPs  receptive field
    conv1     conv2d    (N, 26, 26, 8)          72   91,936                3
    pool1     max_pool  (N, 13, 13, 8)           0    5,408                4
    flatten1  flatten   (N, 1352)                0        0                4
    fc1       linear    (N, 10)             13,530   27,040               28
    total                                   13,602  124,384
    """

    def __init__(self, graph: Graph, output: Tensor, name: str) -> None:
        assert graph.input is not None
        size = graph.input.shape[1:]
        self.title = f"{name}: {' x '.join(map(str, size))} -> {' x '.join(map(str, output.shape[1:]))}"
        self.rows: list[Row] = []
        calls, _ = graph.plan(1, training=False)
        fields = {graph.input.name: PIXEL}
        counted: set[str] = set()
        for node in graph.nodes:
            tensors = tree_leaves(node.inputs.values())
            parameters = [t for t in tensors if t.kind == "parameter" and t.name not in counted]
            counted |= {t.name for t in parameters}
            seen = [fields[t.name] for t in tensors if t.name in fields]
            field = _field(seen, calls[node.name].window, node.op.name, size) if seen else PIXEL
            for tensor in node.outputs.values():
                fields[tensor.name] = field
            down, across = map(int, field[0])
            self.rows.append(
                Row(
                    layer=node.name,
                    op=node.op.name,
                    output=show(node.output),
                    parameters=sum(prod(t.shape) for t in parameters),
                    flops=calls[node.name].flops,
                    receptive_field=down if down == across else (down, across),
                )
            )
        self.parameters, self.flops = sum(row.parameters for row in self.rows), sum(row.flops for row in self.rows)

    def _cells(self) -> list[tuple[str, ...]]:
        """Return the table: its head, a row a layer, the totals."""
        rows = [
            (row.layer, row.op, row.output, f"{row.parameters:,}", f"{row.flops:,}", _pixels(row.receptive_field))
            for row in self.rows
        ]
        head = ("layer", "op", "output", "parameters", "FLOPs", "receptive field")
        total = (translate("total"), "", "", f"{self.parameters:,}", f"{self.flops:,}", "")
        return [tuple(map(translate, head)), *rows, total]

    def __str__(self) -> str:
        heads, *rows = self._cells()
        return "\n".join([translate(self.title), *table_lines(rows, left=TEXT_COLUMNS, heads=heads)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it."""
        head, *rows = self._cells()
        lines = [_html_row("td", row) for row in rows]
        return (
            f"<table><caption>{escape(translate(self.title))}</caption><thead>{_html_row('th', head)}</thead>"
            f"<tbody>{''.join(lines)}</tbody></table>"
        )


def _field(seen: list[Field], window: Window | None, op: str, size: Shape) -> Field:
    """Return what an output sees, given what its inputs see and the window between them: never more than the image."""
    field = (
        (max(field[0][0] for field in seen), max(field[0][1] for field in seen)),
        (max(field[1][0] for field in seen), max(field[1][1] for field in seen)),
    )
    height, width = size[:2] if len(size) == 3 else (1, 1)  # what is no image is one place
    if op in ("linear", "global_avg_pool"):
        return (height, width), field[1]  # from here on every output sees the whole image
    (down, across), jump = field if window is None else widen(field, window)
    return (min(height, down), min(width, across)), jump


def _html_row(cell: str, texts: Sequence[str]) -> str:
    sides = ("left", "left", "left", "right", "right", "right")
    cells = (f'<{cell} style="text-align:{side}">{escape(text)}</{cell}>' for side, text in zip(sides, texts))
    return f"<tr>{''.join(cells)}</tr>"


def _pixels(field: int | tuple[int, int]) -> str:
    return " x ".join(map(str, field)) if isinstance(field, tuple) else str(field)
