"""A short run of the fuzzer; `make fuzz` is the long one."""

import random

import pytest

pytest.importorskip("resource", reason="time and memory are bounded by POSIX's means")

from tests.fuzz.driver import fuzz
from tests.fuzz.mutations import mutated, mutated_json


def test_a_mutant_can_be_made_again():
    data = bytes(range(256)) * 4
    first, second = ([mutated(data, random.Random(f"1 {i}")) for i in range(100)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 80
    first, second = ([mutated_json({"a": [1, {"b": 2}]}, random.Random(i)) for i in range(100)] for _ in range(2))
    assert first == second


def test_broken_files_end_in_errors_of_byhands_own():
    seen, findings = fuzz(400, seed=7, jobs=1)
    assert not findings, findings
    assert seen["used"] > 20
    assert seen["refused"] > 200
