"""Command `byhand diff`."""

import json

import numpy as np
import pytest

import byhand as bh
from byhand import nn, onnx
from tests.cli.run_cli import byhand


def net(*, act=nn.ReLU, classes=("cat", "dog", "owl"), prefix="", seed=0, depth=2, **settings):
    x = y = nn.Input(12, 12, 1)
    for i in range(depth):
        y = nn.Conv2d(4, 3, padding="same", name=f"{prefix}conv{i}")(y)
        y = (act if i == 0 else nn.ReLU)(name=f"{prefix}act{i}")(y)
    y = nn.Linear(len(classes), name=f"{prefix}fc")(nn.GlobalAvgPool2d(name=f"{prefix}pool")(y))
    return nn.Model(x, y, classes=classes, seed=seed, **settings)


@pytest.fixture
def files(tmp_path):
    """Save models under names; return their folder."""

    def saved(**models):
        for name, model in models.items():
            model.save(tmp_path / f"{name}.safetensors")
            onnx.save(model, tmp_path / f"{name}.onnx")
        return tmp_path

    return saved


def test_equal_models_are_one_line_and_exit_code_0(files):
    folder = files(a=net(), b=net(prefix="v"))
    for other, note in (
        ("a.safetensors", ""),
        ("a.onnx", " (matched by order: 1 layer has another name)"),  # the average and its shape are two there
        ("b.safetensors", " (matched by order: 6 layers have other names)"),
    ):
        done = byhand("diff", "a.safetensors", other, folder=folder)
        assert (done.code, done.out, done.err) == (0, f"the same: 6 layers, 203 weights{note}\n", "")
    done = byhand("diff", "a.onnx", "b.onnx", "--json", folder=folder)
    found = json.loads(done.out)
    assert (done.code, found["same"], found["differences"], found["matched_by_order"]) == (0, True, [], True)


def test_differences_are_a_table_and_exit_code_1(files):
    other = net(act=nn.SiLU, classes=("cat", "cow", "owl"), mean=0.25)
    other.p.conv1_bias[2] = 0.5
    done = byhand("diff", "a.safetensors", "b.safetensors", folder=files(a=net(), b=other))
    assert (done.code, done.err) == (1, "")
    assert done.out == (
        "A  a.safetensors: model, 6 layers, 203 parameters\n"
        "B  b.safetensors: model, 6 layers, 203 parameters\n"
        "\n"
        "layer  property  difference\n"
        "-      mean      0.5 -> 0.25\n"
        "-      classes   1 other name: dog -> cow\n"
        "act0   op        relu -> silu\n"
        "conv1  bias      1 of 4 weights, by up to 0.5\n"
        "\n"
        "different: mean, classes, 1 layer with another op, attribute or shape, 1 of 6 arrays with other values\n"
    )


def test_layers_missing_from_one_model_are_listed(files):
    done = byhand("diff", "a.onnx", "b.onnx", folder=files(a=net(), b=net(depth=3)))
    assert done.code == 1
    assert "only in B: conv2d (N, 12, 12, 4), 148 weights\n" in done.out
    assert "2 layers only in B" in done.out and "only in A" not in done.out
    back = byhand("diff", "b.onnx", "a.onnx", folder=files())
    assert "2 layers only in A" in back.out


def test_a_deep_network_with_a_small_change_stays_short(files):
    other = net(depth=250)
    other.p.conv123_weight[0, 0, 0, 0] += 1
    done = byhand("diff", "a.safetensors", "b.safetensors", folder=files(a=net(depth=250), b=other))
    assert done.code == 1 and done.out.count("\n") == 7
    assert "conv123  weight    1 of 144 weights, by up to 1," in done.out


def test_json_holds_the_rows(files):
    other = net()
    other.p.fc_bias[...] = [1, float("nan"), 3]
    done = byhand("diff", "a.safetensors", "b.safetensors", "--json", folder=files(a=net(), b=other))
    assert (done.code, done.err) == (1, "")
    assert json.loads(done.out) == {
        "same": False,
        "differences": [{"layer": "fc", "property": "bias", "a": [3], "b": [3], "count": 3}],
        "layers": [6, 6],
        "matched_by_order": False,
        "renamed": 0,
        "shape_only": 0,
        "arrays": 6,
        "elements": 203,
    }


def test_json_has_no_infinity(files):
    def clipped(high):
        x = nn.Input(4)
        return nn.Model(x, bh.clip(nn.Linear(2)(x), low=0.5, high=high))

    done = byhand("diff", "a.safetensors", "b.safetensors", "--json", folder=files(a=clipped(6.0), b=clipped(np.inf)))
    (row,) = json.loads(done.out, parse_constant=pytest.fail)["differences"]
    assert (row["layer"], row["property"], row["a"], row["b"]) == ("clip1", "high", 6.0, "inf")


def test_architectures_of_any_size_can_be_compared(files):
    done = byhand("diff", "lenet5", "lenet5", "--image-size", "32x32")
    assert done.code == 0 and done.out.startswith("the same: 11 layers, ")
    done = byhand("diff", "resnet18", "resnet34")
    assert done.code == 1 and "layers only in B" in done.out


def test_names_from_an_untrusted_file_cannot_command_the_terminal(files):
    folder = files(a=net(), b=net(classes=("cat", "\x1b[31mdog", "owl")))
    done = byhand("diff", "a.safetensors", "b.safetensors", folder=folder)
    assert done.code == 1 and "\x1b" not in done.out and "dog -> ?[31mdog" in done.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["a.onnx", "none.onnx"], "there is no file none.onnx"),
        (["a.onnx", "note.onnx"], "note.onnx is no ONNX model that byhand can use"),
        (["note.safetensors", "a.onnx"], "note.safetensors is not a model that byhand can use"),
        (["a.onnx", "lenet6"], "there is no model 'lenet6'; did you mean 'lenet5'?"),
        (["a.onnx"], "Missing argument"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(files, words, complaint):
    folder = files(a=net())
    for name in ("note.onnx", "note.safetensors"):
        (folder / name).write_text("no model")
    done = byhand("diff", *words, folder=folder)
    assert done.code == 2 and complaint in done.complaint and done.out == ""
