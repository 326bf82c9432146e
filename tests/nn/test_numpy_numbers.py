"""NumPy's numbers as arguments of ops and layers: the same programs and files as with Python's."""

import numpy as np
import pytest

import byhand as bh
from byhand import nn

TWO, HALF = np.int64(2), np.float32(0.5)
LAYERS = {
    "kernel": (nn.MaxPool2d, TWO, 2),
    "a pair": (lambda n: nn.MaxPool2d((n, n)), TWO, 2),
    "an array": (nn.MaxPool2d, np.array([2, 2]), (2, 2)),
    "zero axes": (nn.MaxPool2d, np.array(2), 2),
    "stride": (lambda n: nn.Conv2d(4, 3, stride=n), np.uint8(2), 2),
    "filters": (lambda n: nn.Conv2d(n, 3), np.int16(4), 4),
    "slope": (nn.LeakyReLU, HALF, 0.5),
    "rate": (nn.Dropout, HALF, 0.5),
    "ceil_mode": (lambda n: nn.AvgPool2d(3, ceil_mode=n), np.bool_(True), True),
    "padding": (nn.Pad2d, np.array([0, 1, 0, 1]), (0, 1, 0, 1)),
    "units": (lambda n: nn.Sequential(nn.Flatten(), nn.Linear(n)), np.int32(5), 5),
}


def network(layer):
    x = nn.Input(8, 8, 1)
    return nn.Model(x, nn.Linear(3)(nn.Flatten()(layer(x))))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_takes_them_and_its_model_is_saved(name, tmp_path):
    make, theirs, ours = LAYERS[name]
    model, plain = network(make(theirs)), network(make(ours))
    assert str(model.program(4, train=True)) == str(plain.program(4, train=True))
    model.save(tmp_path / "model")
    plain.save(tmp_path / "plain")
    assert (tmp_path / "model").read_bytes() == (tmp_path / "plain").read_bytes()
    bh.load(tmp_path / "model")


def test_an_op_and_a_trainer_take_them(tmp_path):
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    assert np.array_equal(bh.max_pool(x, kernel=np.array([2, 2])), bh.max_pool(x, kernel=2))
    model = network(nn.ReLU())
    trainer = bh.Trainer(
        model, bh.SGD(np.float32(0.25), momentum=HALF), batch_size=TWO, clip_norm=np.float32(1), seed=TWO, hand="arrays"
    )
    train = bh.data.Dataset(np.zeros((6, 8, 8, 1), np.uint8), np.arange(6) % 3, ("a", "b", "c"))
    trainer.fit(train, epochs=np.int64(1), quiet=True, run=bh.Run.create(tmp_path / "run", {"epochs": TWO, "lr": HALF}))
    trainer.save(tmp_path / "checkpoint")
    assert bh.Run.open(tmp_path / "run").settings == {"epochs": 2, "lr": 0.5}
    assert bh.Trainer.load(tmp_path / "checkpoint").batch_size == 2


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("hand", ["loops", "arrays", "compiled"])
def test_an_image_is_padded_with_infinities(value, hand):
    padded = bh.pad(np.zeros((1, 1, 1, 1), np.float32), padding=1, value=value, hand=hand)
    assert padded[0, 1, 1, 0] == 0 and np.isposinf(padded).sum() == 8 * (value > 0)
    assert np.array_equal(
        bh.pad.backward(padded, np.zeros((1, 1, 1, 1)), padding=1, value=value, hand=hand).ravel(), [0]
    )


@pytest.mark.parametrize("hand", ["loops", "arrays", "compiled"])
@pytest.mark.parametrize("op", [bh.reduce_mean, bh.reduce_max, bh.reduce_log_sum, bh.reduce_prod])
def test_a_gradient_over_no_elements_is_empty(op, hand):
    grad = op.backward(np.ones((2, 3)), np.zeros((2, 0, 3)), axes=1, hand=hand)
    assert grad.shape == (2, 0, 3)
