"""Reductions along axes: sum, mean, maximum, norms."""
