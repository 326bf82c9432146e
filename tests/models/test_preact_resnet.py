"""Pre-activation ResNet beside its twins in PyTorch: parameters, logits from the same weights, and that it learns."""

import pytest

from byhand.models.preact_resnet import ARCHITECTURES

pytest.importorskip("torch")
from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count
from tests.models.twins_preact_resnet import TWINS

COUNTS = {"preact_resnet18": 11_687_720, "preact_resnet50": 25_549_352, "preact_resnet164_cifar": 1_703_258}
everyone = pytest.mark.parametrize("name", ARCHITECTURES)


@everyone
def test_parameter_count(name):
    assert parameter_count(ARCHITECTURES[name], name) == COUNTS[name] == count(TWINS[name]())


@pytest.mark.parametrize("name", ["preact_resnet50", "preact_resnet164_cifar"])
def test_the_twins_logits_at_its_own_size(name, tmp_path):
    depth = (
        5 if "164" in name else 1
    )  # PyTorch's own float32 is as far from its float64 there, 1.4e-5: logits reach 1e9
    assert difference(model(ARCHITECTURES[name], name), TWINS[name](), tmp_path) < depth * TOLERANCE


@everyone
def test_the_twins_logits_of_small_images(name, tmp_path):
    image = (13, 18, 3) if name.endswith("cifar") else (45, 64, 3)  # odd sizes on the way down
    assert difference(model(ARCHITECTURES[name], name, image, 7), TWINS[name](classes=7), tmp_path) < 5 * TOLERANCE


@everyone
def test_it_learns(name):
    before, after = learns(
        model(ARCHITECTURES[name], name, (32, 32, 3), 4), steps=12, lr=0.003 if "cifar" in name else 0.001
    )
    assert after < 0.5 * before
