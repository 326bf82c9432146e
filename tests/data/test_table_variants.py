"""Tables whose paths, headers or labels were changed by the program that wrote them."""

import json

import pytest

from tests.data.test_tables import counts, notes, refused, write_images, write_table


@pytest.mark.parametrize(
    ("pattern", "cell", "told"),
    [
        ("images/a {i}.png", "images/a%20{i}.png", "images/a%200.png is taken for images/a 0.png"),
        ("a%20{i}.png", "a%20{i}.png", ""),
        ("{name}_{i}.png", "https://host/x/{name}_{i}.png?raw=1", "?raw=1 is taken for"),
        ("train/{i:05d}.png", "{i}", "0 is taken for 00000"),  # pandas read numbers
        ("train/{i:05d}.png", "{i}.0", "0.0 is taken for 00000"),
        ("train/{i}.png", "{i}.0", "0.0 is taken for 0"),
        ("train/{i}.png", "{i}.jpeg", "0.jpeg is taken for 0"),  # saved in another format
        ("{i}.jpg.png", "{i}", ""),
    ],
)
@pytest.mark.parametrize("given", [None, "id"])
def test_paths_as_other_programs_spell_them(tmp_path, pattern, cell, told, given):
    rows = write_images(tmp_path, pattern)
    lines = [f"{cell.format(i=i, name=name)},{name}" for i, (_, name) in enumerate(rows)]
    table = write_table(tmp_path / "labels.csv", "id,label", lines)
    assert counts(table, path_column=given) == {"train": 12}
    assert bool(told) == any(told in note for note in notes(table, path_column=given) if "is taken for" in note)


@pytest.mark.parametrize("given", [None, "id"])
def test_one_file_that_is_named_by_chance_does_not_hide_the_others(tmp_path, given):
    rows = write_images(tmp_path, "train/{i:05d}.png")
    (tmp_path / "7.png").write_bytes((tmp_path / rows[0][0]).read_bytes())
    lines = [f"{i},{name}" for i, (_, name) in enumerate(rows)]
    table = write_table(tmp_path / "labels.csv", "id,label", lines)
    assert counts(table, path_column=given) == {"train": 12}


@pytest.mark.parametrize("end", ["", ",", ",,"])
def test_a_delimiter_at_the_end_of_rows_shifts_no_column(tmp_path, end):
    lines = [f"{path},{name},0.5{end}" for path, name in write_images(tmp_path)]
    table = write_table(tmp_path / "labels.csv", "file,label,score", lines)
    assert counts(table) == {"train": 12} and "'label' the classes" in notes(table)[0]


def test_columns_of_one_name_are_told_apart_by_their_number(tmp_path):
    rows = write_images(tmp_path)
    same = write_table(tmp_path / "a.csv", "file,label,label", [f"{path},{name},{name}" for path, name in rows])
    assert "2 ('label') the classes" in notes(same)[0]
    lines = [f"{path},{name},{i % 2}" for i, (path, name) in enumerate(rows)]
    other = write_table(tmp_path / "b.csv", "file,label,label", lines)
    refused(other, "2 ('label') and 3 ('label') may hold the labels")
    refused(other, "has 2 columns 'label'; give --label-column a number: 2 or 3", label_column="label")
    assert counts(other, label_column="2") == {"train": 12}


@pytest.mark.parametrize(
    ("head", "values", "expected"),
    [
        ("train", ("True", "False"), {"train": 6, "test": 6}),
        ("val", ("0", "0", "1"), {"train": 8, "val": 4}),
        ("split", ("trainval", "test"), {"train": 6, "test": 6}),
        ("split", ("train", "eval"), {"train": 6, "val": 6}),
        ("划分", ("训练集", "测试集"), {"train": 6, "test": 6}),
        ("fold", ("-1", "0", "1"), {"train": 12}),
    ],
)
def test_splits_by_other_words(tmp_path, head, values, expected):
    rows = write_images(tmp_path)
    lines = [f"{path},{name},{values[i // 2 % len(values)]}" for i, (path, name) in enumerate(rows)]
    assert counts(write_table(tmp_path / "labels.csv", f"file,label,{head}", lines)) == expected


def test_true_and_false_of_a_class_called_train_is_no_split(tmp_path):
    rows = write_images(tmp_path)
    names = ("blue", "green", "red")
    lines = [",".join([path, *(str(int(name == other)) for other in names)]) for path, name in rows]
    table = write_table(tmp_path / "labels.csv", "file,train,car,bus", lines)
    assert "the 1 in 'train', 'car', 'bus' the classes" in notes(table)[0]


def test_letters_of_splits_are_refused(tmp_path):
    lines = [f"{path},{name},{'TV'[i % 2]}" for i, (path, name) in enumerate(write_images(tmp_path))]
    refused(write_table(tmp_path / "labels.csv", "file,label,split", lines), "holds T, V: which is which?")


@pytest.mark.parametrize(
    ("make", "labels"),
    [
        (lambda path, name: {"image": {"path": path, "size": [6, 5]}, "label": name}, None),
        (lambda path, name: {"file_name": path, "labels": [name]}, None),
        (lambda path, name: {"uri": f"gs://b/{path}", "annotation": {"displayName": name}, "meta": {}}, None),
        (lambda path, name: {"file_name": path, "labels": [name, "x"]}, "may each be several"),
    ],
)
def test_json_lines_with_objects_and_lists(tmp_path, make, labels):
    lines = [json.dumps(make(path, name)) for path, name in write_images(tmp_path)]
    table = write_table(tmp_path / "a.jsonl", lines)
    if labels is None:
        assert counts(table) == {"train": 12}
    else:
        assert any(labels in note for note in notes(table))


def test_one_hot_columns_of_one_name_are_refused(tmp_path):
    lines = [f"{path},{int(name == 'red')},{int(name != 'red')}" for path, name in write_images(tmp_path)]
    refused(write_table(tmp_path / "labels.csv", "file,red,red", lines), "would be classes of one name")


@pytest.mark.parametrize("pattern", ["{split}/{i}.png", "data/{split}/{name}/{i}.png"])
def test_splits_by_the_folders_of_the_images(tmp_path, pattern):
    rows = []
    for split, count in (("train", 6), ("valid", 3), ("test", 3)):
        rows += write_images(tmp_path, pattern.replace("{split}", split), count)
    table = write_table(tmp_path / "labels.csv", "path,label", [f"{path},{name}" for path, name in rows])
    assert counts(table) == {"train": 6, "val": 3, "test": 3}
    assert any("splits by the images' folders: " in note for note in notes(table))
    assert counts(table, split_column="none") == {"train": 12}


def test_folders_of_classes_are_no_splits(tmp_path):
    rows = write_images(tmp_path, "{name}/{i}.png") + write_images(tmp_path, "train/{i}.png", 3)
    table = write_table(tmp_path / "labels.csv", "path,label", [f"{path},{name}" for path, name in rows])
    assert counts(table) == {"train": 15}


@pytest.mark.parametrize("head", ["编号,图片,类别,来源", "id,Datei,Klasse,Bemerkung", "id,archivo,clase,notas"])
def test_headers_in_other_languages(tmp_path, head):
    lines = [f"{i},{path},{name},{'xy'[i % 2]}" for i, (path, name) in enumerate(write_images(tmp_path))]
    assert counts(write_table(tmp_path / "labels.csv", head, lines)) == {"train": 12}
