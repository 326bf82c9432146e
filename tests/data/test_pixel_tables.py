"""Tables that hold pixels: Kaggle's MNIST and its like."""

import numpy as np
import pytest

from byhand.data import TableOptions, find
from byhand.errors import ArgumentError, FileError

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
    places = [(k, k // SIDE, k % SIDE) for k in range(SIDE * SIDE)]
    return ",".join(pattern.format(k=k, y=y + 1, x=x + 1, y0=y, x0=x) for k, y, x in places)


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
        (f"{names('pixel_{y0}_{x0}')},target", "{pixels},{label}"),  # scikit-learn's digits
        (f"0,{names('0.{y}{x}')}", "{label},{pixels}"),  # pandas took a first row for names
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


@pytest.mark.parametrize("row", ["c{label},{pixels}", "{pixels},c{label}"])
def test_names_of_classes_without_a_header(tmp_path, row):
    train = find(write(tmp_path / "train.csv", "", row)).sets().train
    np.testing.assert_array_equal(train.images[..., 0], IMAGES)
    assert train.classes == tuple(f"c{k}" for k in range(10)) and train.labels.tolist() == LABELS.tolist()


def test_a_large_table_that_is_sorted_by_class(tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"{row // 450}," + ",".join(map(str, rng.integers(0, 256, 63))) + ",0" for row in range(900)]
    (tmp_path / "letters.csv").write_text("\n".join(lines))
    train = find(tmp_path / "letters.csv").sets().train
    assert train.classes == ("0", "1") and train.shape == (8, 8, 1) and len(train) == 900


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


def write_split(path, head, cell_of):
    """Write a table whose last cell of row i is cell_of(i)."""
    lines = write(path, f"label,{names()}", "{label},{pixels}").read_text().splitlines()[1:]
    path.write_text(
        "\n".join([f"label,{names()},{head}", *(f"{line},{cell_of(i)}" for i, line in enumerate(lines * 12))])
    )
    return path


def counts(path, **options):
    sets = find(path, table=TableOptions(**options)).sets()
    return {part: len(dataset) for part, dataset in sets.parts.items()}, sets.notes


def test_splits_and_folds_of_whole_columns(tmp_path):
    path = write_split(tmp_path / "a.csv", "usage", lambda i: "train" if i < 420 else "test" if i < 470 else "other")
    found, notes = counts(path)
    assert found == {"train": 420, "test": 50} and any("'other' is no split" in note for note in notes)
    assert counts(path, split_column="none")[0] == {"train": 480}
    path = write_split(tmp_path / "b.csv", "fold", lambda i: i % 4)
    assert counts(path, validation_fold="3")[0] == {"train": 360, "val": 120}
    assert any("--validation-fold 3" in note for note in counts(path)[1])
    for options in ({"split_column": "nosuch"}, {"validation_fold": "7"}):
        with pytest.raises(FileError, match=r"no column 'nosuch'|there is no fold 7"):
            counts(path, **options)
    for options in ({"path_column": "label"}, {"image_folder": tmp_path}):
        with pytest.raises(ArgumentError, match="are for tables of paths"):
            counts(path, **options)
    with pytest.raises(FileError, match="no column of folds: there is no other column"):
        counts(write(tmp_path / "c.csv", f"label,{names()}"), validation_fold="1")


def test_rows_without_a_label_are_told(tmp_path):
    path = write(tmp_path / "a.csv", f"label,{names()}", "{label},{pixels}")
    lines = path.read_text().splitlines()
    lines[1], lines[2] = (label + lines[row][1:] for row, label in ((1, "nan"), (2, "")))
    path.write_text("\n".join(lines))
    found, notes = counts(path)
    assert found == {"train": COUNT - 2} and "rows without a label: 2 of 40, left out" in notes
    path.write_text("\n".join([lines[0], *(line[1:] for line in lines[3:])]))
    with pytest.raises(FileError, match="no row has a label in column 'label'"):
        find(path)


def test_the_progress_of_reading_is_told(tmp_path):
    rows = [f"{row % 2}," + ",".join(["7"] * 16) for row in range(600)]
    (tmp_path / "a.csv").write_text("label," + ",".join(f"pixel{k}" for k in range(16)) + "\n" + "\n".join(rows))
    told = []
    find(tmp_path / "a.csv", lambda *progress: told.append(progress))
    size = (tmp_path / "a.csv").stat().st_size
    assert [done <= size for done, _, _ in told] == [True] * 4
    assert told[0] == (0, size, "reading the table") and told[-1] == (size, size, "reading the table")
