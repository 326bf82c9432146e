"""Transfer learning: a new head, frozen layers, and training on features."""

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.errors import ArgumentError
from byhand.nn.graph_copy import copy_weights
from byhand.nn.split_frozen import split_frozen
from byhand.train.features import features_of

NAMES = ("resnet18", "mobilenet_v2", "densenet121", "googlenet", "squeezenet1_1", "vgg11", "lenet5", "resnet20_cifar")


def images(model, count=3):
    return np.random.default_rng(0).random((count, *model.input_shape)).astype(np.float32)


@pytest.mark.parametrize("unfreeze", [0, 1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_backbone_and_learner_in_turn_equal_the_model(name, unfreeze):
    small = {"vgg11": (32, 32, 3), "lenet5": (28, 28, 1), "resnet20_cifar": (32, 32, 3)}.get(name, (64, 64, 3))
    model = bh.models.create(name, 10, small).replace_head(["a", "b", "c"], unfreeze=unfreeze, seed=4)
    backbone, learner = split_frozen(model)
    assert learner.parameters.keys() == model.parameters.keys() and not backbone.parameters
    assert backbone.parameter_count + learner.parameter_count == model.parameter_count
    x = images(model)
    features = backbone.logits_of(x)
    got = learner.logits_of(features.reshape(len(x), *learner.input_shape))
    np.testing.assert_allclose(got, model.logits_of(x), rtol=1e-4, atol=1e-5)
    weights = sum(np.ndim(value) > 1 for value in model.parameters.values())
    assert weights >= 1 + unfreeze


def test_training_on_features_equals_training_the_frozen_network():
    rng = np.random.default_rng(1)
    x, labels = rng.random((24, 32, 32, 3)).astype(np.float32), rng.integers(0, 3, 24)
    model = bh.models.create("resnet20_cifar").replace_head(["a", "b", "c"], unfreeze=2)
    backbone, learner = split_frozen(model)
    features = backbone.logits_of(x).reshape(len(x), *learner.input_shape)
    for network, data in ((model, x), (learner, features)):
        trainer = bh.Trainer(network, bh.SGD(lr=0.02, momentum=0.9))
        for _ in range(6):
            trainer.step(data, labels)
    for name, value in model.parameters.items():
        np.testing.assert_allclose(learner.parameters[name], value, rtol=2e-4, atol=1e-6)
    other = bh.models.create("resnet20_cifar").replace_head(["a", "b", "c"], unfreeze=2)
    copy_weights(other, learner)
    np.testing.assert_allclose(other.logits_of(x), model.logits_of(x), rtol=1e-3, atol=1e-4)


def test_frozen_statistics_stay_when_layers_learn():
    model = bh.models.create("resnet20_cifar").replace_head(["a", "b"], unfreeze=3)
    before = {name: value.copy() for name, value in vars(model.state).items()}
    bh.Trainer(model, bh.SGD(lr=0.1)).step(images(model, 8), [0, 1] * 4)
    assert all((before[name] == value).all() for name, value in vars(model.state).items())


def test_too_many_layers_to_unfreeze_are_refused():
    with pytest.raises(ArgumentError, match=r"unfreeze is 9, but there are 4 layers with weights.*frozen=False"):
        bh.models.create("lenet5").replace_head(2, unfreeze=9)


def test_a_model_without_frozen_layers_is_not_split():
    with pytest.raises(ArgumentError, match="one tensor must lead from layers that are frozen"):
        split_frozen(bh.models.create("lenet5"))


def test_features_are_computed_once(monkeypatch, tmp_path):
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path))
    backbone, _ = split_frozen(bh.models.create("lenet5").replace_head(3))
    data, calls = bh.data.load("mnist")[1].take(30), []
    real = nn.Model.logits_of
    monkeypatch.setattr(
        nn.Model, "logits_of", lambda self, *words, **more: calls.append(1) or real(self, *words, **more)
    )
    first = features_of(backbone, data, "a")
    again = features_of(backbone, data, "a")
    assert len(calls) == 1 and first.shape == (1, 1, 84)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.images.reshape(30, -1), real(backbone, data.images))
    features_of(backbone, data, "b")  # other images
    next(value for value in vars(backbone.state).values() if value.ndim == 2)[...] *= 1.5  # another network
    changed = features_of(backbone, data, "a")
    assert len(calls) == 3 and not np.array_equal(changed.images, first.images)
    for path in (tmp_path / "features").iterdir():
        path.write_bytes(path.read_bytes()[:100])  # a truncated file
    np.testing.assert_array_equal(features_of(backbone, data, "a").images, changed.images)


def test_how_much_of_a_picture_it_saw_stays_with_a_network(tmp_path):
    model = bh.models.create("lenet5", crop_pct=0.8)
    model.save(tmp_path / "model.safetensors")
    assert bh.load(tmp_path / "model.safetensors").crop_pct == 0.8
    assert bh.load(tmp_path / "model.safetensors").replace_head(2).crop_pct == 0.8
    for wrong in (0, -1, 1.5, "much", float("nan")):
        with pytest.raises(ArgumentError, match="crop_pct is"):
            bh.models.create("lenet5", crop_pct=wrong)


def test_heads_of_several_layers():
    rng = np.random.default_rng(0)
    x = nn.Input(8, 8, 3)
    features = nn.GlobalAvgPool2d()(nn.ReLU()(nn.Conv2d(6, 3)(x)))
    first, second = nn.Linear(3)(features), nn.Linear(3)(features)
    endings = {
        "sum of two layers": first + second,
        "normalized": nn.BatchNorm()(first),
        "gated": nn.Softmax()(first * second),
    }
    for name, output in endings.items():
        model = nn.Model(x, output).replace_head(["a", "b"])
        assert model.logits.shape == (1, 2), name
        assert model.parameter_count == 2 * 6 + 2, f"{name}: one new layer on the six features"
        assert model.predict(rng.normal(size=(2, 8, 8, 3)).astype(np.float32)).shape == (2, 2)


def test_a_new_head_is_new():
    trained = bh.models.create("lenet5").replace_head(2)
    trained.p.head1_weight = np.full((84, 2), 7.0)
    again = trained.replace_head(["cat", "dog"], seed=1)
    assert not (next(iter(again.parameters.values())) == 7).any()
