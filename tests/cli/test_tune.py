"""`byhand tune`: the table that it prints and keeps."""

import json

import pytest

from byhand.kernels.conv import tuning
from byhand.kernels.conv.tuning import TunedShape
from tests.cli.run_cli import byhand


@pytest.fixture(autouse=True)
def one_small_shape(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "SHAPES", (TunedShape(1, 6, 8, 8, 3, 1),))
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path))
    yield
    monkeypatch.undo()
    tuning.use(None)


def test_it_keeps_a_table_and_forgets_it():
    done = byhand("tune")
    assert (done.code, done.out.split()[:4]) == (0, ["algorithm", "forward", "backward_data", "backward_weights"])
    assert "the table is kept in" in done.out
    assert "direct" in json.loads(tuning.table_path().read_text())["factors"]
    assert byhand("tune", "--forget").out == "the table is deleted\n"
    assert byhand("tune", "--forget").out == "there is no table to delete\n"


def test_json():
    found = json.loads(byhand("tune", "--json").out)
    assert found["factors"]["winograd4x4"].keys() == {"forward", "backward_data", "backward_weights"}
