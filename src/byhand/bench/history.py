"""The benchmark history: a JSON Lines file, one line a benchmark of a run, so that a change of speed shows later.

A line:

    {"date": "2026-01-31T12:00:00+00:00", "commit": "1a2b3c4", "cpu": "...", "cores": 8, "versions": {"Python": "3.13.1", ...},
     "hand": "compiled", "benchmark": "lenet5", "unit": "images/s", "median": 53900.0, "ratios": {"PyTorch ...": 3.2, ...},
     "any_precision": 2.9, "quiet": 0.98, "spinning": 0}

A ratio above 1: byhand is ahead of that peer. ratios: of float32; any_precision: of the best of any precision; quiet: the part
of the cores that a spin loop got; spinning: processes that spun beside; older lines lack these three. commit: of byhand's own
git checkout, with `-dirty` behind it where files were changed; null for an installed package.
"""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from byhand.bench.benchmarks import BENCHMARKS
from byhand.bench.comparison import performance_ratio
from byhand.bench.machine import versions
from byhand.bench.peers import BYHAND
from byhand.bench.results import HistoryRow, Result, Row
from byhand.bench.spin_loop import BUSY_BELOW
from byhand.bench.table import format_number
from byhand.console import pad
from byhand.errors import FileError
from byhand.files import write_whole
from byhand.kernels.conv.problem import FLOAT32
from byhand.kernels.runtime import cpu
from byhand.translation import translate

DEFAULT_FILE = "bench-history.jsonl"
MAX_ROWS = 40  # that `table` shows, the last ones
NAMED_BAD_LINES = 5  # whose numbers an error lists
FIELDS: dict[str, type | tuple[type, ...]] = {
    "date": str,
    "commit": (str, type(None)),
    "cpu": str,
    "cores": int,
    "versions": dict,
    "hand": str,
    "benchmark": str,
    "unit": str,
    "median": (int, float),
    "ratios": dict,
}
OPTIONAL_FIELDS = dict.fromkeys(("any_precision", "quiet", "spinning"), (int, float, type(None)))


def append(path: Path, names: list[str], result: Result, hand: str) -> int:
    """Append a run to the history, whole or not at all; return the number of rows.

    names: of the benchmarks, as they were given to `measure`, whose result it is. Where byhand failed, there is no row.
    Raises FileError where the file can't be read or written.
    """
    common = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": cpu.processor_name(),
        "cores": os.cpu_count(),
        "versions": versions(),
        "hand": hand,
    }
    rows = []
    for name, row in zip(names, result["rows"], strict=True):
        if BYHAND in row["values"]:
            of_any = row["any_precision"]
            rows.append(
                {
                    **common,
                    "benchmark": name,
                    "unit": row["unit"],
                    "median": row["values"][BYHAND],
                    "ratios": _ratios(name, row),
                    "any_precision": None if of_any is None else round(of_any["ratio"], 4),
                    "quiet": round(row["quiet"], 2),
                    "spinning": row["spinning"],
                }
            )
    before = _content(path) if path.exists() else b""
    before += b"" if not before or before.endswith(b"\n") else b"\n"
    write_whole(path, before + "".join(f"{json.dumps(row)}\n" for row in rows).encode())
    return len(rows)


def _ratios(name: str, row: Row) -> dict[str, float]:
    """Return byhand's ratio to each float32 peer that has all lines."""
    precisions = {side: found["precision"] for line in row["lines"].values() for side, found in line["sides"].items()}
    return {
        side: round(performance_ratio(BENCHMARKS[name], row["values"][BYHAND], value), 4)
        for side, value in row["values"].items()
        if side != BYHAND and precisions[side] == FLOAT32
    }


def read(path: Path) -> tuple[list[HistoryRow], list[int]]:
    """Return the rows of a history, oldest first, and the numbers of the lines that are no rows.

    Raises FileError where the file can't be read.
    """
    rows, bad = [], []
    for number, line in enumerate(_content(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append(_row(json.loads(line)))
        except (ValueError, RecursionError):  # no JSON, no UTF-8, or no row
            bad.append(number)
    return rows, bad


def bad_lines(path: Path, bad: list[int]) -> str:
    """Return one sentence about the lines that are no rows."""
    numbers = ", ".join(map(str, bad[:NAMED_BAD_LINES])) + (", ..." if len(bad) > NAMED_BAD_LINES else "")
    lines = f"line {numbers} is no row" if len(bad) == 1 else f"lines {numbers} are no rows"
    return f"{path}: {lines} of a benchmark history; left out"


def table(rows: list[HistoryRow]) -> str:
    """Return the last rows as text, below the machine that they were measured on."""
    lines, machine = [], ""
    for row in rows[-MAX_ROWS:]:
        new = ", ".join(
            [row["cpu"], f"{row['cores']:d} cores", *(f"{name} {v}" for name, v in row["versions"].items())]
        )
        if new != machine:
            lines += [""] * bool(machine) + [translate(new)]
            machine = new
        best = min(row["ratios"].items(), key=lambda item: item[1], default=None)
        beside = "" if best is None else f"  {best[1]:.2f}x {translate(best[0])}"
        date, place = row["date"][:16].replace("T", " "), row["commit"] or "-"
        busy = row.get("spinning") or row.get("quiet", 1.0) < BUSY_BELOW
        lines.append(
            f"{date}  {place:14}  {row['benchmark']:12}{format_number(row['median'])} {pad(translate(row['unit']), 10)}{beside}"
            f"{'  ' + translate('busy') if busy else ''}"
        )
    return "\n".join(line.rstrip() for line in lines)


def commit(folder: Path = Path(__file__).parents[3]) -> str | None:
    """Return the commit of the git checkout that a folder is the top of; None where it is none."""
    try:
        if not (folder / ".git").exists():
            return None
        words = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*"]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileError(f"there is no benchmark history {path}; `byhand bench --record` begins one") from None
    except OSError as error:
        raise FileError(f"can't read the benchmark history {path}: {error.strerror}") from None


def _row(row: Any) -> HistoryRow:
    """Return a row whose fields have their types and whose texts are printable; raise ValueError for anything else."""
    fields = FIELDS | OPTIONAL_FIELDS
    if not isinstance(row, dict) or not all(isinstance(row.get(name), kind) for name, kind in fields.items()):
        raise ValueError("fields are missing, or have other types")
    texts = [value for value in row.values() if isinstance(value, str)]
    texts += [*row["versions"], *row["versions"].values(), *row["ratios"]]
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise ValueError("a text is not printable")
    if not all(isinstance(value, (int, float)) for value in row["ratios"].values()):
        raise ValueError("a ratio is no number")
    return cast("HistoryRow", row)
