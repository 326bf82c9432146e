"""A short run of the fuzzer; `python -m tests.onnx.fuzz 100000` is the long one."""

import random

import pytest

from byhand.onnx import load
from byhand.onnx.readers import READERS
from tests.onnx.mutate import mutant
from tests.onnx.seeds import SEEDS, seeds


def test_the_seeds_use_every_operator_and_load(tmp_path):
    assert READERS.keys() - {node.op_type for model in seeds() for node in model.graph.node} == set()
    for make, model in zip(SEEDS, seeds()):
        (tmp_path / f"{make.__name__}.onnx").write_bytes(model.SerializeToString())
        load(tmp_path / f"{make.__name__}.onnx")


def test_a_mutant_can_be_made_again():
    first, second = ([mutant(random.Random(f"1 {i}")) for i in range(50)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 40


def test_broken_models_end_in_errors_of_byhands_own():
    pytest.importorskip("resource", reason="time and memory are bounded by POSIX's means")
    from tests.onnx.fuzz import fuzz

    seen, findings = fuzz(2000, seed=7, jobs=2)
    assert not findings, findings
    assert seen["ran"] > 200
    assert seen["refused"] > 500
