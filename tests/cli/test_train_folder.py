"""Commands `byhand train FOLDER` and `byhand data FOLDER` on folders of images."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand.data import find
from byhand.nn.graph_copy import copy_weights
from tests.cli.run_cli import byhand
from tests.data.image_folders import COLORS, noisy_image, write_image_folder, write_striped_folder

TINY = ("--model", "tiny")  # a step takes 3 ms; one of the default, small with Muon, 90 ms
SHORT = ("--epochs", 2, "--batch-size", 8, "--lr", 0.02)
QUICK = (*TINY, *SHORT)


@pytest.fixture(scope="module")
def colors(tmp_path_factory):
    return write_image_folder(tmp_path_factory.mktemp("data") / "colors", 20, size=(24, 24))


def train(source, out, *words, **more):
    done = byhand("train", source, *words, "--output", out, **more)
    assert done.code == 0, done.err
    return done.out


def test_a_folder_becomes_a_classifier(colors, tmp_path):
    out = train(colors, tmp_path / "run", "--epochs", 5)
    for words in (
        "small on colors: 24 x 24 x 3 -> 3 classes",
        "48 images to train on, 12 to validate on",
        "every image is 24 x 24, taken as it is",
        "12 of 60 were set aside to validate on: 20% of each class, seed 0",
        ": found by a learning rate range test",
        "augmentation: flip,shift=1",
        "validation accuracy 100.00%",
        "report.html, report.png",
    ):
        assert words in out, out
    predicted = byhand("predict", tmp_path / "run", *(colors / name / "3.png" for name in COLORS), "--json")
    assert [prediction["class"] for prediction in json.loads(predicted.out)["predictions"]] == list(COLORS)
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["classes"] == list(COLORS) and settings["crop" if "crop" in settings else "seed"] in (0, 1.0)


def test_training_and_prediction_preprocess_alike(tmp_path):
    """A picture goes the same way into training and into prediction, whatever its size."""
    root = write_image_folder(tmp_path / "sizes", 5, size=(60, 40))
    for number, name in enumerate(COLORS):
        noisy_image(COLORS[name], (50 + 9 * number, 90)).save(root / name / "tall.jpg")
    train(root, tmp_path / "run", *QUICK, "--image-size", "24x32")
    model, sets = bh.load(tmp_path / "run"), find(root).sets((24, 32, 3))
    assert model.input_shape == (24, 32, 3) and model.crop_pct == 1.0
    done = byhand("predict", tmp_path / "run", *(root / file for file in sets.train.files), "--json")
    told = [prediction["probability"] for prediction in json.loads(done.out)["predictions"]]
    np.testing.assert_allclose(told, model.predict(sets.train.images).max(1), atol=1e-5)


def test_gray_stays_gray(tmp_path):
    out = train(write_striped_folder(tmp_path / "stripes"), tmp_path / "run", *QUICK)
    assert "28 x 28 x 1 -> 2 classes" in out and "every image is 28 x 28, taken as it is" in out
    assert "augmentation: shift=2" in out
    assert bh.load(tmp_path / "run").input_shape == (28, 28, 1)
    sure = byhand("predict", tmp_path / "run", tmp_path / "stripes" / "down" / "0.png", "--json", "--show")
    shown = json.loads(sure.out)["predictions"][0]["input"]
    np.testing.assert_array_equal(shown, np.asarray(Image.open(tmp_path / "stripes" / "down" / "0.png")))


def test_unusable_files_are_reported(tmp_path):
    root = write_image_folder(tmp_path / "mixed", 6, size=(50, 40))
    (root / "red" / "text.jpg").write_text("no picture")
    (root / "red" / "line\nbreak.jpg").write_text("no picture")
    (root / "blue" / "copy.png").write_bytes((root / "blue" / "0.png").read_bytes())
    (root / "none").mkdir()
    out = train(root, tmp_path / "run", *QUICK)
    assert "2 unusable files skipped:" in out
    assert "    red/text.jpg  is no image that can be read; expected AVIF, BMP" in out
    assert "    red/line?break.jpg  is no image" in out
    assert "the folder none holds no image: left out" in out
    assert "-> 3 classes" in out
    skipped = json.loads((tmp_path / "run" / "run.json").read_text())["skipped"]
    assert sorted(name for name, _ in skipped) == ["red/line?break.jpg", "red/text.jpg"]


def test_a_presplit_data_set_keeps_its_parts(tmp_path):
    for part, count in (("train", 8), ("val", 4), ("test", 3)):
        write_image_folder(tmp_path / "set" / part, count, size=(16, 16), start=100 * count)
    (tmp_path / "set" / "val" / "red" / "copy.png").write_bytes(
        (tmp_path / "set" / "train" / "red" / "800.png").read_bytes()
    )
    out = train(tmp_path / "set", tmp_path / "run", *QUICK)
    assert "24 images to train on, 13 to validate on, 9 to test on" in out
    assert "1 image stands both in train and in val, which flatters the accuracy: " in out
    assert re.search(r"^test accuracy .* of 9 images wrong$", out, re.MULTILINE)
    assert re.search(r"^validation accuracy .* of 13 images wrong$", out, re.MULTILINE)
    result = json.loads(train(tmp_path / "set", tmp_path / "again", *QUICK, "--json"))
    assert result["test"].keys() == result["val"].keys() == {"loss", "accuracy"}
    assert [row.keys() for row in result["history"]] == [{"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}] * 2


def test_one_image_per_class_trains_without_validation(tmp_path):
    out = train(write_image_folder(tmp_path / "single", 1, size=(16, 16)), tmp_path / "run", *QUICK)
    assert "no class has two images: nothing could be set aside to validate on" in out
    assert "accuracy" in out and "report.html" not in out
    assert {"model.safetensors", "curves.png"} <= {path.name for path in (tmp_path / "run").iterdir()}


def test_spaces_and_other_alphabets(tmp_path):
    root = write_image_folder(tmp_path / "фото с моря", 4, classes=("рыба", "sea gull"), size=(16, 16))
    out = train(root, tmp_path / "мой запуск", *QUICK)
    assert "tiny on фото с моря" in out
    done = byhand("predict", tmp_path / "мой запуск", root / "рыба" / "1.png", "--json")
    told = json.loads(done.out)["predictions"][0]["probabilities"]
    assert {entry["class"] for entry in told} == {"рыба", "sea gull"}


def test_early_stopping_keeps_the_best_network(colors, tmp_path):
    out = train(colors, tmp_path / "run", *TINY, "--epochs", 60, "--early-stopping", 2, "--lr", 0.05)
    assert "early stopping: no improvement in 2 epochs" in out
    best = int(re.search(r"the saved network is that of epoch (\d+), the best", out)[1])
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert len(rows) == best + 2 < 60
    val = find(colors).sets().split(0.2, 0).val
    assert bh.load(tmp_path / "run").predict(val.images).argmax(1).tolist() == val.labels.tolist() or best


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("muon", "Muon with momentum 0.9"),
        ("sgd", "SGD with momentum 0.9"),
        ("adam", "Adam, one-cycle learning rate"),
        ("adamw", "AdamW, one-cycle learning rate"),
    ],
)
def test_an_optimizer_by_name(colors, tmp_path, name, told):
    out = train(colors, tmp_path / "run", *TINY, "--epochs", 1, "--batch-size", 8, "--optimizer", name)
    assert told in out and ": found by a learning rate range test" in out
    kept = json.loads((tmp_path / "run" / "run.json").read_text())["optimizer"]
    assert kept["kind"].lower() == name and kept["lr"] > 0
    done = byhand("train", "--resume", "--output", tmp_path / "run", "--optimizer", "adam" if name == "sgd" else "sgd")
    assert f"--resume continues with optimizer {name}; " in done.err


def test_labels_are_smoothed(colors, tmp_path):
    """A share e of a label is spread over K classes: at the first step, where all are as likely, the loss is ln K yet."""
    shapes = tmp_path / "sharp", tmp_path / "smooth"
    train(colors, shapes[0], *QUICK)
    assert "label smoothing 0.4" in train(colors, shapes[1], *QUICK, "--label-smoothing", 0.4)
    sharp, smooth = (json.loads((folder / "log.jsonl").read_text().splitlines()[-1])["loss"] for folder in shapes)
    assert smooth > sharp + 0.1
    assert bh.Trainer.load(shapes[1] / "checkpoint.safetensors").label_smoothing == 0.4


@pytest.mark.parametrize("more", [(), ("--from", "tiny-run")], ids=["from nothing", "features"])
def test_flip_tta_averages_the_logits(colors, tmp_path, more):
    if more:
        train(colors, tmp_path / "tiny-run", *QUICK)
        more = ("--from", tmp_path / "tiny-run")
    out = train(colors, tmp_path / "run", *(SHORT if more else QUICK), "--tta", "flip", *more)
    assert "test-time augmentation: the mean of the logits of each image and its horizontal flip" in out
    network, val = bh.load(tmp_path / "run"), find(colors).sets().split(0.2, 0).val
    once = bh.load(tmp_path / "tiny-run").replace_head(network.classes) if more else None
    if once is None:
        once = bh.Trainer.load(tmp_path / "run" / "checkpoint.safetensors").model
    else:
        copy_weights(once, network)
    sides = [once.logits_of(images) for images in (val.images, val.images[:, :, ::-1])]
    np.testing.assert_allclose(network.logits_of(val.images), (sides[0] + sides[1]) / 2, atol=1e-5)
    learned = bh.Trainer.load(tmp_path / "run" / "checkpoint.safetensors").model.p.flat[-9:]
    np.testing.assert_array_equal(network.p.flat[-9:], learned)
    told = re.search(r"validation accuracy ([\d.]+)%, loss ([\d.]+)", out)
    guesses = network.logits_of(val.images).argmax(1)
    assert float(told[1]) == pytest.approx(100 * (guesses == val.labels).mean(), abs=0.01)


def test_a_budget_plans_the_epochs(colors, tmp_path):
    out = train(colors, tmp_path / "run", "--model", "tiny", "--minutes", 0.15)
    epochs, minutes = re.search(r"([\d,]+) epochs in (\S+) minutes: a step takes", out).groups()
    assert int(epochs.replace(",", "")) > 2 and minutes == "0.15"
    assert json.loads((tmp_path / "run" / "run.json").read_text())["epochs"] == int(epochs.replace(",", ""))


def test_streaming_gives_the_same_network(colors, tmp_path):
    out = train(colors, tmp_path / "files", *QUICK, "--stream")
    assert "the images stay in their files and are decoded while training" in out
    assert re.search(r"data loading held up training for [\d.]+% of the time", out)
    train(colors, tmp_path / "memory", *QUICK)
    models = [bh.load(tmp_path / name).p.flat for name in ("files", "memory")]
    np.testing.assert_array_equal(*models)


def interrupt(words, line):
    command = [sys.executable, "-m", "byhand", "train", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        next(told for told in process.stdout if told.startswith(line))
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130


@pytest.mark.parametrize("unfreeze", [None, 1], ids=["new", "head"])
def test_ctrl_c_and_resume_end_in_the_same_network(colors, tmp_path, unfreeze):
    """Many epochs are left when the signal arrives."""
    words = ("--from", save_pretrained(tmp_path / "start"), "--unfreeze", unfreeze) if unfreeze else TINY
    more = (*words, "--epochs", 40, "--batch-size", 4, "--lr", 0.001)
    interrupt((colors, *more, "--output", tmp_path / "cut"), "epoch 2/40")
    done = byhand("train", "--resume", "--output", tmp_path / "cut")
    assert done.code == 0 and "resuming after" in done.out, done.err
    train(colors, tmp_path / "whole", *more)
    for name in ("model.safetensors", "checkpoint.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


# transfer learning ----------------------------------------------------------------------------------------------------


def save_pretrained(path):
    """Save a network that has learned something of colors; return its file."""
    model = bh.models.create("lenet5", 4, (24, 24, 3), seed=3)
    model.save(path)
    return path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "255 of "),
        (("--unfreeze", 1), "10,419 of "),
        (("--unfreeze", "all"), " parameters, "),
    ],
    ids=["head", "one", "all"],
)
def test_transfer_learning_from_a_trained_network(colors, tmp_path, words, told):
    source = save_pretrained(tmp_path / "start.safetensors")
    out = train(colors, tmp_path / "run", "--from", source, *words, "--epochs", 12, "--lr", 0.02)
    assert told in out and "lenet5 on colors: 24 x 24 x 3 -> 3 classes" in out
    made, before = bh.load(tmp_path / "run"), bh.load(source)
    first = "conv1_weight"
    same = np.array_equal({**made.parameters, **vars(made.state)}[first], before.parameters[first])
    assert same == ("all" not in words)
    val = find(colors).sets().split(0.2, 0).val
    accuracy = (made.predict(val.images).argmax(1) == val.labels).mean()
    assert f"validation accuracy {accuracy:.2%}" in out and accuracy > 0.8


def test_arrays_are_recorded_as_they_are_trained_on(tmp_path):
    bh.models.create("tiny", ("a", "b"), (16, 16, 3), crop_pct=0.875).save(tmp_path / "base.safetensors")
    labels = np.arange(12) % 2
    images = np.random.default_rng(0).integers(0, 100, (12, 16, 16, 3)) + 100 * labels[:, None, None, None]
    np.savez(tmp_path / "set.npz", x_train=images.astype(np.uint8), y_train=labels)
    train(tmp_path / "set.npz", tmp_path / "run", "--from", tmp_path / "base.safetensors", "--epochs", 1)
    assert bh.load(tmp_path / "run").crop_pct == 1


def test_options_of_the_network_of_from(colors, tmp_path):
    onnx, ours = pytest.importorskip("onnx"), pytest.importorskip("byhand.onnx")
    ours.save(bh.models.create("tiny", 4, (16, 16, 3)), tmp_path / "open.onnx")
    proto = onnx.load(tmp_path / "open.onnx")
    del proto.metadata_props[:]
    for size in proto.graph.input[0].type.tensor_type.shape.dim[2:]:
        size.dim_param = "side"
    onnx.save(proto, tmp_path / "open.onnx")
    words = ("--from", tmp_path / "open.onnx", "--epochs", 1)
    done = byhand("train", colors, *words, "--output", tmp_path / "run")
    assert done.code == 2 and "--image-size HEIGHTxWIDTH" in done.complaint
    given = ("--image-size", "24x24", "--mean", "0.25", "--std", "0.5", "--task", "classes")
    done = byhand("train", colors, *words, *given, "--output", tmp_path / "run")
    assert (done.code, "mean and std" in done.err) == (0, False), done.err
    made = bh.load(tmp_path / "run")
    assert made.input_shape == (24, 24, 3) and (made.mean, made.std) == (0.25, 0.5)
    told = byhand("data", colors, *words[:2], *given, "-o", tmp_path / "sheet.png").out
    assert "--image-size 24x24" in told and "--mean 0.25 --std 0.5 --task classes" in told
    done = byhand("train", colors, "--mean", "0.5", "--model", "tiny")
    assert "--mean is of the network of --from; give --from with it" in done.complaint


def test_photos_use_transfer_learning_from_imagenet(tmp_path):
    out = train(write_image_folder(tmp_path / "photos", 4, size=(90, 80)), tmp_path / "run", "--epochs", 3)
    assert (
        "color photos, fewer than 1,000 per class: transfer learning from efficientnet_lite0, pretrained on ImageNet"
        in out
    )
    assert "efficientnet_lite0 on photos: 224 x 224 x 3 -> 3 classes" in out
    assert "2,562 of" not in out and "3,843 of 3,374,851 parameters are trainable" in out
    assert "takes 87.5% of the shorter side" in out
    assert bh.load(tmp_path / "run").crop_pct == 0.875


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--image-size", "0x3"), "--image-size is '0x3'"),
        (("--from", "efficientnet_lite0", "--image-size", "32x32"), "--image-size is for a new network"),
        (("--from", "efficientnet_lite0", "--augment", "flip"), "--augment flip needs --unfreeze all"),
        (
            ("--from", "efficientnet_lite0", "--unfreeze", "999"),
            "unfreeze is 999, but there are 49 layers with weights",
        ),
        (("--augment", "shift=30"), "shift is 30 pixels, but the images have 24 x 24"),
        (("--model", "alexnet", "--image-size", "8x8"), "pool1: the window reaches over 3 pixels"),
        (("--early-stopping", "2", "--validation-fraction", "0"), "--early-stopping needs validation images"),
    ],
)
def test_bad_settings_are_refused_and_write_nothing(colors, tmp_path, words, complaint):
    done = byhand("train", colors, *words, folder=tmp_path)
    assert done.code == 2 and complaint in done.complaint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["class", "empty", "bad", "file"])
def test_an_unusable_folder_is_refused_in_one_line(tmp_path, kind):
    root = tmp_path / "data"
    root.mkdir()
    if kind == "class":
        write_image_folder(root, 3, classes=("red",))
    if kind == "bad":
        for name in COLORS:
            (root / name).mkdir()
            (root / name / "x.jpg").write_text("no")
    if kind == "file":
        root = tmp_path / "data.zip"
        root.touch()
    expected = {
        "class": "has only the class 'red'; a classifier needs two classes or more",
        "empty": "expected a folder a class",
        "bad": "none of 3 images can be read; the first: blue/x.jpg",
        "file": "it is an archive: unpack it first",
    }
    done = byhand("train", root, folder=tmp_path)
    assert done.code == 2 and expected[kind] in done.complaint
    assert not (tmp_path / "runs").exists()


# byhand data ----------------------------------------------------------------------------------------------------------


def test_data_lists_classes_and_settings(colors, tmp_path):
    done = byhand("data", colors, folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    for words in (
        "colors: images of 24 x 24 x 3, 3 classes",
        "  blue      20",
        "  all       60",
        "every image is 24 x 24, taken as it is",
        "augmentation while training: flip,shift=1",
        "wrote colors-sheet.png: the network's inputs",
        f"next:  byhand train {colors}",
    ):
        assert words in done.out, done.out
    with Image.open(tmp_path / "colors-sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
    for color in COLORS.values():
        assert (np.abs(pixels - np.array(color)).max(1) < 30).sum() > 20 * 24 * 24


def test_data_reports_bad_files_and_duplicates(tmp_path):
    for part, begin in (("train", 0), ("val", 50)):
        write_image_folder(tmp_path / "set" / part, 3, size=(16, 16), start=begin)
    (tmp_path / "set" / "val" / "red" / "copy.png").write_bytes(
        (tmp_path / "set" / "train" / "red" / "1.png").read_bytes()
    )
    (tmp_path / "set" / "train" / "red" / "empty.png").touch()
    told = json.loads(byhand("data", tmp_path / "set", "--json", folder=tmp_path).out)
    assert told["counts"]["train"] == {"blue": 3, "green": 3, "red": 3} and told["shape"] == [16, 16, 3]
    assert [skipped["file"] for skipped in told["skipped"]] == ["train/red/empty.png"]
    assert any("1 image stands both in train and in val" in note for note in told["notes"])
    assert (tmp_path / told["sheet"]).exists()


def test_data_shows_an_augmentation(colors, tmp_path):
    plain, varied = (
        byhand("data", colors, "--augment", how, "--output", tmp_path / f"{number}.png")
        for number, how in enumerate(("none", "rotate=30,mixup=0.4,cutout=6"))
    )
    assert "no augmentation while training" in plain.out and "rotate=30,cutout=6,mixup=0.4" in varied.out
    assert (tmp_path / "0.png").read_bytes() != (tmp_path / "1.png").read_bytes()
    assert "there is no augmentation 'blur'" in byhand("data", colors, "--augment", "blur", folder=tmp_path).complaint
