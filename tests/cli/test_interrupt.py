"""Ctrl-C: one line and exit code 130, in the first second and while kernels are compiled."""

import os
import signal
import subprocess
import sys
import time

import pytest

import byhand.cli.app
from byhand.cli.command import PlainCommand, PlainGroup

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def start(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "byhand", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"BYHAND_CACHE": str(folder / "cache")},
        preexec_fn=not_ignored,  # noqa: PLW1509  (no other threads run)
    )


def not_ignored():
    """Let Python handle SIGINT in a child, where a shell in the background has the tests ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("wait", [0.15, 0.3, 0.6])
def test_while_it_starts(tmp_path, wait):
    process = start(tmp_path, "train", "mnist")
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    if process.returncode != -signal.SIGINT and ("byhand" in err or not err):  # else Python itself had not started
        assert process.returncode == 130 and "Traceback" not in err
        assert err == "byhand: stopped\n" or out.splitlines()[-1].startswith("stopped before the first step")


def test_while_kernels_compile(tmp_path):
    process = start(tmp_path, "train", "mnist", "--epochs", "1")
    while "compiling" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert out.splitlines()[-1].startswith(
        ("stopped before the first step", "stopped at once, before the first checkpoint")
    )
    assert time.monotonic() - started < 5  # of LLVM alone it can be as much on a busy machine


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (sys.modules["byhand.cli.app"], "app"),
        (PlainCommand, "make_context"),
        (PlainCommand, "invoke"),
        (PlainGroup, "get_command"),
    ],
)
def test_at_any_moment(monkeypatch, capsys, place, name):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(place, name, interrupted)
    monkeypatch.setattr(sys, "argv", ["byhand", "models"])
    with pytest.raises(SystemExit) as ended:
        byhand.cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == "byhand: stopped"


def test_a_program_that_imports_byhand_keeps_its_handler():
    code = "import signal, byhand; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, preexec_fn=not_ignored
    )
    assert done.stdout.strip() == "True"


def test_the_wait_for_a_compiling_thread_can_be_left():
    from byhand.kernels.runtime import interruptible

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            interruptible.run(lambda: time.sleep(0.6))
        interruptible.wait()
        assert interruptible.run(lambda: 5) == 5
        with pytest.raises(ZeroDivisionError):
            interruptible.run(lambda: 1 / 0)
    finally:
        signal.signal(signal.SIGALRM, before)
