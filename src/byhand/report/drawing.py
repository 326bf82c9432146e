"""A network's graph as SVG: a box a layer, from the image down; any browser shows it at any size.

Levels by longest path, order in a level by barycentre, a bend where an edge passes a level: Sugiyama, Tagawa & Toda 1981.
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
from byhand.ops.op import Call, flat
from byhand.report.picture import INK, SOFT, plain_text

FAMILIES = {  # the tint of its lines, and what the names of its ops hold
    "convolution": ("#d3e4f9", ("conv",)),
    "linear": ("#e3d9f7", ("linear",)),
    "pooling": ("#d0ecd0", ("pool",)),
    "normalisation": ("#f7eebf", ("norm",)),
    "activation": ("#fcdec8", ("elu", "silu", "sigmoid", "tanh", "swish", "soft")),
    "joining": ("#f8d3df", ()),  # whatever reads more than one computed tensor
    "other": ("#e8e6e1", ("",)),
}
FOLLOWS = {  # whose box it shares
    "normalisation": ("convolution", "linear"),
    "activation": ("convolution", "linear", "normalisation", "joining"),
}
WAY, SHORTCUT = "#77726a", "#1f5fa8"
BOLD, PLAIN, TALL = 7.5, 6.5, 20  # pixels: a letter of a name, one of the rest; a line
MARGIN, APART, GAP, BEND, LEAST = 28, 28, 30, 12, 250  # LEAST: of a box, for its last line
LONGEST = 40  # letters of a name that are seen; pointed at, a box tells all


@dataclass(eq=False)
class Place:
    """A place in a level: a box, or the bend of an edge that passes by (no lines)."""

    width: float
    level: int
    nodes: Sequence[Node] = ()  # none: the input's box
    lines: Sequence[tuple[str, str, str]] = ()  # name, words, family
    shortcut: bool = False
    above: list["Place"] = field(default_factory=list)
    below: list["Place"] = field(default_factory=list)
    x: float = 0.0  # of its middle

    @property
    def height(self) -> int:
        """A line a node, and one for what comes out."""
        return TALL * (len(self.lines) + 1) if self.lines else 0


def draw_graph(model: Model, path: str | os.PathLike[str]) -> None:
    """Draw a network as SVG, whole or not at all; raises FileError where the system can't write.

    >>> import byhand as bh, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_graph(bh.models.create("lenet5"), f"{folder}/lenet5.svg")
    """
    write_whole(path, graph_svg(model).encode())


def graph_svg(model: Model) -> str:
    """Return the drawing of a network as SVG.

    A norm and an activation stand in the box of what they follow where nothing else reads between. An edge is blue where
    another way to its end leads through more boxes: a residual's shortcut.

    >>> import byhand as bh
    >>> graph_svg(bh.models.create("article")).splitlines()[1]
    '<title>article: 28 × 28 × 1 → 10</title>'
    """
    boxes, edges = _places(model)
    levels: list[list[Place]] = [[] for _ in range(1 + max(box.level for box in boxes))]
    places = list(dict.fromkeys([*boxes, *(place for edge in edges for place in edge)]))
    for place in places:
        levels[place.level].append(place)
    _order(levels)
    for level in levels:
        _spread(level)
    left, right = min(p.x - p.width / 2 for p in places), max(p.x + p.width / 2 for p in places)
    wide = max(right - left, 520)
    for place in places:
        place.x += MARGIN + (wide - left - right) / 2
    head, top = _head(model, boxes, any(edge[1].shortcut for edge in edges), wide)
    spans = []
    for level in levels:
        spans.append((top, top + max(place.height for place in level)))
        farthest = max([0, *(abs(place.x - other.x) for place in level for other in place.below)])
        top = spans[-1][1] + GAP + min(60, 0.08 * farthest)  # a wide step needs room to be read
    width, height = _n(wide + 2 * MARGIN), _n(spans[-1][1] + MARGIN)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, Segoe UI, Roboto, sans-serif">',
        f"<title>{_text(model.name)}: {_size(model.graph.input)} → {_size(model.output)}</title>",
        *head,
        *(_edge(edge, spans) for edge in edges),
        *_boxes(model, boxes, spans),
        "</svg>\n",
    ]
    return "\n".join(parts)


# what stands where ----------------------------------------------------------------------------------------------------


def _chains(model: Model) -> list[list[Node]]:
    """Return the nodes of each box, in the order in which they run."""
    readers = Counter(t.name for node in model.graph.nodes for t in flat(node.inputs.values()))
    readers.update(tensor.name for tensor in (model.output, *(head for head, _ in model.auxiliary)))
    chains: list[list[Node]] = []
    made: dict[str, list[Node]] = {}  # the box that a tensor comes out of
    for node in model.graph.nodes:
        x = node.inputs.get("x")
        chain = made.get(x.name, []) if x is not None else []
        follows = chain and chain[-1].output is x and _family(chain[-1]) in FOLLOWS.get(_family(node), ())
        if not follows or sum(readers[t.name] for t in chain[-1].outputs.values()) > 1:
            chains.append(chain := [])
        chain.append(node)
        made |= {t.name: chain for t in node.outputs.values()}
    return chains


def _places(model: Model) -> tuple[list[Place], list[list[Place]]]:
    """Return the boxes, the input's first, and the edges: its two boxes, with a bend for every level between."""
    image, calls = model.graph.input, model.graph.plan(1, training=False)[0]
    assert image is not None
    boxes, edges, origins = [Place(LEAST, 0, lines=[(image.name, "input", "")])], [], [0]  # origins: a bit a box above
    maker = {image.name: 0}
    for i, chain in enumerate(_chains(model), 1):
        read = sorted({maker[t.name] for node in chain for t in flat(node.inputs.values()) if t.name in maker})
        maker |= {t.name: i for node in chain for t in node.outputs.values()}
        lines = [(node.name, _words(node, calls[node.name]), _family(node)) for node in chain]
        boxes.append(Place(LEAST, 1 + max([boxes[j].level for j in read], default=0), chain, lines))
        behind = reduce(or_, (origins[j] for j in read), 0)
        origins.append(behind | sum(1 << j for j in read))
        for j in read:
            bends = [
                Place(BEND, level, shortcut=bool(behind >> j & 1))
                for level in range(boxes[j].level + 1, boxes[i].level)
            ]
            edges.append([boxes[j], *bends, boxes[i]])
            for one, other in pairwise(edges[-1]):
                one.below.append(other)
                other.above.append(one)
    width = max([LEAST, *(BOLD * min(len(a), LONGEST) + PLAIN * len(b) + 36 for box in boxes for a, b, _ in box.lines)])
    for box in boxes:
        box.width = width
    return boxes, edges


def _order(levels: list[list[Place]]) -> None:
    """Put every level in the order of the middles of what its places are joined to, down and up in turn."""
    rank = {place: i - (len(level) - 1) / 2 for level in levels for i, place in enumerate(level)}
    for sweep in range(9):
        for level in reversed(levels) if sweep % 2 else levels:
            middle = {p: _middle(p.below if sweep % 2 else p.above, rank, rank[p]) for p in level}
            level.sort(key=lambda p: (middle[p], p.shortcut))
            rank |= {place: i - (len(level) - 1) / 2 for i, place in enumerate(level)}


def _middle(places: list[Place], where: dict[Place, float], otherwise: float) -> float:
    """Return the mean of where places are; shortcuts count where there is nothing else."""
    seen = [where[p] for p in places if not p.shortcut] or [where[p] for p in places] or [otherwise]
    return sum(seen) / len(seen)


def _spread(level: list[Place]) -> None:
    """Put the places of a level under what they come from, in order and apart, by least squares; shortcuts give way.

    Less the room before it, no x may be smaller than the one to its left: isotonic regression, which pools adjacent
    violators (Ayer et al. 1955).
    """
    blocks: list[tuple[float, float, int]] = []  # x, weight, how many places
    room = -level[0].width / 2
    for place in level:
        room += place.width / 2
        wanted = _middle(place.above, {p: p.x for p in place.above}, 0.0) - room
        blocks.append((wanted, 1e-6 if place.shortcut else 1.0, 1))
        place.x, room = room, room + place.width / 2 + APART
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (x, one, some), (other, two, more) = blocks.pop(), blocks.pop()
            blocks.append(((x * one + other * two) / (one + two), one + two, some + more))
    for place, x in zip(level, [x for x, _, count in blocks for _ in range(count)]):
        place.x += x


# what is drawn --------------------------------------------------------------------------------------------------------

STYLE = f"""<style>
text {{ fill: {INK}; font-size: 11px }} .head {{ font-size: 20px; font-weight: 600 }} .soft {{ fill: #5a564f }}
.name {{ font-size: 12px; font-weight: 600 }} .words, .out {{ text-anchor: end }} .out {{ fill: #5a564f; font-size: 10px }}
.edge {{ fill: none; stroke: {WAY}; stroke-width: 1.4 }} .shortcut {{ fill: none; stroke: {SHORTCUT}; stroke-width: 1.6 }}
.frame {{ fill: #fff; stroke: {SOFT} }} .box:hover .frame {{ stroke: {INK}; stroke-width: 2.5 }}
</style>"""


def _head(model: Model, boxes: list[Place], shortcuts: bool, wide: float) -> tuple[list[str], float]:
    """Return what stands above (name, figures, a legend of what occurs), and where the drawing may begin."""
    summary = model.summary()
    arrow = '<marker id="{}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" orient="auto" '
    arrow += 'markerUnits="userSpaceOnUse"><path d="M0 .5 8 4 0 7.5z" fill="{}"/></marker>'
    parts = [
        STYLE,
        f"<defs>{arrow.format('arrow-edge', WAY)}{arrow.format('arrow-shortcut', SHORTCUT)}</defs>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text class="head" x="{MARGIN}" y="42">{_text(model.name, LONGEST)}</text>',
        f'<text class="soft" x="{MARGIN}" y="62">{_size(model.graph.input)} → {_size(model.output)}, '
        f"{summary.parameters:,} parameters, {summary.flops:,} FLOPs an image</text>",
    ]
    used = {family for box in boxes for _, _, family in box.lines}
    keys = [(name, f'height="14" rx="3" fill="{tint}"') for name, (tint, _) in FAMILIES.items() if name in used]
    keys += [("shortcut", f'height="2" transform="translate(0 6)" fill="{SHORTCUT}"')] if shortcuts else []
    x, y = float(MARGIN), 78
    for name, paint in keys:
        if x + PLAIN * len(name) + 20 > wide + MARGIN:
            x, y = float(MARGIN), y + 20
        parts.append(f'<rect x="{_n(x)}" y="{y}" width="14" {paint}/>')
        parts.append(f'<text class="soft" x="{_n(x + 20)}" y="{y + 11}">{name}</text>')
        x += PLAIN * len(name) + 38
    return parts, y + 40


def _edge(edge: list[Place], spans: list[tuple[float, float]]) -> str:
    """Return an edge: from box to box through its bends, a curve between two levels."""
    start, end = edge[0], edge[-1]
    x = start.x + _port(edge[1].x - start.x, start.width)
    line = f"M{_n(x)} {_n(spans[start.level][0] + start.height)}"
    for place in edge[1:]:
        (_, high), (low, _) = spans[place.level - 1 : place.level + 1]
        to = place.x if place is not end else end.x + _port(edge[-2].x - end.x, end.width)
        if abs(to - x) > 0.05:
            half = _n((high + low) / 2)
            line += f"V{_n(high)}C{_n(x)} {half} {_n(to)} {half} {_n(to)} {_n(low)}"
            x = to
    line += f"V{_n(spans[end.level][0])}"
    kind = "shortcut" if edge[1].shortcut else "edge"
    ends = f'data-from="{_text(start.lines[-1][0])}" data-to="{_text(end.lines[0][0])}"'
    return f'<path class="{kind}" {ends} d="{line}" marker-end="url(#arrow-{kind})"/>'


def _port(away: float, width: float) -> float:
    """Return how far from a box's middle an edge meets it: towards where it comes from, within the corners."""
    return (width / 2 - 16) * away / (abs(away) + width)


def _boxes(model: Model, boxes: list[Place], spans: list[tuple[float, float]]) -> Iterator[str]:
    """Yield the boxes: a line a node in the tint of its family, what comes out, and all there is to tell as the title."""
    table = {row.layer: row for row in model.summary().rows}
    for box in boxes:
        rows = [table[node.name] for node in box.nodes]
        x, y, right = box.x - box.width / 2, spans[box.level][0], _n(box.x + box.width / 2 - 10)
        told = "\n".join(map(_all, box.nodes, rows)) or "what the network is given"
        yield f'<g class="box"><title>{told}</title>'
        size = f'width="{_n(box.width)}" height="{box.height}"'
        yield f'<rect class="frame" x="{_n(x)}" y="{_n(y)}" {size} rx="6"/>'
        for i, (name, words, family) in enumerate(box.lines):
            down = y + i * TALL
            size = f'width="{_n(box.width - 6)}" height="{TALL - 2}" rx="4"'
            if family:
                yield f'<rect x="{_n(x + 3)}" y="{_n(down + 3)}" {size} fill="{FAMILIES[family][0]}"/>'
            yield f'<text class="name" x="{_n(x + 10)}" y="{_n(down + 16)}">{_text(name, LONGEST)}</text>'
            yield f'<text class="words" x="{right}" y="{_n(down + 16)}">{_text(words)}</text>'
        count = sum(row.parameters for row in rows)
        out = _size(box.nodes[-1].output if box.nodes else model.graph.input)
        line = _n(y + box.height - 6)
        yield f'<text class="soft" x="{_n(x + 10)}" y="{line}">{out}</text>'
        yield f'<text class="out" x="{right}" y="{line}">{f"{count:,} parameters" if count else ""}</text></g>'


# in words -------------------------------------------------------------------------------------------------------------


def _family(node: Node) -> str:
    """Return the family of a node's op."""
    read = [t for t in flat(node.inputs.values()) if t.kind in ("input", "value")]
    return next(
        name
        for name, (_, parts) in FAMILIES.items()
        if any(part in node.op.name for part in parts) or (name == "joining" and len(read) > 1)
    )


def _words(node: Node, call: Call) -> str:
    """Return an op with what matters of its attributes: conv2d 3×3, stride 2, groups 32."""
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


def _all(node: Node, row: Row) -> str:
    """Return all that is known of a node, in one line."""
    told = [f"{node.name}: {node.op.name}"]
    told += [f"{t.name} {show(t)}" for t in flat(node.inputs.values())]
    told += [f"output {row.output}", *(f"{key} {value}" for key, value in node.attributes.items())]
    told += [
        f"{row.parameters:,} parameters",
        f"{row.flops:,} FLOPs an image",
        f"receptive field {row.receptive_field}",
    ]
    return _text(", ".join(told))


def _size(tensor: Tensor | None) -> str:
    """Return the shape of one example."""
    return " × ".join(map(str, tensor.shape[1:])) if tensor is not None else ""


def _text(text: str, most: int = 10**6) -> str:
    """Return text for XML, in one line and without what is not to be seen: a name may be a stranger's."""
    return escape(plain_text(text, most))


def _n(number: float) -> str:
    """Return pixels as short as can be."""
    return f"{number:.1f}".removesuffix(".0")
