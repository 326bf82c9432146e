"""The kernels' README names every file of the package."""

from pathlib import Path

import byhand.kernels

FOLDER = Path(byhand.kernels.__file__).parent


def test_the_readme_names_every_file():
    text = (FOLDER / "README.md").read_text()
    files = [path for path in FOLDER.rglob("*.py") if path.name != "__init__.py"]
    assert len(files) > 25
    assert [path.name for path in files if f"{path.name}`" not in text] == []
