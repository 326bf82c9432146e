"""The papers' own networks, where torchvision's differ, beside those that ONNX's suite has of them."""

import numpy as np
import onnx
import pytest

import byhand as bh
import byhand.onnx
from byhand.bench.onnx_suite import cases
from byhand.errors import ArgumentError

# What ONNX's suite has of them, and images that both cut alike: 227 pixels as the paper's figures need, or such that no pooling
# leaves a pixel over, where ONNX rounds down and the paper up.
CASES = {"alexnet": ("test_bvlc_alexnet", 227), "googlenet": ("test_inception_v1", 221)}
PAPER = {"alpha": 5e-4, "bias": 2.0}  # of AlexNet's local response normalisation, which is Caffe's in that case


@pytest.mark.parametrize("name", CASES)
def test_a_papers_variant_is_the_network_that_onnx_has(name, tmp_path):
    which, pixels = CASES[name]
    proto = next(case.model for case in cases(["real"]) if case.name == which)
    for node in proto.graph.node:
        for one in node.attribute if name == "alexnet" and node.op_type == "LRN" else []:
            one.f = PAPER.get(one.name, one.f)
    image = next(one for one in proto.graph.input if len(one.type.tensor_type.shape.dim) == 4)
    for axis in (2, 3):
        image.type.tensor_type.shape.dim[axis].dim_value = pixels
    onnx.save(proto, tmp_path / "theirs.onnx")
    theirs, ours = (
        bh.onnx.load(tmp_path / "theirs.onnx"),
        bh.models.create(name, 1000, (pixels, pixels, 3), variant="paper"),
    )
    for (key, mine), (other, array) in zip(ours.parameters.items(), theirs.parameters.items(), strict=True):
        assert mine.shape == array.shape, (key, other)
        if key == "fc6_weight":  # they flatten a channel after the other
            mine = mine.reshape(6, 6, 256, -1).transpose(2, 0, 1, 3).reshape(mine.shape)
        array[...] = mine
    images = np.random.default_rng(0).standard_normal((1, *ours.input_shape)).astype(np.float32)
    found, expected = ours.logits_of(images), theirs.logits_of(images)
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=0, atol=1e-5 * np.abs(expected).max())
    assert np.ptp(found) > 0.1


def test_a_variant_is_known_by_its_name():
    with pytest.raises(
        ArgumentError, match=r"^vgg16 has no variant 'paper'; these have some: alexnet \(paper\), googlenet"
    ):
        bh.models.create("vgg16", variant="paper")
    heads = bh.models.create("googlenet", variant="paper", auxiliary=True, seed=None)
    assert heads.parameter_count == 13_378_280
