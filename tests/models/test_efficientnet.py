"""EfficientNet-B0 and Lite0 beside their twins in PyTorch: parameters, logits from the same weights, and that they learn."""

import numpy as np
import pytest

from byhand import models
from byhand.models.efficientnet import ARCHITECTURES

pytest.importorskip("torch")
import torch
from safetensors.torch import load_file

from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count
from tests.models.twins_efficientnet import TWINS

COUNTS = {"efficientnet_b0": 5_288_548, "efficientnet_lite0": 4_652_008}

GATED = 2e-4  # as TOLERANCE; gates multiply rounding: PyTorch's own float32 is up to 8e-5 off its float64 here
EXACT = 1e-11  # in float64, where nothing hides behind rounding


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameter_count(name):
    assert parameter_count(ARCHITECTURES[name], name) == count(TWINS[name]()) == COUNTS[name]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_twins_logits_at_224(name, tmp_path):
    limit = GATED if name == "efficientnet_b0" else TOLERANCE
    assert difference(model(ARCHITECTURES[name], name), TWINS[name](), tmp_path) < limit


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_twins_logits_of_odd_images(name, tmp_path):
    ours = model(ARCHITECTURES[name], name, (61, 40, 3), 10, dtype=np.float64)
    assert difference(ours, TWINS[name](10).double(), tmp_path) < EXACT


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_learns(name):
    before, after = learns(model(ARCHITECTURES[name], name, (64, 64, 3), 4), steps=10)
    assert after < 0.5 * before


def test_the_trained_lite0_answers_as_in_pytorch():
    theirs = TWINS["efficientnet_lite0"]().eval()
    trained = {
        name: value.float() for name, value in load_file(models.WEIGHTS / "efficientnet_lite0.safetensors").items()
    }
    missing, unknown = theirs.load_state_dict(trained, strict=False)
    assert not unknown and all(name.endswith("num_batches_tracked") for name in missing)
    ours = models.pretrained("efficientnet_lite0")
    rows, columns = np.mgrid[:224, :224]
    ramp = np.stack([rows, columns, 255 - rows], -1).astype(np.uint8)  # two pictures that anyone can draw
    disc = np.where((rows - 112) ** 2 + (columns - 112) ** 2 < 70**2, 230, 20).astype(np.uint8)[..., None].repeat(3, -1)
    images = np.stack([ramp, disc])
    with torch.no_grad():
        scaled = (torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 255 - 0.498) / 0.502
        expected = theirs(scaled).numpy()
    logits = ours.logits_of(images)
    assert np.abs(logits - expected).max() < TOLERANCE * np.abs(expected).max()
    assert (logits.argmax(1) == expected.argmax(1)).all() and logits.argmax(1)[0] != logits.argmax(1)[1]
