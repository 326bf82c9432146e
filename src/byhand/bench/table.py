"""A row of the bench as text."""

from rich.cells import cell_len

from byhand.bench.results import Line, Row
from byhand.console import NO_LIMIT, pad, terminal_columns
from byhand.translation import translate

WIDTH = 62  # of a name; in a narrow terminal, a number stands below its name
NUMBER_WIDTH = 11


def table(row: Row) -> str:
    """Return one row: byhand, its peers, the peers that could not run and why, and the ratio to the best."""
    lines = [_line(row["benchmark"], pad(translate(row["unit"]), NUMBER_WIDTH, right=True))]
    for name, line in row.get("lines", {}).items():
        lines.append(_line(f"  {name}", f"{format_number(line['byhand'])}{_beside(line)}"))
    if "lines" in row:
        lines.append(translate("  the geometric means"))
    for name, value in {"byhand": row["byhand"], **row["peers"]}.items():
        lines.append(_line(f"  {name}", format_number(value)))
    for name, reason in {**row["missing"], **row["failed"]}.items():
        lines.append(f"  {translate(name)}: {translate(reason)}")
    if row["ratio"] is None:
        alone = translate("  no peer to compare with: make bench asks for PyTorch, JAX and onnxruntime")
        return "\n".join([*lines, alone])
    ratios = {"": row["ratio"]} | (row["families"] if len(row["families"]) > 1 or row["rival"] else {})
    for name, ratio in ratios.items():
        to_reach = ""
        if name == row["rival"]:
            to_reach = translate(f"  (required {row['required_ratio']:g}, target {row['target_ratio']:g})")
        peer = translate(name or "the best peer")
        lines.append(_line(f"  byhand / {peer}", f"{ratio:10.2f}x{to_reach}"))
    return "\n".join(lines)


def _line(name: str, numbers: str) -> str:
    name, columns, taken = translate(name), terminal_columns() or NO_LIMIT, cell_len(numbers)
    width = max(cell_len(name) + 1, min(WIDTH, columns - taken))
    return f"{pad(name, width)}{numbers}" if width + taken <= columns else f"{name}\n    {numbers.strip()}"


def _beside(line: Line) -> str:
    return "" if line["ratio"] is None else f"{line['ratio']:10.2f}x {translate(str(line['best']))}"


def format_number(value: float | None) -> str:
    """Return a number in three digits or more, eleven places wide.

    >>> [format_number(value).strip() for value in (0.01234, 1.5, 151.2, 61706.4, None)]
    ['0.0123', '1.50', '151', '61,706', '-']
    """
    if value is None:
        return f"{'-':>11}"
    digits = next((places for places, limit in ((0, 100), (1, 10), (2, 1), (3, 0.1)) if value >= limit), 4)
    return f"{value:11,.{digits}f}"
