"""`byhand doctor`: checks that byhand works on this machine; with --machine, measures what the machine can do at most."""

import json
from typing import Annotated, Any

import numpy as np
import typer

from byhand.cli.command import MACHINE, AsJson, check_native, command, option
from byhand.cli.env import as_text, examine
from byhand.console import pad, say, wrapped
from byhand.translation import translate

PROBLEM_EXIT_CODE = 1
MARK_WIDTH, TITLE_WIDTH = 8, 14
LIMITS_TITLE = "the most that this machine can do:"
MAX_ERROR = 1e-4  # of a sum of 27 products of numbers around 1


@command("byhand doctor", "byhand doctor --machine", panel=MACHINE)
def doctor(
    machine: Annotated[
        bool,
        option("--machine", panel=MACHINE, help="Measure what this machine can do at most: about five seconds."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check that byhand works on this machine: versions, compiled kernels, threads, the kernel cache; exit code 1 if not.

    --machine also measures what the machine can do at most: how long it takes to start a kernel (now, and while other processes
    keep all cores busy), how fast it multiplies, and how fast it reads memory. Close other programs first.
    """
    facts = examine()
    checks = check(facts)
    if machine:
        check_native(facts["runs"])
    found: dict[str, Any] = {"checks": {name: {"ok": ok, "text": text} for name, (ok, text) in checks.items()}}
    if not as_json:
        for name, (ok, text) in checks.items():
            _say(name, text, "ok" if ok else "problem")
    if machine:
        from byhand.bench import machine_limits  # noqa: PLC0415  (no other command needs it)

        found["machine"] = machine_limits.measure()
    if as_json:
        print(json.dumps(found))
    elif machine:
        say(f"\n{LIMITS_TITLE}")
        for title, text in limits_as_text(found["machine"]).items():
            _say(title, text)
    if not all(ok for ok, _ in checks.values()):
        raise typer.Exit(PROBLEM_EXIT_CODE)


def _say(title: str, text: str, mark: str = "") -> None:
    mark = pad(translate(mark) if mark else "", MARK_WIDTH)
    print(
        wrapped(f"{mark}{pad(translate(title), TITLE_WIDTH)} {translate(text)}", " " * (MARK_WIDTH + TITLE_WIDTH + 1))
    )


def check(facts: dict[str, Any]) -> dict[str, tuple[bool, str]]:
    """Return (whether it is as it should be, what was found) for each thing that byhand needs; facts: those of `byhand env`."""
    lines, error = as_text(facts), kernel_error()
    right = error < MAX_ERROR
    kernels = lines.get("runs", "compiled; a convolution agrees with NumPy's")
    if not right:
        kernels = f"a convolution differs from NumPy's by {error:.2g}; report it with the output of `byhand env`"
    used, cores, native = facts["threads"]["used"], facts["threads"]["cores"], facts["runs"] == "native"
    return {
        "versions": (True, lines["versions"]),
        "kernels": (right and native, kernels),
        "threads": (used >= cores or not native or "BYHAND_THREADS" in lines["threads"], lines["threads"]),
        "kernel cache": (facts["cache"]["writable"], lines["cache"]),
    }


def kernel_error() -> float:
    """Return by how much a compiled convolution differs from the same one in NumPy, at most."""
    from byhand.ops import conv2d  # noqa: PLC0415  (slow to import)

    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(shape).astype(np.float32) for shape in ((1, 9, 9, 3), (3, 3, 3, 16)))
    results = [np.asarray(conv2d(x, weight, padding=1, hand=hand)) for hand in ("compiled", "arrays")]
    return float(np.abs(results[0] - results[1]).max())


def limits_as_text(found: dict[str, Any]) -> dict[str, str]:
    """Return the limits of the machine, a line each: the figure, and what it means."""
    cost, rates, reads = found["launch_us"], found["gflops_of_a_core"], found["gigabytes_a_second"]
    lines = {
        "launch": f"{cost['quiet']:.2f} microseconds to start a kernel; each layer starts one or a few",
        "launch, busy": f"{cost['busy']:.2f} microseconds, {cost['busy_mean']:.2f} on average, while"
        f" {found['spinning_processes']} other processes keep the cores busy",
        "float32": f"{rates['float32']:.0f} GFLOP/s on one core, {found['gflops_of_all_threads']:.0f} on all threads"
        " (billions of multiplications and additions a second); only Winograd convolutions, which multiply less, get ahead of"
        " it",
        "bfloat16": f"{rates['bf16']:.0f} GFLOP/s on one core, with --precision bf16"
        if "bf16" in rates
        else "this processor can't multiply bfloat16: --precision bf16 computes in float32",
        "memory": f"{reads['core']:.0f} GB/s on one core, {reads['all_threads']:.0f} on all threads: how fast arrays are read"
        " that do not fit the caches",
    }
    if found["busy"]:
        lines["note"] = (
            f"other programs left {found['cores_free']:.0%} of the cores' time, so that the figures may be too low; close them "
            "and measure again"
        )
    return lines
