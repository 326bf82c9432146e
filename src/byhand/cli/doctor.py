"""`byhand doctor`: checks that byhand works on this machine; with --machine, measures what the machine can do at most."""

import json
from typing import Annotated, Any

import numpy as np
import typer

from byhand.cli.command import MACHINE, AsJson, check_native, command, option
from byhand.cli.env import as_text, examine
from byhand.console import pad, wrapped
from byhand.translation import translate

PROBLEM_EXIT_CODE = 1
MARK_WIDTH, TITLE_WIDTH = 8, 14
MAX_ERROR = 1e-4  # of a sum of 27 products of numbers around 1


@command("byhand doctor", "byhand doctor --machine", panel=MACHINE)
def doctor(
    machine: Annotated[
        bool,
        option("--machine", panel=MACHINE, help="Measure launches, multiplication and memory: about five seconds."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check that byhand works on this machine: versions, compiled kernels, threads, the kernel cache; exit code 1 if not.

    --machine also measures its limits: what it costs to launch a kernel, now and beside as many spinning processes as there are
    cores; how fast a core multiplies; how fast it reads memory. Close other programs first.
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
    kernels = lines.get("runs", "compiled, with the results of NumPy")
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
        "launch": f"{cost['quiet']:.2f} microseconds: what each kernel of a network costs beside its work",
        "launch, busy": f"{cost['busy']:.2f} microseconds, {cost['busy_mean']:.2f} on average, beside"
        f" {found['spinning_processes']} spinning processes: what is left where other programs need the cores",
        "float32": f"{rates['float32']:.0f} GFLOP/s a core, {found['gflops_of_all_threads']:.0f} on all threads:"
        " no convolution without Winograd is faster",
        "bfloat16": f"{rates['bf16']:.0f} GFLOP/s a core: the same limit with --precision bf16"
        if "bf16" in rates
        else "this processor has no products of bfloat16: --precision bf16 computes in float32",
        "memory": f"{reads['core']:.0f} GB/s a core, {reads['all_threads']:.0f} on all threads: no layer whose arrays"
        " do not fit the caches is faster",
    }
    if found["busy"]:
        lines["note"] = (
            f"other programs run: {found['cores_free']:.0%} of the cores' time is free; close them and measure again"
        )
    return lines
