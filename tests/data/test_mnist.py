"""The embedded MNIST: checksums, the cache and read-only arrays."""

import hashlib
import struct

import numpy as np
import pytest

from byhand.data import load, mnist
from byhand.errors import FileError


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A first use: an empty cache folder, nothing kept in the process."""
    monkeypatch.setenv("BYHAND_CACHE", str(tmp_path))
    mnist._arrays.cache_clear()
    mnist.load.cache_clear()
    yield tmp_path
    mnist._arrays.cache_clear()
    mnist.load.cache_clear()


@pytest.mark.parametrize(
    ("array", "shape", "md5"),
    [
        (mnist.train_images, (60000, 28, 28), "6bbc9ace898e44ae57da46a324031adb"),
        (mnist.train_labels, (60000,), "a25bea736e30d166cdddb491f175f624"),
        (mnist.test_images, (10000, 28, 28), "2646ac647ad5339dbf082846283269ea"),
        (mnist.test_labels, (10000,), "27ae3e4e09519cfbb04c329615203637"),
    ],
)
def test_written_as_idx_again_each_array_has_the_published_md5(array, shape, md5):
    array = array()
    assert array.shape == shape and array.dtype == np.uint8
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    assert hashlib.md5(header + array.tobytes()).hexdigest() == md5


def test_label_counts():
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.train_labels()).tolist() == counts
    assert np.bincount(mnist.test_labels()).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_load():
    train, test = load("mnist")
    assert (len(train), len(test)) == (60000, 10000)
    assert train.images.shape == (60000, 28, 28, 1) and train.labels.dtype == np.int64
    assert train.classes == test.classes == tuple("0123456789")
    np.testing.assert_array_equal(test.images[..., 0], mnist.test_images())
    np.testing.assert_array_equal(test.labels, mnist.test_labels())


def test_returned_images_are_read_only():
    train, test = mnist.load()
    for array in (mnist.train_images(), mnist.test_labels(), train.images, train.labels, test.images, test.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    mnist.train_images()[:1000][np.random.default_rng(0).permutation(1000)][0] = 0  # fancy indexing copies


def test_the_cache_is_written_once_and_read_again(empty_cache, monkeypatch):
    first = mnist.train_labels().copy()
    (cached,) = (empty_cache / "data").iterdir()
    assert cached.name == f"mnist-{mnist.SHA256[:16]}.idx" and cached.stat().st_size == mnist.DECOMPRESSED_BYTES
    mnist._arrays.cache_clear()
    monkeypatch.setattr(mnist, "EMBEDDED", empty_cache / "not needed")
    np.testing.assert_array_equal(mnist.train_labels(), first)
    assert mnist.train_images() is mnist.train_images()


@pytest.mark.parametrize("damage", ["cut", "flipped", "a folder"])
def test_a_damaged_cache_is_made_again(empty_cache, damage):
    mnist.train_images()
    (cached,) = (empty_cache / "data").iterdir()
    data = cached.read_bytes()
    if damage == "a folder":
        cached.unlink()
        cached.mkdir()
    else:
        cached.write_bytes(data[:-1] if damage == "cut" else data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    mnist._arrays.cache_clear()
    assert np.bincount(mnist.train_labels())[1] == 6742
    if damage != "a folder":  # which is left alone; the digits come from the package
        assert cached.read_bytes() == data


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-100], lambda data: data[:5000] + b"?" + data[5001:], lambda _: b""]
)
def test_damaged_package_data_are_refused(empty_cache, monkeypatch, damage):
    path = empty_cache / "mnist.idx.xz"
    path.write_bytes(damage(mnist.EMBEDDED.read_bytes()))
    monkeypatch.setattr(mnist, "EMBEDDED", path)
    with pytest.raises(FileError, match="is damaged: it does not unpack to MNIST; install byhand again"):
        mnist.load()
    path.unlink()
    with pytest.raises(FileError, match="there is no such file; expected the MNIST that comes with byhand"):
        mnist.load()
    assert not list((empty_cache / "data").iterdir())


def test_the_license_stands_beside_the_data():
    text = mnist.EMBEDDED.with_name("MNIST-LICENSE.txt").read_text()
    for word in ("Yann LeCun", "Corinna Cortes", "Christopher J. C. Burges", "CC BY-SA 3.0", "npm package"):
        assert word in text
