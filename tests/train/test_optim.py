"""Optimizers: hands agree, schedules are read at run time, steps are PyTorch's.

The comparison with PyTorch runs live where PyTorch is installed, and everywhere against its recorded results.
"""

from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import byhand as bh
from byhand.kernels.runtime.launch_graph import capture
from byhand.kernels.runtime.mode import mode
from byhand.ops import HANDS
from byhand.train import settings
from byhand.train.optim import CLIP_GRAD_NORM, OPTIMIZERS, update, update_function
from byhand.train.optim.optimizer import Optimizer, register
from tests.oracle import needs_torch
from tests.train import record_optimizers
from tests.train.small_training import network, stripes

RECORDED = record_optimizers.read("optimizer")
CASES = [(name, hand) for name in record_optimizers.OPTIMIZERS for hand in HANDS]
TOLERANCE = {np.float64: 1e-12, np.float32: 2e-5}  # of the largest number


def steps(name, hand, dtype, clip_norm=None):
    """Return the parameters after each step of a recorded problem."""
    start, gradients = record_optimizers.problem(dtype)
    return run(record_optimizers.OPTIMIZERS[name], hand, start, gradients, clip_norm)


def run(optimizer, hand, p, gradients, clip_norm=None):
    """Return the parameters after each step; p: an array, or the parameters by name with `flat`."""
    p = copied(p)
    buffers, after = SimpleNamespace(**{name: np.zeros_like(p.flat) for name in optimizer.buffers}), []
    apply = update_function(optimizer, clip_norm, hand, p, buffers)
    for t, gradient in enumerate(gradients, 1):
        apply(gradient.copy(), optimizer.lr, t)
        after.append(p.flat.copy())
    assert all(array.dtype == p.flat.dtype for array in vars(buffers).values())
    return np.array(after)


def copied(p):
    """Return parameters of their own: a bias as long as p, or views of one flat buffer."""
    if isinstance(p, np.ndarray):
        flat = p.copy()
        return SimpleNamespace(flat=flat, bias=flat)
    flat, views, start = p.flat.copy(), {}, 0
    for name, view in vars(p).items():
        if name != "flat":
            views[name] = flat[start : start + view.size].reshape(view.shape)
            start += view.size
    return SimpleNamespace(flat=flat, **views)


def close(got, expected, tolerance):
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


@needs_torch
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("name", "hand"), CASES)
def test_an_optimizer_takes_pytorchs_steps(name, hand, dtype):
    close(steps(name, hand, dtype), record_optimizers.torch_steps(name, dtype), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("name", "hand"), CASES)
def test_an_optimizer_takes_the_steps_recorded_of_pytorch(name, hand, dtype):
    close(steps(name, hand, dtype), RECORDED[name], TOLERANCE[dtype])


@needs_torch
def test_pytorch_still_does_what_was_recorded():
    assert RECORDED.keys() == record_optimizers.OPTIMIZERS.keys()
    for name, expected in RECORDED.items():
        close(record_optimizers.torch_steps(name), expected, 1e-12)


def test_every_setting_changes_the_result():
    last = [RECORDED[name][-1] for name in record_optimizers.OPTIMIZERS]
    for i, steps_taken in enumerate(last):
        for other in last[:i]:
            assert np.abs(steps_taken - other).max() > 1e-3


# every registered optimizer -------------------------------------------------------------------------------------------


@st.composite
def optimizers(draw, kind):
    """Draw an optimizer: a float up to its default, or up to 0.9 where that is 0; an int from 1 to its default."""
    values = {}
    for field in fields(kind):
        if isinstance(field.default, bool):
            values[field.name] = draw(st.booleans())
        elif isinstance(field.default, int):
            values[field.name] = draw(st.integers(1, field.default))
        elif isinstance(field.default, float):
            most = 0.9 if field.default in (0.0, kind().lr) else field.default
            values[field.name] = draw(st.floats(most / 10, most)) if draw(st.booleans()) else field.default
    try:
        return kind(**values)
    except bh.ArgumentError:  # two hyperparameters that exclude each other
        assume(False)


def weights(rng, dtype=np.float64):
    """Return the parameters of a network: a filter, a bias, a matrix, by name and in one buffer."""
    shapes = {"filter": (2, 2, 1, 3), "bias": (3,), "matrix": (3, 2)}
    arrays = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    return copied(SimpleNamespace(flat=np.concatenate([array.ravel() for array in arrays.values()]), **arrays))


@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
@given(data=st.data(), seed=st.integers(0, 2**32), clip_norm=st.none() | st.floats(0.01, 10))
def test_all_hands_take_the_same_steps(kind, data, seed, clip_norm):
    optimizer, rng = data.draw(optimizers(kind)), np.random.default_rng(seed)
    p = weights(rng)
    gradients = rng.standard_normal((4, p.flat.size))
    loops, *others = (run(optimizer, hand, p, gradients, clip_norm) for hand in HANDS)
    for other in others:
        np.testing.assert_allclose(other, loops, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_hyperparameter_counts(kind):
    """An update that ignores one would pass the comparison of the hands."""
    rng = np.random.default_rng(0)
    p = weights(rng)
    gradients = rng.standard_normal((4, p.flat.size))
    base = kind(momentum=0.5) if kind is bh.SGD else kind()
    expected = run(base, "arrays", p, gradients)
    for field in fields(kind):
        value = getattr(base, field.name)
        other = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value * 0.85 + 0.01
        changed = kind(**{**{f.name: getattr(base, f.name) for f in fields(kind)}, field.name: other})
        assert np.abs(run(changed, "arrays", p, gradients) - expected).max() > 1e-9, field.name


@pytest.mark.skipif(mode() != "native", reason="only machine code is recorded")
@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_recorded_update_reads_lr_and_t_when_it_runs(kind):
    optimizer, rng = kind(), np.random.default_rng(1)
    p = weights(rng)
    gradients = rng.standard_normal((3, p.flat.size))
    expected = run(optimizer, "loops", p, gradients)
    lr, t, g = np.zeros(1), np.zeros(1), np.zeros_like(p.flat)
    buffers = SimpleNamespace(**{name: np.zeros_like(p.flat) for name in optimizer.buffers})
    graph, _ = capture(optimizer.apply, p, g, buffers, lr=lr, t=t, hand="compiled")
    for step, gradient in enumerate(gradients):
        g[...], lr[0], t[0] = gradient, optimizer.lr, step + 1
        graph.run()
        close(p.flat, expected[step], 1e-9)


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_line_in_the_program_is_the_update(kind, hand):
    optimizer, rng = kind(), np.random.default_rng(2)
    p = weights(rng)
    (gradient,) = rng.standard_normal((1, p.flat.size))
    expected = run(optimizer, hand, p, [gradient], clip_norm=0.5)[-1]
    added = update(optimizer, 0.5, hand)
    functions = {function.__name__.removesuffix(f"_{hand}"): function for function in added.functions}
    buffers = SimpleNamespace(**{name: np.zeros_like(p.flat) for name in optimizer.buffers})
    names = {"p": p, "g": SimpleNamespace(flat=gradient), "optimizer": buffers, "lr": optimizer.lr, "t": 1}
    for line in added.lines:
        exec(line, functions | names)
    assert np.array_equal(p.flat, expected)


@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_training_learns_and_resumes(kind, tmp_path):
    optimizer = settings.from_json(settings.to_json(kind(lr=0.05)))
    assert optimizer == kind(lr=0.05)
    whole, stopped = (bh.Trainer(network(), optimizer, batch_size=8) for _ in range(2))
    data = stripes(48)
    history = whole.fit(data, epochs=5, quiet=True)
    assert history[-1]["loss"] < history[0]["loss"]

    def stop(row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.fit(data, epochs=5, quiet=True, callbacks=[stop])
    stopped.save(tmp_path / "checkpoint")
    resumed = bh.Trainer.load(tmp_path / "checkpoint")
    assert resumed.fit(data, quiet=True) == history
    assert resumed.model.p.flat.tobytes() == whole.model.p.flat.tobytes()


def test_a_wrong_registration_is_refused():
    class Wrong(Optimizer):
        lr = 0.1

    def wrong_loops(p, g, *, lr):
        """Do nothing."""

    def wrong_arrays(p, g, *, lr, momentum):
        """Do nothing."""

    with pytest.raises(TypeError, match="wrong_loops: the loops and arrays hands differ in their arguments"):
        register(Wrong, loops=wrong_loops, arrays=wrong_arrays, compiled=wrong_arrays)
    with pytest.raises(TypeError, match="Wrong has no momentum, which wrong_arrays takes"):
        register(Wrong, loops=wrong_arrays, arrays=wrong_arrays, compiled=wrong_arrays)
    assert "Wrong" not in OPTIMIZERS


# clipping -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("hand", HANDS)
def test_clip_shortens_a_long_gradient_and_leaves_a_short_one(hand, dtype):
    g = np.array([3.0, -4.0, 12.0], dtype)  # of length 13
    for norm in (13.1, 13.0):
        kept = g.copy()
        CLIP_GRAD_NORM[hand](kept, max_norm=norm)
        assert np.array_equal(kept, g)
    clipped = g.copy()
    CLIP_GRAD_NORM[hand](clipped, max_norm=1.0)
    np.testing.assert_allclose(clipped, g / 13, rtol=1e-6 if dtype is np.float32 else 1e-14)
    zero = np.zeros(3, dtype)
    CLIP_GRAD_NORM[hand](zero, max_norm=1.0)
    CLIP_GRAD_NORM[hand](g, max_norm=0.0)
    assert not zero.any() and not g.any()


@needs_torch
@pytest.mark.parametrize("hand", HANDS)
def test_clip_does_what_pytorch_does(hand):
    import torch

    g, p = record_optimizers.problem()[1][0] / 100, torch.zeros(record_optimizers.SIZE, dtype=torch.float64)
    p.grad = torch.tensor(g)
    length = torch.nn.utils.clip_grad_norm_([p], 0.25).item()
    assert length > 0.25
    CLIP_GRAD_NORM[hand](g, max_norm=0.25)
    np.testing.assert_allclose(g, p.grad.numpy() * (1 + 1e-6 / length), rtol=1e-12)  # PyTorch adds 1e-6 to the length


@pytest.mark.parametrize("hand", HANDS)
def test_clipping_stands_before_the_update_and_counts(hand):
    close(steps("sgd", hand, np.float64, clip_norm=1e9), RECORDED["sgd"], 1e-12)
    p, gradients = record_optimizers.problem()
    lengths = np.linalg.norm(gradients, axis=1)
    clipped = gradients * np.minimum(1, 5 / lengths)[:, None]
    assert (lengths > 5).any()
    expected = run(record_optimizers.OPTIMIZERS["sgd, momentum"], hand, p, clipped)
    close(steps("sgd, momentum", hand, np.float64, clip_norm=5.0), expected, 1e-12)


# errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "0.1", None, True])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (bh.SGD, "lr"),
        (bh.SGD, "momentum"),
        (bh.SGD, "weight_decay"),
        (bh.Adam, "lr"),
        (bh.Adam, "beta1"),
        (bh.Adam, "beta2"),
        (bh.Adam, "eps"),
        (bh.Adam, "weight_decay"),
        (bh.AdamW, "lr"),
        (bh.AdamW, "weight_decay"),
        (bh.Muon, "lr"),
        (bh.Muon, "momentum"),
        (bh.Muon, "weight_decay"),
        (bh.Muon, "bias_lr_scale"),
    ],
)
def test_a_bad_setting_is_named(kind, name, value):
    with pytest.raises(bh.ArgumentError, match=rf"^{kind.__name__}: {name} is {value!r}; expected a number"):
        kind(**{name: value})


@pytest.mark.parametrize(
    ("kind", "name"), [(bh.SGD, "momentum"), (bh.Adam, "beta1"), (bh.AdamW, "beta2"), (bh.Muon, "momentum")]
)
def test_a_beta_of_one_is_refused(kind, name):
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


def test_settings_cannot_be_changed_and_compare_by_value():
    assert bh.Adam() == bh.Adam(lr=0.001) != bh.AdamW(weight_decay=0.0)
    with pytest.raises(AttributeError):
        bh.SGD().lr = 1.0
