"""A network's graph as an SVG drawing: a box per layer, from the input at the top to the output at the bottom.

Layered layout: levels by longest path, order in a level by barycenter, a bend where an edge passes a level (Sugiyama, Tagawa &
Toda 1981).
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from html import escape
from itertools import pairwise
from operator import or_

from byhand.files import write_whole
from byhand.graph import Node, Tensor
from byhand.graph.graph import show
from byhand.nn import Model
from byhand.nn.summary import Row
from byhand.ops.op import CallSpec, tree_leaves
from byhand.report.drawing.style import MUTED_COLOR, TEXT_COLOR
from byhand.text import shorten
from byhand.translation import translate

FAMILIES = {  # of ops: the tint of their lines, and substrings of their names
    "convolution": ("#d3e4f9", ("conv",)),
    "linear": ("#e3d9f7", ("linear",)),
    "pooling": ("#d0ecd0", ("pool",)),
    "normalization": ("#f7eebf", ("norm",)),
    "activation": ("#fcdec8", ("elu", "silu", "sigmoid", "tanh", "swish", "soft")),
    "joining": ("#f8d3df", ()),  # ops that read more than one computed tensor
    "other": ("#e8e6e1", ("",)),
}
MERGED_INTO = {  # families that share the box of the layer before them, by that layer's family
    "normalization": ("convolution", "linear"),
    "activation": ("convolution", "linear", "normalization", "joining"),
}
EDGE_COLOR = "#77726a"
SHORTCUT_COLOR = "#1f5fa8"
NAME_MAX_LETTERS = 40  # a box's tooltip has the whole name

# Pixels
NAME_LETTER_WIDTH = 7.5
LETTER_WIDTH = 6.5
LINE_HEIGHT = 20
MARGIN = 28
BOX_GAP = 28
LEVEL_GAP = 30
BEND_WIDTH = 12
BOX_MIN_WIDTH = 250  # for a box's last line


@dataclass(eq=False)
class Cell:
    """A cell of a level: a box, or the bend of an edge that passes through the level (no lines)."""

    width: float
    level: int
    nodes: Sequence[Node] = ()  # none: the input's box
    lines: Sequence[tuple[str, str, str]] = ()  # name, words, family
    shortcut: bool = False
    above: list["Cell"] = field(default_factory=list)
    below: list["Cell"] = field(default_factory=list)
    x: float = 0.0  # of its center

    @property
    def height(self) -> int:
        """One line per node, and one for the output."""
        return LINE_HEIGHT * (len(self.lines) + 1) if self.lines else 0


def draw_graph(model: Model, path: str | os.PathLike[str]) -> None:
    """Draw a network as SVG, whole or not at all; raises FileError where the file can't be written.

    >>> import byhand as bh, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_graph(bh.models.create("lenet5"), f"{folder}/lenet5.svg")
    """
    write_whole(path, graph_svg(model).encode())


def graph_svg(model: Model) -> str:
    """Return the drawing of a network as SVG.

    A norm or an activation shares the box of the layer before it, if nothing else reads that layer. An edge is blue where a
    longer path leads to its end: the shortcut of a residual connection.

    >>> import byhand as bh
    >>> graph_svg(bh.models.create("article")).splitlines()[1]
    '<title>article: 28 × 28 × 1 → 10</title>'
    """
    boxes, edges = _layout(model)
    levels: list[list[Cell]] = [[] for _ in range(1 + max(box.level for box in boxes))]
    cells = list(dict.fromkeys([*boxes, *(cell for edge in edges for cell in edge)]))
    for cell in cells:
        levels[cell.level].append(cell)
    _sort_levels(levels)
    for level in levels:
        _place_level(level)
    left, right = min(p.x - p.width / 2 for p in cells), max(p.x + p.width / 2 for p in cells)
    graph_width = max(right - left, 520)
    for cell in cells:
        cell.x += MARGIN + (graph_width - left - right) / 2
    head, top = _draw_head(model, boxes, any(edge[1].shortcut for edge in edges), graph_width)
    spans = []
    for level in levels:
        spans.append((top, top + max(cell.height for cell in level)))
        farthest = max([0, *(abs(cell.x - other.x) for cell in level for other in cell.below)])
        top = spans[-1][1] + LEVEL_GAP + min(60, 0.08 * farthest)  # wide edges need more height to be readable
    width, height = _px(graph_width + 2 * MARGIN), _px(spans[-1][1] + MARGIN)
    size = f'data-generator="byhand" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, Segoe UI, Roboto, sans-serif">',
        f"<title>{_text(model.name)}: {_example_shape(model.graph.input)} → {_example_shape(model.output)}</title>",
        *head,
        *(_draw_edge(edge, spans) for edge in edges),
        *_draw_boxes(model, boxes, spans),
        "</svg>\n",
    ]
    return "\n".join(parts)


# Layout ---------------------------------------------------------------------------------------------------------------


def _chains(model: Model) -> list[list[Node]]:
    """Return the nodes of each box, in the order of execution."""
    readers = Counter(t.name for node in model.graph.nodes for t in tree_leaves(node.inputs.values()))
    readers.update(tensor.name for tensor in (model.output, *(head for head, _ in model.auxiliary)))
    chains: list[list[Node]] = []
    box_of: dict[str, list[Node]] = {}  # the box that computes a tensor
    for node in model.graph.nodes:
        x = node.inputs.get("x")
        chain = box_of.get(x.name, []) if x is not None else []
        follows = chain and chain[-1].output is x and _family(chain[-1]) in MERGED_INTO.get(_family(node), ())
        if not follows or sum(readers[t.name] for t in chain[-1].outputs.values()) > 1:
            chains.append(chain := [])
        chain.append(node)
        box_of |= {t.name: chain for t in node.outputs.values()}
    return chains


def _layout(model: Model) -> tuple[list[Cell], list[list[Cell]]]:
    """Return the boxes, the input first, and the edges: two boxes with a bend for every level between them."""
    image, calls = model.graph.input, model.graph.plan(1, training=False)[0]
    assert image is not None
    boxes, edges = [Cell(BOX_MIN_WIDTH, 0, lines=[(image.name, "input", "")])], list[list[Cell]]()
    ancestors = [0]  # of each box, a bit per box
    maker = {image.name: 0}  # the index of the box that computes a tensor
    for i, chain in enumerate(_chains(model), 1):
        read = sorted({maker[t.name] for node in chain for t in tree_leaves(node.inputs.values()) if t.name in maker})
        maker |= {t.name: i for node in chain for t in node.outputs.values()}
        lines = [(node.name, _describe_op(node, calls[node.name]), _family(node)) for node in chain]
        boxes.append(Cell(BOX_MIN_WIDTH, 1 + max([boxes[j].level for j in read], default=0), chain, lines))
        indirect = reduce(or_, (ancestors[j] for j in read), 0)
        ancestors.append(indirect | sum(1 << j for j in read))
        for j in read:
            levels, shortcut = range(boxes[j].level + 1, boxes[i].level), bool(indirect >> j & 1)
            bends = [Cell(BEND_WIDTH, level, shortcut=shortcut) for level in levels]
            edges.append([boxes[j], *bends, boxes[i]])
            for upper, lower in pairwise(edges[-1]):
                upper.below.append(lower)
                lower.above.append(upper)
    width = max([BOX_MIN_WIDTH, *(_line_width(name, words) for box in boxes for name, words, _ in box.lines)])
    for box in boxes:
        box.width = width
    return boxes, edges


def _line_width(name: str, words: str) -> float:
    return NAME_LETTER_WIDTH * min(len(name), NAME_MAX_LETTERS) + LETTER_WIDTH * len(words) + 36


def _sort_levels(levels: list[list[Cell]]) -> None:
    """Sort every level by the barycenters of the cells it is connected to, in sweeps down and up."""
    rank = {cell: i - (len(level) - 1) / 2 for level in levels for i, cell in enumerate(level)}
    for sweep in range(9):
        for level in reversed(levels) if sweep % 2 else levels:
            middle = {p: _barycenter(p.below if sweep % 2 else p.above, rank, rank[p]) for p in level}
            level.sort(key=lambda p: (middle[p], p.shortcut))
            rank |= {cell: i - (len(level) - 1) / 2 for i, cell in enumerate(level)}


def _barycenter(cells: list[Cell], position: dict[Cell, float], default: float) -> float:
    """Return the mean position of cells; shortcuts count only where there is nothing else."""
    seen = [position[p] for p in cells if not p.shortcut] or [position[p] for p in cells] or [default]
    return sum(seen) / len(seen)


def _place_level(level: list[Cell]) -> None:
    """Place the cells of a level below their predecessors by least squares, in order and without overlap.

    With the width of the cells before it subtracted, each x must be at least that of its left neighbor: isotonic regression by
    pooling adjacent violators (Ayer et al. 1955). Shortcuts have a small weight.
    """
    blocks: list[tuple[float, float, int]] = []  # x, weight, number of cells
    room = -level[0].width / 2
    for cell in level:
        room += cell.width / 2
        wanted = _barycenter(cell.above, {p: p.x for p in cell.above}, 0.0) - room
        blocks.append((wanted, 1e-6 if cell.shortcut else 1.0, 1))
        cell.x, room = room, room + cell.width / 2 + BOX_GAP
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (x1, weight1, count1), (x2, weight2, count2) = blocks.pop(), blocks.pop()
            weight = weight1 + weight2
            blocks.append(((x1 * weight1 + x2 * weight2) / weight, weight, count1 + count2))
    for cell, x in zip(level, [x for x, _, count in blocks for _ in range(count)]):
        cell.x += x


# SVG elements ---------------------------------------------------------------------------------------------------------

STYLE = f"""<style>
text {{ fill: {TEXT_COLOR}; font-size: 11px }} .head {{ font-size: 20px; font-weight: 600 }} .soft {{ fill: #5a564f }}
.name {{ font-size: 12px; font-weight: 600 }} .words, .out {{ text-anchor: end }} .out {{ fill: #5a564f; font-size: 10px }}
.edge {{ fill: none; stroke: {EDGE_COLOR}; stroke-width: 1.4 }}
.shortcut {{ fill: none; stroke: {SHORTCUT_COLOR}; stroke-width: 1.6 }}
.frame {{ fill: #fff; stroke: {MUTED_COLOR} }} .box:hover .frame {{ stroke: {TEXT_COLOR}; stroke-width: 2.5 }}
</style>"""


def _draw_head(model: Model, boxes: list[Cell], shortcuts: bool, graph_width: float) -> tuple[list[str], float]:
    """Return the header (name, sizes, legend), and the y at which the drawing starts."""
    summary = model.summary()
    arrow = '<marker id="{}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" orient="auto" '
    arrow += 'markerUnits="userSpaceOnUse"><path d="M0 .5 8 4 0 7.5z" fill="{}"/></marker>'
    parts = [
        STYLE,
        f"<defs>{arrow.format('arrow-edge', EDGE_COLOR)}{arrow.format('arrow-shortcut', SHORTCUT_COLOR)}</defs>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text class="head" x="{MARGIN}" y="42">{_text(model.name, NAME_MAX_LETTERS)}</text>',
        f'<text class="soft" x="{MARGIN}" y="62">{_example_shape(model.graph.input)} → {_example_shape(model.output)}, '
        f"{translate(f'{summary.parameters:,} parameters, {summary.flops:,} FLOPs an image')}</text>",
    ]
    used = {family for box in boxes for _, _, family in box.lines}
    keys = [(name, f'height="14" rx="3" fill="{tint}"') for name, (tint, _) in FAMILIES.items() if name in used]
    keys += [("shortcut", f'height="2" transform="translate(0 6)" fill="{SHORTCUT_COLOR}"')] if shortcuts else []
    x, y = float(MARGIN), 78
    for name, paint in keys:
        if x + LETTER_WIDTH * len(name) + 20 > graph_width + MARGIN:
            x, y = float(MARGIN), y + 20
        parts.append(f'<rect x="{_px(x)}" y="{y}" width="14" {paint}/>')
        parts.append(f'<text class="soft" x="{_px(x + 20)}" y="{y + 11}">{name}</text>')
        x += LETTER_WIDTH * len(name) + 38
    return parts, y + 40


def _draw_edge(edge: list[Cell], spans: list[tuple[float, float]]) -> str:
    """Return an edge as a path: from box to box through its bends, a curve between two levels."""
    start, end = edge[0], edge[-1]
    x = start.x + _anchor_offset(edge[1].x - start.x, start.width)
    line = f"M{_px(x)} {_px(spans[start.level][0] + start.height)}"
    for cell in edge[1:]:
        (_, high), (low, _) = spans[cell.level - 1 : cell.level + 1]
        to = cell.x if cell is not end else end.x + _anchor_offset(edge[-2].x - end.x, end.width)
        if abs(to - x) > 0.05:
            half = _px((high + low) / 2)
            line += f"V{_px(high)}C{_px(x)} {half} {_px(to)} {half} {_px(to)} {_px(low)}"
            x = to
    line += f"V{_px(spans[end.level][0])}"
    kind = "shortcut" if edge[1].shortcut else "edge"
    ends = f'data-from="{_text(start.lines[-1][0])}" data-to="{_text(end.lines[0][0])}"'
    return f'<path class="{kind}" {ends} d="{line}" marker-end="url(#arrow-{kind})"/>'


def _anchor_offset(away: float, width: float) -> float:
    """Return the offset from a box's center at which an edge meets it: towards its origin, within the corners."""
    return (width / 2 - 16) * away / (abs(away) + width)


def _draw_boxes(model: Model, boxes: list[Cell], spans: list[tuple[float, float]]) -> Iterator[str]:
    """Yield the boxes: a line per node in its family's tint, the output shape, and a tooltip with all details."""
    table = {row.layer: row for row in model.summary().rows}
    for box in boxes:
        rows = [table[node.name] for node in box.nodes]
        x, y, right = box.x - box.width / 2, spans[box.level][0], _px(box.x + box.width / 2 - 10)
        tooltip = "\n".join(map(_describe_node, box.nodes, rows)) or translate("the input of the network")
        yield f'<g class="box"><title>{tooltip}</title>'
        size = f'width="{_px(box.width)}" height="{box.height}"'
        yield f'<rect class="frame" x="{_px(x)}" y="{_px(y)}" {size} rx="6"/>'
        for i, (name, words, family) in enumerate(box.lines):
            down = y + i * LINE_HEIGHT
            size = f'width="{_px(box.width - 6)}" height="{LINE_HEIGHT - 2}" rx="4"'
            if family:
                yield f'<rect x="{_px(x + 3)}" y="{_px(down + 3)}" {size} fill="{FAMILIES[family][0]}"/>'
            yield f'<text class="name" x="{_px(x + 10)}" y="{_px(down + 16)}">{_text(name, NAME_MAX_LETTERS)}</text>'
            yield f'<text class="words" x="{right}" y="{_px(down + 16)}">{_text(words)}</text>'
        count = sum(row.parameters for row in rows)
        out = _example_shape(box.nodes[-1].output if box.nodes else model.graph.input)
        line = _px(y + box.height - 6)
        yield f'<text class="soft" x="{_px(x + 10)}" y="{line}">{out}</text>'
        yield f'<text class="out" x="{right}" y="{line}">{translate(f"{count:,} parameters") if count else ""}</text></g>'


# Labels ---------------------------------------------------------------------------------------------------------------


def _family(node: Node) -> str:
    """Return the family of a node's op."""
    read = [t for t in tree_leaves(node.inputs.values()) if t.kind in ("input", "value")]
    return next(
        name
        for name, (_, parts) in FAMILIES.items()
        if any(part in node.op.name for part in parts) or (name == "joining" and len(read) > 1)
    )


def _describe_op(node: Node, call: CallSpec) -> str:
    """Return an op with its main attributes: conv2d 3×3, stride 2, groups 32."""
    words, window = [], call.window
    if window is not None:
        words = ["{}×{}".format(*window.kernel)]
        for key, (down, across) in (("stride", window.stride), ("dilation", window.dilation)):
            if (down, across) != (1, 1):
                words.append(f"{key} {down}" if down == across else f"{key} {down}×{across}")
    words += [f"{key} {node.attributes[key]}" for key in ("groups", "rate") if node.attributes.get(key, 1) != 1]
    if "starts" in node.attributes:
        words += [f"{a}:{'' if b is None else b}" for a, b in zip(node.attributes["starts"], node.attributes["stops"])]
    return f"{node.op.name} {', '.join(words)}".strip()


def _describe_node(node: Node, row: Row) -> str:
    """Return the full description of a node, on one line."""
    parts = [f"{node.name}: {node.op.name}"]
    parts += [f"{t.name} {show(t)}" for t in tree_leaves(node.inputs.values())]
    parts += [f"{translate('output')} {row.output}", *(f"{key} {value}" for key, value in node.attributes.items())]
    parts += [
        translate(f"{row.parameters:,} parameters, {row.flops:,} FLOPs an image"),
        f"{translate('receptive field')} {row.receptive_field}",
    ]
    return _text(", ".join(parts))


def _example_shape(tensor: Tensor | None) -> str:
    """Return the shape of one example."""
    return " × ".join(map(str, tensor.shape[1:])) if tensor is not None else ""


def _text(text: str, max_letters: int = 10**6) -> str:
    """Return text escaped for XML, on one line, printable."""
    return escape(shorten(text, max_letters))


def _px(number: float) -> str:
    """Return a coordinate with one decimal, or none."""
    return f"{number:.1f}".removesuffix(".0")
