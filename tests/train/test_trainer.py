"""The Trainer: updates against PyTorch, history, reproducibility and errors."""

import json
import threading

import numpy as np
import pytest

import byhand as bh
from byhand.data import Dataset
from byhand.ops import HANDS
from tests.oracle import needs_torch
from tests.train import record_optimizers
from tests.train.small_training import bits, network, plain, stripes

DATA = stripes()


# one update -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("optimizer", [bh.SGD(0.3, 0.9), bh.SGD(0.3, 0.9, nesterov=True), bh.Adam(0.1), bh.AdamW(0.1)])
def test_repeated_steps_overfit_a_small_batch(optimizer, hand):
    trainer, batch = plain(optimizer, hand=hand), DATA.take(6)
    first = trainer.step(batch.images, batch.labels)
    for _ in range(40):
        last = trainer.step(batch.images, batch.labels)
    assert 0.5 < first < 5 and last < 0.02
    assert trainer.steps == 41
    assert (trainer.model.predict(batch.images).argmax(1) == batch.labels).all()


def close(got, expected, tolerance):
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


def train_lenet(hand):
    """Return what byhand makes of LeNet-5, named as `record_optimizers.torch_lenet` names it."""
    (images, labels), model = record_optimizers.lenet_batch(), record_optimizers.lenet()
    trainer = bh.Trainer(model, record_optimizers.LENET_SGD, batch_size=record_optimizers.BATCH, hand=hand)
    trace = model.trace(images, labels, hand=hand)
    found = {"loss": np.array([trainer.step(images, labels)])}
    gradients = {name: value.copy() for name, value in vars(model.g).items() if name != "flat"}
    for name, gradient in gradients.items():
        close(gradient, trace[name], 1e-13)  # a trace is of the layers one by one, fused into nothing
    close(found["loss"][0], trace["loss"], 1e-13)
    more = [trainer.step(images, labels) for _ in range(record_optimizers.LENET_STEPS - 1)]
    return {"loss": np.append(found["loss"], more)} | gradients | model.parameters


@needs_torch
@pytest.mark.parametrize("hand", ["arrays", "compiled"])
def test_lenet_does_what_pytorch_does(hand):
    mine = train_lenet(hand)
    theirs = record_optimizers.torch_lenet(record_optimizers.lenet(), *record_optimizers.lenet_batch())
    assert mine.keys() == theirs.keys()
    assert theirs["loss"][0] > 1.1 * theirs["loss"][-1]
    for name, expected in theirs.items():
        close(mine[name], expected, 1e-10)


@pytest.mark.parametrize("hand", ["arrays", "compiled"])
def test_lenet_does_what_was_recorded_of_pytorch(hand):
    mine, recorded = train_lenet(hand), record_optimizers.read("lenet")
    assert mine.keys() == recorded.keys()
    for name, expected in recorded.items():
        close(record_optimizers.digest(mine[name]), expected, 1e-9)


def test_a_wrong_number_differs_from_the_record():
    right = np.random.default_rng(0).standard_normal((5, 5, 16))
    wrong = right.copy()
    wrong[3, 2, 7] += 1e-3
    assert np.abs(record_optimizers.digest(wrong) - record_optimizers.digest(right)).max() > 1e-4
    assert np.abs(record_optimizers.digest(right.swapaxes(0, 1)) - record_optimizers.digest(right)).max() > 1e-4


def test_all_hands_take_the_same_step_on_lenet():
    (images, labels), after = record_optimizers.lenet_batch(), {}
    for hand in HANDS:
        trainer = bh.Trainer(
            record_optimizers.lenet(), record_optimizers.LENET_SGD, hand=hand, clip_norm=0.5, label_smoothing=0.1
        )
        after[hand] = (trainer.step(images[:1], labels[:1]), trainer.model.p.flat, trainer.buffers["velocity"])
    for loops, *others in zip(*(after[hand] for hand in ("loops", *sorted(after.keys() - {"loops"})))):
        for other in others:
            np.testing.assert_allclose(other, loops, rtol=0, atol=1e-13)


def test_clip_norm_and_smoothing_count():
    after = [
        bits(trainer)
        for settings in ({}, {"clip_norm": 0.01}, {"label_smoothing": 0.1})
        if (trainer := plain(bh.SGD(), **settings)).step(DATA.images[:4], DATA.labels[:4])
    ]
    assert len(set(after)) == 3
    trainer = plain(bh.SGD(lr=1.0), clip_norm=0.01)
    before = trainer.model.p.flat.copy()
    trainer.step(DATA.images[:4], DATA.labels[:4])
    assert np.linalg.norm(trainer.model.p.flat - before) == pytest.approx(0.01, rel=1e-4)


def test_floating_point_images_are_taken_as_they_are():
    by_hand = (DATA.images.astype(np.float32) / 255 - 0.5) / 2
    taken = [
        bits(trainer)
        for images in (DATA.images, by_hand, by_hand.astype(np.float64))
        if (trainer := bh.Trainer(network(norm=False, std=2.0), bh.SGD())).step(images, DATA.labels)
    ]
    assert taken[0] == taken[1] == taken[2]
    floats = Dataset(by_hand, DATA.labels, DATA.classes)
    assert plain(bh.SGD()).fit(floats, quiet=True) != plain(bh.SGD()).fit(DATA, quiet=True)


def test_a_step_after_a_training_has_the_optimizers_own_rate(tmp_path):
    trainer = plain(bh.SGD(lr=0.1), schedule=bh.Cosine(), batch_size=8)
    trainer.fit(DATA, quiet=True)
    trainer.save(tmp_path / "checkpoint")
    loaded = bh.Trainer.load(tmp_path / "checkpoint")
    for trained in (trainer, loaded):
        trained.step(DATA.images, DATA.labels)
    assert bits(trainer) == bits(loaded)


# fit ------------------------------------------------------------------------------------------------------------------


def test_history_has_a_row_an_epoch():
    trainer = bh.Trainer(network(), bh.SGD(0.1, 0.9), batch_size=8)
    history = trainer.fit(DATA, DATA.take(10), epochs=6, quiet=True)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert all(list(row) == ["epoch", "loss", "accuracy", "test_loss", "test_accuracy"] for row in history)
    assert all(type(value) is float for row in history for name, value in row.items() if name != "epoch")
    assert history[-1]["loss"] < history[0]["loss"] and history[-1]["test_accuracy"] > 0.8
    assert history is trainer.history and json.loads(json.dumps(history)) == history
    test = trainer.evaluate(DATA.take(10))
    assert {f"test_{name}": value for name, value in test.items()}.items() <= history[-1].items()


def test_history_without_a_test_set():
    history = plain(bh.SGD()).fit(DATA, quiet=True)
    assert [list(row) for row in history] == [["epoch", "loss", "accuracy"]]


def test_a_rows_loss_and_accuracy_are_the_means_over_all_images():
    trainer = plain(bh.SGD(lr=0.0), batch_size=7)  # the network stays as it is: each image counts once
    (row,) = trainer.fit(DATA, DATA, quiet=True)
    assert row["loss"] == pytest.approx(row["test_loss"], abs=1e-6)
    assert row["accuracy"] == row["test_accuracy"]
    assert trainer.curve[-1][0] == 1.0


def handed_over(monkeypatch):
    """Return a list that gets the images of every step."""
    seen, run_steps = [], bh.Trainer._run_steps

    def looked_at(trainer, images, labels, batch, rates, rows):
        seen.extend(np.split(images[rows], len(rates)))
        return run_steps(trainer, images, labels, batch, rates, rows)

    monkeypatch.setattr(bh.Trainer, "_run_steps", looked_at)
    return seen


@pytest.mark.parametrize("points", [100, 1])
@pytest.mark.parametrize(
    ("count", "sizes"), [(48, [10] * 4 + [8]), (50, [10] * 5), (3, [3]), (11, [11]), (21, [10, 11])]
)
def test_every_image_is_used_once_an_epoch(monkeypatch, count, sizes, points):
    monkeypatch.setattr("byhand.train.state.CURVE_POINTS", points)  # steps by themselves, steps together
    data, seen = stripes(count), handed_over(monkeypatch)
    trainer = plain(bh.SGD(), batch_size=10)
    trainer.fit(data, epochs=2, quiet=True)
    assert [len(images) for images in seen] == sizes * 2
    assert trainer.steps == 2 * len(sizes)
    halves = [np.concatenate(part) for part in (seen[: len(sizes)], seen[len(sizes) :])]
    for half in halves:
        assert sorted(map(bytes, half)) == sorted(map(bytes, data.images))
    assert count == 3 or not np.array_equal(*halves), "each epoch has its own order"


def test_the_curve_has_about_a_hundred_points_and_weighs_to_the_rows():
    trainer = plain(bh.SGD(0.1), batch_size=1)
    (row,) = trainer.fit(DATA, quiet=True)
    assert len(trainer.curve) == len(DATA)
    assert np.mean([point[1] for point in trainer.curve]) == pytest.approx(row["loss"])
    trainer.fit(stripes(200), epochs=3, quiet=True)
    assert 90 <= len(trainer.curve) <= 110
    epochs = [point[0] for point in trainer.curve]
    assert epochs == sorted(epochs) and epochs[-1] == 3.0


@pytest.mark.parametrize("hand", ["arrays", "compiled"])
def test_rows_curve_and_progress_do_not_depend_on_how_steps_are_grouped(monkeypatch, hand):
    """The curve's points lie within epochs, at their ends, and across them."""
    together = bh.Trainer._group_size
    for points, batch in ((4, 5), (7, 4), (100, 1), (3, 48)):
        monkeypatch.setattr("byhand.train.state.CURVE_POINTS", points)
        found = []
        for most in (1, 3, 64):
            groups = []
            monkeypatch.setattr(
                bh.Trainer,
                "_group_size",
                lambda *given, most=most, groups=groups: groups.append(min(most, together(*given))) or groups[-1],
            )
            trainer = bh.Trainer(network(), bh.SGD(0.1, 0.9), batch_size=batch, hand=hand, schedule=bh.Cosine())
            rows = trainer.fit(DATA, epochs=3, quiet=True)
            found.append((rows, trainer.curve, trainer.steps, bits(trainer)))
            assert sum(groups) == trainer.steps == 3 * -(-48 // batch)
        assert found[0] == found[1] == found[2]
        assert len(groups) < trainer.steps or points == 100 or batch == 48


def test_the_step_named_is_the_one_that_diverged_however_steps_are_grouped(monkeypatch):
    said, together = set(), bh.Trainer._group_size
    monkeypatch.setattr("byhand.train.state.CURVE_POINTS", 2)
    for most in (1, 3, 12):
        monkeypatch.setattr(bh.Trainer, "_group_size", lambda *given, most=most: min(most, together(*given)))
        with pytest.raises(bh.DivergedError) as caught:
            plain(bh.SGD(lr=1e20), batch_size=2).fit(DATA, quiet=True)
        said.add(str(caught.value))
    assert len(said) == 1 and "at step" in said.pop()


@pytest.mark.parametrize("hand", HANDS)
def test_evaluate_against_a_direct_computation(hand):
    trainer, data = bh.Trainer(network(), bh.SGD(0.1), hand=hand), stripes(13)
    trainer.step(DATA.images[:8], DATA.labels[:8])
    logits = trainer.model.logits_of(data.images).astype(np.float64)
    norms = np.log(np.exp(logits).sum(1))
    loss = np.mean([norm - row[label] for norm, row, label in zip(norms, logits, data.labels)])
    right = sum(max(range(3), key=row.__getitem__) == label for row, label in zip(logits, data.labels))
    got = trainer.evaluate(data)
    assert got == {"loss": pytest.approx(loss, rel=1e-5), "accuracy": right / 13}
    assert 0 < right < 13, "or the test sees no wrong accuracy"


def test_evaluate_changes_nothing():
    trainer = bh.Trainer(network(), bh.SGD())
    before = bits(trainer)
    trainer.evaluate(DATA)
    assert bits(trainer) == before


def test_quiet_prints_nothing(capfd):
    plain(bh.SGD()).fit(DATA, DATA, epochs=2, quiet=True)
    assert capfd.readouterr() == ("", "")


def test_one_line_an_epoch_however_narrow(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    plain(bh.SGD()).fit(DATA, DATA, epochs=3)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line[:9] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"] and not err
    assert all("loss" in line and "accuracy" in line and "test" in line and "images/s" in line for line in lines)


def test_a_second_fit_continues():
    trainer = plain(bh.Adam(0.01), batch_size=10)
    (first,) = trainer.fit(DATA, epochs=1, quiet=True)
    again = trainer.fit(DATA, epochs=2, quiet=True)
    assert [row["epoch"] for row in again] == [1, 2] and again[0]["loss"] < first["loss"]
    assert trainer.steps == 15 and trainer.history == again
    trainer.fit(stripes(20), epochs=5, quiet=True)  # other data, another number of epochs
    assert trainer.steps == 25


def test_fit_again_draws_another_order(monkeypatch):
    trainer, seen = plain(bh.SGD()), handed_over(monkeypatch)
    trainer.fit(DATA, quiet=True)
    trainer.fit(DATA, quiet=True)
    assert not np.array_equal(*seen)


@pytest.mark.parametrize("optimizer", [bh.SGD(0.1, 0.9), bh.Adam(0.01)])
def test_the_seed_decides_every_bit(optimizer):
    def train(seed=3, weights=0, **settings):
        trainer = bh.Trainer(network(seed=weights), optimizer, batch_size=8, seed=seed, **settings)
        trainer.fit(DATA, epochs=2, quiet=True)
        return bits(trainer)

    assert train() == train()
    assert len({train(), train(seed=4), train(weights=1), train(schedule=bh.Cosine())}) == 4


def test_a_training_does_not_depend_on_numpys_global_seed():
    def train():
        trainer = bh.Trainer(network(), bh.SGD(), batch_size=8)
        trainer.fit(DATA, quiet=True)
        return bits(trainer)

    np.random.seed(1)
    first = train()
    np.random.seed(2)
    assert train() == first


def test_fit_works_in_any_thread(tmp_path):
    found, run = [], bh.Run.create(tmp_path / "run", {})
    reference = bh.Trainer(network(), bh.SGD())
    reference.fit(DATA, quiet=True)

    def train():
        trainer = bh.Trainer(network(), bh.SGD())
        trainer.fit(DATA, quiet=True, run=run)
        found.append(bits(trainer))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found == [bits(reference)] and run.finished


# errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "labels", "error", "says"),
    [
        (DATA.images[:2], [0, 3], bh.ArgumentError, "labels hold 3, but there are 3 classes"),
        (DATA.images[:2], [0, -1], bh.ArgumentError, "labels hold -1"),
        (DATA.images[:2], [0.0, 1.0], bh.ArgumentError, "labels hold float64; expected whole numbers"),
        (DATA.images[:2], [0], bh.ShapeError, r"labels have the shape \(1,\); expected \(2,\)"),
        (DATA.images[:2], [[0], [1]], bh.ShapeError, r"labels have the shape \(2, 1\)"),
        (DATA.images[0], [0], bh.ShapeError, r"for a single image, give image\[None\]"),
        (DATA.images[:2, ..., 0], [0, 1], bh.ShapeError, "add the channel axis"),
        (DATA.images[:2, :5], [0, 1], bh.ShapeError, r"\(2, 5, 6, 1\); expected \(N, 6, 6, 1\)"),
        (DATA.images[:0], [], bh.ByhandError, "expected"),
        (DATA.images[:2].astype(np.int32), [0, 1], bh.ArgumentError, "images hold int32; expected uint8"),
    ],
)
def test_a_step_on_what_does_not_fit_changes_nothing(images, labels, error, says):
    trainer = bh.Trainer(network(), bh.SGD(0.1, 0.9))
    before = bits(trainer)
    with pytest.raises(error, match=says):
        trainer.step(images, labels)
    assert bits(trainer) == before and trainer.steps == 0


FOUR = Dataset(DATA.images, np.append(DATA.labels[:-1], 3), ("a", "b", "c", "d"), "four")
SMALLER = stripes(20, size=5)
EMPTY = Dataset(DATA.images[:0], DATA.labels[:0], DATA.classes)


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        (FOUR, None, "labels hold 3, but there are 3 classes"),
        (DATA, FOUR, "labels hold 3, but there are 3 classes"),
        (SMALLER, None, r"5, 5, 1\); expected \(N, 6, 6, 1\)"),
        (DATA, SMALLER, r"5, 5, 1\); expected \(N, 6, 6, 1\)"),
        (EMPTY, None, "expected"),
        (DATA, EMPTY, "expected"),
    ],
)
def test_fit_looks_at_its_data_before_it_begins(train, test, says):
    trainer = bh.Trainer(network(), bh.SGD(), batch_size=8)
    before = bits(trainer)
    with pytest.raises(bh.ArgumentError, match=says):
        trainer.fit(train, test, epochs=2, quiet=True)
    assert bits(trainer) == before and trainer.steps == 0
    assert trainer.fit(DATA, DATA.take(4), epochs=1, quiet=True), "and is free for another training"


@pytest.mark.parametrize("epochs", [0, -1, 1.0, "2", True])
def test_epochs_are_a_whole_number(epochs):
    with pytest.raises(bh.ArgumentError, match="fit: epochs is"):
        plain(bh.SGD()).fit(DATA, epochs=epochs, quiet=True)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"batch_size": 0}, "Trainer: batch_size is 0"),
        ({"clip_norm": -1.0}, "Trainer: clip_norm is -1.0"),
        ({"clip_norm": float("nan")}, "Trainer: clip_norm is nan"),
        ({"label_smoothing": 1.0}, "Trainer: label_smoothing is 1.0"),
        ({"seed": -1}, "Trainer: seed is -1"),
        ({"seed": 0.5}, "Trainer: seed is 0.5"),
        ({"hand": "foot"}, "there is no hand 'foot'"),
        ({"schedule": "slow"}, "Trainer: schedule is 'slow'; expected one of Constant"),
        ({"schedule": bh.Cosine}, "Trainer: schedule is"),
        ({"optimizer": "adagrad"}, "Trainer: optimizer is 'adagrad'; expected one of Adam, AdamW, Muon, RMSprop, SGD"),
        ({"optimizer": bh.SGD}, "Trainer: optimizer is"),
    ],
)
def test_a_bad_setting_is_named(settings, says):
    with pytest.raises(bh.ByhandError, match=says):
        bh.Trainer(network(), **{"optimizer": bh.SGD()} | settings)


@pytest.mark.parametrize("hand", HANDS)
def test_a_nan_loss_stops_and_keeps_the_last_checkpoint(tmp_path, hand):
    data, run = stripes(8), bh.Run.create(tmp_path / "run", {})
    good = plain(bh.SGD(0.1))
    good.fit(data, quiet=True, run=run)
    before = {path: path.read_bytes() for path in (run.model, run.checkpoint)}
    trainer = plain(bh.SGD(lr=1e30), batch_size=2, hand=hand)
    with pytest.raises(
        bh.DivergedError, match=r"the loss became (nan|inf) at step \d: .*; try 0\.01, or in Python clip_norm=1"
    ):
        trainer.fit(data, quiet=True, run=run)
    assert {path: path.read_bytes() for path in before} == before
    assert bits(bh.Trainer.load(run.checkpoint)) == bits(good)


@pytest.mark.parametrize("test", [None, stripes(8)], ids=["no test", "test"])
def test_a_network_with_nan_is_not_saved(tmp_path, test):
    """The last step of a training may end in infinities, which no loss has seen."""
    run = bh.Run.create(tmp_path / "run", {})
    trainer = plain(bh.SGD(lr=1e300))
    with pytest.raises(bh.DivergedError, match="learning rate"):
        trainer.fit(stripes(8), test, quiet=True, run=run)
    assert not run.checkpoint.exists() and not run.finished


def test_a_wrong_dataset_or_model_is_refused():
    trainer = bh.Trainer(bh.models.create("article"), bh.SGD())
    for call in (lambda: trainer.fit(np.zeros((2, 28, 28, 1))), lambda: trainer.evaluate([1, 2])):
        with pytest.raises(bh.ArgumentError, match=r"expected a bh\.data\.Dataset"):
            call()
    with pytest.raises(bh.ArgumentError, match="model is a str; expected a Model"):
        bh.Trainer("lenet5", bh.SGD())
    with pytest.raises(bh.ArgumentError, match="batch is 0"):
        trainer.program(0)
    assert repr(trainer).startswith("<trainer of article: SGD(lr=0.01")


def normed():
    x = bh.nn.Input(2, 2, 1)
    return bh.nn.Model(x, bh.nn.Linear(2)(bh.nn.BatchNorm()(bh.nn.Flatten()(x))))


def test_a_last_image_alone_joins_the_batch_before_it():
    trainer = bh.Trainer(normed(), bh.SGD(), batch_size=4)
    rows = trainer.fit(bh.data.Dataset(np.zeros((9, 2, 2, 1), np.uint8), np.zeros(9, int), ("a", "b")), quiet=True)
    assert len(rows) == 1 and trainer.steps == 2


def test_batches_of_one_are_refused_before_the_first_step():
    data = bh.data.Dataset(np.zeros((9, 2, 2, 1), np.uint8), np.zeros(9, int), ("a", "b"))
    trainer = bh.Trainer(normed(), bh.SGD(), batch_size=1)
    with pytest.raises(bh.ShapeError, match=r"^norm1: .* train on batches of two images or more"):
        trainer.fit(data, quiet=True)
    assert trainer.steps == 0
