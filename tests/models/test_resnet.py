"""ResNet beside its twins in PyTorch: parameters, logits from the same weights, and that it learns."""

import pytest

from byhand.models.resnet import ARCHITECTURES

pytest.importorskip("torch")
from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count
from tests.models.twins_resnet import TWINS

COUNTS = {  # as torchvision publishes them
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}
LARGE = (64, 64, 3)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameter_count(name):
    assert parameter_count(ARCHITECTURES[name], name) == COUNTS[name]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_twins_logits_at_224(name, tmp_path):
    twin = TWINS[name]()
    assert count(twin) == COUNTS[name]
    assert difference(model(ARCHITECTURES[name], name), twin, tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", ["resnet34", "resnet101", "resnet152"])
def test_the_twins_logits_of_small_images(name, tmp_path):
    ours = model(ARCHITECTURES[name], name, (45, 64, 3), 10)  # odd sizes on the way down
    assert difference(ours, TWINS[name](classes=10), tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_it_learns(name):
    before, after = learns(model(ARCHITECTURES[name], name, (64, 64, 3), 4))
    assert after < 0.5 * before


def test_a_unit_answers_under_its_modules_name():
    nodes = {
        node.name: node.output.shape for node in model(ARCHITECTURES["resnet50"], "resnet50", seed=None).graph.nodes
    }
    assert nodes["layer1_0"] == (1, 56, 56, 256) and nodes["layer4_2"] == (1, 7, 7, 2048)
