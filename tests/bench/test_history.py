"""Benchmark history: rows are appended and read back; an invalid line is named."""

import json
import subprocess
from pathlib import Path

import pytest

from byhand.bench import history
from byhand.errors import FileError
from tests.cli.run_cli import byhand


def row(unit, quiet=1.0, **values):
    sides = {
        name: {"value": value, "precision": "bf16" if "bf16" in name else "float32"} for name, value in values.items()
    }
    ratio = {"ratio": 0.5} if len(values) > 1 else None
    line = {"sides": sides, "failed": {}}
    return {"unit": unit, "values": values, "lines": {"": line}, "any_precision": ratio, "quiet": quiet, "spinning": 0}


RESULT = {
    "rows": [
        row("images/s", byhand=300.0, PyTorch=100.0, JAX=200.0, **{"PyTorch bf16": 600.0}),
        row("us", byhand=20.0, PyTorch=50.0, quiet=0.6),
        row("MB"),
    ]
}
NAMES = ["lenet5", "latency", "memory"]
QUICK = ("bench", "tutorial", "--quick", "--seconds", 0.02, "--hand", "arrays")


@pytest.fixture
def file(tmp_path):
    """A history of one run: two rows."""
    path = tmp_path / "history.jsonl"
    assert history.append(path, NAMES, RESULT, "compiled") == 2
    return path


def test_a_run_is_read_back(file):
    (first, second), bad = history.read(file)
    assert bad == [] and first["benchmark"] == "lenet5" and first["median"] == 300.0 and first["hand"] == "compiled"
    assert first["ratios"] == {"PyTorch": 3.0, "JAX": 1.5}
    assert second["ratios"] == {"PyTorch": 2.5}, "of latency, less is better"
    assert first["any_precision"] == 0.5 and (first["quiet"], second["quiet"], first["spinning"]) == (1.0, 0.6, 0)
    assert first["cores"] > 0 and first["versions"]["Python"] and first["versions"]["NumPy"]
    history.append(file, NAMES[:1], {"rows": RESULT["rows"][:1]}, "loops")
    rows, _ = history.read(file)
    assert [row["hand"] for row in rows] == ["compiled", "compiled", "loops"] and rows[:2] == [first, second]


def test_the_table_names_each_machine_once_and_the_best_peer(file):
    rows, _ = history.read(file)
    machine, first, second = history.table(rows).splitlines()
    assert machine.startswith(f"{rows[0]['cpu']}, {rows[0]['cores']} cores, Python ")
    assert "lenet5" in first and first.endswith("300 images/s    1.50x JAX") and second.endswith("2.50x PyTorch  busy")
    lines = history.table([*rows, rows[0] | {"cpu": "another", "ratios": {}, "commit": None}]).splitlines()
    assert lines[3] == "" and lines[4].startswith("another, ") and lines[5].endswith("images/s")
    assert history.table(rows * history.MAX_ROWS).count("\n") == history.MAX_ROWS


BAD = [
    b"no JSON",
    b"\xff\xfe",
    b"[1, 2]",
    b"{}",
    b"[" * 100_000,
    b'{"date": 5}',
]


@pytest.mark.parametrize("line", BAD, ids=range(len(BAD)))
def test_a_bad_line_is_named_and_kept(line, file):
    good = file.read_bytes()
    file.write_bytes(line + b"\n\n" + good.rstrip(b"\n"))
    rows, bad = history.read(file)
    assert len(rows) == 2 and bad == [1]
    assert history.bad_lines(file, bad) == f"{file}: line 1 is no row of a benchmark history; left out"
    history.append(file, NAMES, RESULT, "compiled")
    assert file.read_bytes().startswith(line + b"\n\n" + good), "what is not understood stays in the file"
    assert len(history.read(file)[0]) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"cpu": "\x1b[2J"},
        {"benchmark": None},
        {"median": "300"},
        {"versions": {"Python": "3\n13"}},
        {"versions": {"Python": 3}},
        {"ratios": {"PyTorch": "3"}},
        {"ratios": [3]},
        {"quiet": "yes"},
    ],
)
def test_a_row_with_a_wrong_field_is_a_bad_line(change, file):
    rows, _ = history.read(file)
    file.write_text("".join(json.dumps(row) + "\n" for row in (rows[0] | change, rows[1])))
    assert history.read(file) == ([rows[1]], [1])


def test_a_row_of_an_older_version_is_a_row(file):
    rows, _ = history.read(file)
    older = {name: value for name, value in rows[0].items() if name not in ("any_precision", "quiet", "spinning")}
    file.write_text(json.dumps(older) + "\n")
    assert history.read(file) == ([older], []) and "1.50x JAX" in history.table([older])


def test_many_bad_lines_take_one_sentence():
    assert history.bad_lines(Path("x"), list(range(1, 9))) == (
        "x: lines 1, 2, 3, 4, 5, ... are no rows of a benchmark history; left out"
    )


def test_the_commit_is_read_from_the_folders_repository(tmp_path):
    assert history.commit(tmp_path) is None
    git = ["git", "-C", tmp_path, "-c", "user.name=n", "-c", "user.email=e@example.com"]
    try:
        subprocess.run([*git, "init", "--quiet"], check=True, capture_output=True)
    except OSError:
        pytest.skip("needs git")
    (tmp_path / "a").write_text("1")
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "a"], check=True)
    clean = history.commit(tmp_path)
    assert len(clean) >= 7 and set(clean) <= set("0123456789abcdef")
    (tmp_path / "a").write_text("2")
    assert history.commit(tmp_path) == f"{clean}-dirty"
    (tmp_path / "below").mkdir()
    assert history.commit(tmp_path / "below") is None, "byhand installed below somebody's checkout is not of it"


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(FileError, match=r"there is no benchmark history .*; `byhand bench --record` begins one"):
        history.read(tmp_path / "none.jsonl")
    with pytest.raises(FileError, match=r"can't read the benchmark history .*: "):
        history.append(tmp_path, NAMES, RESULT, "compiled")


def test_the_command_records_and_prints_the_history(tmp_path):
    done = byhand(*QUICK, "--record", folder=tmp_path)
    assert done.code == 0 and done.err.endswith("recorded 1 row in bench-history.jsonl\n")
    (row,), bad = history.read(tmp_path / "bench-history.jsonl")
    assert row["benchmark"] == "tutorial" and row["hand"] == "arrays" and not bad
    assert row["ratios"].keys() == {"the article's loops", "the article's arrays"}
    with (tmp_path / "bench-history.jsonl").open("a") as file:
        file.write("cut sho")
    shown = byhand("bench", "--history", folder=tmp_path)
    assert shown.code == 0 and shown.out.count("\n") == 2 and "  tutorial  " in shown.out
    assert shown.err == "bench-history.jsonl: line 2 is no row of a benchmark history; left out\n"
    assert json.loads(byhand("bench", "--history", "--json", folder=tmp_path).out) == [row]
    assert byhand("bench", "lenet5", "--history", folder=tmp_path).out == "bench-history.jsonl holds no such run\n"


def test_invalid_arguments_get_one_line(tmp_path):
    assert (
        "there is no benchmark history none; `byhand bench --record`"
        in byhand("bench", "--history", "--history-file", "none", folder=tmp_path).complaint
    )
    assert "the history holds no scaling" in byhand("bench", "scaling", "--record").complaint
