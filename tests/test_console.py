"""Output: any text on any console, no control character of a name, tables as wide as the terminal."""

import csv
import io
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len
from rich.progress import Progress, TextColumn
from rich.table import Table

import byhand as bh
from byhand.cli.app import main
from byhand.console import SafeConsole, clean, fit_line, pad, safe_streams, table_lines
from byhand.text import class_labels, command_line, csv_cell, first_synonyms

HOSTILE = (
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[31mred",
    "a\rb",
    "\x9b31m",
    "\u202eevil",
    "a\x08b",
    "猫[red]x[/red]",
    "\udcff",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network and photos with hostile names."""
    folder = tmp_path_factory.mktemp("console")
    bh.models.create("tiny", HOSTILE, input_shape=(16, 16, 3), seed=0).save(folder / "m.safetensors")
    photos = folder / "photos"
    for name in ("猫", "[bold]dog[/bold]\x1b[31m", "=1+1"):
        (photos / name).mkdir(parents=True)
        for i in range(3):
            image = np.random.default_rng(i).integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(image).save(photos / name / f"{i}\x1b[2J.png")
    (photos / "猫" / "bad\x1b[31m.png").write_bytes(b"no image")
    return folder


def printed(words, folder, encoding):
    """Run a command in this process with a console of an encoding; return the exit code, standard output and error."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2))
    argv = patch.object(sys, "argv", ["byhand", *words])
    with chdir(folder), argv, redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main()
    return end.value.code, *(stream.buffer.getvalue().decode(encoding) for stream in (out, err))


IMAGE = "photos/猫/0\x1b[2J.png"
COMMANDS = {
    "data": ["data", "photos", "--model", "tiny", "-o", "sheet.png"],
    "predict": ["predict", "m.safetensors", "photos", "--top-k", "8"],
    "csv": ["predict", "m.safetensors", IMAGE, "--csv", "--top-k", "8"],
    "json": ["predict", "m.safetensors", IMAGE, "--json"],
    "explain": ["explain", "m.safetensors", IMAGE, "-o", "why.png"],
    "show": ["show", "m.safetensors"],
    "help": ["train", "--help"],
    "error": ["predict", "m\x1b[2J.safetensors", "猫\r.png"],
    "usage": ["predict", "--猫\x1b[2J"],
    "train": ["train", "photos", "--model", "tiny", "--epochs", "1", "--output", "run"],
}


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "gbk"])
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "train"])
def test_any_name_on_any_console(name, encoding, folder):
    code, out, err = printed(COMMANDS[name], folder, encoding)
    text = out + err
    assert code == (2 if name in ("error", "usage", "predict") else 0), text  # of the photos, one is no image
    assert text and not set(text) & set("\x1b\x07\x08\r\x9b\u202e"), repr(text)


def test_training_on_any_console(folder, tmp_path):
    words = [*COMMANDS["train"][:-1], str(tmp_path / "run")]
    code, out, err = printed(words, folder, "cp1252")
    assert code == 0 and "\x1b" not in out + err


def test_a_progress_bar_on_a_terminal_hides_no_name_and_runs_no_command():
    out = io.StringIO()
    with redirect_stdout(out), safe_streams():
        console = SafeConsole(force_terminal=True, width=80)
        with Progress(TextColumn("{task.description}", markup=False), console=console) as bar:
            bar.add_task(clean("reading [/] \x1b[2J猫"), total=3)
            bar.add_task("not cleaned \x1b[2J\x07", total=3)
        table = Table("a\x1b[2Jb")
        table.add_row("[bold]\x07")
        console.print(table)
    assert "\x1b[2J" not in out.getvalue() and "[/] ?[2J猫" in out.getvalue() and "\x07" not in out.getvalue()
    assert "[bold]?" in out.getvalue() and "\x1b[" in out.getvalue(), "the bar's own sequences pass"


@pytest.mark.parametrize(("shell", "code"), [("| head -1", 0), ("> /dev/full", 2), (">&- 2>&-", 0)])
def test_a_closed_or_full_output(shell, code):
    line = f"set -o pipefail; {sys.executable} -m byhand show lenet5 --program {shell}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == code and "Traceback" not in done.stderr and "Exception" not in done.stderr
    if "full" in shell:
        assert done.stderr == "byhand: can't write to standard output: No space left on device\n"


@given(st.text(st.characters(codec=None)))
def test_clean_text_has_no_control_characters(text):
    assert not set(clean(text)) & {chr(code) for code in (*range(9), *range(11, 32), *range(127, 160), 0x202E, 0x2066)}


# Tables and names -----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(*[st.text("ab 猫é", min_size=1)] * 3), min_size=1), st.integers(20, 100))
def test_a_table_is_aligned_by_cells(rows, columns):
    lines = table_lines(rows, 2, columns=columns)
    widths = [max(map(cell_len, column)) for column in zip(*rows)]
    if sum(widths) + 4 <= columns:
        assert len(lines) == len(rows)
    for line in lines:
        assert cell_len(line) <= max(columns, *(width + 2 for width in widths))


def test_chinese_is_padded_by_cells():
    assert [cell_len(pad(text, 8)) for text in ("猫", "cat", "naïve")] == [8, 8, 8]


@pytest.mark.parametrize(
    "words", [["models"], ["show", "resnet18"], ["trace", "m.safetensors", IMAGE], ["show", "m.safetensors"]]
)
def test_tables_fit_sixty_columns(words, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    _, text, _ = printed(words, folder, "utf-8")
    assert max(map(cell_len, text.splitlines())) <= 60 and "…" not in text


@pytest.mark.parametrize("name", ["train", "predict", "bench", "export"])
def test_help_fits_sixty_columns(name, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    _, text, _ = printed([name, "--help"], folder, "utf-8")
    lines = text[: text.index("Example")].splitlines()
    assert max(map(len, lines)) <= 60 and "…" not in text
    assert "--mean" in text or "--validation-fraction" in text or "--history-file" in text


@given(st.lists(st.text("ab 猫，-", min_size=1, max_size=9), min_size=1).map(" ".join), st.integers(20, 100))
def test_a_line_fits_the_terminal_and_keeps_its_words(line, columns):
    fit = fit_line(f"  {line}", columns)
    assert all(cell_len(part) <= columns for part in fit.split("\n"))
    assert "".join(fit.split()) == "".join(line.split())


def test_a_command_is_not_cut():
    line = "next:  byhand predict 'runs/a long name of a folder' IMAGE"
    assert fit_line(line, 30) == line


@settings(max_examples=30)
@given(st.lists(st.text(max_size=40), max_size=6))
def test_labels_are_distinct(names):
    labels = class_labels([*names, *names])
    assert len(set(labels)) == len(labels) and all(label.strip() for label in labels)


def test_synonyms_that_would_be_the_same_stay_whole():
    names = ["", "a, b", "a, c", ", x", "d,"]
    assert first_synonyms(names) == names
    assert first_synonyms([*names, "e, " * 30]) == ["", "a, b", "a, c", ", x", "d", "e"]


# Cells and commands ---------------------------------------------------------------------------------------------------


@given(st.text(), st.floats())
def test_no_cell_is_a_formula_and_numbers_stay(text, value):
    cell = csv_cell(text)
    assert cell in (text, f"'{text}") and csv_cell(value) is value and csv_cell(str(value)) == str(value)
    if str(cell)[:1] in ("=", "+", "-", "@", "\t", "\r"):
        float(str(cell))


def test_predictions_of_hostile_classes_are_no_formulas(tmp_path):
    names = ("=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "-0.5", "a,b", 'say "x"')
    bh.models.create("tiny", names, input_shape=(16, 16, 3), seed=0).save(tmp_path / "m.safetensors")
    Image.new("RGB", (16, 16)).save(tmp_path / "=1+1.png")
    _, text, _ = printed(["predict", "m.safetensors", "=1+1.png", "--csv", "--top-k", "8"], tmp_path, "utf-8")
    (row,) = (row for row in csv.reader(io.StringIO(text)) if row[1:2] and "1+1.png" in row[0])
    assert row[0] == "'=1+1.png" and sorted(row[1::3]) == sorted(map(str, map(csv_cell, names)))


@pytest.mark.skipif(sys.platform == "win32", reason="bash")
@pytest.mark.parametrize(
    "word", ["a b", "it's", "$HOME", "a\nb", "\x1b[31m", "猫", "back\\slash\t'", 'q"', "", "!x", "*"]
)
def test_a_command_is_what_bash_reads(word):
    line = command_line("printf", "%s", word)
    assert clean(line) == line and "\n" not in line
    assert subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout.decode() == word
