"""MobileNetV3 beside its twins in PyTorch: parameters, logits from the same weights, and that it learns."""

import numpy as np
import pytest

from byhand.models.mobilenet_v3 import ARCHITECTURES

pytest.importorskip("torch")
from tests.models.twins_agree import count, difference, learns, model, parameter_count
from tests.models.twins_mobilenet_v3 import TWINS

COUNTS = {"mobilenet_v3_large": 5_483_032, "mobilenet_v3_small": 2_542_856}  # as torchvision publishes them

GATED = 2e-4  # as TOLERANCE; gates multiply rounding: PyTorch's own float32 is up to 8e-5 off its float64 here
EXACT = 1e-11  # in float64, where nothing hides behind rounding


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameter_count(name):
    assert parameter_count(ARCHITECTURES[name], name) == count(TWINS[name]()) == COUNTS[name]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_twins_logits_at_224(name, tmp_path):
    assert difference(model(ARCHITECTURES[name], name), TWINS[name](), tmp_path) < GATED


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_twins_logits_of_odd_images(name, tmp_path):
    ours = model(ARCHITECTURES[name], name, (61, 40, 3), 10, dtype=np.float64)
    assert difference(ours, TWINS[name](classes=10).double(), tmp_path) < EXACT


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_learns(name):
    before, after = learns(model(ARCHITECTURES[name], name, (64, 64, 3), 4), steps=10)
    assert after < 0.3 * before
