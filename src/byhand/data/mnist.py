"""MNIST: 70,000 handwritten digits of 28x28 pixels, embedded in the package and therefore available offline.

`from byhand.data import mnist` is a drop-in replacement for `import mnist`, the package of that name. The first use
decompresses the embedded file into the cache folder; later uses read it from there and verify its SHA-256.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86(11), 1998. License: MNIST-LICENSE.txt in this folder.
"""

import lzma
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from byhand.data import idx
from byhand.data.dataset import Dataset
from byhand.data.open_file import open_regular_file
from byhand.data.preprocessing import Preprocessing
from byhand.errors import FileError
from byhand.files import cache_folder, write_whole
from byhand.shapes import Array

EMBEDDED = Path(__file__).with_name("mnist.idx.xz")

# Of the four IDX files, concatenated; scripts/make_mnist.py prints both.
DECOMPRESSED_BYTES = 54_950_048
TRAINING_IMAGES = 60_000
TRAINING_IMAGES_SHA256 = "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757"
SHA256 = "b2d8f5bf39174ee5ffeefa97e42d673c35432b411bb5d1f74fbbeddae7f1690a"


def train_images() -> Array:
    """Return the 60,000 training images, (60000, 28, 28) uint8, read-only: paper is 0, ink up to 255.

    >>> train_images()[7, 14, 10:18]
    array([252, 252, 252, 252, 253, 252, 252, 252], dtype=uint8)
    """
    return _arrays()[0]


def train_labels() -> Array:
    """Return the 60,000 training labels, (60000,) uint8, read-only.

    >>> train_labels()[:8]
    array([5, 0, 4, 1, 9, 2, 1, 3], dtype=uint8)
    """
    return _arrays()[1]


def test_images() -> Array:
    """Return the 10,000 test images, (10000, 28, 28) uint8, read-only.

    >>> test_images().shape
    (10000, 28, 28)
    """
    return _arrays()[2]


def test_labels() -> Array:
    """Return the 10,000 test labels, (10000,) uint8, read-only.

    >>> test_labels()[:8]
    array([7, 2, 1, 0, 4, 1, 4, 9], dtype=uint8)
    """
    return _arrays()[3]


@cache
def load() -> tuple[Dataset, Dataset]:
    """Return the training and the test set, images (N, 28, 28, 1), classes "0" to "9".

    >>> load()
    (Dataset 'mnist': 60000 images 28x28x1 uint8, 10 classes, Dataset 'mnist': 10000 images 28x28x1 uint8, 10 classes)
    """
    return _dataset(train_images(), train_labels()), _dataset(test_images(), test_labels())


def _dataset(images: Array, labels: Array) -> Dataset:
    labels = labels.astype(np.int64)
    labels.flags.writeable = False
    return Dataset(images[..., None], labels, tuple("0123456789"), "mnist", preprocessing=Preprocessing("digit", 1.0))


def is_mnist(images: Array) -> bool:
    """Return whether images (N, 28, 28) or (N, 28, 28, 1) are MNIST's training images."""
    if len(images) != TRAINING_IMAGES or images[0].size != 28 * 28 or images.dtype != np.uint8:
        return False
    return sha256(np.ascontiguousarray(images).data).hexdigest() == TRAINING_IMAGES_SHA256


@cache
def _arrays() -> tuple[Array, Array, Array, Array]:
    """Return training images and labels, test images and labels."""
    data = _bytes()
    first, rest = idx.parse(data)
    second, rest = idx.parse(rest)
    third, rest = idx.parse(rest)
    fourth, _ = idx.parse(rest)
    return first, second, third, fourth


def _bytes() -> bytes:
    """Return the four IDX files, from the cache or from the package."""
    cached = cache_folder("data") / f"mnist-{SHA256[:16]}.idx"
    with suppress(OSError):
        if cached.is_file() and cached.stat().st_size == DECOMPRESSED_BYTES:
            data = cached.read_bytes()
            if sha256(data).hexdigest() == SHA256:
                return data
    with open_regular_file(EMBEDDED, "the MNIST that comes with byhand; install byhand again") as file:
        try:
            data = lzma.LZMADecompressor().decompress(file.read(), DECOMPRESSED_BYTES + 1)
        except lzma.LZMAError:
            data = b""
    if sha256(data).hexdigest() != SHA256:
        raise FileError(f"{EMBEDDED} is damaged: it does not unpack to MNIST; install byhand again")
    with suppress(FileError):  # on a full disk, the next start decompresses again, in about a second
        write_whole(cached, data)
    return data
