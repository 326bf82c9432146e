"""AlexNet beside its twin in PyTorch: parameters, logits from the same weights, and that it learns."""

import pytest

from byhand.errors import ShapeError
from byhand.models.alexnet import ARCHITECTURES

pytest.importorskip("torch")
from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count
from tests.models.twins_alexnet import AlexNet

ALEXNET = ARCHITECTURES["alexnet"]
COUNT = 61_100_840  # as torchvision publishes it


def test_parameter_count():
    assert parameter_count(ALEXNET, "alexnet") == COUNT


def test_the_twins_logits_at_224(tmp_path):
    twin = AlexNet()
    assert count(twin) == COUNT
    assert difference(model(ALEXNET, "alexnet", seed=None), twin, tmp_path) < TOLERANCE


def test_larger_maps_are_averaged(tmp_path):
    ours = model(ALEXNET, "alexnet", (224, 415, 3), 10, seed=None)  # maps of 6 x 12
    assert ours.graph.tensor("avgpool").shape == (1, 6, 6, 256)
    assert difference(ours, AlexNet(10), tmp_path) < TOLERANCE


def test_smaller_maps_are_taken_as_they_are():
    assert model(ALEXNET, "alexnet", (63, 63, 3), 10, seed=None).parameters["classifier_1_weight"].shape == (256, 4096)
    with pytest.raises(ShapeError, match=r"^pool3: the window reaches over 3 .* of 2"):
        model(ALEXNET, "alexnet", (62, 50, 3), 10)


def test_it_learns():
    before, after = learns(model(ALEXNET, "alexnet", (64, 64, 3), 4), steps=20, lr=0.0001)
    assert after < 0.5 * before
