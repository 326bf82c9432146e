"""Arrays of an .npz: their names, axes and labels, as others write them."""

import numpy as np
import pytest

import byhand as bh
from byhand.data import find
from byhand.errors import FileError

COUNT = 8
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 12, 16), np.uint8)
NUMBERS = np.arange(COUNT) % 2


def sets_of(folder, *unnamed, **arrays):
    np.savez(folder / "set.npz", *unnamed, **arrays)
    return find(folder / "set.npz").sets()


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("X", "y"),
        ("X_train", "Y_train"),
        ("trainX", "trainY"),
        ("train_data", "train_labels"),
        ("data", "target"),
        ("x-training", "y-training"),
        ("imgs", "labels"),
        ("arr_0", "arr_1"),
    ],
)
def test_names(tmp_path, images, labels):
    sets = sets_of(tmp_path, **{images: IMAGES, labels: NUMBERS})
    np.testing.assert_array_equal(sets.train.images[..., 0], IMAGES)
    assert sets.notes == ()


@pytest.mark.parametrize("split", ["val", "valid", "validation", "dev", "eval"])
def test_names_of_a_validation_set(tmp_path, split):
    sets = sets_of(
        tmp_path, x_train=IMAGES, y_train=NUMBERS, **{f"x_{split}": IMAGES[:4], f"y_{split}": NUMBERS[:4]}, seeds=[1]
    )
    assert len(sets.val) == 4 and sets.notes == ("not read from set.npz: seeds",)


def test_arrays_without_names(tmp_path):
    sets = sets_of(tmp_path, IMAGES, NUMBERS, IMAGES[:2], NUMBERS[:2])
    assert len(sets.train) == COUNT and len(sets.test) == 2
    with pytest.raises(FileError, match=r"holds arr_0 \(8, 12, 16\), arr_1 \(8, 12, 16\); expected x_train"):
        sets_of(tmp_path, IMAGES, IMAGES)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("axes", "note"), [((0, 3, 1, 2), "channels come first"), ((1, 2, 3, 0), "images come last")])
def test_axes(tmp_path, channels, axes, note):
    images = np.repeat(IMAGES[..., None], channels, 3)
    sets = sets_of(tmp_path, x=images.transpose(axes), y=NUMBERS)
    np.testing.assert_array_equal(sets.train.images, images)
    assert note in sets.notes[0]


def test_rows_of_pixels(tmp_path):
    sets = sets_of(tmp_path, x=IMAGES[:, :12, :12].reshape(COUNT, -1), y=NUMBERS)
    np.testing.assert_array_equal(sets.train.images[..., 0], IMAGES[:, :12, :12])
    assert "taken as 12 x 12" in sets.notes[0]
    with pytest.raises(FileError, match=r"have the shape \(8, 192\)"):
        sets_of(tmp_path, x=IMAGES.reshape(COUNT, -1), y=NUMBERS)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (NUMBERS[:, None], "01"),
        (NUMBERS.astype(float), "01"),
        (NUMBERS.astype(bool), "01"),
        (np.eye(2)[NUMBERS], "01"),
        (np.eye(2, dtype=np.uint8)[NUMBERS], "01"),
        (np.array(["cat", "dog"])[NUMBERS], ("cat", "dog")),
        (np.array([b"cat", "d\u00f8g".encode()])[NUMBERS], ("cat", "d\u00f8g")),
        (NUMBERS + 1, "12"),
        (NUMBERS * 2 - 1, ("-1", "1")),
        (NUMBERS * 123456 + 10, ("10", "123466")),
    ],
)
def test_labels(tmp_path, labels, classes):
    sets = sets_of(tmp_path, x=IMAGES, y=labels)
    assert sets.train.classes == tuple(classes)
    np.testing.assert_array_equal(sets.train.labels, NUMBERS)


@pytest.mark.parametrize("labels", [NUMBERS / 3, np.full((COUNT, 2), 0.5), np.array([None, 1] * 4, object)])
def test_other_labels_are_refused(tmp_path, labels):
    with pytest.raises(FileError, match=r"expected \(N,\), class numbers or names|Python objects"):
        sets_of(tmp_path, x=IMAGES, y=labels)


def test_a_class_without_training_images_is_told(tmp_path):
    sets = sets_of(tmp_path, x=IMAGES, y=NUMBERS, x_test=IMAGES, y_test=NUMBERS + 1)
    assert sets.train.classes == ("0", "1", "2") and sets.notes == ("no training image is of class 2",)


def test_load_takes_them(tmp_path):
    sets_of(tmp_path, X=IMAGES, y=NUMBERS + 1)
    assert bh.data.load(tmp_path / "set.npz")[0].classes == ("1", "2")


def test_bytes_of_windows_1252_stay_two_classes(tmp_path):
    labels = np.array([b"d\xe4g", b"d\xfcg"])[np.arange(COUNT) % 2]
    assert sets_of(tmp_path, x=IMAGES, y=labels).train.classes == ("däg", "düg")


@pytest.mark.parametrize("key", ["classes", "class_names", "label_names", "target_names"])
def test_an_array_names_the_classes(tmp_path, key):
    sets = sets_of(tmp_path, x=IMAGES, y=np.arange(COUNT) % 2, **{key: ["ant", "bee"]})
    assert sets.train.classes == ("ant", "bee") and sets.notes == ()
