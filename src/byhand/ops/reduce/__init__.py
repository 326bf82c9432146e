"""Reductions along axes: reduce.py the ops, map_reduce.py how their hands are made."""
