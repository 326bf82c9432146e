"""Pretrained EfficientNet-Lite0: the answers of PyTorch on photos."""

import json
from pathlib import Path

import numpy as np
import pytest

import byhand as bh
from byhand.data import photos
from byhand.errors import FileError, UnknownNameError
from tests.cli.run_cli import byhand
from tests.models.table import TOLERANCE
from tests.oracle import needs_torch

ANSWERS = {  # PyTorch's, with the weights as float32: shared data's README
    "chelsea.png": {"tiger cat": 0.386, "Egyptian cat": 0.356, "tabby": 0.169},
    "coffee.png": {"espresso": 0.951},
    "china.jpg": {"palace": 0.315},
    "flower.jpg": {"daisy": 0.364},
}


def photo(name):
    """Return a photo that scikit-image or scikit-learn comes with."""
    package, folder = ("skimage", "data") if name.endswith("png") else ("sklearn", "datasets/images")
    found = pytest.importorskip(package)
    return Path(found.__file__).parent / folder / name


@pytest.mark.parametrize("name", ANSWERS)
def test_photos_get_pytorchs_answers(name):
    model = bh.models.pretrained("efficientnet_lite0")
    p = model.predict(photos.from_file(photo(name))[None])[0]
    names = [label.split(",")[0] for label in model.classes]
    best = [names[k] for k in np.argsort(-p)[: len(ANSWERS[name])]]
    assert best == list(ANSWERS[name])
    for label, share in ANSWERS[name].items():
        assert p[names.index(label)] == pytest.approx(share, abs=0.01)


@needs_torch
def test_the_trained_lite0_answers_as_in_pytorch():
    import torch
    from safetensors.torch import load_file

    from tests.models.twins import TWINS

    theirs = TWINS["efficientnet_lite0"]().eval()
    trained = {
        name: value.float() for name, value in load_file(bh.models.WEIGHTS / "efficientnet_lite0.safetensors").items()
    }
    missing, unknown = theirs.load_state_dict(trained, strict=False)
    assert not unknown and all(name.endswith("num_batches_tracked") for name in missing)
    ours = bh.models.pretrained("efficientnet_lite0")
    rows, columns = np.mgrid[:224, :224]
    ramp = np.stack([rows, columns, 255 - rows], -1).astype(np.uint8)  # two pictures that anyone can draw
    disc = np.where((rows - 112) ** 2 + (columns - 112) ** 2 < 70**2, 230, 20).astype(np.uint8)[..., None].repeat(3, -1)
    images = np.stack([ramp, disc])
    with torch.no_grad():
        scaled = (torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 255 - 0.498) / 0.502
        expected = theirs(scaled).numpy()
    logits = ours.logits_of(images)
    assert np.abs(logits - expected).max() < TOLERANCE * np.abs(expected).max()
    assert (logits.argmax(1) == expected.argmax(1)).all() and logits.argmax(1)[0] != logits.argmax(1)[1]


def test_predict_as_a_person_types_it(tmp_path):
    path = tmp_path / "cup.png"
    path.write_bytes(photo("coffee.png").read_bytes())
    said = byhand("predict", "efficientnet_lite0", str(path))
    assert said.code == 0 and "espresso  " in said.out and "95." in said.out
    answer = json.loads(byhand("predict", "efficientnet_lite0", str(path), "--json").out)["predictions"][0]
    assert answer["class"] == "espresso" and answer["image"] == str(path) and len(answer["probabilities"]) == 10
    (tmp_path / "note.jpg").write_text("no picture")
    assert byhand("predict", "efficientnet_lite0", str(tmp_path / "note.jpg")).code == 2


def test_weights_and_class_names_are_complete():
    model = bh.models.pretrained("efficientnet_lite0")
    assert model.parameter_count == 4_652_008 and len(set(model.classes)) == 1000
    assert np.isfinite(model.p.flat).all() and model.mean == 0.498 and model.std == 0.502
    with pytest.raises(UnknownNameError, match=r"there is no trained model 'efficientnet'"):
        bh.models.pretrained("efficientnet")


def test_weights_of_another_network_leave_the_model_as_it_was(tmp_path):
    model = bh.models.create("lenet5")
    before = model.p.flat.copy()
    weights = Path(bh.models.__file__).parent / "weights" / "efficientnet_lite0.safetensors"
    with pytest.raises(FileError, match=r"is no state dict of lenet5: it holds '.*', for which the model has no place"):
        model.load_torchvision(weights)
    other = bh.models.create("efficientnet_lite0", classes=10, seed=None)
    with pytest.raises(FileError, match=r"its 'fc.bias' has the shape \(1000,\); the model needs \(10,\)"):
        other.load_torchvision(weights)
    with pytest.raises(FileError, match="there is no such file; expected a state dict"):
        model.load_torchvision(tmp_path / "nothing.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(FileError, match="is no state dict of lenet5"):
        model.load_torchvision(tmp_path / "text.safetensors")
    np.testing.assert_array_equal(model.p.flat, before)
    assert not other.p.flat.any()


def test_the_table_of_models():
    said = byhand("models")
    assert said.code == 0
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= 100
    assert ["resnet50", "224x224x3", "25,557,032", "8.21", "G", "224"] in [line.split() for line in lines]
    assert sum(line.startswith("  ") for line in lines) == len(bh.models.names()) + 1  # the head
    assert byhand("models", "resnet50").out.count("\n") == 5
    assert byhand("models", "zzz").complaint.startswith("there is no model 'zzz'")
