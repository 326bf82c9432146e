"""TIFF files that Pillow does not read, decoded by hand."""

import numpy as np
import pytest

from byhand.data import find, photos, tiff
from byhand.data.image_decoding import inspect_image
from byhand.errors import ByhandError, FileError
from tests.data.pixel_files import write_classes, write_tiff

ROWS, COLUMNS = np.mgrid[:12, :16]
GRAY = COLUMNS / 15
COLOR = np.stack([COLUMNS / 15, ROWS / 11, (ROWS + COLUMNS) / 26], -1)
WHITES = {"u1": 255, "u2": 65535, "i2": 32767, "u4": 4095, "i4": 4095, "f2": 1, "f4": 1, "f8": 1}
ALL = [(dtype, color, order) for dtype in WHITES for color in (False, True) for order in "<>"]


def stored(dtype, color):
    """Return COLOR or GRAY as pixels of a type."""
    pixels = (COLOR if color else GRAY) * WHITES[dtype]
    return (pixels if dtype[0] == "f" else np.rint(pixels)).astype(dtype)


def assert_read(path, dtype, color, wanted=None):
    """Assert that a file is decoded to the pixels of COLOR or GRAY, or to those wanted."""
    wanted = np.rint(255 * (COLOR if color else GRAY)) if wanted is None else wanted
    tolerance = 1 if dtype == "f2" else 0.6
    size, channels = wanted.shape[:2], 3 if color else 1
    got = photos.from_file(path, size, channels, 1.0, (0, WHITES[dtype])).astype(int)
    assert np.abs(got - wanted.reshape(*size, channels)).max() <= tolerance
    info = inspect_image(path, 0)
    assert (info.size, info.gray) == (size, not color)


@pytest.mark.parametrize(("dtype", "color", "order"), ALL)
def test_types_and_byte_orders(tmp_path, dtype, color, order):
    path = write_tiff(tmp_path / "a.tif", stored(dtype, color), byteorder=order)
    np.testing.assert_array_equal(
        np.squeeze(tiff.read_tiff(path.read_bytes(), path).deep.samples), stored(dtype, color)
    )
    assert_read(path, dtype, color)


@pytest.mark.parametrize(("dtype", "color", "order"), ALL)
def test_deflated_with_each_predictor(tmp_path, dtype, color, order):
    for predictor in (1, 3) if dtype[0] == "f" else (1, 2):
        path = write_tiff(tmp_path / "a.tif", stored(dtype, color), byteorder=order, predictor=predictor)
        np.testing.assert_array_equal(tiff.read_tiff(path.read_bytes(), path).deep.samples, stored(dtype, color))


@pytest.mark.parametrize("dtype", WHITES)
@pytest.mark.parametrize("order", "<>")
def test_white_is_zero(tmp_path, dtype, order):
    pixels = (WHITES[dtype] - stored(dtype, False)).astype(dtype)
    assert_read(write_tiff(tmp_path / "a.tif", pixels, white_is_zero=True, byteorder=order), dtype, False)


@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_planes_and_orientation(tmp_path, dtype):
    path = write_tiff(tmp_path / "a.tif", stored(dtype, True), planar=True, orientation=6)
    assert_read(path, dtype, True, np.rint(255 * np.rot90(COLOR, -1)))


def test_opacity_of_gray_of_16_bits(tmp_path):
    ink = np.stack([np.zeros_like(GRAY), GRAY * 65535], -1).astype(np.uint16)
    path = write_tiff(tmp_path / "a.tif", ink)
    got = photos.from_file(path, (12, 16), 1, 1.0)[..., 0].astype(int)
    assert np.abs(got - 255 * (1 - GRAY)).max() <= 1
    assert inspect_image(path, 0).notes == ("transparent, put on white paper",)


def test_a_folder_of_color_in_floating_point_has_one_range(tmp_path):
    images = [(COLOR * part).astype(np.float32) for part in (1.02, 0.1, 0.5, 0.8)]
    sets = find(write_classes(tmp_path / "set", write_tiff, images, "tif")).sets()
    assert sets.preprocessing.pixel_range == (0, 1) and sets.train.shape == (12, 16, 3)
    np.testing.assert_allclose(sets.train.images[2], np.rint(255 * images[1]), atol=1)


@pytest.mark.parametrize("options", [{"tile": (16, 16)}, {"bigtiff": True}, {"rowsperstrip": 5}])
@pytest.mark.parametrize("dtype", ["u2", "f8"])
def test_tiles_and_strips(tmp_path, options, dtype):
    tifffile = pytest.importorskip("tifffile")
    pixels = np.tile(stored(dtype, True), (2, 3, 1))
    for order in "<>":
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", byteorder=order, compression="zlib", **options)
        np.testing.assert_array_equal(tiff.read_tiff((tmp_path / "a.tif").read_bytes(), "").deep.samples, pixels)


def test_other_kinds_are_refused(tmp_path):
    path = write_tiff(tmp_path / "a.tif", stored("u2", False), photometric=32803)  # a camera's raw pixels
    with pytest.raises(FileError, match="1 samples of 16 bits, photometric interpretation 32803, compression 1"):
        photos.from_file(path, (12, 16), 1)
    nan = write_tiff(tmp_path / "b.tif", np.full((12, 16, 3), np.nan, np.float32))
    with pytest.raises(FileError, match="NaN or infinity"):
        photos.from_file(nan, (12, 16), 3)


def test_broken_bytes_raise_nothing_else(tmp_path):
    random = np.random.default_rng(0)
    for dtype, options in (("f4", {}), ("u2", {"planar": True}), ("f8", {"predictor": 3}), ("i2", {"byteorder": ">"})):
        whole = write_tiff(tmp_path / "a.tif", stored(dtype, True), **options).read_bytes()
        for _ in range(150):
            data = bytearray(whole)
            for at in random.integers(len(data) - 260, len(data), 2):
                data[at] = random.integers(0, 256)
            cut = len(data) if random.random() < 0.8 else int(random.integers(4, len(data)))
            try:
                tiff.read_tiff(bytes(data[:cut]), "a.tif")
            except ByhandError as error:
                assert str(error).isprintable()
