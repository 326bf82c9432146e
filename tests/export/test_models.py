"""Every architecture goes out as C: its text for all of them, compiled and run for a handful."""

import re

import numpy as np
import pytest

import byhand as bh
from byhand.export import float32, int8
from byhand.export.files import Examples, header, main, sample
from byhand.export.integers import probabilities
from byhand.export.lower import lower
from byhand.export.quantize import RULES, quantize
from tests.export.compiled import needs_cc, run_c

SIDE = 80  # pixels, at most: inception_v3 takes no less than 75
FEW = {"article": 28, "lenet5_1998": 28, "resnet20_cifar": 16, "shufflenet_v2_x0_5": 32}  # and their pixels


def created(name, side=SIDE, seed=None):
    height, width, channels = bh.models.ARCHITECTURES[name].image
    return bh.models.create(name, input_shape=(min(height, side), min(width, side), channels), classes=10, seed=seed)


@pytest.mark.parametrize("name", bh.models.names())
def test_every_architecture_has_a_program(name):
    network = lower(created(name))
    source = float32.write(network)
    body = source.body()
    called = re.findall(r"^    (\w+)\(", body, flags=re.MULTILINE)
    assert set(called) <= set(source.functions) and len(called) >= len(network.steps) + 2  # pixels first, softmax last
    assert 0 < source.ram <= 4 * sum(step.output.size for step in network.steps) + 4 * network.input.size
    assert source.flash >= 4 * sum(p.size for p in network_weights(network))
    assert not [step.op for step in network.steps if step.op not in RULES]  # int8 has all of it too
    few = Examples(sample(network, 1), np.zeros((1, 10)))
    assert "".join([*header(source, "x"), *main(source, few)]).isascii()


def network_weights(network):
    return [one for step in network.steps for one in step.arguments if isinstance(one, np.ndarray)]


@needs_cc
@pytest.mark.parametrize("name", FEW)
def test_some_are_compiled_and_run(name, tmp_path):
    model = created(name, FEW[name], seed=3)
    network = lower(model)
    images = sample(network, 2)
    ours = run_c(float32.write(network), images, tmp_path)
    assert np.abs(ours - model.predict(images)).max() < 1e-5
    quantized = quantize(network, sample(network, 8, seed=1))
    np.testing.assert_array_equal(run_c(int8.write(quantized), images, tmp_path), probabilities(quantized, images))


def test_alexnet_as_its_paper_has_it_has_a_program():
    network = lower(bh.models.create("alexnet", variant="paper", input_shape=(67, 67, 3), classes=10, seed=None))
    assert "lrn" in {step.op for step in network.steps}
    assert "lrn(" in float32.write(network).body()
