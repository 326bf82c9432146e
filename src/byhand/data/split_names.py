"""The words that name a split of a data set: a folder's name, a cell of a table."""

import re
from collections.abc import Sequence

SPLIT_WORDS = {
    "train": ("train", "training", "trn", "trainval", "训练", "训练集"),
    "val": (
        *("val", "valid", "validation", "validate", "dev", "eval", "evaluation", "验证", "验证集"),
        "publictest",  # FER2013's validation images
    ),
    "test": ("test", "testing", "privatetest", "测试", "测试集"),
}
ORDER = ("train", "val", "test")
SPLIT_OF_WORD = {word: split for split, words in SPLIT_WORDS.items() for word in words}


def split_of(text: str) -> str | None:
    """Return the split that a word names, or None.

    >>> split_of("Validation"), split_of("TRAIN"), split_of("test_set"), split_of("holdout"), split_of("5")
    ('val', 'train', 'test', None, None)
    """
    return SPLIT_OF_WORD.get(re.sub(r"[\s_-]*set$", "", text.strip().lower()))


def splits_of(names: Sequence[str]) -> list[str | None]:
    """Return the split that each name of a group names: as a word, or as the only word in which the names differ.

    >>> splits_of(["train", "valid", "raw"])
    ['train', 'val', None]
    >>> splits_of(["seg_train", "seg_test", "seg_pred"]), splits_of(["training_set", "test_set"])
    (['train', 'test', None], ['train', 'test'])
    >>> splits_of(["train", "steam_train", "test_tube"])
    ['train', None, None]
    """
    exact = [split_of(name) for name in names]
    if "train" in exact:
        return exact
    shared: dict[tuple[str, str], dict[int, str]] = {}  # by what stands before and after the word
    for place, name in enumerate(names):
        for match in re.finditer(r"[A-Z]?[a-z]+|[A-Z]+", name):
            if split := split_of(match[0]):
                before, after = name[: match.start()].lower(), name[match.end() :].lower()
                shared.setdefault((before, after), {})[place] = split
    for group in shared.values():
        if "train" in group.values() and len(set(group.values())) > 1:
            return [group.get(place) for place in range(len(names))]
    return exact


def purpose(split: str, name: str) -> str:
    """Return what a file or a folder of a split is for.

    >>> purpose("val", "valid/")
    'valid/ to validate on'
    """
    return {"train": f"{name} to train on", "val": f"{name} to validate on", "test": f"{name} to test on"}[split]
