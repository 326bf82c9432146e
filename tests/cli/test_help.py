"""Help texts: options stand in panels, examples parse, lines fit the terminal."""

import ast
import shlex
from pathlib import Path

import pytest
import typer
from typer.main import get_command

import byhand.cli
from byhand.cli.app import app
from byhand.cli.command import COMMANDS, PANELS, registered_commands
from byhand.data.augment.registry import REGISTRY
from byhand.errors import ArgumentError
from tests.cli.run_cli import byhand as run

COMMAND_LINE = get_command(app)
NAMES = [entry.name for entry in registered_commands()]


def parse(words):
    """Parse the words of a command line, without running the command."""
    name, *rest = words
    command = COMMAND_LINE.commands[name]
    return command.make_context(name, list(rest))


def test_every_command_is_registered_and_has_a_file_of_its_name():
    files = {path.stem for path in Path(byhand.cli.__file__).parent.glob("*.py")}
    assert set(COMMANDS) == set(COMMAND_LINE.commands) <= files
    sources = [path.read_text(encoding="utf-8") for path in Path(byhand.cli.__file__).parent.glob("*.py")]
    functions = [node for text in sources for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    decorated = {f.name for f in functions if any("command(" in ast.unparse(d) for d in f.decorator_list)}
    assert decorated == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_stands_in_a_panel(name):
    for parameter in COMMAND_LINE.commands[name].params:
        if parameter.param_type_name == "option" and "--help" not in parameter.opts:
            assert parameter.rich_help_panel, f"byhand {name} {parameter.opts[0]}"


@pytest.mark.parametrize("name", NAMES)
def test_every_help_text_is_a_sentence(name):
    command = COMMAND_LINE.commands[name]
    texts = [command.help, *(parameter.help for parameter in command.params if "--help" not in parameter.opts)]
    for text in texts:
        assert text[0].isupper() or text.startswith("byhand"), text
        assert text.endswith("."), text


@pytest.mark.parametrize("name", NAMES)
def test_every_example_parses(name):
    assert COMMANDS[name].examples
    for example in COMMANDS[name].examples:
        program, *words = shlex.split(example)
        assert (program, words[0]) == ("byhand", name), example
        assert len(example) <= 76, f"too long for 80 columns: {example}"
        parse(words)


def test_an_example_that_does_not_parse_would_be_seen():
    with pytest.raises(Exception, match="No such option"):
        parse(["train", "--frobnicate"])


@pytest.mark.parametrize("words", [[], *([name] for name in NAMES)], ids=str)
def test_the_help_shows_no_python_types(words):
    out = run(*words, "--help").out
    assert not [kind for kind in ("<str>", "<int>", "<float>", "<bool>", "<path>", "<list[", "<Path") if kind in out]


def test_the_help_lists_every_augmentation():
    listed = " ".join(run("train", "--help", COLUMNS="200").out.split())
    assert all(name in listed for name in REGISTRY)


@pytest.mark.parametrize("width", [80, 120])
def test_the_help_fits_the_terminal(width):
    done = run("train", "--help", COLUMNS=str(width))
    assert done.code == 0 and not done.err
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= width
    for title in ("Data", "Model", "Training", "Output"):
        assert any(f"─ {title} ─" in line for line in lines), done.out
    assert "Examples:\n" in "\n".join(line.strip() for line in lines)
    assert "…" not in done.out, "nothing is cut"


def test_the_commands_stand_in_panels():
    out = run("--help").out
    assert [out.index(f"─ {panel} ─") for panel in PANELS] == sorted(out.index(f"─ {panel} ─") for panel in PANELS)
    assert all(f"│ {name} " in out for name in NAMES)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_both_spellings_of_help(option):
    assert run("show", option).out.strip().startswith("Usage: byhand show")


def test_both_spellings_of_the_learning_rate():
    for option in ("--lr", "--learning-rate"):
        assert parse(["train", option, "0.5"]).params["lr"] == 0.5


def test_a_command_names_its_panel():
    with pytest.raises(ArgumentError, match="command: panel is 'Tools'; expected one of Data"):
        byhand.cli.command.command("byhand x", panel="Tools")
    assert isinstance(app, typer.Typer)
