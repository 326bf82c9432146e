"""Photos: resize, crop, orientation and unreadable files."""

import numpy as np
import pytest
from PIL import Image

from byhand.data import photos
from byhand.errors import FileError


def saved(path, array, **settings):
    Image.fromarray(array).save(path, **settings)
    return path


def test_the_central_crop_is_used(tmp_path):
    wide = np.zeros((256, 512, 3), np.uint8)
    wide[16:240, 144:368] = (10, 200, 30)  # what is left of it
    got = photos.from_file(saved(tmp_path / "wide.png", wide))
    assert got.shape == (224, 224, 3) and got.dtype == np.uint8 and (got == (10, 200, 30)).all()
    assert photos.from_file(saved(tmp_path / "tall.png", wide.transpose(1, 0, 2).copy())).shape == (224, 224, 3)
    assert photos.from_file(tmp_path / "wide.png", (96, 64)).shape == (96, 64, 3)


def test_a_photo_of_that_very_size_is_resized_as_pillow_does(tmp_path):
    random = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    wanted = Image.fromarray(random).resize((341, 256), Image.Resampling.BICUBIC).crop((58, 16, 282, 240))
    np.testing.assert_array_equal(photos.from_file(saved(tmp_path / "a.png", random)), np.asarray(wanted))


def test_gray_and_the_whole_shorter_side(tmp_path):
    random = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    path, gray = saved(tmp_path / "a.png", random), Image.fromarray(random).convert("L")
    wanted = gray.resize((48, 32), Image.Resampling.BICUBIC).crop((8, 0, 40, 32))
    np.testing.assert_array_equal(photos.from_file(path, (32, 32), 1, 1.0)[..., 0], np.asarray(wanted))
    np.testing.assert_array_equal(photos.from_file(path, (60, 90), 3, 1.0), random)


def test_orientation_transparency_and_gray(tmp_path):
    half = np.zeros((256, 256, 3), np.uint8)
    half[:, :128] = 255  # bright on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the left is above
    got = photos.from_file(saved(tmp_path / "turned.jpg", half, exif=exif, quality=100))
    assert got[:100].min() > 200 and got[124:].max() < 50
    clear = np.zeros((64, 64, 4), np.uint8)
    assert (photos.from_file(saved(tmp_path / "clear.png", clear)) == 255).all()
    gray = photos.from_file(saved(tmp_path / "gray.png", np.full((64, 64), 77, np.uint8)))
    assert (gray == 77).all()
    sixteen = photos.from_file(saved(tmp_path / "sixteen.png", np.full((64, 64), 257 * 99, np.uint16)))
    assert (sixteen == 99).all()


def test_small_photos_are_upscaled(tmp_path):
    got = photos.from_file(saved(tmp_path / "dot.png", np.full((1, 1, 3), 5, np.uint8)))
    assert got.shape == (224, 224, 3) and (got == 5).all()


@pytest.mark.parametrize("name", ["nothing.jpg", "."])
def test_an_unreadable_photo_is_refused(tmp_path, name):
    with pytest.raises(FileError, match="can't read"):
        photos.from_file(tmp_path / name)
