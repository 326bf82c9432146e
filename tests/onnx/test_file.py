"""Large numbers stay in the file: what is read is the same, and little memory is asked for."""

import numpy as np
import onnx
import pytest

from byhand.onnx import file
from tests.onnx.make import array, graph, write


def model(*sizes, dtype=np.float32):
    return graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        {f"w{i}": array(*size, dtype=dtype) for i, size in enumerate(sizes)},
    )


def test_the_message_is_the_same_but_for_the_large_numbers(tmp_path):
    whole = model((3,), (40, 50), (2, 2), (64, 3, 7, 7), dtype=np.float64)
    slim, large = file.read(write(whole, tmp_path))
    assert sorted(large.places) == [1, 3]
    for i, (ours, theirs) in enumerate(zip(slim.graph.initializer, whole.graph.initializer, strict=True)):
        expected = onnx.numpy_helper.to_array(theirs)
        got = large.array(i, ours)
        assert (got is None) == (expected.nbytes < file.LARGE)
        if got is not None:
            np.testing.assert_array_equal(got, expected)
            ours.raw_data = got.tobytes()
    assert slim == whole


def test_numbers_are_still_there_after_they_were_let_go(tmp_path):
    whole = model((100, 100))
    slim, large = file.read(write(whole, tmp_path))
    mine = large.array(0, slim.graph.initializer[0])
    before = mine.copy()
    large.let_go()
    np.testing.assert_array_equal(mine, before)


@pytest.mark.parametrize(
    ("dims", "kind"), [((100, 99), 1), ((-1, 100), 1), ((100, 100), 11), ((2**40, 2**40), 1), ((100, 100), 8)]
)
def test_a_shape_that_does_not_fit_is_refused(dims, kind, tmp_path):
    whole = model((100, 100))
    whole.graph.initializer[0].dims[:], whole.graph.initializer[0].data_type = dims, kind
    slim, large = file.read(write(whole, tmp_path))
    with pytest.raises(file.FileError, match="but holds 40,000 bytes"):
        large.array(0, slim.graph.initializer[0])


def test_what_is_cut_short_is_the_parsers_to_refuse(tmp_path):
    whole = model((40, 50), (3,)).SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        try:
            theirs = onnx.ModelProto.FromString(whole[:length])
        except file.DECODE as error:
            with pytest.raises(type(error)):
                file.read(path)
        else:
            assert file.read(path)[0] == theirs


def test_two_graphs_in_one_message_are_one(tmp_path):
    """Protocol Buffers merges a message that is told twice."""
    one, other = model((40, 50)), model((3,), (60, 70))
    (tmp_path / "two.onnx").write_bytes(one.SerializeToString() + other.SerializeToString())
    slim, large = file.read(tmp_path / "two.onnx")
    assert [tuple(one.dims) for one in slim.graph.initializer] == [(40, 50), (3,), (60, 70)]
    np.testing.assert_array_equal(large.array(2, slim.graph.initializer[2]), array(60, 70))
