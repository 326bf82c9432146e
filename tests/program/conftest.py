"""Programs are written to a cache folder: here to one of each test's own."""

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Return the folder that the test's programs lie in."""
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "programs"
