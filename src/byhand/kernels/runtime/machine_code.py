"""The machine code of kernels and of the loops that run them: from the cache, or compiled and stored there.

What the cache holds is loaded without Numba and LLVM (object_file.py), where the platform allows it. They are imported when
something is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from byhand.kernels.runtime import cache as disk
from byhand.kernels.runtime import interruptible, object_file
from byhand.kernels.runtime.arguments import LAUNCH_ROW_BYTES, WORD_BYTES, Kind
from byhand.kernels.runtime.cache import LibraryState
from byhand.kernels.runtime.cpu import COUNTER_BYTES, MAX_THREADS
from byhand.kernels.runtime.kernel import Kernel
from byhand.kernels.runtime.source_key import compiler, kernel_name

if TYPE_CHECKING:  # it imports Numba
    from byhand.kernels.runtime.llvm import CFunc

# The files of the loops that run kernels.
LOOP_SOURCES = ("atomics", "parallel_loop", "worker_loops", "worker_pool")


def kernel_address(kernel: Kernel, kinds: tuple[Kind, ...]) -> int:
    """Return the address of a kernel's entry for arguments of these kinds."""

    def compiled() -> tuple[str, LibraryState]:
        from byhand.kernels.runtime import build  # noqa: PLC0415  (Numba)

        return build.build(kernel, kinds)

    return _address(kernel_name(kernel, kinds), kernel.function.__name__, compiled)


def loop_address(name: str, make: Callable[[], CFunc]) -> int:
    """Return the address of a loop that runs kernels; make: compiles it."""
    sources = [Path(__file__).with_name(f"{module}.py").read_bytes() for module in LOOP_SOURCES]
    layout = (LAUNCH_ROW_BYTES, WORD_BYTES, COUNTER_BYTES, MAX_THREADS)

    def compiled() -> tuple[str, LibraryState]:
        from byhand.kernels.runtime import build  # noqa: PLC0415  (Numba)

        made = make()
        return build.with_private_symbols(made._library, made.native_name)

    return _address(f"{name}-{disk.key(sources, layout, compiler())}", name.replace("_", " "), compiled)


def _address(name: str, title: str, compiled: Callable[[], tuple[str, LibraryState]]) -> int:
    """Return the address of what is stored under a name; title: of what is compiled where there is nothing."""

    def compiled_and_stored() -> tuple[str, LibraryState]:
        made = compiled()
        disk.store(name, *made)
        return made

    found = disk.load(name)
    if found is None:
        disk.notify_build(title)
        found = interruptible.run(compiled_and_stored)
    symbol, state = found
    address = object_file.load(state[2][0], symbol)
    if address is None:
        from byhand.kernels.runtime import build  # noqa: PLC0415  (Numba)

        address = int(build.load_library(state).get_pointer_to_function(symbol))
    return address
