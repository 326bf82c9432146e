"""A row of the bench as text."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from byhand.bench.benchmarks import MEMORY
from byhand.bench.check import is_wrong
from byhand.bench.peers import BYHAND, family
from byhand.bench.results import Line, Mean, Ratio, Result, Row
from byhand.bench.spin_loop import BUSY_BELOW
from byhand.console import NO_LIMIT, pad, table_lines, terminal_columns, wrapped
from byhand.translation import translate

WIDTH = 45  # of a name; in a narrow terminal, a number stands below its name
RATIO_WIDTH = 41  # of the name of a ratio
NUMBER_WIDTH = 11
COLUMN_WIDTH = 7
GAP = 2  # columns of the terminal between two columns of a table
INDENT = "  "
LEGEND = (
    "cores: CPU seconds a second. limit: multiply-adds a second beside the limit; Winograd needs fewer and can pass it. "
    "error: the largest difference from byhand's float32 numbers, beside the largest of them. "
    "spin loop: the part of the cores that it got beside the turns."
)


def report(result: Result) -> str:
    """Return a run as text: the machine, its limits, the rows, and a legend."""
    lines = [wrapped(translate(result["machine"]), INDENT)]
    if result["limits"]:
        found = ", ".join(f"{name} {value:,.0f} GFLOP/s" for name, value in result["limits"].items())
        threads = result["threads"]
        lines.append(wrapped(translate(f"limit of {threads} thread{'s' * (threads > 1)}, measured: {found}"), INDENT))
    rows = [f"\n{table(row)}" for row in result["rows"]]
    return "\n".join([*lines, *rows, "", wrapped(translate(LEGEND), INDENT)])


def table(row: Row) -> str:
    """Return one row: byhand, its peers, those that could not run and why, and the ratios to the best."""
    lines = [translate(row["benchmark"])]
    if row["spinning"]:
        lines.append(translate(f"  {row['spinning']} spinning processes beside"))
    lines += _sides(row) if list(row["lines"]) == [""] else _columns(row)
    lines += [wrapped(f"{INDENT}{line}", 2 * INDENT) for line in _left_out(row)]
    lines += _ratios(row)
    if _is_busy(row) and not row["spinning"]:
        part = f"{row['quiet']:.0%}"
        told = translate(f"the machine was busy: a spin loop got {part} of its cores; compare CPU times")
        lines.append(wrapped(f"{INDENT}{told}", 2 * INDENT))
    return "\n".join(lines)


def _is_busy(row: Row) -> bool:
    """Tell whether other programs had a part in what was measured; memory is the same on a busy machine."""
    return row["quiet"] < BUSY_BELOW and row["unit"] != MEMORY


def _left_out(row: Row) -> list[str]:
    """Return the sides that could not run, or not in some lines, and why."""
    found = [f"{translate(name)}: {translate(reason)}" for name, reason in row["missing"].items()]
    places: dict[tuple[str, str], list[str]] = {}
    for line_name, line in row["lines"].items():
        for name, reason in line["failed"].items():
            places.setdefault((name, reason), []).append(line_name)
    for (name, reason), names in places.items():
        found.append(f"{', '.join([translate(name), *filter(None, names)])}: {translate(reason)}")
    return found


def _sides(row: Row) -> list[str]:
    """Return the sides, one below the other, with their CPU time, fraction of the limit and error."""
    heads = [pad(translate(row["unit"]), NUMBER_WIDTH, right=True)]
    names = ("error",) if row["unit"] == MEMORY else ("cores", "limit", "error")
    heads += [pad(translate(name), COLUMN_WIDTH, right=True) for name in names]
    lines = [_line("", "".join(heads), WIDTH)]
    for name, side in row["lines"][""]["sides"].items():
        error = "" if side["error"] is None else f"{side['error']:.0e}"
        cells = [f"{side['cores']:.2f}", _percent(side["limit"]), error][-len(names) :]
        numbers = format_number(side["value"]) + "".join(f"{cell:>{COLUMN_WIDTH}}" for cell in cells)
        lines.append(_line(f"  {name}", numbers.rstrip(), WIDTH))
    return lines


def _columns(row: Row) -> list[str]:
    """Return a table with a row for each line: what byhand and each family of peers reached, then the ratios.

    Columns beyond the width of the terminal stand below, in a table of their own.
    """
    lines = list(row["lines"].values())
    names = [*row["lines"], translate("geometric mean"), translate("largest error")]
    columns = [_column(row["unit"], names)]
    for family_name in dict.fromkeys(family(name) for line in lines for name in _names(line)):
        cells = [_cell(row, line, family_name) for line in lines]
        columns.append(_column(family_name, [*cells, _mean_cell(row, family_name), _error_cell(row, family_name)]))
    if row["float32"] is not None:
        float32 = [*(line["float32"] for line in lines), row["float32"]]
        of_any = [*(line["any_precision"] for line in lines), row["any_precision"]]
        columns += [_column("ratio float32", _ratio_cells(float32)), _column("ratio any", _ratio_cells(of_any))]
        if _is_busy(row):  # ratios of CPU times tell more
            columns.append(_column("CPU ratio float32", _ratio_cells(float32, of_cpu=True)))
            columns.append(_column("CPU ratio any", _ratio_cells(of_any, of_cpu=True)))
    if row["unit"] != MEMORY:
        ours = [line["sides"].get(BYHAND) for line in lines]
        columns.append(_column("limit byhand", [*(_percent(side and side["limit"]) for side in ours), "", ""]))
        columns.append(_column("cores byhand", [*(f"{side['cores']:.2f}" if side else "-" for side in ours), "", ""]))
    if _is_busy(row) and not row["spinning"]:
        columns.append(_column("spin loop", [*(f"{line['quiet']:.0%}" for line in lines), "", ""]))
    return [f"  {line}".rstrip() for block in _blocks(columns) for line in block]


def _column(head: str, cells: list[str]) -> list[str]:
    """Return a column: the two lines of its head, the second one filled first, and its cells."""
    first, _, last = translate(head).rpartition(" ")
    return [first, last, *cells]


def _ratio_cells(ratios: Sequence[Ratio | Mean | None], of_cpu: bool = False) -> list[str]:
    """Return the cells of ratios, of speeds or of CPU times; the largest error has none."""
    return [*(_times(ratio and (ratio["cpu_ratio"] if of_cpu else ratio["ratio"])) for ratio in ratios), ""]


def _blocks(columns: list[list[str]]) -> Iterator[list[str]]:
    """Yield the lines of one table or more, each with the first column and as many others as the terminal holds."""
    first, *others = columns
    widths = [max(map(cell_len, column)) for column in columns]
    room = (terminal_columns() or NO_LIMIT) - len(INDENT) - widths[0]
    chosen: list[int] = []
    for i, width in enumerate(widths[1:]):
        if chosen and sum(GAP + widths[j + 1] for j in chosen) + GAP + width > room:
            yield _block(first, [others[j] for j in chosen])
            chosen = []
        chosen.append(i)
    yield _block(first, [others[j] for j in chosen])


def _block(first: list[str], others: list[list[str]]) -> list[str]:
    """Return the lines of a table; rows without a cell are left out."""
    rows = [(name, *cells) for name, *cells in zip(first, *others) if any(cells)]
    return table_lines(rows, 1, gap=GAP)


def _names(line: Line) -> list[str]:
    return [*line["sides"], *line["failed"]]


def _cell(row: Row, line: Line, column: str) -> str:
    """Return the best value of a family in a line, or in a word why there is none."""
    values = [side["value"] for name, side in line["sides"].items() if family(name) == column]
    if values:
        return format_number((min if row["lower_is_better"] else max)(values)).strip()
    reasons = [reason for name, reason in line["failed"].items() if family(name) == column]
    return translate("wrong" if all(map(is_wrong, reasons)) else "failed")


def _mean_cell(row: Row, column: str) -> str:
    """Return the best geometric mean of a family's sides that have all lines."""
    values = [value for name, value in row["values"].items() if family(name) == column]
    return format_number((min if row["lower_is_better"] else max)(values)).strip() if values else "-"


def _error_cell(row: Row, column: str) -> str:
    """Return the largest error of a family in all lines."""
    sides = [item for line in row["lines"].values() for item in line["sides"].items()]
    errors = [side["error"] for name, side in sides if family(name) == column and side["error"] is not None]
    return f"{max(errors):.0e}" if errors else ""


def _ratios(row: Row) -> list[str]:
    """Return the ratios to the best peers and to each family, with those to reach."""
    if row["float32"] is None:
        found = row["any_precision"] is None and row["missing"]
        return [translate("  no peer to compare with: `make bench` installs them")] if found else []
    lines = _mean_lines(row, "float32", row["float32"])
    if row["any_precision"] is not None and row["any_precision"] != row["float32"]:
        lines += _mean_lines(row, "any precision", row["any_precision"])
    if len(row["families"]) > 1 or not {"float32", "any precision"} >= row["goals"].keys():
        lines += [
            _line(f"  {BYHAND} / {translate(name)}", f"{_times(ratio):>8}{_goal(row, name)}", RATIO_WIDTH)
            for name, ratio in row["families"].items()
        ]
    return lines


def _mean_lines(row: Row, precision: str, mean: Mean) -> list[str]:
    head = translate(f"  byhand / the best peer, {precision}")
    lines = [_line(head, f"{_times(mean['ratio']):>8}{_goal(row, precision)}", RATIO_WIDTH)]
    if mean["cpu_ratio"] is not None:
        lines.append(_line(translate("    of CPU times"), f"{_times(mean['cpu_ratio']):>8}", RATIO_WIDTH))
    if mean["lowest_line"]:
        lowest = translate(f"    the lowest: {mean['lowest_line']}")
        lines.append(_line(lowest, f"{_times(mean['lowest']):>8}", RATIO_WIDTH))
    return lines


def _goal(row: Row, name: str) -> str:
    if name not in row["goals"]:
        return ""
    required, target = (round(goal, 2) for goal in row["goals"][name])
    return translate(f"  (required {required:g}, target {target:g})")


def _line(name: str, numbers: str, width: int) -> str:
    name, columns, taken = translate(name), terminal_columns() or NO_LIMIT, cell_len(numbers)
    width = max(cell_len(name) + 1, min(width, columns - taken))
    return f"{pad(name, width)}{numbers}" if width + taken <= columns else f"{name}\n    {numbers.strip()}"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.0%}"


def format_number(value: float | None) -> str:
    """Return a number in three digits or more, eleven places wide.

    >>> [format_number(value).strip() for value in (0.01234, 1.5, 151.2, 61706.4, None)]
    ['0.0123', '1.50', '151', '61,706', '-']
    """
    if value is None:
        return f"{'-':>11}"
    digits = next((places for places, limit in ((0, 100), (1, 10), (2, 1), (3, 0.1)) if value >= limit), 4)
    return f"{value:11,.{digits}f}"
