"""The messages of the source as templates; as a program, those that the Chinese catalogue lacks.

A message is a string or an f-string. In its template each replacement is a slot that is called after what it shows, with its
format: `f"{len(images):,} of {self.name}"` is `{images:,} of {name}`.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from byhand.translation import PREFIX, SLOT, catalogue

SOURCE = Path(__file__).parent.parent / "src" / "byhand"
PROSE = re.compile(r"[A-Za-z]{2,}[^A-Za-z\n]{0,3} [^ ]*[A-Za-z]{2,}|[A-Za-z]{3,} \{|\} [a-z]{3,}")
# Text of another language: C, JavaScript and Python that byhand writes, regular expressions. A line of it ends as a
# statement or a block does, or begins with one of its words.
CODE = re.compile(
    r"[;{}\\(]$|^(?:#|//|/\*|(?:const|def|export|extern|return|static|typedef) |for \(|from \S+ import |import \S+$)"
    r"|printf\(|\.\*",
    re.M,
)
PLURAL_MAX_LETTERS = 5


def templates(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and template of each string and f-string of a source file; of docstrings only those of commands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            skipped.add(id(body[0].value))
            if isinstance(node, ast.FunctionDef) and any(_called(item) == "command" for item in node.decorator_list):
                for paragraph in str(body[0].value.value).split("\n\n"):
                    yield body[0].lineno, " ".join(paragraph.split())
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            skipped |= {id(part.format_spec) for part in node.values if isinstance(part, ast.FormattedValue)}
            if id(node) not in skipped:
                yield node.lineno, template(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def template(text: ast.JoinedStr) -> str:
    """Return an f-string as a template with named slots."""
    found, names = "", set[str]()
    for part in text.values:
        if isinstance(part, ast.FormattedValue):
            name = slot_name(part.value)
            number = next(number for number in range(1, 99) if f"{name}{number if number > 1 else ''}" not in names)
            names.add(f"{name}{number if number > 1 else ''}")
            spec = f":{_spec(part.format_spec)}" if isinstance(part.format_spec, ast.JoinedStr) else ""
            found += f"{{{name}{number if number > 1 else ''}{spec}}}"
        else:
            assert isinstance(part, ast.Constant)
            found += str(part.value)
    return found


def _spec(spec: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "w" for part in spec.values)


def slot_name(value: ast.expr) -> str:  # noqa: PLR0911  (a table)
    """Return the name of a replaced expression: the last name of a variable, a call's first argument; `s` of a plural's end."""
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(key))) if key.isidentifier():
            return key
        case ast.Subscript(value=inside) | ast.BinOp(left=inside) if not isinstance(inside, ast.Constant):
            return slot_name(inside)
        case ast.BinOp(left=ast.Constant(value=str(end)), op=ast.Mult()):
            return "s" if len(end) <= PLURAL_MAX_LETTERS else "clause"
        case ast.IfExp(body=ast.Constant(value=str(one)), orelse=ast.Constant(value=str(other))):
            return "s" if max(len(one), len(other)) <= PLURAL_MAX_LETTERS else "clause"
        case ast.IfExp():
            return "clause"
        case ast.BinOp(right=inside) | ast.UnaryOp(operand=inside):
            return slot_name(inside)
        case ast.Call(args=[ast.Starred(value=inside), *_]):
            return slot_name(inside)
        case ast.Call(args=[ast.Constant(), inside, *_]):
            return slot_name(inside)
        case ast.Call(args=[ast.Constant()]) if isinstance(value.func, ast.Attribute):
            return slot_name(value.func.value)
        case ast.Call(args=[inside, *_]):
            return slot_name(inside)
        case ast.Call(func=inside):
            return slot_name(inside)
        case ast.GeneratorExp() | ast.ListComp():
            return slot_name(value.generators[0].iter)
        case ast.BoolOp(values=[inside, *_]):
            return slot_name(inside)
        case _:
            return "value"


def lines_of(text: str) -> list[str]:
    """Return the messages that a template consists of: its lines, as the catalogue holds them."""
    return [line.strip().removeprefix(PREFIX) for line in text.split("\n")]


def _called(node: ast.expr) -> str:
    function = node.func if isinstance(node, ast.Call) else node
    return getattr(function, "id", getattr(function, "attr", ""))


def source_files(*folders: str) -> list[Path]:
    """Return the source files below folders or files of the package, or all."""
    paths = [SOURCE / folder for folder in folders or ("",)]
    return sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py")))


def is_code(text: str) -> bool:
    """Tell whether a text is source code that byhand writes: nothing to translate."""
    return CODE.search(SLOT.sub("_", text)) is not None


def missing(*folders: str) -> list[tuple[Path, int, str]]:
    """Return the messages below folders that the catalogue lacks."""
    known = catalogue()
    return [
        (file, line, line_text)
        for file in source_files(*folders)
        for line, text in templates(file)
        if not is_code(text)
        for line_text in lines_of(text)
        if PROSE.search(line_text) and line_text not in known
    ]


if __name__ == "__main__":
    for file, line, text in missing(*sys.argv[1:]):
        print(f"{file.relative_to(SOURCE)}:{line}: {text!r}")
