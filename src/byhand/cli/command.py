"""The decorator that turns a function into a `byhand` command, the panels of the help, and options that commands share.

A command is one file in this package: a function with typer's annotations, its docstring as the help text, and `@command`.
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from byhand import interrupt
from byhand.cli.translated_help import translated_help
from byhand.console import say, terminal_columns
from byhand.errors import ArgumentError
from byhand.models import TRAINED, names
from byhand.nn.task import TASKS
from byhand.ops import DEFAULT_HAND, HANDS
from byhand.program.precision import NO_BFLOAT16, available_precision, check_precision
from byhand.translation import translate

CONTROL_C_EXIT_CODE = interrupt.EXIT_CODE
NOT_FINITE_EXIT_CODE = 1  # of a network that answers NaN or infinity
PANELS_MIN_COLUMNS = 76  # a narrower terminal gets its help without panels
# The panels of `byhand --help` and of each command's help, in this order. `bench` and `env` concern neither data nor a
# network, but the machine.
PANELS = ("Data", "Training", "Model", "Output", "Machine")
DATA, TRAINING, MODEL, OUTPUT, MACHINE = PANELS

PRETRAINED = f"a pretrained network ({', '.join(TRAINED)})"
ANY_MODEL = f"An architecture (see `byhand models`), {PRETRAINED}, a run's folder, or a model file (ONNX included)."
TRAINED_MODEL = f"A run's folder, a model file (ONNX included), or {PRETRAINED}."


class Command(NamedTuple):
    """A command of the command line."""

    name: str
    function: Callable[..., None]
    panel: str
    examples: tuple[str, ...]

    @property
    def help(self) -> str:
        """The function's docstring with one line per paragraph: typer keeps line breaks within a paragraph."""
        return "\n\n".join(" ".join(paragraph.split()) for paragraph in (self.function.__doc__ or "").split("\n\n"))

    @property
    def epilog(self) -> str:
        """The end of the help text: the examples, one per line."""
        title = "Examples:" if len(self.examples) > 1 else "Example:"
        return "\n".join([title, *(f"  {example}" for example in self.examples)])


COMMANDS: dict[str, Command] = {}


# What typer shows of the type of an option's value, and what the help shows in its place; an argument shows its name alone.
VALUE_NAMES = {"<str>": "TEXT", "<path>": "FILE", "<int>": "N", "<float>": "NUMBER", "<bool>": ""}


class PlainCommand(TyperCommand):
    """A command whose help shows no Python types."""

    def get_usage(self, ctx: Any) -> str:
        """Return the first line of the help."""
        return super().get_usage(ctx).replace("Usage:", translate("Usage:"), 1)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the first line of the help."""
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, f"{translate('Usage:')} ")

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help: in panels, or where these would cut names, in lines."""
        columns = terminal_columns()
        with translated_help(self, ctx, formatter):
            self._format_help(ctx, formatter, plain=columns is not None and columns < PANELS_MIN_COLUMNS)

    def _format_help(self, ctx: Any, formatter: Any, *, plain: bool) -> None:
        before = self.rich_markup_mode, self.epilog
        if plain:
            self.rich_markup_mode, self.epilog = None, f"\b\n{self.epilog}"  # \b: lines stay as they are
        try:
            super().format_help(ctx, formatter)
        finally:
            self.rich_markup_mode, self.epilog = before

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, --help included."""
        return _without_types(super().get_params(ctx), ctx)


class PlainGroup(TyperGroup):
    """A group of commands whose help shows no Python types; Ctrl-C aborts them, where typer would end without a word."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Return the context of the arguments."""
        try:
            return super().make_context(*arguments, **settings)
        except KeyboardInterrupt:
            raise typer.Abort from None

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Abort from None

    def get_usage(self, ctx: Any) -> str:
        """Return the first line of the help."""
        return super().get_usage(ctx).replace("Usage:", translate("Usage:"), 1)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        with translated_help(self, ctx, formatter):
            super().format_help(ctx, formatter)

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, --help included."""
        return _without_types(super().get_params(ctx), ctx)


def _without_types(parameters: Any, ctx: Any) -> Any:
    for parameter in parameters:
        if hasattr(parameter, "display_type_rich"):  # older versions of typer show no Python types
            shown = "" if isinstance(parameter, TyperArgument) else parameter.display_type_rich(ctx)
            parameter.display_type_rich = lambda ctx, shown=shown: VALUE_NAMES.get(shown, shown)
    return parameters


def command(*examples: str, panel: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that registers a function as the command of the same name; examples: whole command lines."""
    _check_panel("command", panel)

    def register(function: Callable[..., None]) -> Callable[..., None]:
        COMMANDS[function.__name__] = Command(function.__name__, function, panel, examples)
        return function

    return register


def _check_panel(caller: str, panel: str) -> None:
    if panel not in PANELS:
        raise ArgumentError(f"{caller}: panel is {panel!r}; expected one of {', '.join(PANELS)}")


def registered_commands() -> list[Command]:
    """Return all commands, by panel; within a panel by name."""
    return sorted(COMMANDS.values(), key=lambda entry: (PANELS.index(entry.panel), entry.name))


def option(*names: str, help: str, panel: str, **settings: Any) -> Any:
    """Return an option that stands in a panel of the help."""
    _check_panel("option", panel)
    return typer.Option(*names, help=help, rich_help_panel=panel, **settings)


def complete_architecture(incomplete: str) -> list[str]:
    """Return the architectures that begin with what is typed, for the completion of a shell; it completes files itself."""
    return [name for name in names() if name.startswith(incomplete)]


def complete_pretrained(incomplete: str) -> list[str]:
    """Return the pretrained networks that begin with what is typed."""
    return [name for name in TRAINED if name.startswith(incomplete)]


def choices(names: Sequence[str]) -> str:
    """Return the choices of an option, for its help.

    >>> choices(("loops", "arrays", "compiled"))
    'loops, arrays or compiled'
    """
    return f"{', '.join(names[:-1])} or {names[-1]}"


def check_choice(option: str, value: object, names: Sequence[str]) -> None:
    """Raise an ArgumentError for a value of an option that is none of its choices; None: the option was not given."""
    if value is None or value in names:
        return
    close = get_close_matches(str(value), names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ArgumentError(f"unknown value {value!r} for {option}; {hint}expected {choices(names)}")


def check_native(mode: str) -> None:
    """Raise an ArgumentError where kernels run in a debugger's mode, whose speed says nothing."""
    if mode != "native":
        raise ArgumentError("only compiled kernels can be measured; unset NUMBA_DISABLE_JIT and BYHAND_DEBUG")


def usable_precision(precision: str, hand: str = DEFAULT_HAND) -> str:
    """Return the precision that this CPU computes; say so where it is another than asked for."""
    check_precision(precision, hand, np.float32)
    if available_precision(precision) != precision:
        say(f"byhand: {NO_BFLOAT16}", error=True)
    return available_precision(precision)


def output_option(help: str, default: str, metavar: str = "FILE") -> Any:
    """Return `--output`, the path that a command writes."""
    return option("--output", "-o", metavar=metavar, panel=OUTPUT, help=help, show_default=default)


HAND_CHOICES = choices(HANDS)
PRECISION_HELP = "Precision of products: float32, or bf16, which rounds their factors and is faster on some CPUs."
ImageSize = Annotated[
    str | None,
    option("--image-size", metavar="HxW", panel=MODEL, help="Image size, HEIGHTxWIDTH, if the model does not fix it."),
]
Mean = Annotated[
    str | None,
    option(panel=MODEL, help="Subtracted from pixel / 255: a number, or one per channel (0.5,0.4,0.3)."),
]
Std = Annotated[
    str | None,
    option(panel=MODEL, help="Divides (pixel / 255 - mean); --mean 0 --std 1/255 leaves pixels unchanged."),
]
Labels = Annotated[
    Path | None, option(metavar="FILE", panel=MODEL, help="File with the class names: a text file, CSV or JSON.")
]
OUTPUT_NAME_HELP = "Output of an ONNX file that has several, by its name."
OutputName = Annotated[
    str | None,
    option(
        "--output-name", metavar="NAME", panel=MODEL, help=OUTPUT_NAME_HELP, show_default="the one with the classes"
    ),
]
Task = Annotated[
    str | None,
    option(
        metavar="|".join(TASKS),
        panel=MODEL,
        help="What the model answers: classes, one of several; labels, each by itself; numbers; features.",
        show_default="read from the model",
    ),
]
PixelRangeText = Annotated[
    str | None,
    option(
        "--pixel-range",
        metavar="LOW,HIGH",
        panel=DATA,
        help="The values of black and white in images of more than 8 bits or of floating point.",
        show_default="by all images",
    ),
]
Reader = Annotated[
    str | None,
    option(
        metavar="picture|digit",
        panel=DATA,
        help="How image files are read: picture (resized, cropped) or digit (centered as in MNIST).",
        show_default="as in training; digit for mnist",
    ),
]
AsJson = Annotated[bool, option("--json", panel=OUTPUT, help="Print one JSON object and nothing else.")]
