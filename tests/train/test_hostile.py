"""Untrusted checkpoints: a file loads or gives one line, runs no code, and takes little memory.

A saved checkpoint is changed byte by byte, and field by field with a header that is whole again. What still loads is asked
for its programs, which may then hold nothing but calls of byhand's own functions, and is run where it is small.
"""

import ast
import copy
import json
import pickle
import re
import struct
import tracemalloc
from contextlib import nullcontext
from functools import cache
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import byhand as bh
from byhand import nn
from tests.memory import peak_below
from tests.program.folders import own_folder
from tests.train.small_training import network, plain, stripes

DATA = stripes(8)
ROOM = 64 * 2**20  # bytes beside the file's own size
# Of a network with fewer elements per image, a batch of 8 with its gradients fits into ROOM five times. `tracemalloc` makes
# everything five times slower, so the use of such a network is not traced.
TRACED_ELEMENTS = 100_000
CODE = "__import__('os').system('touch pwned')"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    own_folder(monkeypatch, tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture(autouse=True, scope="module")
def built(tmp_path_factory):
    """Build what the two networks need before memory is looked at: `tracemalloc` makes Numba twice as slow."""
    path = tmp_path_factory.mktemp("built") / "file"
    for kind in ("small", "rich"):
        path.write_bytes(saved(kind))
        used(use_model, bh.load(path))
        used(use_trainer, bh.Trainer.load(path))


# files ----------------------------------------------------------------------------------------------------------------


def rich():
    """Return a network with something of everything: branches, groups, attributes of all types, state, a shared layer."""
    x = nn.Input(6, 6, 2)
    y = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(4, 3, padding="same", groups=2)(x)))
    z = nn.Pad2d((0, 1, 0, 1), value=-1.0)(nn.AvgPool2d(2, ceil_mode=True)(y))
    y = nn.Concat()(nn.MaxPool2d((2, 2), padding=(0, 2, 0, 2), stride=2)(y + y), nn.LeakyReLU(0.1)(z))
    y = nn.ChannelShuffle(2)(nn.Transpose(0, 2, 1, 3)(y))
    square = nn.Linear(8, name="square")
    y = square(square(nn.Dropout(0.2)(nn.GlobalAvgPool2d()(nn.LayerNorm()(y)))))
    return nn.Model(x, nn.Softmax()(nn.Linear(3)(y)), name="rich", mean=[0.4, 0.5], std=[0.5, 0.4], classes="abc")


@cache
def saved(kind):
    """Return the bytes of a checkpoint in the middle of a training."""
    from tempfile import TemporaryDirectory

    if kind == "small":
        trainer = bh.Trainer(network(), bh.SGD(0.1, 0.9, nesterov=True), schedule=bh.Warmup(0.1, bh.OneCycle()))
        trainer.fit(DATA, DATA, epochs=2, quiet=True)
        trainer.state = bh.train.trainer.TrainingState(
            3, 8, 2, steps_done=1, history=trainer.history, curve=trainer.curve
        )
    else:
        trainer = bh.Trainer(rich(), bh.AdamW(), clip_norm=1.0, label_smoothing=0.1)
    with TemporaryDirectory() as folder:
        trainer.save(f"{folder}/checkpoint")
        with open(f"{folder}/checkpoint", "rb") as file:  # noqa: PTH123
            return file.read()


def unpack(data):
    """Return (header, what byhand says in it, the numbers)."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header.pop("__metadata__")["byhand"]), data[8 + length :]


def pack(header, about, numbers):
    text = about if isinstance(about, str) else json.dumps(about)
    head = json.dumps({"__metadata__": {"byhand": text}} | header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + numbers


def changed(change, kind="small"):
    """Return the file with a change made to what byhand says in its header."""
    header, about, numbers = unpack(saved(kind))
    about = change(about) or about
    return pack(header, about, numbers)


# the check of every file ----------------------------------------------------------------------------------------------


def check(path, data, *, trace_use=False):
    """Load a file as a model and as a checkpoint, use what loads; return whether each did. Only byhand's errors are let by."""
    path.write_bytes(data)
    with peak_below(len(data) + ROOM):
        found = [loaded(bh.load, path), loaded(bh.Trainer.load, path)]
    for made, use in zip(found, (use_model, use_trainer)):
        if made is not None:
            traced = trace_use or elements(made) > TRACED_ELEMENTS
            with peak_below(len(data) + ROOM) if traced else nullcontext():
                used(use, made)
    return [made is not None for made in found]


def elements(made):
    """Return how many elements the tensors of a model or of a trainer's model have, per image."""
    graph = (made.model if isinstance(made, bh.Trainer) else made).graph
    return sum(prod(tensor.shape) for tensor in graph.tensors.values())


def loaded(load, path):
    """Return what a file loads as, or None where it is refused."""
    try:
        return load(path)
    except bh.FileError as error:
        assert_one_line(error)
        return None


def used(use, made):
    try:
        with np.errstate(all="ignore"):
            use(made)
    except bh.ByhandError as error:
        assert_one_line(error)


def assert_one_line(error):
    text = str(error)
    assert text and text.isprintable() and len(text) < 2000, text[:200]


def use_model(model):
    """Ask a model for all that can be had of it without much memory."""
    texts = [model.program(1).text]
    assert_harmless(texts[0])
    small = all(prod(tensor.shape) < 1e4 for tensor in model.graph.tensors.values())
    x = np.zeros((2, *model.input_shape), np.uint8) if small else None
    if small:
        assert model.predict(x).shape == (2, len(model.classes))
        str(model.summary())
    texts.append(model.program(2, train=True, input_gradient=True).text)
    assert_harmless(texts[1])
    texts.append(model.program(8, train=True, hand="compiled").text)
    assert_harmless(texts[2])
    if small:
        trace = model.trace(x, [0, 0])
        assert all(isinstance(value, np.ndarray) for value in trace.values())


def use_trainer(trainer):
    assert_harmless(trainer.program(2).text)
    shape = trainer.model.input_shape
    if prod(shape) < 1e4:
        data = bh.data.Dataset(np.zeros((4, *shape), np.uint8), np.zeros(4, int), trainer.model.classes)
        trainer.step(data.images, data.labels)
        trainer.state = None
        trainer.batch_size = 2
        trainer.fit(data, data, quiet=True)


NODES = (
    ast.Module,
    ast.Expr,
    ast.Constant,
    ast.ImportFrom,
    ast.alias,
    ast.FunctionDef,
    ast.arguments,
    ast.arg,
    ast.Call,
    ast.Name,
    ast.Load,
    ast.Store,
    ast.Attribute,
    ast.keyword,
    ast.Tuple,
    ast.UnaryOp,
    ast.USub,
    ast.Assign,
    ast.Subscript,
    ast.Return,
)


SUMS = "byhand.kernels.reductions"
UPDATES = ("byhand.train.optim.",)
LOOP = (  # the one loop that a program may hold
    r"for part in arena\.micro_batches:\n    micro_batch\((\w+)\[part\.images\], "
    r"(labels\[part\.images\], p, part\.g|p), state, part\.arena\)"
)


def assert_harmless(text):
    """A program imports byhand's own functions and calls them on p, g, state, arena and the optimizer. No more."""
    tree = ast.parse(text)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    defined = [function.name for function in functions]
    parts = "micro_batch" in defined
    assert [name for name in defined if name != "update"] == ["micro_batch"] * parts + ["step"]
    assert len(tree.body) == 1 + len(imports) + len(functions) and isinstance(tree.body[0].value, ast.Constant)
    names = {alias.asname or alias.name for node in imports for alias in node.names}
    assert all(node.module.startswith(("byhand.ops.", *UPDATES)) or node.module == SUMS for node in imports)
    arguments = [arg.arg for function in functions for arg in function.args.args + function.args.kwonlyargs]
    assert not {*arguments, *(["micro_batch", "part"] if parts else [])} & names
    loop = functions[-1].body[0] if parts else None
    assert loop is None or re.fullmatch(LOOP, ast.unparse(loop)), ast.unparse(loop)
    namespaces = {"p", "g", "state", "arena", "optimizer"}
    for node in ast.walk(tree):
        assert isinstance(node, NODES) or node is loop, ast.dump(node)
        if isinstance(node, ast.Call):
            allowed = names | {"float"} | set(defined) - {"step"}
            assert isinstance(node.func, ast.Name) and node.func.id in allowed
        if isinstance(node, ast.Attribute):
            assert isinstance(node.value, ast.Name) and node.value.id in namespaces | ({"part"} if parts else set())
            assert not node.attr.startswith("__")


def test_the_unchanged_files_load(tmp_path):
    for kind in ("small", "rich"):
        assert check(tmp_path / "file", saved(kind), trace_use=True) == [True, True]
        assert check(tmp_path / "file", pack(*unpack(saved(kind)))) == [True, True]


def test_much_memory_is_detected(tmp_path, monkeypatch):
    """While a file loads, and while a network is used that is large or that is traced on demand."""
    much = "bytes, more than"
    with monkeypatch.context() as patch, pytest.raises(AssertionError, match=much):
        patch.setattr(bh, "load", lambda path: np.ones(ROOM // 4))
        check(tmp_path / "file", saved("small"))
    monkeypatch.setitem(globals(), "use_model", lambda model: np.ones(ROOM // 4))
    monkeypatch.setitem(globals(), "use_trainer", lambda trainer: None)
    with pytest.raises(AssertionError, match=much):
        check(tmp_path / "file", saved("small"), trace_use=True)
    nn.Model(nn.Input(400, 300, 1), nn.Sequential(nn.MaxPool2d(100), nn.Flatten(), nn.Linear(2))).save(
        tmp_path / "large"
    )
    with pytest.raises(AssertionError, match=much):
        check(tmp_path / "file", (tmp_path / "large").read_bytes())


def test_a_harmful_program_is_detected():
    good, parts = (plain(bh.SGD(0.1, 0.9), hand="compiled").program(batch).text for batch in (2, 8))
    assert_harmless(good)
    assert_harmless(parts)
    for old, new, text in (
        ("stride=(1, 1)", f"stride={CODE}", good),
        ("def step(", "import os\n\n\ndef step(", good),
        ("p.conv1_weight", "p.__class__", good),
        ("arena.pool1", "arena.pool1.data", good),
        ("nesterov=False", f"nesterov={CODE}", good),
        ("return", "return lambda:", good),
        ("def step(images", "def step(linear", good),
        ("arena.micro_batches", CODE, parts),
        ("state, part.arena", f"{CODE}, part.arena", parts),
        ("state, part.arena)", "state, part.arena)\n    micro_batch()\n    for i in p: p", parts),
        ("for part in", "for linear in", parts),
        ("def step(", "micro_batch = exec\n\n\ndef step(", parts),
    ):
        assert old in text
        with pytest.raises(AssertionError):
            assert_harmless(text.replace(old, new, 1))


# bytes ----------------------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(data=st.data())
def test_changed_bytes(tmp_path_factory, data):
    content = bytearray(saved(data.draw(st.sampled_from(["small", "rich"]))))
    for _ in range(data.draw(st.integers(1, 4))):
        head = data.draw(st.booleans())  # the header is the part with a meaning; numbers are only numbers
        place = data.draw(
            st.integers(0, min(len(content), struct.unpack("<Q", saved("small")[:8])[0] if head else len(content)))
        )
        how = data.draw(st.sampled_from(["flip", "cut", "insert", "extend", "remove", "length"]))
        if how == "flip" and place < len(content):
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "cut":
            del content[place:]
        elif how == "insert":
            content[place:place] = data.draw(st.binary(min_size=1, max_size=20))
        elif how == "extend":
            content += data.draw(st.binary(min_size=1, max_size=20))
        elif how == "remove":
            del content[place : place + data.draw(st.integers(1, 20))]
        elif how == "length":
            content[:8] = struct.pack("<Q", data.draw(st.integers(0, 2**64 - 1)))
    check(tmp_path_factory.getbasetemp() / "bytes", bytes(content))


@given(content=st.binary(max_size=200))
def test_any_bytes(tmp_path_factory, content):
    assert check(tmp_path_factory.getbasetemp() / "any", content) == [False, False]


@pytest.mark.parametrize("kind", ["small", "rich"])
def test_a_truncated_file_is_refused(tmp_path, kind):
    data = saved(kind)
    for length in {*range(0, len(data), 97), len(data) - 1}:
        assert check(tmp_path / "file", data[:length]) == [False, False]


# fields ---------------------------------------------------------------------------------------------------------------

HUGE = 10**400
VALUES = [
    None, True, False, 0, 1, -1, 2, 3, 2**31, 2**62, 2**64, HUGE, -HUGE, 0.5, -0.5, 1e308, float("nan"), float("inf"), -0.0,
    "", "x", "same", "images", "conv1", "relu1", "fc1_weight", "norm1_running_mean", "dropout1_key", "pool1_argmax", "loss",
    "relu", "conv2d", "float", "__debug__", "__class__", "__dict__", "class", "None", "p", "flat", "a b", "a\nb", "\x1b[2J",
    "\ud800", "ﬁ", "softmax_cross_entropy", "batch_norm", "dropout", "concat", CODE, f"x={CODE}", f"')\n{CODE}\n#",
    '"""' + CODE, "x" * 10_000, "(1,,2)f4", "O", "float64", [], [[]], [1], [0], [-1], [HUGE], [1] * 70, [2**40, 2**40],
    ["images", "images"], {}, {"kind": "SGD"}, {"kind": "Warmup", "then": {"kind": "Warmup"}}, {"x": "images"},
    {"padding": "same"}, {"name": "images", "shape": [6, 6, 1]},
]  # fmt: skip


def places(value, path=()):
    """Return the path to every value within a JSON value."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


def at(value, path):
    for key in path:
        value = value[key]
    return value


def mutate(about, data):
    """Change one place: another value, gone, doubled, under another name, or a copy of what stands elsewhere."""
    all_places = places(about)
    path = data.draw(st.sampled_from(all_places))
    parent, key = at(about, path[:-1]), path[-1]
    how = data.draw(st.sampled_from(["value", "value", "remove", "copy", "name", "double", "swap", "deep"]))
    if how == "value":
        parent[key] = copy.deepcopy(data.draw(st.sampled_from(VALUES)))
    elif how == "remove":
        del parent[key]
    elif how == "copy":
        parent[key] = copy.deepcopy(at(about, data.draw(st.sampled_from(all_places))))
    elif how == "name" and isinstance(parent, dict):
        parent[data.draw(st.sampled_from([v for v in VALUES if isinstance(v, str)]))] = parent.pop(key)
    elif how == "double" and isinstance(parent, list):
        parent.insert(data.draw(st.integers(0, len(parent))), copy.deepcopy(parent[key]))
    elif how == "swap" and isinstance(parent, list):
        other = data.draw(st.integers(0, len(parent) - 1))
        parent[key], parent[other] = parent[other], parent[key]
    elif how == "deep":
        for _ in range(data.draw(st.sampled_from([2, 60, 300]))):
            parent[key] = {"kind": "Warmup", "then": parent[key]}


@settings(max_examples=600)
@given(data=st.data())
def test_changed_fields(tmp_path_factory, data):
    header, about, numbers = unpack(saved(data.draw(st.sampled_from(["small", "rich"]))))
    for _ in range(data.draw(st.integers(1, 3))):
        mutate(about, data)
        if not places(about):
            break
    check(tmp_path_factory.getbasetemp() / "fields", pack(header, about, numbers))


@settings(max_examples=150)
@given(data=st.data())
def test_changed_arrays(tmp_path_factory, data):
    """The file's own table: types, shapes and places of its arrays, which must agree with the graph and with the file."""
    header, about, numbers = unpack(saved("small"))
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(header)))
        field = data.draw(st.sampled_from(["dtype", "shape", "data_offsets", "name", "gone", "empty"]))
        if field == "dtype":
            header[name]["dtype"] = data.draw(
                st.sampled_from(["F64", "F16", "BF16", "F8_E4M3", "I32", "BOOL", "U64", "X", ""])
            )
        elif field == "gone":
            del header[name]
        elif field == "name":
            header[data.draw(st.sampled_from(["x", "flat", "images", "optimizer.velocity", "fc1_bias"]))] = header.pop(
                name
            )
        elif field == "empty":
            header[f"{name}2"] = {"dtype": "F32", "shape": [0, 2**60], "data_offsets": [len(numbers), len(numbers)]}
        else:
            header[name][field] = data.draw(
                st.lists(st.sampled_from([0, 1, 2, 3, 4, 2**40, 2**63, -1, len(numbers)]), max_size=4)
            )
        if not header:
            break
    check(tmp_path_factory.getbasetemp() / "arrays", pack(header, about, numbers))


# hand-written cases ---------------------------------------------------------------------------------------------------


def put(path, value, kind="small"):
    """Return the file with one value at a path, as "graph.nodes.0.name"."""

    def change(about):
        *way, last = (int(key) if key.isdigit() else key for key in path.split("."))
        at(about, way)[last] = value

    return changed(change, kind)


def renamed(old, new):
    """Return the file with a tensor called otherwise, everywhere."""
    data = saved("small")
    header, about, numbers = unpack(data)
    about = json.loads(json.dumps(about).replace(json.dumps(old), json.dumps(new)))
    return pack({new if key == old else key: value for key, value in header.items()}, about, numbers)


def nested(levels):
    schedule = {"kind": "Constant"}
    for _ in range(levels):
        schedule = {"kind": "Warmup", "fraction": 0.1, "then": schedule}
    return schedule


def node(op, name, inputs, **attributes):
    return {"op": op, "name": name, "inputs": inputs, "attributes": attributes}


def with_nodes(*nodes, output=None):
    """Return the file with nodes more; its output is the last of them, if that is asked."""

    def change(about):
        about["graph"]["nodes"] += nodes
        about["graph"]["output"] = output or about["graph"]["output"]

    return changed(change)


LOADS_AS_A_MODEL = {  # what only a checkpoint says
    "code as nesterov": lambda: put("trainer.optimizer.nesterov", CODE),
    "code as momentum": lambda: put("trainer.optimizer.momentum", CODE),
    "code as optimizer": lambda: put("trainer.optimizer.kind", CODE),
    "code as hand": lambda: put("trainer.hand", CODE),
    "code as clip_norm": lambda: put("trainer.clip_norm", CODE),
    "code as label_smoothing": lambda: put("trainer.label_smoothing", CODE),
    "a rate of 10^400": lambda: put("trainer.optimizer.lr", HUGE),
    "a rate that is no number": lambda: put("trainer.optimizer.lr", float("nan")),
    "an optimizer that is a schedule": lambda: put("trainer.optimizer", {"kind": "Cosine"}),
    "a schedule that is an optimizer": lambda: put("trainer.schedule", {"kind": "SGD"}),
    "schedules, deep": lambda: put("trainer.schedule", nested(20)),
    "schedules, deeper than Python goes": lambda: put("trainer.schedule", nested(450)),
    "a kind of two lines": lambda: put("trainer.schedule.kind", "a\nb\x1b[2J"),
    "steps of -10^400": lambda: put("trainer.steps", -HUGE),
    "a window of 10^400": lambda: put("trainer.state.window", [0, HUGE, 0]),
    "a history of words": lambda: put("trainer.history", [{"epoch": "one", "loss": "x", "accuracy": "y"}]),
    "a curve of words": lambda: put("trainer.state.curve", [["a", "b", "c"]]),
    "a list for a batch": lambda: put("trainer.batch_size", [64]),
    "no trainer": lambda: changed(lambda about: {k: v for k, v in about.items() if k != "trainer"}),
    "a trainer that is text": lambda: put("trainer", CODE),
}

MAY_LOAD = {  # and then runs, or gives byhand's own errors
    "the input called as a function": lambda: renamed("images", "relu"),
    "the input called as a function of backward": lambda: renamed("images", "conv2d_backward"),
    "the input called as the optimizer": lambda: renamed("images", "sgd"),
    "the input called float": lambda: renamed("images", "float"),
    "a parameter that is not in the file": lambda: put("graph.parameters.more", [2**40]),
}

LOADS_NOT = {
    "code as a parameter's name": lambda: renamed("fc1_weight", f"x={CODE}"),
    "code as the input's name": lambda: renamed("images", f"x={CODE}"),
    "code as a node's name": lambda: renamed("relu1", f"x\n{CODE}"),
    "code as the model's name": lambda: put("name", f'"""\n{CODE}'),
    "code as padding": lambda: put("graph.nodes.0.attributes.padding", CODE),
    "code as an attribute's name": lambda: put("graph.nodes.0.attributes", {f"x={CODE}": 1}),
    "code as a stride": lambda: put("graph.nodes.0.attributes.stride", [CODE, 1]),
    "code as an op": lambda: put("graph.nodes.0.op", CODE),
    "code as a type": lambda: put("dtype", CODE),
    "a name that can't be assigned": lambda: renamed("images", "__debug__"),
    "a name of Python's own": lambda: renamed("fc1_weight", "__dict__"),
    "a keyword": lambda: renamed("relu1", "lambda"),
    "a letter that Python reads as another": lambda: renamed("fc1_weight", "ﬁ"),
    "a type that NumPy would evaluate": lambda: put("dtype", "(1,,2)f4"),
    "a type of objects": lambda: put("dtype", "O"),
    "a type of many fields": lambda: put("dtype", "f8," * 300_000),
    "a mean of 10^400": lambda: put("preprocessing.mean", HUGE),
    "a mean that is no number": lambda: put("preprocessing.mean", float("nan")),
    "a deviation of 0": lambda: put("preprocessing.std", 0),
    "an infinite deviation": lambda: put("preprocessing.std", float("inf")),
    "a mean of words": lambda: put("preprocessing.mean", ["a"]),
    "an image of 10^400 pixels": lambda: put("graph.input.shape", [HUGE, HUGE, 1]),
    "an image of 2^120 pixels": lambda: put("graph.input.shape", [2**60, 2**60, 1]),
    "an image of many axes": lambda: put("graph.input.shape", [1] * 100_000),
    "no pixels": lambda: put("graph.input.shape", [0, 6, 1]),
    "a weight of 2^60 numbers": lambda: put("graph.parameters.fc1_weight", [2**30, 2**30]),
    "a padding of 10^400": lambda: with_nodes(node("pad", "wide", {"x": "images"}, padding=HUGE)),
    "dilated until its padding is larger than memory": lambda: put("graph.nodes.0.attributes.dilation", 10**6, "rich"),
    "padding without end": lambda: put("graph.nodes.6.attributes.padding", [0, 10**9, 0, 10**9], "rich"),
    "doubled until nothing can hold it": lambda: with_nodes(
        *(node("concat", f"c{i}", {"xs": [f"c{i - 1}" if i else "fc1"] * 8}, axis=1) for i in range(300))
    ),
    "many axes, many times": lambda: with_nodes(
        node("reshape", "long", {"x": "images"}, shape=[6, 6, 1] + [1] * 100_000),
        *(node("relu", f"r{i}", {"x": "long"}) for i in range(200)),
    ),
    "a node twice": lambda: with_nodes(node("relu", "relu1", {"x": "conv1"})),
    "a node that reads a later one": lambda: with_nodes(node("relu", "a", {"x": "b"}), node("relu", "b", {"x": "a"})),
    "a node that reads itself": lambda: with_nodes(node("relu", "a", {"x": "a"})),
    "an unknown op": lambda: put("graph.nodes.0.op", "conv3d"),
    "an op that is a list": lambda: put("graph.nodes.0.op", ["conv2d"]),
    "an input that is a list": lambda: put("graph.nodes.0.inputs.x", ["images"]),
    "no input": lambda: put("graph.nodes.0.inputs", {}),
    "no output": lambda: put("graph.output", "gone"),
    "a parameter for an output": lambda: put("graph.output", "fc1_weight"),
    "the loss as a node": lambda: with_nodes(
        node("softmax_cross_entropy", "a", {"logits": "fc1", "labels": "fc1_bias"})
    ),
    "a random key that is a parameter": lambda: put("graph.nodes.5.inputs.key", "fc1_bias"),
    "running means that a layer computed": lambda: put("graph.nodes.1.inputs.running_mean", "norm1_beta"),
    "a state of two types": lambda: with_nodes(node("add", "a", {"a": "fc1", "b": "dropout1_key"}), output="a"),
    "what forward saves for backward": lambda: with_nodes(node("relu", "a", {"x": "pool1_argmax"})),
    "no graph": lambda: put("graph", None),
    "a graph that is text": lambda: put("graph", CODE),
    "nodes that are a table": lambda: put("graph.nodes", {}),
    "too many classes": lambda: put("classes", ["a"] * 4),
    "classes that are numbers": lambda: put("classes", [1, 2, 3]),
    "classes that are one word": lambda: put("classes", "abc"),
    "another format": lambda: put("format", 2),
    "a name of two lines": lambda: put("name", "a\nb"),
    "an op's name with what a terminal obeys": lambda: put("graph.nodes.0.op", "\x1b[2J\x1b[31m"),
    "a tensor's name with what a terminal obeys": lambda: put("graph.output", "\x1b]0;owned\x07"),
    "nothing": lambda: changed(lambda about: "null"),
    "a list": lambda: changed(lambda about: "[]"),
    "no JSON": lambda: changed(lambda about: CODE),
    "brackets, very deep": lambda: changed(lambda about: "[" * 100_000),
    "a number of many digits": lambda: changed(lambda about: "1" * 100_000),
    "no metadata": lambda: pack(
        unpack(saved("small"))[0] | {"__metadata__": {"other": "x"}}, {}, unpack(saved("small"))[2]
    ),
    "a pickle": lambda: pickle.dumps({"weights": [1.0, 2.0]}),
    "a pickle with code": lambda: b"cos\nsystem\n(S'touch pwned'\ntR.",
    "an empty file": lambda: b"",
    "a header longer than the file": lambda: struct.pack("<Q", 2**63) + b"{}",
    "a header of 2 GB": lambda: struct.pack("<Q", 2**31) + b"{}" * 50,
}


@pytest.mark.parametrize("what", LOADS_NOT)
def test_invalid_fields_are_refused(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    assert check(tmp_path / "file", LOADS_NOT[what]()) == [False, False]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("what", MAY_LOAD)
def test_unusual_fields_do_no_harm(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    check(tmp_path / "file", MAY_LOAD[what]())
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("what", LOADS_AS_A_MODEL)
def test_a_file_with_a_broken_checkpoint_loads_as_a_model(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    assert check(tmp_path / "file", LOADS_AS_A_MODEL[what]()) == [True, False]
    assert not (tmp_path / "pwned").exists()


def test_names_that_are_only_data_are_kept_as_they_are(tmp_path, monkeypatch):
    """A class may be called anything: it never reaches a program."""
    monkeypatch.chdir(tmp_path)
    classes = [CODE, '"""', "\n# x"]
    assert check(tmp_path / "file", put("classes", classes)) == [True, True]
    model = bh.load(tmp_path / "file")
    assert model.classes == tuple(classes)
    assert "pwned" not in model.program(1).text + bh.Trainer.load(tmp_path / "file").program(2).text
    assert not (tmp_path / "pwned").exists()


def test_a_folder_and_a_missing_file(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").mkdir()
    (tmp_path / "run" / "checkpoint.safetensors").mkdir()
    for load, expected in (
        (bh.load, "model; expected model.safetensors or checkpoint.safetensors in it"),
        (bh.Trainer.load, "checkpoint; expected checkpoint.safetensors in it"),
    ):
        for path, says in (
            ("empty", f"holds no {expected}"),
            ("none", "there is no file .*none; expected a model that byhand saved"),
            ("run", "is not a model that byhand can use|holds no model|it is a folder"),
            ("nul\0byte", "there is no file|is not a model"),
        ):
            with pytest.raises(bh.FileError, match=says) as caught:
                load(tmp_path / path)
            assert "\n" not in str(caught.value)


def plain_linear(path, inputs=4, **settings):
    """Return (header, what byhand says, the numbers) of a network of one layer, of `inputs` * 3 weights."""
    nn.Model(nn.Input(inputs), nn.Linear(3), **settings).save(path)
    return unpack(path.read_bytes())


def test_sizes_are_checked_before_memory_is_allocated(tmp_path):
    header, about, numbers = plain_linear(tmp_path / "file")
    about["graph"]["input"]["shape"] = [2**24]
    about["graph"]["parameters"]["fc1_weight"] = [2**24, 3]  # 200 MB, of which the file holds 48 bytes
    assert check(tmp_path / "file", pack(header, about, numbers)) == [False, False]
    with pytest.raises(bh.FileError, match=r"'fc1_weight' has the shape \(4, 3\), but its graph says \(16777216, 3\)"):
        bh.load(tmp_path / "file")


@pytest.mark.parametrize("dtype", ["I32", "U32"])
def test_numbers_of_another_type_are_refused(tmp_path, dtype):
    header, about, numbers = plain_linear(tmp_path / "file")
    header["fc1_weight"]["dtype"] = dtype
    (tmp_path / "file").write_bytes(pack(header, about, numbers))
    with pytest.raises(bh.FileError, match=rf"'fc1_weight' holds {dtype}; expected F64 or F32 or F16"):
        bh.load(tmp_path / "file")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_save_and_load_round_trip(tmp_path, dtype):
    plain_linear(tmp_path / "file", dtype=dtype, name="a-b.c", classes=["x", "y y", "ß"], mean=0.25, std=2.0, seed=7)
    model = bh.load(tmp_path / "file")
    again = nn.Model(nn.Input(4), nn.Linear(3), dtype=dtype, seed=7)
    assert model.p.flat.tobytes() == again.p.flat.tobytes() and model.dtype == dtype
    assert (model.name, model.classes, model.mean, model.std) == ("a-b.c", ("x", "y y", "ß"), 0.25, 2.0)
    model.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "file").read_bytes()


def test_loading_takes_memory_in_proportion_to_the_file(tmp_path):
    """Its numbers, an array's as they come from the file, and nothing in proportion to what it only says."""
    model = nn.Model(nn.Input(1000), nn.Sequential(nn.Linear(1000), nn.ReLU(), nn.Linear(1000)))
    model.save(tmp_path / "file")
    tracemalloc.start()
    try:
        bh.load(tmp_path / "file")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = (tmp_path / "file").stat().st_size
    assert size < peak < 1.6 * size


# the run's settings ---------------------------------------------------------------------------------------------------


@given(
    content=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_run_settings_are_an_object_or_a_file_error(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp() / "settings"
    folder.mkdir(exist_ok=True)
    run = bh.Run(folder)
    (folder / "run.json").write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    try:
        settings = run.settings
    except bh.FileError as error:
        assert_one_line(error)
        assert isinstance(content, bytes) or not isinstance(content, dict)
    else:
        assert isinstance(settings, dict)
        assert isinstance(content, bytes) or repr(settings) == repr(content)
