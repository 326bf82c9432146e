"""Network drawings: valid SVG, complete, without overlaps."""

import re
from dataclasses import replace
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

import byhand as bh
from byhand import nn
from byhand.ops.op import tree_leaves
from byhand.report import draw_graph, graph_svg
from byhand.report.drawing import network_graph

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ["lenet5", "resnet18", "googlenet", "densenet121", "shufflenet_v2_x1_0", "efficientnet_b0", "resnet20_cifar"]


@pytest.fixture(scope="module", params=NAMES)
def drawn_network(request):
    model = bh.models.create(request.param, seed=None)
    return model, Drawn(graph_svg(model))


class Drawn:
    """What a drawing shows, read back from its text."""

    def __init__(self, text):
        self.root = ElementTree.fromstring(text)
        self.boxes = {}  # the names in a box: its (left, top, right, bottom)
        for group in self.root.iter(f"{SVG}g"):
            names = tuple(element.text for element in group.iter(f"{SVG}text") if element.get("class") == "name")
            frame = next(element for element in group.iter(f"{SVG}rect") if element.get("class") == "frame")
            x, y, width, height = (float(frame.get(key)) for key in ("x", "y", "width", "height"))
            self.boxes[names] = (x, y, x + width, y + height)
        paths = [element for element in self.root.iter(f"{SVG}path") if element.get("data-from")]
        self.edges = [(path.get("data-from"), path.get("data-to"), points(path.get("d"))) for path in paths]
        self.shortcuts = [
            (path.get("data-from"), path.get("data-to")) for path in paths if path.get("class") == "shortcut"
        ]

    def box(self, name):
        return next(box for names, box in self.boxes.items() if name in names)


def points(path):
    """Return the points of a path of M, V and C, the ends and the handles of its curves among them."""
    found = []
    for command, numbers in re.findall(r"([MVC])([^MVC]*)", path):
        values = [float(number) for number in numbers.split()]
        found += [(found[-1][0], values[0])] if command == "V" else zip(values[::2], values[1::2])
    return found


def overlap(first, other):
    return first[0] < other[2] and other[0] < first[2] and first[1] < other[3] and other[1] < first[3]


def test_every_node_has_its_line_and_no_other(drawn_network):
    model, drawing = drawn_network
    names = [name for box in drawing.boxes for name in box]
    assert sorted(names) == sorted([model.graph.input.name, *(node.name for node in model.graph.nodes)])
    titles = "\n".join(title.text for title in drawing.root.iter(f"{SVG}title"))
    assert all(f"{node.name}: {node.op.name}, " in titles for node in model.graph.nodes)


def test_boxes_do_not_overlap_and_lie_inside_the_drawing(drawn_network):
    boxes = list(drawn_network[1].boxes.values())
    assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]
    width, height = (float(drawn_network[1].root.get(key)) for key in ("width", "height"))
    assert all(0 <= left < right <= width and 0 <= top < bottom <= height for left, top, right, bottom in boxes)


def test_the_edges_are_the_graphs(drawn_network):
    model, drawing = drawn_network
    makers = {t.name: node.name for node in model.graph.nodes for t in node.outputs.values()}
    makers[model.graph.input.name] = model.graph.input.name
    wanted = {
        (makers[t.name], node.name)
        for node in model.graph.nodes
        for t in tree_leaves(node.inputs.values())
        if t.name in makers
    }
    wanted -= {pair for box in drawing.boxes for pair in pairwise(box)}  # inside a box: one under the other
    assert sorted((start, end) for start, end, _ in drawing.edges) == sorted(wanted)


def test_every_edge_runs_down_from_its_box_to_its_box_and_through_no_other(drawn_network):
    for start, end, path in drawn_network[1].edges:
        upper, other = drawn_network[1].box(start), drawn_network[1].box(end)
        assert upper[0] < path[0][0] < upper[2] and path[0][1] == upper[3]
        assert other[0] < path[-1][0] < other[2] and path[-1][1] == other[1]
        assert all(y <= below for (_, y), (_, below) in pairwise(path))
        for (x, y), (to, below) in pairwise(path):  # the straight parts pass boxes; the curves lie between two levels
            assert x != to or not any(
                overlap((x, y + 0.1, x, below - 0.1), box) for box in drawn_network[1].boxes.values()
            )


def test_a_drawing_is_the_same_bytes_again(drawn_network):
    model, _ = drawn_network
    text = graph_svg(model)
    assert text == graph_svg(bh.models.create(model.name, seed=None)) and len(text) < 1e6


def test_the_largest_stays_small():
    assert len(graph_svg(bh.models.create("densenet201", seed=None)).encode()) < 1e6


def test_fused_layers_share_a_box():
    boxes = Drawn(graph_svg(bh.models.create("resnet18", seed=None))).boxes
    assert ("conv1", "bn1", "relu") in boxes and ("layer1_0_conv2", "layer1_0_bn2") in boxes
    assert ("add1", "layer1_0") in boxes and ("layer2_0_downsample_0", "layer2_0_downsample_1") in boxes
    x = nn.Input(8, 8, 3)
    y = nn.Conv2d(4, 1, name="read_twice")(x)
    y = nn.ReLU(name="a")(y) + nn.BatchNorm(name="b")(y)
    y = nn.Dropout(name="c")(nn.ReLU(name="d")(nn.ReLU(name="e")(y)))
    boxes = Drawn(graph_svg(nn.Model(x, nn.Linear(2, name="f")(nn.Flatten(name="h")(y))))).boxes
    assert set(boxes) == {("images",), ("read_twice",), ("a",), ("b",), ("add1", "e"), ("d",), ("c",), ("h",), ("f",)}


def test_a_model_output_ends_a_box():
    """What the model gives, and not only what reads it, ends a box."""
    x = nn.Input(4)
    hidden = nn.Linear(3, name="head")(x)
    boxes = Drawn(graph_svg(nn.Model(x, nn.Linear(3)(nn.ReLU(name="r")(hidden)), auxiliary=[(hidden, 0.3)]))).boxes
    assert ("head",) in boxes and ("r",) in boxes


def test_shortcuts_are_the_residuals():
    drawn_network = Drawn(graph_svg(bh.models.create("resnet18", seed=None)))
    assert drawn_network.shortcuts == [
        ("maxpool", "add1"),
        ("layer1_0", "add2"),
        ("layer2_0", "add4"),
        ("layer3_0", "add6"),
        ("layer4_0", "add8"),
    ]
    assert not Drawn(graph_svg(bh.models.create("googlenet", seed=None))).shortcuts


def test_branches_stand_side_by_side_around_the_middle():
    drawn_network = Drawn(graph_svg(bh.models.create("googlenet", seed=None)))
    boxes = [drawn_network.box(f"inception3a_branch{name}_conv") for name in ("1", "2_0", "3_0")] + [
        drawn_network.box("pool3")
    ]
    assert len({box[1] for box in boxes}) == 1
    middle = sum(box[0] + box[2] for box in boxes) / 8
    for name in ("pool2", "inception3a", "fc"):
        left, _, right, _ = drawn_network.box(name)
        assert (left + right) / 2 == pytest.approx(middle, abs=0.2)


def test_boxes_show_attributes_shapes_and_parameters():
    text = graph_svg(bh.models.create("shufflenet_v2_x1_0", seed=None))
    for words in ("conv2d 3×3, stride 2, groups 24", "max_pool 3×3, stride 2", "slice 58:", "channel_shuffle groups 2"):
        assert f">{words}</text>" in text
    assert ">28 × 28 × 58</text>" in text and ">3,480 parameters</text>" in text
    x = nn.Input(9, 9, 1)
    y = nn.Dropout(0.25)(nn.Flatten()(nn.Conv2d(2, (3, 1), stride=(1, 2), dilation=2)(x)))
    text = graph_svg(nn.Model(x, nn.Linear(2)(y)))
    assert ">conv2d 3×1, stride 1×2, dilation 2</text>" in text and ">dropout rate 0.25</text>" in text


def test_every_op_has_a_family():
    found = {op.name: network_graph._family(node(op)) for op in bh.ops.REGISTRY.values()}
    assert {found[name] for name in ("conv2d", "conv_transpose2d") if name in found} == {"convolution"}
    assert (found["max_pool"], found["linear"], found["batch_norm"]) == ("pooling", "linear", "normalization")
    assert {found[name] for name in ("relu6", "prelu", "gelu", "hard_swish", "softplus")} == {"activation"}
    assert {found[name] for name in ("add", "concat", "maximum")} == {"joining"}
    assert {found[name] for name in ("flatten", "pad", "slice", "log", "reduce_sum")} == {"other"}


def node(op):
    """Return a node of an op that reads one computed tensor an input, or two where it takes any number."""
    made = bh.nn.Input(1)
    inputs = {name: (made, made) if name == "xs" else made if name in ("x", "a", "b") else None for name in op.inputs}
    return bh.graph.Node(op, "x", inputs, {}, {})


HOSTILE = ['"><script>alert(1)</script>', "]]>&lt;&", "a\nb\0\x1b[2J", "\ud800", "x" * 5000, "<!--", "'/>"]


@pytest.mark.parametrize("name", HOSTILE)
def test_an_untrusted_name_is_only_text(name):
    """The graph refuses such names; were one to come through, the drawing would hold it as text."""
    model = bh.models.create("lenet5", seed=None)
    nodes = model.graph.nodes
    model.name, model.graph.nodes = name, [replace(nodes[0], name=name), *nodes[1:]]
    drawn_network = Drawn(graph_svg(model))
    assert {element.tag.removeprefix(SVG) for element in drawn_network.root.iter()} <= {
        "svg",
        "title",
        "style",
        "defs",
        "marker",
        "path",
        "rect",
        "text",
        "g",
    }
    assert max(len(element.text or "") for element in drawn_network.root.iter(f"{SVG}text")) < 60
    assert len(drawn_network.boxes) == 9 and len(drawn_network.edges) == 8


def test_a_drawing_is_written_whole_or_not_at_all(tmp_path):
    model = bh.models.create("lenet5", seed=None)
    draw_graph(model, tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == graph_svg(model)
    with pytest.raises(bh.FileError, match="can't write"):
        draw_graph(model, tmp_path / "none" / "a.svg")
