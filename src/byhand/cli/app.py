"""The command line: its commands, and what becomes of an error: one line, exit code 2, no traceback."""

import os
import sys
from typing import Annotated

import typer

from byhand import __version__
from byhand.cli.bench import bench
from byhand.cli.data import data
from byhand.cli.diff import diff
from byhand.cli.doctor import doctor
from byhand.cli.explain import explain
from byhand.cli.export import export
from byhand.cli.look import look
from byhand.cli.models import models
from byhand.cli.predict import predict
from byhand.cli.read import read
from byhand.cli.show import show
from byhand.cli.trace import trace
from byhand.cli.train import train
from byhand.cli.tutorial import tutorial
from byhand.errors import ByhandError

app = typer.Typer(
    name="byhand",
    help="The convolutional network written by hand, whole.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
COMMANDS = (train, look, data, predict, explain, read, export, show, trace, diff, models, tutorial, bench, doctor)
for command in COMMANDS:
    app.command()(command)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        print(f"byhand {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except ByhandError as error:
        code = _fail(str(error))
    except typer.Abort:  # Ctrl-C
        print("byhand: stopped", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # `byhand show ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        message = getattr(
            error, "format_message", None
        )  # typer's own: an option that does not exist, a missing argument
        if message is None:
            raise
        known = [word for word in sys.argv[1:2] if word in [command.__name__ for command in COMMANDS]]
        code = _fail(f"{message()} ({' '.join(['byhand', *known, '--help'])} tells more)")
    sys.exit(code or 0)


def _fail(message: str) -> int:
    from byhand.train.distributed.mpi import Communicator, world  # noqa: PLC0415  (what has not failed yet has no need of it)

    sys.stdout.flush()
    try:
        ranks = world()
    except ByhandError:  # mpi4py is missing: the message says so
        ranks = Communicator()
    return ranks.fail(f"byhand: {' '.join(message.split())}", 2)
