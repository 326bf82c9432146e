"""The end of a training before its last step: nothing left to learn, no time left; what it says and keeps."""

import dataclasses
import json

import numpy as np
import pytest

import byhand as bh
from byhand.train.state import TrainingState
from byhand.train.stopping import Stopping, smallest_loss
from tests.train.small_training import network, stripes

DATA = stripes(60)


def state(*rows, best=0):
    history = [
        {"epoch": i + 1, "loss": loss, "accuracy": 1.0, "val_loss": loss, "val_accuracy": val}
        for i, (loss, val) in enumerate(rows)
    ]
    return TrainingState(
        20, 100, 0, steps_done=10 * len(rows), history=bh.train.history.History(history), best_epoch=best
    )


@pytest.mark.parametrize(
    ("rows", "best", "says"),
    [
        (
            [(0.005, 1.0)] * 3,
            3,
            "all validation images are right, and the training loss has been below 0.01 for 3 epochs",
        ),
        ([(0.005, 1.0)] * 2, 2, ""),  # not long enough
        ([(0.02, 1.0)] * 9, 9, ""),  # not small enough
        ([(0.005, 0.98)] * 9, 9, ""),  # the validation images still gain
        ([(0.0005, 0.98)] * 7, 2, "below 0.001 for 5 epochs, without a gain on the validation images"),
        ([(0.0005, 0.98)] * 6, 2, ""),
    ],
)
def test_a_training_ends_once_nothing_is_left_to_learn(rows, best, says):
    reason = Stopping(when_learned=True).reason(state(*rows, best=best), 200)
    assert says in reason and bool(reason) == bool(says)
    assert not Stopping().reason(state(*rows, best=best), 200), "where it was not asked for"


def test_label_smoothing_leaves_a_loss():
    smoothed = smallest_loss(0.1, 3)
    logits = np.log(np.array([[1 - 0.1 + 0.1 / 3, 0.1 / 3, 0.1 / 3]]))
    assert smoothed == pytest.approx(float(bh.softmax_cross_entropy(logits, np.array([0]), label_smoothing=0.1)))
    assert Stopping(when_learned=True, smallest_loss=smoothed).reason(state(*[(smoothed + 0.005, 1.0)] * 3), 200)


def trainer():
    return bh.Trainer(network(norm=False, dropout=0), bh.Adam(0.01), batch_size=10)


def test_an_early_end_is_said_and_stays_when_resumed(tmp_path, capsys):
    run, learned = bh.Run.create(tmp_path / "run", {}), trainer()
    rows = learned.fit(DATA, validation=DATA, epochs=500, stop_when_learned=True, run=run)
    out = capsys.readouterr().out
    assert len(rows) < 500 and "nothing is left to learn: all validation images are right" in out
    assert f"epoch {len(rows)}/500" in out, "the last epoch is printed, though not every epoch is"
    assert out.count("epoch ") < 30 and len(run.rows()) == len(rows)
    again = bh.Trainer.load(run.checkpoint)
    assert again.fit(DATA, validation=DATA, quiet=True) == rows


def test_no_time_left_ends_after_a_step_with_an_evaluated_network(tmp_path, capsys):
    run = bh.Run.create(tmp_path / "run", {})
    rows = trainer().fit(DATA, DATA, epochs=500, max_seconds=0, run=run)
    assert len(rows) == 1 and rows[0]["test_accuracy"] >= 0 and run.finished
    assert "of 3,000 planned steps are done" in capsys.readouterr().out
    again = bh.Trainer.load(run.checkpoint)
    assert again.fit(DATA, DATA, quiet=True) == rows, "resumed, it does not go on"


def test_a_resumed_run_writes_the_log_lines_that_a_kill_lost(tmp_path):
    run = bh.Run.create(tmp_path / "run", {})
    stopped = trainer()
    stopped.fit(DATA, epochs=4, quiet=True, run=run)
    log = run.folder / "log.jsonl"
    stopped.state = dataclasses.replace(
        TrainingState(8, 60, 0, steps_done=24), history=stopped.history, curve=stopped.curve
    )
    stopped.save(run.checkpoint)
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:2]))  # the kill came before lines 3 and 4
    bh.Trainer.load(run.checkpoint).fit(DATA, quiet=True, run=run)
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == list(range(1, 9))


def test_nan_pixels_are_no_learning_rate():
    pixels = DATA.images.astype(np.float32) / 255
    pixels[7, 0, 0] = np.nan
    data = bh.data.Dataset(pixels, DATA.labels, DATA.classes)
    with pytest.raises(bh.errors.ArgumentError, match=r"1 of 60 training images holds NaN .*, image 7 first"):
        trainer().fit(data, quiet=True)
    with pytest.raises(bh.errors.ArgumentError, match="of 60 validation images"):
        trainer().fit(DATA, validation=data, quiet=True)


def test_a_first_loss_that_is_not_finite_is_no_learning_rate():
    broken = trainer()
    broken.model.p.flat[:] = np.inf
    with pytest.raises(bh.DivergedError, match="at the first step, before any update: no learning rate is the cause"):
        broken.fit(DATA, quiet=True)


@pytest.mark.parametrize("lr", [1e25, 1e30])
@pytest.mark.parametrize("schedule", [bh.OneCycle(), bh.Warmup(), None])
def test_a_rate_that_diverges_gets_a_smaller_one(lr, schedule):
    diverging = bh.Trainer(network(norm=False, dropout=0), bh.SGD(lr), batch_size=10, schedule=schedule)
    with pytest.raises(bh.DivergedError, match="is too large") as raised, np.errstate(all="ignore"):
        diverging.fit(DATA, epochs=9, quiet=True)
    words = str(raised.value).split()
    was, advised = float(words[words.index("rate") + 1]), float(words[words.index("try") + 1].rstrip(","))
    assert advised < was
