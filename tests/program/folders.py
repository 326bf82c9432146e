"""A cache folder per test that shares compiled kernels with all tests."""

from byhand.files import cache_folder

KERNELS = cache_folder("kernels")


def own_folder(monkeypatch, folder):
    """Let programs be written to this folder."""
    monkeypatch.setenv("BYHAND_CACHE", str(folder))
    monkeypatch.setattr("byhand.kernels.runtime.cache.cache_folder", lambda room: KERNELS)
