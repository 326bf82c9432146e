"""VGG beside its twins in PyTorch: parameters, logits from the same weights, and that it learns."""

import pytest

from byhand.errors import ShapeError
from byhand.models.vgg import ARCHITECTURES

pytest.importorskip("torch")
import torch

from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count
from tests.models.twins_vgg import TWINS

COUNTS = {  # as torchvision publishes them
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameter_count(name):
    assert parameter_count(ARCHITECTURES[name], name) == COUNTS[name]
    with torch.device("meta"):  # no memory
        assert count(TWINS[name]()) == COUNTS[name]


def test_the_twins_logits_at_224(tmp_path):
    ours = model(ARCHITECTURES["vgg16"], "vgg16", seed=None)  # every parameter comes from the file
    assert difference(ours, TWINS["vgg16"](), tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", ["vgg11_bn", "vgg13", "vgg19"])
def test_the_convolutions_of_small_images(name, tmp_path):
    ours = model(ARCHITECTURES[name], name, (32, 40, 3), 10)
    twin = TWINS[name](classes=10)
    twin.avgpool, twin.classifier[0] = torch.nn.Identity(), torch.nn.Linear(512, 4096)  # the maps that there are, 1x1
    assert difference(ours, twin, tmp_path) < TOLERANCE


def test_larger_maps_are_averaged():
    ours = model(ARCHITECTURES["vgg11"], "vgg11", (224, 448, 3), 10, seed=None)
    assert ours.graph.tensor("avgpool").shape == (1, 7, 7, 512)
    assert ours.parameter_count == COUNTS["vgg11"] - 990 * 4097


def test_images_that_are_too_small():
    with pytest.raises(ShapeError, match=r"^features_20: the window reaches over 2 .* of 1"):
        model(ARCHITECTURES["vgg11"], "vgg11", (16, 32, 3), 10)


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
def test_it_learns(name):
    before, after = learns(model(ARCHITECTURES[name], name, (32, 32, 3), 4), steps=20, lr=0.0001)
    assert after < 0.5 * before
