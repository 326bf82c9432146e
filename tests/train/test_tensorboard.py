"""The log as a table, and TensorBoard event files."""

import csv
import subprocess
import sys

import pytest

import byhand as bh
from byhand.errors import UnsupportedError
from byhand.train.tensorboard import TensorBoard
from tests.cli.run_cli import small_mnist
from tests.train.small_training import plain, stripes

DATA = stripes()


def test_the_log_is_a_table_too(tmp_path):
    run = bh.Run.create(tmp_path / "run", {})
    rows = plain(bh.SGD(0.1)).fit(DATA, epochs=2, validation=DATA, quiet=True, run=run)
    table = list(csv.DictReader((tmp_path / "run" / "log.csv").read_text().splitlines()))
    assert [float(line["val_loss"]) for line in table] == [row["val_loss"] for row in rows]
    assert list(table[0])[:3] == ["epoch", "loss", "accuracy"] and len(table) == 2
    run.log({"epoch": 2, "loss": 1.0, "val_f1": 0.5})  # a column that earlier rows lack
    table = list(csv.DictReader((tmp_path / "run" / "log.csv").read_text().splitlines()))
    assert [line["val_f1"] for line in table] == ["", "0.5"] and table[1]["accuracy"] == ""


def test_event_files_hold_every_number(tmp_path):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = TensorBoard(tmp_path)
    rows = plain(bh.SGD(0.1)).fit(DATA, epochs=3, validation=DATA, quiet=True, callbacks=[board])
    board.close()
    events = reading.EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss/train", "accuracy/train", "loss/val", "accuracy/val"}
    found = [(event.step, event.value) for event in events.Scalars("loss/val")]
    assert found == [(row["epoch"], pytest.approx(row["val_loss"], rel=1e-6)) for row in rows]


def test_without_the_package_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'byhand\[tensorboard\]'"):
        TensorBoard(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_the_command_line_writes_event_files(tmp_path):
    pytest.importorskip("tensorboard")
    small_mnist(tmp_path / "few", 200, 20)
    words = ["train", "article", "few", "--epochs", "1", "--lr", "0.05", "--augment", "none", "--tensorboard"]
    command = [sys.executable, "-W", "error", "-m", "byhand", *words, "--output", "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*"))
    assert (tmp_path / "run" / "log.csv").read_text().startswith("epoch,loss,accuracy")
