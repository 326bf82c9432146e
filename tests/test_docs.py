"""What the READMEs, CONTRIBUTING and the examples say is what happens: their code is run here."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import byhand as bh
from byhand.ops.activation import smooth
from byhand.ops.op import REGISTRY
from tests.cli.typed import small_mnist
from tests.ops.draw import Seeded
from tests.ops.test_conformance import check, typed

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh.md")


def blocks(name, language):
    """Return the code blocks of a document."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / name).read_text(), re.DOTALL | re.MULTILINE)
    return [code for marked, code in fenced if marked == language]


def run(words, folder):
    return subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("name", READMES)
def test_the_readmes_python_runs_as_it_stands(name, tmp_path):
    code = blocks(name, "python")
    assert len(code) >= 3
    for block in code:
        done = run(["-W", "error", "-c", block], tmp_path)
        assert done.returncode == 0, done.stderr


def test_both_readmes_have_the_same_code_pictures_and_links():
    english, chinese = ((ROOT / name).read_text() for name in READMES)

    def code(text):
        """The blocks without their comments, which each language has in its own words."""
        return [
            re.sub(r"\s*(#|<-).*", "", block)
            for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        ]

    assert len(code(english)) == len(code(chinese))
    for ours, theirs in list(zip(code(english), code(chinese)))[:-1]:  # the last, the map of the folders, is prose
        assert ours == theirs
    pictures = [re.findall(r"\((docs/\S+?)\)", text) for text in (english, chinese)]
    assert pictures[0] == [name.replace(".zh.", ".") for name in pictures[1]] != []
    assert english.count("\n## ") == chinese.count("\n## ")


@pytest.mark.parametrize("name", [*READMES, "CONTRIBUTING.md"])
def test_every_file_that_a_document_points_to_is_there(name):
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / name).read_text()):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("name", READMES)
def test_the_map_of_the_folders_names_every_room(name):
    rooms = next(block for block in blocks(name, "") if block.startswith("src/byhand/"))
    for path in (ROOT / "src" / "byhand").iterdir():
        if path.is_dir() and path.name != "__pycache__":
            assert f"  {path.name}/" in rooms


def test_the_op_that_contributing_adds_passes_the_conformance_test():
    source = blocks("CONTRIBUTING.md", "python")[0]
    namespace = dict(vars(smooth))
    try:
        exec(source, namespace)
        op = REGISTRY["log_sigmoid"]
        for seed in range(20):
            values, attributes = op.sample(Seeded(seed))
            check(op, "arrays", typed(op, values, np.float64), attributes)
        assert np.allclose(op([0.0, -1000.0]), [-np.log(2), -1000])
    finally:
        REGISTRY.pop("log_sigmoid", None)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_an_example_runs_and_is_short(path, tmp_path):
    assert path.read_text().count("\n") < (110 if path.name == "gemm_ladder.py" else 60)  # that one holds five programs
    done = run(["-W", "error", path], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_changelog_speaks_of_this_version():
    assert f"## {bh.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_commands_that_the_readme_names_exist():
    done = run(["-m", "byhand", "--help"], ROOT)
    for command in re.findall(r"^byhand (\w+)", "\n".join(blocks("README.md", "")), re.MULTILINE):
        assert f"  {command} " in done.stdout


def masked(text):
    """Return what a command printed with its figures hidden, and without the line that only slow machines print."""
    lines = [re.sub(r"[\d.,:]+", "#", line) for line in text.strip().splitlines() if not line.startswith("about ")]
    return [re.sub(r" {2,}", "  ", line).replace("few", "mnist").rstrip() for line in lines]


def test_the_readmes_blocks_are_what_the_commands_print(tmp_path):
    """On fewer images, so the figures are others; all the words are the same."""
    small_mnist(tmp_path / "few", 6000, 300)
    command = [
        "train",
        "lenet5",
        "few",
        "--augment",
        "none",
        "--epochs",
        "5",
        "--batch-size",
        "64",
        "--out",
        "runs/lenet5-mnist",
        "--lr",
        "0.05",
        "--optimizer",
        "sgd",  # as for mnist itself
    ]
    printed = run(["-m", "byhand", *command], tmp_path).stdout
    train = next(one for one in blocks("README.md", "") if "lenet5 on mnist" in one)
    predict = next(one for one in blocks("README.md", "") if one.startswith("$ byhand predict"))
    train = train[train.index("lenet5 on mnist") :]  # before it, what make says of the installation
    assert masked(printed.replace("0.05", "0.1")) == masked(train)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    pictures = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "examples" / "digits").glob("*.jpg"))
    printed = run(["-m", "byhand", "predict", "runs/lenet5-mnist", *pictures], tmp_path).stdout
    read = [line.split()[:2] for line in printed.splitlines()[1:]]
    assert read == [[picture, Path(picture).stem] for picture in pictures]
    assert masked(printed)[1:] == masked(predict)[2:]
