"""The `byhand` command line: collects the commands of this package, and turns errors into one line and exit code 2."""

import os
import re
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated, Any, NoReturn

import typer

from byhand import __version__, interrupt
from byhand.cli.command import COMMANDS, NOT_FINITE_EXIT_CODE, PlainCommand, PlainGroup, registered_commands
from byhand.cli.option_hints import unknown_option
from byhand.console import discard, safe_streams, say
from byhand.errors import ByhandError, FileError, NotFiniteError
from byhand.translation import translate, unknown_language

NUMBER_ERRORS = {"float_parsing": "a number", "int_parsing": "a whole number"}  # of pydantic
USAGE_EXIT_CODE = 2
EXTRA_ARGUMENTS = re.compile(
    r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL
)  # of each version of typer


app = typer.Typer(
    name="byhand",
    cls=PlainGroup,
    help="Convolutional networks written by hand in Python: train, inspect, explain and export them.",
    epilog="Example:\n  byhand train",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in iter_modules([str(Path(__file__).parent)]):
    if module.name != "app":
        import_module(f"{__package__}.{module.name}")
for entry in registered_commands():
    register = app.command(
        entry.name, cls=PlainCommand, help=entry.help, epilog=entry.epilog, rich_help_panel=entry.panel
    )
    register(entry.function)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"byhand {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    with safe_streams(), warnings.catch_warnings():
        warnings.showwarning = _show_warning
        _leave(_run())


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """Show a warning of byhand's in one line, another library's with its place."""
    if category is UserWarning:
        say(f"byhand: {message}", error=True)
    else:
        say(warnings.formatwarning(message, category, filename, lineno).rstrip(), error=True)


def _run() -> int:
    """Run the command of `sys.argv`; return the exit code."""
    if unknown := unknown_language():
        print(f"byhand: {unknown}", file=sys.stderr)
    try:
        try:
            interrupt.raise_again()
            code = app(sys.argv[1:] or ["--help"], prog_name="byhand", standalone_mode=False)
        finally:
            interrupt.exit_at_once()
        sys.stdout.flush()
        return code or 0
    except (typer.Abort, KeyboardInterrupt):
        return _stopped()
    except BrokenPipeError:  # `byhand show ... | head`
        discard(sys.stdout)
        return 0
    except (MemoryError, SystemError) as error:
        return _fail(_out_of_memory(error), 1)
    except ByhandError as error:
        return _fail(str(error), NOT_FINITE_EXIT_CODE if isinstance(error, NotFiniteError) else USAGE_EXIT_CODE)
    except OSError as error:
        message = f"{error.filename or 'the system'}: {error.strerror or error}"
    except Exception as error:
        # Only a usage error of typer has a message: unknown option, missing argument.
        if not hasattr(error, "format_message"):
            raise
        known = [word for word in sys.argv[1:2] if word in COMMANDS]
        see = translate(f"(see {' '.join(['byhand', *known, '--help'])})", part=True)
        message = f"{translate(_usage_message(error))}{' ' * see.isascii()}{see}"
    return _fail(message)


def _out_of_memory(error: MemoryError | SystemError) -> str:
    """Return the message of an allocation that failed, in Python or in C code that raised nothing."""
    if isinstance(error, SystemError):
        return "a library failed without a reason, as happens where memory runs out; free some and try again"
    return f"there is not enough memory ({str(error) or 'out of memory'}); try smaller images or batches"


def _stopped() -> int:
    """Say that Ctrl-C ended the command; return the exit code."""
    say("byhand: stopped", error=True)
    return interrupt.EXIT_CODE


def _leave(code: int) -> NoReturn:
    """End the process; after Ctrl-C at once, as LLVM may compile in another thread, under which Python can't be torn down."""
    if code == interrupt.EXIT_CODE and interrupt.IS_COMMAND and "mpi4py" not in sys.modules:
        with suppress(OSError, FileError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _usage_message(error: Any) -> str:
    """Return the message of a usage error of typer; that of an option which is no number names the value."""
    if hasattr(error, "option_name") and hasattr(error, "possibilities") and error.ctx is not None:
        known = [name for parameter in error.ctx.command.get_params(error.ctx) for name in parameter.opts]
        return unknown_option(error.option_name, known)
    details: list[Any] = getattr(error.__cause__, "errors", list)()  # pydantic's, which parses the values
    expected = NUMBER_ERRORS.get(details[0]["type"]) if details else None
    if expected is None or error.param is None:
        message = str(error.format_message())
        extra = EXTRA_ARGUMENTS.fullmatch(message)
        return f"too many arguments: {extra[1]}" if extra else message
    return f"{error.param.opts[0]} is {details[0]['input']!r}; expected {expected}"


def _fail(message: str, code: int = USAGE_EXIT_CODE) -> int:
    from byhand.train.distributed.mpi import Communicator, world  # noqa: PLC0415  (slow to import, needed for errors only)

    with suppress(BrokenPipeError, FileError):
        sys.stdout.flush()
    try:
        ranks = world()
    except ByhandError:  # mpi4py is missing, which the message says
        ranks = Communicator()
    return ranks.fail(f"byhand: {translate(' '.join(message.splitlines()))}", code)
