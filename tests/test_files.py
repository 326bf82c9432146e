"""Atomic writes: whole or not at all; the choice of the cache folder."""

import errno
import os
import re
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import byhand as bh
from byhand import files
from byhand.errors import FileError
from byhand.files import cache_folder, write_whole
from tests.train.small_training import bits, network, plain

POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and limits")
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "data", [b"", b"abc", memoryview(b"abc"), bytearray(b"\x00\xff" * 100_000)], ids=["0", "3", "view", "200k"]
)
def test_the_file_holds_exactly_the_bytes(tmp_path, data):
    write_whole(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == bytes(data) and names(tmp_path) == ["file"]


def test_a_path_may_be_text_and_a_file_is_replaced(tmp_path):
    for data in (b"long old content", b"new"):
        write_whole(str(tmp_path / "file"), data)
    assert (tmp_path / "file").read_bytes() == b"new" and names(tmp_path) == ["file"]


@POSIX
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


def test_a_reader_sees_the_old_file_or_the_new(tmp_path, monkeypatch):
    """Until the rename, the old one is there; the new one reached the disk before it, the folder after it."""
    done, fsync, replace = [], os.fsync, Path.replace
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def spy_fsync(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        done.append((f"fsync {kind}", path.read_bytes(), os.fstat(descriptor).st_size))
        fsync(descriptor)

    def spy_replace(self, target):
        done.append(("replace", path.read_bytes(), self.stat().st_size))
        assert self.parent == target.parent
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    write_whole(path, b"new one")
    steps = [(what, seen) for what, seen, _ in done]
    expected = [("fsync file", b"old"), ("replace", b"old"), ("fsync folder", b"new one")]
    assert steps == expected[: 2 if os.name == "nt" else 3]
    assert done[0][2] == done[1][2] == len(b"new one")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_an_error_of_the_system_is_one_line_and_leaves_the_old_file(tmp_path, monkeypatch, where, code):
    (tmp_path / "file").write_bytes(b"old")

    def fails(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(*((os, "fsync") if where == "fsync" else (Path, "replace")), fails)
    with pytest.raises(FileError) as caught:
        write_whole(tmp_path / "file", b"new")
    monkeypatch.undo()
    cure = "try another folder" if code == errno.EIO else "free some space and try again"
    assert (
        str(caught.value)
        == f"can't write {tmp_path / 'file'}: {os.strerror(code)}; what was there before is untouched; {cure}"
    )
    assert (tmp_path / "file").read_bytes() == b"old" and names(tmp_path) == ["file"]


@POSIX
def test_a_folder_that_cannot_be_synced_is_no_error_because_the_file_is_there(tmp_path, monkeypatch):
    fsync = os.fsync

    def only_files(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")  # as some network file systems say
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new" and names(tmp_path) == ["file"]


def test_an_interrupt_leaves_no_half(tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", b"new")
    assert names(tmp_path) == []


@pytest.mark.parametrize("path", ["none/file", "file/file", "folder", "", "nul\0byte", "x" * 300])
def test_a_path_that_cannot_be_written_to_is_one_line(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match=r"^can't write ") as caught:
        write_whole(path, b"new")
    assert "\n" not in str(caught.value) and "None" not in str(caught.value)
    assert names(tmp_path) == ["file", "folder"] and names(tmp_path / "folder") == []


@contextmanager
def read_only(folder):
    """Make a folder read-only, for root too: by a mount where permissions do not bind."""
    if not ROOT:
        folder.chmod(0o500)
        try:
            yield
        finally:
            folder.chmod(0o700)
        return
    with mounted(folder, "size=64k"):
        (folder / "file").write_bytes(b"old")
        mount("-o", "remount,ro", folder)
        yield


def mount(*arguments):
    """Mount something, or skip the test where that is not allowed."""
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"can't mount: {done.stderr.strip()}")


@contextmanager
def mounted(folder, options):
    """Mount a small file system in memory."""
    if not ROOT:
        pytest.skip("only root may mount")
    mount("-t", "tmpfs", "-o", options, "tmpfs", folder)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@POSIX
def test_a_read_only_folder_is_one_line_and_leaves_the_old_file(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with read_only(tmp_path):
        with pytest.raises(FileError, match=r"can't write .*file: (Read-only file system|Permission denied); what"):
            write_whole(tmp_path / "file", b"new")
        assert (tmp_path / "file").read_bytes() == b"old" and names(tmp_path) == ["file"]


@POSIX
def test_a_full_disk_leaves_the_old_file(tmp_path):
    with mounted(tmp_path, "size=256k"):
        write_whole(tmp_path / "file", b"a" * 100_000)
        with pytest.raises(
            FileError,
            match=r"file: No space left on device; what was there before is untouched; free some space and try again$",
        ):
            write_whole(tmp_path / "file", b"b" * 300_000)
        assert (tmp_path / "file").read_bytes() == b"a" * 100_000 and names(tmp_path) == ["file"]
        write_whole(tmp_path / "file", b"c" * 100_000)
        assert (tmp_path / "file").read_bytes() == b"c" * 100_000


@POSIX
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    with mounted(tmp_path, "size=100k"):
        trainer, path = bh.Trainer(network(), bh.Adam(0.01)), tmp_path / "checkpoint.safetensors"
        trainer.save(path)
        before = path.read_bytes(), bits(trainer)
        with suppress(OSError), (tmp_path / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(b"x" * 1024):  # until the disk is full
                pass
        trainer.model.p.flat[...] = 7
        with pytest.raises(FileError, match="No space left on device"):
            trainer.save(path)
        assert path.read_bytes() == before[0] and bits(bh.Trainer.load(path)) == before[1]
        assert names(tmp_path) == ["ballast", path.name]


LIMITED = """
import resource, signal, sys
from pathlib import Path
import byhand as bh
from byhand import nn
from byhand.files import write_whole

folder = Path(sys.argv[1])
model = nn.Model(nn.Input(8, 8, 1), nn.Sequential(nn.Flatten(), nn.Linear(100)))
trainer = bh.Trainer(model, bh.Adam())
write_whole(folder / "file", b"old")
trainer.save(folder / "checkpoint")
trainer.model.p.flat[...] = 7

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
for write in (lambda: write_whole(folder / "file", b"n" * 10_001), lambda: trainer.save(folder / "checkpoint")):
    try:
        write()
    except bh.FileError as error:
        print(error)
write_whole(folder / "small", b"n" * 10_000)
again = bh.Trainer.load(folder / "checkpoint")
print(again.model.p.flat.any() and not (again.model.p.flat == 7).any(), (folder / "file").read_bytes())
"""


@POSIX
def test_a_file_that_may_not_grow_leaves_the_old_one(tmp_path):
    """As on a full disk, for any user: the system refuses bytes in the middle of a write."""
    done = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, check=True)
    too_large = os.strerror(errno.EFBIG)
    expected = [
        f"can't write {tmp_path / name}: {too_large}; what was there before is untouched; free some space and try again"
        for name in ("file", "checkpoint")
    ]
    assert done.stdout.splitlines() == [*expected, "True b'old'"] and not done.stderr
    assert names(tmp_path) == ["checkpoint", "file", "small"]


# concurrent writers ---------------------------------------------------------------------------------------------------

WRITER = """
import sys
from byhand.files import write_whole

for _ in range(25):
    write_whole(sys.argv[1], sys.argv[2].encode() * 50_000)
"""


def is_one_whole_file(path):
    data = path.read_bytes()
    return len(data) == 50_000 and len(set(data)) == 1


def test_two_processes_leave_one_whole_file(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"0" * 50_000)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, letter]) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        assert is_one_whole_file(path)
        seen.add(path.read_bytes()[:1])
    assert [writer.returncode for writer in writers] == [0, 0]
    assert is_one_whole_file(path) and names(tmp_path) == ["file"] and len(seen) > 1


def test_two_threads_leave_one_whole_file(tmp_path):
    path, errors = tmp_path / "file", []

    def write(letter):
        try:
            for _ in range(25):
                write_whole(path, letter * 50_000)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and is_one_whole_file(path) and names(tmp_path) == ["file"]


# the cache ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def user_home(tmp_path, monkeypatch):
    """A home of our own, and no variable set."""
    for name in ("BYHAND_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    files._private_folder.cache_clear()
    yield tmp_path / "home"
    files._private_folder.cache_clear()


def test_the_cache_is_the_users(user_home, tmp_path, monkeypatch):
    assert cache_folder("room") == user_home / ".cache" / "byhand" / "room"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder("room") == tmp_path / "xdg" / "byhand" / "room"
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path / "mine"))
    assert cache_folder("room") == tmp_path / "mine" / "room"
    assert all(cache_folder(room).is_dir() for room in ("room", "room", "other"))
    monkeypatch.setenv("BYHAND_CACHE", "")  # as good as not set
    assert cache_folder("room") == tmp_path / "xdg" / "byhand" / "room"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which its specification tells to ignore
    assert cache_folder("room") == user_home / ".cache" / "byhand" / "room" and not (tmp_path / "relative").exists()


def is_private(folder, tmp_path):
    inside = folder.parent.parent == tmp_path / "temporary" and re.match("byhand-", folder.parent.name)
    return inside and folder.is_dir() and (os.name == "nt" or stat.S_IMODE(folder.parent.stat().st_mode) == 0o700)


def test_a_cache_that_cannot_be_made_is_a_private_temporary_one(user_home, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path / "file"))
    folder = cache_folder("room")
    assert is_private(folder, tmp_path)
    assert cache_folder("room") == folder and cache_folder("other") == folder.with_name("other")


@POSIX
def test_a_cache_that_cannot_be_written_to_is_a_private_temporary_one(user_home, tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path / "cache"))
    cache_folder("room").rmdir()
    with read_only(tmp_path / "cache"):
        assert is_private(cache_folder("room"), tmp_path)
    assert cache_folder("room") == tmp_path / "cache" / "room"


def test_a_user_without_a_home_has_a_cache(user_home, tmp_path, monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")  # a container's user that the system does not know

    monkeypatch.setattr(Path, "home", nowhere)
    assert is_private(cache_folder("room"), tmp_path)
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path / "mine"))
    assert cache_folder("room") == tmp_path / "mine" / "room"


def test_a_program_runs_from_the_temporary_cache(user_home, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path / "file"))
    program = plain(bh.SGD()).program(3)
    assert program.path.is_relative_to(tmp_path / "temporary")
    assert program.path.read_text() == program.text and callable(program.module.step)
