"""Project files: make targets, workflow, version and address agree."""

import re
import tomllib
from pathlib import Path

import pytest

import byhand

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CALLERS = [".ci/run", ".github/workflows/tests.yml", ".pre-commit-config.yaml", "docs/release.md", "CONTRIBUTING.md"]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*CALLERS, "README.md", "README.zh.md"])
def test_every_make_target_that_is_named_exists(name):
    targets = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
    named = set(
        re.findall(r"^\s*make ([a-z][a-z-]*)|(?:run:|entry:|`)\s*make ([a-z][a-z-]*)", text(name), re.MULTILINE)
    )
    assert (named := {target for pair in named for target in pair if target}) and named <= targets


def test_every_phony_target_is_a_target_and_help_lists_those_for_people():
    phony = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split())
    assert phony == set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
    assert {line.split(":")[0] for line in MAKEFILE.splitlines() if ":  ## " in line or "  ## " in line} >= {
        "run",
        "test",
        "test-fast",
        "test-long",
        "lint",
        "bench",
        "dist",
        "clean",
        "help",
    }


def test_the_citation_is_of_this_version():
    assert f"\nversion: {byhand.__version__}\n" in text("CITATION.cff")


def test_the_address_is_that_of_the_package():
    address = PROJECT["urls"]["Repository"]
    for name in ("CITATION.cff", ".github/ISSUE_TEMPLATE/config.yml"):
        found = re.findall(r"https://github\.com/[\w-]+/[\w-]+", text(name))
        assert found and set(found) == {address}, name


def test_the_workflow_tries_every_python_that_is_promised():
    pythons = re.search(r'python: \[("3\.11".*)\]', text(".github/workflows/tests.yml"))[1]
    assert PROJECT["requires-python"] == ">=3.11" and pythons == '"3.11", "3.12", "3.13", "3.14"'
