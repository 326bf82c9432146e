"""What ONNX networks answer: the activation they end in, the choice among outputs, names in metadata; against onnxruntime."""

import json

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.helper import make_node as node

from byhand.errors import FileError, UnsupportedError
from byhand.onnx import load
from tests.onnx.small_models import make_model, random_array, value_info, write_model

IMAGES = random_array(3, 3, 8, 8, seed=9)
BODY = [
    node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
    node("Relu", ["c"], ["r"]),
    node("GlobalAveragePool", ["r"], ["p"]),
    node("Flatten", ["p"], ["f"]),
]
WEIGHTS = {"w": random_array(4, 3, 3, 3), "b": random_array(4)}


def head(outputs, to="z"):
    """Return the nodes and weights of logits `to`, (N, outputs)."""
    return node("Gemm", ["f", f"h{to}"], [to], transB=1), {f"h{to}": 3 * random_array(outputs, 4, seed=outputs)}


def write(tmp_path, tail, outputs=("y",), size=3, numbers=(), metadata=(), **settings):
    """Write a network of the body, logits z and a tail."""
    gemm, weight = head(size)
    model = make_model([*BODY, gemm, *tail], WEIGHTS | weight | dict(numbers), outputs=outputs, **settings)
    helper.set_model_props(model, dict(metadata))
    for output in model.graph.output:
        if output.name == "label":
            output.type.tensor_type.elem_type = TensorProto.INT64
    return write_model(model, tmp_path)


def theirs(path, output=None):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None if output is None else [output], {"x": IMAGES})[0]


def ours(model):
    return model.predict(IMAGES.transpose(0, 2, 3, 1))


ONE, HALF = np.ones(1, np.float32), np.full(1, 0.5, np.float32)
AXIS = np.array([1])
ENDINGS = {
    "softmax": ([node("Softmax", ["z"], ["y"], axis=1)], "classes", "softmax"),
    "log_softmax": ([node("LogSoftmax", ["z"], ["y"], axis=1)], "classes", "log_softmax"),
    "exp of log_softmax": (
        [node("LogSoftmax", ["z"], ["l"], axis=1), node("Exp", ["l"], ["y"])],
        "classes",
        "softmax",
    ),
    "log of softmax": ([node("Softmax", ["z"], ["s"], axis=1), node("Log", ["s"], ["y"])], "classes", "log_softmax"),
    "exponentials over their sum": (
        [
            node("ReduceMax", ["z", "axis"], ["m"], keepdims=1),
            node("Sub", ["z", "m"], ["d"]),
            node("Exp", ["d"], ["e"]),
            node("ReduceSum", ["e", "axis"], ["t"], keepdims=1),
            node("Div", ["e", "t"], ["y"]),
        ],
        "classes",
        "softmax",
    ),
    "softmax over images": (
        [
            node("Reshape", ["z", "image"], ["i"]),
            node("Softmax", ["i"], ["s"], axis=1),
            node("Reshape", ["s", "flat"], ["y"]),
        ],
        "classes",
        "softmax",
    ),
    "sigmoids": ([node("Sigmoid", ["z"], ["y"])], "labels", "sigmoid"),
    "sigmoids in parts": (
        [
            node("Neg", ["z"], ["n"]),
            node("Exp", ["n"], ["e"]),
            node("Add", ["e", "one"], ["d"]),
            node("Div", ["one", "d"], ["y"]),
        ],
        "labels",
        "sigmoid",
    ),
    "hard sigmoids": ([node("HardSigmoid", ["z"], ["y"], alpha=0.3)], "labels", "hard_sigmoid"),
    "tanh": ([node("Tanh", ["z"], ["y"])], "numbers", "none"),
    "half a softmax": ([node("Softmax", ["z"], ["s"], axis=1), node("Mul", ["s", "half"], ["y"])], "numbers", "none"),
    "identity and dropout": (
        [node("Softmax", ["z"], ["s"], axis=1), node("Identity", ["s"], ["i"]), node("Dropout", ["i"], ["y"])],
        "classes",
        "softmax",
    ),
}  # fmt: skip
NUMBERS = {
    "one": ONE,
    "half": HALF,
    "axis": AXIS,
    "image": np.array([0, 3, 1, 1]),
    "flat": np.array([0, 3]),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_ending_is_read(name, tmp_path):
    tail, task, activation = ENDINGS[name]
    path = write(tmp_path, tail, numbers=NUMBERS)
    model = load(path)
    assert (model.task, model.answer.activation) == (task, activation)
    wanted = theirs(path)
    wanted = np.exp(wanted) if activation == "log_softmax" else wanted
    np.testing.assert_allclose(ours(model), wanted, rtol=1e-4, atol=1e-6)
    if task != "numbers":
        np.testing.assert_allclose(
            model.logits_of(IMAGES.transpose(0, 2, 3, 1)),
            ours(load(path, output="z", task="numbers")),
            rtol=1e-5,
            atol=1e-6,
        )
    trace = model.trace(IMAGES.transpose(0, 2, 3, 1))
    assert {node.output.name for node in model.graph.nodes} <= trace.keys()


@pytest.mark.parametrize("size", [1, 2])
def test_bare_outputs(size, tmp_path):
    path = write(tmp_path, [node("Identity", ["z"], ["y"])], size=size)
    notes = []
    model = load(path, notes=notes)
    assert model.task == {1: "numbers", 2: "classes"}[size] and len(notes) == size - 1
    logits = theirs(path)
    labels = load(path, task="labels")
    p = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(ours(labels), np.hstack([1 - p, p]) if size == 1 else p, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours(load(path, task="numbers")), logits, rtol=1e-4, atol=1e-5)


def test_one_sigmoid_decides_between_two_names(tmp_path):
    path = write(tmp_path, [node("Sigmoid", ["z"], ["y"])], size=1)
    p = theirs(path)
    for classes, names in ((None, ("0", "1")), (["cat", "dog"], ("cat", "dog")), (["dog"], ("not dog", "dog"))):
        model = load(path, classes=classes)
        assert (model.task, model.classes) == ("labels", names)
        np.testing.assert_allclose(ours(model), np.hstack([1 - p, p]), rtol=1e-4, atol=1e-6)
    with pytest.raises(UnsupportedError, match=r"got 3 class names, but its output y \(N, 1\) gives 1"):
        load(path, classes=["a", "b", "c"])


SOFTMAX = node("Softmax", ["z"], ["q"], axis=1)
CHOICES = {
    "features first": ([SOFTMAX], ("f", "q"), "q"),
    "feature maps first": ([SOFTMAX], ("c", "q"), "q"),
    "logits and probabilities": ([SOFTMAX], ("z", "q"), "q"),
    "an argmax first": ([SOFTMAX, node("ArgMax", ["q"], ["label"], axis=1)], ("label", "q"), "q"),
    "an unknown operator first": ([SOFTMAX, node("NonMax", ["c"], ["boxes"], domain="acme")], ("boxes", "q"), "q"),
    "probabilities and their logarithm": (
        [SOFTMAX, node("LogSoftmax", ["z"], ["l"], axis=1)], ("l", "q"), "q"),
    "features and bare logits": ([], ("f", "z"), "z"),
    "names with slashes": ([node("Softmax", ["z"], ["/head/out:0"], axis=1)], ("f", "/head/out:0"), "/head/out:0"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOICES)
def test_the_classes_are_found_among_outputs(name, tmp_path):
    tail, outputs, wanted = CHOICES[name]
    path = write(tmp_path, tail, outputs)
    notes = []
    model = load(path, notes=notes)
    assert len(model.classes) == 3 and any("outputs are" in note and wanted in note for note in notes)
    values = theirs(path, wanted) if "acme" not in str(tail) else theirs(write(tmp_path, tail[:1], ("q",)))
    if model.answer.activation == "none":
        values = np.exp(values) / np.exp(values).sum(1, keepdims=True)
    np.testing.assert_allclose(ours(model), values, rtol=1e-4, atol=1e-6)


def test_two_heads_are_not_guessed(tmp_path):
    age, weight = head(3, to="age")
    tail = [age, node("Softmax", ["z"], ["gender"], axis=1), node("Softmax", ["age"], ["years"], axis=1)]
    path = write(tmp_path, tail, ("gender", "years"), size=2, numbers=weight)
    with pytest.raises(UnsupportedError, match=r"2 outputs: gender \(N, 2\), years \(N, 3\).*choose with output=NAME"):
        load(path)
    assert len(load(path, output="years").classes) == 3
    assert load(path, classes=["a", "b", "c"]).output.name == "years", "three names say which"
    with pytest.raises(FileError, match="it has no output 'ages'; it has gender, years"):
        load(path, output="ages")


def test_what_the_wanted_output_does_not_need_is_not_read(tmp_path):
    model = make_model(
        [*BODY, head(3)[0], node("Acme", ["x", "length"], ["other"], domain="acme")],
        WEIGHTS | head(3)[1],
        outputs=("other", "z"),
    )
    model.graph.input.append(value_info("length", (1,), TensorProto.INT64))
    path = write_model(model, tmp_path)
    assert len(load(path).classes) == 3 and load(path, output="f").output.name == "f"
    with pytest.raises(UnsupportedError, match="it has 2 inputs"):
        load(path, output="other")


@pytest.mark.parametrize(
    ("nodes", "numbers"),
    [
        (
            [node("BatchNormalization", ["c", "b", "b", "b", "w4"], ["r"], training_mode=1)],
            {"w4": np.ones(4, np.float32)},
        ),
        ([node("Dropout", ["c", "rate", "on"], ["r"])], {"rate": HALF.reshape(()), "on": np.array(True)}),
    ],
    ids=["BatchNormalization", "Dropout"],
)
def test_training_mode_is_refused_by_name(nodes, numbers, tmp_path):
    model = make_model([BODY[0], *nodes, *BODY[2:], head(3, to="y")[0]], WEIGHTS | head(3, to="y")[1] | numbers)
    with pytest.raises(UnsupportedError, match=r"it is in training mode, .*model\.eval\(\)"):
        load(write_model(model, tmp_path))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("names", "{0: 'cat', 1: \"dog's\", 2: 'owl, bird'}"),
        ("names", "['cat', \"dog's\", 'owl, bird']"),
        ("id2label", '{"2": "owl, bird", "0": "cat", "1": "dog\'s"}'),
        ("class_names", '["cat", "dog\'s", "owl, bird"]'),
        ("class_indices", '{"dog\'s": 1, "cat": 0, "owl, bird": 2}'),
        ("labels", "cat\r\ndog's\r\nowl, bird\r\n"),
        ("Labels", "cat\ndog's\nowl, bird"),
        ("names", "('cat', \"dog's\", 'owl, bird')"),
        ("class_to_idx", '\ufeff{"dog\'s": 1, "cat": 0, "owl, bird": 2}'),
        ("categories", '["cat", "dog\'s", "owl, bird"]'),
        ("config", '{"id2label": {"0": "cat", "1": "dog\'s", "2": "owl, bird"}}'),
    ],
)
def test_names_of_other_exporters(key, text, tmp_path):
    path = write(tmp_path, [node("Softmax", ["z"], ["y"], axis=1)], metadata={key: text, "task": "classify"})
    assert load(path).classes == ("cat", "dog's", "owl, bird")


@pytest.mark.parametrize(
    "text",
    [
        "{0: 'a'}",
        "__import__('os')",
        "['a', 'b\0']",
        r"['a', '\x']",
        "{0: open('x')}",
        "[" * 9999,
        "{",
        "",
        "{0: [1]}",
        "None",
    ],
)
def test_names_that_are_none_are_left_alone(text, tmp_path):
    path = write(tmp_path, [node("Softmax", ["z"], ["y"], axis=1)], metadata={"names": text})
    notes = []
    assert load(path, notes=notes).classes == ("0", "1", "2")
    assert len(notes) == bool(text), "names that do not fit or can't be read are told"


def test_a_config_beside_the_file(tmp_path):
    path = write(tmp_path, [node("Identity", ["z"], ["y"])])
    config = {"id2label": {"0": "sky", "1": "sea", "2": "sun"}, "problem_type": "multi_label_classification"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = load(path)
    assert (model.task, model.classes) == ("labels", ("sky", "sea", "sun"))
    np.testing.assert_allclose(ours(model), 1 / (1 + np.exp(-theirs(path))), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("mean", "std", "told"),
    [("0,0,0", "255,255,255", (0, 1)), ("127.5", "255", (0.5, 1)), ("0.5", "0.25", (0.5, 0.25))],
)
def test_the_scale_of_a_normalization_in_the_metadata(mean, std, told, tmp_path):
    path = write(tmp_path, [node("Softmax", ["z"], ["y"], axis=1)], metadata={"mean": mean, "std": std})
    model = load(path)
    assert np.all(np.equal(model.mean, told[0])) and np.all(np.equal(model.std, told[1]))


def test_a_size_in_the_metadata(tmp_path):
    path = write(tmp_path, [node("Softmax", ["z"], ["y"], axis=1)], x=("N", 3, "h", "w"), metadata={"imgsz": "[8, 8]"})
    assert load(path).input_shape == (8, 8, 3)


SOFT, SIGM = node("Softmax", ["z"], ["s"], axis=1), node("Sigmoid", ["z"], ["s"])
GUARDED = {
    "clipped softmax": ([SOFT, node("Clip", ["s", "low"], ["y"])], "classes", "softmax"),
    "log of clipped softmax": (
        [SOFT, node("Clip", ["s", "low"], ["i"]), node("Log", ["i"], ["y"])], "classes", "log_softmax"),
    "log of softmax + eps": ([SOFT, node("Add", ["s", "low"], ["i"]), node("Log", ["i"], ["y"])], "classes", "log_softmax"),
    "log of sigmoid": ([SIGM, node("Log", ["s"], ["y"])], "labels", "sigmoid"),
    "sigmoid + eps": ([SIGM, node("Add", ["s", "low"], ["y"])], "labels", "sigmoid"),
    "exponentials over their sum + eps": (
        [
            node("Exp", ["z"], ["e"]), node("ReduceSum", ["e", "axis"], ["t"], keepdims=1),
            node("Add", ["t", "low"], ["i"]), node("Div", ["e", "i"], ["y"]),
        ], "classes", "softmax"),
    "percentages": ([SOFT, node("Mul", ["hundred", "s"], ["y"])], "numbers", "none"),
    "relus over their sum": (
        [
            node("Relu", ["z"], ["e"]), node("ReduceSum", ["e", "axis"], ["t"], keepdims=1),
            node("Div", ["e", "t"], ["y"]),
        ], "numbers", "none"),
    "a clip that is no guard": ([SOFT, node("Clip", ["s", "half"], ["y"])], "numbers", "none"),
}  # fmt: skip


@pytest.mark.parametrize("name", GUARDED)
def test_guards_are_looked_through_and_other_endings_are_numbers(name, tmp_path):
    tail, task, activation = GUARDED[name]
    numbers = NUMBERS | {"low": np.float32(1e-7), "hundred": np.full(1, 100, np.float32)}
    path = write(tmp_path, tail, numbers=numbers.items(), metadata={"names": "['a', 'b', 'c']"})
    notes = []
    model = load(path, notes=notes)
    assert model.task == task and any("taken for numbers" in note for note in notes) == (task == "numbers")
    expected = theirs(path)
    if task != "numbers":
        assert model.answer.activation == activation and model.classes == ("a", "b", "c")
        expected = np.exp(expected) if str(tail[-1]).count("Log") else expected
    np.testing.assert_allclose(ours(model), expected, rtol=1e-4, atol=1e-6)


def test_a_softmax_of_one_value_is_a_number(tmp_path):
    notes = []
    assert load(write(tmp_path, [SOFT, node("Identity", ["s"], ["y"])], size=1), notes=notes).task == "numbers"
    assert any("which is always 1" in note for note in notes)


def test_an_unreadable_output_leaves_no_embedding_as_the_classes(tmp_path):
    tail = [node("Acme", ["z"], ["probs"], domain="acme")]
    with pytest.raises(UnsupportedError, match=r"Acme.*none is surely the classes: choose with output=f"):
        load(write(tmp_path, tail, ("probs", "f")))


def test_a_config_that_contradicts_the_graph_is_left_out(tmp_path):
    path = write(tmp_path, [node("Softmax", ["z"], ["y"], axis=1)])
    (tmp_path / "config.json").write_text(json.dumps({"problem_type": "multi_label_classification"}))
    notes = []
    assert load(path, notes=notes).task == "classes" and any("config.json says labels" in note for note in notes)
    with pytest.raises(FileError, match="expected task='classes'"):
        load(path, task="labels")


def test_a_mean_of_other_channels_is_left_out(tmp_path):
    gray = {"x": ("N", 1, 8, 8), "numbers": {"w": random_array(4, 1, 3, 3)}, "metadata": {"mean": "[0.1, 0.2, 0.3]"}}
    path, notes = write(tmp_path, [node("Softmax", ["z"], ["y"], axis=1)], **gray), []
    assert load(path, notes=notes).mean == 0.0 and any("'mean' has 3 numbers" in note for note in notes)
    assert load(path, mean=0.5).mean == 0.5


MEAN_OF_SOFTMAXES = [
    SOFT,
    node("Mul", ["z", "half"], ["z2"]),
    node("Softmax", ["z2"], ["s2"], axis=1),
    node("Mean", ["s", "s2"], ["y"]),
]
MEAN_OF_SIGMOIDS = [
    SIGM,
    node("Mul", ["z", "half"], ["z2"]),
    node("Sigmoid", ["z2"], ["s2"]),
    node("Mean", ["s", "s2"], ["y"]),
]
ONE_MINUS_P = [SIGM, node("Sub", ["one", "s"], ["q"])]
COMPUTED = {  # nodes, outputs of the layer, names, task
    "mean of softmaxes": (MEAN_OF_SOFTMAXES, 3, None, "classes"),
    "mean of sigmoids": (MEAN_OF_SIGMOIDS, 3, None, "numbers"),
    "named mean of sigmoids": (MEAN_OF_SIGMOIDS, 3, ["a", "b", "c"], "labels"),
    "1 - p and p": ([*ONE_MINUS_P, node("Concat", ["q", "s"], ["y"], axis=1)], 1, None, "labels"),
    "p and 1 - p": ([*ONE_MINUS_P, node("Concat", ["s", "q"], ["y"], axis=1)], 1, ["a", "b"], "labels"),
    "sigmoids of -z and z": (
        [node("Neg", ["z"], ["n"]), node("Concat", ["n", "z"], ["i"], axis=1), node("Sigmoid", ["i"], ["y"])],
        1,
        None,
        "labels",
    ),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_probabilities_without_logits_of_their_own(name, tmp_path):
    tail, size, names, task = COMPUTED[name]
    path = write(tmp_path, tail, size=size, numbers=NUMBERS.items())
    model = load(path, classes=names)
    assert model.task == task and model.answer.binary == (size == 1)
    np.testing.assert_allclose(ours(model), theirs(path), rtol=1e-4, atol=1e-6)


def test_one_sigmoid_as_an_image_of_one_pixel(tmp_path):
    path = write(tmp_path, [node("Reshape", ["z", "image"], ["i"]), node("Sigmoid", ["i"], ["y"])], size=1,
                 numbers={"image": np.array([0, 1, 1, 1])})  # fmt: skip
    model, p = load(path), theirs(path).reshape(-1, 1)
    np.testing.assert_allclose(ours(model), np.hstack([1 - p, p]), rtol=1e-4, atol=1e-6)


def test_two_names_of_one_bare_output(tmp_path):
    path = write(tmp_path, [node("Identity", ["z"], ["y"])], size=1, metadata={"names": "{0: 'cat', 1: 'dog'}"})
    notes = []
    model, p = load(path, notes=notes), 1 / (1 + np.exp(-theirs(path)))
    assert model.classes == ("cat", "dog") and "taken for the logit of 'dog'" in notes[0]
    np.testing.assert_allclose(ours(model), np.hstack([1 - p, p]), rtol=1e-4, atol=1e-6)
    assert load(path, task="numbers").task == "numbers"


def test_a_softmax_along_an_axis_of_length_1_is_told(tmp_path):
    tail = [node("Reshape", ["z", "image"], ["i"]), node("Softmax", ["i"], ["y"], axis=3)]
    notes = []
    assert load(write(tmp_path, tail, numbers=NUMBERS.items()), notes=notes).task == "numbers"
    assert any("the same for every image" in note for note in notes)


def test_names_that_fit_are_found_behind_others(tmp_path):
    metadata = {"names": "['a', 'b']", "classes": "ant;bee;fly"}
    path = write(tmp_path, [node("Softmax", ["z"], ["y"], axis=1)], metadata=metadata)
    assert load(path).classes == ("ant", "bee", "fly")


@pytest.mark.parametrize("folder", ["", "onnx"])
def test_a_preprocessor_config_beside_the_file(folder, tmp_path):
    (tmp_path / folder).mkdir(exist_ok=True)
    path = write(tmp_path / folder, [node("Softmax", ["z"], ["y"], axis=1)])
    config = {
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.25, 0.25, 0.25],
        "do_normalize": True,
        "size": {"height": 8},
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    model = load(path)
    assert (model.mean, model.std) == ([0.5, 0.4, 0.3], [0.25] * 3)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config | {"do_normalize": False}))
    assert (load(path).mean, load(path).std) == ([0.0] * 3, [1.0] * 3)


@pytest.mark.parametrize("layout", ["channels first", "channels last"])
def test_blue_comes_first_where_the_metadata_say_so(layout, tmp_path):
    """Windows ML's and Custom Vision's files: pixels of 0 to 255, in the order blue, green, red."""
    gemm, weight = head(3)
    nodes, x = [*BODY, gemm, node("Softmax", ["z"], ["y"], axis=1)], ("N", 3, 8, 8)
    if layout == "channels last":
        x, nodes = ("N", 8, 8, 3), [node("Transpose", ["x"], ["i"], perm=[0, 3, 1, 2]), *nodes]
        nodes[1] = node("Conv", ["i", "w", "b"], ["c"], pads=[1, 1, 1, 1])
    model = make_model(nodes, WEIGHTS | weight, x=x)
    helper.set_model_props(model, {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"})
    path, notes = write_model(model, tmp_path), []
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    bgr = pixels[..., ::-1].astype(np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": bgr if layout == "channels last" else bgr.transpose(0, 3, 1, 2).copy()})[0]
    np.testing.assert_allclose(load(path, notes=notes).predict(pixels), expected, rtol=1e-3, atol=1e-5)
    assert any("blue comes first" in note for note in notes)
