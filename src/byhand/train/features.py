"""Features of a frozen backbone: the network's output for each image, computed once and cached on disk."""

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from byhand.data import Dataset
from byhand.errors import FileError
from byhand.files import cache_folder, write_whole
from byhand.nn import Model
from byhand.ops.op import Array

MAX_CACHED_BYTES = 1 << 30  # larger features are computed again each time


def features_of(backbone: Model, images: Dataset, digest: str) -> Dataset:
    """Return a data set of the backbone's output for each image: (N, H, W, C) float32; (N, C) becomes (N, 1, 1, C).

    backbone: a network that does not learn, the first part of `split_frozen`; digest: of the images, the key of the cache.

    >>> import byhand as bh
    >>> from byhand.nn.split_frozen import split_frozen
    >>> backbone, head = split_frozen(bh.models.create("lenet5").replace_head(3))
    >>> features_of(backbone, bh.data.load("mnist")[1].take(20), "the first 20").shape
    (1, 1, 84)
    """
    path = cache_folder("features") / f"{_cache_key(backbone, digest)}.safetensors"
    features = _cached(path)
    if features is None or len(features) != len(images):
        features = backbone.logits_of(images.images).astype(np.float32, copy=False)
        if features.nbytes <= MAX_CACHED_BYTES:
            try:
                write_whole(path, save({"features": np.ascontiguousarray(features)}))
            except FileError:  # a full disk costs time, not the training
                path.unlink(missing_ok=True)
    shape = features.shape if features.ndim == 4 else (len(features), 1, 1, features[0].size)
    return Dataset(features.reshape(shape), images.labels, images.classes, images.name, images.files)


def _cache_key(backbone: Model, digest: str) -> str:
    """Return a hash of the images and of everything in the network that decides its output."""
    key = hashlib.sha256(digest.encode())
    nodes = [(node.op.name, node.name, sorted(node.attributes.items())) for node in backbone.graph.nodes]
    key.update(repr(nodes).encode())
    key.update(repr((backbone.input_shape, backbone.preprocessing)).encode())
    for name, array in sorted((backbone.parameters | vars(backbone.state)).items()):
        key.update(name.encode())
        key.update(memoryview(np.ascontiguousarray(array)))  # type: ignore[arg-type]
    return key.hexdigest()[:32]


def _cached(path: Path) -> Array | None:
    try:
        return load_file(path)["features"]
    except (OSError, KeyError, SafetensorError):
        return None
