"""The bench: every peer in its own process, the same work on both sides, one line for what goes wrong."""

import json

import pytest

from byhand.bench import bench, measure
from byhand.errors import ByhandError
from tests.cli.typed import byhand
from tests.oracle import needs_torch

QUICK = {"rounds": 1, "seconds": 0.02}


def test_byhand_is_measured_alone_where_no_peer_is_installed(monkeypatch):
    monkeypatch.setattr(bench, "_installed", lambda peer: not peer.startswith("PyTorch"))
    told = []
    (row,) = measure(["article64"], tell=told.append, **QUICK)["rows"]
    assert told == [row["work"]] == ["the article's net, batch 64, training"]
    assert row["peers"] == {} and row["ratio"] is None
    assert row["byhand"] == row["hands"]["byhand arrays"] > 0


@needs_torch
@pytest.mark.parametrize("work", ["article64", "lenet5"])
def test_both_sides_do_the_same_work(work):
    """`measure` raises where a peer's losses are not byhand's: that it does not is the test."""
    result = measure([work], **QUICK)
    (row,) = result["rows"]
    assert len(row["peers"]) == 4 and min(row["peers"].values()) > 0
    assert row["ratio"] == pytest.approx(row["byhand"] / max(row["peers"].values()))
    assert "cores" in result["machine"]


def test_a_peer_that_computes_something_else_is_found():
    bench._check("lenet5", {"byhand arrays": [2.3, 2.2], "PyTorch": [2.3001, 2.1999]})
    with pytest.raises(ByhandError, match=r"lenet5: PyTorch has the losses .* not the same work"):
        bench._check("lenet5", {"byhand arrays": [2.3, 2.2], "PyTorch": [2.3, 2.21]})


def test_the_command_prints_one_object(tmp_path):
    done = byhand("bench", "article64", "--rounds", 1, "--seconds", 0.02, "--json", folder=tmp_path)
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result.keys() == {"machine", "rows"}
    assert {"work", "byhand", "peers", "unit", "ratio"} <= result["rows"][0].keys()
    assert done.err == "measuring: the article's net, batch 64, training\n"


def test_bad_words_get_one_line():
    assert "there is no work 'lenet'; did you mean 'lenet5'?" in byhand("bench", "lenet").complaint
    assert "--rounds" in byhand("bench", "--rounds", 0).complaint
