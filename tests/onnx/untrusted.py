"""Helpers for tests of untrusted models: small models, and assertions that one is refused or runs."""

import re

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node as node

from byhand.errors import FileError
from byhand.onnx import backend, load
from tests.memory import peak_below
from tests.onnx.small_models import make_model, random_array, write_model

MAX_BYTES = 1_500_000  # of memory that reading a small file may take
X = random_array(1, 3, 8, 8)


def assert_refused(model, tmp_path, says="", error=FileError, runs=False):
    """Assert that loading a model fails with one line that matches `says`; runs: running it in the backend too."""
    path = tmp_path / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    with pytest.raises(error) as found, peak_below(MAX_BYTES):
        load(path)
    line = str(found.value)
    assert line.startswith(str(path)), line
    assert line.isprintable(), line
    assert re.search(says, line), line
    assert len(line) < 1000
    if runs:
        with pytest.raises(error, match=says or None) as found, peak_below(MAX_BYTES):
            backend.prepare(model).run([X])
        assert str(found.value).isprintable()
    return line


def one_node_model(kind, *more, outputs=("y",), opset=18, initializers=(), **attributes):
    """Return a model of one node whose first input is the image."""
    return make_model(
        [node(kind, ["x", *more], list(outputs), name="n", **attributes)], initializers, (1, 3, 8, 8), opset
    )


def model_adding_constant(nodes, initializers=(), opset=18):
    """Return a model that adds to the image the constant "k", which its nodes compute."""
    nodes = [*nodes, node("Add", ["x", "k"], ["y"])]
    return make_model(nodes, initializers, (1, 3, 8, 8), opset)


def stored_tensor(name, shape, kind=TensorProto.FLOAT, raw=b""):
    """Return a tensor of the file, whose fields may contradict each other."""
    return TensorProto(name=name, dims=shape, data_type=kind, raw_data=raw)


def model_with_initializer(tensor):
    """Return a model that adds an initializer "k" to the image."""
    model = model_adding_constant([])
    model.graph.initializer.append(tensor)
    return model


def int64_array(*values):
    return np.array(values, np.int64)


def assert_runs_or_refuses(model, tmp_path):
    """Assert that a model is refused with a FileError, or loads and runs, in the backend too."""
    path = write_model(model, tmp_path)
    try:
        loaded = load(path)
    except FileError as error:
        assert str(error).isprintable()
        return
    for hand in ("arrays", "compiled"):
        ours = loaded.predict(X.transpose(0, 2, 3, 1), hand=hand)
        (theirs,) = backend.prepare(model, hand=hand).run([X])
        assert ours.size == theirs.size
