"""GoogLeNet and Inception v3 beside their twins in PyTorch, with and without auxiliary heads."""

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.errors import ShapeError
from byhand.models import googlenet, inception_v3

pytest.importorskip("torch")
import torch

from tests.models import twins_googlenet, twins_inception_v3
from tests.models.twins_agree import TOLERANCE, count, difference, learns, model, parameter_count

ARCHITECTURES = googlenet.ARCHITECTURES | inception_v3.ARCHITECTURES
TWINS = twins_googlenet.TWINS | twins_inception_v3.TWINS
COUNTS = {"googlenet": (6_624_904, 13_004_888), "inception_v3": (23_834_568, 27_161_264)}  # without heads, with
SMALL = {"googlenet": (61, 40, 3), "inception_v3": (75, 83, 3)}
WEIGHTS = {"googlenet": [0.3, 0.3], "inception_v3": [0.4]}
everyone = pytest.mark.parametrize("name", ARCHITECTURES)


def with_heads(name, image=None, classes=1000, seed=0):
    """Return (a model with its heads, its heads' logits as models of their own)."""
    x = nn.Input(*(image or ARCHITECTURES[name].image))
    logits, heads = ARCHITECTURES[name].build(x, classes, auxiliary=True)
    assert [weight for _, weight in heads] == WEIGHTS[name]
    ours = nn.Model(x, logits, name=name, auxiliary=heads, seed=seed)
    return ours, [nn.Model(x, head, name=f"{name}_{head.name}", seed=None) for head, _ in heads]


@everyone
def test_parameter_count(name):
    without, with_them = COUNTS[name]
    assert parameter_count(ARCHITECTURES[name], name) == count(TWINS[name]()) == without
    assert with_heads(name, seed=None)[0].parameter_count == count(TWINS[name](heads=True)) == with_them


@everyone
def test_all_logits_are_the_twins_at_full_size(name, tmp_path):
    twin = TWINS[name](heads=True)
    ours, heads = with_heads(name)
    assert difference(ours, twin, tmp_path) < TOLERANCE
    x = np.random.default_rng(3).standard_normal((1, *ours.input_shape)).astype(np.float32)
    with torch.no_grad():
        expected = twin.all_logits(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))[1:]
    assert len(expected) == len(heads)
    for head, logits in zip(heads, expected):
        for mine, theirs in ((head.p, ours.p), (head.state, ours.state)):
            for tensor in vars(mine):
                if tensor != "flat":
                    vars(mine)[tensor][...] = vars(theirs)[tensor]
        error = np.abs(head.logits_of(x) - logits.numpy()).max() / np.abs(logits.numpy()).max()
        assert error < TOLERANCE, head.name


@everyone
def test_the_twins_logits_of_odd_images(name, tmp_path):
    assert difference(model(ARCHITECTURES[name], name, SMALL[name], 10), TWINS[name](10), tmp_path) < TOLERANCE


@everyone
def test_a_file_with_heads_fits_a_model_without(name, tmp_path):
    ours = model(ARCHITECTURES[name], name, SMALL[name], 10)
    assert difference(ours, TWINS[name](10, heads=True), tmp_path) < TOLERANCE


@everyone
def test_it_learns(name):
    before, after = learns(model(ARCHITECTURES[name], name, (75, 75, 3), 4), steps=10)
    assert after < 0.5 * before


def test_googlenet_learns_with_its_heads():
    ours, _ = with_heads("googlenet", (64, 64, 3), 4)
    first = {name: value.copy() for name, value in ours.parameters.items()}
    before, after = learns(ours, steps=10)
    assert after < 0.5 * before
    assert all((first[name] != value).any() for name, value in ours.parameters.items() if name.endswith("weight"))


def test_what_is_too_small():
    with pytest.raises(ShapeError, match="the window reaches over"):
        bh.nn.Model(x := nn.Input(60, 60, 3), inception_v3.inception_v3(x, 10))
    with pytest.raises(ShapeError, match="the window reaches over"):
        inception_v3.inception_v3(nn.Input(75, 75, 3), 10, auxiliary=True)
