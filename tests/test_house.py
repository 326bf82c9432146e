"""The architecture: imports between packages, file length, and the cost of `import byhand`."""

import ast
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import byhand

SOURCE = Path(byhand.__file__).parent
# From the top down. The rooms of one floor do not import each other; a room takes from any floor below its own.
FLOORS = [
    {"__main__"},
    {"cli"},
    {"__init__"},
    {"bench", "sklearn", "loading", "optim"},  # they stand on the trainer and the models
    {"train", "models", "onnx", "report", "export", "page", "tutorial", "tasks"},
    {"nn"},
    {"program"},
    {"graph"},
    {"ops"},
    {"kernels"},
    {"data"},
    {"hints"},
    {"console", "files", "shapes"},
    {"errors", "interrupt"},
    {"text", "translation"},
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
ONLY = {
    "tutorial": {"ops", "kernels", "data", "files", "shapes", "errors"},
    "data": {"hints", "files", "shapes", "errors", "text"},
}
LINES = 400


def files():
    return sorted(SOURCE.rglob("*.py"))


def parts(path):
    """Return a file's module, from `byhand` on: ('nn', 'layers'), ('ops', '__init__'), ('errors',)."""
    return path.relative_to(SOURCE).with_suffix("").parts


def imports(text, module):
    """Yield (line, room, what) for each import of byhand's own in a file's text, wherever in the file it stands."""
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if node.module else []
            if node.level:
                base = ["byhand", *module[: len(module) - node.level], *base]
            names = [[*base, alias.name] for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            names = [
                argument.value.split(".")
                for argument in node.args
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            ]
        for name in names:
            if name[0] == "byhand":
                room = name[1] if len(name) > 1 and name[1] in LEVEL else "__init__"
                known = room != "__init__" or len(name) < 3
                yield node.lineno, room if known else name[1], ".".join(name)


def forbidden_imports(text, module):
    """Return what a file imports that it must not, as sentences."""
    room, where = module[0], "/".join(module)
    if room not in LEVEL:
        return [
            f"src/byhand/{where}.py: the room '{room}' is not in the house; add it to FLOORS in tests/test_house.py"
        ]
    found = []
    for line, other, what in imports(text, module):
        place = f"src/byhand/{where}.py, line {line}: imports {what}"
        if other == room:
            continue
        if other not in LEVEL:
            found.append(f"{place}, which is not in the house")
        elif LEVEL[other] < LEVEL[room]:
            found.append(f"{place}, which stands above {room}")
        elif LEVEL[other] == LEVEL[room]:
            found.append(f"{place}, a room on the same floor as {room}")
        elif other not in ONLY.get(room, LEVEL):
            found.append(f"{place}, but {room} stands on {', '.join(sorted(ONLY[room]))} only")
    return found


def test_a_package_imports_only_what_stands_below_it():
    found = [
        problem for path in files() for problem in forbidden_imports(path.read_text(encoding="utf-8"), parts(path))
    ]
    assert not found, "\n" + "\n".join(found)
    assert len(files()) > 40


@pytest.mark.parametrize(
    ("text", "module", "message"),
    [
        (
            "from byhand.train import Trainer",
            ("nn", "model"),
            "line 1: imports byhand.train.Trainer, which stands above nn",
        ),
        ("x = 1\nimport byhand.cli", ("ops", "pool"), "line 2: imports byhand.cli, which stands above ops"),
        (
            "def f():\n    from byhand import nn",
            ("graph", "graph"),
            "line 2: imports byhand.nn, which stands above graph",
        ),
        ("from byhand import Model", ("train", "run"), "imports byhand.Model, which stands above train"),
        ("from byhand.models import create", ("train", "run"), "a room on the same floor as train"),
        ("from ..program import build", ("ops", "op"), "imports byhand.program.build, which stands above ops"),
        ("from .. import nn", ("ops", "op"), "imports byhand.nn, which stands above ops"),
        ("import_module('byhand.nn')", ("ops", "op"), "imports byhand.nn, which stands above ops"),
        (
            "from byhand.graph import Graph",
            ("tutorial",),
            "but tutorial stands on data, errors, files, kernels, ops, shapes only",
        ),
        ("from byhand.shapes import pair", ("errors",), "which stands above errors"),
        ("from byhand.attic import trunk", ("nn", "model"), "imports byhand.attic.trunk, which is not in the house"),
        ("", ("attic", "trunk"), "the room 'attic' is not in the house; add it to FLOORS"),
    ],
)
def test_this_test_sees_a_wrong_import(text, module, message):
    (found,) = forbidden_imports(text, module)
    assert message in found and found.startswith("src/byhand/" + "/".join(module))


def test_this_test_lets_a_right_import_pass():
    text = "import numpy\nfrom byhand.ops.op import Op\nfrom byhand import ops\nfrom . import init\nfrom byhand.nn import he"
    assert forbidden_imports(text, ("nn", "layers")) == []
    assert forbidden_imports("from byhand import __version__, data, models", ("cli", "train")) == []


def test_a_graph_does_no_arithmetic():
    for name in ("graph", "serial"):
        tree = ast.parse((SOURCE / "graph" / f"{name}.py").read_text(encoding="utf-8"))
        used = {
            ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n).startswith("np.")
        }
        assert used <= {"np.int64", "np.uint64", "np.dtype"}, f"graph/{name}.py computes with {used}"


@pytest.mark.parametrize("path", files(), ids=lambda path: "/".join(parts(path)))
def test_a_file_is_one_room(path):
    text = path.read_text(encoding="utf-8")
    count = text.count("\n")
    assert count < LINES, f"{path.relative_to(SOURCE)} has {count} lines; split it by subject"
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, f"{path.relative_to(SOURCE)} does not open with the sentence that says what it is"


MACHINES = r"/(home|Users|root|tmp|mnt|opt|var|srv|private)/|[A-Z]:\\\\?(Users|Windows|Temp)"


@pytest.mark.parametrize("path", files(), ids=lambda path: "/".join(parts(path)))
def test_a_file_names_no_place_on_a_machine(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(MACHINES, text), re.search(MACHINES, text)
    here = {Path(__file__).resolve().parents[1], Path.home(), Path(tempfile.gettempdir()), Path(sys.prefix)}
    for place in map(str, here):
        if len(place) > 2:
            assert f"{place}/" not in text, f"{path.name} names {place}"


def test_the_check_for_places_sees_one():
    for text in ('open("/home/me/x")', "cd /tmp/x", r"C:\Users\me"):
        assert re.search(MACHINES, text)


HEAVY = (
    "numba",
    "matplotlib",
    "torch",
    "onnx",
    "onnxruntime",
    "jax",
    "scipy",
    "mpi4py",
    "typer",
    "llvmlite",
    "pandas",
    "sklearn",
)


def test_import_byhand_brings_nothing_heavy():
    code = f"import sys, byhand; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]" and not found.stderr


def test_a_forward_pass_brings_nothing_heavy():
    code = (
        "import sys, byhand as bh, numpy as np\n"
        "model = bh.models.create('article')\n"
        "bh.Trainer(model, bh.SGD(), hand='arrays').step(np.zeros((2, 28, 28, 1)), [0, 1])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]" and not found.stderr


def test_the_command_line_waits_with_matplotlib():
    code = "import sys, byhand.cli; print([name for name in ('numba', 'matplotlib', 'torch') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
