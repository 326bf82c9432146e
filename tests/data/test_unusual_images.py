"""Image files of layouts that are seldom met: packed 16-bit color, CMYK of 16 bits, planes."""

import struct

import numpy as np
import pytest

from byhand.data import photos
from byhand.data.image_decoding import inspect_image
from byhand.errors import FileError
from tests.data.pixel_files import write_tiff

ROWS, COLUMNS = np.mgrid[:12, :16]
COLOR = np.rint(255 * np.stack([COLUMNS / 15, ROWS / 11, (ROWS + COLUMNS) / 26], -1)).astype(np.uint8)


def write_bmp(path, masks):
    """Write COLOR as a BMP of 16 bits a pixel: 5, 6 and 5 bits with masks, else 5 each."""
    wide = COLOR[::-1].astype(np.uint16) >> np.array([3, 2, 3] if masks else [3, 3, 3], np.uint16)
    red, green, blue = np.moveaxis(wide, -1, 0)
    data = (red << (11 if masks else 10) | green << 5 | blue).astype("<u2").tobytes()
    offset = 54 + 12 * masks
    head = b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset)
    head += struct.pack("<IiiHHIIiiII", 40, 16, 12, 1, 16, 3 if masks else 0, len(data), 0, 0, 0, 0)
    path.write_bytes(head + (struct.pack("<III", 0xF800, 0x7E0, 0x1F) if masks else b"") + data)


@pytest.mark.parametrize("masks", [False, True])
def test_bitmaps_of_16_bits_a_pixel_are_of_8_bits_a_channel(tmp_path, masks):
    write_bmp(tmp_path / "a.bmp", masks)
    got = photos.from_file(tmp_path / "a.bmp", (12, 16), 3, 1.0)
    assert np.abs(got.astype(int) - COLOR).max() <= 8
    assert inspect_image(tmp_path / "a.bmp", 0).extent is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cmyk(tmp_path, dtype):
    scale = np.iinfo(dtype).max // 255
    ink = np.concatenate([255 - COLOR, np.zeros((12, 16, 1), np.uint8)], -1).astype(dtype) * dtype(scale)
    write_tiff(tmp_path / "a.tif", ink, photometric=5)
    got = photos.from_file(tmp_path / "a.tif", (12, 16), 3, 1.0)
    assert np.abs(got.astype(int) - COLOR).max() <= 1
    info = inspect_image(tmp_path / "a.tif", 0)
    assert (info.gray, info.extent, info.notes) == (False, None, ("CMYK, made red, green and blue",))


def test_cmyk_of_16_bits_in_planes_is_refused(tmp_path):
    ink = np.zeros((12, 16, 4), np.uint16)
    write_tiff(tmp_path / "a.tif", ink, photometric=5, planar=True)
    with pytest.raises(FileError, match=r"a TIFF of a kind that is not read .4 samples of 16 bits"):
        photos.from_file(tmp_path / "a.tif", (12, 16), 3, 1.0)
