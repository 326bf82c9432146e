"""The kernel cache on disk: reuse, rebuild after a change, damaged files."""

import errno
import hashlib
import os
import stat
import sys

import numpy as np
import pytest
from llvmlite import binding
from rich.console import Console

from byhand.cli.progress_bar import ProgressBar
from byhand.errors import FileError
from byhand.kernels import launch
from byhand.kernels.runtime import build, cache, source_key, thread_pool
from byhand.kernels.runtime.cpu import VectorUnit
from byhand.kernels.runtime.kernel import kernel
from byhand.train.display import Display
from tests.kernels import process

TEXT = """
SCALE = 3.0

def helper(value):
    return value * 2.0

def tripled(x, y, block):
    for i in range(x.size):
        y[i] = SCALE * helper(x[i]) + 1.0
"""


def made(text=TEXT, **settings):
    """Return a kernel of a module of byhand with this text."""
    space = {"__name__": "byhand.made_here"}
    exec(text, space)
    return kernel(**settings)(space["tripled"])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    thread_pool.start()  # the parallel loop is kept too
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path))
    return tmp_path / "kernels"


@pytest.fixture
def told(monkeypatch):
    names = []
    monkeypatch.setattr(cache, "BUILD_LISTENERS", [names.append])
    return names


def result(kernel, dtype=np.float32):
    x, y = np.arange(5, dtype=dtype), np.zeros(5, dtype)
    launch(kernel, 1, x, y)
    return y.tolist()


def test_a_kernel_is_built_once_and_then_found(folder, told):
    assert result(made()) == [1, 7, 13, 19, 25]
    (file,) = folder.iterdir()
    assert told == ["tripled"]
    before = file.stat().st_mtime_ns
    for _ in range(2):
        assert result(made()) == [1, 7, 13, 19, 25]
    assert told == ["tripled"]
    assert [path.stat().st_mtime_ns for path in folder.iterdir()] == [before]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("value * 2.0", "value * 4.0"), [1, 13, 25, 37, 49]),
        (("SCALE = 3.0", "SCALE = 1.0"), [1, 3, 5, 7, 9]),
        (("+ 1.0", "+ 2.0"), [2, 8, 14, 20, 26]),
        (("* helper", "- helper"), [4, 2, 0, -2, -4]),
        (("return value", "value = abs(value)\n    return value"), [1, 7, 13, 19, 25]),
    ],
    ids=["helper", "constant", "literal", "operator", "builtin"],
)
def test_an_edit_is_built_anew(folder, told, change, expected):
    result(made())
    assert result(made(TEXT.replace(*change))) == expected
    assert told == ["tripled", "tripled"]
    assert result(made()) == [1, 7, 13, 19, 25]
    assert told == ["tripled", "tripled"]


def test_another_type_and_another_order_of_sums_are_built_anew(folder, told):
    for _ in range(2):
        result(made())
        result(made(), np.float64)
        result(made(reassociate=True))
    assert told == ["tripled"] * 3


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("compiler", lambda: ("another Numba",)),
        ("vector_unit", lambda: VectorUnit("scalar", 4, 4, 1, fma=False)),
        ("BLOCK_ELEMENTS", 512),
    ],
)
def test_another_numba_processor_or_target_finds_nothing(folder, told, monkeypatch, name, other):
    result(made())
    monkeypatch.setattr(source_key if hasattr(source_key, name) else build, name, other)
    result(made())
    # Only loops over elements are cut at BLOCK_ELEMENTS.
    assert told == ["tripled"] * (1 if name == "BLOCK_ELEMENTS" else 2)


def test_the_key_names_versions_and_processor():
    import llvmlite
    import numba

    parts = source_key.compiler()
    assert numba.__version__ in parts
    assert np.__version__ in parts
    assert any(".".join(map(str, llvmlite.binding.llvm_version_info)) == part for part in parts)
    assert any(llvmlite.binding.get_host_cpu_name() in part for part in parts)


def spoil(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGE = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "a byte less": lambda data: data[:-1],
    "a byte more": lambda data: data + b"\0",
    "garbage": lambda data: np.random.default_rng(0).bytes(len(data)),
    "a wrong hash": lambda data: spoil(data, 5),
    "a wrong header": lambda data: spoil(data, 70),
    "a wrong bit of code": lambda data: spoil(data, len(data) // 2),
    "no JSON": lambda data: hashlib.sha256(b"hello").hexdigest().encode() + b"hello",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_built_again(folder, told, damage):
    result(made())
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(DAMAGE[damage](whole))
    assert result(made()) == [1, 7, 13, 19, 25]
    assert told == ["tripled", "tripled"]
    assert file.read_bytes() != DAMAGE[damage](whole)
    assert cache.load(file.stem) is not None


def test_something_else_in_a_files_place_does_not_matter(folder, told):
    result(made())
    (file,) = folder.iterdir()
    file.unlink()
    file.mkdir()
    assert result(made()) == [1, 7, 13, 19, 25]
    assert list(folder.iterdir()) == [file]


def test_a_full_disk_costs_time_alone(folder, told, monkeypatch):
    def full(path, data, **settings):
        raise FileError(os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache, "write_whole", full)
    for _ in range(2):
        assert result(made()) == [1, 7, 13, 19, 25]
    assert told == ["tripled", "tripled"]
    assert cache.cache_info().writable is False


def test_a_folder_that_cannot_be_written_costs_time_alone(tmp_path, told, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path / "file"))
    assert result(made()) == [1, 7, 13, 19, 25]
    held = cache.cache_info()
    assert held.writable is False
    assert held.kernels >= 1  # for this process, in a temporary folder


@pytest.mark.parametrize("terminal", [False, True])
def test_a_terminal_is_told_once_where_nobody_listens(monkeypatch, capsys, terminal):
    monkeypatch.setattr(cache, "BUILD_LISTENERS", [])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    cache.tell_building.cache_clear()
    try:
        for name in ("conv2d", "relu"):
            cache.notify_build(name)
    finally:
        cache.tell_building.cache_clear()
    assert capsys.readouterr().err.count(cache.COMPILING) == terminal


def test_held(folder):
    assert cache.cache_info() == (folder, 0, 0, True)
    result(made())
    (file,) = folder.iterdir()
    assert cache.cache_info() == (folder, 1, file.stat().st_size, True)


WORK = """
from hashlib import sha256
import numpy as np
import byhand as bh
x = np.random.default_rng(0).standard_normal((600, 30)).astype(np.float32)
y = [op(x, hand="compiled") for op in (bh.relu, bh.silu)]
print(sha256(y[0].tobytes() + y[1].tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def digest():
    return process.run(WORK)


def test_processes_that_start_at_once_from_nothing_get_the_same(tmp_path, digest):
    both = [process.start(WORK, BYHAND_CACHE=str(tmp_path)) for _ in range(2)]
    assert [process.end(child) for child in both] == [digest, digest]
    names = [path.name for path in (tmp_path / "kernels").iterdir()]
    runtime = ("parallel_loop", "threads_")
    assert len([name for name in names if not name.startswith(runtime)]) == 2
    assert len(names) > 2
    assert all(name.endswith(".kernel") for name in names)


def test_a_disk_that_takes_no_more_costs_time_alone(tmp_path, digest):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
    assert process.run(limit + WORK, BYHAND_CACHE=str(tmp_path)) == digest
    assert list((tmp_path / "kernels").iterdir()) == []


TRANSCENDENTAL = """
from hashlib import sha256
import numpy as np
import byhand as bh
x = np.random.default_rng(0).random((300, 1000)).astype(np.float32) * 20 + np.float32(0.01)
ops = [bh.exp, bh.log, bh.tanh, bh.erf, bh.sqrt, bh.sigmoid, bh.softplus, bh.elu, bh.gelu, bh.softmax]
results = {op.name: op(x) for op in ops}
results |= {op.name: op(x, axes=1) for op in (bh.reduce_sum, bh.reduce_log_sum, bh.reduce_log_sum_exp)}
results["power"] = bh.power(x, x)
for name, y in results.items():
    print(name, sha256(y.tobytes()).hexdigest())
"""


def test_the_bits_are_those_of_a_kernel_that_was_compiled_in_another_process(tmp_path):
    """In the process that compiles, copies of the functions that a kernel calls lie about; it must call its own."""
    compiled, loaded = (process.run(TRANSCENDENTAL, BYHAND_CACHE=str(tmp_path)) for _ in range(2))
    assert loaded.splitlines() == compiled.splitlines()
    assert len(loaded.splitlines()) == 14


def test_a_kept_kernel_has_one_public_function(folder):
    result(made())
    (file,) = folder.iterdir()
    symbol, (_, _, (_, bitcode)) = cache.load(file.stem)
    module = binding.parse_bitcode(bitcode)
    public = [function.name for function in module.functions if function.linkage.name != "internal"]
    assert [name for name in public if not module.get_function(name).is_declaration] == [symbol]


# progress messages ----------------------------------------------------------------------------------------------------


def test_a_process_says_once_what_it_waits_for(capsys):
    cache.tell_building.cache_clear()
    with Display(1, 10, console=Console(force_terminal=False)):
        cache.notify_build("one")
        cache.notify_build("two")
    bar = ProgressBar()
    bar.spin("another task")
    cache.notify_build("three")
    bar.close()
    cache.notify_build("four")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "compiling new kernels for this processor (once, some seconds) ...\n"


def test_a_terminal_shows_compilation_in_the_progress_bar(capsys):
    with Display(1, 10, console=Console(force_terminal=True, width=120)) as display:
        display.begin_epoch(0, 0)
        cache.notify_build("one")
        cache.notify_build("two")
        display.bar.refresh()
    said = capsys.readouterr()
    assert "this processor, once: 2, two" in said.out
    assert said.err == ""


def test_quiet_stays_quiet(capsys):
    with Display(1, 10, quiet=True):
        cache.notify_build("one")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_the_wait_does_not_count_as_training(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    with Display(1, 100, console=Console(force_terminal=False, quiet=True)) as display:
        display.begin_epoch(0, 0)
        cache.notify_build("one")
        now[0] = 20.0
        display.update(10, 1.0, 0.5)
        assert display.images_per_second() == 0  # nothing is known yet
        now[0] = 21.0
        display.update(20, 1.0, 0.5)
        assert display.images_per_second() == 10


POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX owners, permissions and links")


def owned_by_another(file, data):
    os.chown(file, 65534, 65534)


def behind_a_link(file, data):
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


DISTRUSTED = {
    "belongs to another user": owned_by_another,
    "can be written by other users": lambda file, data: file.chmod(0o666),
    "is a link": behind_a_link,
    "holds another kernel": lambda file, data: file.write_bytes(renamed(data)),
}


def renamed(data):
    body = data[64:].replace(b"tripled-", b"doubled-", 1)
    return hashlib.sha256(body).hexdigest().encode() + body


@POSIX
@pytest.mark.parametrize("reason", DISTRUSTED)
def test_a_file_that_others_can_have_written_is_not_executed(folder, told, capsys, reason):
    if reason == "belongs to another user" and os.geteuid():
        pytest.skip("only root can give a file away")
    cache._tell_distrust.cache_clear()
    result(made())
    (file,) = folder.iterdir()
    for _ in range(2):
        DISTRUSTED[reason](file, file.read_bytes())
        assert result(made()) == [1, 7, 13, 19, 25]
    assert told == ["tripled"] * 3
    said = capsys.readouterr().err
    assert said.count("the kernel cache is not trusted") == 1 and reason in said
    facts = file.lstat()
    assert stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o077


@POSIX
def test_the_folder_is_the_users_alone(folder, told):
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    result(made())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
