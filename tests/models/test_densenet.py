"""DenseNet beside its twins in PyTorch: parameters, logits from the same weights, and that it learns."""

import pytest

from byhand.errors import ShapeError
from byhand.models.densenet import ARCHITECTURES

pytest.importorskip("torch")
from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count
from tests.models.twins_densenet import TWINS

COUNTS = {
    "densenet121": 7_978_856,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
}  # as torchvision publishes them


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameter_count(name):
    assert parameter_count(ARCHITECTURES[name], name) == COUNTS[name]


def test_the_twins_logits_at_224(tmp_path):
    twin = TWINS["densenet121"]()
    assert count(twin) == COUNTS["densenet121"]
    assert difference(model(ARCHITECTURES["densenet121"], "densenet121"), twin, tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", ["densenet169", "densenet201"])
def test_the_twins_logits_of_small_images(name, tmp_path):
    ours = model(ARCHITECTURES[name], name, (45, 64, 3), 10)  # odd sizes on the way down
    assert difference(ours, TWINS[name](classes=10), tmp_path) < TOLERANCE


def test_images_that_are_too_small():
    with pytest.raises(ShapeError, match=r"^features_transition3_pool: the window reaches over 2 .* of 1"):
        model(ARCHITECTURES["densenet121"], "densenet121", (16, 32, 3), 10)


def test_it_learns():
    before, after = learns(model(ARCHITECTURES["densenet121"], "densenet121", (64, 64, 3), 4))
    assert after < 0.5 * before
