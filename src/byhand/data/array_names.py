"""Names of the arrays of an .npz: which hold images, which labels, and of which split.

A name is a word for images or labels, with the word of a split before or behind it: x_train, trainX, test_labels, images. The
arrays that `np.savez(path, X, y)` names arr_0 and arr_1 are told by their axes.
"""

import re
from collections.abc import Iterable, Mapping

from byhand.data.split_names import SPLIT_WORDS
from byhand.shapes import Shape

# Without a split, `x` and `images` are training's. The first of two names for one array wins.
IMAGE_WORDS = ("x", "images", "image", "imgs", "img", "pixels", "data", "inputs", "input", "features", "samples")
LABEL_WORDS = ("y", "labels", "label", "targets", "target", "lbl")
SHORT_FORMS = {"train": ("tr", ""), "test": ("te",)}
# The words of folders and tables, and those that only arrays have; a name without one is training's.
ARRAY_WORDS = {split: (*words, *SHORT_FORMS.get(split, ())) for split, words in SPLIT_WORDS.items()}
POSITIONAL = re.compile(r"arr_(\d+)")  # NumPy's own names
POSITIONAL_COUNTS = (2, 4)  # images and labels, of training and of a test
IMAGE_AXES = (3, 4)
LABEL_AXES = (1, 2)


def find_pairs(shapes: Mapping[str, Shape]) -> dict[str, tuple[str, str]]:
    """Return the names of the arrays of images and of labels by split, for those splits that have both.

    >>> find_pairs({"X_train": (9, 8, 8), "trainY": (9,), "X_dev": (3, 8, 8), "y_dev": (3,), "seed": ()})
    {'train': ('X_train', 'trainY'), 'val': ('X_dev', 'y_dev')}
    >>> find_pairs({"arr_0": (9, 8, 8), "arr_1": (9,)})
    {'train': ('arr_0', 'arr_1')}
    """
    if len(shapes) in POSITIONAL_COUNTS and all(map(POSITIONAL.fullmatch, shapes)):
        return _by_axes(shapes)
    plain = {re.sub("[^a-z]", "", name.lower()): name for name in sorted(shapes, reverse=True)}
    found = {}
    for split, words in ARRAY_WORDS.items():
        images, labels = (_first(plain, words, kinds) for kinds in (IMAGE_WORDS, LABEL_WORDS))
        if images and labels:
            found[split] = images, labels
    return found


def _first(plain: Mapping[str, str], splits: Iterable[str], kinds: Iterable[str]) -> str:
    """Return the first array that a word of a split and one for its content name, or ""."""
    spelled = (name for split in splits for kind in kinds for name in (kind + split, split + kind))
    return next((plain[name] for name in spelled if name in plain), "")


def _by_axes(shapes: Mapping[str, Shape]) -> dict[str, tuple[str, str]]:
    """Return the pairs of arrays in the order of their numbers: training comes first."""
    names = sorted(shapes, key=lambda name: int(name.partition("_")[2]))
    images = [name for name in names if len(shapes[name]) in IMAGE_AXES]
    labels = [name for name in names if len(shapes[name]) in LABEL_AXES]
    if len(images) != len(labels) or len(images) + len(labels) != len(names):
        return {}
    return dict(zip(("train", "test"), zip(images, labels)))
