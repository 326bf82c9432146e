"""Habits of PyTorch, Keras and scikit-learn users that work; `test_hints.py` has those that are told what to write."""

import copy
import pickle
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.train.optim import OPTIMIZERS
from tests.test_docs import ROOT
from tests.train.small_training import network, stripes

DATA = stripes()
PAGES = ["docs/from-other-frameworks.md", "docs/zh/from-other-frameworks.md"]


def test_images_are_taken_from_a_data_set_and_a_tensor():
    model, expected = network(), network().predict(DATA.images)
    np.testing.assert_array_equal(model.predict(DATA), expected)
    np.testing.assert_array_equal(model.predict(list(DATA.images)), expected)
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(model.predict(torch.from_numpy(DATA.images.copy())), expected)
    with pytest.raises(bh.ArgumentError, match=r"tensor\.detach"):
        model.predict(torch.zeros(1, 6, 6, 1, requires_grad=True))


def test_an_input_with_channels_first_warns():
    with pytest.warns(UserWarning, match=r"channels come last here: for images write nn.Input\(28, 28, 1\)") as caught:
        nn.Input(1, 28, 28)
    assert caught[0].filename == __file__


def test_a_sequential_is_indexed():
    layers = nn.Sequential(nn.Flatten(), nn.Linear(3), nn.ReLU())
    assert len(layers) == 3 and [*layers][1] is layers[1] and len(layers[:-1]) == 2
    assert nn.Model(nn.Input(6, 6, 1), layers[:2]).predict(DATA.images).shape == (len(DATA), 3)


def test_optimizers_are_imported_from_their_module():
    from byhand.optim import SGD

    assert SGD is bh.SGD is bh.optim.SGD and set(bh.optim.__all__) == set(OPTIMIZERS)


def test_a_model_is_called():
    model = network()
    np.testing.assert_array_equal(model(DATA.images), model.logits_of(DATA.images))
    ended = nn.Model(nn.Input(6, 6, 1), nn.Sequential(nn.Flatten(), nn.Linear(3), nn.Softmax()))
    np.testing.assert_allclose(ended(DATA.images).sum(1), 1, rtol=1e-5)
    x = nn.Input(6, 6, 1)
    binary = nn.Model(x, nn.Sigmoid()(nn.Linear(1)(nn.Flatten()(x))))
    np.testing.assert_allclose(binary(DATA.images), binary.predict(DATA.images)[:, 1:], rtol=1e-5)
    x = nn.Input(6, 6, 1)
    logarithms = nn.Model(x, bh.log(bh.softmax(nn.Linear(3)(nn.Flatten()(x)))))  # as PyTorch's LogSoftmax
    np.testing.assert_allclose(np.exp(logarithms(DATA.images)), logarithms.predict(DATA.images), rtol=1e-5)
    x = nn.Input(6, 6, 1)
    columns = bh.softmax(bh.reduce_mean(nn.Conv2d(3, 3)(x), axes=(1, 2), keepdims=True))  # (N, 1, 1, 3)
    pooled = nn.Model(x, nn.Flatten()(columns))
    np.testing.assert_allclose(pooled(DATA.images), pooled.predict(DATA.images), rtol=1e-5)
    assert model.eval() is model


def test_a_model_is_a_layer_with_its_weights():
    inner = network(norm=False, dropout=0)
    whole = nn.Model(nn.Input(6, 6, 1), nn.Sequential(inner, nn.ReLU(), nn.Linear(2)), name="whole")
    trace = whole.trace(DATA.images)
    np.testing.assert_allclose(trace["small_fc1"], inner(DATA.images), atol=1e-5)
    assert whole.parameter_count == inner.parameter_count + 8
    other = network(mean=0.25, std=2)
    assert nn.Model(nn.Input(6, 6, 1), nn.Sequential(other, nn.ReLU())).preprocessing == other.preprocessing
    x = nn.Input(6, 6, 1)
    twice = nn.Model(x, inner(x) + inner(x))
    assert twice.parameter_count == inner.parameter_count  # a layer that is called twice shares its parameters
    with pytest.raises(bh.ShapeError, match="expected images"):
        inner(nn.Input(6, 6, 3))
    bh.Trainer(whole, bh.SGD()).step(DATA.images, DATA.labels % 2)


def test_a_layers_task_is_that_of_the_network_that_it_ends():
    for task in ("labels", "numbers", "classes"):
        inner = network(task=task)
        assert nn.Model(nn.Input(6, 6, 1), inner).task == task
        assert nn.Model(nn.Input(6, 6, 1), inner, task="labels").task == "labels"
        assert nn.Model(nn.Input(6, 6, 1), nn.Sequential(inner, nn.Linear(3))).task == "classes"
    named = nn.Model(nn.Input(6, 6, 1), network(task="labels"), classes=["sky", "sea", "sun"])
    assert (named.task, named.classes) == ("labels", ("sky", "sea", "sun"))
    assert nn.Model(nn.Input(6, 6, 1), network(task="numbers"), classes=["a", "b", "c"]).task == "classes"


def test_what_is_assigned_reaches_the_network():
    model, flat = network(norm=False, dropout=0), np.arange(3.0)
    model.p.fc1_weight = np.zeros(model.p.fc1_weight.shape)
    model.parameters["fc1_bias"] = flat
    np.testing.assert_allclose(model(DATA.images[:2]), [flat, flat])
    model.parameters.update(fc1_bias=flat + 1)
    np.testing.assert_allclose(model(DATA.images[:1]), [flat + 1])
    model.p.fc1_bias += 1
    np.testing.assert_allclose(model(DATA.images[:1]), [flat + 2])
    assert np.shares_memory(model.p.flat, model.p.fc1_bias)
    before = model.state_dict()
    for wrong in (
        lambda: setattr(model.p, "fc1_bias", np.zeros(4)),
        lambda: setattr(model.p, "fc1_bias", 0),
        lambda: setattr(model.p, "fc9_bias", flat),
        lambda: setattr(model, "p", flat),
        lambda: model.parameters.update(fc1_bias=flat, conv1_bias=flat),
        lambda: model.parameters.pop("fc1_bias"),
        lambda: model.load_state_dict(before | {"fc1_bias": np.zeros(4)}),
        lambda: model.load_state_dict({"fc1_bias": flat}),
        lambda: delattr(model.p, "fc1_bias"),
    ):
        with pytest.raises(bh.ByhandError):
            wrong()
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_a_state_dict_comes_back():
    model, other = network(), network(seed=5)
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.predict(DATA.images), model.predict(DATA.images))
    other.load_state_dict({"fc1_bias": np.ones(3), "head": 1}, strict=False)
    assert dict(other.named_parameters())["fc1_bias"].tolist() == [1, 1, 1] == [*other.parameters()][-1].tolist()


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_model_that_has_predicted_is_copied(copied):
    model = network(mean=0.25)
    expected = model.predict(DATA.images)
    other = copied(model)
    np.testing.assert_array_equal(other.predict(DATA.images), expected)
    other.p.flat = np.zeros(other.p.flat.shape)
    np.testing.assert_array_equal(model.predict(DATA.images), expected)
    assert bh.Trainer(copied(model), bh.SGD()).step(DATA.images, DATA.labels) > 0


def test_a_trainer_that_has_trained_is_copied():
    trainer = bh.Trainer(network(norm=False, dropout=0), bh.SGD(0.1))
    trainer.step(DATA.images, DATA.labels)
    other = copy.deepcopy(trainer)
    assert trainer.step(DATA.images, DATA.labels) == other.step(DATA.images, DATA.labels)
    assert copy.copy(bh.relu) is bh.relu is pickle.loads(pickle.dumps(bh.relu))


def test_augmentation_is_also_a_text():
    trainer = bh.Trainer(network(), bh.SGD(), augment="flip,shift=2")
    assert trainer.augment == bh.data.Augment(flip=True, shift=2)


def test_an_empty_batch_gives_an_empty_answer():
    for images in (DATA.images[:0], []):
        assert network().predict(images).shape == (0, 3)


def test_a_model_that_threads_share_stays_right():
    model = network()
    batches = [DATA.images[8 * i : 8 * i + 8] for i in range(4)]
    expected, wrong = [model.predict(batch) for batch in batches], [0] * 4

    def work(i):
        for _ in range(50):
            wrong[i] += not np.array_equal(model.predict(batches[i]), expected[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [0] * 4


@pytest.mark.parametrize("task", ["labels", "numbers", "classes"])
def test_a_copy_keeps_the_task_and_the_classes(task):
    model = network(task=task)
    for copied in (model.with_frozen("conv*"), model.with_flip_tta()):
        assert (copied.task, copied.classes) == (task, model.classes)
    x = nn.Input(6, 6, 1)
    binary = nn.Model(x, nn.Linear(1)(nn.Flatten()(nn.Conv2d(2, 3)(x))), task="labels", classes=["cat", "dog"])
    assert binary.with_frozen("conv*").predict(DATA.images).shape == (len(DATA), 2)


def test_what_a_network_answers_is_not_replaced_by_half():
    model = network()
    with pytest.raises(bh.ArgumentError, match=r"the task can't be replaced; .*nn.Model\(inputs, outputs, task=...\)"):
        model.task = "labels"
    for names, message in (
        (("a",), "got 1 class names, but the model has 3"),
        ("abc", "expected names"),
        ((1, 2, 3), "names"),
    ):
        with pytest.raises(bh.ArgumentError, match=message):
            model.classes = names
    model.classes = ["a", "b", "c"]
    assert model.classes == model.answer.classes == ("a", "b", "c") and model.task == "classes"


def test_frozen_layers_stay():
    model = network()
    frozen = model.with_frozen("conv*", "norm1")
    before = frozen.state_dict()
    frozen.fit(DATA, epochs=2, batch_size=16, quiet=True)
    changed = {name for name, array in frozen.state_dict().items() if not np.array_equal(before[name], array)}
    assert {"fc1_weight", "fc1_bias"} <= changed <= {"fc1_weight", "fc1_bias", "dropout1_key"}
    model.load_state_dict(frozen.state_dict())  # the names are the same
    with pytest.raises(bh.ArgumentError, match="all layers"):
        model.with_frozen("*")


def test_a_data_set_is_indexed_and_iterated():
    image, label = DATA[0]
    assert image.shape == (6, 6, 1) and label == DATA.labels[0] and type(label) is int
    assert len(DATA[:5]) == 5 and DATA[[1, 3]].labels.tolist() == DATA.labels[[1, 3]].tolist()
    assert [label for _, label in DATA] == DATA.labels.tolist() and DATA[-1][1] == DATA.labels[-1]
    with pytest.raises(IndexError):
        DATA[len(DATA)]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array(DATA.classes)[DATA.labels], ("across", "down", "even")),
        (DATA.labels + 1, ("1", "2", "3")),
        (DATA.labels[:, None], ("0", "1", "2")),
        (DATA.labels.astype(float), ("0", "1", "2")),
        (DATA.labels.tolist(), ("0", "1", "2")),
        (np.eye(3)[DATA.labels], ("0", "1", "2")),
    ],
    ids=["names", "from 1", "column", "floats", "list", "one-hot"],
)
def test_fit_takes_plain_arrays_and_finds_the_classes(labels, classes):
    model = network(classes=("0", "1", "2"), norm=False, dropout=0)
    rows = model.fit(DATA.images[..., 0], labels, epochs=20, batch_size=8, optimizer=bh.Adam(0.02), quiet=True)
    assert model.classes == classes
    right = model.evaluate(DATA.images, labels)["accuracy"]
    assert len(rows) == 20 and right > 0.8
    trained = bh.Trainer(copy.deepcopy(model), bh.SGD()).fit(
        DATA.images, labels, validation=(DATA.images, labels), quiet=True
    )
    assert trained[0]["val_accuracy"] > 0.8


def test_integers_are_class_numbers_whichever_occur():
    model, rows = network(classes=("1", "2", "3")), DATA.labels > 0
    right = model.evaluate(DATA.images[rows], DATA.labels[rows])
    assert right == model.evaluate(DATA.images[rows], (DATA.labels[rows] + 1).astype(str))
    with pytest.raises(bh.ArgumentError, match=r"labels go from 1 to 3, but .* has 3 classes, numbered from 0"):
        model.evaluate(DATA.images, DATA.labels + 1)


def test_integers_that_named_the_classes_are_names_from_then_on(tmp_path):
    model, rows = network(classes=("0", "1", "2"), norm=False, dropout=0), DATA.labels == 0
    model.fit(DATA.images, DATA.labels + 1, epochs=1, class_weight={1: 5}, quiet=True)
    model.save(tmp_path / "model.safetensors")
    for same in (model, bh.load(tmp_path / "model.safetensors")):
        some = same.evaluate(DATA.images[rows], DATA.labels[rows] + 1)
        assert some == same.evaluate(DATA.images[rows], ["1"] * int(rows.sum()))
    assert bh.Trainer(model, bh.SGD(), class_weight={1: 5}).class_weight == (5, 1, 1)
    with pytest.raises(bh.ArgumentError, match="labels hold '0'"):
        model.evaluate(DATA.images, DATA.labels)


@pytest.mark.parametrize(
    ("labels", "weights"),
    [
        (DATA.labels + 1, {1: 5}),
        (DATA.labels + 1, {1: 5, 3: 1}),
        (np.array(["a", "b", "c"])[DATA.labels], {"a": 5}),
        (np.array(["a", "b", "c"])[DATA.labels], {0: 5}),
        (np.array(["a", "b", "c"])[DATA.labels], [5, 1, 1]),
        (DATA.labels, {0: 5}),
    ],
)
def test_class_weights_are_those_of_the_classes_that_fit_finds(labels, weights):
    found, expected = (network(classes=("0", "1", "2"), norm=False, dropout=0) for _ in range(2))
    trainer = bh.Trainer(found, bh.SGD(lr=0.1), class_weight=weights)
    trainer.fit(DATA.images, labels, epochs=2, quiet=True)
    assert trainer.class_weight == (5, 1, 1)
    bh.Trainer(expected, bh.SGD(lr=0.1), class_weight=[5, 1, 1]).fit(DATA, epochs=2, quiet=True)
    np.testing.assert_array_equal(found.p.flat, expected.p.flat)


@pytest.mark.parametrize("weights", [{"cat": 2}, {7: 2}])
def test_a_weight_of_no_class_is_refused_once_the_classes_are_known(weights):
    trainer = bh.Trainer(network(classes=("0", "1", "2")), bh.SGD(), class_weight=weights)
    with pytest.raises(bh.ByhandError, match=r"there is no class '(cat|7)'"):
        trainer.fit(DATA.images, DATA.labels, quiet=True)
    with pytest.raises(bh.ByhandError, match=r"there is no class '(cat|7)'"):
        bh.Trainer(network(classes=("a", "b", "c")), bh.SGD(), class_weight=weights)


def test_fit_refuses_labels_that_are_no_classes():
    with pytest.raises(bh.ArgumentError, match="labels hold 'cat'"):
        network().fit(DATA.images, ["cat"] * len(DATA))


@pytest.mark.parametrize("page", PAGES)
def test_the_table_of_the_page_runs(page):
    """The code of each right column, in one program: what the page says to write works."""
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| `((?:[^`])+)` \|$", text, re.MULTILINE)
    assert len(rows) > 35
    if page != PAGES[0]:  # the same code
        first = (ROOT / PAGES[0]).read_text(encoding="utf-8")
        assert rows == re.findall(r"^\| .* \| `((?:[^`])+)` \|$", first, re.MULTILINE)
        return
    setup = re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1).replace("take(640)", "take(64)")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join([setup, *rows])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


TYPED = {
    "good": (
        "import numpy as np\nimport byhand as bh\nfrom byhand import nn\n"
        "x, w = np.zeros((1, 8, 8, 1)), np.zeros((3, 3, 1, 2))\n"
        "y = bh.conv2d(x, w, stride=2, padding='same', hand='loops')\ny.mean()\n"
        "a, b, c = bh.conv2d.backward(y, x, w, stride=2, padding='same')\nd = bh.relu.backward(y, y)\nd.mean()\n"
        "t = bh.relu(nn.Input(8, 8, 1))\nt.name\nbh.optim.SGD(lr=0.1)\n"
    ),
    "a keyword": "import byhand as bh\nbh.conv2d([0.0], [0.0], strid=2)\n",
    "its type": "import byhand as bh\nbh.conv2d([0.0], [0.0], groups='two')\n",
    "the result": "import byhand as bh\na, b = bh.conv2d.backward([0.0], [0.0], [0.0])\n",
    "a name": "import byhand as bh\nbh.conv3d([0.0])\n",
    "an argument of a layer": "from byhand import nn\nnn.Conv2d(8, 3, strid=2)\n",
    "an argument of a trainer": "import byhand as bh\nbh.Trainer(bh.models.create('tiny'), bh.SGD(), batchsize=8)\n",
    "an attribute of a model": "import byhand as bh\nbh.models.create('tiny').prediict([0.0])\n",
    "an attribute of a data set": "import byhand as bh\nbh.data.load('mnist')[0].targets\n",
    "an attribute of an optimizer": "import byhand as bh\nbh.SGD(0.1).step()\n",
}


def test_type_checkers_know_the_ops(tmp_path):
    pytest.importorskip("mypy")
    files = {name: tmp_path / f"{name.replace(' ', '_')}.py" for name in TYPED}
    for name, path in files.items():
        path.write_text(TYPED[name])
    command = [sys.executable, "-m", "mypy", "--config-file", "", "--cache-dir", str(tmp_path / "cache")]
    flags = ["--ignore-missing-imports", "--follow-imports=silent", *map(str, files.values())]
    printed = subprocess.run([*command, *flags], cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    wrong = {Path(line.split(":")[0]).stem for line in printed.splitlines() if ": error:" in line}
    assert wrong == {path.stem for name, path in files.items() if name != "good"}, printed


def test_the_stubs_of_the_ops_are_up_to_date():
    from scripts import make_op_stubs

    assert make_op_stubs.PATH.read_text(encoding="utf-8") == make_op_stubs.text(), "run python scripts/make_op_stubs.py"
