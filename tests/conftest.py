"""Settings of all tests: the path to their helpers, hypothesis's profiles, threads, and the name of the oracle.

The tests run in one process a core, so each computes on one thread, and so does every process that a test starts: with more
threads than cores, a small network takes five times the CPU time. The paths of `THREADED`, tests that call `limit`, and the
processes of `tests.kernels.process` compute on several.
"""

import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

os.environ.setdefault("BYHAND_POISON", "1")  # unwritten memory is NaN: kernels/memory.py
os.environ["BYHAND_TUNING"] = "off"  # the table that the person who runs the tests has made
os.environ["BYHAND_LANGUAGE"] = "en"  # whatever the locale is; of the processes that tests start, too
os.environ.setdefault("OMP_NUM_THREADS", "1")  # PyTorch's and NumPy's threads; read when they are imported
sys.path.insert(0, str(Path(__file__).parent.parent))  # --import-mode=importlib leaves it out

from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

from byhand.kernels.runtime import thread_pool
from tests.oracle import IN_CI, RECORDED, TORCH

# A draw of arrays is slow beside hypothesis's own idea of an example; no database, so that a run depends on no run before.
settings.register_profile(
    "byhand", max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fast", settings.get_profile("byhand"), max_examples=5)  # make test-fast
settings.register_profile("ci", settings.get_profile("byhand"), derandomize=True)  # the same examples at every push
settings.load_profile("ci" if IN_CI else "byhand")

THREADED = (
    "kernels",
    "ops/test_sizes.py",
    "program/test_micro_batch.py",
    "program/test_concurrency.py",
    "train/test_threads.py",
)
NEEDED = "needs a browser: apt-get install chromium (or name one with CHROMIUM), and pip install playwright"
ORACLE = f"oracle: {f'PyTorch {TORCH}' if TORCH else RECORDED}"


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture(autouse=True, scope="session")
def children_compute_on_one_thread():
    """Start this process's threads, one a core, then set the number of threads that child processes read."""
    thread_pool.start()
    threadpool_limits(1, "openmp")  # Numba has set one a core, and PyTorch's would wait awake for each other
    os.environ.setdefault("BYHAND_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop():
    """Compute on one thread in all tests, doctests and fixtures: those of a module too, which are set up before its tests'."""
    with thread_pool.limit(1):
        return (yield)


@pytest.fixture(autouse=True)
def lift_thread_limit(request):
    """Lift the limit for the paths of `THREADED`."""
    threaded = any(request.path.is_relative_to(Path(__file__).parent / path) for path in THREADED)
    with thread_pool.limit(None) if threaded else nullcontext():
        yield


def pytest_report_header():
    return ORACLE


def pytest_terminal_summary(terminalreporter):
    if terminalreporter.verbosity < 0:  # -q leaves the header out
        terminalreporter.write_line(ORACLE)


# A browser, for pages -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser():
    """Return a browser, started once."""
    playwright = pytest.importorskip("playwright.sync_api", reason=NEEDED)
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip(NEEDED)
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """Return a function that opens a page in a new window; at the end, none may have complained or asked for anything."""
    contexts, complaints, asked = [], [], []

    def visit(path, *, hash="", width=1440, height=1000, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **{"locale": "en-US"} | options)
        contexts.append(context)
        page = context.new_page()
        page.complaints = complaints
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(f"{error.message}\n{error.stack}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{Path(path).as_uri()}{hash}")
        page.wait_for_selector("html[data-ready]")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not complaints
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
