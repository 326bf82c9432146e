"""Command `byhand trace`."""

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand import nn
from byhand.data import digits
from tests.cli.run_cli import byhand, refuses
from tests.cli.small_files import write_feature_maps, write_images


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, and small networks in files."""
    folder = tmp_path_factory.mktemp("trace")
    write_images(folder)
    x, y = write_feature_maps(folder)
    model = nn.Model(x, nn.Linear(2, name="fc")(nn.GlobalAvgPool2d(name="pool")(y)), mean=0, std=1 / 255)
    model.p.block_0_conv_bias[2] = np.nan
    model.save(folder / "broken.safetensors")
    return folder


def table(said):
    """Return the rows of a table as dictionaries of words."""
    head, *lines = said.splitlines()
    return {line.split()[0]: line for line in lines} | {"": head}


def test_the_table_is_what_trace_returns(folder):
    done = byhand("trace", "lenet5", "one.png", folder=folder)
    assert (done.code, done.err) == (0, "")
    model = bh.models.create("lenet5")
    values = model.trace(digits.from_file(folder / "one.png")[None])
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["images", *(node.output.name for node in model.graph.nodes)]
    for line in lines[1:]:
        name = line.split()[0]
        array = values[name]
        *_, smallest, mean, largest, zeros = line.split()
        assert float(smallest) == pytest.approx(float(array.min()), rel=1e-3)
        assert float(mean) == pytest.approx(float(array.mean()), rel=1e-3, abs=1e-6)
        assert float(largest) == pytest.approx(float(array.max()), rel=1e-3)
        assert zeros == f"{np.mean(array == 0):.1%}"
        assert f"(N, {', '.join(map(str, array.shape[1:]))})" in line


def test_the_names_of_classes_are_taken_from_a_file(folder, tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    words = ("trace", folder / "broken.safetensors", folder / "photo.png", "--labels", tmp_path / "names.txt")
    assert byhand(*words).code == 0
    assert "names.txt has 2 class names, but lenet5 has 10" in byhand("trace", "lenet5", *words[2:]).complaint


def test_the_table_marks_what_is_no_number(folder):
    rows = table(byhand("trace", "broken.safetensors", "photo.png", folder=folder).out)
    assert rows["block_0_conv"].endswith("%  <- NaN or infinity")
    assert rows["fc"].split()[-8:] == ["-", "-", "-", "0.0%", "<-", "NaN", "or", "infinity"]  # nothing else is left
    assert rows["images"].endswith("%")


def test_a_layers_maps_are_drawn_once(folder, tmp_path):
    done = byhand("trace", folder / "maps.onnx", folder / "photo.png", "--layer", "act", folder=tmp_path)
    assert (done.code, done.out) == (0, "wrote act.png\n")
    assert done.err == ""  # byhand's own notes in the file say how pixels become numbers
    with Image.open(tmp_path / "act.png") as image:
        assert image.format == "PNG" and image.width > 500
    again = byhand("trace", folder / "maps.onnx", folder / "photo.png", "--layer", "act", folder=tmp_path)
    assert (again.code, again.out) == (0, "wrote act.png\n"), "its own picture is replaced"
    options = ["--layer", "act", "--output", "other.png", "--scale-each", "--max-maps", "2"]
    assert byhand("trace", folder / "maps.onnx", folder / "photo.png", *options, folder=tmp_path).code == 0
    assert (tmp_path / "other.png").read_bytes() != (tmp_path / "act.png").read_bytes()


def test_a_layer_as_onnx_calls_it(folder, tmp_path):
    words = ["trace", folder / "maps.onnx", folder / "photo.png", "--layer", "/block_0/conv"]
    assert byhand(*words, folder=tmp_path).out == "wrote block_0_conv.png\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["lenet5", "none.png"], "can't read none.png: there is no such file"),
        (["lenet5", "note.png"], "note.png"),
        (["none.onnx", "one.png"], "there is no file none.onnx"),
        (["note.png", "one.png"], "note.png is not a model that byhand can use"),
        (["lenet6", "one.png"], "there is no model 'lenet6'; did you mean 'lenet5'?"),
        (["lenet5", "one.png", "--layer", "conv9"], "there is no layer 'conv9'; did you mean 'conv2'?"),
        (["resnet18", "one.png", "--layer", "zzz"], "there is no layer 'zzz'; `byhand show resnet18` lists them"),
        (["lenet5", "one.png", "--layer", "conv1", "--output", "none/x.png"], "can't write none"),
        (["lenet5", "one.png", "--layer", "conv1", "--output", "."], ". is a folder; expected a file as --output"),
        (["lenet5", "one.png", "--layer", "conv1", "--max-maps", "0"], "max_maps is 0"),
        (["lenet5", "one.png", "--output", "x.png"], "give --layer NAME with them"),
        (["lenet5", "one.png", "--scale-each"], "give --layer NAME with them"),
        (["lenet5", "one.png", "--image-size", "28"], "--image-size is '28'; expected HEIGHTxWIDTH, such as 224x224"),
        (["lenet5", "one.png", "--mean", "half"], "--mean is 'half'; expected a number, or 1 separated by commas"),
        (
            ["broken.safetensors", "photo.png", "--image-size", "5x5"],
            "--image-size is for architectures and ONNX files",
        ),
        (["lenet5"], "Missing argument"),
    ],
)
def test_bad_input_gets_one_line(folder, words, complaint):
    refuses(folder, complaint, "trace", *words)


def test_the_output_of_a_binary_network_is_drawn(folder, tmp_path):
    x = nn.Input(8, 8, 1)
    y = nn.Sigmoid()(nn.Linear(1)(nn.Flatten()(x)))
    model, image = tmp_path / "binary.safetensors", tmp_path / "gray.png"
    nn.Model(x, y, classes=["no", "yes"]).save(model)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(image)
    for name in ("fc1", "sigmoid1"):
        done = byhand("trace", model, image, "--layer", name, folder=tmp_path)
        assert (done.code, done.out) == (0, f"wrote {name}.png\n"), done.err
