"""Every architecture by name: it can be made, counted, run and trained, and says what is wrong where it can't."""

import sys

import numpy as np
import pytest

import byhand as bh
from byhand import models
from byhand.errors import ArgumentError, ShapeError, UnknownNameError
from byhand.models import ARCHITECTURES
from tests.nn.cases import images

# name -> (parameters at 10 classes on the default images, at 3 classes on (32, 32, 3))
COUNTS = {
    "article": (3 * 3 * 1 * 8 + 1352 * 10 + 10, 3 * 3 * 3 * 8 + 15 * 15 * 8 * 3 + 3),
    "lenet5": (
        156 + 2_416 + 48_120 + 10_164 + 850,
        5 * 5 * 3 * 6 + 6 + 2_416 + 6 * 6 * 16 * 120 + 120 + 10_164 + 84 * 3 + 3,
    ),
}
COUNTS["lenet5_1998"] = COUNTS["lenet5"]
everyone = pytest.mark.parametrize("name", COUNTS)  # the small ones; each family has a file of tests of its own


def test_names():
    assert models.names() == sorted(ARCHITECTURES) and set(COUNTS) <= set(ARCHITECTURES)
    assert COUNTS["lenet5"][0] == 61_706 and COUNTS["article"][0] == 13_602


@everyone
def test_parameter_counts(name):
    assert models.create(name).parameter_count == COUNTS[name][0]
    assert models.create(name, 3, (32, 32, 3)).parameter_count == COUNTS[name][1]


@everyone
def test_forward(name):
    model = models.create(name)
    assert model.name == name and model.input_shape == (28, 28, 1) and model.classes == tuple("0123456789")
    p = model.predict(images(model, 3)[0])
    assert p.shape == (3, 10) and p.dtype == np.float32 and p.std() > 1e-4
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    other = models.create(name, 3, [32, 32, 3])
    assert other.predict(np.zeros((2, 32, 32, 3), np.uint8)).shape == (2, 3)


@everyone
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_steps_lower_the_loss(name, shape):
    model = models.create(name, 4, shape)
    x, labels = images(model, 8)
    trainer = bh.Trainer(model, bh.SGD(lr=0.001))
    losses = [trainer.step(x, labels) for _ in range(4)]
    assert losses[0] > losses[1] > losses[2] > losses[3]


@everyone
def test_the_seed_decides(name):
    one, same, other = (models.create(name, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.p.flat, same.p.flat)
    assert (one.p.flat != other.p.flat).any()
    np.testing.assert_array_equal(models.create(name).p.flat, models.create(name, seed=0).p.flat)


@everyone
def test_classes_by_name(name):
    for classes in (["cat", "dog"], ("cat", "dog")):
        model = models.create(name, classes)
        assert model.classes == ("cat", "dog") and model.predict(np.zeros((1, 28, 28, 1))).shape == (1, 2)


@everyone
def test_settings_reach_the_model(name):
    model = models.create(name, input_shape=(32, 32, 3), dtype=np.float64, mean=(0.1, 0.2, 0.3), std=2)
    assert model.dtype == np.float64 and model.mean == [0.1, 0.2, 0.3] and model.std == 2
    assert model.p.flat.dtype == np.float64


@pytest.mark.parametrize("name", models.names())
def test_an_architecture_has_its_source_on_top(name):
    one = ARCHITECTURES[name]
    module = sys.modules[getattr(one.build, "func", one.build).__module__]  # a partial has what it is part of
    assert any(word in module.__doc__ for word in ("arXiv", "Proc.", "NIPS", "article")), module.__name__
    assert 1998 <= one.year <= 2026 and one.paper and 0 < len(one.new) <= 72
    assert str(one.year) in module.__doc__ or name == "article"


def test_first_weights_of_the_article_are_the_articles():
    model = models.create("article", seed=3)
    assert abs(model.p.conv1_weight.std() * 9 - 1) < 0.3 and abs(model.p.fc1_weight.std() * 1352 - 1) < 0.05
    assert not model.p.fc1_bias.any() and "conv1_bias" not in model.parameters


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: models.create("lenet"), UnknownNameError, r"there is no model 'lenet'; did you mean 'lenet5'\? \(known: "),
        (lambda: models.create("zzz"), UnknownNameError, r"there is no model 'zzz' \(known: a.*lenet5"),
        (lambda: models.create("article", input_shape=(2, 28, 1)), ShapeError, "^conv1: the window reaches over 3 .* of 2"),
        (lambda: models.create("article", input_shape=(3, 3, 1)), ShapeError, "^pool1: the window reaches over 2 pixels"),
        (lambda: models.create("lenet5", input_shape=(8, 8, 1)), ShapeError, "^conv2: the window reaches over 5 .* of 4"),
        (lambda: models.create("lenet5", input_shape=(28, 10, 1)), ShapeError, "^pool2: the window reaches over 2 .* of 1"),
        (lambda: models.create("lenet5", input_shape=(0, 28, 1)), ArgumentError, "Input's shape is 0; expected a whole number"),
        (lambda: models.create("lenet5", input_shape=(28, 28)), ArgumentError, r"input_shape is \(28, 28\); expected \(H, W"),
        (lambda: models.create("lenet5", input_shape=28), ArgumentError, r"input_shape is 28; expected \(H, W, C\)"),
        (lambda: models.create("lenet5", classes=0), ArgumentError, "classes is 0; expected a whole number, 1 or more"),
        (lambda: models.create("lenet5", classes=2.5), ArgumentError, "classes is 2.5"),
        (lambda: models.create("lenet5", classes="ten"), ArgumentError, "classes is 'ten'"),
        (lambda: models.create("lenet5", classes=[]), ArgumentError, "units is 0"),
        (lambda: models.create("lenet5", seed=-1), ArgumentError, "seed is -1; expected a whole number, 0 or more"),
        (lambda: models.create("lenet5", seed=2.5), ArgumentError, "seed is 2.5"),
        (lambda: models.create("lenet5", auxiliary=True), ArgumentError, "lenet5 has no auxiliary heads; these have: "),
        (lambda: models.create("lenet5", dtype="int8"), ArgumentError, "dtype is int8; expected float32 or float64"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
