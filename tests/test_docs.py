"""Documentation: code, commands, links and examples are executed and checked."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import byhand as bh
from byhand.cli.app import app
from byhand.data.image_formats import FORMATS
from byhand.translation import translate
from tests.cli.run_cli import small_mnist

ROOT = Path(__file__).parent.parent
CHAPTERS = sorted(path.name for path in (ROOT / "docs" / "zh").glob("*.md"))
TRANSLATED = [("README.md", "README.zh.md"), *((f"docs/{name}", f"docs/zh/{name}") for name in CHAPTERS)]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for pattern in ("*.md", "docs/**/*.md", "src/**/*.md") for path in ROOT.glob(pattern)
)
APP = typer.main.get_command(app)
COMMANDS = {
    name: {"--help", *(option for parameter in command.params for option in parameter.opts)}
    for name, command in APP.commands.items()
}
README_MAX_WORDS = 900  # of prose: code, tables and addresses do not count


def fenced(name):
    """Return (language, code) of every code block of a document."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / name).read_text(), re.DOTALL | re.MULTILINE)


def blocks(name, language):
    """Return the code blocks of a document in one language."""
    return [code for marked, code in fenced(name) if marked == language]


def run(words, folder):
    return subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.mark.parametrize(
    ("name", "code"),
    [
        pytest.param(name, code, id=f"{name}-{i}")
        for name in DOCUMENTS
        if name not in ("CONTRIBUTING.md", "README.zh.md") and not name.startswith("docs/zh/")  # the same code
        for i, code in enumerate(blocks(name, "python"))
    ],
)
def test_python_blocks_run(name, code, tmp_path):
    done = run(["-W", "error", "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr


def printed_in_chinese(line):
    """Return a line of English output as the command prints it in Chinese: its parts whole, else their columns one by one."""
    if re.search("[\u4e00-\u9fff]", line):  # it is in Chinese
        return " ".join(line.split())
    found = []
    for part in re.split(r" {18,}| (?=a step$)", line):
        whole = translate(part)
        found += [whole] if whole != part else map(translate, re.split(r" {2,}", part.strip()))
    return " ".join(" ".join(found).split())


@pytest.mark.parametrize(("english", "chinese"), TRANSLATED)
def test_both_languages_have_the_same_code_pictures_and_sections(monkeypatch, english, chinese):
    monkeypatch.setenv("BYHAND_LANGUAGE", "zh")

    def code(name):
        """Return the blocks without their comments and without the prose of a folder map; output in Chinese."""
        return [
            [line if language else printed_in_chinese(line) for line in re.sub(r"\s*(#|<-).*", "", block).split("\n")]
            for language, block in fenced(name)
            if not re.search(r"^(src/byhand|runs/RUN)/", block)
        ]

    def pictures(name):
        return [
            Path(found).name.replace(".zh.", ".")
            for found in re.findall(r"!\[.*?\]\((\S+?)\)", (ROOT / name).read_text())
        ]

    assert code(english) == code(chinese)
    assert pictures(english) == pictures(chinese)
    first, second = ((ROOT / name).read_text() for name in (english, chinese))
    assert first.count("\n## ") == second.count("\n## ")
    figures = [set(re.findall(r"\d+(?:,\d{3})+|\d+\.\d+", text)) for text in (first, second)]
    assert figures[1] <= figures[0], "the translation states figures that the original lacks"


def test_the_readme_is_short():
    text = re.sub(r"^```.*?^```$", "", (ROOT / "README.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)
    assert len(re.sub(r"\]\([^)]*\)", "", text).split()) <= README_MAX_WORDS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_linked_file_exists(name):
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", (ROOT / name).read_text()):
        assert ((ROOT / name).parent / target).exists(), target


@pytest.mark.parametrize("name", ["docs/architecture.md", "docs/zh/architecture.md"])
def test_the_folder_map_names_every_package(name):
    packages = next(block for block in blocks(name, "") if block.startswith("src/byhand/"))
    for path in (ROOT / "src" / "byhand").iterdir():
        if path.is_dir() and path.name != "__pycache__":
            assert f"  {path.name}/" in packages


@pytest.mark.parametrize("name", ["SECURITY.md", "docs/training.md", "docs/zh/training.md"])
def test_a_document_lists_the_image_formats(name):
    lines = (ROOT / name).read_text().upper().replace("JPEG 2000", "JPEG2000").splitlines()
    line = next(line for line in lines if "AVIF" in line)
    assert [word for word in re.findall(r"[A-Z0-9]+", line) if word in FORMATS] == list(FORMATS)


@pytest.mark.parametrize("name", ["docs/commands.md", "docs/zh/commands.md"])
def test_every_environment_variable_is_documented(name):
    text = (ROOT / name).read_text()
    for path in (ROOT / "src").rglob("*.py"):
        for variable in re.findall(r'environ(?:\.get\(|\[)"(BYHAND_\w+)"', path.read_text()):
            assert f"| `{variable}` |" in text, f"{path} reads {variable}"


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_an_example_runs_and_is_short(path, tmp_path):
    assert path.read_text().count("\n") < (110 if path.name == "gemm_ladder.py" else 60)  # that one holds five programs
    done = run(["-W", "error", path], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_changelog_speaks_of_this_version():
    assert f"## {bh.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", ["README.md", *(f"docs/{name}" for name in CHAPTERS)])
def test_documented_commands_and_options_exist(name):
    """Every `byhand COMMAND --option` of a document is known to the command line."""
    text = "\n".join(line.split("#")[0] for line in (ROOT / name).read_text().splitlines())
    for command, rest in re.findall(r"byhand ([a-z]+)((?: +[^\s`|]+)*)", text):
        if command not in COMMANDS:
            assert not rest.strip().startswith("-"), f"byhand {command} is no command"
            continue
        for option in re.findall(r"(?<=\s)--[a-z0-9-]+", rest):
            assert option in COMMANDS[command], f"byhand {command} has no option {option}"


def masked(text):
    """Return what a command printed with its figures hidden, and without what only slow machines print."""
    lines = [re.sub(r"[\d.,:]+", "#", line) for line in text.strip().splitlines() if not line.startswith("about ")]
    lines = [re.sub(r"  (# min )?# s left$", "", line) for line in lines]
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
        "--output",
        "runs/lenet5-mnist",
        "--lr",
        "0.05",
        "--optimizer",
        "sgd",  # as for mnist itself
        "--reader",
        "digit",
    ]
    lines = run(["-m", "byhand", *command], tmp_path).stdout.splitlines(keepends=True)
    printed = "".join(line for line in lines if not line.startswith("  IDX files"))  # a note that mnist itself has not
    train = next(block for block in blocks("README.md", "") if "lenet5 on mnist" in block)
    predict = next(block for block in blocks("README.md", "") if block.startswith("$ byhand predict"))
    train = train[train.index("lenet5 on mnist") :]  # before it, what make says of the installation
    assert masked(printed.replace("0.05", "0.1")) == masked(train)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    pictures = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "examples" / "digits").glob("*.jpg"))
    printed = run(["-m", "byhand", "predict", "runs/lenet5-mnist", *pictures], tmp_path).stdout
    read = [line.split()[:2] for line in printed.splitlines()[1:]]
    assert read == [[picture, Path(picture).stem] for picture in pictures]
    assert masked(printed)[1:] == masked(predict)[2:]
