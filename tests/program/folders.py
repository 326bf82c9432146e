"""A cache folder of a test's own, but for the machine code: what takes seconds to build is what all tests share."""

from byhand.files import cache_folder

KERNELS = cache_folder("kernels")


def own_folder(monkeypatch, folder):
    """Let programs be written to this folder."""
    monkeypatch.setenv("BYHAND_CACHE", str(folder))
    monkeypatch.setattr("byhand.kernels.runtime.cache.cache_folder", lambda room: KERNELS)
