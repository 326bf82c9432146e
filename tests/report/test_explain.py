"""Grad-CAM, saliency and occlusion against PyTorch, finite differences and loops."""

import numpy as np
import pytest
from onnx import helper
from PIL import Image

import byhand as bh
from byhand import models, nn, onnx
from byhand.data import Dataset, photos
from byhand.nn.receptive_field import FieldGrid, feature_maps, last_feature_map, lay_over
from byhand.report.explain.attribution import explain, grad_cam, gradients, occlusion, saliency
from byhand.report.explain.figure import HEAD_HEIGHT, MARGIN, PANEL_MAX_WIDTH, TITLE_HEIGHT, draw_explanation
from tests.models.table import ONE_OF_EACH, smallest
from tests.onnx.small_models import make_model, random_array, write_model
from tests.oracle import needs_torch


def network(**settings):
    """Return a network whose norm has statistics of its own, with a residual, a dropout and a pool; maps keep their places."""
    x = nn.Input(12, 16, 3)
    y = nn.BatchNorm(name="norm")(nn.Conv2d(6, 3, padding="same", name="conv")(x))
    y = nn.MaxPool2d(2)(nn.ReLU()(y))
    y = nn.ReLU(name="last")(y + nn.Conv2d(6, 3, padding="same", name="again")(y))
    y = nn.Linear(5, name="fc")(nn.Dropout(0.5)(nn.GlobalAvgPool2d()(y)))
    model, rng = nn.Model(x, y, **settings), np.random.default_rng(1)
    for values in (model.p.norm_gamma, model.p.norm_beta, model.state.norm_running_mean, model.state.norm_running_var):
        values[...] = rng.uniform(0.5, 1.5, values.shape)
    return model


def twin(model):
    """Return PyTorch's function of the same network, from images (N, C, H, W): the logits, and the last maps."""
    import torch
    from torch.nn import functional

    kept = {name: torch.tensor(value) for name, value in (model.parameters | vars(model.state)).items()}

    def conv(x, name):
        return functional.conv2d(x, kept[f"{name}_weight"].permute(3, 2, 0, 1), kept[f"{name}_bias"], padding="same")

    def run(x):
        y = conv(x, "conv")
        statistics = kept["norm_running_mean"], kept["norm_running_var"]
        y = functional.batch_norm(y, *statistics, kept["norm_gamma"], kept["norm_beta"], training=False)
        y = functional.max_pool2d(functional.relu(y), 2)
        maps = functional.relu(y + conv(y, "again"))
        maps.retain_grad()
        return maps.mean((2, 3)) @ kept["fc_weight"] + kept["fc_bias"], maps

    return run


@needs_torch
@pytest.mark.parametrize("hand", ["arrays", "compiled"])
def test_explanations_agree_with_pytorch(hand):
    import torch
    from torch.nn import functional

    model = network()
    image = np.random.default_rng(0).standard_normal((12, 16, 3)).astype(np.float32)
    x = torch.tensor(image[None]).permute(0, 3, 1, 2).requires_grad_()
    logits, maps = twin(model)(x)
    logits[0, 3].backward()
    found = gradients(model, image[None], 3, hand=hand)
    for ours, theirs in ((found["grad_images"], x.grad), (found["last"], maps), (found["grad_last"], maps.grad)):
        np.testing.assert_allclose(ours, theirs.detach().permute(0, 2, 3, 1), atol=1e-5)
    weights = maps.grad.mean((2, 3), keepdim=True)
    cam = functional.relu((weights * maps).sum(1, keepdim=True)).detach()
    told = explain(model, image, 3, hand=hand)
    assert told.layer == "last" and told.score == pytest.approx(float(logits.softmax(1)[0, 3].detach()), abs=1e-6)
    np.testing.assert_allclose(grad_cam(told.maps, found["grad_last"][0]), cam[0, 0], atol=1e-5)
    wide = functional.interpolate(cam, (12, 16), mode="bilinear", align_corners=False)[0, 0]
    assert wide.max() > 1e-3
    np.testing.assert_allclose(told.cam, wide, atol=1e-5)
    np.testing.assert_allclose(told.saliency, x.grad[0].abs().amax(0), atol=1e-5)


def test_the_gradient_of_a_batch_is_that_of_each_image():
    model, images = network(dtype=np.float64), np.random.default_rng(0).standard_normal((3, 12, 16, 3))
    together = gradients(model, images, 2)
    for i in range(3):
        alone = gradients(model, images[i : i + 1], 2)
        for name in ("grad_images", "grad_again", "last"):
            np.testing.assert_allclose(together[name][i], alone[name][0], atol=1e-12)


def test_explain_leaves_the_model_unchanged():
    model = network()
    before = [value.copy() for value in (*model.parameters.values(), *vars(model.state).values())]
    explain(model, np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8))
    after = (*model.parameters.values(), *vars(model.state).values())
    assert all(np.array_equal(array, other) for array, other in zip(before, after))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_each_family_is_explained(name):
    """The gradient is the slope of the logit, by finite differences; Grad-CAM has the image's size."""
    model, rng = smallest(name), np.random.default_rng(0)
    image, way = rng.standard_normal((2, 1, *model.input_shape))
    logits, step = model.logits_of(image)[0], 1e-8
    k = int(np.abs(logits).argmax())
    found = gradients(model, image, k)
    slope = (found["grad_images"] * way).sum()
    ahead, behind = (model.logits_of(image + offset * way)[0, k] for offset in (step, -step))
    assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-4, abs=1e-6 * abs(logits[k]))
    assert all(np.isfinite(value).all() for value in found.values()) and np.abs(slope) > 0
    layer = last_feature_map(model)
    cam = lay_over(
        grad_cam(found[layer][0], found[f"grad_{layer}"][0]), feature_maps(model.graph)[layer], image.shape[1:3]
    )
    assert cam.shape == model.input_shape[:2] and np.isfinite(cam).all() and (cam >= 0).all()


def test_a_layer_is_found_for_every_architecture():
    for name in models.names():
        model = models.create(name, seed=None)
        layer = last_feature_map(model)
        place, (_, height, width, channels) = feature_maps(model.graph)[layer], model.graph.tensors[layer].shape
        assert height > 1 and width > 1 and channels > 1, name
        tall, wide, _ = model.input_shape
        for (start, step), count, side in ((place.rows, height, tall), (place.columns, width, wide)):
            assert start >= 0 and start + step * (count - 1) < side, name
    expected = {"vgg16": "relu13", "googlenet": "inception5b", "densenet121": "relu120", "squeezenet1_1": "relu26"}
    for name, layer in expected.items():
        assert last_feature_map(models.create(name, seed=None)) == layer


def test_the_last_feature_map_lies_before_the_branches():
    x = nn.Input(8, 8, 1)
    y = nn.Conv2d(4, 3, padding="same", name="one")(x)
    branch = nn.GlobalAvgPool2d()(nn.Conv2d(4, 3, name="branch")(y))
    model = nn.Model(x, nn.Linear(2)(branch + nn.GlobalAvgPool2d()(y)))
    assert last_feature_map(model) == "one"
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(nn.MaxPool2d(2)(x))))
    assert last_feature_map(model) == "pool3", "where there is nothing but the pooling"


# Positions of maps ----------------------------------------------------------------------------------------------------


def chain(kind):
    """Return maps of an image of 41 x 37 pixels; every number they saw counts."""
    x = nn.Input(41, 37, 1)
    layers = {
        "valid": [nn.Conv2d(1, 5), nn.AvgPool2d(2), nn.Conv2d(1, 3)],
        "strided": [nn.Conv2d(1, (7, 3), stride=2, padding=(3, 0, 1, 2)), nn.ReLU(), nn.Conv2d(1, 3, dilation=2)],
        "same": [nn.Conv2d(1, 3, stride=2, padding="same"), nn.AvgPool2d(3, stride=2), nn.Conv2d(1, 1)],
    }[kind]
    model = nn.Model(x, nn.Flatten()(nn.Sequential(*layers, nn.Conv2d(1, 1, name="end"))(x)))
    for values in model.parameters.values():
        values[...] = np.random.default_rng(0).uniform(0.5, 1, values.shape)
    return model


@pytest.mark.parametrize("kind", ["valid", "strided", "same"])
def test_a_map_lies_where_it_looks(kind):
    model = chain(kind)
    place, (_, height, width, _) = feature_maps(model.graph)["end"], model.graph.tensors["end"].shape
    for i, j in ((2, 3), (height // 2, width // 2), (height - 3, width - 3)):
        seen = gradients(model, np.ones((1, 41, 37, 1)), i * width + j)["grad_images"][0, ..., 0] != 0
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        assert rows[0] > 0 and rows[-1] < 40 and columns[0] > 0 and columns[-1] < 36, (
            "the middle of what is cut off is not told"
        )
        assert (rows[0] + rows[-1]) / 2 == place.rows[0] + place.rows[1] * i
        assert (columns[0] + columns[-1]) / 2 == place.columns[0] + place.columns[1] * j


def test_frames_and_cuts_move_the_place():
    x = nn.Input(20, 20, 1)
    y = bh.pad(x, padding=(2, 0, 3, 1))
    y = bh.slice(y, starts=(4, 3), stops=(20, 20), axes=(1, 2), steps=(2, 1))
    turned = bh.transpose(bh.relu(bh.transpose(y, axes=(0, 3, 1, 2))), axes=(0, 2, 3, 1))
    places = feature_maps(turned.graph)
    assert places[y.name] == places[turned.name] == FieldGrid(rows=(2.0, 2.0), columns=(0.0, 1.0), grid=(8, 17))
    assert list(places) == ["pad1", y.name, turned.name], "not those with channels first"


def test_laid_is_a_stretch_where_windows_tile():
    values = np.random.default_rng(0).random((3, 4))
    place = FieldGrid(rows=(1.5, 4.0), columns=(0.5, 2.0))
    expected = bh.resize(values[None, ..., None], size=(12, 8), mode="linear")[0, ..., 0]
    np.testing.assert_allclose(lay_over(values, place, (12, 8)), expected, atol=1e-12)
    far = lay_over(np.ones((1, 1)), FieldGrid(rows=(10.0, 2.0), columns=(10.0, 2.0)), (21, 21))
    assert (far[9:12, 9:12] == 1).all() and (far[[7, 13]] == 0).all() and far.sum() < 25


# Occlusion ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_occlusion_beside_a_plain_loop(kind):
    model, rng = network(), np.random.default_rng(0)
    image = (
        rng.integers(0, 256, (12, 16, 3)).astype(kind)
        if kind == np.uint8
        else rng.normal(size=(12, 16, 3)).astype(np.float32) / 4
    )
    found = occlusion(model, image, 1, patch=(4, 5), stride=(3, 2))
    gray = np.rint(image.mean((0, 1))) if kind == np.uint8 else image.mean((0, 1))
    probabilities = [[[] for _ in range(16)] for _ in range(12)]
    for top in (0, 3, 6, 8):
        for left in (0, 2, 4, 6, 8, 10, 11):
            covered = image.copy()
            covered[top : top + 4, left : left + 5] = gray
            probability = model.predict(covered[None])[0, 1]
            for i, j in np.ndindex(4, 5):
                probabilities[top + i][left + j].append(probability)
    np.testing.assert_allclose(found, [[np.mean(part) for part in row] for row in probabilities], atol=1e-6)
    assert np.ptp(found) > 1e-4


def test_occlusion_refuses_wrong_arguments():
    model, image = network(), np.zeros((12, 16, 3), np.uint8)
    with pytest.raises(bh.ArgumentError, match="patch is \\(13, 13\\); expected no more than the image"):
        occlusion(model, image, 0, patch=13)
    with pytest.raises(bh.ArgumentError, match="stride is \\(5, 5\\); expected no more than the patch"):
        occlusion(model, image, 0, patch=4, stride=5)


# Known images ---------------------------------------------------------------------------------------------------------


def planted(count, seed):
    """Return noise with a square of 8 x 8, of one color a class, and its corners."""
    rng = np.random.default_rng(seed)
    images = rng.integers(64, 192, (count, 32, 32, 3)).astype(np.uint8)
    labels, corners = rng.integers(0, 2, count), rng.integers(0, 25, (count, 2))
    for image, label, (top, left) in zip(images, labels, corners):
        image[top : top + 8, left : left + 8] = ((230, 60, 60), (60, 60, 230))[label]
    return images, labels, corners


def test_a_planted_square_is_found_by_both_maps():
    images, labels, _ = planted(600, 0)
    x = nn.Input(32, 32, 3)
    layers = (
        nn.Conv2d(8, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 3),
        nn.ReLU(),
        nn.GlobalAvgPool2d(),
        nn.Linear(2),
    )
    model = nn.Model(x, nn.Sequential(*layers)(x), classes=("red", "blue"))
    bh.Trainer(model, bh.SGD(lr=0.05, momentum=0.9), batch_size=20).fit(
        Dataset(images, labels, model.classes), epochs=6
    )
    images, labels, corners = planted(20, 1)
    assert (model.predict(images).argmax(1) == labels).all()
    inside = {"cam": 0, "occlusion": 0}
    for image, label, (top, left) in zip(images, labels, corners):
        found = explain(model, image, int(label))
        for name, heat in (("cam", found.cam), ("occlusion", -found.occlusion)):
            row, column = np.unravel_index(heat.argmax(), heat.shape)
            inside[name] += top - 1 <= row < top + 9 and left - 1 <= column < left + 9
    assert all(count >= 18 for count in inside.values()), inside


def cam_of(model, image, index):
    """Return Grad-CAM of the chosen layer, and where it is largest."""
    layer, found = last_feature_map(model), gradients(model, image[None], index)
    cam = grad_cam(found[layer][0], found[f"grad_{layer}"][0])
    cam = lay_over(cam, feature_maps(model.graph)[layer], image.shape[:2])
    return cam, np.unravel_index(cam.argmax(), cam.shape)


def test_a_cat_is_seen_where_it_is_and_a_cup_where_that_is(tmp_path):
    data = pytest.importorskip("skimage.data")
    model = models.pretrained("efficientnet_lite0")
    Image.fromarray(data.chelsea()).save(tmp_path / "chelsea.png")
    image = photos.from_file(tmp_path / "chelsea.png")
    cat = int(model.predict(image[None])[0].argmax())
    assert "cat" in model.classes[cat]
    _, (row, column) = cam_of(model, image, cat)
    assert 60 <= row <= 210 and 20 <= column <= 215, "from the eyes to the chin"
    halves = [
        np.asarray(Image.fromarray(photo).resize((112, 112))) for photo in (data.chelsea()[:, 100:400], data.coffee())
    ]
    for cat_first in (True, False):
        both = np.full((224, 224, 3), 128, np.uint8)
        both[56:168] = np.concatenate(halves if cat_first else halves[::-1], 1)
        for name, left in (("tabby, tabby cat", cat_first), ("coffee mug", not cat_first)):
            cam, (_, column) = cam_of(model, both, model.classes.index(name))
            means = cam[:, :112].mean(), cam[:, 112:].mean()
            assert (column < 112) == left and (means[0] > means[1]) == left, (name, column, means)


# Any network ----------------------------------------------------------------------------------------------------------


def test_a_network_without_maps():
    x = nn.Input(28, 28, 1)
    model = nn.Model(x, nn.Sequential(nn.Flatten(), nn.Linear(8), nn.Tanh(), nn.Linear(3))(x))
    found = explain(model, np.random.default_rng(0).random((28, 28, 1)) - 0.5)
    assert (found.layer, found.cam, found.maps, found.filters, found.after) == (None, None, None, None, ())
    first, second = model.parameters["fc1_weight"], model.parameters["fc2_weight"]
    hidden = model.trace(found.image[None])["tanh1"][0]
    expected = np.abs(first @ ((1 - hidden**2) * second[:, found.index])).reshape(28, 28)
    np.testing.assert_allclose(found.saliency, expected, atol=1e-6)


def test_an_export_is_explained_as_its_model(tmp_path):
    model = network()
    onnx.save(model, tmp_path / "model.onnx")
    image = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    ours, theirs = (explain(network, image, 2) for network in (model, onnx.load(tmp_path / "model.onnx")))
    assert theirs.layer == "last" and ours.cam.max() > 0
    for name in ("cam", "saliency", "occlusion", "filters"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), atol=1e-5)


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "convnext_tiny", "mobilenet_v3_small"])
def test_maps_are_found_in_the_exports_of_others(tmp_path, name):
    """Channels that are shuffled or normalized, squeezed and excited: a file says it with reshapes and transposes."""
    model = models.create(name, 3, (64, 64, 3))
    onnx.save(model, tmp_path / "model.onnx")
    other, image = onnx.load(tmp_path / "model.onnx"), np.random.default_rng(0).standard_normal((1, 64, 64, 3))
    layer = last_feature_map(model)
    assert last_feature_map(other) == layer
    assert feature_maps(other.graph)[layer] == feature_maps(model.graph)[layer]
    ours, theirs = (gradients(network, image, 1) for network in (model, other))
    for key in (layer, f"grad_{layer}", "grad_images"):
        np.testing.assert_allclose(theirs[key], ours[key], atol=1e-3 * np.abs(ours[key]).max())


@needs_torch
def test_axes_are_followed_through_transposes(tmp_path):
    import torch
    from torch.nn import functional

    numbers = {"w": random_array(6, 3, 3, 3), "m": random_array(6, 5, seed=1), "f": random_array(5, 4, seed=2)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["t", "m"], ["mixed"]),
        helper.make_node("Relu", ["mixed"], ["seen"]),
        helper.make_node("ReduceMean", ["seen"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "f"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=-1),
    ]
    model = onnx.load(write_model(make_model(nodes, numbers, x=(1, 3, 8, 8), opset=13), tmp_path))
    image = random_array(8, 8, 3, seed=5)
    found = explain(model, image, 2)
    assert found.layer == "seen" and found.maps.shape == (8, 8, 5)
    x = torch.tensor(image[None]).permute(0, 3, 1, 2).requires_grad_()
    w, m, f = map(torch.tensor, numbers.values())
    maps = functional.relu(functional.conv2d(x, w, padding=1).permute(0, 2, 3, 1) @ m)
    maps.retain_grad()
    (maps.mean((1, 2)) @ f)[0, 2].backward()
    expected = functional.relu((maps * maps.grad.mean((1, 2), keepdim=True)).sum(3))[0].detach()
    np.testing.assert_allclose(found.cam, expected, atol=1e-5)
    np.testing.assert_allclose(found.saliency, x.grad[0].abs().amax(0), atol=1e-5)
    assert expected.max() > 0.01


def test_unexplainable_models_are_refused():
    model, image = network(), np.zeros((12, 16, 3), np.uint8)
    with pytest.raises(bh.ArgumentError, match="class is 5; expected 0 to 4"):
        explain(model, image, 5)
    with pytest.raises(bh.UnknownNameError, match="there is no layer 'lost'; did you mean 'last'"):
        explain(model, image, layer="lost")
    with pytest.raises(
        bh.ArgumentError, match=r"fc .* has no feature maps that the logits depend on; layers that have: conv, norm"
    ):
        explain(model, image, layer="fc")
    with pytest.raises(bh.ShapeError, match="expected \\(N, 12, 16, 3\\)"):
        explain(model, image[:5])
    model.p.fc_bias[1] = np.nan
    with pytest.raises(bh.NotFiniteError, match="gives NaN for this image"):
        explain(model, image)
    x = nn.Input(8, 8, 1)
    with pytest.raises(bh.ArgumentError, match="has no classes"):
        explain(nn.Model(x, nn.Conv2d(2, 3)(x), classes=()), np.zeros((8, 8, 1)))


# The picture ----------------------------------------------------------------------------------------------------------


def draw_and_read(found, path):
    draw_explanation(found, path, "a picture in a network")
    with Image.open(path) as picture:
        assert picture.format == "PNG" and 1000 <= picture.width <= 1400 and picture.height < 1100
        return np.asarray(picture.convert("RGB"))


PANELS = ["Input", "Grad-CAM", "Saliency", "Occlusion", "First filters", "Most active feature maps"]


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (12, 90, 3), (200, 16, 1), (40, 40, 5)])
def test_a_picture_of_any_image(tmp_path, texts, shape):
    x = nn.Input(*shape)
    model = nn.Model(x, nn.Sequential(nn.Conv2d(40, 3), nn.ReLU(), nn.GlobalAvgPool2d(), nn.Linear(3))(x))
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = explain(model, image)
    pixels = draw_and_read(found, tmp_path / "a.png")
    assert [text for text in texts if text in PANELS] == PANELS
    assert "a picture in a network" in texts and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100


def test_the_image_is_in_the_picture(tmp_path, texts):
    x = nn.Input(28, 28, 1)
    model = nn.Model(x, nn.Sequential(nn.Flatten(), nn.Linear(3))(x))
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8)
    pixels = draw_and_read(explain(model, image), tmp_path / "a.png")
    assert [text for text in texts if text in PANELS] == ["Input", "Saliency", "Occlusion"]
    side = PANEL_MAX_WIDTH // 28
    part = pixels[HEAD_HEIGHT + TITLE_HEIGHT :, MARGIN:][: 28 * side, : 28 * side]
    assert np.array_equal(part[side // 2 :: side, side // 2 :: side], np.repeat(image, 3, 2))


def test_a_picture_is_the_same_bytes_again(tmp_path):
    found = explain(network(), np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8))
    for name in "ab":
        draw_and_read(found, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_map_without_positive_evidence_is_reported(tmp_path, texts):
    x = nn.Input(8, 8, 1)
    model = nn.Model(x, nn.Sequential(nn.Conv2d(1, 1), nn.ReLU(), nn.GlobalAvgPool2d(), nn.Linear(2))(x))
    model.p.conv1_weight[...], model.p.fc1_weight[...] = 1, [[-1, 1]]
    image = np.full((8, 8, 1), 0.5)
    assert explain(model, image, 0).cam.max() == 0 < explain(model, image, 1).cam.max()
    draw_and_read(explain(model, image, 0), tmp_path / "a.png")
    assert "no positive evidence" in texts and any(text.endswith("drops by less than 1%") for text in texts)
    assert saliency(np.full((8, 8, 3), -2.0)).max() == 2


def saturated(*activations):
    """Return a network of 12 x 12 images whose class 0 is the mean brightness times 500, which saturates each activation."""
    x = nn.Input(12, 12, 1)
    y = nn.Linear(2, name="fc")(nn.GlobalAvgPool2d()(nn.ReLU(name="maps")(nn.Conv2d(1, 3, padding="same")(x))))
    for activation in activations:
        y = activation()(y)
    model = nn.Model(x, y, mean=0.0)
    model.p.conv1_weight[...], model.p.conv1_bias[...] = 1 / 9, 0
    model.p.fc_weight[...], model.p.fc_bias[...] = [[500, 0]], 0
    return model


@pytest.mark.parametrize("activations", [(nn.Softmax,), (nn.Softmax, nn.Softmax), (nn.Sigmoid, nn.Sigmoid)])
def test_several_saturated_activations_hide_no_gradient(activations):
    image = np.zeros((12, 12, 1), np.uint8)
    image[7:11, 2:6] = 255
    found = explain(saturated(*activations), image, 0)
    row, column = found.largest(found.cam)
    assert 7 <= row < 11 and 2 <= column < 6 and found.saliency.max() > 0.1


def test_maps_without_a_largest_value_point_nowhere():
    found = explain(saturated(nn.Softmax), np.full((12, 12, 1), 255, np.uint8), 0)
    assert found.occluded_most is None  # a gray patch of the mean color changes nothing
    assert found.largest(np.zeros((2, 2))) is None and found.largest(np.ones((2, 2))) is None
