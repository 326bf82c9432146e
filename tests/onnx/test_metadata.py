"""Metadata of other exporters: class names, normalization, sizes, channel order; and the Hub's files beside a model."""

import json

import numpy as np
import onnxruntime
import pytest
from onnx import helper
from onnx.helper import make_node as node

from byhand.errors import FileError
from byhand.onnx import load
from tests.onnx.small_models import make_model, random_array, write_model
from tests.onnx.test_outputs import BODY, WEIGHTS, head, ours, theirs, write


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


def test_names_that_fit_are_found_behind_others(tmp_path):
    metadata = {"names": "['a', 'b']", "classes": "ant;bee;fly"}
    path = write(tmp_path, [node("Softmax", ["z"], ["y"], axis=1)], metadata=metadata)
    assert load(path).classes == ("ant", "bee", "fly")


@pytest.mark.parametrize(
    ("entry", "told"),
    [({"mean": "104,117,123"}, ([104 / 255, 117 / 255, 123 / 255], 1 / 255)), ({"std": "255"}, (0, 1))],
)
def test_a_mean_or_a_std_alone_of_pixels_of_0_to_255(entry, told, tmp_path):
    model = load(write(tmp_path, [node("Softmax", ["z"], ["y"], axis=1)], metadata=entry))
    np.testing.assert_allclose([*np.ravel(model.mean), model.std], [*np.ravel(told[0]), told[1]])


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
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config | {"rescale_factor": 1 / 127.5}))
    np.testing.assert_allclose([load(path).mean, load(path).std], [[0.25, 0.2, 0.15], [0.125] * 3])


PROCESSORS = {
    "from -1": ({"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}, 0.5, 0.5),
    "0 to 255": ({"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [127.5] * 3}, 0.5, 0.5),
    "0 to 2": ({"rescale_factor": 2 / 255, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, 0.25, 0.25),
    "std twice": ({"include_top": True, "image_mean": [0.4] * 3, "image_std": [0.5] * 3}, 0.4, 0.25),
    "only scaled": ({"do_rescale": True, "rescale_factor": 0.0039}, 0.0, 1.0),
}


@pytest.mark.parametrize("case", PROCESSORS)
def test_factor_and_offset_of_a_preprocessor_config(case, tmp_path):
    config, mean, std = PROCESSORS[case]
    path = write(tmp_path, [node("Softmax", ["z"], ["y"], axis=1)])
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    model = load(path)
    np.testing.assert_allclose([model.mean, model.std], [[mean] * 3, [std] * 3], rtol=1e-6)


def test_the_normalization_and_the_crop_in_timms_config(tmp_path):
    path = write(tmp_path, [node("Softmax", ["z"], ["y"], axis=1)])
    cfg = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.2, 0.2], "crop_pct": 0.95}
    (tmp_path / "config.json").write_text(json.dumps({"label_names": ["a", "b", "c"], "pretrained_cfg": cfg}))
    model = load(path)
    assert (model.mean, model.std, model.crop_pct) == (cfg["mean"], cfg["std"], 0.95)


CROPS = [
    ({"do_center_crop": True, "size": {"shortest_edge": 10}, "crop_size": {"height": 8, "width": 8}}, 0.8, 0),
    ({"do_center_crop": True, "size": 8, "crop_size": 8}, 1.0, 0),
    ({"size": {"shortest_edge": 8}, "crop_pct": 0.875}, 0.875, 0),
    ({"size": {"height": 8, "width": 8}}, 1.0, 1),
    ({"do_resize": False, "size": {"height": 8, "width": 8}}, None, 0),
    ({"do_center_crop": True, "size": "large", "crop_size": [8]}, None, 0),
]


@pytest.mark.parametrize("config, crop_pct, told", CROPS)
def test_the_crop_of_a_preprocessor_config(config, crop_pct, told, tmp_path):
    path, notes = write(tmp_path, [node("Softmax", ["z"], ["y"], axis=1)]), []
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    assert load(path, notes=notes).crop_pct == crop_pct
    assert sum("stretches" in note for note in notes) == told


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
