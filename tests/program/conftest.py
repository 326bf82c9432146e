"""A cache folder per test, for generated programs."""

import pytest

from tests.program.folders import own_folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Return the folder that the test's programs lie in."""
    own_folder(monkeypatch, tmp_path / "cache")
    return tmp_path / "cache" / "programs"
