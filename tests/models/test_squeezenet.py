"""SqueezeNet beside its twins in PyTorch: parameters, logits from the same weights, and that it learns."""

import pytest

from byhand.errors import ShapeError
from byhand.models.squeezenet import ARCHITECTURES

pytest.importorskip("torch")
from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count
from tests.models.twins_squeezenet import TWINS

COUNTS = {"squeezenet1_0": 1_248_424, "squeezenet1_1": 1_235_496}  # as torchvision publishes them
everyone = pytest.mark.parametrize("name", ARCHITECTURES)


@everyone
def test_parameter_count(name):
    assert parameter_count(ARCHITECTURES[name], name) == COUNTS[name]


@everyone
def test_the_twins_logits_at_224(name, tmp_path):
    twin = TWINS[name]()
    assert count(twin) == COUNTS[name]
    assert difference(model(ARCHITECTURES[name], name), twin, tmp_path) < TOLERANCE


@everyone
def test_the_twins_logits_of_small_images(name, tmp_path):
    ours = model(ARCHITECTURES[name], name, (51, 64, 3), 10)  # odd sizes: pools that hang over the edge
    assert difference(ours, TWINS[name](classes=10), tmp_path) < TOLERANCE


def test_images_that_are_too_small():
    with pytest.raises(ShapeError, match=r"^features_0: the window reaches over 7 .* of 6"):
        model(ARCHITECTURES["squeezenet1_0"], "squeezenet1_0", (6, 32, 3), 10)


@everyone
def test_it_learns(name):
    before, after = learns(model(ARCHITECTURES[name], name, (64, 64, 3), 4), steps=80, lr=0.0001)
    assert after < 0.5 * before
