"""Tables of images as others write them: each is read right, or refused in one line that names the option."""

import json

import pytest

from byhand.data import TableOptions, find
from byhand.errors import ArgumentError, FileError
from tests.data.image_folders import COLORS, labels_match_colors, noisy_image

NAMES = tuple(COLORS)  # blue, green, red
NUMBERS = {name: str(number) for number, name in enumerate(NAMES)}


def write_images(root, pattern="{i}.png", count=12):
    """Write images of the three colors in turn; return (path, class) of each."""
    rows = [(pattern.format(i=i, name=NAMES[i % 3]), NAMES[i % 3]) for i in range(count)]
    for seed, (path, name) in enumerate(rows):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        noisy_image(COLORS[name], (6, 5), seed).save(root / path)
    return rows


def write_table(path, *lines, encoding="utf-8", end="\n"):
    """Write a table; lines: text, or lists of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row for line in lines for row in ([line] if isinstance(line, str) else line)]
    path.write_bytes((end.join(rows) + end).encode(encoding))
    return path


def counts(source, **options):
    """Return the number of images of each split, after checking that every label names what its image shows."""
    sets = find(source, table=TableOptions(**options)).sets()
    assert all(labels_match_colors(dataset) for dataset in sets.parts.values())
    return {split: len(dataset) for split, dataset in sets.parts.items()}


def notes(source, **options):
    return find(source, table=TableOptions(**options)).sets().notes


def refused(source, *words, **options):
    with pytest.raises(FileError) as caught:
        find(source, table=TableOptions(**options)).sets()
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words), message


# the text --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("", "{path},{name}"),
        ("path,label", "{path},{name}"),
        ("Label;Filename", "{name};{path}"),
        ("id\tclass\timage", "7\t{name}\t{path}"),
        ("file|category", "{path}|{name}"),
        ("\ufefffile,category", '"{path}","{name}"'),
        ("file, label", '{path}, "{name}"'),
        ("sep=;\nfile;label", "{path};{name}"),
        ("# made by a tool\n# in 2020\n\nfile,label", "{path},{name}"),
        ("# 12 images\nfile,label", "{path},{name}"),
        ("#file\tlabel", "{path}\t{name}"),
        ("", "{path} {name}"),
        ("", "{name}   {path}"),
        ("", "{i} {path} {name}"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_headers_and_line_ends(tmp_path, head, row, end):
    rows = [row.format(i=i, path=path, name=name) for i, (path, name) in enumerate(write_images(tmp_path))]
    table = write_table(tmp_path / "labels.csv", head.replace("\n", end), rows, end=end)
    assert counts(table) == {"train": 12} and find(table).bad == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings(tmp_path, encoding):
    rows = [f"{path},{name}" for path, name in write_images(tmp_path, "größe{i}.png")]
    table = write_table(tmp_path / "labels.csv", "file,label", rows, encoding=encoding)
    assert counts(table) == {"train": 12}
    assert any("read as Windows-1252" in note for note in notes(table)) == (encoding == "cp1252")


def test_a_chinese_table_of_windows(tmp_path):
    rows = [f"{path},{name}" for path, name in write_images(tmp_path, "图片{i}.png")]
    assert counts(write_table(tmp_path / "labels.csv", "文件,类别", rows, encoding="gbk")) == {"train": 12}


def test_names_with_spaces_in_a_list(tmp_path):
    rows = write_images(tmp_path, "my photo {i}.png")
    assert counts(write_table(tmp_path / "a.txt", [f"{path} {name}" for path, name in rows])) == {"train": 12}
    assert counts(write_table(tmp_path / "b.txt", [f"{name} {path}" for path, name in rows])) == {"train": 12}


def test_quotes(tmp_path):
    rows = write_images(tmp_path)
    quoted = [f'"{path}","{name}, ""nice"""' for path, name in rows]
    classes = find(write_table(tmp_path / "a.csv", "file,label", quoted)).sets().train.classes
    assert classes == ('blue, "nice"', 'green, "nice"', 'red, "nice"')
    table = write_table(tmp_path / "b.csv", "file,label", [f'{path},"{name}" one' for path, name in rows])
    assert any("quotes that do not close: taken as letters" in note for note in notes(table))


def test_rows_with_too_many_cells_are_told(tmp_path):
    rows = [f"{path},{name}{', dark' * (i < 2)}" for i, (path, name) in enumerate(write_images(tmp_path))]
    found = find(write_table(tmp_path / "labels.csv", "file,label", rows))
    assert ("labels.csv, line 2", "has 3 cells; expected 2, as in the others") in found.bad
    assert len(found.sets().train) == 10


def test_json_lines(tmp_path):
    rows = [json.dumps({"file_name": path, "label": name, "box": [1]}) for path, name in write_images(tmp_path)]
    assert counts(write_table(tmp_path / "metadata.jsonl", rows)) == {"train": 12}
    refused(write_table(tmp_path / "bad.jsonl", rows, "{"), "line 13 is no JSON object")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.xlsx", "a.parquet", "a.json"])
def test_archives_and_other_tables_are_told(tmp_path, name):
    (tmp_path / name).touch()
    refused(tmp_path / name, "unpack it first" if name[2] in "zt" else "save it as .csv")


@pytest.mark.parametrize(
    "text", [b"", b"path,label\n", b"path\n1.png\n", b"a\0b", b"\xff\xfe", b"\x81\x8d\x8f", b'a,"b\n']
)
def test_no_table_is_refused(tmp_path, text):
    (tmp_path / "labels.csv").write_bytes(text)
    refused(tmp_path / "labels.csv", "labels.csv", "UTF-8" if text in (b"a\0b", b"\x81\x8d\x8f") else "expected")


# paths -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        "images\\{i}.png",
        ".\\images\\{i}.png",
        "./images/{i}.png",
        "images//{i}.png",
        "{i}.png",
        "{i}",
        "IMAGES/{i}.PNG",
        "C:\\Users\\Ana\\set\\images\\{i}.png",
        "/home/ana/set/images/{i}.png",
        "file:///home/ana/images/{i}.png",
        "gs://bucket/set/images/{i}.png",
        "https://host.example/set/images/{i}.png",
        "../elsewhere/images/{i}.png",
    ],
)
def test_paths_of_other_machines(tmp_path, pattern):
    rows = [f"{pattern.format(i=i)},{name}" for i, (_, name) in enumerate(write_images(tmp_path, "images/{i}.png"))]
    assert counts(write_table(tmp_path / "labels.csv", "image,class", rows)) == {"train": 12}


def test_absolute_paths_below_the_table(tmp_path):
    rows = [f"{tmp_path}/{path},{name}" for path, name in write_images(tmp_path)]
    assert counts(write_table(tmp_path / "labels.csv", rows)) == {"train": 12}


def test_a_missing_file_is_not_looked_for_elsewhere(tmp_path):
    rows = write_images(tmp_path, "train/{name}/{i}.png")
    write_images(tmp_path, "test/{name}/{i}.png")
    (tmp_path / "train" / "red" / "2.png").unlink()
    for start in ("", "/home/ana/"):
        table = write_table(tmp_path / "labels.csv", [f"{start}{path},{name}" for path, name in rows])
        found = find(table)
        assert len(found.sets().train) == 11 and found.bad == [(f"{start}train/red/2.png", "there is no such file")]
        assert any("1 row of 12 names no file that is there: left out: " in note for note in notes(table))


def test_two_files_of_one_name(tmp_path):
    rows = [f"{path},{name}" for path, name in write_images(tmp_path / "train")]
    write_images(tmp_path / "test", count=6)
    table = write_table(tmp_path / "labels.csv", "id,label", rows)
    refused(table, "'0.png' may be test/0.png or train/0.png", "--image-folder")
    assert counts(table, image_folder=tmp_path / "train") == {"train": 12}
    assert counts(write_table(tmp_path / "train.csv", "id,label", rows)) == {"train": 12}  # the table of train/


def test_the_class_or_the_split_may_be_the_folder(tmp_path):
    for split in ("train", "test"):
        write_images(tmp_path / split, "{name}/{i}.png")
    rows = [f"{i}.png,{NAMES[i % 3]},{split}" for split in ("train", "test") for i in range(12)]
    assert counts(write_table(tmp_path / "labels.csv", "file,label,split", rows)) == {"train": 12, "test": 12}


def test_images_in_two_folders(tmp_path):
    rows = write_images(tmp_path / "part_1", "a{i}.jpg") + write_images(tmp_path / "part_2", "b{i}.jpg")
    table = write_table(tmp_path / "t.csv", "image_id,label", [f"{path[:-4]},{name}" for path, name in rows])
    assert counts(table) == {"train": 24}


def test_paths_do_not_lead_out_of_the_folder(tmp_path):
    rows = write_images(tmp_path / "elsewhere")
    table = write_table(tmp_path / "in" / "t.csv", [f"../elsewhere/{path},{name}" for path, name in rows])
    refused(table, "the first, ../elsewhere/0.png, leads out of", "--image-folder")
    assert counts(table, image_folder=tmp_path) == {"train": 12}
    write_images(tmp_path / "in")
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "elsewhere" / "0.png")
    table = write_table(tmp_path / "in" / "u.csv", "link.png,blue", [f"{path},{name}" for path, name in rows])
    (reason,) = [reason for name, reason in find(table).bad if name == "link.png"]
    assert "leads out of" in reason


# columns ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "row"),
    [
        (",test_samples,test_labels", "{i},{path},{name}"),  # pandas' index, headings of one's own
        ("Unnamed: 0,img,target", "{i},{path},{name}"),
        ("path,label", "{i},{path},{name}"),  # R's names of rows
        ("id_code,diagnosis", "{stem},{name}"),
        ("id,breed", "{stem},{name}"),
        ("image_id,label", "{path},{name}"),
        ("Filename,Width,Height,Roi.X1,Roi.Y1,ClassId", "{path},29,30,5,6,{name}"),
        ("Width,ClassId,Path", "27,{name},{path}"),
        ("filename,width,height,class,xmin,ymin", "{path},12,10,{name},1,2"),
        ("filename,class_id,class_name", "{path},{number},{name}"),
        ("image,mask,label", "{path},masks/{path},{name}"),
        ("name,what", "{path},{name}"),
        ("image,part", "{path},{name}"),  # of a car; no words of splits
        ("file,fold,kind", "{path},{number},{name}"),
        ("file,is_valid,kind", "{path},0,{name}"),
        ("label,id", "{name},{stem}"),
    ],
)
def test_columns_are_recognized(tmp_path, head, row):
    images = write_images(tmp_path)
    rows = [
        row.format(i=i, path=path, stem=path[:-4], name=name, number=NUMBERS[name])
        for i, (path, name) in enumerate(images)
    ]
    assert counts(write_table(tmp_path / "labels.csv", head, rows)) == {"train": 12}


def test_values_decide_between_paths_and_numbers(tmp_path):
    images = write_images(tmp_path)  # 0.png is a file, and 0 is a label
    for head, row in (("id,label", "{stem},{number}"), ("label,id", "{number},{stem}")):
        rows = [row.format(stem=path[:-4], number=NUMBERS[name]) for path, name in images]
        train = find(write_table(tmp_path / "labels.csv", head, rows)).sets().train
        assert train.classes == ("0", "1", "2")
        assert [NAMES[label] for label in train.labels] == [name for _, name in images]


def test_the_first_note_says_how_the_table_was_understood(tmp_path):
    rows = [f"{path},{name},{i % 2},x" for i, (path, name) in enumerate(write_images(tmp_path))]
    told = notes(write_table(tmp_path / "labels.csv", "file,label,is_valid,source", rows))[0]
    assert told == (
        "labels.csv: column 'file' names the images, 'label' the classes, 'is_valid' the splits, not used: 'source'"
    )


def test_options_name_columns(tmp_path):
    rows = [f"{path},other/{path},{name},bright" for path, name in write_images(tmp_path)]
    write_images(tmp_path / "other")
    table = write_table(tmp_path / "labels.csv", "left,right,kind,light", rows)
    refused(table, "'left' and 'right' name images", "--path-column")
    refused(table, "its header is left, right, kind, light", "--label-column", path_column="left")
    assert counts(table, path_column="right", label_column="Kind") == {"train": 12}
    assert counts(table, path_column="1", label_column="3") == {"train": 12}
    refused(table, "has no column 'color' for --label-column: its header is", path_column="left", label_column="color")


def test_labels_that_may_be_several_columns_are_asked_for(tmp_path):
    images = write_images(tmp_path)
    rows = [f"l{i},{path[:-4]},{name},histo,{50 + i}.5" for i, (path, name) in enumerate(images)]
    table = write_table(tmp_path / "a.csv", "lesion_id,image_id,dx,dx_type,age", rows)
    refused(table, "lesion_id, image_id, dx, dx_type, age", "--label-column (is it 'dx'?)")
    assert counts(table, label_column="dx") == {"train": 12}
    rows = [f"{path},{name},{'warm' if name == 'red' else 'cold'}" for path, name in images]
    refused(write_table(tmp_path / "b.csv", "file,fine_label,coarse_label", rows), "'fine_label' and 'coarse_label'")


def test_values_that_are_no_classes_are_refused(tmp_path):
    images = write_images(tmp_path, count=20)
    for head, row in (("file,age", "{path},{i}.5"), ("file,caption", "{path},a {name} thing {i}")):
        rows = [row.format(path=path, name=name, i=i) for i, (path, name) in enumerate(images)]
        refused(write_table(tmp_path / "t.csv", head, rows), "20 different", "no classes, it seems", "--label-column")


def test_a_table_without_labels(tmp_path):
    rows = [f"{i} {path}" for i, (path, _) in enumerate(write_images(tmp_path, "images/{name}/{i}.png"))]
    refused(write_table(tmp_path / "images.txt", rows), "--label-column; or train on", "images, if each folder in it")
    refused(
        write_table(tmp_path / "b.csv", "sepal,species", ["1.5,a", "2.5,b"]), "no column names images", "--path-column"
    )


def test_one_hot_columns(tmp_path):
    images = write_images(tmp_path)
    rows = [f"{path[:-4]},{','.join('1.0' if name == other else '0.0' for other in NAMES)}" for path, name in images]
    table = write_table(tmp_path / "a.csv", f"image,{','.join(NAMES)}", rows)
    assert counts(table) == {"train": 12} and "the 1 in 'blue', 'green', 'red' the classes" in notes(table)[0]
    table = write_table(tmp_path / "b.csv", f"image,{','.join(NAMES)}", rows, "0,1,1,0")
    refused(table, "hold 2 ones in row 13", "--label-column")


# labels ----------------------------------------------------------------------------------------------------------------


def test_flags_beside_a_label_are_no_classes(tmp_path):
    rows = [f"{path},{name},{i % 2},{(i + 1) % 2}" for i, (path, name) in enumerate(write_images(tmp_path))]
    refused(
        write_table(tmp_path / "a.csv", "path,diagnosis,male,smoker", rows), "(is it 'diagnosis'?)", "--label-column"
    )
    rows = [f"{path},{int(i % 3 == 0)},{int(i % 3 == 1)}" for i, (path, _) in enumerate(write_images(tmp_path))]
    refused(write_table(tmp_path / "b.csv", "path,male,smoker", rows), "hold 0 ones in row 3", "--label-column")


def test_measurements_are_no_classes(tmp_path):
    rows = [f"{path},{i % 11 / 10}" for i, (path, _) in enumerate(write_images(tmp_path, count=33))]
    refused(write_table(tmp_path / "a.csv", "path,score", rows), "'score' holds 11 different numbers", "--label-column")
    assert len(find(tmp_path / "a.csv", table=TableOptions(label_column="score")).sets().train.classes) == 11


def test_missing_labels_are_told(tmp_path):
    images = write_images(tmp_path)
    rows = [f"{path},{NUMBERS[name]}.0" for path, name in images[:10]]
    table = write_table(tmp_path / "labels.csv", "file,label", rows, "10.png,", "11.png,nan")
    assert find(table).sets().train.classes == ("0", "1", "2")
    assert "2 rows of 12 have no label: left out: 10.png, 11.png" in notes(table)


def test_rows_that_repeat_a_file(tmp_path):
    rows = [f"{path},{name}" for path, name in write_images(tmp_path)]
    told = notes(write_table(tmp_path / "labels.csv", "file,label", rows, rows[:2], "0.png,red"))
    assert "rows that repeat a file with the same class: 2, counted once" in told
    assert any("1 file with several classes, a row each" in note for note in told)


def test_classes_that_may_be_a_mistake_are_told(tmp_path):
    rows = [f"{path},{name if i else 'Green'}" for i, (path, name) in enumerate(write_images(tmp_path))]
    told = notes(write_table(tmp_path / "a.csv", "file,label", rows))
    assert "classes that differ only in upper and lower case stay apart: Green = green" in told
    told = notes(write_table(tmp_path / "b.csv", "file,label", rows[1:], "0.png,red|green"))
    assert any("'red|green' join others" in note for note in told)


# splits ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "values", "expected"),
    [
        ("file,label,split", ("train", "valid", "test", "Train"), {"train": 6, "val": 3, "test": 3}),
        ("file,label,Usage", ("Training", "PublicTest", "PrivateTest"), {"train": 6, "val": 3, "test": 3}),
        ("", ("TRAIN", "VALIDATION", "TEST", "UNASSIGNED"), {"train": 6, "val": 3, "test": 3}),
        ("file,label,is_valid", ("True", "False"), {"train": 6, "val": 6}),
        ("file,label,is_train", ("1", "0"), {"train": 6, "test": 6}),
        ("file,label,is_training_image", ("1", "1", "0"), {"train": 9, "test": 3}),
        ("file,label,is_test", ("0", "0", "1"), {"train": 9, "test": 3}),
        ("file,label,is_test_positive", ("0", "0", "1"), {"train": 12}),
        ("file,label,valid", ("1", "0"), {"train": 12}),  # perhaps whether the image is valid
        ("file,label,fold", ("1", "2", "3"), {"train": 12}),
        ("file,label,whatever", ("train", "test"), {"train": 6, "test": 6}),
    ],
)
def test_splits(tmp_path, head, values, expected):
    images = write_images(tmp_path)
    rows = [f"{path},{name},{values[i // 3 % len(values)]}" for i, (path, name) in enumerate(images)]
    assert counts(write_table(tmp_path / "labels.csv", head, rows)) == expected


def test_a_split_column_has_its_number_in_the_table(tmp_path):
    rows = [f"{path},{name},{'ab'[i % 2]},{i % 2}" for i, (path, name) in enumerate(write_images(tmp_path))]
    table = write_table(tmp_path / "a.csv", "path,label,batch,half", rows)
    assert counts(table, split_column="4", validation_fold="1") == {"train": 6, "val": 6}


def test_folds_are_no_splits(tmp_path):
    rows = [f"{path},{i // 3 % 4 + 1},{name}" for i, (path, name) in enumerate(write_images(tmp_path))]
    table = write_table(tmp_path / "meta.csv", "filename,fold,class", rows)
    assert any("holds the folds 1 to 4" in note and "--validation-fold 4" in note for note in notes(table))
    assert counts(table, validation_fold="4") == {"train": 9, "val": 3}
    refused(table, "there is no fold 9: column 'fold' holds 1 to 4", validation_fold="9")
    refused(write_table(tmp_path / "b.csv", "file,label", "0.png,a"), "has no column of folds", validation_fold="1")


def test_numbers_called_split_are_refused(tmp_path):
    rows = [f"{path},{name},{i // 3 % 3}" for i, (path, name) in enumerate(write_images(tmp_path))]
    table = write_table(tmp_path / "labels.csv", "file,label,partition", rows)
    refused(table, "'partition' holds 0 to 2: which is which?", "--split-column none", "--validation-fold 2")
    assert counts(table, split_column="none") == {"train": 12}
    assert counts(table, split_column="partition", validation_fold="2") == {"train": 9, "val": 3}


def test_unknown_splits_are_left_out_and_told(tmp_path):
    rows = [f"{path},{name},{('train', 'extra')[i % 2]}" for i, (path, name) in enumerate(write_images(tmp_path))]
    table = write_table(tmp_path / "labels.csv", "file,label,split", rows)
    assert counts(table) == {"train": 6}
    assert "'extra' is no split (train, val, test): rows left out: 6" in notes(table)


def test_a_table_of_test_images_alone_is_refused(tmp_path):
    rows = [f"{path},{name},test" for path, name in write_images(tmp_path)]
    table = write_table(tmp_path / "labels.csv", "file,label,split", rows)
    refused(table, "every image is of the split test", "--split-column none")
    assert counts(table, split_column="none") == {"train": 12}


def test_options_are_for_tables(tmp_path):
    write_images(tmp_path, "{name}/{i}.png")
    with pytest.raises(ArgumentError, match="--label-column is for tables"):
        find(tmp_path, table=TableOptions(label_column="x"))
