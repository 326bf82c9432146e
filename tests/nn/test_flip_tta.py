"""Flip test-time augmentation: the logits are the mean over an image and its flip, also after export."""

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.errors import ShapeError
from byhand.nn.receptive_field import last_feature_map
from byhand.onnx import save

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 12, 10, 3), np.uint8)


def network(**settings):
    """Return a network with all that is particular: a norm that has learned, dropout, a layer that is used twice, a sum."""
    x = nn.Input(12, 10, 3)
    same = nn.Conv2d(6, 3, padding="same")
    y = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(6, 3, padding="same")(x)))
    y = nn.Dropout(0.5)(same(same(y)) + y)
    model = nn.Model(
        x,
        nn.Softmax()(nn.Linear(4)(nn.Flatten()(y))),
        classes=list("abcd"),
        mean=[0.1, 0.2, 0.3],
        std=0.4,
        crop_pct=0.9,
        **settings,
    )
    for name, values in vars(model.state).items():
        if values.dtype.kind == "f":
            values[...] = np.random.default_rng(len(name)).uniform(0.5, 1.5, values.shape)
    return model


def expected(model, **settings):
    return (model.logits_of(IMAGES, **settings) + model.logits_of(IMAGES[:, :, ::-1], **settings)) / 2


@pytest.mark.parametrize("hand", bh.ops.HANDS)
def test_logits_are_the_mean_over_an_image_and_its_flip(hand):
    model = network(dtype=np.float64)
    both = model.with_flip_tta()
    np.testing.assert_allclose(both.logits_of(IMAGES, hand=hand), expected(model, hand=hand), atol=1e-12)
    assert np.abs(model.logits_of(IMAGES) - expected(model)).max() > 0.01
    assert both.predict(IMAGES).sum(1) == pytest.approx(1)


def test_flip_tta_keeps_parameters_and_metadata():
    model = network()
    both = model.with_flip_tta()
    assert both.parameter_count == model.parameter_count == both.summary().parameters
    assert both.summary().flops == pytest.approx(2 * model.summary().flops, rel=0.001)
    assert (both.name, both.classes, both.mean, both.std, both.crop_pct) == (
        model.name,
        model.classes,
        model.mean,
        model.std,
        model.crop_pct,
    )
    both.p.flat[...] = 0
    assert np.abs(model.p.flat).max() > 0.1, "its numbers are its own"


def test_flip_tta_is_idempotent():
    both = network().with_flip_tta()
    np.testing.assert_allclose(both.with_flip_tta().logits_of(IMAGES), both.logits_of(IMAGES), atol=1e-5)


def test_flip_tta_survives_saving(tmp_path):
    model = network()
    model.with_flip_tta().save(tmp_path / "both.safetensors")
    np.testing.assert_array_equal(bh.load(tmp_path / "both.safetensors").logits_of(IMAGES), expected(model))


def test_onnxruntime_agrees_with_flip_tta(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = network()
    save(model.with_flip_tta(), tmp_path / "both.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "both.onnx")
    name = session.get_inputs()[0].name
    theirs = [session.run(None, {name: image[None]})[0][0] for image in model.prepare(IMAGES).transpose(0, 3, 1, 2)]
    np.testing.assert_allclose(theirs, expected(model), atol=1e-5)


def test_last_feature_map_is_that_of_the_unflipped_image():
    assert last_feature_map(bh.models.create("tiny").with_flip_tta()) == last_feature_map(bh.models.create("tiny"))


def test_flip_tta_needs_images():
    model = nn.Model(nn.Input(5), nn.Linear(2))
    with pytest.raises(ShapeError, match=r"^model: images are \(5,\); expected \(H, W, C\) to flip"):
        model.with_flip_tta()
