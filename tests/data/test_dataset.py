"""Data sets: images, labels, shape checks, and folders of IDX files."""

import dataclasses
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

import byhand.data
from byhand.data import Dataset, load
from byhand.errors import ArgumentError, FileError, ShapeError, UnknownNameError

IMAGES = np.arange(5 * 3 * 4 * 2, dtype=np.uint8).reshape(5, 3, 4, 2)
LABELS = np.array([0, 2, 1, 0, 2])
CLASSES = ("cat", "dog", "eel")


def test_a_dataset_keeps_images_and_labels():
    data = Dataset(IMAGES, LABELS.astype(np.uint8), list(CLASSES), "pets")
    assert len(data) == 5
    assert data.images is IMAGES
    assert data.labels.dtype == np.int64 and data.labels.tolist() == LABELS.tolist()
    assert data.classes == CLASSES
    assert repr(data) == "Dataset 'pets': 5 images 3x4x2 uint8, 3 classes"
    assert repr(Dataset(IMAGES.astype(np.float32), LABELS, CLASSES)) == "Dataset: 5 images 3x4x2 float32, 3 classes"
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.images = IMAGES


def test_take():
    data = Dataset(IMAGES, LABELS, CLASSES, "pets")
    assert len(data.take(2)) == 2 and data.take(2).labels.tolist() == [0, 2]
    assert np.shares_memory(data.take(5).images, IMAGES)
    assert (data.take(1).classes, data.take(1).name) == (CLASSES, "pets")
    for n in (0, -1, 6):
        with pytest.raises(ArgumentError, match=f"n={n}, but there are 5 examples; take 1 to 5"):
            data.take(n)


@pytest.mark.parametrize(
    ("images", "labels", "classes", "error", "message"),
    [
        (IMAGES[..., 0], LABELS, CLASSES, ShapeError, r"\(N, H, W, C\), got shape \(5, 3, 4\)"),
        (IMAGES[:, :0], LABELS, CLASSES, ShapeError, r"got shape \(5, 0, 4, 2\)"),
        (IMAGES.astype(float), LABELS, CLASSES, ArgumentError, "uint8 or float32, got float64"),
        (IMAGES, LABELS[:4], CLASSES, ShapeError, r"5 images need labels of shape \(5,\), got \(4,\)"),
        (IMAGES, LABELS[:, None], CLASSES, ShapeError, r"got \(5, 1\)"),
        (IMAGES, LABELS.astype(float), CLASSES, ArgumentError, "labels must be integers.* got float64"),
        (IMAGES, LABELS > 0, CLASSES, ArgumentError, "labels must be integers.* got bool"),
        (IMAGES, LABELS - 1, CLASSES, ArgumentError, "labels go from -1 to 1, but there are 3 classes"),
        (IMAGES, LABELS, CLASSES[:2], ArgumentError, "labels go from 0 to 2, but there are 2 classes"),
        (IMAGES, LABELS, "cde", ArgumentError, "classes must be a tuple of str, got 'cde'"),
        (IMAGES, LABELS, (0, 1, 2), ArgumentError, r"classes must be a tuple of str, got \(0, 1, 2\)"),
    ],
)
def test_mismatched_arguments_are_refused(images, labels, classes, error, message):
    with pytest.raises(error, match=message) as caught:
        Dataset(images, labels, classes)
    assert "\n" not in str(caught.value)


def encode(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


FILES = {
    "train-images-idx3-ubyte": IMAGES[..., 0],
    "train-labels-idx1-ubyte": LABELS.astype(np.uint8),
    "t10k-images-idx3-ubyte": IMAGES[:2, ..., 1],
    "t10k-labels-idx1-ubyte": np.array([3, 1], np.uint8),
}


def write(folder, dotted=False, zipped=False, **changed):
    folder.mkdir(exist_ok=True)
    for name, array in (FILES | {name.replace("_", "-"): array for name, array in changed.items()}).items():
        path = folder / ((name.replace("-idx", ".idx") if dotted else name) + (".gz" if zipped else ""))
        path.write_bytes(gzip.compress(encode(array)) if zipped else encode(array))
    return folder


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_of_idx_files_is_read(tmp_path, dotted, zipped, kind):
    train, test = load(kind(write(tmp_path / "clothes", dotted, zipped)))
    assert repr(train) == "Dataset 'clothes': 5 images 3x4x1 uint8, 4 classes"
    assert repr(test) == "Dataset 'clothes': 2 images 3x4x1 uint8, 4 classes"
    assert train.classes == test.classes == ("0", "1", "2", "3")
    np.testing.assert_array_equal(train.images[..., 0], IMAGES[..., 0])
    assert test.labels.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_labels_idx1_ubyte": np.zeros(4, np.uint8)}, "train-labels-idx1-ubyte holds 4 labels for 5 images"),
        ({"t10k_images_idx3_ubyte": IMAGES[:2, :2, :, 0]}, "training images are 3x4, the test images 2x4"),
        (
            {"t10k_images_idx3_ubyte": IMAGES},
            "t10k-images-idx3-ubyte holds uint8 of shape .*expected uint8 with 3 axes",
        ),
        ({"t10k_labels_idx1_ubyte": np.zeros(0, np.uint8)}, "t10k-labels-idx1-ubyte holds uint8 of shape .*empty"),
    ],
)
def test_mismatched_files_are_refused(tmp_path, changed, message):
    with pytest.raises(FileError, match=message):
        load(write(tmp_path / "set", **changed))


def test_labels_of_a_wider_type_make_no_endless_list_of_classes(tmp_path):
    folder = write(tmp_path / "set")
    (folder / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">HBBIii", 0, 12, 1, 2, 0, 2**31 - 1))
    with pytest.raises(FileError, match="holds int32 of shape"):
        load(folder)


def test_a_missing_folder_is_refused(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(encode(IMAGES[..., 0]))
    with pytest.raises(
        FileError,
        match=r"has no train-labels-idx1-ubyte; looked for train-labels-idx1-ubyte, train-labels-idx1-ubyte.gz, "
        r"train-labels.idx1-ubyte, train-labels.idx1-ubyte.gz",
    ):
        load(tmp_path)
    with pytest.raises(UnknownNameError, match=r"no data set, folder or file 'minst'; did you mean 'mnist'\?"):
        load("minst")
    with pytest.raises(FileError, match="there is no such folder or file; expected mnist, a folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(FileError, match="it is a file of another kind; expected mnist, a folder"):
        load(tmp_path / "train-images-idx3-ubyte")


def test_exported_members():
    assert byhand.data.__all__ == sorted(byhand.data.__all__)
    names = {"Augment", "Dataset", "Preprocessing", "Splits", "digits", "find", "idx", "load", "mnist"}
    assert set(byhand.data.__all__) == names


def test_digits_is_imported_when_it_is_asked_for():
    assert byhand.data.digits.from_array is not None
    with pytest.raises(AttributeError, match="has no attribute 'digit'"):
        _ = byhand.data.digit
