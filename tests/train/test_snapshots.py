"""Snapshots and history of a run: steps, interruption, notebook form."""

import numpy as np
import pytest

import byhand as bh
from byhand.nn import serialization
from byhand.train import run as runs
from byhand.train.history import History
from byhand.train.state import snapshot_steps

DATA, TEST = (part.take(count) for part, count in zip(bh.data.load("mnist"), (640, 50)))
STEPS = [0, 1, 2, 5, 10]  # of 20: halved down to one


def trainer(seed=0):
    return bh.Trainer(bh.models.create("article"), bh.SGD(0.02), batch_size=64, seed=seed)


def test_a_run_keeps_snapshots_more_often_at_first(tmp_path):
    run = bh.Run.create(tmp_path / "run", {})
    trainer().fit(DATA, epochs=2, quiet=True, run=run)
    assert [step for step, _ in run.snapshots()] == STEPS == [step for step in snapshot_steps(20) if step in STEPS]
    first = bh.load(run.snapshots()[0][1])
    np.testing.assert_array_equal(first.p.flat, bh.models.create("article").p.flat)
    for step, path in run.snapshots()[1:]:
        other = trainer()
        for k in range(step):
            rows = np.random.default_rng([0, 0, k // 10]).permutation(640)[k % 10 * 64 : (k % 10 + 1) * 64]
            other.step(other.model.prepare(DATA.images[rows]), DATA.labels[rows])
        np.testing.assert_allclose(bh.load(path).p.flat, other.model.p.flat, rtol=0, atol=1e-6)
        assert serialization.read(path)[2]["snapshot"] == {"step": step, "epoch": step / 10}


def test_a_stopped_run_keeps_the_same_snapshots(tmp_path, monkeypatch):
    whole, stopped = (bh.Run.create(tmp_path / name, {}) for name in ("whole", "stopped"))
    trainer().fit(DATA, epochs=2, quiet=True, run=whole)
    log = stopped.log

    def stop(row):
        log(row)
        raise KeyboardInterrupt

    monkeypatch.setattr(stopped, "log", stop)
    with pytest.raises(KeyboardInterrupt):
        trainer().fit(DATA, epochs=2, quiet=True, run=stopped)
    assert len(stopped.snapshots()) == len(STEPS)
    again = bh.Run.open(stopped.folder)
    bh.Trainer.load(again.checkpoint).fit(DATA, quiet=True, run=again)
    assert [path.read_bytes() for _, path in again.snapshots()] == [path.read_bytes() for _, path in whole.snapshots()]


def test_a_large_network_keeps_no_snapshots(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "SNAPSHOT_MAX_VALUES", 13_601)
    run = bh.Run.create(tmp_path / "run", {})
    trainer().fit(DATA, quiet=True, run=run)
    assert run.finished and not run.snapshots() and not (run.folder / "snapshots").exists()


def test_a_function_is_called_after_each_epoch(tmp_path):
    run, seen = bh.Run.create(tmp_path / "run", {}), []

    def on_epoch(row):
        seen.append((row["epoch"], [logged["epoch"] for logged in run.rows()]))

    trainer().fit(DATA, epochs=2, quiet=True, run=run, callbacks=[on_epoch])
    assert seen == [(1, [1]), (2, [1, 2])]


def test_a_run_keeps_the_model_that_is_exported(tmp_path):
    """Of what is trained, a run may keep another network, as one with test-time augmentation."""
    run, exported = bh.Run.create(tmp_path / "run", {}), bh.models.create("article", seed=9)

    def export(model):
        exported.p.flat[...] = 2 * model.p.flat
        return exported

    trained = trainer()
    trained.fit(DATA, quiet=True, run=run, export_model=export)
    np.testing.assert_array_equal(bh.load(run.model).p.flat, 2 * trained.model.p.flat)
    assert len(run.snapshots()) > 2
    np.testing.assert_array_equal(bh.load(run.snapshots()[0][1]).p.flat, 2 * bh.models.create("article").p.flat)
    np.testing.assert_array_equal(bh.load(run.checkpoint).p.flat, trained.model.p.flat)


def test_a_history_has_a_notebook_representation(tmp_path):
    trained = trainer()
    history = trained.fit(DATA, TEST, epochs=2, quiet=True)
    shown = trained.history._repr_html_()
    assert history is trained.history and shown.count("<svg") == 2 and shown.count("<polyline") == 4
    for row in history:
        assert f"{row['test_accuracy']:.2%}" in shown and f"{row['loss']:.4g}" in shown
    trained.save(tmp_path / "checkpoint")
    assert isinstance(bh.Trainer.load(tmp_path / "checkpoint").history, History)
    assert "<script" not in History([{"epoch": 1, "<script>": 2}])._repr_html_()
    assert "<svg" not in History()._repr_html_()
