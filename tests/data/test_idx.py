"""The IDX reader: element types, compression and invalid files."""

import gzip
import math
import os
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from byhand.data import idx
from byhand.errors import ByhandError, FileError
from tests.memory import peak_below

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def header(kind, *shape):
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape)


def encode(array):
    kind = next(kind for kind, dtype in DTYPES.items() if np.dtype(dtype) == array.dtype.newbyteorder(">"))
    return header(kind, *array.shape) + array.astype(DTYPES[kind]).tobytes()


def write(tmp_path, data):
    path = tmp_path / "some-idx"
    path.write_bytes(data)
    return path


GOOD = encode(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@given(
    st.sampled_from(list(DTYPES.values())).flatmap(
        lambda dtype: arrays(np.dtype(dtype).newbyteorder("="), array_shapes(min_side=0, max_dims=5))
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_round_trip(tmp_path, pack, array):
    read = idx.read(write(tmp_path, pack(encode(array))))
    assert read.dtype == array.dtype and read.dtype.isnative
    np.testing.assert_array_equal(read, array)
    parsed, rest = idx.parse(encode(array) + b"tail")
    assert parsed.dtype == array.dtype and bytes(rest) == b"tail"
    np.testing.assert_array_equal(parsed, array)


def test_elements_are_big_endian(tmp_path):
    path = write(tmp_path, bytes([0, 0, 0x0B, 1, 0, 0, 0, 2, 0x01, 0x02, 0xFF, 0xFE]))
    assert idx.read(path).tolist() == [258, -2]


def test_gzip_in_several_members(tmp_path):
    path = write(tmp_path, gzip.compress(GOOD[:9]) + gzip.compress(GOOD[9:]))
    assert idx.read(path).tolist() == np.arange(24).reshape(2, 3, 4).tolist()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no IDX file: it begins with nothing"),
        (b"\0\0\x08", "no IDX file: it begins with 00 00 08"),
        (b"hello world", "no IDX file: it begins with 68 65 6c 6c"),
        (header(0x0A, 3) + b"abc", "there is no element type 0a"),
        (header(0x08) + b"a", "it has 0 axes, expected 1 to 32"),
        (bytes([0, 0, 8, 200]) + bytes(2000), "it has 200 axes, expected 1 to 32"),
        (header(0x08, 3, 3)[:9], "cut short: 9 bytes, but a header of 2 axes takes 12"),
        (GOOD[:-1], "cut short: 39 bytes, but the header promises 2 x 3 x 4, 40 bytes"),
        (GOOD + b"!", "bytes after its data: 41 bytes, but the header promises 2 x 3 x 4, 40 bytes"),
        (header(0x08, 60000, 28, 28), "cut short: 16 bytes, but the header promises 60000 x 28 x 28, 47040016 bytes"),
        (header(0x0E, *[2**32 - 1] * 32), "no file holds the 4294967295 x 4294967295"),
        (header(0x08, 0, *[2**32 - 1] * 3), "no file holds the 0 x 4294967295"),
        (header(0x08, 2**31, 2**31), "cut short: 12 bytes"),
    ],
)
def test_a_wrong_header_is_refused(tmp_path, data, message):
    with pytest.raises(FileError, match=message) as caught:
        idx.read(write(tmp_path, data))
    assert "\n" not in str(caught.value)
    if "after its data" not in message:  # for parse, more bytes are what follows
        with pytest.raises(FileError, match=message):
            idx.parse(data)


BOMB = gzip.compress(header(0x08, 200 << 20) + bytes(200 << 20), 9)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(GOOD)[:-9], "corrupt or cut short .*fetch the file again"),
        (gzip.compress(GOOD)[:5], "corrupt or cut short"),
        (gzip.compress(GOOD)[:-5] + b"\0\0\0\0\0", "corrupt or cut short .*CRC"),
        (b"\x1f\x8bnot gzip at all", "corrupt or cut short"),
        (gzip.compress(GOOD) + b"garbage", "corrupt or cut short"),
        (gzip.compress(b"hello world"), "no IDX file: it begins with 68 65 6c 6c"),
        (gzip.compress(GOOD[:-1]), "cut short: 39 bytes"),
        (gzip.compress(GOOD + b"!"), "bytes after its data: it unpacks to more than 2 x 3 x 4, 40 bytes"),
        (gzip.compress(header(0x08, 4) + bytes(100 << 20)), "unpacks to more than 4, 12 bytes"),
        (gzip.compress(header(0x08, 2**31)), "decompression bomb: .* bytes that promise 2147483656"),
        (BOMB, "looks like a decompression bomb"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # the bytes hold the time
)
def test_a_gzip_bomb_is_refused_in_little_memory(tmp_path, data, message):
    path = write(tmp_path, data)
    with peak_below(8e6), pytest.raises(FileError, match=message) as caught:
        idx.read(path)
    assert "\n" not in str(caught.value)


def test_no_memory_is_allocated_before_the_data_arrive(tmp_path):
    path = write(tmp_path, gzip.compress(header(0x08, 60 << 20) + bytes(30 << 20)))
    with peak_below(8e6), pytest.raises(FileError, match="cut short"):
        idx.read(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_memory_is_the_data_and_little_more(tmp_path, pack):
    path = write(tmp_path, pack(header(0x0C, 5 << 20) + bytes(20 << 20)))
    with peak_below((20 << 20) + 8e6):
        assert idx.read(path).nbytes == 20 << 20


def test_a_path_that_is_no_regular_file_is_refused(tmp_path):
    with pytest.raises(FileError, match="there is no such file; expected an IDX file"):
        idx.read(tmp_path / "nothing")
    with pytest.raises(FileError, match="it is a folder; expected an IDX file"):
        idx.read(tmp_path)
    with pytest.raises(FileError, match="Not a directory"):
        idx.read(write(tmp_path, GOOD) / "below")
    with pytest.raises(FileError, match="null byte"):
        idx.read("a\0b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="it is no regular file"):
        idx.read(tmp_path / "pipe")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(tmp_path):
    path = write(tmp_path, GOOD)
    path.chmod(0)
    with pytest.raises(FileError, match="Permission denied"):
        idx.read(path)


@st.composite
def mutated(draw):
    data = bytearray(draw(st.sampled_from([GOOD, encode(np.zeros((3, 2), np.int32)), encode(np.ones(5))])))
    zipped = draw(st.sampled_from(["plain", "then gzip", "gzip first"]))
    if zipped == "gzip first":
        data = bytearray(gzip.compress(bytes(data)))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    data = data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data
    data += draw(st.binary(max_size=5)) if draw(st.booleans()) else b""
    return gzip.compress(bytes(data)) if zipped == "then gzip" else bytes(data)


@given(mutated())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_mutated_files_give_an_array_or_one_line(tmp_path, data):
    path = write(tmp_path, data)
    with peak_below(len(data) + 64e6):
        try:
            array = idx.read(path)
            plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            assert array.nbytes + 4 + 4 * array.ndim == len(plain)
            assert array.size == math.prod(array.shape)
        except ByhandError as error:
            assert "\n" not in str(error)
