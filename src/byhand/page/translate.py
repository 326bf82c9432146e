"""Translation of the ops' loops to JavaScript, line by line: the page runs the same code that a reader sees in Python.

The loops use a small part of Python: numbers, tuples, arrays and loops over their indices. The translator covers that part and
raises Untranslatable for anything else. Each function exists twice in the page: `name` computes; `name$traced` also records
the values that each line reads and writes, for the number under the pointer.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypedDict

from byhand.ops import get
from byhand.ops.op import positional, unwrapped
from byhand.page.expressions import Expressions, Untranslatable
from byhand.page.statements import function, loads

Pair = tuple[str, str]  # the names of a forward hand and its backward


class Source(TypedDict):
    """A function's Python source for the reader; reads: by line, the columns of the values that it reads.

    listed: the lines whose loop iterations the page lists one by one.
    """

    file: str
    name: str
    lines: list[str]
    reads: dict[int, list[list[int | None] | None]]
    listed: list[int]


@dataclass
class Script:
    r"""A JavaScript program: the translated functions by their names, each once.

    sources: by function, its Python source for the reader: file, name and lines; by line, the columns of the values that it
    reads; and the lines whose loop iterations the page lists one by one.

    >>> script = Script()
    >>> script.add(get("relu").hands["loops"].forward, "relu_forward")
    'relu_forward'
    >>> print(script.functions["relu_forward"].split("\nfunction relu_forward$traced")[0])
    function relu_forward(x, y) {
      let i;
      const x$data = x && x.data;
      const y$data = y && y.data;
      for (i = new NdIndex(toShape(x.shape)); i.n < i.end; i.n++) {
        y$data[offsetOf(y, i)] = ((x$data[offsetOf(x, i)] < 0) ? 0 : x$data[offsetOf(x, i)]);
      }
    }
    """

    functions: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    # By identity of the function: its name, and a reference that keeps the identity unique.
    names: dict[int, tuple[str, Any]] = field(default_factory=dict)

    def add(self, hand: Callable[..., Any], name: str) -> str:
        """Translate a function and all that it calls; return its name in JavaScript."""
        hand = unwrapped(hand)
        if id(hand) in self.names:
            return self.names[id(hand)][0]
        while name in self.functions:
            name += "_"
        self.names[id(hand)] = name, hand
        self.functions[name] = ""  # reserves the name while the functions that it calls are translated
        source = textwrap.dedent(inspect.getsource(hand))
        tree = ast.parse(source).body[0]
        assert isinstance(tree, ast.FunctionDef)
        file = (inspect.getsourcefile(hand) or "").replace("\\", "/")
        reads, listed_lines = _marks(hand, tree)
        self.sources[name] = {
            "file": file.rpartition("/byhand/")[2],
            "name": tree.name,
            "lines": source.splitlines(),
            "reads": reads,
            "listed": listed_lines,
        }
        new = partial(Expressions, hand, tree, self.add, self.functions)
        self.functions[name] = f"{function(new, name, False)}\n{function(new, f'{name}$traced', True)}"
        return name

    def __str__(self) -> str:
        return "\n".join(self.functions.values())


def _marks(
    hand: Callable[..., Any], tree: ast.FunctionDef
) -> tuple[dict[int, list[list[int | None] | None]], list[int]]:
    """Return, by line, the columns of the values that a statement reads, and the lines that add up or write arrays."""
    known = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    known |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    reads: dict[int, list[list[int | None] | None]] = {}
    listed_lines = list[int]()
    arrays = positional(hand)
    for statement in ast.walk(tree):
        if not isinstance(statement, (ast.Assign, ast.AugAssign)):
            continue
        line = statement.lineno
        read = [load for load, _ in loads(statement, known)]
        reads[line] = [[load.col_offset, load.end_col_offset] if load.lineno == line else None for load in read]
        target = statement.target if isinstance(statement, ast.AugAssign) else statement.targets[0]
        numbers = [load for load in read if isinstance(load, ast.Subscript) and getattr(load.value, "id", "") in arrays]
        if isinstance(statement, ast.AugAssign) or isinstance(target, ast.Subscript) or numbers:
            listed_lines.append(line)
    return reads, sorted(listed_lines)


def hands(names: Iterable[str]) -> tuple[Script, dict[str, Pair], dict[str, str]]:
    """Translate the loops hands of ops.

    Returns the script, (forward, backward) of each op by its name, and of the ops that the page can't run, why.

    >>> script, found, refused = hands(["conv2d", "resize"])
    >>> found, list(refused)
    ({'conv2d': ('conv2d_forward', 'conv2d_backward')}, ['resize'])
    """
    script, found, refused = Script(), dict[str, Pair](), dict[str, str]()
    for name in names:
        before = dict(script.functions), dict(script.sources), dict(script.names)
        try:
            loops = get(name).hands["loops"]
            found[name] = (
                script.add(loops.forward, f"{name}_forward"),
                script.add(loops.backward, f"{name}_backward"),
            )
        except Untranslatable as error:
            script.functions, script.sources, script.names = before
            refused[name] = str(error)
    return script, found, refused
