"""Without PyTorch, the modules that import it are left out of the doctests."""

from tests.oracle import TORCH

collect_ignore_glob = [] if TORCH else ["twins/*", "compare.py"]
