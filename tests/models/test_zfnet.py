"""ZFNet beside its twin in PyTorch: parameters, logits from the same weights, and that it learns."""

import pytest

from byhand.errors import ShapeError
from byhand.models.zfnet import ARCHITECTURES

pytest.importorskip("torch")
from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count
from tests.models.twins_zfnet import ZFNet

ZFNET = ARCHITECTURES["zfnet"]
COUNT = sum([  # weights and biases, from the first convolution to the last layer
    7 * 7 * 3 * 96 + 96, 5 * 5 * 96 * 256 + 256, 9 * 256 * 384 + 384, 9 * 384 * 384 + 384, 9 * 384 * 256 + 256,
    6 * 6 * 256 * 4096 + 4096, 4096 * 4096 + 4096, 4096 * 1000 + 1000,
])  # fmt: skip


def test_parameter_count():
    assert parameter_count(ZFNET, "zfnet") == COUNT == 62_357_608


def test_the_maps_have_the_papers_sizes():
    nodes = model(ZFNET, "zfnet", seed=None).graph.nodes
    sizes = [node.output.shape[1] for node in nodes if node.op.name in ("conv2d", "max_pool")]
    assert sizes == [110, 55, 26, 13, 13, 13, 13, 6]


def test_the_twins_logits_at_224(tmp_path):
    twin = ZFNet()
    assert count(twin) == COUNT
    assert difference(model(ZFNET, "zfnet", seed=None), twin, tmp_path) < TOLERANCE


def test_the_twins_logits_of_small_images(tmp_path):
    assert difference(model(ZFNET, "zfnet", (75, 96, 3), 10), ZFNet(10, maps=1 * 2), tmp_path) < TOLERANCE


def test_images_that_are_too_small():
    with pytest.raises(ShapeError, match=r"^conv2: the window reaches over 5 .* of 4"):
        model(ZFNET, "zfnet", (20, 64, 3), 10)


def test_it_learns():
    before, after = learns(model(ZFNET, "zfnet", (75, 75, 3), 4), steps=30, lr=0.0003)
    assert after < 0.5 * before
