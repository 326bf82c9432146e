"""small beside its twin in PyTorch: parameters, logits and steps from the same weights, that it learns, and how it fuses."""

import numpy as np
import pytest

import byhand as bh
from byhand.errors import ShapeError
from byhand.kernels.threads import limit

pytest.importorskip("torch")
import torch

from byhand.models import ARCHITECTURES
from tests.models.twins_agree import TOLERANCE, count, difference, learns, model
from tests.models.twins_small import Small

SMALL = ARCHITECTURES["small"]
COUNT = 9 * (3 * 16 + 16 * 32 + 2 * 32 * 32 + 32 * 64 + 2 * 64 * 64) + 2 * (16 + 3 * 32 + 3 * 64) + 64 * 10 + 10
GREY, COLOUR, ODD = (28, 28, 1), (32, 32, 3), (20, 24, 3)


def test_parameter_count():
    assert bh.models.create("small").parameter_count == COUNT == count(Small()) == 116_890
    assert bh.models.create("small", 3, GREY).parameter_count == count(Small(1, 3)) == 116_890 - 2 * 9 * 16 - 7 * 65


@pytest.mark.parametrize("image", [GREY, COLOUR, ODD, (9, 31, 1)])
def test_the_twins_logits(image, tmp_path):
    assert difference(model(SMALL, "small", image), Small(image[-1]), tmp_path) < TOLERANCE


@pytest.mark.parametrize("hand", bh.ops.HANDS)
def test_the_twins_logits_with_every_hand(hand, tmp_path):
    image = (8, 9, 3) if hand == "loops" else ODD
    ours = model(SMALL, "small", image, 4, dtype=np.float64)
    assert difference(ours, Small(3, 4), tmp_path, hand=hand) < TOLERANCE


@pytest.mark.parametrize("image", [GREY, COLOUR])
def test_the_twins_losses_step_by_step(image, tmp_path):
    ours, twin = model(SMALL, "small", image), Small(image[-1])
    difference(ours, twin, tmp_path)  # they have the same weights now
    x, labels = np.random.default_rng(3).standard_normal((8, *image)).astype(np.float32), np.arange(8)
    trainer = bh.Trainer(ours, bh.SGD(lr=0.01, momentum=0.9))
    sgd = torch.optim.SGD(twin.train().parameters(), lr=0.01, momentum=0.9)
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(
            twin(torch.from_numpy(x).permute(0, 3, 1, 2)), torch.from_numpy(labels)
        )
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        assert trainer.step(x, labels) == pytest.approx(loss.item(), rel=1e-3)


@pytest.mark.parametrize("image", [GREY, COLOUR, ODD])
def test_it_learns(image):
    before, after = learns(bh.models.create("small", 4, image))
    assert after < 0.3 * before


def test_it_reads_digits():
    train, test = bh.data.load("mnist")
    trainer = bh.Trainer(
        bh.models.create("small", input_shape=GREY), bh.SGD(lr=0.1, momentum=0.9), schedule=bh.OneCycle()
    )
    with limit(1):  # two threads wait for each other where other programs have the cores
        history = trainer.fit(train.take(6000), test.take(1000), epochs=1, quiet=True)
    assert history[0]["test_accuracy"] > 0.94


def test_the_summary():
    summary = bh.models.create("small").summary()
    assert summary.parameters == COUNT and "stage2_unit2_conv" in str(summary)
    shapes = {row.layer: row.output for row in summary.rows}
    assert [shapes[layer] for layer in ("stem", "stage1", "stage2")] == [
        "(N, 16, 16, 16)",
        "(N, 8, 8, 32)",
        "(N, 4, 4, 64)",
    ]
    assert {row.receptive_field for row in summary.rows[-5:]} == {32}  # it sees the whole image


def test_every_convolution_that_halves_takes_its_pooling_in_and_every_norm_its_relu():
    ours = bh.models.create("small")
    source = str(ours.program(64, train=True))
    assert source.count(" conv2d_max_pool(") == 3 and source.count(" batch_norm_relu(") == 7


def test_images_that_are_too_small():
    bh.models.create("small", input_shape=(8, 8, 3))
    with pytest.raises(ShapeError, match=r"^pool3: the window reaches over 2 .* of 1"):
        bh.models.create("small", input_shape=(7, 8, 3))
