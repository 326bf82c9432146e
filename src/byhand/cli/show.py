"""`byhand show`: a network's layers, a drawing of its graph, or the generated training program."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from byhand import nn
from byhand.cli.command import (
    ANY_MODEL,
    HAND_CHOICES,
    MODEL,
    OUTPUT,
    TRAINING,
    AsJson,
    ImageSize,
    OutputName,
    Task,
    check_choice,
    command,
    complete_architecture,
    option,
    output_option,
    usable_precision,
)
from byhand.cli.model_argument import open_model
from byhand.cli.output_file import check_output
from byhand.console import say, wrapped
from byhand.errors import ArgumentError
from byhand.kernels.conv import tuning
from byhand.kernels.conv.problem import FLOAT32
from byhand.ops import DEFAULT_HAND, HANDS
from byhand.program import algorithm_table
from byhand.text import class_labels, printable
from byhand.train import SGD, Trainer

MAX_NAMES_SHOWN = 5


@command("byhand show resnet50", "byhand show lenet5 --program --plain --hand loops", panel=MODEL)
def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=ANY_MODEL, autocompletion=complete_architecture)],
    graph: Annotated[bool, option("--graph", panel=OUTPUT, help="Draw the graph as SVG.")] = False,
    program: Annotated[
        bool, option("--program", panel=OUTPUT, help="Print the generated training program instead of the layers.")
    ] = False,
    plain: Annotated[
        bool, option("--plain", panel=OUTPUT, help="With --program: one op a layer, none fused, to step through.")
    ] = False,
    output: Annotated[Path | None, output_option("SVG file of --graph.", "NAME.svg, the network's name")] = None,
    batch_size: Annotated[int, option(panel=TRAINING, help="Batch size of --program and of the algorithms.")] = 64,
    hand: Annotated[
        str,
        option(panel=TRAINING, help=f"Implementation of the ops in --program: {HAND_CHOICES}."),
    ] = DEFAULT_HAND,
    precision: Annotated[
        str, option(panel=TRAINING, help="Precision of products in --program and of the algorithms: float32 or bf16.")
    ] = FLOAT32,
    size: ImageSize = None,
    output_name: OutputName = None,
    task: Task = None,
    as_json: AsJson = False,
) -> None:
    """Show a network's layers with shapes, parameters, FLOPs and algorithms; its graph; or its training program."""
    if graph and program:
        raise ArgumentError("show draws the graph or prints the program; give --graph or --program")
    if plain and not program:
        raise ArgumentError("--plain is of a program; give --program with it")
    if as_json and (graph or program):
        raise ArgumentError("--json prints the layers; give it without --graph and --program")
    if output is not None and not graph:
        raise ArgumentError("--output is the file of a drawing; give --graph with it")
    check_choice("--hand", hand, HANDS)
    precision = usable_precision(precision, hand)
    network = open_model(model, size, output=output_name, task=task)
    if graph:
        _draw(network, Path(f"{network.name}.svg") if output is None else output)
    elif program and not network.learns_classes:  # of inference: which loss trains it is not known here
        print(network.program(batch_size, hand=hand, keep=plain, precision=precision), end="")
    elif program:
        sgd = SGD(lr=0.1, momentum=0.9)
        trainer = Trainer(network, sgd, batch_size=batch_size, hand=hand, precision=precision)
        print(trainer.program(keep=plain), end="")
    elif as_json:
        print(json.dumps(_as_json(network, batch_size, precision)))
    else:
        algorithms = _algorithms_text(
            network, batch_size, precision
        )  # which may be refused: before anything is printed
        print(network.summary())
        if len(network.input_shape) == 3:
            print(wrapped(network.preprocessing.describe(network.input_shape), "  "))
        print(wrapped(f"output: {_output_text(network)}", "  "))
        if algorithms:
            print(f"\n{algorithms}")


def _as_json(network: nn.Model, batch_size: int, precision: str) -> dict[str, Any]:
    """Return the layers, and the algorithms of a batch size, as --json prints them."""
    summary = network.summary()
    program = network.program(batch_size, train=network.learns_classes, precision=precision)
    return {
        "name": network.name,
        "image": list(network.input_shape),
        "output": list(network.output.shape[1:]),
        "task": network.task,
        "activation": network.answer.activation,
        "classes": list(network.classes),
        "parameters": summary.parameters,
        "flops": summary.flops,
        "layers": [
            asdict(row) | {"output": list(node.output.shape[1:])}
            for row, node in zip(summary.rows, network.graph.nodes)
        ],
        "batch_size": batch_size,
        "precision": precision,
        "tuned": bool(tuning.in_use().factors),
        "micro_batches": program.micro_batches,
        "algorithms": [layer._asdict() for layer in program.algorithms],
    }


def _output_text(network: nn.Model) -> str:
    """Return what a network answers, and the activation that its graph ends in."""
    activation = {"none": "logits", "other": "probabilities", "bounded": "a bounded activation"}
    ending = activation.get(network.answer.activation, network.answer.activation)
    names = ", ".join(class_labels(network.classes)[:MAX_NAMES_SHOWN])
    names += ", ..." if len(network.classes) > MAX_NAMES_SHOWN else ""
    if not network.classes:
        return network.task
    count = "one of two names" if network.answer.binary else f"{len(network.classes):,} {network.task}"
    return printable(f"{count} ({names}), from {ending}")


def _algorithms_text(network: nn.Model, batch_size: int, precision: str) -> str:
    """Return the table of the algorithm that each convolution and linear layer runs with; "" where the network has none."""
    program = network.program(batch_size, train=network.learns_classes, precision=precision)
    if not program.algorithms:
        return ""
    count = program.micro_batches
    parts = f" in {count} micro-batches" if count > 1 else ""
    heading = f"algorithms at batch size {batch_size:d}{parts}, compiled hand, {precision}"
    heading += "; tuned by `byhand tune`" * bool(tuning.in_use().factors)
    return f"{wrapped(heading, '  ')}\n{algorithm_table.table(program.algorithms)}"


def _draw(network: nn.Model, path: Path) -> None:
    from byhand.report import draw_graph  # noqa: PLC0415  (byhand.report imports matplotlib, which is slow)

    check_output(path)
    draw_graph(network, path)
    say(f"wrote {path}; any browser shows it")
