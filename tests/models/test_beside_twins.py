"""Families of one network beside its twin in PyTorch: parameters, logits from the same weights, and that it learns."""

import pytest

from byhand.models import ARCHITECTURES

pytest.importorskip("torch")
from tests.models import twins_convnext, twins_mobilenet_v1, twins_mobilenet_v2
from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count

TWINS = twins_convnext.TWINS | twins_mobilenet_v1.TWINS | twins_mobilenet_v2.TWINS
COUNTS = {  # as torchvision publishes them; mobilenet_v1: the trainable ones, as Keras does
    "convnext_tiny": 28_589_128,
    "mobilenet_v1": 4_231_976,
    "mobilenet_v2": 3_504_872,
}


@pytest.mark.parametrize("name", TWINS)
def test_parameter_count(name):
    assert parameter_count(ARCHITECTURES[name], name) == count(TWINS[name]()) == COUNTS[name]


@pytest.mark.parametrize("name", TWINS)
def test_the_twins_logits_at_224(name, tmp_path):
    assert difference(model(ARCHITECTURES[name], name), TWINS[name](), tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", TWINS)
def test_the_twins_logits_of_odd_images(name, tmp_path):
    assert difference(model(ARCHITECTURES[name], name, (61, 40, 3), 10), TWINS[name](10), tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", TWINS)
def test_it_learns(name):
    before, after = learns(model(ARCHITECTURES[name], name, (64, 64, 3), 4), steps=10)
    assert after < 0.3 * before
