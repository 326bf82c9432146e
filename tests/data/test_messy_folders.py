"""Folders as others have them: names of splits, wrappers, files of systems and of byhand, links in circles."""

import json
import os
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from byhand.data import find
from byhand.errors import ByhandError, FileError
from byhand.report.drawing.style import save_png
from tests.data.image_folders import COLORS, noisy_image


def write(root, *folders, count=2):
    """Write images below root into each of the folders; return root."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noisy_image(COLORS["red"], (5, 4), hash((folder, number)) % 2**31).save(root / folder / f"{number}.png")
    return root


def outline(root):
    """Return the classes of each split, as "train: a b | val: a b"."""
    found = find(root)
    parts = {split: " ".join(counts) for split, counts in found.counts.items()}
    return " | ".join(f"{split}: {classes}" for split, classes in parts.items())


def notes(root):
    return " / ".join(find(root).sets().notes)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ("a b", "all: a b"),
        ("train/a train/b", "train: a b"),
        ("train/a train/b val/a val/b test/a", "train: a b | val: a b | test: a"),
        ("TRAIN/a TRAIN/b Testing/a", "train: a b | test: a"),
        ("training_set/a training_set/b test_set/a", "train: a b | test: a"),
        ("seg_train/seg_train/a seg_train/seg_train/b seg_test/seg_test/a seg_pred", "train: a b | test: a"),
        ("TrainImages/a TrainImages/b TestImages/a", "train: a b | test: a"),
        ("train/a train/b test", "train: a b | test: "),
        ("train/a train/b test/a extra/a", "train: a b | test: a"),
        ("Train/0 Train/1 Test Meta", "train: 0 1 | test: "),  # GTSRB
        ("a/train a/test b/train b/test", "train: a b | test: a b"),
        ("train/a train/b eval/a", "train: a b | val: a"),
        ("trainval/a trainval/b test/a", "train: a b | test: a"),
        ("训练集/a 训练集/b 测试集/a", "train: a b | test: a"),
        # classes that are called as splits are
        ("bus tank train", "all: bus tank train"),
        ("bus tank train test", "all: bus tank test train"),
        ("val test a", "all: a test val"),
        ("bus/city bus/coach train/ice train/tgv", "all: bus train"),
        ("train_station bus_station test_tube", "all: bus_station test_tube train_station"),
        # folders around the data set, and folders inside a class
        ("set/a set/b", "all: a b"),
        ("set/images/train/a set/images/train/b set/images/val/a", "train: a b | val: a"),
        ("animals/cat animals/dog cars", "all: animals cars"),
        ("images b", "all: b images"),
    ],
)
def test_splits_and_classes(tmp_path, folders, expected):
    assert outline(write(tmp_path / "data", *folders.split())) == expected


@pytest.mark.parametrize(
    ("folders", "complaint"),
    [
        ("train test", "train/ holds 2 images, but no folder of a class"),
        ("train_images test_images", "images/ holds 2 images, but no folder of a class"),
        ("train val/a val/b", "train/ holds 2 images, but no folder of a class"),
        ("train/a train/b extra/a", "is train/ a split (it holds the folders a, b) or a class, as extra/ beside it?"),
        ("train/a train/b bus", "is train/ a split (it holds the folders a, b) or a class, as bus/ beside it?"),
        ("images masks", "images/ and masks/ look like pictures and their masks"),
        ("train/good test/good test/bad truth/bad", "only the class 'good'"),
        ("__MACOSX/a __MACOSX/b", "no image is in a class's folder"),
    ],
)
def test_what_may_mean_two_things_is_refused(tmp_path, folders, complaint):
    with pytest.raises(ByhandError) as caught:
        find(write(tmp_path / "data", *folders.split())).sets()
    assert complaint in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("above", ["", "train/"])
def test_folds_as_folders_are_no_classes(tmp_path, above):
    root = write(tmp_path / "set", *(f"{above}fold{k}/{name}" for k in (0, 1) for name in ("cat", "dog")))
    with pytest.raises(
        FileError, match="fold0/, fold1/ hold folders of the same names, cat, dog: which are the classes"
    ):
        find(root)


def test_a_refused_folder_names_the_table_beside_it(tmp_path):
    write(tmp_path, "train_images", "test_images")
    (tmp_path / "test.csv").touch()
    (tmp_path / "train.csv").touch()
    with pytest.raises(FileError, match=r"does train\.csv name the classes\? Then give it: .*train\.csv"):
        find(tmp_path)


def test_the_first_note_says_how_the_folders_were_understood(tmp_path):
    write(tmp_path / "x", "set/a", "set/b")
    assert notes(tmp_path / "x").startswith("each folder of set is a class (set is the only folder with images)")
    write(tmp_path / "y", "valid/a", "train/a", "train/b", "raw")
    told = notes(tmp_path / "y")
    assert told.startswith("train/ to train on, valid/ to validate on: each folder in them is a class")
    assert "beside train/ there is also raw: left out" in told
    write(tmp_path / "z", "bus", "train")
    assert "train/ is taken for a class: bus/ beside it is no split" in notes(tmp_path / "z")


SYSTEM = ("__MACOSX", "@eaDir", ".ipynb_checkpoints", "$RECYCLE.BIN", "lost+found", ".Trash-1000", "#recycle")


def test_files_of_systems_are_passed_over(tmp_path):
    write(tmp_path, "a", "b", *SYSTEM, *(f"a/{name}" for name in SYSTEM))
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
        (tmp_path / name).write_bytes(b"x")
        (tmp_path / "a" / name).write_bytes(b"x")
    found = find(tmp_path)
    assert found.counts == {"all": {"a": 2, "b": 2}} and not found.bad and len(found.sets().notes) == 2


def test_what_byhand_made_is_no_data(tmp_path):
    write(tmp_path, "a", "b", "runs/tiny-x", "b/my run", "other")
    settings = json.dumps({"model": "tiny", "data": ".", "seed": 0, "hand": "compiled"})
    for folder in ("runs/tiny-x", "b/my run"):
        (tmp_path / folder / "run.json").write_text(settings)
    (tmp_path / "other" / "run.json").write_text('{"distance": 10}')  # someone else's
    save_png(Figure(), tmp_path / "sheet.png")
    save_png(Figure(), tmp_path / "a" / "explained.png")
    assert find(tmp_path).counts == {"all": {"a": 2, "b": 2, "other": 2}}
    assert "made by byhand, no data: left out: sheet.png, a/explained.png, b/my run, runs/tiny-x" in notes(tmp_path)
    (tmp_path / "run.json").write_text(settings)  # a run that was written into the data's own folder
    assert find(tmp_path).counts == {"all": {"a": 2, "b": 2, "other": 2}}
    with pytest.raises(FileError, match="it is the folder of a training"):
        find(tmp_path / "b" / "my run")


def test_links_end_and_take_nothing_from_their_target(tmp_path):
    write(tmp_path, "a", "b", "c")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "a" / "self.png").symlink_to("self.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "next").symlink_to(tmp_path / "b")  # b is seen later, and keeps its images
    found = find(tmp_path)
    assert found.counts == {"all": {"a": 2, "b": 2, "c": 2}}
    assert [name for name, _ in found.bad] == ["a/self.png"]
    assert notes(tmp_path).count("links to one that was seen already: left out") == 2


def test_splits_of_mixed_spelling(tmp_path):
    write(tmp_path, *(f"{split}/{name}" for split in ("Training", "Validation_set", "TEST") for name in "ab"))
    assert outline(tmp_path) == "train: a b | val: a b | test: a b"


def test_a_link_to_a_folder_above_is_not_entered(tmp_path):
    write(tmp_path, "elsewhere", "set/a", "set/b")
    for name in "pqrs":
        (tmp_path / "set" / "b" / name).symlink_to(tmp_path)  # as /proc/self/root does
    assert find(tmp_path / "set").counts == {"all": {"a": 2, "b": 2}}
    assert "4 folders link to ones that were seen already: left out: b/p, b/q" in notes(tmp_path / "set")


def test_folders_without_end_are_refused(tmp_path, monkeypatch):
    write(tmp_path, "a/b/c/d", "b")
    monkeypatch.setattr("byhand.data.folder_tree.MAX_FOLDERS", 4)
    with pytest.raises(FileError, match="more than 4 folders; give the folder of the images"):
        find(tmp_path)


def test_classes_that_are_links(tmp_path):
    write(tmp_path / "store", "a", "b")
    (tmp_path / "set").mkdir()
    for name in ("a", "b"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "store" / name)
    assert outline(tmp_path / "set") == "all: a b"


def test_a_very_deep_folder(tmp_path):
    write(tmp_path, "a", "b")
    folder = tmp_path / "a"
    for _ in range(300):
        folder /= "d"
        folder.mkdir()
    assert outline(tmp_path) == "all: a b"


def test_empty_classes_twins_and_nested_folders_are_told(tmp_path):
    write(tmp_path, "Cat", "cat", "dog/brown")
    (tmp_path / "void").mkdir()
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "1.heic").write_bytes(b"x")
    told = notes(tmp_path)
    assert "2 folders: phone (1 .heic), void hold no image: left out" in told
    assert "classes that differ only in upper and lower case stay apart: Cat = cat" in told
    assert "folders inside a class belong to it: dog/brown" in told


@pytest.mark.parametrize("name", ["photo", "photo.jpg_large", "photo.jpg?w=200", "photo.png ", "photo.jpeg!d"])
def test_images_whose_names_have_no_ending_are_known_by_their_first_bytes(tmp_path, name):
    for folder in "ab":
        write(tmp_path, folder)
        (tmp_path / folder / "0.png").rename(tmp_path / folder / name)
        (tmp_path / folder / "README").write_text("BMW is no bitmap")
        (tmp_path / folder / "1.png~").write_bytes((tmp_path / folder / "1.png").read_bytes())
    assert find(tmp_path).counts == {"all": {"a": 2, "b": 2}}


@pytest.mark.parametrize("table", ["labels.csv", "lists/train.tsv"])
def test_one_folder_of_images_beside_a_table(tmp_path, table):
    write(tmp_path, "images")
    (tmp_path / table).parent.mkdir(exist_ok=True)
    (tmp_path / table).write_text("file,label\n")
    (tmp_path / "test.csv").write_text("file\n")
    with pytest.raises(FileError, match=f"has only the class 'images'.* {Path(table).name} name the classes"):
        find(tmp_path).sets()


@pytest.mark.parametrize("names", [("caf\u00e9", "cafe\u0301"), ("a\nb", "a\tb")])
def test_folders_whose_names_become_the_same_are_told(tmp_path, names):
    write(tmp_path, *names, "c")
    assert "2 folders have the same name, written otherwise: one class" in notes(tmp_path)


def test_names_in_the_encodings_of_archives_are_read(tmp_path):
    write(tmp_path, "a", "b", "c")
    for old, new in (("a", b"caf\xe9"), ("b", b"caf\xe8"), ("c", "猫咪".encode("gbk"))):
        (tmp_path / old).rename(os.fsdecode(os.fsencode(tmp_path) + b"/" + new))
    assert outline(tmp_path) == "all: cafè café 猫咪"


def test_what_is_in_a_folder_without_images_gets_advice(tmp_path):
    write(tmp_path, "a")
    for path in (tmp_path / "a").iterdir():
        path.rename(path.with_suffix(".heic"))
    with pytest.raises(FileError, match=r"2 \.heic\); HEIC is not read; save it as JPEG"):
        find(tmp_path)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ("P/a P/b a b", "P/ holds folders of the same names as those beside it, a/, b/: a copy"),
        (
            "amazon/images/a amazon/images/b dslr/images/a dslr/images/b",
            "amazon/, dslr/ hold folders of the same names",
        ),
        ("trainA trainB testA testB", "are called as the splits of several data sets"),
    ],
)
def test_folders_that_are_no_classes_are_refused(tmp_path, folders, message):
    with pytest.raises(FileError, match=message):
        find(write(tmp_path, *folders.split()))


def test_names_that_differ_in_spaces_are_told(tmp_path):
    assert "differ only in spaces stay apart: 'cat' = 'cat '" in notes(write(tmp_path, "cat", "cat ", "dog"))
