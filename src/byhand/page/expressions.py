"""Translation of a Python function's expressions to JavaScript.

An array element is addressed by the array's strides, which the function reads once, in its first lines:

    x[n, p, q, c]       x$data[n * x$0 + p * x$1 + q * x$2 + c * x$3]
    x[i]                x$data[offsetOf(x, i)]          i: an index tuple of np.ndindex
    x[*n, c]            x$data[leadingOffset(x, n, c)]
"""

import ast
import json
from collections.abc import Callable, Container
from math import isfinite
from types import FunctionType, ModuleType
from typing import Any

from byhand.errors import ArgumentError
from byhand.kernels.runtime.intrinsic import Intrinsic
from byhand.ops.op import keywords, positional, unwrapped

# Functions of Python, math and NumPy that runtime.js defines under the same names.
BUILTINS = {"abs", "divmod", "enumerate", "float", "int", "len", "list", "max", "min", "range", "sum", "tuple", "zip"}
MATH = {"erf", "exp", "expm1", "float64", "isnan", "log", "log1p", "prod", "product", "sqrt", "tanh"}
KNOWN = BUILTINS | MATH
OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
ORDER = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
COMPARISONS = ORDER | {ast.Eq: "===", ast.NotEq: "!==", ast.Is: "===", ast.IsNot: "!=="}
RESERVED = {"in", "function", "var", "let", "const", "new", "default", "switch", "case", "this", "delete", "void"}


class Untranslatable(ArgumentError):
    """A function uses Python that the translator does not know."""


def javascript_name(name: str) -> str:
    """Return a name that is valid in JavaScript."""
    return f"{name}_" if name in RESERVED else name


class Expressions:
    """The translator of one function's expressions.

    add: translates a function that this one calls, and returns its JavaScript name; translated: the functions so far, by name.
    kinds: by variable, "array", "ndindex" (an index tuple of np.ndindex), "tuple", "list", "number" or "any".
    used: by array argument, the axes whose strides are read, -1 for its data; items: by attribute, the indices that are read.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        tree: ast.FunctionDef,
        add: Callable[[Callable[..., Any], str], str],
        translated: Container[str],
    ) -> None:
        self.function, self.tree, self.add, self.translated = unwrapped(function), tree, add, translated
        names = positional(function)
        self.kinds = dict.fromkeys(names, "any")
        self.assigned = {
            name.id for name in ast.walk(tree) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
        }
        self.own: set[str] = set()  # arrays that stay what they were handed as
        if tree.name.endswith("loops"):
            arrays = {name for name in names if not name.startswith(("xs", "grad_xs"))}
            self.kinds |= dict.fromkeys(arrays, "array")
            self.own = arrays - self.assigned
        self.fixed = set(keywords(function)) - self.assigned  # attributes
        self.locals = {*names, *keywords(function), *self.assigned}
        self.used: dict[str, set[int]] = {}
        self.items: dict[str, set[int]] = {}

    def refuse(self, node: ast.AST) -> Untranslatable:
        """Return the error for a node that can't be translated."""
        return Untranslatable(
            f"{self.tree.name} holds {ast.unparse(node)!r}, which the translator to JavaScript does not know"
        )

    def value(self, node: ast.expr) -> str:
        """Return an expression in JavaScript."""
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            raise self.refuse(node)
        return str(method(node))

    # names ------------------------------------------------------------------------------------------------------------

    def _Constant(self, node: ast.Constant) -> str:
        if node.value is None or isinstance(node.value, (bool, int, float, str)):
            return json.dumps(node.value)
        raise self.refuse(node)

    def _Name(self, node: ast.Name) -> str:
        return javascript_name(node.id) if node.id in self.locals else self._outside(node.id, node)

    def _outside(self, name: str, node: ast.AST) -> str:
        """Return the JavaScript of a name from a closure, the module or the builtins."""
        cells = dict(zip(self.function.__code__.co_freevars, self.function.__closure__ or ()))
        if name in cells:
            return self._constant(cells[name].cell_contents, name, node)
        if name in self.function.__globals__:
            return self._constant(self.function.__globals__[name], name, node)
        if name in KNOWN:
            return f"py.{name}"
        raise self.refuse(node)

    def _constant(self, value: Any, name: str, node: ast.AST) -> str:
        """Return a number, a function, or a tuple of them, in JavaScript."""
        if isinstance(value, (bool, int, float)):
            return json.dumps(value) if isfinite(value) else f"({value})".replace("inf", "Infinity")
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            parts = {key: getattr(value, key) for key in value._fields if key != "kernels"}
            return f"{{{', '.join(f'{key}: {self._constant(part, key, node)}' for key, part in parts.items())}}}"
        if isinstance(value, (tuple, list)):
            return f"[{', '.join(self._constant(item, name, node) for item in value)}]"
        value = value.function if isinstance(value, Intrinsic) else value
        known = getattr(value, "__name__", "")
        if known in KNOWN and not (isinstance(value, FunctionType) and value.__module__.startswith("byhand.ops")):
            return f"py.{known}"
        if isinstance(unwrapped(value), FunctionType):
            return self.add(value, javascript_name(unwrapped(value).__name__.lstrip("_")))
        raise self.refuse(node)

    def _Attribute(self, node: ast.Attribute) -> str:
        if isinstance(node.value, ast.Name) and node.value.id not in self.locals:
            module = self.function.__globals__.get(node.value.id)
            if isinstance(module, ModuleType):
                if node.attr == "inf":
                    return "Infinity"
                if node.attr in KNOWN:
                    return f"py.{node.attr}"
                raise self.refuse(node)
        value = self.value(node.value)
        return f"{value}.data" if node.attr == "flat" else f"{value}.{node.attr}"

    # arrays -----------------------------------------------------------------------------------------------------------

    def memory(self, array: ast.expr) -> str:
        """Return the JavaScript expression of an array's data."""
        if isinstance(array, ast.Name) and array.id in self.own:
            self.used.setdefault(array.id, set()).add(-1)
            return f"{javascript_name(array.id)}$data"
        return f"{self.value(array)}.data"

    def _stride(self, array: ast.expr, axis: int) -> str:
        if isinstance(array, ast.Name) and array.id in self.own:
            self.used.setdefault(array.id, set()).add(axis)
            return f"{javascript_name(array.id)}${axis}"
        return f"{self.value(array)}.strides[{axis}]"

    def offset(self, array: ast.expr, index: ast.expr) -> str:
        """Return the JavaScript expression of an index's offset in an array's data."""
        name = self.value(array)
        if isinstance(index, ast.Tuple) and not index.elts:
            return "0"
        if isinstance(index, ast.Tuple) and not any(isinstance(item, (ast.Starred, ast.Slice)) for item in index.elts):
            parts = (f"{self.value(item)} * {self._stride(array, axis)}" for axis, item in enumerate(index.elts))
            return " + ".join(parts)
        if isinstance(index, ast.Tuple):
            first, *rest = index.elts
            if isinstance(first, ast.Starred) and not any(isinstance(item, ast.Starred) for item in rest):
                tail = "".join(f", {self.value(item)}" for item in rest)
                return f"leadingOffset({name}, {self.value(first.value)}{tail})"
            return f"offsetOf({name}, {self._Tuple(index)})"
        if isinstance(index, ast.Name) and self.kinds.get(index.id) == "number":
            return f"{self.value(index)} * {self._stride(array, 0)}"
        return f"offsetOf({name}, {self.value(index)})"

    def _Subscript(self, node: ast.Subscript) -> str:
        if isinstance(node.slice, ast.Slice):
            if node.slice.step is not None:
                raise self.refuse(node)
            ends = [self.value(end) if end else "undefined" for end in (node.slice.lower, node.slice.upper)]
            return f"tuple({self.value(node.value)}).slice({', '.join(ends)})"
        if isinstance(node.value, ast.Name):
            kind = self.kinds.get(node.value.id)
            if kind == "array":
                return f"{self.memory(node.value)}[{self.offset(node.value, node.slice)}]"
            if kind in ("any", "ndindex", "tuple"):
                index = self._Tuple(node.slice) if isinstance(node.slice, ast.Tuple) else self.value(node.slice)
                return f"get({self.value(node.value)}, {index})"
        value, index = self.value(node.value), self.value(node.slice)
        if isinstance(node.value, ast.Name) and node.value.id in self.fixed and index.isdigit():
            self.items.setdefault(node.value.id, set()).add(int(index))
            return f"{value}${index}"
        return f"{value}.at({index})" if index.startswith("-") else f"{value}[{index}]"

    # what is made of them ---------------------------------------------------------------------------------------------

    def _Tuple(self, node: ast.Tuple | ast.List) -> str:
        return f"[{', '.join(self._spread(node.elts))}]"

    _List = _Tuple

    def _spread(self, nodes: list[ast.expr]) -> list[str]:
        return [
            f"...tuple({self.value(item.value)})" if isinstance(item, ast.Starred) else self.value(item)
            for item in nodes
        ]

    def _BinOp(self, node: ast.BinOp) -> str:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.FloorDiv):
            return f"Math.floor({left} / {right})"
        if isinstance(node.op, ast.Mod):
            return f"py.mod({left}, {right})"
        if isinstance(node.op, ast.Pow):
            return f"({left}) ** ({right})"
        if isinstance(node.left, ast.List) and isinstance(node.op, ast.Mult):
            return f"py.repeat({left}, {right})"
        listed = (ast.List, ast.ListComp, ast.Tuple)
        if isinstance(node.op, ast.Add) and (isinstance(node.left, listed) or isinstance(node.right, listed)):
            return f"[...tuple({left}), ...tuple({right})]"
        if type(node.op) not in OPERATORS:
            raise self.refuse(node)
        return f"({left} {OPERATORS[type(node.op)]} {right})"

    def _UnaryOp(self, node: ast.UnaryOp) -> str:
        sign = {ast.USub: "-", ast.UAdd: "+", ast.Not: "!"}.get(type(node.op))
        if sign is None:
            raise self.refuse(node)
        operand = self.value(node.operand)
        return f"-{operand}" if sign == "-" and isinstance(node.operand, ast.Constant) else f"{sign}({operand})"

    def _BoolOp(self, node: ast.BoolOp) -> str:
        sign = " && " if isinstance(node.op, ast.And) else " || "
        return f"({sign.join(map(self.value, node.values))})"

    def _Compare(self, node: ast.Compare) -> str:
        ends, parts = [node.left, *node.comparators], []
        for left, operator, right in zip(ends, node.ops, ends[1:]):
            if isinstance(operator, (ast.In, ast.NotIn)):
                absent = "!" * isinstance(operator, ast.NotIn)
                parts.append(f"{absent}py.has({self.value(right)}, {self.value(left)})")
            elif type(operator) in COMPARISONS:
                parts.append(f"{self.value(left)} {COMPARISONS[type(operator)]} {self.value(right)}")
            else:
                raise self.refuse(node)
        return f"({' && '.join(parts)})"

    def _IfExp(self, node: ast.IfExp) -> str:
        return f"({self.value(node.test)} ? {self.value(node.body)} : {self.value(node.orelse)})"

    def _Yield(self, node: ast.Yield) -> str:
        return f"yield {self.value(node.value) if node.value else ''}"

    def _GeneratorExp(self, node: ast.GeneratorExp | ast.ListComp) -> str:
        """Return a comprehension as a function that is called at once and fills a list."""
        outer = self.kinds, self.locals
        self.kinds, self.locals = dict(self.kinds), set(self.locals)  # a comprehension has its own scope
        heads, tests = [], []
        for comprehension in node.generators:
            target = comprehension.target
            self.locals |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}
            arguments = self.ndindex_arguments(comprehension.iter)
            if arguments is not None and isinstance(target, ast.Name):
                self.kinds[target.id] = "ndindex"
                name = javascript_name(target.id)
                heads.append(f"for (const {name} = new NdIndex({arguments[0]}); {name}.n < {name}.end; {name}.n++)")
            else:
                source = f"ndindex({arguments[0]})" if arguments is not None else self.value(comprehension.iter)
                self.kinds |= {part.id: "any" for part in ast.walk(target) if isinstance(part, ast.Name)}
                heads.append(f"for (const {self.targets(target)} of {source})")
            tests += [f"if ({self.value(test)})" for test in comprehension.ifs]
        made = f"$l.push({self.value(node.elt)})"
        self.kinds, self.locals = outer
        return f"(() => {{ const $l = []; {' '.join([*heads, *tests])} {made}; return $l; }})()"

    _ListComp = _GeneratorExp

    def targets(self, node: ast.expr) -> str:
        """Return the targets of an unpacking assignment."""
        if isinstance(node, ast.Name):
            return javascript_name(node.id)
        if isinstance(node, ast.Tuple) and all(isinstance(item, (ast.Name, ast.Tuple)) for item in node.elts):
            return f"[{', '.join(map(self.targets, node.elts))}]"
        raise self.refuse(node)

    def ndindex_arguments(self, node: ast.expr) -> tuple[str, str | None] | None:
        """Return the shape that np.ndindex iterates over, and the array whose shape it is, or None; None for other calls."""
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "np.ndindex"):
            return None
        arguments = node.args
        if len(arguments) == 1 and not isinstance(arguments[0], ast.Starred):
            argument = arguments[0]
            whose = None
            if (
                isinstance(argument, ast.Attribute)
                and argument.attr == "shape"
                and isinstance(argument.value, ast.Name)
            ):
                whose = javascript_name(argument.value.id)
            return f"toShape({self.value(argument)})", whose
        if len(arguments) == 1 and isinstance(arguments[0], ast.Starred):
            return f"toShape({self.value(arguments[0].value)})", None
        return f"[{', '.join(map(self.value, arguments))}]", None

    def _Call(self, node: ast.Call) -> str:
        return self.call(node)

    def call(self, node: ast.Call, traced: bool = False) -> str:
        """Return a call; traced: call the traced function, since a call statement writes arrays."""
        if isinstance(node.func, ast.Attribute) and node.func.attr == "append":
            return f"{self.value(node.func.value)}.push({self.value(node.args[0])})"
        name = self.value(node.func)
        if name in ("py.max", "py.min", "py.sum") and len(node.args) == 1:
            argument = node.args[0]
            if isinstance(argument, ast.Subscript) and self.kinds.get(getattr(argument.value, "id", "")) == "array":
                return f"{name}(lastAxis({self.value(argument.value)}, {self.value(argument.slice)}))"
        arguments = self._spread(node.args)
        if node.keywords:
            named = ", ".join(f"{keyword.arg}: {self.value(keyword.value)}" for keyword in node.keywords)
            arguments.append(f"{{{named}}}")
        if traced and name in self.translated:
            return f"{name}$traced($t, {', '.join(arguments)})"
        return f"{name}({', '.join(arguments)})"
