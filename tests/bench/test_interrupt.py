"""A bench that is interrupted or killed leaves no process behind."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
WAIT_SECONDS = 60
# The parent of a command that would run for a minute.
PARENT = """
import os
from byhand.bench import child_process
process = child_process.start(["byhand.bench.run_command", "60", "sleep", "60"], os.environ)
process.wait()
"""


def processes_with(mark):
    """Return the processes whose environment has a mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def wait_for(condition):
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


@pytest.fixture
def start():
    """Return a function that starts Python, and waits for a number of processes; kill what is left at the end."""
    mark = f"bench-{uuid.uuid4().hex}"

    def start_python(words, processes):
        environment = os.environ | {"BYHAND_TEST_MARK": mark}
        started = subprocess.Popen(
            [sys.executable, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        wait_for(lambda: len(processes_with(mark)) >= processes or started.poll() is not None)
        return started, lambda: wait_for(lambda: not processes_with(mark))

    yield start_python
    for process in processes_with(mark):
        os.kill(process, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_an_interrupted_bench_leaves_no_process(number, start):
    words = ["-m", "byhand", "bench", "tutorial", "--hand", "arrays", "--seconds", "60", "--busy"]
    bench, wait_until_none_is_left = start(words, processes=4)  # itself, two that spin, one that is measured
    bench.send_signal(number)
    _, errors = bench.communicate(timeout=WAIT_SECONDS)
    if number == signal.SIGINT:
        assert bench.returncode == 130 and errors.splitlines()[-1] == "byhand: stopped"
        assert "Traceback" not in errors
    else:
        assert bench.returncode == -number
    wait_until_none_is_left()


def test_a_command_ends_with_the_process_that_wants_it(start):
    parent, wait_until_none_is_left = start(["-c", PARENT], processes=3)
    parent.kill()
    parent.communicate(timeout=WAIT_SECONDS)
    wait_until_none_is_left()
