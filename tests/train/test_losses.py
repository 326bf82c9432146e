"""Losses, class weights, soft labels, metrics, callbacks and schedule functions of the Trainer, against PyTorch."""

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.data import Dataset
from byhand.ops import HANDS
from byhand.train.losses import class_weights
from tests.oracle import needs_torch
from tests.train.small_training import plain, stripes

DATA = stripes()
WEIGHTS = [1.0, 2.0, 0.5]
SOFT = np.random.default_rng(1).dirichlet(np.ones(3), len(DATA))
LABELS = (SOFT > 0.3).astype(np.float32)  # several an image


def mean_absolute_error(outputs, labels):
    return np.abs(outputs - labels).mean(), np.sign(outputs - labels) / outputs.size


def torch_losses():
    """Return by name: the Trainer's settings, its labels, and the loss of PyTorch of the outputs and the labels."""
    import torch.nn.functional as F
    from torch import tensor

    def weighted(outputs, labels):
        return F.cross_entropy(outputs, labels, tensor(WEIGHTS).double(), reduction="sum") / len(labels)

    def weighted_soft(outputs, labels):
        return F.cross_entropy(outputs, labels.double(), tensor(WEIGHTS).double(), label_smoothing=0.1)

    def one_hot(outputs, labels):
        return F.binary_cross_entropy_with_logits(outputs, F.one_hot(labels, 3).double())

    return {
        "cross entropy": ({}, DATA.labels, F.cross_entropy),
        "class weights": ({"class_weight": WEIGHTS}, DATA.labels, weighted),
        "weights by name": ({"class_weight": {"across": 2, 2: 0.5}}, DATA.labels, weighted),
        "soft labels": ({}, SOFT, lambda z, y: F.cross_entropy(z, y.double())),
        "all of it": ({"class_weight": WEIGHTS, "label_smoothing": 0.1}, SOFT, weighted_soft),
        "mse": ({"loss": "mse"}, SOFT, lambda z, y: F.mse_loss(z, y.double())),
        "bce of classes": ({"loss": "bce"}, DATA.labels, one_hot),
        "bce": ({"loss": "bce"}, LABELS, lambda z, y: F.binary_cross_entropy_with_logits(z, y.double())),
        "a function": ({"loss": mean_absolute_error}, SOFT, lambda z, y: F.l1_loss(z, y.double())),
    }


NAMES = [
    "cross entropy",
    "class weights",
    "weights by name",
    "soft labels",
    "all of it",
    "mse",
    "bce of classes",
    "bce",
]


@needs_torch
@pytest.mark.parametrize("batch", [7, 48])  # 48: in micro-batches
@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("name", [*NAMES, "a function"])
def test_loss_and_gradients_are_pytorchs(name, hand, batch):
    import torch

    if hand == "loops" and batch > 7:
        return
    settings, labels, loss_of = torch_losses()[name]
    images, labels = DATA.images[:batch], labels[:batch]
    trainer = plain(bh.SGD(0.0), hand=hand, **settings)
    trace = trainer.model.trace(images)
    outputs = torch.tensor(trace["fc1"].astype(np.float64), requires_grad=True)
    expected = loss_of(outputs, torch.tensor(labels))
    expected.backward()
    assert trainer.step(images, labels) == pytest.approx(expected.item(), rel=1e-5)
    gradient = trace["flatten1"].T @ outputs.grad.numpy()  # of the last layer's weight
    np.testing.assert_allclose(trainer.model.g.grad_fc1_weight, gradient, atol=2e-6 * max(1, np.abs(gradient).max()))
    np.testing.assert_allclose(trainer.model.g.grad_fc1_bias, outputs.grad.numpy().sum(0), atol=2e-6)


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({"loss": "bce"}, DATA.labels),
        ({"class_weight": {0: 3}}, DATA.labels),
        ({}, np.eye(3)[DATA.labels]),
        ({"loss": "bce"}, np.eye(3)[DATA.labels]),
        ({"loss": mean_absolute_error}, np.eye(3)[DATA.labels]),
    ],
    ids=["bce of classes", "weights", "soft", "bce", "function"],
)
def test_a_training_learns(settings, labels):
    trainer = plain(bh.Adam(0.02), batch_size=8, **settings)
    rows = trainer.fit(DATA.images, labels, validation=(DATA.images, labels), epochs=25, quiet=True)
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"] and rows[-1]["val_accuracy"] > 0.8
    assert trainer.evaluate(DATA.images, labels)["accuracy"] == max(row["val_accuracy"] for row in rows)


def test_a_network_without_classes_learns_numbers():
    x, target = nn.Input(6, 6, 1), DATA.images.mean((1, 2, 3)) / 255
    model = nn.Model(x, nn.Sequential(nn.Flatten(), nn.Linear(1))(x), classes=())
    rows = model.fit(DATA.images, target, loss="mse", optimizer=bh.Adam(0.01), epochs=40, batch_size=8, quiet=True)
    assert rows[-1].keys() == {"epoch", "loss"} and rows[-1]["loss"] < 0.01
    np.testing.assert_allclose(model.predict(DATA.images)[:, 0], target, atol=0.25)
    assert model.evaluate(DATA.images, target, loss="mse").keys() == {"loss"}
    with pytest.raises(bh.ArgumentError, match="has no classes; take loss='mse'"):
        bh.Trainer(model, bh.SGD())


def ended(*layers, outputs=3, **settings):
    """Return a network that ends in layers, on the stripes' images."""
    return nn.Model(nn.Input(6, 6, 1), nn.Sequential(nn.Flatten(), nn.Linear(outputs), *layers), **settings)


@pytest.mark.parametrize(
    ("loss", "model", "message"),
    [
        ("bce", ended(), "gives classes, which loss='bce' does not fit; make it .*task='labels'"),
        ("bce", ended(task="numbers"), "gives numbers, .*task='labels'"),
        ("bce", ended(nn.HardSigmoid()), "contains the sigmoid, but model ends in a hard_sigmoid"),
        ("mse", ended(), "gives classes, which loss='mse' does not fit; make it .*task='numbers'"),
        ("mse", ended(nn.Softmax()), "gives classes, .*task='numbers'"),
        ("mse", ended(nn.Sigmoid()), "gives labels, .*task='numbers'"),
        (mean_absolute_error, ended(nn.Softmax()), "what is before its softmax; end it with the layer before"),
        (mean_absolute_error, ended(nn.Sigmoid()), "what is before its sigmoid"),
    ],
)
def test_a_loss_that_predict_would_not_answer_for_is_refused(loss, model, message):
    with pytest.raises(bh.ArgumentError, match=message):
        bh.Trainer(model, bh.SGD(), loss=loss)


def test_numbers_are_fitted_after_their_squash():
    model, target = ended(nn.Sigmoid(), task="numbers"), np.full((48, 3), 0.75, np.float32)
    rows = model.fit(DATA.images, target, loss="mse", optimizer=bh.Adam(0.02), epochs=20, batch_size=8, quiet=True)
    assert "accuracy" not in rows[-1]
    np.testing.assert_allclose(model.predict(DATA.images), target, atol=0.1)


@pytest.mark.parametrize("layers", [(nn.Sigmoid(),), ()], ids=["sigmoid", "logit"])
@pytest.mark.parametrize("kind", ["numbers", "bools", "column", "names", "floats"])
def test_one_sigmoid_learns_two_classes(layers, kind):
    data = stripes(classes=("down", "across"))
    labels = {
        "numbers": data.labels,
        "bools": data.labels == 1,
        "column": data.labels[:, None].astype(np.float32),
        "names": np.array(["a", "b"])[data.labels],
        "floats": 0.1 + 0.8 * data.labels,
    }[kind]
    model = ended(*layers, outputs=1, task="labels")
    settings = {"loss": "bce", "optimizer": bh.Adam(0.02), "epochs": 20, "batch_size": 8, "quiet": True}
    rows = model.fit(data.images, labels, validation=(data.images, labels), **settings)
    assert rows[-1]["accuracy"] > 0.9 and rows[-1]["val_accuracy"] > 0.9
    assert model.classes == (("a", "b") if kind == "names" else ("0", "1"))
    assert (model.predict(data.images).argmax(1) == data.labels).mean() > 0.9
    trainer = bh.Trainer(model, bh.SGD(0.0), loss="bce")
    whole = labels if kind in ("numbers", "column", "floats") else data.labels
    assert trainer.step(data.images, whole) == pytest.approx(trainer.evaluate(data.images, labels)["loss"], rel=1e-5)
    with pytest.raises(bh.ByhandError, match=r"expected \(N,\) or \(N, 1\)"):
        model.fit(data.images, np.eye(2, dtype=np.float32)[data.labels], **settings)


def test_an_accuracy_is_told_only_where_it_is_counted():
    model = ended(task="labels")
    rows = bh.Trainer(model, bh.SGD(0.01), loss=mean_absolute_error).fit(DATA.images, LABELS, quiet=True)
    assert rows[0].keys() == {"epoch", "loss"}


@pytest.mark.parametrize(
    ("settings", "labels", "message"),
    [
        ({}, SOFT * 2, "0 to 1|sum to 1"),
        ({}, LABELS, "sum to 1; for several labels an image take loss='bce'"),
        ({}, SOFT[:, :2], r"labels have the shape \(48, 2\); expected \(N,\) or \(N, 3\)"),
        ({"loss": "bce"}, SOFT - 1, "takes 0 to 1"),
        ({"loss": "mse"}, np.full_like(SOFT, np.nan), "NaN"),
        ({"loss": lambda z, y: 1.0}, SOFT, r"returned a float; expected \(loss, gradient\)"),
        ({"loss": lambda z, y: (1.0, z[0])}, SOFT, r"expected \(\) and \(48, 3\)"),
        ({}, DATA.labels + 1, "expected 0 to 2"),
        ({}, DATA.labels[:5], "expected"),
    ],
)
def test_labels_that_a_loss_does_not_take(settings, labels, message):
    trainer = plain(bh.SGD(0.1), **settings)
    before = trainer.model.p.flat.copy()
    with pytest.raises(bh.ArgumentError, match=message):
        trainer.step(DATA.images, labels)
    np.testing.assert_array_equal(trainer.model.p.flat, before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("balanced", "bincount"),
        ([1, 2], "2 numbers; expected 3"),
        ({"cow": 1}, "no class 'cow'"),
        ([1, 2, -1], "weight"),
    ],
)
def test_class_weights_that_do_not_fit(given, message):
    with pytest.raises(bh.ByhandError, match=message):
        class_weights(given, DATA.classes)
    with pytest.raises(bh.ArgumentError, match="are for loss='cross_entropy'"):
        plain(bh.SGD(), loss="bce", class_weight=WEIGHTS)


def test_metrics_are_in_the_rows_of_what_is_evaluated():
    def second(labels, probabilities):
        np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
        return (probabilities.argsort(1)[:, 1] == labels).mean()

    trainer = plain(bh.SGD(0.1), metrics=["accuracy", second])
    (row,) = trainer.fit(DATA, DATA, validation=DATA, quiet=True)
    assert {"val_second", "test_second", "val_accuracy"} <= row.keys()
    assert trainer.evaluate(DATA)["second"] == row["test_second"]
    with pytest.raises(bh.ArgumentError, match=r"metric bad returned an array \(48, 3\)"):
        plain(bh.SGD(0.1), metrics={"bad": lambda labels, probabilities: probabilities}).evaluate(DATA)


def test_callbacks_see_every_row_and_can_end_a_training(capsys):
    seen = []
    trainer = plain(bh.SGD(0.1))
    rows = trainer.fit(DATA, epochs=5, callbacks=[seen.append, lambda row: row["epoch"] == 3])
    assert len(rows) == 3 == len(seen) and trainer.state is None
    assert "a callback ended the training" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (lambda step: 1 / (1 + step), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6]),
        (lambda epoch: 0.1**epoch, [1, 1, 1, 0.1, 0.1, 0.1]),
        (lambda progress: 1 - progress, [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
    ],
)
def test_a_schedule_is_a_function_of_what_it_names(schedule, expected):
    trainer = plain(bh.SGD(0.5), batch_size=16, schedule=schedule)
    rates, step = [], trainer._run_steps

    def looked_at(images, labels, size, learning_rates, rows):
        rates.extend(learning_rates)
        return step(images, labels, size, learning_rates, rows)

    trainer._run_steps = looked_at
    trainer.fit(DATA, epochs=2, quiet=True)
    np.testing.assert_allclose(rates, 0.5 * np.array(expected))


def test_a_checkpoint_names_the_functions_that_it_can_not_hold(tmp_path):
    settings = {"schedule": lambda step: 1.0, "loss": mean_absolute_error}
    trainer = plain(bh.SGD(0.1), **settings)
    trainer.step(DATA.images, SOFT)
    trainer.save(tmp_path / "trainer")
    with pytest.raises(
        bh.FileError, match=r"its schedule is a function of yours; give it: Trainer.load\(path, schedule=...\)"
    ):
        bh.Trainer.load(tmp_path / "trainer")
    other = bh.Trainer.load(tmp_path / "trainer", **settings)
    assert other.step(DATA.images, SOFT) == trainer.step(DATA.images, SOFT)
    weighted = plain(bh.RMSprop(0.01), class_weight=WEIGHTS)
    weighted.step(DATA.images, DATA.labels)
    weighted.save(tmp_path / "weighted")
    again = bh.Trainer.load(tmp_path / "weighted")
    assert again.class_weight == tuple(WEIGHTS) and again.optimizer == weighted.optimizer
    assert again.step(DATA.images, DATA.labels) == weighted.step(DATA.images, DATA.labels)


def test_a_data_set_holds_targets():
    assert Dataset(DATA.images, SOFT, DATA.classes).rows(slice(5)).labels.dtype == np.float32
    assert Dataset(DATA.images, SOFT[:, 0], ()).labels.shape == (48,)
    with pytest.raises(bh.ShapeError, match="need targets of shape"):
        Dataset(DATA.images, SOFT[:, :2], DATA.classes)


def test_a_name_of_several_classes_is_refused_where_it_decides():
    with pytest.raises(bh.ArgumentError, match="several classes are called 'crane'; give a list"):
        class_weights({"crane": 2}, ("crane", "heron", "crane"))
    assert class_weights({"heron": 2, 0: 3}, ("crane", "heron", "crane")) == (3, 2, 1)
    model = bh.models.create("small", input_shape=(8, 8, 1), classes=["crane", "heron", "crane"])
    with pytest.raises(bh.ArgumentError, match="'crane', the name of several classes; give class numbers"):
        bh.Trainer(model, bh.SGD()).fit(np.zeros((4, 8, 8, 1), np.uint8), ["crane", "heron"] * 2, epochs=1)
