"""`byhand doctor`: what byhand finds on this machine."""

import json
import os
import platform
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

NAMES = {
    "processor": "processor",
    "kernels": "kernels are for",
    "caches": "caches of a core",
    "threads": "threads",
    "layer": "threading layer",
    "region_us": "a parallel loop costs",
    "runs": "kernels run as",
    "versions": "versions",
    "cache": "kernel cache",
}


def doctor(
    machine: Annotated[bool, typer.Option("--machine", help="the processor, threads and compiled kernels")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object, and nothing else")] = False,
) -> None:
    """Tell what byhand finds on this machine, and what it makes of it."""
    found = examine()
    if as_json:
        print(json.dumps(found))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, text in told(found).items():
        table.add_row(NAMES[key], text)
    console = Console(highlight=False, markup=False)
    if console.is_terminal:
        console.print(table)
        return
    for key, text in told(found).items():
        print(f"{NAMES[key]:22} {text}")


def examine() -> dict[str, Any]:
    """Return what there is to tell of this machine, as JSON has it."""
    import llvmlite  # noqa: PLC0415  (no other command waits for it)
    import numba  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from byhand.kernels import mode  # noqa: PLC0415
    from byhand.kernels.runtime import cache, cpu, launch, thread_pool  # noqa: PLC0415

    unit, how = cpu.host(), mode()
    running = thread_pool.start() if how == "native" else None
    cost = round(1e6 * launch.launch_seconds(), 2) if running else None
    kept = cache.held()
    return {
        "processor": {"name": cpu.name(), "llvm": cpu.processor().split()[0]},
        "kernels": {
            "target": unit.target, "vector_bits": 8 * unit.width, "tile": [unit.rows, unit.vectors], "fma": unit.fma,
            "chosen_by": "BYHAND_TARGET" if os.environ.get("BYHAND_TARGET") else "processor",
        },
        "caches": {f"L{level}": cpu.cache_size(level) for level in (1, 2, 3)},
        "threads": {"used": running.workers if running else 1, "cores": cpu.cores(), "of": os.cpu_count()},
        "layer": {"name": running.layer, "why": running.why} if running else None,
        "region_us": cost,
        "runs": how,
        "versions": {
            "numba": numba.__version__, "llvmlite": llvmlite.__version__, "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "cache": {"folder": str(kept.folder), "kernels": kept.kernels, "bytes": kept.bytes, "writable": kept.writable},
    }  # fmt: skip


def told(found: dict[str, Any]) -> dict[str, str]:
    """Return the same in words, a line each."""
    unit, threads, kept, layer = (found[key] for key in ("kernels", "threads", "cache", "layer"))
    tile = f"a tile of {unit['tile'][0]} rows x {unit['tile'][1]} vector{'s' * (unit['tile'][1] > 1)}"
    count = f"{threads['used']}, on {threads['cores']} of {threads['of']} cores"
    lines = {
        "processor": f"{found['processor']['name']} ({found['processor']['llvm']})",
        "kernels": f"{unit['target']}, vectors of {unit['vector_bits']} bits, {tile}"
        + (", as BYHAND_TARGET says" if unit["chosen_by"] == "BYHAND_TARGET" else ""),
        "caches": ", ".join(f"{name} {size / 1024:,.0f} KB" for name, size in found["caches"].items()),
        "threads": count + (", as BYHAND_THREADS says" if os.environ.get("BYHAND_THREADS") and layer else ""),
        "versions": ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        "cache": f"{kept['folder']}: {kept['kernels']} kernels, {kept['bytes'] / 1e6:.1f} MB"
        + ("" if kept["writable"] else "; nothing can be kept for the next run: give a folder with BYHAND_CACHE"),
    }
    if layer:
        lines |= {"layer": f"{layer['name']}: {layer['why']}", "region_us": f"{found['region_us']:.1f} microseconds"}
    elif found["runs"] == "python":
        lines["runs"] = "plain Python: NUMBA_DISABLE_JIT is set"
    else:
        lines["runs"] = "checked machine code, one block after the other: BYHAND_DEBUG is set"
    return {key: lines[key] for key in NAMES if key in lines}
