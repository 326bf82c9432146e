"""Auxiliary heads: part of the training loss, absent in inference."""

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.errors import ArgumentError
from byhand.ops import HANDS
from tests.oracle import needs_torch


def two_heads(dtype=np.float64, weight=0.3):
    """Return a small network with an auxiliary head after its first layer."""
    x = nn.Input(8, 8, 2)
    first = nn.ReLU()(nn.Conv2d(4, 3, padding=1, name="conv1")(x))
    aux = nn.Linear(3, name="aux")(nn.Flatten()(nn.AvgPool2d(4)(first)))
    last = nn.Linear(3, name="fc")(nn.Flatten()(nn.ReLU()(nn.Conv2d(5, 3, name="conv2")(first))))
    return nn.Model(x, last, auxiliary=[(aux, weight)], dtype=dtype)


def sample(count=5):
    rng = np.random.default_rng(3)
    return rng.standard_normal((count, 8, 8, 2)), rng.integers(0, 3, count)


@needs_torch
@pytest.mark.parametrize("hand", HANDS)
def test_the_gradient_is_that_of_the_weighted_sum(hand):
    import torch
    import torch.nn.functional as F

    model = two_heads()
    x, labels = sample()
    got = model.trace(x, labels, hand=hand)
    w = {name: torch.from_numpy(value.copy()).requires_grad_() for name, value in model.parameters.items()}

    def conv(t, name, padding):
        return F.relu(F.conv2d(t, w[f"{name}_weight"].permute(3, 2, 0, 1), w[f"{name}_bias"], padding=padding))

    def head(t, name):
        return t.permute(0, 2, 3, 1).flatten(1) @ w[f"{name}_weight"] + w[f"{name}_bias"]

    first = conv(torch.from_numpy(x).permute(0, 3, 1, 2), "conv1", 1)
    truth = torch.from_numpy(labels)
    main = F.cross_entropy(head(conv(first, "conv2", 0), "fc"), truth)
    aux = F.cross_entropy(head(F.avg_pool2d(first, 4), "aux"), truth)
    (main + 0.3 * aux).backward()
    assert got["loss"] == pytest.approx(main.item()) and got["aux_loss"] == pytest.approx(aux.item())
    for name, tensor in w.items():
        np.testing.assert_allclose(got[f"grad_{name}"], tensor.grad.numpy(), atol=1e-12, err_msg=name)


def test_the_program_says_what_is_added():
    model = two_heads()
    text = str(model.program(batch=4, train=True, hand="arrays"))
    assert "arena.grad_aux_loss[...] = 0.3" in text and "arena.grad_loss[...] = 1.0" in text
    assert "aux" not in str(model.program(batch=4)), "no auxiliary head outside of training"


def test_training_reports_the_loss_of_the_outputs_and_lowers_it():
    model = two_heads(np.float32)
    x, labels = sample(12)
    trainer = bh.Trainer(model, bh.SGD(lr=0.05))
    losses = [trainer.step(x.astype(np.float32), labels) for _ in range(60)]
    assert losses[-1] < 0.3 * losses[0]
    assert bh.Trainer(two_heads(np.float32, 0.0), bh.SGD(lr=0.05)).step(x.astype(np.float32), labels) == losses[0]


def test_a_saved_model_keeps_its_heads(tmp_path):
    model = two_heads()
    model.save(tmp_path / "two.safetensors")
    again = bh.nn.load(tmp_path / "two.safetensors")
    assert [(tensor.name, weight) for tensor, weight in again.auxiliary] == [("aux", 0.3)]
    assert str(again.program(batch=4, train=True)) == str(model.program(batch=4, train=True))
    np.testing.assert_array_equal(again.p.flat, model.p.flat)


def test_a_head_of_other_classes_is_refused():
    x = nn.Input(4)
    last, other = nn.Linear(3)(x), nn.Linear(2)(x)
    with pytest.raises(
        ArgumentError, match=r"auxiliary has <value fc2 \(N, 2\)> with the weight 0.3; expected \(N, 3\)"
    ):
        nn.Model(x, last, auxiliary=[(other, 0.3)])
    with pytest.raises(ArgumentError, match="a weight of 0 or more"):
        nn.Model(x, last, auxiliary=[(nn.Linear(3)(x), -1)])
