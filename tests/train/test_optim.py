"""Every optimiser takes PyTorch's steps, with each hand: live where PyTorch is installed, everywhere against its record."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import byhand as bh
from byhand.kernels.runtime.mode import mode
from byhand.kernels.runtime.launch_graph import capture
from byhand.train.optim import HANDS, update
from tests.oracle import needs_torch
from tests.train import make

RECORDED = make.read("optimizer")
CASES = [(name, hand) for name in make.OPTIMIZERS for hand in HANDS]
TOLERANCE = {np.float64: 1e-12, np.float32: 2e-5}  # of the largest number


def steps(name, hand, dtype, clip_norm=None):
    """Return the parameters after each step, done by the lines that stand in a generated program."""
    start, gradients = make.problem(dtype)
    return run(make.OPTIMIZERS[name], hand, start, gradients, clip_norm)


def run(optimizer, hand, p, gradients, clip_norm=None):
    p, update_ = p.copy(), update(optimizer, clip_norm, hand)
    functions = {function.__name__.removesuffix(f"_{hand}"): function for function in update_.functions}
    buffers, after = SimpleNamespace(**{name: np.zeros_like(p) for name in optimizer.buffers}), []
    for t, gradient in enumerate(gradients, 1):
        names = {"p": SimpleNamespace(flat=p), "g": SimpleNamespace(flat=gradient.copy()), "optimizer": buffers}
        for line in update_.lines:
            exec(line, functions | names | {"lr": optimizer.lr, "t": t})
        after.append(p.copy())
    assert all(array.dtype == p.dtype for array in vars(buffers).values())
    return np.array(after)


def close(got, expected, tolerance):
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


@needs_torch
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("name", "hand"), CASES)
def test_an_optimiser_takes_pytorchs_steps(name, hand, dtype):
    close(steps(name, hand, dtype), make.torch_steps(name, dtype), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("name", "hand"), CASES)
def test_an_optimiser_takes_the_steps_recorded_of_pytorch(name, hand, dtype):
    close(steps(name, hand, dtype), RECORDED[name], TOLERANCE[dtype])


@needs_torch
def test_pytorch_still_does_what_was_recorded():
    assert RECORDED.keys() == make.OPTIMIZERS.keys()
    for name, expected in RECORDED.items():
        close(make.torch_steps(name), expected, 1e-12)


def test_the_cases_differ_so_that_a_setting_left_out_is_seen():
    last = [RECORDED[name][-1] for name in make.OPTIMIZERS]
    for i, one in enumerate(last):
        for other in last[:i]:
            assert np.abs(one - other).max() > 1e-3


def optimizers():
    rate = st.floats(0, 1, exclude_max=True)
    sgd = st.builds(bh.SGD, lr=rate, momentum=rate, weight_decay=rate)
    nesterov = st.builds(bh.SGD, lr=rate, momentum=st.floats(0.1, 0.99), nesterov=st.just(True), weight_decay=rate)
    adam = {"lr": rate, "beta1": st.floats(0, 0.999), "beta2": st.floats(0, 0.999), "eps": st.floats(1e-8, 1)}
    return st.one_of(
        sgd, nesterov, st.builds(bh.Adam, **adam, weight_decay=rate), st.builds(bh.AdamW, **adam, weight_decay=rate)
    )


@given(optimizer=optimizers(), seed=st.integers(0, 2**32), clip_norm=st.none() | st.floats(0.01, 10))
def test_all_hands_take_the_same_steps(optimizer, seed, clip_norm):
    rng = np.random.default_rng(seed)
    p, gradients = rng.standard_normal(5), rng.standard_normal((4, 5))
    loops, *others = (run(optimizer, hand, p, gradients, clip_norm) for hand in HANDS)
    for other in others:
        np.testing.assert_allclose(other, loops, rtol=1e-9, atol=1e-11)


@pytest.mark.skipif(mode() != "native", reason="only machine code is recorded")
@pytest.mark.parametrize("optimizer", [bh.SGD(lr=0.1, momentum=0.9), bh.AdamW(lr=0.1)], ids=["sgd", "adam"])
def test_a_recorded_update_reads_lr_and_t_when_it_runs(optimizer):
    p, gradients = make.problem()
    expected = run(optimizer, "loops", p, gradients)
    lr, t, g = np.zeros(1), np.zeros(1), np.zeros_like(p)
    buffers = SimpleNamespace(**{name: np.zeros_like(p) for name in optimizer.buffers})
    names = {"p": SimpleNamespace(flat=p), "g": SimpleNamespace(flat=g), "optimizer": buffers, "lr": lr, "t": t}
    tape, _ = capture(eval, optimizer.call, HANDS["compiled"] | names)
    for step, gradient in enumerate(gradients):
        g[...], lr[0], t[0] = gradient, optimizer.lr, step + 1
        tape.run()
        close(p, expected[step], 1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("hand", HANDS)
def test_clip_shortens_a_long_gradient_and_leaves_a_short_one(hand, dtype):
    g = np.array([3.0, -4.0, 12.0], dtype)  # of length 13
    for norm in (13.1, 13.0):
        kept = g.copy()
        HANDS[hand]["clip"](kept, norm=norm)
        assert np.array_equal(kept, g)
    clipped = g.copy()
    HANDS[hand]["clip"](clipped, norm=1.0)
    np.testing.assert_allclose(clipped, g / 13, rtol=1e-6 if dtype is np.float32 else 1e-14)
    zero = np.zeros(3, dtype)
    HANDS[hand]["clip"](zero, norm=1.0)
    HANDS[hand]["clip"](g, norm=0.0)
    assert not zero.any() and not g.any()


@needs_torch
@pytest.mark.parametrize("hand", HANDS)
def test_clip_does_what_pytorch_does(hand):
    import torch

    g, p = make.problem()[1][0] / 100, torch.zeros(make.SIZE, dtype=torch.float64)
    p.grad = torch.tensor(g)
    length = torch.nn.utils.clip_grad_norm_([p], 0.25).item()
    assert length > 0.25
    HANDS[hand]["clip"](g, norm=0.25)
    np.testing.assert_allclose(g, p.grad.numpy() * (1 + 1e-6 / length), rtol=1e-12)  # PyTorch adds 1e-6 to the length


@pytest.mark.parametrize("hand", HANDS)
def test_clipping_stands_before_the_update_and_counts(hand):
    close(steps("sgd", hand, np.float64, clip_norm=1e9), RECORDED["sgd"], 1e-12)
    p, gradients = make.problem()
    lengths = np.linalg.norm(gradients, axis=1)
    clipped = gradients * np.minimum(1, 5 / lengths)[:, None]
    assert (lengths > 5).any()
    expected = run(make.OPTIMIZERS["sgd, momentum"], hand, p, clipped)
    close(steps("sgd, momentum", hand, np.float64, clip_norm=5.0), expected, 1e-12)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "0.1", None, True])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (bh.SGD, "lr"), (bh.SGD, "momentum"), (bh.SGD, "weight_decay"),
        (bh.Adam, "lr"), (bh.Adam, "beta1"), (bh.Adam, "beta2"), (bh.Adam, "eps"), (bh.Adam, "weight_decay"),
        (bh.AdamW, "lr"), (bh.AdamW, "weight_decay"),
        (bh.Muon, "lr"), (bh.Muon, "momentum"), (bh.Muon, "weight_decay"), (bh.Muon, "rest"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_named(kind, name, value):
    with pytest.raises(bh.ArgumentError, match=rf"^{kind.__name__}: {name} is {value!r}; expected a number"):
        kind(**{name: value})


@pytest.mark.parametrize(
    ("kind", "name"), [(bh.SGD, "momentum"), (bh.Adam, "beta1"), (bh.AdamW, "beta2"), (bh.Muon, "momentum")]
)
def test_a_mean_that_never_forgets_is_refused(kind, name):
    with pytest.raises(bh.ArgumentError, match=rf"{kind.__name__}: {name} is 1\.0; expected a number, from 0 up to 1"):
        kind(**{name: 1.0})


def test_nesterov_needs_momentum():
    with pytest.raises(bh.ArgumentError, match="nesterov needs momentum"):
        bh.SGD(nesterov=True)


@pytest.mark.parametrize("value", ["__import__('os').abort()", "True", 1, None, []])
def test_nesterov_is_true_or_false_because_it_becomes_text_of_the_program(value):
    with pytest.raises(bh.ArgumentError, match=r"^SGD: nesterov is .*expected True or False"):
        bh.SGD(momentum=0.9, nesterov=value)


def test_an_unknown_hand_is_named():
    with pytest.raises(bh.UnknownNameError, match="'loop'; did you mean 'loops'"):
        update(bh.SGD(), None, "loop")


def test_settings_can_not_be_changed_and_compare_by_value():
    assert bh.Adam() == bh.Adam(lr=0.001) != bh.AdamW(weight_decay=0.0)
    with pytest.raises(AttributeError):
        bh.SGD().lr = 1.0
