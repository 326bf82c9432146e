"""The tables of readers and writers: complete, and open to a new operator by one decorated function."""

import numpy as np
import pytest
from onnx.helper import make_node

from byhand.errors import UnsupportedError
from byhand.onnx import load
from byhand.onnx.readers import READERS
from byhand.onnx.registry import reader
from byhand.onnx.writers import NOT_WRITTEN, WRITERS
from byhand.ops import REGISTRY
from tests.onnx.small_models import make_model, random_array, write_model


def test_every_unfused_op_has_a_writer_or_a_reason():
    unfused = {name for name, op in REGISTRY.items() if ".fused." not in op.contract.__module__}
    assert unfused == set(WRITERS) | set(NOT_WRITTEN)
    assert not set(WRITERS) & set(NOT_WRITTEN)
    assert all(reason for reason in NOT_WRITTEN.values())


def test_a_new_operator_is_one_function(tmp_path, monkeypatch):
    """Soft shrinkage: x - clip(x, -lambd, lambd)."""
    path = write_model(make_model([make_node("Shrink", ["x"], ["y"], bias=0.5, lambd=0.5)]), tmp_path)
    images = random_array(2, 8, 8, 3)
    with pytest.raises(UnsupportedError):  # ONNX defines it by Where, whose condition depends on the image
        load(path)
    monkeypatch.setitem(READERS, "Shrink", None)  # removed again after the test

    @reader("Shrink")
    def read_shrink(node, x):
        bias, limit = node.attribute("bias", 0.0), node.attribute("lambd", 0.5)
        if bias != limit:
            raise node.unsupported(f"its bias is {bias}; byhand reads it where it equals lambd, {limit}")
        return node.binary("subtract", x, node.elementwise("clip", x, low=-limit, high=limit))

    expected = np.sign(images) * np.maximum(np.abs(images) - 0.5, 0)
    np.testing.assert_allclose(load(path).predict(images), expected, atol=1e-6)
