"""`byhand env`: what byhand detects on this machine: processor, caches, threads, versions, kernel cache."""

import json
import os
import platform
from typing import Any

from byhand.cli.command import MACHINE, AsJson, command
from byhand.console import pad, wrapped
from byhand.translation import translate

TITLES = {
    "processor": "processor",
    "kernels": "instruction set",
    "bfloat16": "bfloat16",
    "caches": "caches per core",
    "threads": "threads",
    "layer": "threading layer",
    "parallel_loop_us": "parallel loop cost",
    "runs": "kernels run as",
    "versions": "versions",
    "cache": "kernel cache",
    "tuning": "tuning table",
}
TITLE_WIDTH = 22


@command("byhand env", "byhand env --json", panel=MACHINE)
def env(as_json: AsJson = False) -> None:
    """Show what byhand detects on this machine: processor, caches, threads, versions, and the cache of compiled kernels.

    Environment variables change it: BYHAND_LANGUAGE (en or zh), BYHAND_CACHE (the cache folder), BYHAND_THREADS (the number of
    threads), BYHAND_TARGET (avx512, avx2, neon or scalar), BYHAND_CONV (the algorithm of every convolution), BYHAND_TUNING=off
    (without the table of `byhand tune`), BYHAND_DEBUG=1 (bounds are checked), BYHAND_POISON=1 (memory is NaN until it is
    written) and NUMBA_DISABLE_JIT=1 (plain Python, for a debugger).
    """
    found = examine()
    if as_json:
        print(json.dumps(found))
        return
    for key, text in as_text(found).items():
        title = pad(translate(TITLES[key]), TITLE_WIDTH)
        print(wrapped(f"{title} {translate(text)}", " " * (TITLE_WIDTH + 1)))


def examine() -> dict[str, Any]:
    """Return the facts about this machine, as --json prints them."""
    import llvmlite  # noqa: PLC0415  (slow to import, and no other command needs all of these)
    import numba  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from byhand.kernels import mode  # noqa: PLC0415
    from byhand.kernels.conv import tuning  # noqa: PLC0415
    from byhand.kernels.runtime import cache, cpu, launch, thread_pool  # noqa: PLC0415

    unit, how = cpu.vector_unit(), mode()
    running = thread_pool.start() if how == "native" else None
    cost = round(1e6 * launch.launch_seconds(), 2) if running else None
    kept = cache.cache_info()
    return {
        "processor": {"name": cpu.processor_name(), "llvm": cpu.processor().split()[0]},
        "kernels": {
            "target": unit.target,
            "vector_bits": 8 * unit.vector_bytes,
            "tile": [unit.tile_rows, unit.tile_vectors],
            "fma": unit.fma,
            "bfloat16": unit.bfloat16,
            "chosen_by": "BYHAND_TARGET" if os.environ.get("BYHAND_TARGET") else "processor",
        },
        "caches": {f"L{level}": cpu.cache_size(level) for level in (1, 2, 3)},
        "threads": {"used": running.workers if running else 1, "cores": cpu.cores(), "of": os.cpu_count()},
        "layer": {"name": running.layer, "why": running.reason} if running else None,
        "parallel_loop_us": cost,
        "runs": how,
        "versions": {
            "numba": numba.__version__,
            "llvmlite": llvmlite.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "cache": {"folder": str(kept.folder), "kernels": kept.kernels, "bytes": kept.bytes, "writable": kept.writable},
        "tuning": {"file": str(tuning.table_path()), "used": bool(tuning.in_use().factors)},
    }


def as_text(found: dict[str, Any]) -> dict[str, str]:
    """Return the same facts as text, a line each."""
    unit, threads, kept, layer = (found[key] for key in ("kernels", "threads", "cache", "layer"))
    tile = f"register tile of {unit['tile'][0]} rows x {unit['tile'][1]} vector{'s' * (unit['tile'][1] > 1)}"
    count = f"{threads['used']}, on {threads['cores']} of {threads['of']} cores"
    has_bfloat16 = "multiplied in pairs (vdpbf16ps), with precision bf16"
    no_bfloat16 = "no instruction for it (vdpbf16ps): precision bf16 is computed in float32"
    lines = {
        "bfloat16": has_bfloat16 if unit["bfloat16"] else no_bfloat16,
        "processor": f"{found['processor']['name']} ({found['processor']['llvm']})",
        "kernels": f"{unit['target']}, vectors of {unit['vector_bits']} bits, {tile}"
        + (", set by BYHAND_TARGET" if unit["chosen_by"] == "BYHAND_TARGET" else ""),
        "caches": ", ".join(f"{name} {size / 1024:,.0f} KB" for name, size in found["caches"].items()),
        "threads": count + (", set by BYHAND_THREADS" if os.environ.get("BYHAND_THREADS") and layer else ""),
        "versions": ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        "cache": f"{kept['folder']}: {kept['kernels']} kernels, {kept['bytes'] / 1e6:.1f} MB"
        + ("" if kept["writable"] else "; not writable, so kernels compile on each run: set BYHAND_CACHE to a folder"),
    }
    if found["tuning"]["used"]:
        lines["tuning"] = found["tuning"]["file"]
    else:
        lines["tuning"] = (
            "left unused by BYHAND_TUNING=off"
            if os.environ.get("BYHAND_TUNING") == "off"
            else "none: algorithms are chosen by estimates; `byhand tune` measures them here"
        )
    if layer:
        lines |= {
            "layer": f"{layer['name']}: {layer['why']}",
            "parallel_loop_us": f"{found['parallel_loop_us']:.1f} microseconds",
        }
    elif found["runs"] == "python":
        lines["runs"] = "plain Python: NUMBA_DISABLE_JIT is set"
    else:
        lines["runs"] = "checked machine code, single-threaded: BYHAND_DEBUG is set"
    return {key: lines[key] for key in TITLES if key in lines}
