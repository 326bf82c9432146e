"""What is kept of the toolchain is what Numba and LLVM say, and is asked again where the file or the machine is another."""

import json
import sys

import pytest

from byhand.kernels.runtime import cache
from byhand.kernels.runtime import toolchain as room
from byhand.kernels.runtime.toolchain import toolchain

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is kept")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path))
    toolchain.cache_clear()
    yield tmp_path / "machine"
    toolchain.cache_clear()


def test_it_is_what_numba_and_llvm_say():
    import numba
    from llvmlite import binding

    assert toolchain() == room._ask()
    assert toolchain().numba == numba.__version__
    assert toolchain().processor == binding.get_host_cpu_name()
    assert set(toolchain().features.split(",")) == set(binding.get_host_cpu_features().flatten().split(","))


def test_it_is_asked_once(folder, monkeypatch):
    first = toolchain()
    toolchain.cache_clear()
    monkeypatch.setattr(room, "_ask", lambda: pytest.fail("asked again"))
    assert toolchain() == first


@pytest.mark.parametrize("content", [b"null", b"[1, 2]", b'{"numba": "1"}', json.dumps([1] * 5).encode()])
@pytest.mark.parametrize("hashed", [True, False])
def test_a_file_that_holds_something_else_is_written_again(folder, content, hashed):
    first = toolchain()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    if hashed:
        cache.write_hashed(file, content)
    else:
        file.write_bytes(content)
    toolchain.cache_clear()
    assert toolchain() == first
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data.replace(b"+avx", b"-avx"), lambda data: b"[" * 100_000]
)
def test_a_damaged_file_is_written_again(folder, damage):
    first = toolchain()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    toolchain.cache_clear()
    assert toolchain() == first
    assert file.read_bytes() == whole


def test_another_processor_has_another_key(monkeypatch):
    key = room._key()
    assert key == room._key()
    monkeypatch.setattr(room, "CPUINFO_FIELDS", ("model name", "Features"))
    assert room._key() != key
