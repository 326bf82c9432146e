"""Commands `byhand predict`, `show` and `tutorial`."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx as onnx_package
import pytest
from PIL import Image

import byhand as bh
from byhand import nn, onnx
from byhand.data import digits, mnist, photos
from byhand.kernels.conv import tuning
from byhand.kernels.conv.tuning import TuningTable
from byhand.models.architecture import IMAGENET_MEAN, IMAGENET_STD
from tests.cli.run_cli import byhand


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small network that knows its digits, in a file."""
    train, _ = bh.data.load("mnist")
    model = bh.models.create("lenet5")
    bh.Trainer(model, bh.SGD(lr=0.05, momentum=0.9), schedule=bh.OneCycle()).fit(train.take(6000), epochs=2, quiet=True)
    model.save(tmp_path_factory.mktemp("run") / "model.safetensors")
    return tmp_path_factory.getbasetemp() / next(tmp_path_factory.getbasetemp().glob("run*")).name


@pytest.fixture
def pictures(tmp_path):
    """The first eight test digits as a person has them: large, ink on paper, in color, off the center, PNG and JPEG."""
    paths = []
    for i, digit in enumerate(mnist.test_images()[:8]):
        ink = np.asarray(Image.fromarray(digit).resize((140, 140), Image.Resampling.BICUBIC))
        page = np.full((200, 300), 20 if i % 2 else 235, np.uint8)
        page[10:150, 120:260] = 20 + ink * 0.8 if i % 2 else 235 - ink * 0.8
        kind = "jpg" if i % 3 == 0 else "png"
        paths.append(tmp_path / f"digit {i}.{kind}")
        Image.fromarray(page).convert("RGB").save(paths[-1])
    return paths


def test_predict_reads_pictures_as_a_person_has_them(run, pictures):
    done = byhand("predict", run, *pictures, "--json")
    assert (done.code, done.err) == (0, "")
    answers = json.loads(done.out)["predictions"]
    assert [answer["image"] for answer in answers] == [str(path) for path in pictures]
    labels = [str(label) for label in mnist.test_labels()[:8]]
    assert sum(answer["class"] == label for answer, label in zip(answers, labels)) >= 7
    for answer in answers:
        probabilities = [entry["probability"] for entry in answer["probabilities"]]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert answer["probability"] == max(probabilities)


def test_predict_can_show_the_exact_array_that_the_network_received(run, pictures):
    done = byhand("predict", run, pictures[0], "--show", "--json")
    received = np.array(json.loads(done.out)["predictions"][0]["input"], np.uint8)
    assert np.array_equal(received, digits.from_file(pictures[0])[..., 0])
    shown = byhand("predict", run, pictures[0], "--show").out
    assert "as the network receives it" in shown
    assert "@@" in shown
    assert str(pictures[0].name) in shown.replace("\n", "")


def test_one_bad_picture_does_not_keep_the_others_from_their_answer(run, pictures, tmp_path):
    (tmp_path / "note.png").write_text("no picture")
    done = byhand("predict", run, tmp_path / "note.png", pictures[1], tmp_path / "missing.png")
    assert done.code == 2
    assert done.err.count("\n") == 2
    assert "note.png" in done.err
    assert "missing.png" in done.err
    assert "Traceback" not in done.err
    assert str(mnist.test_labels()[1]) in done.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["predict", "nowhere", "x.png"], "there is no file nowhere"),
        (["predict"], "Missing argument"),
        (
            ["predict", "seven.PNG"],
            "seven.PNG is an image, and a run or a model comes before it; expected: byhand predict runs/RUN seven.PNG",
        ),
        (["predict", "lenet5"], "no image is given; expected: byhand predict lenet5 IMAGE"),
        (
            ["predict", "runs/none", "x.png"],
            "expected a run's folder (`byhand train` writes one), a model file (ONNX incl",
        ),
        (["predict", ".", "x.png"], "holds no model"),
        (["predict", "lenet5", "x.png"], "lenet5 is an untrained architecture: train it first, or use"),
        (["predict", "none.onnx", "x.png"], "there is no file none.onnx"),
        (["show", "lenet5", "--image-size", "wide"], "--image-size is 'wide'; expected HEIGHTxWIDTH, such as 224x224"),
        (["show", "lenet6"], "there is no model 'lenet6'; did you mean 'lenet5'?"),
        (["show", "./lenet5"], "there is no file lenet5"),
        (["show", "lenet5", "--program", "--hand", "foot"], "unknown value 'foot' for --hand; expected loops"),
        (["show", "lenet5", "--program", "--batch-size", "0"], "batch_size is 0"),
        (["show", "lenet6", "--graph"], "there is no model 'lenet6'"),
        (["show", "lenet5", "--graph", "--program"], "give --graph or --program"),
        (["show", "lenet5", "--output", "x.svg"], "--output is the file of a drawing; give --graph with it"),
        (["show", "lenet5", "--graph", "--output", "none/x.svg"], "can't write none"),
        (["show", "lenet5", "--graph", "--output", "."], ". is a folder; expected a file as --output"),
        (["tutorial", "--hand", "foot"], "unknown value 'foot' for --hand; expected loops"),
        (["tutorial", "--images", "0"], "images is 0"),
        (["tutorial", "--epochs", "-1"], "epochs is -1"),
        (["tutorial", "--seed", "-1"], "seed is -1"),
        (["trian"], "No such command 'trian'"),
        (["train", "--frobnicate"], "--frobnicate"),
    ],
)
def test_bad_input_gets_one_line(words, complaint, tmp_path):
    done = byhand(*words, folder=tmp_path)
    assert done.code == 2
    assert complaint in done.complaint
    assert done.out == ""


def test_predict_says_what_it_cannot_read(tmp_path):
    bh.models.create("lenet5", input_shape=(32, 30, 2)).save(tmp_path / "two.safetensors")
    complaint = byhand("predict", tmp_path / "two.safetensors", "x.png").complaint
    assert complaint == "an image has one channel or three, but lenet5 takes 32 x 30 x 2 arrays"


@pytest.fixture
def foreign_onnx(tmp_path):
    """Save a network as ONNX without what byhand notes beside it; return its file, and a photo's."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / "photo.png")

    def saved(name, channels=3, classes=4, open_size=False, **settings):
        x = nn.Input(16, 20, channels)
        y = nn.Conv2d(6, 3, name="conv")(x)
        if classes:
            y = nn.Linear(classes, name="fc")(nn.GlobalAvgPool2d(name="pool")(y))
        model = nn.Model(x, y, **{"classes": None if classes else ()} | settings)
        path = tmp_path / f"{name}.onnx"
        onnx.save(model, path)
        proto = onnx_package.load(path)
        del proto.metadata_props[:]
        for size in proto.graph.input[0].type.tensor_type.shape.dim[2:] if open_size else ():
            size.dim_param = "side"
        onnx_package.save(proto, path)
        return model, path

    return saved


def answer(*words):
    done = byhand("predict", *words, "--json", "--task", "classes")
    assert done.code == 0, done.err
    told = json.loads(done.out)["predictions"][0]
    told["probabilities"] = {entry["class"]: entry["probability"] for entry in told["probabilities"]}
    return told, done.err


def crop_note(path):
    """Return the note that a file does not say how images are cropped."""
    return (
        f"{path} does not say how images are cropped: assuming 87.5% of the shorter side, the whole of one of 16 x 20\n"
    )


def probabilities_of(model, path, channels=3):
    """Return what a model says of a photo, by class."""
    pixels = photos.from_file(path, model.input_shape[:2], channels)
    return pytest.approx(dict(zip(model.classes, map(float, model.predict(pixels[None])[0]))), rel=1e-4)


def test_predict_takes_a_foreign_onnx_file(foreign_onnx, tmp_path):
    model, path = foreign_onnx("four", mean=0, std=1)
    told, note = answer(path, tmp_path / "photo.png")
    assert told["probabilities"] == probabilities_of(model, tmp_path / "photo.png")
    assert (
        note
        == f"{path} does not contain the pixels' mean and std: assuming pixels from 0 to 1; set them with --mean and --std\n"
        + crop_note(path)
    )


def test_predict_agrees_with_onnxruntime(foreign_onnx, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    _, path = foreign_onnx("four")
    told, _ = answer(path, tmp_path / "photo.png", "--mean", "0.4,0.5,0.6", "--std", "0.2")
    pixels = photos.from_file(tmp_path / "photo.png", (16, 20)).astype(np.float32) / 255
    images = ((pixels - np.float32([0.4, 0.5, 0.6])) / np.float32(0.2)).transpose(2, 0, 1)[None]
    logits = runtime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"images": images})[0][0]
    wanted = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert [told["probabilities"][str(k)] for k in range(4)] == pytest.approx(wanted.tolist(), rel=1e-5)


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        (0.5, 2.0, ["--mean", "0.5", "--std", "2"]),
        (0, 1 / 255, ["--mean", "0", "--std", "1/255"]),
        ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6], ["--mean", "0.1,0.2, 0.3", "--std", ".4,.5,6e-1"]),
        (0.25, 1, ["--mean", "0.25"]),
        (0, [1, 2, 4], ["--std", "1,2,4"]),
    ],
)
def test_predict_is_told_how_pixels_become_numbers(foreign_onnx, tmp_path, mean, std, words):
    model, path = foreign_onnx("four", mean=mean, std=std)
    told, note = answer(path, tmp_path / "photo.png", *words)
    assert told["probabilities"] == probabilities_of(model, tmp_path / "photo.png")
    assert note == crop_note(path)


def test_predict_is_told_names_and_size(foreign_onnx, tmp_path):
    model, path = foreign_onnx("open", open_size=True, mean=0.5)
    (tmp_path / "names.txt").write_text("cat\ndog\nowl\ncow\n")
    asked = byhand("predict", path, tmp_path / "photo.png").complaint
    assert asked.endswith(
        "its input 'images' leaves its size open, (N, 3, side, side); tell it with --image-size HEIGHTxWIDTH"
    )
    told, _ = answer(
        path, tmp_path / "photo.png", "--image-size", "16x20", "--labels", tmp_path / "names.txt", "--mean", "0.5"
    )
    assert list(probabilities_of(model, tmp_path / "photo.png").expected.values()) == pytest.approx(
        [told["probabilities"][name] for name in ("cat", "dog", "owl", "cow")], rel=1e-4
    )
    assert byhand("show", path, "--image-size", "16x20").out.startswith("open: 16 x 20 x 3 -> 4\n")
    assert byhand("show", path, "--image-size", "32x32").out.startswith("open: 32 x 32 x 3 -> 4\n")


def test_a_model_with_1000_classes_gets_imagenet_names(foreign_onnx, tmp_path):
    model, path = foreign_onnx("thousand", classes=1000, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    told, note = answer(path, tmp_path / "photo.png")
    names = (Path(bh.models.__file__).parent / "weights" / "imagenet_classes.txt").read_text().splitlines()
    p = model.predict(photos.from_file(tmp_path / "photo.png", (16, 20))[None])[0]
    assert told["class"] == names[p.argmax()] and told["probability"] == pytest.approx(float(p.max()), rel=1e-4)
    assert note == (
        f"{path} does not contain its class names and the pixels' mean and std: assuming ImageNet's; "
        f"set them with --labels, --mean and --std\n{crop_note(path)}"
    )
    model.preprocessing = replace(model.preprocessing, crop_pct=0.875)
    onnx.save(model, path)  # with byhand's record: nothing is guessed of the pixels
    assert answer(path, tmp_path / "photo.png")[1] == ""


def test_predict_sees_gray_photos_of_any_size(foreign_onnx, tmp_path):
    model, path = foreign_onnx("gray", channels=1, mean=0, std=1)
    assert answer(path, tmp_path / "photo.png")[0]["probabilities"] == probabilities_of(
        model, tmp_path / "photo.png", channels=1
    )


def test_predict_points_to_trace_where_there_are_no_classes(foreign_onnx, tmp_path):
    _, path = foreign_onnx("maps", classes=0)
    complaint = byhand("predict", path, "photo.png").complaint
    assert complaint == (f"maps is no classifier, its output is 14 x 18 x 6; to see it: byhand trace {path} photo.png")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--mean", "half"], "--mean is 'half'; expected a number, or 3 separated by commas"),
        (["--mean", "1,2"], "--mean is '1,2'"),
        (["--std", "1/0"], "--std is '1/0'"),
        (["--std", "nan"], "--std is 'nan'"),
        (["--std", "0"], "--std is 0; expected numbers to divide by"),
        (["--labels", "none.txt"], "can't read none.txt: there is no such file; expected class names"),
        (["--labels", "photo.png"], "can't read photo.png: it is no text"),
        (["--labels", "three.txt"], "three.txt has 3 class names, but its output fc (N, 4) gives 4"),
        (["--image-size", "0x5"], "--image-size is '0x5'; expected HEIGHTxWIDTH"),
        (["--image-size", "2x2"], "four.onnx is no ONNX model that byhand can use"),
        (["--labels", "four.txt", "--output-name", "got b"], "it has no output 'got b'"),
    ],
)
def test_predict_refuses_wrong_options(foreign_onnx, tmp_path, words, complaint):
    _, path = foreign_onnx("four")
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    (tmp_path / "four.txt").write_text("a\nb\nc\nd\n")
    done = byhand("predict", path.name, "photo.png", "--task", "classes", *words, folder=tmp_path)
    assert done.code == 2 and complaint in done.complaint and done.out == ""


def test_show_and_its_drawing_take_onnx(foreign_onnx, tmp_path):
    _, path = foreign_onnx("four")
    table = byhand("show", path).out
    line = "pictures: 16 x 20 color, resized, an unknown part of the shorter side; pixels (x / 255 - 0) / 1"
    assert table.startswith(
        f"{onnx.load(path).summary()}\n{line}\noutput: 4 classes (0, 1, 2, 3), from logits\n\nalgorithms"
    ) and table.startswith("four: 16 x 20 x 3 -> 4\n")
    assert byhand("show", path, "--graph", folder=tmp_path).out == "wrote four.svg; any browser shows it\n"
    assert "training, hand compiled" in byhand("show", path, "--program", "--batch-size", 2).out


def test_onnx_that_is_not_installed_is_one_line(foreign_onnx, tmp_path):
    _, path = foreign_onnx("four")
    (tmp_path / "onnx.py").write_text("raise ModuleNotFoundError(\"No module named 'onnx'\", name='onnx')")
    done = byhand("show", path, PYTHONPATH=str(tmp_path))
    assert done.code == 2 and done.complaint == "byhand.onnx needs the package onnx: run pip install 'byhand[onnx]'"


def test_show_prints_the_table_of_an_architecture_and_of_a_saved_model(run):
    shown = byhand("show", "lenet5").out
    table, algorithms = shown.split("\n\n")
    assert table.startswith(f"{bh.models.create('lenet5').summary()}\npictures: 28 x 28 gray")
    assert algorithms.startswith("algorithms at batch size 64")
    digits = "digits: 28 x 28 gray, one digit each, centered as in MNIST; pixels (x / 255 - 0.5) / 1"
    output = "output: 10 classes (0, 1, 2, 3, 4, ...), from logits"
    assert byhand("show", run).out.split("\n\n") == [f"{bh.load(run).summary()}\n{digits}\n{output}", algorithms]


def test_show_names_the_algorithms_that_its_program_names():
    for words in ((), ("--batch-size", 3)):
        shown = byhand("show", "lenet5", *words).out.split("\n\n")[1].splitlines()
        assert shown[1].split() == ["layer", "forward", "backward_data", "backward_weights"]
        rows = [line.split() for line in shown[2:]]
        assert [row[0] for row in rows] == ["conv1", "conv2", "fc1", "fc2", "fc3"]
        assert max(map(len, shown)) <= 80
        program = byhand("show", "lenet5", "--program", *words).out
        comments = re.findall(r"; (\w+)$", program, re.MULTILINE)
        assert comments == [row[1] for row in rows]
        backward = re.findall(r"; (?:grad_x: (\w+), )?grad_weight: (\w+)$", program, re.MULTILINE)
        assert backward == [(row[2].strip("-"), row[3]) for row in reversed(rows)]


def test_show_names_precision_and_tuning_table():
    assert "compiled hand, bf16\n" in byhand("show", "lenet5", "--precision", "bf16").out.replace("float32\n", "bf16\n")
    with tuning.using(TuningTable({"direct": {"forward": 1.1}})):
        assert "compiled hand, float32; tuned by `byhand tune`\n" in byhand("show", "lenet5").out
        shown = json.loads(byhand("show", "lenet5", "--json").out)
    assert (shown["precision"], shown["tuned"]) == ("float32", True)


def test_show_prints_nothing_where_the_forced_algorithm_is_none():
    done = byhand("show", "lenet5", BYHAND_CONV="winograd4x4")
    assert (done.code, done.out) == (2, "")
    assert done.complaint.startswith("BYHAND_CONV is winograd4x4; it does not apply to the forward of a conv2d")


def test_show_names_a_forced_algorithm():
    assert re.search(r"conv2 +packed", byhand("show", "lenet5", BYHAND_CONV="packed").out)


def test_show_of_a_network_without_convolutions_names_no_algorithm(tmp_path):
    x = bh.nn.Input(4, 4, 1)
    bh.nn.Model(x, bh.nn.Flatten()(bh.nn.ReLU()(x)), classes=()).save(tmp_path / "relu.safetensors")
    assert "algorithms" not in byhand("show", tmp_path / "relu.safetensors").out


def test_show_prints_the_program_that_training_runs():
    text = byhand("show", "lenet5", "--program", "--batch-size", 16).out
    trainer = bh.Trainer(bh.models.create("lenet5"), bh.SGD(lr=0.1, momentum=0.9), batch_size=16)
    assert text == trainer.program().text == trainer.program().path.read_text()


def test_show_draws_the_graph_and_writes_over_no_file(tmp_path):
    done = byhand("show", "lenet5", "--graph", folder=tmp_path)
    assert (done.code, done.out, done.err) == (0, "wrote lenet5.svg; any browser shows it\n", "")
    drawn = (tmp_path / "lenet5.svg").read_bytes()
    assert drawn.startswith(b"<svg xmlns=") and b">conv2d 5\xc3\x975<" in drawn
    (tmp_path / "lenet5.svg").write_text("<svg>mine</svg>")
    assert byhand("show", "lenet5", "--graph", folder=tmp_path).complaint == (
        "lenet5.svg exists already and was not written by byhand; choose another --output"
    )
    assert byhand("show", "lenet5", "--graph", "--output", "again.svg", folder=tmp_path).code == 0
    assert (tmp_path / "again.svg").read_bytes() == drawn
    assert (tmp_path / "lenet5.svg").read_text() == "<svg>mine</svg>"


def test_a_pipe_that_is_closed_early_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m byhand show lenet5 --program | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith('"""lenet5')
    assert done.stderr == ""


def test_without_words_it_tells_its_commands():
    done = byhand()
    assert done.code == 0
    for command in ("train", "predict", "show", "trace", "diff", "models", "tutorial", "env"):
        assert f" {command} " in done.out
        assert byhand(command, "--help").code == 0


def test_tutorial_prints_the_articles_lines():
    done = byhand("tutorial", "--images", 200, "--epochs", 1)
    assert done.code == 0
    parts = done.out.split("\n\n")  # an explanation, then the lines of a program
    programs = [part.splitlines() for part in (parts[1], parts[3], parts[5])]
    assert programs[0][0] == "MNIST CNN initialized!" and len(programs[0]) == 3
    assert programs[0][1].startswith("[Step 100] Past 100 steps: Average Loss ")
    assert programs[1][0] == "--- Epoch 1 ---" and len(programs[1]) == 3
    assert [line.split(":")[0] for line in programs[2]] == ["--- Testing the CNN ---", "Test Loss", "Test Accuracy"]
    assert "https://victorzhou.com/blog/intro-to-cnns-part-1/" in parts[0] and "200 test images" in parts[0].replace(
        "\n", " "
    )
    assert "both programs took" in parts[6].replace("\n", " ") and len(parts) == 7


def completed(*words):
    """Return what the shell offers for the last word, which is typed in part."""
    settings = {
        "_BYHAND_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["byhand", *words]),
        "COMP_CWORD": str(len(words)),
    }
    return byhand(**settings).out.split()


def test_the_shell_completes_commands_options_and_networks():
    assert completed("tr") == ["train", "trace"]
    assert completed("train", "--mo") == ["--model"]
    assert completed("show", "lenet5") == ["lenet5", "lenet5_1998"]
    assert completed("predict", "eff") == ["efficientnet_lite0"]


def test_models_show_and_trace_print_json(tmp_path):
    entries = json.loads(byhand("models", "lenet", "--json").out)["models"]
    assert {"lenet5", "lenet5_1998"} < {entry["name"] for entry in entries} <= set(bh.models.names())
    assert (entries[0]["parameters"], entries[0]["image"], entries[0]["pretrained"]) == (61_706, [28, 28, 1], False)
    shown = json.loads(byhand("show", "lenet5", "--json", "--batch-size", 16).out)
    model = bh.models.create("lenet5")
    assert [layer["layer"] for layer in shown["layers"]] == [row.layer for row in model.summary().rows]
    assert shown["layers"][0]["output"] == [28, 28, 6] and shown["layers"][-1]["parameters"] == 850
    assert shown["algorithms"] == [layer._asdict() for layer in model.program(16, train=True).algorithms]
    Image.fromarray(bh.data.mnist.test_images()[0]).save(tmp_path / "seven.png")
    traced = json.loads(byhand("trace", "lenet5", "seven.png", "--json", folder=tmp_path).out)["layers"]
    assert [layer["shape"] for layer in traced[:2]] == [[28, 28, 1], [28, 28, 6]]
    assert all(layer["not_finite"] == 0 and layer["smallest"] <= layer["mean"] <= layer["largest"] for layer in traced)


def test_tutorial_json_holds_the_articles_digits():
    done = byhand("tutorial", "--seed", 0, "--epochs", 1, "--json")
    result = json.loads(done.out)
    assert result.keys() == {"untrained", "steps", "test", "seconds"}
    assert result["untrained"]["loss"] == pytest.approx(2.302809395, rel=1e-6)
    assert result["untrained"]["accuracy"] == 0.081
    first = result["steps"][0]
    assert (first["epoch"], first["step"], first["accuracy"]) == (1, 100, 0.25)
    assert first["loss"] == pytest.approx(2.209742454, rel=1e-6)


def test_a_damaged_cache_does_not_matter(tmp_path):
    """The programs' and the data's cache is made anew wherever it does not hold what it should."""
    settings = {"BYHAND_CACHE": str(tmp_path)}
    first = byhand("tutorial", "--images", 5, "--epochs", 0, "--json", **settings)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(os.urandom(100))
    again = byhand("tutorial", "--images", 5, "--epochs", 0, "--json", **settings)
    assert (first.code, again.code) == (0, 0)
    assert json.loads(first.out)["untrained"] == json.loads(again.out)["untrained"]


def test_show_prints_the_inference_program_of_labels(tmp_path):
    x = nn.Input(8, 8, 1)
    nn.Model(x, nn.Linear(2)(nn.Flatten()(x)), task="labels").save(tmp_path / "labels.safetensors")
    done = byhand("show", tmp_path / "labels.safetensors", "--program")
    assert done.code == 0 and "def " in done.out and "bce" not in done.err, done.err


def _raising(error):
    def function(*_, **__):
        raise error

    return function


def test_memory_that_runs_out_is_one_line(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.Image.open", _raising(MemoryError()))  # the image is not to blame
    done = byhand("predict", "efficientnet_lite0", tmp_path / "a.png")
    assert done.code == 1 and done.complaint.startswith("there is not enough memory (out of memory)")
    monkeypatch.setattr("byhand.cli.app.app", _raising(SystemError("f returned NULL without setting an exception")))
    done = byhand("env")
    assert done.code == 1 and done.complaint.startswith("a library failed without a reason, as happens where memory")
