"""Translation of a Python function's statements to JavaScript; `expressions.py` translates the expressions in them.

A function is written twice: to compute, and traced. The traced one reports to a LineTracer `$t` each iteration of a loop, and
the values that each assignment reads and writes.
"""

import ast
import json
from collections.abc import Callable

from byhand.ops.op import keywords, positional
from byhand.page.expressions import OPERATORS, Expressions, javascript_name


def loads(statement: ast.Assign | ast.AugAssign, known: set[str]) -> list[tuple[ast.expr, bool]]:
    """Return what a statement reads, from left to right, and whether it is read only under a condition."""
    found: list[tuple[ast.expr, bool]] = []

    def walk(node: ast.AST, maybe: bool) -> None:
        if isinstance(node, (ast.GeneratorExp, ast.ListComp, ast.Lambda)):
            return  # has names of its own
        if isinstance(node, ast.Subscript) or (isinstance(node, ast.Name) and node.id in known):
            found.append((node, maybe))
            return
        if isinstance(node, ast.Call):
            for argument in node.args:
                walk(argument, maybe)
            return
        for child in ast.iter_child_nodes(node):
            walk(child, maybe or isinstance(node, (ast.IfExp, ast.BoolOp)))

    walk(statement.value, False)
    return sorted(found, key=lambda load: (load[0].lineno, load[0].col_offset))


class Statements:
    """The translator of one function's statements; traced: also report to `$t`."""

    def __init__(self, expressions: Expressions, traced: bool) -> None:
        self.of, self.traced = expressions, traced
        self.lines: list[str] = []
        self.depth, self.made = 1, 0

    def whole(self, name: str) -> str:
        """Return the function."""
        of = self.of
        for statement in of.tree.body:
            if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):  # its docstring
                self.statement(statement)
        star = "*" if any(isinstance(node, ast.Yield) for node in ast.walk(of.tree)) else ""
        plain, named = positional(of.function), keywords(of.function)
        arguments = [*(["$t"] if self.traced else []), *map(javascript_name, plain)]
        arguments += [f"{{{', '.join(map(javascript_name, named))}}}"] if named else []
        declared = sorted(of.assigned - {*plain, *named})
        heads = [f"  let {', '.join(map(javascript_name, declared))};"] if declared else []
        for array, axes in of.used.items():
            x = javascript_name(array)
            parts = [
                f"{x}$data = {x} && {x}.data" if axis < 0 else f"{x}${axis} = {x} && {x}.strides[{axis}]"
                for axis in sorted(axes)
            ]
            heads.append(f"  const {', '.join(parts)};")
        for attribute, items in of.items.items():
            x = javascript_name(attribute)
            heads.append(f"  const {', '.join(f'{x}${item} = {x}[{item}]' for item in sorted(items))};")
        return "\n".join([f"function{star} {name}({', '.join(arguments)}) {{", *heads, *self.lines, "}"])

    def emit(self, line: str) -> None:
        """Add a line."""
        self.lines.append("  " * self.depth + line)

    def fresh(self) -> str:
        """Return a name that is not taken."""
        self.made += 1
        return f"$p{self.made}"

    def statement(self, node: ast.stmt) -> None:
        """Translate one statement."""
        value = self.of.value
        if isinstance(node, ast.For):
            self._loop(node)
        elif isinstance(node, ast.If):
            self.emit(f"if ({value(node.test)}) {{")
            self._block(node.body)
            if node.orelse:
                self.emit("} else {")
                self._block(node.orelse)
            self.emit("}")
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            self._assign(node)
        elif isinstance(node, ast.Return):
            self.emit(f"return {value(node.value) if node.value else ''};")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self.emit(f"{self.of.call(node.value, traced=self.traced)};")
        elif isinstance(node, ast.Expr):
            self.emit(f"{value(node.value)};")
        else:
            raise self.of.refuse(node)

    def _block(self, body: list[ast.stmt]) -> None:
        self.depth += 1
        for child in body:
            self.statement(child)
        self.depth -= 1

    # loops ------------------------------------------------------------------------------------------------------------

    def _loop(self, node: ast.For) -> None:
        """Translate a loop over np.ndindex, over a range, or over anything else."""
        if node.orelse:
            raise self.of.refuse(node)
        if self.traced:
            self.emit(f"$t.enterLoop({node.lineno});")
        unpacked = self._head(node)
        self.depth += 1
        if unpacked is not None:
            self._unpack(*unpacked)
        if self.traced:
            names = [name.id for name in ast.walk(node.target) if isinstance(name, ast.Name) and name.id[0] != "_"]
            self.emit(
                f"$t.nextIteration({{{', '.join(f'{json.dumps(name)}: {javascript_name(name)}' for name in names)}}});"
            )
        for child in node.body:
            self.statement(child)
        self.depth -= 1
        self.emit("}")
        if self.traced:
            self.emit("$t.leaveLoop();")

    def _head(self, node: ast.For) -> tuple[list[ast.expr], str] | None:
        """Emit the head of a loop; return the targets and the value that each iteration first unpacks, or None."""
        of, kinds = self.of, self.of.kinds
        targets = node.target.elts if isinstance(node.target, ast.Tuple) else [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        arguments = of.ndindex_arguments(node.iter)
        if arguments is None:
            call = node.iter
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "range" and len(names) == len(targets):
                if len(call.args) > 2:
                    raise of.refuse(call)
                first, end = (["0"] if len(call.args) == 1 else []) + [of.value(argument) for argument in call.args]
                name = javascript_name(names[0])
                kinds[names[0]] = "number"
                self.emit(f"for ({name} = {first}; {name} < {end}; {name}++) {{")
            else:
                self._note_kinds(node.iter, names)
                self.emit(f"for ({of.targets(node.target)} of {of.value(node.iter)}) {{")
            return None
        shape, whose = arguments
        if isinstance(node.target, ast.Name):
            name = javascript_name(node.target.id)
            kinds[node.target.id] = "ndindex"
            self.emit(f"for ({name} = new NdIndex({shape}{self._only(whose)}); {name}.n < {name}.end; {name}.n++) {{")
            return None
        kinds |= dict.fromkeys(names, "number")
        if len(names) == len(targets) and not self.traced:  # a loop an axis, all in one line
            sources = [argument for argument in node.iter.args if isinstance(argument, ast.Name)]  # type: ignore[attr-defined]
            ends = [of.value(argument) for argument in sources if argument.id not in names]
            if len(ends) != len(names):
                sizes = self.fresh()
                self.emit(f"const {sizes} = {shape};")
                ends = [f"{sizes}[{axis}]" for axis in range(len(names))]
            heads = [
                f"for ({name} = 0; {name} < {end}; {name}++)" for name, end in zip(map(javascript_name, names), ends)
            ]
            self.emit(f"{' '.join(heads)} {{")
            return None
        index = self.fresh()
        only = self._only(whose)
        self.emit(f"for (const {index} = new NdIndex({shape}{only}); {index}.n < {index}.end; {index}.n++) {{")
        return targets, f"{index}.tuple()"

    def _only(self, whose: str | None) -> str:
        """Return the arguments that restrict a traced loop over an array's indices to the range of interest."""
        return f", $t.first({whose}), $t.end({whose})" if self.traced and whose and self.depth == 1 else ""

    def _note_kinds(self, source: ast.expr, names: list[str]) -> None:
        """Note which loop variables are arrays."""
        kinds = self.of.kinds
        listed = isinstance(source, ast.Name) and source.id in ("xs", "grad_xs")
        among = isinstance(source, ast.Tuple) and all(
            isinstance(item, ast.Name) and kinds.get(item.id) == "array" for item in source.elts
        )
        kinds |= dict.fromkeys(names, "array" if len(names) == 1 and (listed or among) else "any")

    def _unpack(self, targets: list[ast.expr], value: str) -> None:
        """Emit `a, *b, c = value`."""
        of = self.of
        stars = [i for i, target in enumerate(targets) if isinstance(target, ast.Starred)]
        if not stars:
            self.emit(f"[{', '.join(map(of.targets, targets))}] = {value};")
            return
        whole, star = self.fresh(), stars[0]
        self.emit(f"const {whole} = tuple({value});")
        for i, target in enumerate(targets):
            after = len(targets) - 1 - i
            if i == star:
                name = target.value.id  # type: ignore[attr-defined]
                of.kinds[name] = "tuple"
                self.emit(f"{javascript_name(name)} = {whole}.slice({i}, {whole}.length - {after});")
            else:
                of.kinds[target.id] = "number"  # type: ignore[attr-defined]
                self.emit(f"{of.targets(target)} = {whole}[{i if i < star else f'{whole}.length - {after + 1}'}];")

    # assignments ------------------------------------------------------------------------------------------------------

    def _assign(self, node: ast.Assign | ast.AugAssign) -> None:
        """Translate an assignment; traced: report the values that it reads and writes."""
        of = self.of
        if self.traced:
            read = [
                f"attempt(() => {of.value(load)})" if maybe else of.value(load)
                for load, maybe in loads(node, of.locals)
            ]
            self.emit(f"$t.beginStatement({node.lineno}, [{', '.join(read)}]);")
        if isinstance(node, ast.AugAssign):
            made = self._store(node.target, of.value(node.value), type(node.op))
        elif len(node.targets) > 1:
            raise of.refuse(node)
        elif isinstance(node.targets[0], (ast.Tuple, ast.List)):
            made = self._several(node.targets[0], node.value)
        else:
            if isinstance(node.targets[0], ast.Name):
                first = node.value.left if isinstance(node.value, ast.BinOp) else node.value
                of.kinds[node.targets[0].id] = "list" if isinstance(first, ast.List) else "any"
            made = self._store(node.targets[0], of.value(node.value), None)
        if self.traced:
            self.emit(f"$t.endStatement({made});")

    def _several(self, target: ast.Tuple | ast.List, value: ast.expr) -> str:
        """Translate `a, b = c, d`, evaluating the right side first, and `a, *b = c`."""
        if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
            values = [self.fresh() for _ in value.elts]
            for name, item in zip(values, value.elts):
                self.emit(f"const {name} = {self.of.value(item)};")
            return ", ".join(self._store(item, name, None) for item, name in zip(target.elts, values))
        self._unpack(target.elts, self.of.value(value))
        return ", ".join(javascript_name(item.id) for item in target.elts if isinstance(item, ast.Name)) or "null"

    def _store(self, target: ast.expr, value: str, operator: type[ast.operator] | None) -> str:
        """Emit one store; return what was stored, as an expression."""
        of = self.of
        if operator is not None and operator not in OPERATORS:
            raise of.refuse(target)
        sign = f"{OPERATORS[operator]}=" if operator is not None else "="
        if isinstance(target, ast.Name):
            self.emit(f"{javascript_name(target.id)} {sign} {value};")
            return javascript_name(target.id)
        if not isinstance(target, ast.Subscript):
            raise of.refuse(target)
        if isinstance(target.value, ast.Attribute) and target.value.attr == "flat":
            array, numbers = of.value(target.value.value), of.memory(target.value.value)
            offset = of.value(target.slice)
        elif isinstance(target.slice, ast.Constant) and target.slice.value is ...:
            array = of.value(target.value)
            self.emit(f"fill({array}, {value});")
            if self.traced:
                self.emit(f"$t.recordFill({array});")
            return "null"
        elif of.kinds.get(getattr(target.value, "id", "")) in ("array", "any"):
            array, numbers = of.value(target.value), of.memory(target.value)
            offset = of.offset(target.value, target.slice)
        else:
            self.emit(f"{of.value(target.value)}[{of.value(target.slice)}] {sign} {value};")
            return "null"
        if not self.traced:
            self.emit(f"{numbers}[{offset}] {sign} {value};")
            return "null"
        at = self.fresh()
        self.emit(f"const {at} = {offset};")
        self.emit(f"{numbers}[{at}] {sign} {value}; $t.recordStore({array}, {at});")
        return f"{numbers}[{at}]"


def function(expressions: Callable[[], Expressions], name: str, traced: bool) -> str:
    """Return a function in JavaScript; expressions: returns a new Expressions of the function."""
    return Statements(expressions(), traced).whole(name)
