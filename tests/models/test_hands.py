"""One of each family trains with every hand that is quick enough: the same loss and gradient, on a few small images."""

from types import SimpleNamespace

import numpy as np
import pytest

from byhand import models
from byhand.errors import ShapeError
from byhand.models import ARCHITECTURES

SIZES = (8, 16, 32, 64, 96, 128, 224, 299)  # images' sides, the first that an architecture takes
PHOTO = 64  # the least of one made for photos: a norm over a few numbers would blow up the last digits
ONE_OF_EACH = (
    "article", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_lite0", "googlenet", "inception_v3", "lenet5",
    "lenet5_1998", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "nin", "preact_resnet18", "resnet18", "resnet20_cifar",
    "resnet50", "shufflenet_v2_x0_5", "squeezenet1_1", "vgg11",
)  # fmt: skip
LOOPS = {"article": 8, "lenet5": 16, "lenet5_1998": 16, "resnet20_cifar": 8}  # what a minute is enough for


def smallest(name):
    """Return a model for the smallest images that an architecture takes, in double precision."""
    height, _, channels = ARCHITECTURES[name].image
    for size in (size for size in SIZES if height < 200 or size >= PHOTO):
        try:
            return models.create(name, 3, (size, size, channels), dtype=np.float64)
        except ShapeError:
            continue
    raise AssertionError(f"{name} takes no size of {SIZES}")


def step(model, images, labels, hand):
    """Return the loss, and the gradient of all parameters."""
    program = model.program(len(images), train=True, hand=hand)
    model.g.flat[:] = np.nan
    state = SimpleNamespace(**{name: value.copy() for name, value in vars(model.state).items()})
    loss = float(program(images, labels, model.p, model.g, state, program.arena))
    return loss, model.g.flat.copy()


def compare(name, images, hand):
    model = smallest(name) if images is None else models.create(name, 3, images, dtype=np.float64)
    images = np.random.default_rng(0).standard_normal((4, *model.input_shape))
    (ours, gradient), (theirs, expected) = (step(model, images, np.arange(4) % 3, one) for one in (hand, "compiled"))
    assert ours == pytest.approx(theirs, rel=1e-8)
    np.testing.assert_allclose(gradient, expected, atol=1e-6 * np.abs(expected).max())
    assert np.isfinite(expected).all() and np.abs(expected).max() > 0


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_arrays_train_as_compiled(name):
    compare(name, None, "arrays")


@pytest.mark.parametrize("name", LOOPS)
def test_loops_train_as_compiled(name):
    compare(name, (LOOPS[name], LOOPS[name], ARCHITECTURES[name].image[2]), "loops")
