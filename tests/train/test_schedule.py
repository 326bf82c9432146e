"""Learning-rate schedules: values, JSON, and PyTorch's schedulers."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import byhand as bh
from byhand.train import settings
from byhand.train.schedule import SCHEDULES
from tests.oracle import needs_torch

PROGRESS = np.linspace(0, 1, 201)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (bh.Constant(), {0: 1, 0.3: 1, 1: 1}),
        (bh.StepDecay(), {0: 1, 0.4999: 1, 0.5: 0.1, 0.7499: 0.1, 0.75: 0.01, 1: 0.01}),
        (bh.StepDecay(milestones=(0.2,), factor=0.5), {0.1999: 1, 0.2: 0.5, 1: 0.5}),
        (bh.StepDecay(milestones=()), {0: 1, 1: 1}),
        (bh.Cosine(), {0: 1, 1 / 3: 0.75, 0.5: 0.5, 2 / 3: 0.25, 1: 0}),
        (bh.Cosine(final=0.2), {0: 1, 0.5: 0.6, 1: 0.2}),
        (bh.OneCycle(), {0: 0.04, 0.125: 0.52, 0.25: 1, 0.625: 0.5, 1: 0}),
        (bh.OneCycle(warmup_fraction=0.5, start=0.1, final=0.01), {0: 0.1, 0.25: 0.55, 0.5: 1, 0.75: 0.505, 1: 0.01}),
        (bh.OneCycle(warmup_fraction=0), {0: 1, 0.5: 0.5, 1: 0}),
        (bh.Warmup(0.1), {0: 0, 0.05: 0.5, 0.1: 1, 0.55: 0.5, 1: 0}),
        (bh.Warmup(0.2, bh.Constant()), {0: 0, 0.1: 0.5, 0.2: 1, 1: 1}),
        (bh.Warmup(0), {0: 1, 0.5: 0.5, 1: 0}),
        (bh.Warmup(0.5, bh.Warmup(0.5, bh.Constant())), {0.25: 0.5, 0.5: 0, 0.625: 0.5, 0.75: 1, 1: 1}),
    ],
    ids=repr,
)
def test_the_values_of_a_schedule(schedule, values):
    for progress, value in values.items():
        assert schedule(progress) == pytest.approx(value, abs=1e-12), progress
        assert type(schedule(progress)) is float


def rising(values):
    return all(a < b for a, b in pairwise(values))


@pytest.mark.parametrize("final", [0.0, 0.3])
def test_a_cosine_only_falls(final):
    assert rising([-bh.Cosine(final)(progress) for progress in PROGRESS])


@pytest.mark.parametrize(
    "schedule", [bh.OneCycle(), bh.OneCycle(warmup_fraction=0.5, start=0.5, final=0.1), bh.Warmup(0.25)]
)
def test_a_rise_only_rises_and_a_fall_only_falls(schedule):
    values = [schedule(progress) for progress in PROGRESS]
    top = values.index(max(values))
    assert 0 < top < len(values) - 1 and values[top] == 1
    assert rising(values[: top + 1]) and rising(values[:top:-1])


@pytest.mark.parametrize("schedule", [kind() for kind in SCHEDULES.values()], ids=list(SCHEDULES))
@given(progress=st.floats(0, 1))
def test_a_factor_is_from_0_to_1(schedule, progress):
    assert 0 <= schedule(progress) <= 1


# against PyTorch ------------------------------------------------------------------------------------------------------


def torch_rates(make_scheduler, steps):
    """Return the rates of `steps` steps, of an optimizer whose rate is 1."""
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, rates = make_scheduler(optimizer, torch.optim.lr_scheduler), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@needs_torch
@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_is_pytorchs_cosine_annealing(final):
    rates = torch_rates(lambda optimizer, all_: all_.CosineAnnealingLR(optimizer, 100, eta_min=final), 100)
    np.testing.assert_allclose([bh.Cosine(final)(step / 100) for step in range(100)], rates, rtol=0, atol=1e-9)


@needs_torch
@pytest.mark.parametrize(("part", "div", "final_div"), [(0.3, 25.0, 1e4), (0.25, 10.0, 20.0)])
def test_one_cycle_is_pytorchs(part, div, final_div):
    total = 100
    rates = torch_rates(
        lambda optimizer, all_: all_.OneCycleLR(
            optimizer,
            max_lr=1.0,
            total_steps=total,
            pct_start=part,
            anneal_strategy="cos",
            cycle_momentum=False,
            div_factor=div,
            final_div_factor=final_div,
        ),
        total - 1,
    )
    last = total - 1  # PyTorch counts to its last step, not to the end behind it
    schedule = bh.OneCycle(warmup_fraction=(part * total - 1) / last, start=1 / div, final=1 / (div * final_div))
    np.testing.assert_allclose([schedule(step / last) for step in range(last)], rates, rtol=0, atol=1e-9)


@needs_torch
def test_warm_up_is_pytorchs_linear():
    steps, total = 19, 100  # PyTorch can't begin with 0: its first step is byhand's second
    rates = torch_rates(
        lambda optimizer, all_: all_.LinearLR(optimizer, start_factor=1 / (steps + 1), total_iters=steps), total - 1
    )
    schedule = bh.Warmup((steps + 1) / total, bh.Constant())
    np.testing.assert_allclose([schedule(step / total) for step in range(1, total)], rates, rtol=0, atol=1e-9)


@needs_torch
def test_step_decay_is_pytorchs_multi_step():
    rates = torch_rates(lambda optimizer, all_: all_.MultiStepLR(optimizer, [50, 75], gamma=0.1), 100)
    np.testing.assert_allclose([bh.StepDecay()(step / 100) for step in range(100)], rates, rtol=0, atol=1e-9)


# JSON and back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "original",
    [
        bh.SGD(0.1, 0.9, nesterov=True),
        bh.Adam(eps=1e-7),
        bh.AdamW(lr=0.3),
        bh.Constant(),
        bh.StepDecay((0.1, 0.2), 0.3),
        bh.Cosine(0.1),
        bh.OneCycle(0.3, 0.1, 0.01),
        bh.Warmup(0.1, bh.OneCycle()),
        bh.Warmup(0.1, bh.Warmup(0.2, bh.StepDecay(milestones=(0.9,)))),
    ],
    ids=repr,
)
def test_settings_go_to_json_and_back(original):
    again = settings.from_json(json.loads(json.dumps(settings.to_json(original))))
    assert again == original and type(again) is type(original)


def test_every_kind_can_be_written():
    assert {settings.to_json(kind())["kind"] for kind in settings.registered_types().values()} == set(
        settings.registered_types()
    )


@pytest.mark.parametrize("kind", ["Cosinus", "", None, 1, "__import__", "Trainer"])
def test_an_unknown_kind_is_named(kind):
    with pytest.raises(bh.UnknownNameError, match=f"there is no optimizer or schedule '{kind}'"):
        settings.from_json({"kind": kind})


def test_a_kind_that_is_close_is_suggested():
    with pytest.raises(bh.UnknownNameError, match="did you mean 'Cosine'"):
        settings.from_json({"kind": "Warmup", "fraction": 0.1, "then": {"kind": "Cosin"}})


@pytest.mark.parametrize("data", [{"kind": "Cosine", "begin": 1}, {"kind": ["Cosine"]}, 7, None])
def test_a_non_setting_is_a_type_error(data):
    with pytest.raises(TypeError):
        settings.from_json(data)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "x", None, True])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (bh.StepDecay, "factor"),
        (bh.Cosine, "final"),
        (bh.OneCycle, "warmup_fraction"),
        (bh.OneCycle, "start"),
        (bh.OneCycle, "final"),
        (bh.Warmup, "fraction"),
    ],
)
def test_a_bad_value_is_named(kind, name, value):
    with pytest.raises(bh.ArgumentError, match=rf"^{kind.__name__}: {name} is {value!r}; expected a number"):
        kind(**{name: value})


@pytest.mark.parametrize(("kind", "name"), [(bh.OneCycle, "warmup_fraction"), (bh.Warmup, "fraction")])
def test_a_part_leaves_room_for_the_rest(kind, name):
    with pytest.raises(bh.ArgumentError, match="from 0 up to 1"):
        kind(**{name: 1.0})


@pytest.mark.parametrize("milestones", [0.5, None, (-0.1,), (float("nan"),), ("0.5",), "0.5"])
def test_step_decay_takes_points(milestones):
    with pytest.raises(bh.ArgumentError, match=r"^StepDecay: milestones is"):
        bh.StepDecay(milestones=milestones)


@pytest.mark.parametrize("then", ["Cosine", None, 0.5, bh.SGD(), bh.Cosine])
def test_warm_up_goes_on_with_a_schedule(then):
    with pytest.raises(bh.ArgumentError, match=r"Warmup: then is .*expected a schedule"):
        bh.Warmup(0.1, then)
