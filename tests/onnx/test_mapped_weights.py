"""Memory-mapped weights: the same message and arrays as protobuf's."""

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError

from byhand.errors import FileError
from byhand.onnx.mapped_weights import MIN_MAPPED_BYTES, read_model
from tests.onnx.small_models import make_model, random_array, write_model


def model(*sizes, dtype=np.float32):
    return make_model(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        {f"w{i}": random_array(*size, dtype=dtype) for i, size in enumerate(sizes)},
    )


def test_the_message_is_the_same_but_for_large_weights(tmp_path):
    whole = model((3,), (40, 50), (2, 2), (64, 3, 7, 7), dtype=np.float64)
    message, weights = read_model(write_model(whole, tmp_path))
    assert sorted(weights.spans) == [1, 3]
    for i, (ours, theirs) in enumerate(zip(message.graph.initializer, whole.graph.initializer, strict=True)):
        expected = onnx.numpy_helper.to_array(theirs)
        got = weights.array(i, ours)
        assert (got is None) == (expected.nbytes < MIN_MAPPED_BYTES)
        if got is not None:
            np.testing.assert_array_equal(got, expected)
            ours.raw_data = got.tobytes()
    assert message == whole


def test_released_pages_are_read_again(tmp_path):
    whole = model((100, 100))
    message, weights = read_model(write_model(whole, tmp_path))
    mine = weights.array(0, message.graph.initializer[0])
    before = mine.copy()
    weights.release_pages()
    np.testing.assert_array_equal(mine, before)


@pytest.mark.parametrize(
    ("dims", "kind"), [((100, 99), 1), ((-1, 100), 1), ((100, 100), 11), ((2**40, 2**40), 1), ((100, 100), 8)]
)
def test_a_shape_that_does_not_fit_is_refused(dims, kind, tmp_path):
    whole = model((100, 100))
    whole.graph.initializer[0].dims[:], whole.graph.initializer[0].data_type = dims, kind
    message, weights = read_model(write_model(whole, tmp_path))
    with pytest.raises(FileError, match="but holds 40,000 bytes"):
        weights.array(0, message.graph.initializer[0])


def test_a_truncated_file_is_left_to_the_parser(tmp_path):
    whole = model((40, 50), (3,)).SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        try:
            theirs = onnx.ModelProto.FromString(whole[:length])
        except DecodeError as error:
            with pytest.raises(type(error)):
                read_model(path)
        else:
            assert read_model(path)[0] == theirs


def test_two_graphs_in_one_message_are_merged(tmp_path):
    """Protocol Buffers merges repeated messages."""
    first, second = model((40, 50)), model((3,), (60, 70))
    (tmp_path / "two.onnx").write_bytes(first.SerializeToString() + second.SerializeToString())
    message, weights = read_model(tmp_path / "two.onnx")
    assert [tuple(tensor.dims) for tensor in message.graph.initializer] == [(40, 50), (3,), (60, 70)]
    np.testing.assert_array_equal(weights.array(2, message.graph.initializer[2]), random_array(60, 70))
