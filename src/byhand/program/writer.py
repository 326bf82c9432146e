"""The writer of programs: one line an op call, forward, then backward, then update, shapes in a trailing comment.

Backward runs the nodes in reverse. A node is asked for the gradients of its inputs as soon as the gradient of its output is
complete; a tensor that several nodes read gets the sum of the gradients that they return.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from byhand.errors import ArgumentError
from byhand.graph import Node, Tensor
from byhand.kernels.conv import with_precision
from byhand.kernels.conv.problem import FLOAT32
from byhand.kernels.reductions import add_up
from byhand.ops.op import Op, get, tree_leaves
from byhand.program.algorithm_table import LayerAlgorithms
from byhand.program.buffers import ArraySpec, LiveRange, assign_offsets
from byhand.program.formatting import COMMENT_COLUMN, MAX_COLUMNS, Line, import_lines, in_rows, lay_out, literal
from byhand.program.generated_file import Callee, GeneratedFile
from byhand.program.spec import ProgramSpec, Update

FORWARD_LEGEND = (
    "A call names the arrays that it reads, those that it writes, and attributes. p: parameters; state: running statistics.",
    "The comment after a call: shapes read -> shapes written; the algorithm of a convolution or linear layer.",
)
BACKWARD_LEGEND = (
    "A call names the arrays that it reads, those that it writes, and attributes. p: parameters; g: their gradients;",
    "state: running statistics. A name grad_x holds the gradient of the loss with respect to x.",
    "The comment after a call: shapes read -> shapes written; the algorithms of a convolution or linear layer.",
)
VIEWS = ("flatten", "reshape")  # ops whose output has the elements of their input in the same order


class CallArgument(NamedTuple):
    """An argument of a call: its text, and the names of the arena's arrays in it."""

    text: str
    arrays: tuple[str, ...] = ()


NONE = CallArgument("None")
NodeInput = Tensor | tuple[Tensor, ...] | None  # an input of a node


class ProgramWriter:
    """Writes one program."""

    def __init__(self, spec: ProgramSpec) -> None:
        assert spec.graph.input is not None
        self.spec, self.graph, self.input, self.training = spec, spec.graph, spec.graph.input, bool(spec.losses)
        images = spec.batch // spec.micro_batches
        self.calls, self.shapes = spec.graph.plan(images, self.training)
        self.lines: list[Line] = []  # of forward and backward
        self.live: dict[str, LiveRange] = {}  # the first and last line that uses each array of the arena
        self.views: dict[str, str] = {}  # an array -> the one whose memory it is a view of
        self.file = GeneratedFile(micro_batches=spec.micro_batches, micro_batch_size=images)

    def write(self) -> GeneratedFile:
        """Return the program's text, the functions that it calls, and its arrays."""
        self._comment_line("forward")
        for node in self.graph.nodes:
            self._forward(node)
        if self.training:
            self.lines.append(Line(("",)))
            self._comment_line("backward, from the last layer to the first")
            self._backward()
        self.file.outputs = tuple(tensor.name for node in self.graph.nodes[-1:] for tensor in node.outputs.values())
        self.file.offsets = self._offsets()
        functions = self._functions()
        self._check_input_name()
        callees = {name: callee.function for name, callee in self.file.callees.items()}
        self.file.head = "\n".join([*self._head(), "", ""])
        self.file.imports = "".join(f"{line}\n" for line in import_lines(callees))
        self.file.body = "\n".join([*functions, ""])
        return self.file

    def _offsets(self) -> dict[str, int]:
        """Return the offset of every array in the arena, of a view that of the array it shows."""
        whole = LiveRange(0, len(self.lines))
        # A captured program writes the gradient of a loss only once, during the capture: nothing may overwrite it.
        preserved = {f"grad_{name}" for name in self.spec.losses}
        sizes, live = {}, {}
        for name, spec in self.file.arrays.items():
            if name not in self.file.outputs and name not in self.views:
                sizes[name] = spec.aligned_bytes
                live[name] = whole if self.spec.keep or name in preserved else self.live[name]
        offsets = assign_offsets(sizes, live)
        return offsets | {name: offsets[base] for name, base in self.views.items()}

    def _check_input_name(self) -> None:
        """Raise ArgumentError where the input, an argument of `step`, would hide a function that `step` calls."""
        called = {"float", *self.file.callees}
        if self.spec.micro_batches > 1:
            called |= {"micro_batch", "part"}
        if self.spec.update is not None:
            called.add("update")
        if self.input.name in called:
            raise ArgumentError(
                f"the input's name '{self.input.name}' is also that of a function that the program calls; "
                "give nn.Input another name"
            )

    # functions of the file -------------------------------------------------------------------------------------------

    def _functions(self) -> list[str]:
        """Return the program's functions: `step`, and what it calls: `micro_batch` and `update`, where there are such."""
        arguments, update = self._arguments(), self.spec.update
        head = f"def step({', '.join([*arguments, *(['optimizer', '*', 'lr', 't'] if update is not None else [])])}):"
        functions, body = [], self.lines
        if self.file.micro_batches > 1:
            functions += ["", "", f"def micro_batch({', '.join(arguments)}):", *lay_out(self.lines)]
            body = self._micro_batch_loop()
        if update is not None:
            functions += ["", "", *self._update_function(update)]
            body = [*body, Line(("",)), Line(("update(p, g, optimizer, lr=lr, t=t)",))]
        return [*functions, "", "", head, *lay_out(body), f"    return {self._operand(self.spec.output).text}"]

    def _update_function(self, update: Update) -> list[str]:
        """Return the function that an optimizer adds, for data-parallel training to call apart from forward and backward."""
        for function in update.functions:
            alias = function.__name__.removesuffix(f"_{self.spec.hand}")
            if alias in ("step", "update", "micro_batch"):
                raise ArgumentError(f"the update calls a function '{alias}', a name of the program's own; rename it")
            self.file.callees[alias] = Callee(function)
        lines = ["# p.flat: all parameters in one buffer; g.flat: their gradients", *update.lines]
        return ["def update(p, g, optimizer, *, lr, t):", *(f"    {line}" for line in lines)]

    def _micro_batch_loop(self) -> list[Line]:
        """Return the lines that run the micro-batches and add up their gradients and losses."""
        count, images = self.file.micro_batches, self.file.micro_batch_size
        arguments = [f"{name}[part.images]" for name in self._arguments()[: 1 + self.training]]
        arguments += ["p", *["part.g"] * self.training, "state", "part.arena"]
        comment = f"{count} of {images} images, which threads run in parallel"
        lines = [
            Line((f"for part in arena.micro_batches:  # {comment}",)),
            Line((f"    micro_batch({', '.join(arguments)})",)),
        ]
        if self.training:
            self.file.callees["add_up"] = Callee(add_up)
            lines.append(Line(("add_up(arena.micro_batch_gradients, g.flat)",)))
            lines.append(Line((f"add_up(arena.micro_batch_losses, arena.loss, scale={1 / count!r})",)))
        return lines

    def _arguments(self) -> list[str]:
        return [self.input.name, *(["labels", "p", "g"] if self.training else ["p"]), "state", "arena"]

    def _head(self) -> list[str]:
        """Return the docstring of the file: what it is, its work and memory, and how its lines read."""
        mode = "training" if self.training else "inference"
        file = self.file
        nodes = [node for node in self.graph.nodes if node.output.name not in self.spec.losses]
        flops = sum(self.calls[node.name].flops for node in nodes) // file.micro_batch_size
        size = file.micro_batches * file.nbytes
        own = [spec.aligned_bytes for name, spec in file.arrays.items() if name not in self.views]
        apart = file.micro_batches * sum(own)
        parts = f" in {file.micro_batches} micro-batches" if file.micro_batches > 1 else ""
        precision = "" if self.spec.precision == FLOAT32 else f", precision {self.spec.precision}"
        apart_text = f" ({apart / 1e6:.1f} MB without reuse)" if size < apart else ""
        return [
            f'"""{self.spec.title}, batch {self.spec.batch}{parts}, {mode}, hand {self.spec.hand}{precision}.',
            "",
            f"{flops:,} FLOPs per image, forward.",
            f"The arena, memory for all arrays between the ops, takes {size / 1e6:.1f} MB{apart_text}.",
            "",
            *(BACKWARD_LEGEND if self.training else FORWARD_LEGEND),
            '"""',
        ]

    # forward and backward --------------------------------------------------------------------------------------------

    def _forward(self, node: Node) -> None:
        for output, tensor in node.outputs.items():
            dtype = node.op.dtypes.get(output, self.spec.dtype)
            self.file.arrays[tensor.name] = ArraySpec(self.calls[node.name].shapes[output], dtype)
        comment = self._forward_comment(node)
        returned = node.output is self.spec.output  # is read after the run, from memory of its own
        if self._is_view(node) and not returned:
            self._view(node.output.name, node.inputs["x"].name, comment)
        else:
            self._call(node, self._operands(node), comment)

    def _backward(self) -> None:
        wanted = self._wanted_gradients()
        for name, weight in self.spec.losses.items():
            gradient = self._new_gradient(f"grad_{name}", self.graph.tensors[name])
            value, what = self._loss_gradient(name, weight)
            self._line([f"{gradient.text}[...] = {value}"], what, [gradient])
        written = set(self.spec.losses)
        for node in reversed(self.graph.nodes):
            if node.output.name in written:
                self._backward_of(node, wanted, written)

    def _loss_gradient(self, name: str, weight: float) -> tuple[str, str]:
        """Return (the gradient with which backward starts from a loss, the derivative that it is), as text."""
        several = len(self.spec.losses) > 1
        count = self.file.micro_batches
        if count == 1:
            return literal(weight), f"d (sum of weighted losses) / d {name}" if several else "d loss / d loss"
        over = (
            f"weighted sum of losses, mean over the batch) / d ({name}, " if several else "mean over the batch) / d ("
        )
        quotient = f"{literal(weight)} / {count}" if several else f"1 / {count}"
        return literal(weight / count), f"d ({over}mean over this micro-batch): {quotient}"

    def _backward_of(self, node: Node, wanted: set[str], written: set[str]) -> None:
        """Write the call that returns the gradients of a node's inputs; written: tensors whose gradient exists already."""
        op, sums = node.op, list[tuple[Tensor, CallArgument]]()
        operands = self._operands(node)
        operands[f"grad_{op.outputs[0]}"] = self._operand(node.output, "grad_")
        gradients = {i: self._gradient(node.inputs[i], wanted, written, sums) for i in op.differentiable}
        if all(gradient == NONE for gradient in gradients.values()):
            return
        operands |= {f"grad_{name}": gradient for name, gradient in gradients.items()}
        comment = self._backward_comment(node, wanted)
        if self._is_view(node):
            self._view(gradients["x"].arrays[0], f"grad_{node.output.name}", comment)
        else:
            self._call(node, operands, comment, backward=True)
        for tensor, part in sums:
            total = self._operand(tensor, "grad_")
            text = f"{self._callee(get('add'))}({total.text}, {part.text}, {total.text})"
            self._line([text], f"several nodes read {tensor.name}: its gradient is the sum of theirs", [total, part])

    def _forward_comment(self, node: Node) -> str:
        """Return the comment of a node's forward call: the shapes of what it reads and of its result, and the algorithm."""
        read = [self.shapes[t.name] for t in tree_leaves(node.inputs.values()) if t.kind in ("input", "value")]
        shapes = f"{', '.join(map(str, read))} -> {self.calls[node.name].shapes[node.op.outputs[0]]}"
        algorithm = self._algorithms(node).get(node.op.outputs[0])
        if algorithm is None:
            return shapes
        self.file.algorithms[node.output.name] = LayerAlgorithms((*node.fused, node.name)[0], algorithm)
        return f"{shapes}; {algorithm}"

    def _backward_comment(self, node: Node, wanted: set[str]) -> str:
        """Return the comment of a node's backward call: the shapes of its gradient and of those that it writes, algorithms."""
        written = {f"grad_{i}": tree_leaves([node.inputs[i]]) for i in node.op.differentiable}
        written = {name: [t for t in tensors if t.name in wanted] for name, tensors in written.items()}
        shapes = ", ".join(str(self.shapes[t.name]) for tensors in written.values() for t in tensors)
        chosen = {name: algorithm for name, algorithm in self._algorithms(node).items() if written.get(name)}
        if chosen:
            self.file.algorithms[node.output.name] = self.file.algorithms[node.output.name]._replace(
                backward_data=chosen.get("grad_x"), backward_weights=chosen.get("grad_weight")
            )
        algorithms = ", ".join(f"{name}: {algorithm}" for name, algorithm in chosen.items())
        return f"{self.shapes[node.output.name]} -> {shapes}" + (f"; {algorithms}" if chosen else "")

    def _algorithms(self, node: Node) -> dict[str, str]:
        """Return the algorithms that the compiled hand takes for a node, by the array that each writes."""
        if self.spec.hand != "compiled":
            return {}
        shapes = [self.shapes[t.name] if isinstance(t, Tensor) else t for t in node.inputs.values()]
        with with_precision(self.spec.precision):
            return node.op.algorithms(shapes, self.calls[node.name], np.dtype(self.spec.dtype).itemsize)

    def _wanted_gradients(self) -> set[str]:
        """Return the names of the tensors on the way from a parameter (where asked for, the input) to the loss."""
        wanted = {t.name for t in self.graph.of_kind("parameter")} | (
            {self.input.name} if self.spec.input_gradient else set()
        )
        for node in self.graph.nodes:
            if any(t.name in wanted for i in node.op.differentiable for t in tree_leaves([node.inputs[i]])):
                wanted.add(node.output.name)
        return wanted

    def _gradient(
        self, value: NodeInput, wanted: set[str], written: set[str], sums: list[tuple[Tensor, CallArgument]]
    ) -> CallArgument:
        """Return where backward writes an input's gradient: its own array, a second one that is added to it, or nowhere."""
        if isinstance(value, tuple):
            everything = wanted | {t.name for t in value}  # a hand that takes a list writes all of it
            return _tuple_of([self._gradient(t, everything, written, sums) for t in value])
        if value is None or value.name not in wanted:
            return NONE
        if value.name not in written:
            written.add(value.name)
            own = self._operand(value, "grad_")
            return own if value.kind == "parameter" else self._new_gradient(f"grad_{value.name}", value)
        number = 2 + sum(tensor is value for tensor, _ in sums)
        part = self._new_gradient(f"grad_{number}_{value.name}", value)  # no tensor's name begins with a digit
        sums.append((value, part))
        return part

    # lines -----------------------------------------------------------------------------------------------------------

    def _is_view(self, node: Node) -> bool:
        """Tell whether a node only gives its input another shape, which takes no call."""
        return node.op.name in VIEWS and node.inputs["x"].kind == "value" and not self.spec.keep

    def _view(self, name: str, base: str, comment: str) -> None:
        """Make an array a view of another."""
        self.views[name] = self.views.get(base, base)
        operands = [CallArgument(f"arena.{base}", (base,))]
        self._line([f"# arena.{name} is a view of arena.{base}"], comment, operands)

    def _new_gradient(self, name: str, tensor: Tensor) -> CallArgument:
        """Return a new array of the arena, of a tensor's shape."""
        self.file.arrays[name] = ArraySpec(self.shapes[tensor.name], self.spec.dtype)
        return CallArgument(f"arena.{name}", (name,))

    def _operands(self, node: Node) -> dict[str, CallArgument]:
        return {key: self._operand(value) for key, value in (node.inputs | node.outputs).items()}

    def _operand(self, value: NodeInput, prefix: str = "") -> CallArgument:
        """Return how the program names an input or output of a node, with the prefix "grad_" its gradient."""
        if isinstance(value, tuple):
            return _tuple_of([self._operand(tensor, prefix) for tensor in value])
        if value is None:
            return NONE
        name = f"{prefix}{value.name}"
        if value.kind == "parameter":
            return CallArgument(f"{'g' if prefix else 'p'}.{name}")
        if value.kind == "state":
            return CallArgument(f"state.{name}")
        if value.kind == "input" and not prefix:
            return CallArgument(name)
        return CallArgument(f"arena.{name}", (name,))

    def _call(self, node: Node, operands: Mapping[str, CallArgument], comment: str, backward: bool = False) -> None:
        """Write the call of a node's forward or backward: what it reads, what it writes, then its attributes."""
        call, alias = self.calls[node.name], self._callee(node.op, backward)
        arguments = node.op.backward_arguments if backward else node.op.forward_arguments
        gradients = {f"grad_{name}" for name in node.op.inputs} if backward else set()
        reads = [operands[name].text for name in arguments if name not in gradients]
        writes = [operands[name].text for name in arguments if name in gradients]
        attributes = [f"{key}={literal(value)}" for key, value in call.attributes.items()]
        indent = len(f"    {alias}(")
        parts = [row for words in (reads, writes) for row in in_rows(words, MAX_COLUMNS - indent)]
        parts += in_rows(attributes, COMMENT_COLUMN - indent)
        parts = [f"{part}," for part in parts[:-1]] + [f"{parts[-1]})"]
        self._line([f"{alias}({parts[0]}", *parts[1:]], comment, [operands[name] for name in arguments])

    def _comment_line(self, text: str) -> None:
        self.lines.append(Line((f"# {text}",)))

    def _line(self, parts: Iterable[str], comment: str, operands: Iterable[CallArgument]) -> None:
        """Add a line; the arrays among its operands are live in it."""
        number = len(self.lines)
        for name in (name for operand in operands for name in operand.arrays):
            base = self.views.get(name, name)
            self.live[base] = LiveRange(self.live.get(base, LiveRange(number, number)).first, number)
        self.lines.append(Line(tuple(parts), comment))

    def _callee(self, op: Op, backward: bool = False) -> str:
        """Return the name by which the program calls an op's forward or backward."""
        name, hand = f"{op.name}_backward" if backward else op.name, op.hand(self.spec.hand)
        written = {f"grad_{key}" for key in op.differentiable} if backward else set(op.outputs)
        writes = tuple(key in written for key in (op.backward_arguments if backward else op.forward_arguments))
        self.file.callees[name] = Callee(hand.backward if backward else hand.forward, writes, backward)
        return name


def _tuple_of(operands: list[CallArgument]) -> CallArgument:
    """Return operands as one, a tuple."""
    text = f"({', '.join(operand.text for operand in operands)},)"
    return CallArgument(text, tuple(name for operand in operands for name in operand.arrays))
