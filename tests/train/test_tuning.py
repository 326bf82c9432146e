"""A trainer chooses algorithms by one tuning table, which its checkpoints hold."""

import pytest

import byhand as bh
from byhand.errors import FileError
from byhand.kernels.conv import tuning
from byhand.kernels.conv.tuning import TuningTable
from byhand.nn import serialization
from tests.train.small_training import network, stripes

TABLE = TuningTable({"direct": {"forward": 9.0, "backward_weights": 9.0}})


def algorithms(trainer):
    return [layer.forward for layer in trainer.program().algorithms]


@pytest.fixture
def tuned():
    """Return a trainer that was made while a table was in use."""
    with tuning.using(TABLE):
        return bh.Trainer(network(), bh.SGD(0.1), batch_size=8)


def test_a_trainer_keeps_the_table_that_it_was_made_with(tuned):
    assert algorithms(tuned) != algorithms(bh.Trainer(network(), bh.SGD(0.1), batch_size=8))


def test_a_resumed_trainer_has_the_table_of_its_checkpoint(tuned, tmp_path):
    tuned.fit(stripes(16), epochs=1, quiet=True)
    tuned.save(tmp_path / "c.safetensors")
    resumed = bh.Trainer.load(tmp_path / "c.safetensors")
    assert resumed.tuning == TABLE and algorithms(resumed) == algorithms(tuned)
    assert tuning.in_use().factors == {}  # of other models in this process


def test_evaluation_uses_the_table_too(tuned, monkeypatch):
    seen, program = [], bh.Model.program

    def spied(*arguments, **settings):
        seen.append(tuning.in_use())
        return program(*arguments, **settings)

    monkeypatch.setattr(bh.Model, "program", spied)
    tuned.evaluate(stripes(8))
    assert set(seen) == {TABLE}


def test_a_checkpoint_with_a_wrong_table_is_refused(tuned, tmp_path):
    path = tmp_path / "c.safetensors"
    tuned.save(path)
    model, arrays, metadata = serialization.read(path)
    metadata["trainer"]["tuning"] = {"direct": {"forward": 99}}
    serialization.save(model, path, extra_arrays=arrays, extra_metadata={"trainer": metadata["trainer"]})
    with pytest.raises(FileError, match="a tuning table maps algorithms and passes"):
        bh.Trainer.load(path)
