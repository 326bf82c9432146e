"""What machine code depends on beside its source: the versions of Numba and LLVM, and the processor as LLVM sees it.

They are asked once and kept on disk, by the files of both libraries and by what the system says of the processor: to import
the libraries takes 0.3 s, which a process does without that finds its kernels in the cache. The file begins with its hash: of
a damaged one, all kernels would be compiled for another processor.
"""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from byhand.errors import FileError
from byhand.files import cache_folder
from byhand.kernels.runtime import cache as disk

# Lines of /proc/cpuinfo that tell the kind of a processor, on x86-64 and on ARM; the others differ from core to core.
CPUINFO_FIELDS = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
)


class Toolchain(NamedTuple):
    """Versions of Numba and LLVM; the processor's name, its architecture and its features, a comma between."""

    numba: str
    llvm: str
    processor: str
    triple: str
    features: str  # "+avx2,-sse4a": those that are there, and those that are not


@cache
def toolchain() -> Toolchain:
    """Return the toolchain of this machine."""
    key = _key()
    if key is None:
        return _ask()
    path = cache_folder("machine") / f"{key}.json"
    with suppress(OSError, ValueError, TypeError, FileError):
        found = Toolchain(*json.loads(disk.read_hashed(path)))
        if all(isinstance(value, str) for value in found):
            return found
    asked = _ask()
    with suppress(OSError, FileError):
        disk.write_hashed(path, json.dumps(asked).encode())
    return asked


def _ask() -> Toolchain:
    """Ask Numba and LLVM."""
    import numba  # noqa: PLC0415  (slow to import)
    from llvmlite import binding  # noqa: PLC0415

    llvm = ".".join(map(str, binding.llvm_version_info))
    features = binding.get_host_cpu_features().flatten()
    return Toolchain(numba.__version__, llvm, binding.get_host_cpu_name(), binding.get_default_triple(), features)


def _key() -> str | None:
    """Return what tells this toolchain from others, without importing it; None where the system does not say."""
    with suppress(OSError, ImportError, ValueError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
        fields = [line for line in lines if line.partition(":")[0].strip() in CPUINFO_FIELDS]
        libraries = []
        for name in ("numba", "llvmlite"):
            spec = find_spec(name)
            if spec is None or spec.origin is None:
                return None
            folder = Path(spec.origin).parent
            binaries = sorted((path.name, path.stat().st_size) for path in folder.glob("binding/*llvmlite*"))
            libraries.append((str(folder), (folder / "_version.py").read_bytes(), binaries))
        return disk.key(platform.machine(), fields, libraries) if fields else None
    return None
