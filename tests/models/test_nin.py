"""Network in network beside its twin in PyTorch: parameters, logits from the same weights, and that it learns."""

import numpy as np
import pytest

from byhand.errors import ShapeError
from byhand.models.nin import ARCHITECTURES

pytest.importorskip("torch")
from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count
from tests.models.twins_nin import NiN

NIN = ARCHITECTURES["nin"]
COUNT = (75 * 192 + 192 * 160 + 160 * 96 + 2400 * 192 + 2 * 192 * 192 + 1728 * 192 + 192 * 192 + 192 * 10) + (
    6 * 192 + 160 + 96 + 10  # biases
)


def test_parameter_count():
    assert parameter_count(NIN, "nin") == COUNT == count(NiN()) == 966_986


@pytest.mark.parametrize("image", [(32, 32, 3), (21, 18, 3)])
def test_the_twins_logits(image, tmp_path):
    assert difference(model(NIN, "nin", image), NiN(), tmp_path) < TOLERANCE


def test_the_twins_logits_with_arrays(tmp_path):
    ours = model(NIN, "nin", (11, 8, 3), 3, dtype=np.float64)
    assert difference(ours, NiN(3), tmp_path, hand="arrays") < TOLERANCE


def test_images_that_are_too_small():
    with pytest.raises(ShapeError, match=r"^pool1: the window reaches over 3 .* of 2"):
        model(NIN, "nin", (2, 32, 3), 10)


@pytest.mark.parametrize("size", [16, 32])
def test_it_learns(size):
    before, after = learns(model(NIN, "nin", (size, size, 3), 4), steps=40)
    assert after < 0.5 * before
