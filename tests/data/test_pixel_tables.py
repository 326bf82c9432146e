"""Tables that hold pixels: Kaggle's MNIST and its like."""

import numpy as np
import pytest

from byhand.data import TableOptions, find
from byhand.errors import FileError

SIDE, COUNT = 6, 40
IMAGES = np.zeros((COUNT, SIDE, SIDE), np.uint8)
IMAGES[:, 1:5, 1:5] = np.random.default_rng(0).integers(0, 256, (COUNT, 4, 4))
LABELS = np.arange(COUNT) % 10


def write(path, head="", row="{label},{pixels}", end=""):
    flat = IMAGES.reshape(COUNT, -1)
    rows = [
        row.format(i=i, label=label, pixels=",".join(map(str, pixels)), cell=" ".join(map(str, pixels)))
        for i, (label, pixels) in enumerate(zip(LABELS, flat.tolist()))
    ]
    path.write_text("\n".join([*([head] if head else []), *rows]) + end)
    return path


def names(pattern="pixel{k}"):
    return ",".join(pattern.format(k=k, y=k // SIDE + 1, x=k % SIDE + 1) for k in range(SIDE * SIDE))


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("", "{label},{pixels}"),
        ("", "{pixels},{label}"),
        (f"label,{names()}", "{label},{pixels}"),
        (f'"label",{names("{y}x{x}")}', "{label},{pixels}"),
        (f"{names('px_{k}')},target", "{pixels},{label}.0"),
        (f",{names()},class", "{i},{pixels},{label}"),  # pandas' index
        (f"label,{names('{k}')}", "{label},{pixels}"),
        ("emotion,pixels", "{label},{cell}"),
        ("pixels;label", "{cell};{label}"),
    ],
)
def test_pixels_in_columns(tmp_path, head, row):
    source = find(write(tmp_path / "train.csv", head, row))
    train = source.sets().train
    np.testing.assert_array_equal(train.images[..., 0], IMAGES)
    assert train.labels.tolist() == LABELS.tolist() and train.classes == tuple("0123456789")
    assert "pixels" in source.sets().notes[0] and "6 x 6" in source.sets().notes[0]


def test_splits_of_fer2013(tmp_path):
    path = write(tmp_path / "fer.csv", "emotion,pixels,Usage", "{label},{cell},{i}")
    lines = [line.rsplit(",", 1)[0] for line in path.read_text().splitlines()[1:]]
    usage = ["Training"] * 20 + ["PublicTest"] * 10 + ["PrivateTest"] * 10
    path.write_text("\n".join(["emotion,pixels,Usage", *(f"{line},{word}" for line, word in zip(lines, usage))]))
    assert {part: len(dataset) for part, dataset in find(path).sets().parts.items()} == {
        "train": 20,
        "val": 10,
        "test": 10,
    }


def test_the_column_of_labels_may_be_given(tmp_path):
    path = write(tmp_path / "a.csv", f"{names()},one,two", "{pixels},0,{label}")
    with pytest.raises(FileError, match=r"several columns may hold the labels: its header is .*--label-column"):
        find(path)
    train = find(path, table=TableOptions(label_column="two")).sets().train
    assert train.labels.tolist() == LABELS.tolist() and train.shape == (SIDE, SIDE, 1)


@pytest.mark.parametrize(
    ("head", "row", "end", "message"),
    [
        (names(), "{pixels}", "", r"no column of labels is beside the pixels: its header is pixel0, .*--label-column"),
        (f"label,{names()},pixel36", "{label},{pixels},0", "", "37 pixels an image make no square"),
        (f"label,{names()}", "{label},{pixels}", "\n3,1,2", "row 42 has 3 cells; expected 37"),
        (f"label,{names()}", "{label},{pixels}", "\n3" + ",x" * 36, "row 42 holds a cell that is no number"),
    ],
)
def test_other_tables_of_pixels_are_refused(tmp_path, head, row, end, message):
    with pytest.raises(FileError, match=message) as caught:
        find(write(tmp_path / "a.csv", head, row, end))
    assert "\n" not in str(caught.value)
