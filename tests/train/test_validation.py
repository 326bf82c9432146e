"""Validation: the best epoch is kept, early stopping, and resume."""

import json

import numpy as np
import pytest

import byhand as bh
from byhand.data import Augment, Dataset
from byhand.errors import ArgumentError
from tests.train.small_training import bits, network, stripes

TRAIN, VAL, TEST = stripes(90, seed=1), stripes(40, seed=2), stripes(30, seed=3)


def trainer(**settings):
    return bh.Trainer(network(), bh.SGD(lr=settings.pop("lr", 0.05), momentum=0.9), batch_size=10, **settings)


def merit(row):
    return row["val_accuracy"], -row["val_loss"]


def test_the_network_is_what_it_was_after_its_best_epoch():
    trained = trainer(lr=0.4)  # so large that the last epoch is not the best
    history = trained.fit(TRAIN, TEST, validation=VAL, epochs=12, quiet=True)
    best = max(history, key=merit)
    assert best is not history[-1], "the test is of no use otherwise"
    assert {"test_loss", "val_accuracy"} <= best.keys()
    now = trained.evaluate(VAL)
    assert (now["accuracy"], now["loss"]) == (best["val_accuracy"], best["val_loss"])
    assert trained.evaluate(TEST)["loss"] == best["test_loss"]
    shorter = trainer(lr=0.4)
    shorter.fit(TRAIN, validation=VAL, epochs=12, quiet=True, early_stopping=12)
    assert bits(shorter) == bits(trained)


def test_without_images_to_validate_on_the_last_epoch_counts():
    trained = trainer(lr=0.4)
    history = trained.fit(TRAIN, TEST, epochs=3, quiet=True)
    assert trained.evaluate(TEST)["loss"] == history[-1]["test_loss"] and not trained.best


@pytest.mark.parametrize("patience", [1, 3])
def test_training_stops_early(patience):
    wrong = Dataset(VAL.images, (VAL.labels + 1) % 3, VAL.classes)  # the more is learned, the worse
    trained = trainer(lr=0.05)
    history = trained.fit(TRAIN, validation=wrong, epochs=60, early_stopping=patience, quiet=True)
    best = max(range(len(history)), key=lambda row: merit(history[row]))
    assert len(history) == best + 1 + patience < 60
    assert trained.state is None and trained.evaluate(wrong)["loss"] == history[best]["val_loss"]


def test_stopping_early_needs_images_to_judge_by():
    with pytest.raises(ArgumentError, match="early_stopping needs images to validate on"):
        trainer().fit(TRAIN, TEST, epochs=2, early_stopping=2, quiet=True)
    with pytest.raises(ArgumentError, match="early_stopping is 0; expected a whole number, 1 or more"):
        trainer().fit(TRAIN, validation=VAL, epochs=2, early_stopping=0, quiet=True)


SETTINGS = {"epochs": 6, "validation": VAL, "early_stopping": 3, "quiet": True}


@pytest.mark.parametrize("augment", ["none", "flip,shift=1,rotate=20,crop=0.2,cutout=2,mixup=0.4"])
@pytest.mark.parametrize("stop", [4, 9, 18, 31])
def test_a_resumed_training_keeps_the_same_best(tmp_path, monkeypatch, stop, augment):
    """Stopped after any step, the best epoch before it included, training ends in the same bits."""
    kept = {"augment": Augment.parse(augment), "lr": 0.3}
    whole = trainer(**kept)
    rows = whole.fit(TRAIN, **SETTINGS)
    run = bh.Run.create(tmp_path / "run", {})
    cut = trainer(**kept)
    done = bh.Trainer._run_steps

    def stopped(self, *arguments, **more):
        result = done(self, *arguments, **more)
        if self.steps >= stop:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(bh.Trainer, "_group_size", lambda *_: 1)
    monkeypatch.setattr(bh.Trainer, "_run_steps", stopped)
    with pytest.raises(KeyboardInterrupt):
        cut.fit(TRAIN, run=run, **SETTINGS)
    monkeypatch.setattr(bh.Trainer, "_run_steps", done)
    again = bh.Trainer.load(run.checkpoint) if run.checkpoint.exists() else trainer(**kept)
    assert str(again.augment) == augment
    assert again.fit(TRAIN, run=run, **SETTINGS) == rows
    assert bits(again)[: whole.model.p.flat.nbytes] == bits(whole)[: whole.model.p.flat.nbytes]
    np.testing.assert_array_equal(bh.load(run.folder).predict(VAL.images), whole.model.predict(VAL.images))


def test_a_checkpoint_with_a_best_that_is_none_gets_one_line(tmp_path):
    run = bh.Run.create(tmp_path / "run", {})
    trained = trainer()
    trained.fit(TRAIN, validation=VAL, epochs=2, quiet=True, run=run)
    data = run.checkpoint.read_bytes()
    assert b'best_epoch\\": ' in data
    size = int.from_bytes(data[:8], "little")
    about = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["byhand"])["trainer"]["state"]["best_epoch"]
    run.checkpoint.write_bytes(data.replace(f'best_epoch\\": {about}'.encode(), b'best_epoch\\": 9'))
    with pytest.raises(bh.errors.FileError, match="its best epoch is 9, which its history does not hold"):
        bh.Trainer.load(run.checkpoint)


@pytest.mark.parametrize("augment", ["none", "shift=1"])
def test_an_epoch_of_some_images(augment):
    trained = trainer(augment=Augment.parse(augment))
    trained.fit(TRAIN, epochs=3, epoch_size=25, quiet=True)
    assert trained.steps == 9
    assert trainer().fit(TRAIN, epochs=1, epoch_size=10_000, quiet=True) == trainer().fit(TRAIN, epochs=1, quiet=True)


def test_varied_images_are_drawn_anew_each_epoch_and_the_same_each_time():
    seen = []

    class Watched(Augment):
        def __call__(self, images, uniforms, others=None):
            varied = super().__call__(images, uniforms, others)
            seen.extend(zip(uniforms[:, 0].tolist(), (image.tobytes() for image in varied)))
            return varied

    drawn = []
    for _ in range(2):
        trainer(augment=Watched(flip=True, shift=2)).fit(TRAIN, epochs=2, quiet=True)
        drawn.append(sorted(seen))  # threads made them, in any order
        seen.clear()
    assert drawn[0] == drawn[1] and len(drawn[0]) == 2 * len(TRAIN)
    assert len({number for number, _ in drawn[0]}) == 2 * len(TRAIN), "no number is drawn twice"


def test_augmentation_must_be_one():
    with pytest.raises(ArgumentError, match=r"augment is 3; expected a bh\.data\.Augment, or a text"):
        trainer(augment=3)
