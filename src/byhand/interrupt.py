"""Ctrl-C while the command `byhand` starts: one line and exit code 130, no traceback out of an import.

The imports take some tenths of a second. In them, and when the process shuts down, SIGINT ends the process at once. In between
it raises KeyboardInterrupt, as in any Python program. A program that imports byhand keeps its own handlers.
"""

import _signal as signal  # type: ignore[import-not-found]  # without `enum` and `threading`, in whose imports Ctrl-C would raise
import os
import sys

EXIT_CODE = 130  # of a process that SIGINT ended


def _stop(number: int, frame: object) -> None:
    os.write(2, b"byhand: stopped\n")
    os._exit(EXIT_CODE)


def _is_command() -> bool:
    """Tell whether this process is the command line: `byhand`, or `python -m byhand`."""
    program = sys.argv[0] if getattr(sys, "argv", None) else ""
    if program == "-m":  # as long as Python looks for the module
        words = sys.orig_argv
        return words[words.index("-m") + 1 :][:1] == ["byhand"] if "-m" in words else False
    return os.path.splitext(os.path.basename(program))[0] == "byhand"  # noqa: PTH119, PTH122  (pathlib is not imported yet)


IS_COMMAND = _is_command()  # when byhand is imported: tests call the command line within other programs


def exit_at_once() -> None:
    """Let SIGINT end the process at once where it would raise KeyboardInterrupt, if this is the command line."""
    if IS_COMMAND and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        try:
            signal.signal(signal.SIGINT, _stop)
        except ValueError:  # in another thread than the main one
            return


def raise_again() -> None:
    """Let SIGINT raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)


exit_at_once()
