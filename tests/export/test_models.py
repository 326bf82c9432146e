"""Export of every architecture; a few are compiled and run."""

import re

import numpy as np
import pytest

import byhand as bh
from byhand.export import float32_program, int8_program
from byhand.export.c_files import Examples, header, main, random_images
from byhand.export.int8_reference import probabilities
from byhand.export.lowering import lower
from byhand.export.quantization import QUANTIZERS, quantize
from tests.export.compile_c import needs_cc, run_c

MAX_SIDE = 80  # pixels; inception_v3 takes no less than 75
# Pixels of the images of those that are compiled.
COMPILED_SIDES = {
    "article": 28,
    "lenet5_1998": 28,
    "resnet20_cifar": 16,
    "shufflenet_v2_x0_5": 32,
}


def created(name, side=MAX_SIDE, seed=None):
    height, width, channels = bh.models.ARCHITECTURES[name].image
    return bh.models.create(name, input_shape=(min(height, side), min(width, side), channels), classes=10, seed=seed)


@pytest.mark.parametrize("name", bh.models.names())
def test_every_architecture_has_a_program(name):
    network = lower(created(name))
    source = float32_program.write_program(network)
    body = source.body()
    called = re.findall(r"^    (\w+)\(", body, flags=re.MULTILINE)
    assert set(called) <= set(source.functions) and len(called) >= len(network.steps) + 2  # pixels first, softmax last
    assert 0 < source.ram_bytes <= 4 * sum(step.output.size for step in network.steps) + 4 * network.input.size
    assert source.flash_bytes >= 4 * sum(p.size for p in weights_of(network))
    assert not [step.op for step in network.steps if step.op not in QUANTIZERS]  # int8 has all of them
    example = Examples(random_images(network, 1), np.zeros((1, 10)))
    assert "".join([*header(source, "x"), *main(source, example)]).isascii()


def weights_of(network):
    return [weight for step in network.steps for weight in step.constants]


@needs_cc
@pytest.mark.parametrize("name", COMPILED_SIDES)
def test_a_few_are_compiled_and_run(name, tmp_path):
    model = created(name, COMPILED_SIDES[name], seed=3)
    network = lower(model)
    images = random_images(network, 2)
    ours = run_c(float32_program.write_program(network), images, tmp_path)
    assert np.abs(ours - model.predict(images)).max() < 1e-5
    quantized = quantize(network, random_images(network, 8, seed=1))
    np.testing.assert_array_equal(
        run_c(int8_program.write_program(quantized), images, tmp_path), probabilities(quantized, images)
    )


def test_alexnet_as_its_paper_has_it_has_a_program():
    network = lower(bh.models.create("alexnet", variant="paper", input_shape=(67, 67, 3), classes=10, seed=None))
    assert "lrn" in {step.op for step in network.steps}
    assert "lrn(" in float32_program.write_program(network).body()
