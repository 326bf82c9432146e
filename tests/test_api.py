"""The public API: exported names, their order and docstrings."""

import importlib
import inspect
import pkgutil
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import byhand
from byhand.ops import REGISTRY
from byhand.train.optim import OPTIMIZERS

FOUND = [
    module.name for module in pkgutil.walk_packages(byhand.__path__, "byhand.") if not module.name.endswith("__main__")
]
MODULES = ["byhand", *sorted(FOUND)]
WITH_ALL = [name for name in MODULES if hasattr(importlib.import_module(name), "__all__")]
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def order(name):
    """Ruff's order of `__all__` (RUF022): CONSTANTS, then Classes, then functions, numbers by size."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
    return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def test_the_order():
    names = ["SGD", "Adam", "Conv2d", "Conv10d", "ReLU", "ReLU6", "SiLU", "Sigmoid", "add", "pad"]
    assert sorted(sorted(names), key=order) == names


def test_packages_say_what_they_export():
    packages = {module.name for module in pkgutil.iter_modules(byhand.__path__, "byhand.") if module.ispkg}
    silent = packages - set(WITH_ALL)
    assert silent <= {"byhand.models", "byhand.tutorial"}, silent  # `names` and `create`; the article's own program
    assert "byhand" in WITH_ALL and len(WITH_ALL) > 6


@pytest.mark.parametrize("module", WITH_ALL)
def test_every_exported_name_is_there_once_and_in_order(module):
    room = importlib.import_module(module)
    for name in room.__all__:
        assert hasattr(room, name), f"{module} exports {name}, which it has not"
    assert len(set(room.__all__)) == len(room.__all__)
    registered = {*OPTIMIZERS, *(REGISTRY if module in ("byhand", "byhand.ops") else ())}
    listed = [name for name in room.__all__ if name not in registered]
    assert listed == sorted(listed, key=order)  # optimizers and ops, which registries list, come after these


def test_every_public_name_is_exported():
    """What byhand/__init__.py binds, beside its rooms, is what it exports."""
    bound = {
        name for name, value in vars(byhand).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    rooms = {name for name in byhand.__all__ if isinstance(getattr(byhand, name), ModuleType)}
    assert bound | rooms == set(byhand.__all__) and rooms == {"data", "models", "nn", "optim"}


@pytest.mark.parametrize("module", WITH_ALL)
def test_every_exported_name_has_words(module):
    room = importlib.import_module(module)
    for name in room.__all__:
        value = getattr(room, name)
        if not getattr(value, "__module__", "byhand").startswith("byhand"):
            continue  # another library's, which kernels/runtime/llvm.py passes on
        if inspect.isclass(value) or callable(value) or isinstance(value, ModuleType):
            words = value.__doc__
            assert words and words.strip(), f"{module}.{name} has no docstring"
            assert not inspect.isclass(value) or "__doc__" in vars(value)  # its own, not inherited


@pytest.mark.parametrize("module", MODULES)
def test_every_module_opens_with_a_sentence(module):
    words = importlib.import_module(module).__doc__
    assert words and words.strip() and words[0] != "\n"


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_and_methods_have_words(module):
    room = importlib.import_module(module)
    if module.startswith("byhand.ops.") and module != "byhand.ops.op":
        return  # the hands: their op's contract has the words
    for name, value in vars(room).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module:
            continue
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, f"{module}.{name} has no docstring"
        if inspect.isclass(value):
            for method, function in vars(value).items():
                if not method.startswith("_") and inspect.isfunction(function):
                    assert inspect.getdoc(getattr(value, method)), f"{module}.{name}.{method} has no docstring"


@pytest.mark.parametrize("name", REGISTRY)
def test_every_op_is_exported_and_named_in_its_files_docstring(name):
    op = REGISTRY[name]
    assert getattr(byhand, name) is op and name in byhand.__all__
    module = importlib.import_module(op.contract.__module__)
    assert re.search(rf"\b{name}\b", module.__doc__), f"{module.__name__}'s docstring does not name {name}"
    assert ">>>" in op.__doc__, f"{name} has no example"


def test_layers_refer_to_ops_that_are_there():
    from byhand import nn

    for name in nn.__all__:
        for mentioned in re.findall(r"`bh\.(\w+)`", getattr(nn, name).__doc__ or ""):
            assert mentioned in byhand.__all__, f"nn.{name} refers to bh.{mentioned}"


def test_errors_are_of_one_family():
    tree = byhand.errors.__doc__
    for name, value in vars(byhand.errors).items():
        if inspect.isclass(value) and issubclass(value, Exception):
            assert issubclass(value, byhand.ByhandError) and name in tree and name in byhand.__all__
            assert getattr(byhand, name) is value


def test_the_version_is_that_of_the_package():
    assert byhand.__version__ == tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["version"]
