"""Architectures: parameters, logits and losses against PyTorch, training, errors.

What is expected of each is a row of `table.ROWS`.
"""

import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

import byhand as bh
import byhand.onnx
from byhand import models, nn
from byhand.bench.onnx_suite import cases
from byhand.errors import ArgumentError, ShapeError, UnknownNameError
from byhand.kernels.runtime.thread_pool import limit
from byhand.models import ARCHITECTURES
from tests.models.table import LOOPS, ONE_OF_EACH, ROWS, TOLERANCE, smallest
from tests.nn.cases import images
from tests.oracle import TORCH, needs_torch

if TORCH:
    import torch

    from tests.models.compare import count, difference, learns, logits_differ, losses_agree, same_weights
    from tests.models.twins import TWINS

CLASSICS = ("article", "lenet5", "lenet5_1998")  # made for MNIST; they have no twin
HEADS = {"googlenet": [0.3, 0.3], "inception_v3": [0.4]}  # the weights of the auxiliary losses
classics = pytest.mark.parametrize("name", CLASSICS)
with_heads = pytest.mark.parametrize("name", HEADS)


def of_rows(field):
    """Parametrize with (name, case) of every row that has the field, each case of a tuple by itself."""
    pairs = []
    for name, row in ROWS.items():
        cases = getattr(row, field)
        for case in cases if isinstance(cases, tuple) else filter(None, [cases]):
            pairs.append(pytest.param(name, case, marks=[pytest.mark.long] * getattr(case, "long", False)))
    return pytest.mark.parametrize(("name", "case"), pairs, ids=str)


# the table's tests


def test_every_architecture_has_a_row_and_a_twin():
    assert models.names() == sorted(ARCHITECTURES) == sorted(ROWS)
    assert not TORCH or sorted(TWINS) == sorted(set(ROWS) - set(CLASSICS))


@pytest.mark.parametrize("name", ROWS)
def test_parameter_count(name):
    assert models.create(name, seed=None).parameter_count == ROWS[name].parameters
    if TORCH and name in TWINS:
        with torch.device("meta"):  # no memory
            assert count(TWINS[name]()) == ROWS[name].parameters


@needs_torch
@of_rows("logits")
def test_logits_agree_with_pytorch(name, case, tmp_path):
    assert logits_differ(name, case, tmp_path) < case.limit


@needs_torch
@of_rows("learning")
def test_an_architecture_overfits_a_small_batch(name, case):
    learns(models.create(name, case.classes, case.image), case)


@of_rows("too_small")
def test_images_that_are_too_small(name, case):
    with pytest.raises(ShapeError, match=rf"^{case.layer}: the window reaches over {case.window} .* of {case.size}"):
        models.create(name, 10, case.image)


@pytest.mark.parametrize("name", ROWS)
def test_an_architecture_has_its_source_on_top(name):
    architecture = ARCHITECTURES[name]
    # Of a partial: its function.
    module = sys.modules[getattr(architecture.build, "func", architecture.build).__module__]
    assert any(word in module.__doc__ for word in ("arXiv", "Proc.", "NIPS", "article")), module.__name__
    assert 1998 <= architecture.year <= 2026 and architecture.paper and 0 < len(architecture.new) <= 72
    assert str(architecture.year) in module.__doc__ or name == "article"


# every hand


def step(model, images, labels, hand):
    """Return the loss, and the gradient of all parameters."""
    program = model.program(len(images), train=True, hand=hand)
    model.g.flat[:] = np.nan
    state = SimpleNamespace(**{name: value.copy() for name, value in vars(model.state).items()})
    loss = float(program(images, labels, model.p, model.g, state, program.arena))
    return loss, model.g.flat.copy()


def trains_as_compiled(model, hand):
    images = np.random.default_rng(0).standard_normal((4, *model.input_shape))
    (ours, gradient), (theirs, expected) = (
        step(model, images, np.arange(4) % 3, which) for which in (hand, "compiled")
    )
    assert ours == pytest.approx(theirs, rel=1e-8)
    np.testing.assert_allclose(gradient, expected, atol=1e-6 * np.abs(expected).max())
    assert np.isfinite(expected).all() and np.abs(expected).max() > 0


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_arrays_train_as_compiled(name):
    trains_as_compiled(smallest(name), "arrays")


@pytest.mark.parametrize("name", LOOPS)
def test_loops_train_as_compiled(name):
    image = (LOOPS[name], LOOPS[name], ARCHITECTURES[name].image[2])
    trains_as_compiled(models.create(name, 3, image, dtype=np.float64), "loops")


@needs_torch
@pytest.mark.parametrize(
    ("name", "image", "lr", "momentum"),
    [
        ("resnet20_cifar", (32, 32, 3), 0.001, 0),
        ("small", (28, 28, 1), 0.01, 0.9),
        ("small", (32, 32, 3), 0.01, 0.9),
        ("tiny", (28, 28, 1), 0.01, 0.9),
        ("tiny", (32, 32, 3), 0.01, 0.9),
    ],
)
def test_the_twins_losses_step_by_step(name, image, lr, momentum, tmp_path):
    model = models.create(name, 10, image, mean=0, std=1)
    twin = TWINS[name](**({} if image[-1] == 3 else {"channels": image[-1]}))
    same_weights(model, twin, tmp_path)
    losses_agree(model, twin, lr, momentum)


# what one family has


@classics
def test_counts_of_other_images(name):
    other = {"article": 3 * 3 * 3 * 8 + 15 * 15 * 8 * 3 + 3}
    lenet = 5 * 5 * 3 * 6 + 6 + 2_416 + 6 * 6 * 16 * 120 + 120 + 10_164 + 84 * 3 + 3
    assert models.create(name, 3, (32, 32, 3)).parameter_count == other.get(name, lenet)


@classics
def test_forward(name):
    model = models.create(name)
    assert model.name == name and model.input_shape == (28, 28, 1) and model.classes == tuple("0123456789")
    p = model.predict(images(model, 3)[0])
    assert p.shape == (3, 10) and p.dtype == np.float32 and p.std() > 1e-4
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    other = models.create(name, 3, [32, 32, 3])
    assert other.predict(np.zeros((2, 32, 32, 3), np.uint8)).shape == (2, 3)


@classics
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_steps_lower_the_loss(name, shape):
    model = models.create(name, 4, shape)
    x, labels = images(model, 8)
    trainer = bh.Trainer(model, bh.SGD(lr=0.001))
    losses = [trainer.step(x, labels) for _ in range(4)]
    assert losses[0] > losses[1] > losses[2] > losses[3]


def test_first_weights_of_the_article_are_the_articles():
    model = models.create("article", seed=3)
    assert abs(model.p.conv1_weight.std() * 9 - 1) < 0.3 and abs(model.p.fc1_weight.std() * 1352 - 1) < 0.05
    assert not model.p.fc1_bias.any() and "conv1_bias" not in model.parameters


def test_larger_maps_are_averaged_and_smaller_ones_taken_as_they_are():
    wide = models.create("alexnet", 10, (224, 415, 3), seed=None)  # maps of 6 x 12
    assert wide.graph.tensor("avgpool").shape == (1, 6, 6, 256)
    assert models.create("alexnet", 10, (63, 63, 3), seed=None).parameters["classifier_1_weight"].shape == (256, 4096)
    wide = models.create("vgg11", 10, (224, 448, 3), seed=None)
    assert wide.graph.tensor("avgpool").shape == (1, 7, 7, 512)
    assert wide.parameter_count == ROWS["vgg11"].parameters - 990 * 4097


def test_maps_have_the_papers_sizes():
    nodes = models.create("zfnet", seed=None).graph.nodes
    sizes = [node.output.shape[1] for node in nodes if node.op.name in ("conv2d", "max_pool")]
    assert sizes == [110, 55, 26, 13, 13, 13, 13, 6]
    nodes = {node.name: node.output.shape for node in models.create("resnet50", seed=None).graph.nodes}
    # A unit's name is its module's.
    assert nodes["layer1_0"] == (1, 56, 56, 256) and nodes["layer4_2"] == (1, 7, 7, 2048)


@with_heads
def test_parameters_and_weights_of_auxiliary_heads(name):
    model = models.create(name, auxiliary=True, seed=None)
    assert model.parameter_count == ROWS[name].with_heads
    _, heads = ARCHITECTURES[name].build(nn.Input(*ARCHITECTURES[name].image), 1000, auxiliary=True)
    assert [weight for _, weight in heads] == HEADS[name]
    if TORCH:
        with torch.device("meta"):
            assert count(TWINS[name](heads=True)) == ROWS[name].with_heads


@needs_torch
@with_heads
def test_logits_agree_with_pytorch_at_full_size(name, tmp_path):
    images = nn.Input(*ARCHITECTURES[name].image)
    logits, auxiliary = ARCHITECTURES[name].build(images, 1000, auxiliary=True)
    model, twin = nn.Model(images, logits, auxiliary=auxiliary, seed=None), TWINS[name](heads=True)
    assert difference(model, twin, tmp_path) < TOLERANCE
    x = np.random.default_rng(3).standard_normal((1, *model.input_shape)).astype(np.float32)
    with torch.no_grad():
        expected = twin.all_logits(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))[1:]
    assert len(expected) == len(auxiliary)
    for (tensor, _), theirs in zip(auxiliary, expected):
        head = nn.Model(images, tensor, name=f"{name}_{tensor.name}", seed=None)
        for mine, whole in ((head.p, model.p), (head.state, model.state)):
            for key in set(vars(mine)) - {"flat"}:
                vars(mine)[key][...] = vars(whole)[key]
        error = np.abs(head.logits_of(x) - theirs.numpy()).max() / np.abs(theirs.numpy()).max()
        assert error < TOLERANCE, head.name


@needs_torch
def test_googlenet_learns_with_its_heads():
    model = models.create("googlenet", 4, (64, 64, 3), auxiliary=True)
    first = {name: value.copy() for name, value in model.parameters.items()}
    learns(model, ROWS["googlenet"].learning[0])
    assert all((first[name] != value).any() for name, value in model.parameters.items() if name.endswith("weight"))


# What ONNX's suite has of the papers' own networks, where torchvision's differ, and images that both cut alike: 227 pixels as
# the paper's figures need, or such that no pooling leaves a pixel over, where ONNX rounds down and the paper up.
VARIANTS = {"alexnet": ("test_bvlc_alexnet", 227), "googlenet": ("test_inception_v1", 221)}
PAPER = {"alpha": 5e-4, "bias": 2.0}  # of AlexNet's local response normalization, which is Caffe's in that case


@pytest.mark.parametrize("name", VARIANTS)
def test_a_papers_variant_is_the_network_that_onnx_has(name, tmp_path):
    which, pixels = VARIANTS[name]
    proto = next(case.model for case in cases(["real"]) if case.name == which)
    for node in proto.graph.node:
        for attribute in node.attribute if name == "alexnet" and node.op_type == "LRN" else []:
            attribute.f = PAPER.get(attribute.name, attribute.f)
    image = next(value for value in proto.graph.input if len(value.type.tensor_type.shape.dim) == 4)
    for axis in (2, 3):
        image.type.tensor_type.shape.dim[axis].dim_value = pixels
    onnx.save(proto, tmp_path / "theirs.onnx")
    theirs = bh.onnx.load(tmp_path / "theirs.onnx")
    ours = models.create(name, 1000, (pixels, pixels, 3), variant="paper")
    for (key, mine), (other, array) in zip(ours.parameters.items(), theirs.parameters.items(), strict=True):
        assert mine.shape == array.shape, (key, other)
        if key == "fc6_weight":  # they flatten a channel after the other
            mine = mine.reshape(6, 6, 256, -1).transpose(2, 0, 1, 3).reshape(mine.shape)
        array[...] = mine
    x = np.random.default_rng(0).standard_normal((1, *ours.input_shape)).astype(np.float32)
    found, expected = ours.logits_of(x), theirs.logits_of(x)
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=0, atol=1e-5 * np.abs(expected).max())
    assert np.ptp(found) > 0.1


def test_a_variant_has_its_own_heads():
    heads = models.create("googlenet", variant="paper", auxiliary=True, seed=None)
    assert heads.parameter_count == 13_378_280


def test_tiny_reads_digits():
    train, test = bh.data.load("mnist")
    trainer = bh.Trainer(models.create("tiny", input_shape=(28, 28, 1)), bh.Muon(), schedule=bh.OneCycle())
    with limit(1):  # two threads wait for each other where other programs have the cores
        history = trainer.fit(train.take(6000), test.take(1000), epochs=1, quiet=True)
    assert history[0]["test_accuracy"] > 0.95


def test_the_summary_of_small():
    summary = models.create("small").summary()
    assert summary.parameters == ROWS["small"].parameters and "stage2_unit2_conv" in str(summary)
    shapes = {row.layer: row.output for row in summary.rows}
    maps = [shapes[layer] for layer in ("stem", "stage1_down", "stage2_down")]
    assert maps == ["(N, 16, 16, 64)", "(N, 8, 8, 128)", "(N, 4, 4, 256)"]
    assert {row.receptive_field for row in summary.rows[-5:]} == {32}  # it sees the whole image
    assert models.create("small", 3, (28, 28, 1)).parameter_count == summary.parameters - 2 * 9 * 64 - 7 * (256 + 1)
    assert models.create("small", input_shape=(8, 8, 3)).input_shape == (8, 8, 3)


def test_small_fuses_every_pooling_into_its_convolution_and_every_relu_into_its_norm():
    source = str(models.create("small").program(64, train=True))
    assert source.count(" conv2d_max_pool(") == 3 and source.count(" batch_norm_relu(") == 7


# what `create` takes, and refuses


@classics
def test_the_seed_decides(name):
    first, same, other = (models.create(name, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.p.flat, same.p.flat)
    assert (first.p.flat != other.p.flat).any()
    np.testing.assert_array_equal(models.create(name).p.flat, models.create(name, seed=0).p.flat)


@classics
def test_classes_by_name(name):
    for classes in (["cat", "dog"], ("cat", "dog")):
        model = models.create(name, classes)
        assert model.classes == ("cat", "dog") and model.predict(np.zeros((1, 28, 28, 1))).shape == (1, 2)


@classics
def test_settings_reach_the_model(name):
    model = models.create(name, input_shape=(32, 32, 3), dtype=np.float64, mean=(0.1, 0.2, 0.3), std=2)
    assert model.dtype == np.float64 and model.mean == [0.1, 0.2, 0.3] and model.std == 2
    assert model.p.flat.dtype == np.float64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: models.create("lenet"), UnknownNameError, r"there is no model 'lenet'; did you mean 'lenet5'\?$"),
        (lambda: models.create("zzz"), UnknownNameError, r"there is no model 'zzz'; `byhand models` lists them$"),
        (lambda: models.create("article", input_shape=(2, 28, 1)), ShapeError, "^conv1: the window reaches over 3 .* of 2"),
        (lambda: models.create("article", input_shape=(3, 3, 1)), ShapeError, "^pool1: the window reaches over 2 pixels"),
        (lambda: models.create("lenet5", input_shape=(8, 8, 1)), ShapeError, "^conv2: the window reaches over 5 .* of 4"),
        (lambda: models.create("lenet5", input_shape=(28, 10, 1)), ShapeError, "^pool2: the window reaches over 2 .* of 1"),
        (lambda: models.create("lenet5", input_shape=(0, 28, 1)), ArgumentError, "Input's shape is 0; expected a whole number"),
        (lambda: models.create("lenet5", input_shape=(28, 28)), ArgumentError, r"input_shape is \(28, 28\); expected \(H, W"),
        (lambda: models.create("lenet5", input_shape=28), ArgumentError, r"input_shape is 28; expected \(H, W, C\)"),
        (lambda: models.create("lenet5", classes=0), ArgumentError, "classes is 0; expected a whole number, 1 or more"),
        (lambda: models.create("lenet5", classes=2.5), ArgumentError, "classes is 2.5"),
        (lambda: models.create("lenet5", classes="ten"), ArgumentError, "classes is 'ten'"),
        (lambda: models.create("lenet5", classes=[]), ArgumentError, "units is 0"),
        (lambda: models.create("lenet5", seed=-1), ArgumentError, "seed is -1; expected a whole number, 0 or more"),
        (lambda: models.create("lenet5", seed=2.5), ArgumentError, "seed is 2.5"),
        (lambda: models.create("lenet5", auxiliary=True), ArgumentError, "lenet5 has no auxiliary heads; these have: "),
        (lambda: models.create("lenet5", dtype="int8"), ArgumentError, "dtype is int8; expected float32 or float64"),
        (lambda: models.create("vgg16", variant="paper"), ArgumentError,
         r"^vgg16 has no variant 'paper'; these have some: alexnet \(paper\), googlenet"),
        (lambda: models.create("inception_v3", 10, (75, 75, 3), auxiliary=True), ShapeError, "the window reaches over"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
