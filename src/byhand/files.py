"""Atomic file writes, the cache folder, and limits on the memory that a file may ask for."""

import errno
import os
import secrets
import stat
import sys
import tempfile
from contextlib import suppress
from functools import cache
from math import inf
from pathlib import Path

from byhand.errors import ByhandError, FileError

# Memory -----------------------------------------------------------------------------------------------------------------

UNCHECKED_BYTES = 64 << 20  # less memory is asked for without a look at what the machine has
# A compressed file is a decompression bomb where it promises more than both: bytes, and a multiple of its own size.
BOMB_MIN_BYTES = 64 << 20
BOMB_MIN_RATIO = 200


def check_memory(size: int, what: str, error: type[ByhandError] = FileError, advice: str = "") -> None:
    """Raise an error where `what` takes more memory, in bytes, than this process can get: before it asks for it.

    advice: what to do then.

    >>> check_memory(10**18, "the array of x.npz")
    Traceback (most recent call last):
    byhand.errors.FileError: the array of x.npz takes 1,000,000,000.0 GB of memory, more than the ... GB that are free
    """
    if size > UNCHECKED_BYTES and size > (free := available_memory()):
        raise error(
            f"{what} takes {size / 1e9:,.1f} GB of memory, more than the {max(0, free) / 1e9:,.1f} GB that are free"
            f"{advice and f'; {advice}'}"
        )


def check_unpacked(size: int, stored: int, what: str) -> None:
    """Raise a FileError where compressed data promise more memory than there is, or look like a decompression bomb.

    size: bytes that are promised; stored: the bytes of the file that promises them.
    """
    if size > max(BOMB_MIN_BYTES, BOMB_MIN_RATIO * stored):
        raise FileError(
            f"{what} looks like a decompression bomb: {stored} bytes that promise {size}; if you trust it, unpack it first"
        )
    check_memory(size, what)


def available_memory() -> float:
    """Return how many more bytes this process can get, by the machine, its container and its own limit; inf where unknown."""
    return min(_free_memory(), _container_memory(), _address_space())


def _free_memory() -> float:
    if os.name == "nt":
        return _free_memory_on_windows()
    with suppress(OSError, ValueError, IndexError):
        lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
        kilobytes = {words[0]: int(words[1]) for words in lines}
        return 1024 * (kilobytes["MemAvailable:"] + kilobytes.get("SwapFree:", 0))
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return inf


def _free_memory_on_windows() -> float:
    import ctypes  # noqa: PLC0415  (on Windows only)

    fields = (ctypes.c_ulonglong * 8)()  # MEMORYSTATUSEX: its size and the load, then seven amounts
    ctypes.memset(ctypes.addressof(fields), 0, ctypes.sizeof(fields))
    ctypes.cast(fields, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(fields)
    kernel32 = getattr(ctypes, "windll").kernel32  # noqa: B009  (mypy knows it on Windows only)
    return float(fields[2]) if kernel32.GlobalMemoryStatusEx(fields) else inf  # available physical memory


def _container_memory() -> float:
    """Return what a control group leaves; its file cache is given back on demand."""
    folder = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):
        limit = int((folder / "memory.max").read_text())  # ValueError: "max", no limit
        used = int((folder / "memory.current").read_text())
        cached = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return limit - used + sum(int(words[1]) for words in cached if words[0] == "inactive_file")
    return inf


def _address_space() -> float:
    """Return what `ulimit -v` leaves of this process's address space."""
    if sys.platform == "win32":
        return inf
    import resource  # noqa: PLC0415  (not on Windows)

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return inf
    with suppress(OSError, ValueError, IndexError):
        return limit - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return limit


# Whole writes -----------------------------------------------------------------------------------------------------------


def write_whole(path: str | os.PathLike[str], data: bytes | memoryview, *, mode: int = 0o666) -> None:
    """Write a file atomically: after a kill, a full disk or a power cut it holds either all of `data` or its previous content.

    The bytes go to a temporary file in the same folder and are synced to disk before a rename replaces the file; the folder
    is synced last, so that the rename survives a power cut. mode: the file's permissions, less the umask.

    Raises FileError where the system cannot write; the previous content is then unchanged.
    """
    path = Path(path)
    if not path.name or "\0" in str(path):
        raise FileError(f"can't write {str(path)!r}: it names no file")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        cure = "free some space and try again" if full else "try another folder"
        raise FileError(f"can't write {path}: {error.strerror}; what was there before is untouched; {cure}") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot sync a folder; its rename is durable
        return
    with suppress(OSError):  # the file is complete; some network file systems cannot sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# The cache folder -------------------------------------------------------------------------------------------------------


TEMPORARY_CACHE = "byhand-"  # begins the name of a temporary folder


def cache_folder(name: str) -> Path:
    """Return a subfolder of the cache, which nobody else can write to or read.

    The cache is `BYHAND_CACHE` where that is set, else the user's cache folder. Where the subfolder can't be written, is a
    link or belongs to somebody else, one in a private temporary folder takes its place: machine code in it is executed.
    Raises FileError where nothing can be written.
    """
    with suppress(OSError, RuntimeError):  # RuntimeError: the user has no home folder
        home = os.environ.get("BYHAND_CACHE")
        folder = Path(home or _user_cache() / "byhand") / name
        folder.mkdir(0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK) and _make_private(folder):
            return folder
    folder = _private_folder() / name
    folder.mkdir(0o700, exist_ok=True)
    return folder


def outlives_process(folder: Path) -> bool:
    """Tell whether a folder of the cache is in the user's own, which later processes find, not in a temporary one."""
    return not folder.parent.name.startswith(TEMPORARY_CACHE)


def _user_cache() -> Path:
    """Return the user's cache folder; the XDG specification ignores relative paths."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return folder if folder.is_absolute() else Path.home() / ".cache"


def _make_private(folder: Path) -> bool:
    """Make a folder one that only its owner may use; return whether it is this user's own, and no link."""
    if os.name == "nt":  # the user's cache folder is theirs by its access list
        return True
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        return False
    if facts.st_mode & 0o077:
        folder.chmod(0o700)
    return True


@cache
def _private_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=TEMPORARY_CACHE))
    except OSError as error:
        raise FileError(
            f"no folder can be written for the cache ({error.strerror}); set BYHAND_CACHE to one that can"
        ) from None
