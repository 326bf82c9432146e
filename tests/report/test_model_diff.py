"""Model differences: one change at a time, and the row that reports it."""

import numpy as np
import pytest

import byhand as bh
from byhand import nn, onnx
from byhand.report import compare_models
from byhand.report.model_diff import Difference, array_difference


def net(*, size=12, filters=4, stride=1, between=(), last=None, prefix="", seed=0, act=nn.ReLU, **settings):
    """A small network of named layers, to be changed in one place."""
    x = nn.Input(size, size, 1)
    y = nn.Conv2d(filters, 3, stride=stride, name=f"{prefix}conv")(x)
    for layer in between:
        y = layer(y)
    y = act(name=f"{prefix}act")(y)
    y = nn.Conv2d(5, 3, padding="same", name=f"{prefix}conv_b")(y)
    y = nn.BatchNorm(name=f"{prefix}norm")(y)
    y = nn.GlobalAvgPool2d(name=f"{prefix}pool")(y)
    y = nn.Linear(3, name=f"{prefix}fc")(y)
    return nn.Model(x, y if last is None else last(y), seed=seed, **settings)


def rows(a, b):
    return [(row.layer, row.property, row.a, row.b) for row in compare_models(a, b).differences]


def test_the_same():
    found = compare_models(net(), net())
    assert (found.differences, found.layers, found.matched_by_order, found.renamed, found.shape_only) == (
        [],
        (6, 6),
        False,
        0,
        0,
    )
    model = net()
    assert found.arrays == len(model.parameters) + len(vars(model.state))
    assert found.elements == sum(array.size for array in (model.parameters | vars(model.state)).values())


SETTINGS = {
    "images": ({"size": 16}, ("", "images", (12, 12, 1), (16, 16, 1))),
    "dtype": ({"dtype": np.float64}, ("", "numbers", "float32", "float64")),
    "mean": ({"mean": 0.25}, ("", "mean", 0.5, 0.25)),
    "std": ({"std": [2.0]}, ("", "std", 1.0, [2.0])),
    "classes": ({"classes": ["0", "dog", "2"]}, ("", "classes", ["1"], ["dog"])),
    "an op": ({"act": nn.SiLU}, ("act", "op", "relu", "silu")),
    "a stride": ({"stride": 2}, ("conv", "stride", (1, 1), (2, 2))),
    "one more": ({"between": [nn.Sigmoid(name="new")]}, ("new", "layer", None, "sigmoid (N, 10, 10, 4)")),
    "an end": ({"last": nn.Softmax(name="shares")}, ("shares", "layer", None, "softmax (N, 3)")),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_one_change_is_one_row_and_what_follows(kind):
    change, row = SETTINGS[kind]
    there, back = rows(net(), net(**change)), rows(net(**change), net())
    if kind == "dtype":  # the first numbers are others, too
        there, back = there[:1], back[:1]
    assert row in there
    assert (*row[:2], row[3], row[2]) in back
    more = {
        "a stride": [("conv", "output", "(N, 10, 10, 4)", "(N, 5, 5, 4)")],
        "one more": [("act", "reads", "conv", "new")],
    }
    assert [reported for reported in there if reported != row] == more.get(kind, [])


def test_shapes_that_follow_are_counted_not_listed():
    assert compare_models(net(), net(size=16)).shape_only == 4  # conv, act, conv_b, norm
    assert compare_models(net(), net(stride=2)).shape_only == 3


def test_weights_of_another_shape():
    found = compare_models(net(), net(filters=6))
    told = [(row.layer, row.property, row.a, row.b) for row in found.differences if row.count is None]
    assert told == [
        ("conv", "output", "(N, 10, 10, 4)", "(N, 10, 10, 6)"),
        ("conv", "weight", (3, 3, 1, 4), (3, 3, 1, 6)),
        ("conv", "bias", (4,), (6,)),
        ("conv_b", "weight", (3, 3, 4, 5), (3, 3, 6, 5)),
    ]


def test_a_bias_that_one_lacks():
    x, y = nn.Input(4), nn.Input(4)
    a, b = nn.Model(x, nn.Linear(2)(x)), nn.Model(y, nn.Linear(2, bias=False)(y))
    assert rows(a, b) == [("fc1", "bias", (2,), None)]
    assert rows(b, a) == [("fc1", "bias", None, (2,))]


def test_numbers():
    a, b = net(), net()
    b.p.conv_weight[0, 0, 0, 1] += 0.5
    b.state.norm_running_mean[...] = 3
    largest = float(np.abs(a.p.conv_weight).max())
    moved = abs(float(b.p.conv_weight[0, 0, 0, 1]) - float(a.p.conv_weight[0, 0, 0, 1]))
    first, other = compare_models(a, b).differences
    assert first == Difference("conv", "weight", (3, 3, 1, 4), (3, 3, 1, 4), 1, moved, moved / largest)
    assert other == Difference("norm", "running_mean", (5,), (5,), 5, 3.0, None)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("chunk", [3, 2**20])
def test_distance_against_a_plain_loop(monkeypatch, kind, chunk):
    monkeypatch.setattr("byhand.report.model_diff.CHUNK_ELEMENTS", chunk)
    rng = np.random.default_rng(0)
    for _ in range(30):
        a = rng.standard_normal((2, 5)).astype(kind)
        b = np.where(rng.random((2, 5)) < 0.4, a + rng.standard_normal((2, 5)), a).astype(kind)
        pairs = [(float(x), float(y)) for x, y in zip(a.flat, b.flat)]
        largest = max(abs(x - y) for x, y in pairs)
        wanted = (sum(x != y for x, y in pairs), largest, largest / max(abs(x) for x, _ in pairs))
        assert array_difference(a, b) == wanted


def test_distance_of_what_is_no_number():
    nan, inf = np.nan, np.inf
    assert array_difference(np.array([nan, inf, 1]), np.array([nan, inf, 1])) == (0, 0.0, 0.0)
    assert array_difference(np.array([nan, 1.0]), np.array([2.0, 1.0])) == (1, None, None)
    assert array_difference(np.array([inf, 1.0]), np.array([-inf, 3.0])) == (2, None, None)
    assert array_difference(np.zeros(0), np.zeros(0)) == (0, 0.0, None)


def test_other_names_and_the_same_structure_are_matched_by_order():
    found = compare_models(net(prefix="features_"), net())
    assert (found.differences, found.matched_by_order, found.renamed) == ([], True, 6)
    b = net()
    b.p.fc_bias[...] = 1
    (row,) = compare_models(net(prefix="v"), b).differences
    assert (row.layer, row.property, row.count, row.max_abs_diff) == ("vfc", "bias", 3, 1.0)


def test_other_names_and_another_structure_are_not():
    found = compare_models(net(prefix="v"), net(act=nn.SiLU))
    assert not found.matched_by_order
    assert [row.layer for row in found.differences if row.b is None] == [
        "vconv",
        "vact",
        "vconv_b",
        "vnorm",
        "vpool",
        "vfc",
    ]
    assert len(found.differences) == 13  # and that the output comes from another


def test_names_that_are_shifted_do_not_mislead():
    """Exporters that number what they write: one more in front, and every name belongs to the next layer."""

    def numbered(first):
        x = y = nn.Input(6)
        for i in range(4):
            y = nn.Linear(6, name=f"v{first + 2 * i}")(y)
            y = nn.ReLU(name=f"v{first + 2 * i + 1}")(y)
        return nn.Model(x, y)

    found = compare_models(numbered(10), numbered(12))
    assert (found.differences, found.matched_by_order, found.renamed) == ([], True, 8)


def test_wires_that_are_crossed():
    def crossed(swap):
        x = nn.Input(6)
        a, b = nn.Linear(4, name="a")(x), nn.Linear(4, name="b")(x)
        return nn.Model(x, nn.Concat(name="both")(*((b, a) if swap else (a, b))))

    assert rows(crossed(False), crossed(True)) == [("both", "reads", "a, b", "b, a")]


def test_a_changed_reshape_is_a_difference():
    def shaped(*sizes):
        x = nn.Input(4, 6, 2)
        return nn.Model(x, nn.Linear(3)(nn.GlobalAvgPool2d()(nn.Reshape(*sizes)(x))))

    assert rows(shaped(6, 4, 2), shaped(2, 12, 2)) == [("pool1", "takes", "(N, 6, 4, 2)", "(N, 2, 12, 2)")]


def test_dropout_does_nothing_in_inference():
    assert rows(net(), net(between=[nn.Dropout(0.5)])) == []


def test_numbers_that_several_layers_share_are_told_once():
    def shared():
        x, layer = nn.Input(4), nn.Linear(4)
        return nn.Model(x, layer(layer(x)))

    a, b = shared(), shared()
    b.p.fc1_bias[...] = 2
    found = compare_models(a, b)
    assert [(row.layer, row.property, row.count) for row in found.differences] == [("fc1", "bias", 4)]
    assert found.arrays == 2


@pytest.mark.parametrize("name", ["lenet5", "resnet20_cifar", "squeezenet1_1", "mobilenet_v2", "efficientnet_lite0"])
def test_a_network_and_its_export_are_the_same(tmp_path, name):
    size = (32, 32, 3) if name != "lenet5" else None
    model = bh.models.create(name, classes=4, input_shape=size)
    onnx.save(model, tmp_path / "model.onnx")
    found = compare_models(model, onnx.load(tmp_path / "model.onnx"))
    assert found.differences == []
    assert found.elements == model.parameter_count + sum(
        array.size for array in vars(model.state).values() if array.dtype != np.uint64
    )


def test_models_of_other_families_are_compared_to_the_end():
    models = [bh.models.create(name, seed=None) for name in ("lenet5", "resnet18", "googlenet", "shufflenet_v2_x0_5")]
    for a in models:
        for b in models:
            assert (compare_models(a, b).differences == []) == (a is b)


def test_a_task_and_the_preprocessing_are_compared():
    x = nn.Input(8, 8, 1)
    y = nn.Linear(3)(nn.Flatten()(x))
    record = bh.data.Preprocessing("array", crop_pct=0.5, pixel_range=(0, 1023))
    a, b = nn.Model(x, y), nn.Model(x, y, task="labels", preprocessing=record)
    differences = {row.property: (row.a, row.b) for row in compare_models(a, b).differences}
    assert differences == {
        "task": ("classes", "labels"), "reader": ("picture", "array"), "crop_pct": (None, 0.5),
        "pixel_range": (None, [0.0, 1023.0]),
    }  # fmt: skip
