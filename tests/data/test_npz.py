"""Untrusted .npz archives: bombs, sizes that are only claimed, broken bytes, what is no file."""

import io
import os
import struct
import zipfile

import numpy as np
import pytest

import byhand as bh
from byhand.data import find
from byhand.errors import FileError
from tests.memory import peak_below


def header(shape, dtype="|u1"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def archive(path, members, how=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", how) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return path


LABELS = header((4,), "<i8") + np.arange(4).astype("<i8").tobytes()


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_bomb_is_refused_in_little_memory(tmp_path, how):
    path = archive(
        tmp_path / "bomb.npz", {"images": header((4, 5000, 5000)) + bytes(100_000_000), "labels": LABELS}, how
    )
    with peak_below(20_000_000), pytest.raises(FileError, match=r"looks like a decompression bomb|way that NumPy"):
        bh.data.load(path)


def test_several_arrays_count_together(tmp_path):
    pixels = header((4, 3500, 3500)) + bytes(49_000_000)
    path = archive(tmp_path / "bomb.npz", {"x_train": pixels, "y_train": LABELS, "x_test": pixels, "y_test": LABELS})
    with pytest.raises(FileError, match="looks like a decompression bomb"):
        bh.data.load(path)


def test_a_size_that_zip_file_and_header_claim_together_is_refused(tmp_path):
    path = archive(tmp_path / "liar.npz", {"images": header((4200, 1000, 1000)) + bytes(100), "labels": LABELS})
    raw = bytearray(path.read_bytes())
    struct.pack_into("<I", raw, raw.index(b"PK\x01\x02") + 24, 4294967290)
    path.write_bytes(raw)
    with peak_below(1_000_000), pytest.raises(FileError, match="looks like a decompression bomb"):
        bh.data.load(path)


@pytest.mark.parametrize("dtype", ["|O", "|V8", "<U0", "<M8[s]", "<c8"])
def test_other_types_are_refused(tmp_path, dtype):
    path = archive(tmp_path / "set.npz", {"images": header((4, 2, 2), dtype) + bytes(500), "labels": LABELS})
    with pytest.raises(FileError, match=r"which it does not hold|expected numbers or text|holds Python objects"):
        bh.data.load(path)


def test_broken_bytes_raise_nothing_else(tmp_path):
    whole, random = io.BytesIO(), np.random.default_rng(0)
    np.savez_compressed(whole, images=random.integers(0, 255, (8, 6, 6), np.uint8), labels=np.arange(8) % 2)
    path = tmp_path / "set.npz"
    for _ in range(300):
        data = bytearray(whole.getvalue())
        for at in random.integers(0, len(data), 3):
            data[at] = random.integers(0, 256)
        path.write_bytes(data)
        try:
            bh.data.load(path)
        except bh.ByhandError as error:
            assert str(error).isprintable()


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
@pytest.mark.parametrize("suffix", [".npz", ".csv", ".safetensors", ".onnx"])
def test_what_is_no_file_is_told_and_never_waited_for(tmp_path, suffix):
    pipe, circle, folder = (tmp_path / f"{name}{suffix}" for name in ("pipe", "circle", "folder"))
    os.mkfifo(pipe)
    circle.symlink_to(circle)
    folder.mkdir()
    load = bh.data.load if suffix in (".npz", ".csv") else bh.load
    for path in (pipe, circle, folder, tmp_path / f"none{suffix}", f"nul\0{suffix}"):
        with pytest.raises(bh.ByhandError):
            load(path)


@pytest.mark.parametrize(
    ("images", "labels"),
    [("X_train", "Y_train"), ("trainX", "trainY"), ("train_x", "train_y"), ("Images", "Labels"), ("data", "target")],
)
@pytest.mark.parametrize("make", [np.asarray, np.eye(3).__getitem__, np.float32, lambda numbers: numbers[:, None]])
def test_arrays_as_others_name_them(tmp_path, images, labels, make):
    numbers = np.arange(6) % 3
    np.savez(tmp_path / "set.npz", **{images: np.arange(96, dtype=np.uint8).reshape(6, 4, 4), labels: make(numbers)})
    train = find(tmp_path / "set.npz").sets().train
    assert train.labels.tolist() == numbers.tolist() and train.classes == ("0", "1", "2")


@pytest.mark.parametrize("labels", [np.full(6, 0.5), np.ones((6, 3)), np.full(6, np.nan)])
def test_labels_that_are_no_classes_are_refused(tmp_path, labels):
    np.savez(tmp_path / "set.npz", x=np.zeros((6, 4, 4), np.uint8), y=labels)
    with pytest.raises(FileError, match=r"the labels in .*expected"):
        find(tmp_path / "set.npz").sets()


def test_names_that_are_numbers_are_sorted_by_value(tmp_path):
    names = np.array(["10", "9", "cat", "9"])
    np.savez(tmp_path / "set.npz", x=np.zeros((4, 4, 4), np.uint8), y=names)
    train = find(tmp_path / "set.npz").sets().train
    assert train.classes == ("9", "10", "cat") and [train.classes[label] for label in train.labels] == names.tolist()


def test_a_set_without_images(tmp_path):
    none, images = np.zeros((0, 4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)
    numbers = {"y_train": np.arange(4), "y_test": np.zeros(0)}
    np.savez(tmp_path / "set.npz", x_train=images, x_test=none, **numbers)
    splits = find(tmp_path / "set.npz").sets()
    assert splits.test is None and "x_test holds no images: no test set" in splits.notes
    np.savez(tmp_path / "none.npz", images=none, labels=np.zeros(0))
    with pytest.raises(FileError, match="images holds no images; expected one image or more"):
        find(tmp_path / "none.npz")
