"""The pixel range of the splits of one data set, and of an image that comes after the training."""

import dataclasses
import warnings

import numpy as np
import pytest

import byhand as bh
from byhand.data import find, photos
from byhand.data.pixel_range import TypedRange
from byhand.data.preprocessing import Preprocessing
from byhand.errors import ArgumentError, FileError
from tests.data.pixel_files import write_png, write_tiff

RAMP = np.tile(np.linspace(0, 1, 16), (12, 1))
RAMPS = np.stack([RAMP, RAMP / 2] * 4)
LABELS = np.arange(8) % 2
BYTES = np.rint(RAMPS * 255).astype(np.uint8)
PYTHON_TOO = r"--pixel-range LOW,HIGH, in Python pixel_range=\(LOW, HIGH\)"


def sets_of(folder, train, test=None, **options):
    tests = {} if test is None else {"x_test": test, "y_test": LABELS}
    np.savez(folder / "set.npz", x_train=train, y_train=LABELS, **tests)
    return find(folder / "set.npz", **options).sets()


@pytest.mark.parametrize(
    ("train", "test"), [(RAMPS, RAMPS * 255), (RAMPS * 255, RAMPS), (BYTES, BYTES // 200), (BYTES * 4, BYTES // 200)]
)
def test_splits_of_other_ranges_are_refused(tmp_path, train, test):
    with pytest.raises(
        FileError, match=rf"the splits differ .* \(train 0 to .*; scale t.* like the others; else .*{PYTHON_TOO}"
    ):
        sets_of(tmp_path, train, test)
    assert sets_of(tmp_path, train, test, pixel_range=(0, 255)).preprocessing.pixel_range == (0, 255)


@pytest.mark.parametrize(
    ("train", "test"), [(RAMPS, BYTES), (BYTES, RAMPS), ((RAMPS * 1023).astype(np.uint16), BYTES), (BYTES, BYTES > 99)]
)
def test_splits_of_other_types_have_their_own(tmp_path, train, test):
    sets = sets_of(tmp_path, train, test)
    for part, given in ((sets.train, train), (sets.test, test)):
        wanted = 255 * (BYTES > 99) if given.dtype == bool else BYTES
        assert np.abs(part.images[..., 0].astype(int) - wanted).max() <= 1
    if train is BYTES:
        assert sets.preprocessing.pixel_range is None
    else:
        assert sets.preprocessing.pixel_range.kind == ("float" if train is RAMPS else "integer")


def write_files(root, images):
    """Write images by the names of their files, TIFF without an ending; return the folder."""
    for name, pixels in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_tiff(root / f"{name}.tif", pixels)
    return root


@pytest.mark.parametrize(
    ("dtype", "train", "test"),
    [(np.float32, 1, 255), (np.float32, 255, 1), (np.uint16, 4000, 65535), (np.int32, 3, 4000)],
)
def test_files_of_splits_of_other_ranges_are_refused(tmp_path, dtype, train, test):
    tops = {
        f"{split}/{name}/{k}": top for split, top in (("train", train), ("test", test)) for name in "ab" for k in "01"
    }
    root = write_files(tmp_path / "set", {name: (RAMP * top).astype(dtype) for name, top in tops.items()})
    with pytest.raises(FileError, match=rf"the splits differ .*; scale t.* like the others; else .*{PYTHON_TOO}"):
        find(root)
    assert find(root, pixel_range=(0, max(train, test))).pixel_range == (0, max(train, test))


def test_files_of_floats_of_two_ranges_are_refused(tmp_path):
    tops = {"a/0": 255, "a/1": 255, "b/0": 1, "b/1": 255}
    root = write_files(tmp_path / "set", {name: (RAMP * top).astype(np.float32) for name, top in tops.items()})
    with pytest.raises(FileError, match=f"b.0.tif holds float32, 0 to 1, others go up to 255; .*{PYTHON_TOO}"):
        find(root)


def test_files_that_are_darker_than_others_are_told(tmp_path):
    tops = {"a/0": 65535, "a/1": 65535, "b/0": 4000, "b/1": 0}
    root = write_files(tmp_path / "set", {name: (RAMP * top).astype(np.uint16) for name, top in tops.items()})
    assert find(root).sets().notes[-1].startswith("1 of 4 are darker than a sixteenth of that range")
    tops = dict.fromkeys(tops, 1)
    root = write_files(tmp_path / "masks", {name: np.rint(RAMP).astype(np.uint8) for name in tops})
    assert find(root).sets().notes[-1].startswith("no training image is brighter than 1 of 255")


def test_floats_divided_twice_are_refused(tmp_path):
    with pytest.raises(FileError, match=f"0 to 0.003922; which values.*{PYTHON_TOO}"):
        sets_of(tmp_path, RAMPS / 255)


def test_signed_bytes(tmp_path):
    sets = sets_of(tmp_path, (RAMPS * 127).astype(np.int8))
    assert np.abs(sets.train.images[..., 0].astype(int) - BYTES).max() <= 2
    assert sets.preprocessing.pixel_range == (0, 127)


def test_dark_bytes_are_told_and_settled(tmp_path):
    dark = np.rint(RAMPS * 16).astype(np.uint8)  # as scikit-learn's digits
    (note,) = sets_of(tmp_path, dark).notes
    assert note.startswith("pixels are uint8, 0 to 16: 0 becomes black, 255 white")
    sets = sets_of(tmp_path, dark, pixel_range=(0, 16))
    np.testing.assert_array_equal(sets.train.images[..., 0], np.rint(dark / 16 * 255))
    record = Preprocessing.from_json(sets.preprocessing.to_json())
    np.testing.assert_array_equal(record.pixels(dark), sets.train.images[..., 0])
    np.testing.assert_array_equal(record.pixels(BYTES), BYTES)  # as image files have them
    write_png(tmp_path / "a.png", BYTES[0])
    np.testing.assert_array_equal(record.read(tmp_path / "a.png", (12, 16, 1))[..., 0], BYTES[0])
    write_png(tmp_path / "b.png", (RAMP * 65535).astype(np.uint16))
    assert np.abs(record.read(tmp_path / "b.png", (12, 16, 1))[..., 0].astype(int) - BYTES[0]).max() <= 1


@pytest.mark.parametrize(
    ("recorded", "dtype", "top"),
    [
        (TypedRange(0, 1, "float", False), np.float32, 255),
        (TypedRange(0, 1, "float", False), np.float32, 4000),
        (TypedRange(0, 1023, "integer", False), np.uint16, 65535),
        (TypedRange(0, 255, "integer", False), np.uint16, 1023),
    ],
)
def test_an_image_beyond_the_range_of_the_training_is_refused(tmp_path, recorded, dtype, top):
    pixels = (RAMP * top).astype(dtype)
    write_tiff(tmp_path / "a.tif", pixels)
    for record in (
        Preprocessing("picture", 1.0, recorded),
        Preprocessing.from_json(Preprocessing("picture", 1.0, recorded).to_json()),
    ):
        with pytest.raises(FileError, match=f"those of the training went from 0 to .*{PYTHON_TOO}"):
            record.read(tmp_path / "a.tif", (12, 16, 1))
        with pytest.raises(ArgumentError, match=PYTHON_TOO):
            record.pixels(pixels)
        stated = dataclasses.replace(record, pixel_range=(0, top))
        assert np.abs(stated.read(tmp_path / "a.tif", (12, 16, 1))[..., 0].astype(int) - BYTES[0]).max() <= 1


def test_a_window_that_a_person_states_clips(tmp_path):
    tomogram = (RAMPS * 4000 - 1000).astype(np.int16)
    sets = sets_of(tmp_path, tomogram, pixel_range=(-160, 240))
    record = Preprocessing.from_json(sets.preprocessing.to_json())
    np.testing.assert_array_equal(record.pixels(tomogram), sets.train.images[..., 0])
    write_tiff(tmp_path / "a.tif", tomogram[0])
    np.testing.assert_array_equal(record.read(tmp_path / "a.tif", (12, 16, 1)), sets.train.images[0])
    assert "clipped to the training's -160 to 240" in record.range_note(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("recorded", "pixels"),
    [
        (TypedRange(0, 255, "float", False), RAMP.astype(np.float32)),
        (TypedRange(0, 65535, "integer", False), (RAMP * 255).astype(np.uint16)),
    ],
)
def test_a_dark_image_is_told(tmp_path, recorded, pixels):
    record = Preprocessing("picture", 1.0, recorded)
    write_tiff(tmp_path / "a.tif", pixels)
    assert "dark beside the training's 0 to " in record.range_note(tmp_path / "a.tif")
    with pytest.warns(UserWarning, match="dark beside the training's 0 to "):
        record.pixels(pixels)


def test_booleans_are_black_and_white_whatever_the_record():
    for recorded in (None, TypedRange(0, 1023, "integer", False), TypedRange(0, 1023)):
        np.testing.assert_array_equal(Preprocessing(pixel_range=recorded).pixels(RAMP > 0.5), 255 * (RAMP > 0.5))


def test_normalized_images_are_told_from_floats_from_0_to_1():
    model = bh.models.create("article", mean=0.13, std=0.31)
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1), np.uint8)
    images[:, 0] = 0
    with pytest.warns(UserWarning, match="go up to 1, but are taken as normalized.*preprocessing.pixels"):
        model.predict(images / images.max())
    model.warned_of_pixels = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(model.prepare(images))


def test_bytes_of_0_and_1_are_told_where_the_training_scaled_them():
    model = bh.models.create("article")
    model.preprocessing = dataclasses.replace(model.preprocessing, pixel_range=TypedRange(0, 1, "uint8", False))
    images = np.random.default_rng(0).integers(0, 2, (2, 28, 28, 1), np.uint8)
    with pytest.warns(UserWarning, match="go up to 1, but are taken as 0 to 255; in the training 0 was black, 1 white"):
        model.predict(images)
    model.warned_of_pixels = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(model.preprocessing.pixels(images))


def test_a_network_fitted_on_floats_takes_no_bytes_unless_it_is_told_how():
    images, labels = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), np.uint8), np.arange(4) % 2
    trainer = bh.Trainer(bh.models.create("article", classes=2), bh.SGD(lr=0.001), batch_size=4)
    trainer.fit(images / np.float32(255), labels, epochs=1, quiet=True)
    model = trainer.model
    assert model.preprocessing.reader == "array"
    with pytest.raises(ArgumentError, match=r"model.preprocessing = bh.data.Preprocessing"):
        bh.Trainer(model, bh.SGD(lr=0.001), batch_size=4).fit(images, labels, epochs=1, quiet=True)
    model.preprocessing = Preprocessing("picture", 1.0, mean=0, std=1)
    bh.Trainer(model, bh.SGD(lr=0.001), batch_size=4).fit(images, labels, epochs=1, quiet=True)
    assert model.preprocessing.reader == "picture"


@pytest.mark.parametrize(("trained", "given"), [(1, 255), (255, 1)])
def test_floats_of_another_scale_than_the_training_are_told(tmp_path, trained, given):
    images, labels = np.random.default_rng(0).random((4, 28, 28, 1)), np.arange(4) % 2
    model = bh.models.create("article", classes=2, mean=0, std=1 / 255)  # normalized from 0 to 255
    bh.Trainer(model, bh.SGD(lr=1e-6), batch_size=4).fit(images * trained, labels, epochs=1, quiet=True)
    model.save(tmp_path / "model.safetensors")
    for network in (model, bh.load(tmp_path / "model.safetensors")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            network.predict(images * trained)
        with pytest.warns(UserWarning, match=f"images go from .* those of the training went from .* to {trained}"[:-1]):
            network.predict(images * given)


@pytest.mark.parametrize("white", [1, 255])
def test_a_data_sets_own_floats_are_told_where_normalized_ones_are_expected(white):
    record = {"pixel_range": [0, white], "pixel_kind": "float", "pixel_range_stated": False, "mean": 0.14, "std": 0.11}
    images = np.random.default_rng(0).uniform(0.1, 0.85, (4, 28, 28, 1))
    model = bh.models.create("article", classes=2)
    model.preprocessing = Preprocessing.from_json(record)
    with pytest.warns(UserWarning, match=r"taken as normalized.*model.preprocessing.pixels"):
        model.predict(images * white)
    model.warned_of_pixels = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict((images - 0.14) / 0.11 - 1)


def test_a_range_without_use_is_refused(tmp_path):
    for number, name in enumerate("abab"):
        (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
        write_png(tmp_path / "set" / name / f"{number}.png", BYTES[0])
    with pytest.raises(ArgumentError, match="pixel_range is for arrays"):
        bh.data.load(tmp_path / "set", pixel_range=(0, 100))


def test_a_portable_float_map(tmp_path):
    (tmp_path / "a.pfm").write_bytes(b"Pf\n16 12\n-1.0\n" + RAMP[::-1].astype("<f4").tobytes())
    got = photos.from_file(tmp_path / "a.pfm", (12, 16), 1, 1.0)[..., 0]
    assert np.abs(got.astype(int) - BYTES[0]).max() <= 1


def test_four_channels_are_no_image_file(tmp_path):
    write_png(tmp_path / "a.png", BYTES[0])
    with pytest.raises(FileError, match="the network takes 4 channels"):
        photos.from_file(tmp_path / "a.png", (12, 16), 4)
