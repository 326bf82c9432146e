"""Data sets of IDX files under the names that EMNIST, QMNIST and their mirrors give them."""

import gzip
import struct

import numpy as np
import pytest

from byhand.data import find
from byhand.errors import FileError


def encode(array, kind=8):
    header = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    return header + array.astype(np.uint8 if kind == 8 else ">i4").tobytes()


def write(folder, prefix="", parts=("train", "t10k"), classes=10, first=0, sign="-", end=".gz"):
    """Write the files of a data set: images of 4 x 4 with a bright column, labels in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.arange(2 * classes) % classes + first
    images = np.zeros((2 * classes, 4, 4))
    images[:, :, 1] = 255
    for part in parts:
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            data = encode(array)
            name = f"{prefix}{part}-{kind.replace('-idx', f'{sign}idx')}-ubyte{end}"
            (folder / name).write_bytes(gzip.compress(data) if end else data)
    return folder


EMNIST = ("train", "test")


@pytest.mark.parametrize(
    ("options", "name", "classes"),
    [
        ({}, "set", "0123456789"),
        ({"sign": ".", "end": ""}, "set", "0123456789"),
        ({"prefix": "emnist-digits-", "parts": EMNIST}, "emnist-digits", "0123456789"),
        ({"prefix": "EMNIST_Digits_", "parts": EMNIST}, "EMNIST_Digits", "0123456789"),
        ({"parts": ("train",)}, "set", "0123456789"),
        ({"parts": ("train", "val", "test")}, "set", "0123456789"),
    ],
)
def test_names_of_files(tmp_path, options, name, classes):
    train = find(write(tmp_path / "set", **options)).sets().train
    assert train.name == name and train.classes == tuple(classes) and len(train) == 20


def test_emnist_stands_upright_and_its_letters_have_names(tmp_path):
    sets = find(write(tmp_path, "emnist-letters-", EMNIST, classes=26, first=1)).sets()
    assert sets.train.images[0, 1, :, 0].tolist() == [255] * 4  # stored column by column
    assert sets.train.classes[:2] == ("Aa", "Bb") and len(sets.train.classes) == 26
    assert sets.train.labels[:3].tolist() == [0, 1, 2] and len(sets.test) == 52
    told = " / ".join(sets.notes)
    assert "column by column" in told and "numbered from 1: no class for 0" in told and "as in EMNIST letters" in told


def test_a_mapping_names_the_classes(tmp_path):
    folder = write(tmp_path, "emnist-letters-", EMNIST, classes=3, first=1)
    (folder / "emnist-letters-mapping.txt").write_text("1 88 120\n2 89\n3 90\n")
    assert find(folder).sets().train.classes == ("Xx", "Y", "Z")
    (folder / "emnist-letters-mapping.txt").write_text("1 88\n\xff 7 99999999999\n")
    sets = find(folder).sets()
    assert sets.train.classes == ("1", "2", "3") and any("does not name every label" in note for note in sets.notes)


def test_labels_from_any_number(tmp_path):
    sets = find(write(tmp_path, classes=3, first=5)).sets()
    assert sets.train.classes == ("5", "6", "7") and any("no class for 0 to 4" in note for note in sets.notes)


def test_several_data_sets_are_asked_for(tmp_path):
    write(tmp_path, "emnist-digits-", EMNIST)
    write(tmp_path, "emnist-letters-", EMNIST, classes=26, first=1)
    with pytest.raises(
        FileError, match=r"holds 2 data sets: emnist-digits, emnist-letters; give a file of the one you mean"
    ):
        find(tmp_path)
    for name, classes in (("emnist-digits-train-images-idx3", 10), ("emnist-letters-test-labels-idx1", 26)):
        assert len(find(tmp_path / f"{name}-ubyte.gz").sets().train.classes) == classes


def test_files_one_folder_down(tmp_path):
    write(tmp_path / "a" / "gzip", "emnist-digits-", EMNIST)
    assert find(tmp_path / "a").sets().train.name == "emnist-digits"
    write(tmp_path / "b", end="")
    for path in list((tmp_path / "b").iterdir()):  # each unpacked into a folder of its name
        moved = path.rename(tmp_path / "moved")
        path.mkdir()
        moved.rename(path / path.name)
    assert len(find(tmp_path / "b").sets().test) == 20
    write(tmp_path / "c" / "mnist")
    write(tmp_path / "c" / "fashion")
    with pytest.raises(FileError, match="holds 2 data sets: fashion, mnist"):
        find(tmp_path / "c")


def test_qmnist(tmp_path):
    write(tmp_path, "qmnist-", EMNIST)
    for part in EMNIST:
        (tmp_path / f"qmnist-{part}-labels-idx1-ubyte.gz").unlink()
        labels = np.stack([np.arange(20) % 10, *[np.arange(20) + 300] * 7], axis=1)
        (tmp_path / f"qmnist-{part}-labels-idx2-int.gz").write_bytes(gzip.compress(encode(labels, 12)))
    assert find(tmp_path).sets().train.labels.tolist() == [*range(10)] * 2


@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        ("emnist-digits-test-labels-idx1-ubyte.gz", "emnist-digits-test-labels-idx1-ubyte"),
        ("emnist-digits-train-images-idx3-ubyte.gz", "emnist-digits-train-images-idx3-ubyte"),
    ],
)
def test_a_missing_file_is_named(tmp_path, gone, missing):
    (write(tmp_path, "emnist-digits-", EMNIST) / gone).unlink()
    with pytest.raises(FileError, match=f"has no {missing}; looked for {missing}, {missing}.gz, "):
        find(tmp_path)


def test_a_hidden_file_is_told(tmp_path):
    path = write(tmp_path, prefix=".") / ".train-images-idx3-ubyte.gz"
    with pytest.raises(FileError, match="is a hidden file"):
        find(path)


def test_pixels_of_0_and_1_are_black_and_white(tmp_path):
    for kind, array in (("images-idx3", np.eye(4)[None].repeat(4, 0)), ("labels-idx1", np.arange(4) % 2)):
        (tmp_path / f"train-{kind}-ubyte").write_bytes(encode(array))
    sets = find(tmp_path).sets()
    assert sets.train.images.max() == 255 and sets.preprocessing.pixel_range == (0, 1)
    assert any("1 white" in note for note in sets.notes)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images", "train-labels"),
        ("train-images.ubyte", "train-labels.ubyte"),
        ("train_images.idx", "train_labels.idx"),
        ("train-images.idx3", "train-labels.idx1"),
        ("train-images-idx3-ubyte (1)", "train-labels-idx1-ubyte (1)"),
        ("train-images-idx3-ubyte(2).gz", "train-labels-idx1-ubyte(2).gz"),
    ],
)
def test_files_that_were_renamed(tmp_path, images, labels):
    plain = write(tmp_path / "set", parts=("train",), end="")
    for old, new in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        data = (plain / old).read_bytes()
        (plain / old).unlink()
        (plain / new).write_bytes(gzip.compress(data) if new.endswith(".gz") else data)
    assert len(find(plain).sets().train) == 20 == len(find(plain / images).sets().train)


def test_the_folders_of_torchvision(tmp_path):
    write(tmp_path / "MNIST" / "raw")
    assert find(tmp_path).name == "MNIST"
    write(tmp_path / "FashionMNIST" / "raw")
    with pytest.raises(FileError, match="holds 2 data sets: FashionMNIST, MNIST"):
        find(tmp_path)


def test_files_in_the_depth_of_a_folder_of_images_are_not_looked_for(tmp_path):
    from tests.data.image_folders import write_image_folder

    write_image_folder(tmp_path, 2)
    write(tmp_path / "red" / "old" / "raw")
    (tmp_path / "train-labels").write_text("0 1 2")
    assert find(tmp_path).sets().train.classes == ("blue", "green", "red")


def test_letters_from_0_are_not_named_as_those_from_1(tmp_path):
    write(tmp_path, "emnist-letters-", EMNIST, classes=26, end="")
    assert find(tmp_path).sets().train.classes == tuple(map(str, range(26)))
