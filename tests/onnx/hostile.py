"""What the tests of strangers' models share: small models, and what is held of one that is refused, or is not."""

import re

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node as node

from byhand.errors import FileError
from byhand.onnx import backend, load
from tests.memory import peak_below
from tests.onnx.make import array, graph, write

MEMORY = 1_500_000  # bytes that reading a small file may take
X = array(1, 3, 8, 8)


def refused(model, tmp_path, says="", error=FileError, runs=False):
    """Hold that a model is refused with one line that says what it must; runs: it is the backend's too."""
    path = tmp_path / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    with pytest.raises(error) as found, peak_below(MEMORY):
        load(path)
    line = str(found.value)
    assert line.startswith(str(path)), line
    assert line.isprintable(), line
    assert re.search(says, line), line
    assert len(line) < 1000
    if runs:
        with pytest.raises(error, match=says or None) as found, peak_below(MEMORY):
            backend.prepare(model).run([X])
        assert str(found.value).isprintable()
    return line


def one(kind, *more, outputs=("y",), opset=18, numbers=(), **attributes):
    """Return a model of one node that takes x."""
    return graph([node(kind, ["x", *more], list(outputs), name="n", **attributes)], numbers, (1, 3, 8, 8), opset)


def fold(nodes, numbers=(), opset=18):
    """Return a model whose nodes make "k", which no image changes, and which is added to x."""
    nodes = [*nodes, node("Add", ["x", "k"], ["y"])]
    return graph(nodes, numbers, (1, 3, 8, 8), opset)


def held(name, shape, kind=TensorProto.FLOAT, raw=b""):
    """Return stored numbers that may be wrong."""
    return TensorProto(name=name, dims=shape, data_type=kind, raw_data=raw)


def with_tensor(tensor):
    """Return a model that adds a stored tensor, k, to x."""
    model = fold([])
    model.graph.initializer.append(tensor)
    return model


def whole(*numbers):
    return np.array(numbers, np.int64)


def runs_or_refuses(model, tmp_path):
    """Hold that what loads also runs, by itself and by the backend, and that else there is an error of byhand's."""
    path = write(model, tmp_path)
    try:
        loaded = load(path)
    except FileError as error:
        assert str(error).isprintable()
        return
    for hand in ("arrays", "compiled"):
        ours = loaded.predict(X.transpose(0, 2, 3, 1), hand=hand)
        (theirs,) = backend.prepare(model, hand=hand).run([X])
        assert ours.size == theirs.size
