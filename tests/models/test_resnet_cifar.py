"""ResNet for CIFAR beside its twin in PyTorch: parameters, logits and steps from the same weights, and that it learns."""

import numpy as np
import pytest

import byhand as bh
from byhand.models.resnet_cifar import ARCHITECTURES

pytest.importorskip("torch")
import torch

from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count
from tests.models.twins_resnet_cifar import ResNetCifar

COUNTS = {
    "resnet20_cifar": 269_722,
    "resnet32_cifar": 464_154,
    "resnet44_cifar": 658_586,
    "resnet56_cifar": 853_018,
    "resnet110_cifar": 1_727_962,
}
UNITS = {"resnet20_cifar": 3, "resnet32_cifar": 5, "resnet44_cifar": 7, "resnet56_cifar": 9, "resnet110_cifar": 18}
everyone = pytest.mark.parametrize("name", ARCHITECTURES)


@everyone
def test_parameter_count(name):
    assert parameter_count(ARCHITECTURES[name], name) == COUNTS[name] == count(ResNetCifar(UNITS[name]))


@everyone
def test_the_twins_logits_at_32(name, tmp_path):
    assert difference(model(ARCHITECTURES[name], name), ResNetCifar(UNITS[name]), tmp_path) < TOLERANCE


@pytest.mark.parametrize("hand", bh.ops.HANDS)
def test_the_twins_logits_with_every_hand(hand, tmp_path):
    image = (5, 3, 3) if hand == "loops" else (13, 18, 3)  # odd sizes: the last pixel stays
    ours = model(ARCHITECTURES["resnet20_cifar"], "resnet20_cifar", image, dtype=np.float64)
    assert difference(ours, ResNetCifar(3), tmp_path, hand=hand) < TOLERANCE


def test_the_twins_losses_step_by_step(tmp_path):
    ours, twin = model(ARCHITECTURES["resnet20_cifar"], "resnet20_cifar"), ResNetCifar(3)
    difference(ours, twin, tmp_path)  # they have the same weights now
    x, labels = np.random.default_rng(3).standard_normal((8, 32, 32, 3)).astype(np.float32), np.arange(8)
    trainer = bh.Trainer(ours, bh.SGD(lr=0.001))
    sgd = torch.optim.SGD(twin.train().parameters(), lr=0.001)
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(
            twin(torch.from_numpy(x).permute(0, 3, 1, 2)), torch.from_numpy(labels)
        )
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        assert trainer.step(x, labels) == pytest.approx(loss.item(), rel=1e-3)


@pytest.mark.parametrize("name", ["resnet20_cifar", "resnet110_cifar"])
def test_it_learns(name):
    before, after = learns(model(ARCHITECTURES[name], name))
    assert after < 0.5 * before
