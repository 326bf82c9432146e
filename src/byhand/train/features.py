"""Features: what the frozen part of a network makes of each image, computed once and kept in the cache folder."""

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

MOST_BYTES = 1 << 30  # that are kept


def features_of(below: Model, images: Dataset, digest: str) -> Dataset:
    """Return the data set of a network's output for each image, (N, H, W, C) float32; (N, C) becomes (N, 1, 1, C).

    below: a network that does not learn, of `split_frozen`; digest: of the images, so that the same ones are known again.

    >>> import byhand as bh
    >>> from byhand.nn.split_frozen import split_frozen
    >>> backbone, learner = split_frozen(bh.models.create("lenet5").replace_head(3))
    >>> features_of(backbone, bh.data.load("mnist")[1].take(20), "the first 20").shape
    (1, 1, 84)
    """
    path = cache_folder("features") / f"{_key(below, digest)}.safetensors"
    values = _kept(path)
    if values is None or len(values) != len(images):
        values = below.logits_of(images.images).astype(np.float32, copy=False)
        if values.nbytes <= MOST_BYTES:
            try:
                write_whole(path, save({"features": np.ascontiguousarray(values)}))
            except FileError:  # a full disk costs the time, not the training
                path.unlink(missing_ok=True)
    shape = values.shape if values.ndim == 4 else (len(values), 1, 1, values[0].size)
    return Dataset(values.reshape(shape), images.labels, images.classes, images.name, images.files)


def _key(below: Model, digest: str) -> str:
    """Return what tells features apart: the network's graph and numbers, and the images."""
    told = hashlib.sha256(digest.encode())
    told.update(
        repr([(node.op.name, node.name, sorted(node.attributes.items())) for node in below.graph.nodes]).encode()
    )
    told.update(repr((below.input_shape, below.mean, below.std, below.crop_pct)).encode())
    for name, array in sorted((below.parameters | vars(below.state)).items()):
        told.update(name.encode())
        told.update(memoryview(np.ascontiguousarray(array)))  # type: ignore[arg-type]
    return told.hexdigest()[:32]


def _kept(path: Path) -> Array | None:
    try:
        return load_file(path)["features"]
    except (OSError, KeyError, SafetensorError):
        return None
