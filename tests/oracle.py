"""PyTorch as an oracle: its version where it is installed, recorded results elsewhere."""

import os
from importlib.metadata import PackageNotFoundError, version

import pytest


def _version():
    try:
        return version("torch").partition("+")[0]
    except PackageNotFoundError:
        return None


TORCH = _version()  # asked of the package's record: importing PyTorch takes seconds
IN_CI = os.environ.get("CI") == "true"
RECORDED = "results recorded from PyTorch (tests/fixtures); PyTorch itself is not installed"

needs_torch = pytest.mark.skipif(TORCH is None, reason=f"compares with PyTorch live; the oracle is {RECORDED}")
