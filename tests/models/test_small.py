"""small and tiny beside their twins in PyTorch: parameters, logits and steps from the same weights; and that they learn."""

import numpy as np
import pytest

import byhand as bh
from byhand.errors import ShapeError
from byhand.kernels.runtime.thread_pool import limit

pytest.importorskip("torch")
import torch

from byhand.models import ARCHITECTURES
from tests.models.twins_agree import TOLERANCE, count, difference, learns, model
from tests.models.twins_small import Small

FILTERS = {"small": (64, 128, 256), "tiny": (16, 32, 64)}
GREY, COLOUR, ODD = (28, 28, 1), (32, 32, 3), (20, 24, 3)


def twins(name, image, classes=10, **settings):
    """Return a network and its twin in PyTorch."""
    return model(ARCHITECTURES[name], name, image, classes, **settings), Small(image[-1], classes, FILTERS[name])


@pytest.mark.parametrize("name", FILTERS)
def test_parameter_count(name):
    a, b, c = FILTERS[name]
    learnt = 9 * (3 * a + a * b + 2 * b * b + b * c + 2 * c * c) + 2 * (a + 3 * b + 3 * c) + c * 10 + 10
    assert bh.models.create(name).parameter_count == learnt == count(twins(name, COLOUR)[1])
    assert bh.models.create(name, 3, GREY).parameter_count == learnt - 2 * 9 * a - 7 * (c + 1)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("image", [GREY, COLOUR, ODD, (9, 31, 1)])
def test_the_twins_logits(name, image, tmp_path):
    assert difference(*twins(name, image), tmp_path) < TOLERANCE


@pytest.mark.parametrize("hand", bh.ops.HANDS)
def test_the_twins_logits_with_every_hand(hand, tmp_path):
    image = (8, 9, 3) if hand == "loops" else ODD
    assert difference(*twins("tiny", image, 4, dtype=np.float64), tmp_path, hand=hand) < TOLERANCE


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("image", [GREY, COLOUR])
def test_the_twins_losses_step_by_step(name, image, tmp_path):
    ours, twin = twins(name, image)
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


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("image", [GREY, COLOUR, ODD])
def test_it_learns(name, image):
    before, after = learns(bh.models.create(name, 4, image))
    assert after < 0.3 * before


def test_it_reads_digits():
    train, test = bh.data.load("mnist")
    trainer = bh.Trainer(bh.models.create("tiny", input_shape=GREY), bh.Muon(), schedule=bh.OneCycle())
    with limit(1):  # two threads wait for each other where other programs have the cores
        history = trainer.fit(train.take(6000), test.take(1000), epochs=1, quiet=True)
    assert history[0]["test_accuracy"] > 0.95


def test_the_summary():
    summary = bh.models.create("small").summary()
    assert summary.parameters == count(Small()) and "stage2_unit2_conv" in str(summary)
    shapes = {row.layer: row.output for row in summary.rows}
    assert [shapes[layer] for layer in ("stem", "stage1_down", "stage2_down")] == [
        "(N, 16, 16, 64)",
        "(N, 8, 8, 128)",
        "(N, 4, 4, 256)",
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
