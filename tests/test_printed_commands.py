"""Every command that a document or a message shows is one that the command line takes, as it stands."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

import byhand as bh
from byhand.cli import option_hints
from byhand.cli.app import app
from byhand.data.augment import Augment
from byhand.train.optim import OPTIMIZERS
from tests.cli.run_cli import byhand

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "src/**/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"  # whose commands are those of earlier versions
)
COMMAND_LINE = get_command(app)
FRAGMENT = ("Missing parameter", "requires an argument")  # `byhand export --c`, in a sentence


def shown_commands(text):
    """Return the command lines of a document: of its blocks, and the words in code marks."""
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = [line.split("  #")[0].strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`((?:mpiexec [^`]*)?byhand [^`\n]+)`", text)
    found = []
    for line in lines:
        match = re.match(r"(?:mpiexec .*?)?(?:next: +)?(byhand ([a-z]+)( .*)?)$", line)
        if match and match[2] in COMMAND_LINE.commands and not re.search(r"\[|\.\.\.$|[{}…，。]", line):
            found.append(match[1].rstrip("."))
    return found


def parse(line):
    """Parse a command line as the shell and byhand would; return the options."""
    program, name, *words = shlex.split(line, comments=True)
    assert program == "byhand"
    return COMMAND_LINE.commands[name].make_context(name, words).params


ALL = [(name, line) for name in DOCUMENTS for line in dict.fromkeys(shown_commands((ROOT / name).read_text()))]


@pytest.mark.parametrize(("name", "line"), ALL, ids=lambda text: text.replace("/", "-"))
def test_a_documented_command_parses(name, line):
    try:
        given = parse(line)
    except Exception as error:
        if f"`{line}`" in (ROOT / name).read_text() and any(words in str(error) for words in FRAGMENT):
            return
        raise
    if given.get("augment"):
        Augment.parse(given["augment"])
    assert given.get("optimizer") in (None, *map(str.lower, OPTIMIZERS))
    if given.get("model") and given.get("data_and_model") is not None:
        assert given["model"] in bh.models.names()


def test_there_are_commands():
    assert len(ALL) > 60
    assert ("docs/onnx.md", "byhand show model.onnx") in ALL
    with pytest.raises(Exception, match="No such option"):
        parse("byhand train photos --frobnicate 3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder whose names need quotes, with a model, an image and photos."""
    folder = tmp_path_factory.mktemp("it's a folder")
    bh.models.create("tiny", ["猫", "=1+1"], input_shape=(32, 32, 3), seed=0).save(folder / "my model.safetensors")
    (folder / "my photos").mkdir()
    for name in ("cat", "dog"):
        (folder / "my photos" / name).mkdir()
        for i in range(3):
            image = np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(image).save(folder / "my photos" / name / f"a {i}.png")
    return folder


def printed_command(text, name):
    """Return the arguments of a command that a message shows."""
    line = [line for line in text.splitlines() if f"byhand {name} " in line][-1]
    return shlex.split(line[line.index(f"byhand {name}") :])[1:]


def test_a_commands_next_step_can_be_pasted(folder):
    done = byhand("data", "my photos", "--model", "tiny", "-o", "a sheet.png", folder=folder)
    words = printed_command(done.out, "train")
    assert words == ["train", "my photos", "--model", "tiny"]
    done = byhand(*words, "--epochs", "1", "--output", "a run", folder=folder)
    assert done.code == 0, done.err
    assert printed_command(done.out, "look") == ["look", "a run"]
    assert printed_command(done.out, "predict") == ["predict", "a run", "IMAGE"]
    assert byhand("predict", "a run", "my photos/cat/a 0.png", folder=folder).code == 0


def test_an_errors_command_can_be_pasted(folder):
    x = bh.nn.Input(8, 8, 3)
    bh.nn.Model(x, bh.nn.ReLU()(x), classes=()).save(folder / "no classes.safetensors")
    done = byhand("predict", "no classes.safetensors", "my photos/cat/a 0.png", folder=folder)
    words = printed_command(done.err, "trace")
    assert words == ["trace", "no classes.safetensors", "my photos/cat/a 0.png"]
    assert byhand(*words, folder=folder).code == 0
    done = byhand("predict", "my photos/cat/a 0.png", folder=folder)
    assert printed_command(done.err, "predict") == ["predict", "runs/RUN", "my photos/cat/a 0.png"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["train", "mnist", "--optimizer", "adamx"],
            "unknown value 'adamx' for --optimizer; did you mean adam? expected ",
        ),
        (
            ["train", "mnist", "--hand", "compile"],
            "unknown value 'compile' for --hand; did you mean compiled? expected loops",
        ),
        (
            ["train", "mnist", "--tta", "flop"],
            "unknown value 'flop' for --tta; did you mean flip? expected none or flip",
        ),
        (["show", "lenet5", "--hand", "x"], "unknown value 'x' for --hand; expected loops, arrays or compiled"),
        (["bench", "latency", "--hand", "x"], "unknown value 'x' for --hand"),
        (["tutorial", "--hand", "x"], "unknown value 'x' for --hand"),
        (["train", "mnist", "--augment", "flp"], "'flp'"),
        (["train", "mnist", "--model", "lenet"], "did you mean 'lenet5'?"),
        (
            ["bench", "--history", "--history-file", "none.jsonl"],
            "there is no benchmark history none.jsonl; `byhand bench",
        ),
    ],
)
def test_an_unknown_value_is_told_as_that(words, complaint, folder):
    done = byhand(*words, folder=folder)
    assert done.code == 2 and complaint in done.complaint and not done.out


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--minuts", "there is no option --minuts; did you mean --minutes? (see byhand train --help)"),
        ("--batch", "there is no option --batch; write --batch-size"),
        ("--imgsz", "there is no option --imgsz; write --image-size"),
        ("--device", "there is no option --device; byhand computes on the CPU: leave it out"),
        ("--frobnicate", "there is no option --frobnicate (see"),
    ],
)
def test_an_unknown_option_is_told_what_to_write(option, complaint, folder):
    done = byhand("train", "mnist", option, "3", folder=folder)
    assert done.code == 2 and complaint in done.complaint


def test_the_options_that_are_suggested_exist():
    known = {name for command in COMMAND_LINE.commands.values() for option in command.params for name in option.opts}
    for here in option_hints.RENAMED.values():
        assert f"--{here}" in known
    assert not {f"--{there}" for there in option_hints.NEEDLESS} & known
