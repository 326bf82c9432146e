"""Programs are written to a cache folder: here to one of each test's own."""

import pytest

from tests.program.folders import own_folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Return the folder that the test's programs lie in."""
    own_folder(monkeypatch, tmp_path / "cache")
    return tmp_path / "cache" / "programs"
