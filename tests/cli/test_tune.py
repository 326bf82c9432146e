"""`byhand tune`: the table that it prints and keeps."""

import json

import pytest

from byhand.kernels.conv import tuning, tuning_measurement
from byhand.kernels.conv.tuning_measurement import TunedShape
from tests.cli.run_cli import byhand


@pytest.fixture(autouse=True)
def one_small_shape(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning_measurement, "SHAPES", (TunedShape(1, 6, 8, 8, 3, 1),))
    monkeypatch.setattr(tuning_measurement, "TURN_SECONDS", 1e-4)
    monkeypatch.setattr(tuning_measurement, "MAX_SPREAD", 1e9)  # other tests run beside
    monkeypatch.setattr(tuning, "cache_folder", lambda name: tmp_path)
    yield
    monkeypatch.undo()
    tuning.use(None)


def test_it_keeps_a_table_and_forgets_it(monkeypatch):
    monkeypatch.delenv("BYHAND_TUNING")
    done = byhand("tune")
    assert (done.code, done.out.split()[:4]) == (0, ["algorithm", "forward", "backward_data", "backward_weights"])
    assert "A factor above 1: the algorithm is slower here" in done.out
    assert "the table is kept in" in done.out.splitlines()[-1]
    assert "direct" in json.loads(tuning.table_path().read_text())["factors"]
    assert byhand("tune", "--forget").out == "the table is deleted\n"
    assert byhand("tune", "--forget").out == "there is no table to delete\n"


def test_json():
    found = json.loads(byhand("tune", "--json").out)
    assert found["factors"]["winograd4x4"].keys() == {"forward", "backward_data", "backward_weights"}
    assert found["file"] == str(tuning.table_path())
    assert json.loads(byhand("tune", "--forget", "--json").out) == {"file": found["file"], "deleted": True}


def test_a_busy_machine_is_told_and_its_table_is_not_kept(monkeypatch):
    monkeypatch.setattr(tuning_measurement, "MAX_SPREAD", -1)
    done = byhand("tune")
    assert (done.code, done.out) == (1, "")
    assert done.complaint.startswith("the machine is too busy to be measured: the same convolution took")
    assert not tuning.table_path().exists()


def test_it_says_where_the_table_is_left_unused():
    assert "BYHAND_TUNING is off: until it is unset, the table is not used" in byhand("tune").out


def test_a_damaged_table_is_told_in_one_line(tmp_path):
    (tmp_path / "tuning").mkdir()
    (tmp_path / "tuning" / tuning.table_path().name).write_text("{")
    done = byhand("show", "lenet5", BYHAND_CACHE=str(tmp_path), BYHAND_TUNING="", PYTHONWARNINGS="default")
    assert done.code == 0 and "is not used: it is damaged; measure anew: byhand tune" in done.complaint


def test_kernels_of_a_debugger_are_not_measured():
    assert byhand("tune", NUMBA_DISABLE_JIT="1").complaint.startswith("only compiled kernels can be measured")
