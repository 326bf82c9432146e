"""ShuffleNet V2 beside its twins in PyTorch: parameters, logits from the same weights, and that it learns."""

import pytest

from byhand.models.shufflenet_v2 import ARCHITECTURES

pytest.importorskip("torch")
from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count
from tests.models.twins_shufflenet_v2 import TWINS

COUNTS = {  # as torchvision publishes them
    "shufflenet_v2_x0_5": 1_366_792,
    "shufflenet_v2_x1_0": 2_278_604,
    "shufflenet_v2_x1_5": 3_503_624,
    "shufflenet_v2_x2_0": 7_393_996,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameter_count(name):
    assert parameter_count(ARCHITECTURES[name], name) == count(TWINS[name]()) == COUNTS[name]


def test_the_twins_logits_at_224(tmp_path):
    name = "shufflenet_v2_x1_0"
    assert difference(model(ARCHITECTURES[name], name), TWINS[name](), tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_twins_logits_of_odd_images(name, tmp_path):
    ours = model(ARCHITECTURES[name], name, (61, 40, 3), 10)
    assert difference(ours, TWINS[name](classes=10), tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "shufflenet_v2_x1_0"])
def test_it_learns(name):
    before, after = learns(model(ARCHITECTURES[name], name, (64, 64, 3), 4), steps=10)
    assert after < 0.3 * before
