"""Digit images: normalization to MNIST's form, and errors for files that are no digit."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from byhand.data import digits, mnist
from byhand.errors import ArgumentError, ByhandError, FileError, ShapeError
from tests.memory import peak_below

SEVEN = mnist.test_images()[0]


def center(image):
    y, x = np.nonzero(image)
    weights = image[y, x].astype(float)
    return np.array([np.average(y, weights=weights), np.average(x, weights=weights)])


def saved(tmp_path, image, name="digit.png", **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(tmp_path / name, **options)
    return tmp_path / name


def draw_on_page(image, side=500, digit=240, top=60, left=180, paper=230, ink=40):
    """A digit of MNIST drawn large, off the middle, on a page."""
    large = np.asarray(Image.fromarray(image).resize((digit, digit), Image.Resampling.BICUBIC)) / 255
    page = np.full((side, side), float(paper))
    page[top : top + digit, left : left + digit] += (ink - paper) * large
    return page


def gray(page):
    return np.clip(page, 0, 255).astype(np.uint8)


def likeness(a, b):
    """Correlation, at the best of the shifts by one pixel: rounding the center of mass may go either way."""
    shifted = (np.roll(a, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1))
    return max(np.corrcoef(moved.ravel(), b.ravel())[0, 1] for moved in shifted)


@pytest.mark.parametrize("dark_on_light", [False, True])
def test_mnist_comes_out_as_it_went_in(tmp_path, dark_on_light):
    for image in mnist.test_images()[:300]:
        path = saved(tmp_path, 255 - image if dark_on_light else image)
        digit = digits.from_file(path)
        assert digit.shape == (28, 28, 1) and digit.dtype == np.uint8
        assert np.abs(digit[..., 0].astype(float) - image).mean() < 1
        assert np.abs(center(digit[..., 0]) - center(image)).max() <= 1


@pytest.mark.parametrize("name", ["d.png", "d.jpg", "d.bmp", "d.gif", "d.webp", "d.tiff", "d.ppm"])
def test_a_large_picture_in_every_common_format(tmp_path, name):
    for image in mnist.test_images()[:10]:
        assert likeness(digits.from_file(saved(tmp_path, gray(draw_on_page(image)), name))[..., 0], image) > 0.8


def test_uneven_light_and_noise(tmp_path):
    rng = np.random.default_rng(0)
    light = 1 - 0.6 * np.linspace(0, 1, 500)
    y, x = np.mgrid[-1:1:500j, -1:1:500j]
    for image in mnist.test_images()[:10]:
        page = draw_on_page(image, ink=60) * light + 4 * rng.standard_normal((500, 500))
        assert likeness(digits.from_file(saved(tmp_path, gray(page)))[..., 0], image) > 0.7
        page = draw_on_page(image, ink=60) * (1 - 0.15 * (x**2 + y**2)) + 4 * rng.standard_normal((500, 500))
        assert likeness(digits.from_file(saved(tmp_path, gray(page), "d.jpg"))[..., 0], image) > 0.7
        assert likeness(digits.from_file(saved(tmp_path, gray(255 - page)))[..., 0], image) > 0.7


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I", "I;16", "F", "CMYK", "YCbCr"])
def test_every_mode(tmp_path, mode):
    image = Image.fromarray(gray(draw_on_page(SEVEN, side=300, left=30, top=20)))
    if mode in ("I", "I;16"):
        image = Image.fromarray(np.asarray(image).astype(np.int32 if mode == "I" else np.uint16) * 257)
    else:
        image = image.convert(mode)
    name = "d.tiff" if mode in ("I", "F", "CMYK", "YCbCr") else "d.png"
    assert likeness(digits.from_file(saved(tmp_path, image, name))[..., 0], SEVEN) > 0.8


def test_transparent_is_white_paper(tmp_path):
    ink = np.zeros((28, 28, 4), np.uint8)
    ink[..., 3] = SEVEN
    assert np.abs(digits.from_file(saved(tmp_path, ink))[..., 0].astype(float) - SEVEN).mean() < 1
    assert np.abs(digits.from_array(ink)[..., 0].astype(float) - SEVEN).mean() < 1
    palette = Image.fromarray((SEVEN > 100).astype(np.uint8), "L").convert("P")
    palette.putpalette([0, 0, 0, 0, 0, 0])
    assert likeness(digits.from_file(saved(tmp_path, palette, transparency=0))[..., 0], SEVEN) > 0.8


@pytest.mark.parametrize("name", ["d.jpg", "d.png", "d.tiff"])
def test_exif_orientation_is_applied(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    page = np.rot90(gray(draw_on_page(SEVEN)))
    assert likeness(digits.from_file(saved(tmp_path, page, name, exif=exif))[..., 0], SEVEN) > 0.8


def test_array_kinds_agree():
    page = gray(draw_on_page(SEVEN))
    expected = digits.from_array(page)
    for same in (
        page[..., None],
        np.stack([page] * 3, 2),
        page / 255,
        page.astype(np.float32),
        page.astype(np.int64),
        page.astype(np.uint16) * 257,
    ):
        assert np.abs(digits.from_array(same).astype(int) - expected).max() <= 2
    assert likeness(digits.from_array(page > 120)[..., 0], expected[..., 0]) > 0.8
    page.flags.writeable = False
    digits.from_array(page)


def test_fits_the_box_and_stands_at_its_center_of_mass():
    page = np.zeros((90, 300), np.uint8)
    page[30:50, 20:220] = 200
    digit = digits.from_array(page)[..., 0]
    rows, columns = np.flatnonzero(digit.any(1)), np.flatnonzero(digit.any(0))
    assert (len(rows), len(columns)) == (2, 20) and digit.max() == 255
    assert np.abs(center(digit) - 14).max() <= 0.5


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros(5, np.uint8), ShapeError, r"got \(5,\)"),
        (np.zeros((5, 5, 2), np.uint8), ShapeError, r"got \(5, 5, 2\)"),
        (np.zeros((0, 5), np.uint8), ShapeError, r"got \(0, 5\)"),
        (np.full((5, 5), -1.0), ArgumentError, "got float64 -1.0 to -1.0"),
        (np.full((5, 5), np.nan), ArgumentError, "got float64 nan to nan"),
        (np.full((5, 5), 70000), ArgumentError, "got int64 70000 to 70000"),
        (np.full((5, 5), "a"), ArgumentError, "got <U1"),
        (np.full((50, 50), 255, np.uint8), ArgumentError, "the image is blank"),
        (np.zeros((1, 1), np.uint8), ArgumentError, "the image is blank"),
        (np.zeros((1, 400)), ArgumentError, "the image is blank"),
    ],
)
def test_arrays_that_are_no_digit(image, error, message):
    with pytest.raises(error, match=message) as caught:
        digits.from_array(image)
    assert "\n" not in str(caught.value)


def encoded(format="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(SEVEN).save(buffer, format, **options)
    return buffer.getvalue()


def png(width, height, data=b""):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no image that can be read; expected AVIF, BMP"),
        (b"this is text, whatever its name says\n", "is no image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "is no image that can be read"),
        (encoded("JPEG")[:-200], "can't be decoded: .*; save it anew as PNG"),
        (encoded()[:-60], "can't be decoded"),
        (png(100_000, 100_000), "looks like a decompression bomb"),
        (png(9_600, 9_600), "looks like a decompression bomb"),
        (png(7_000, 7_000), "too large to decode: 7000x7000 pixels, expected at most 25 million; scale it down first"),
        (png(50, 50, bytes(51 * 50)), "the image is blank"),
    ],
)
def test_files_that_are_no_digit(tmp_path, data, message):
    path = tmp_path / "digit.png"
    path.write_bytes(data)
    with pytest.raises(FileError, match=message) as caught:
        digits.from_file(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_path_that_is_no_regular_file_is_refused(tmp_path):
    with pytest.raises(FileError, match="there is no such file; expected an image"):
        digits.from_file(tmp_path / "nothing.png")
    with pytest.raises(FileError, match="it is a folder; expected an image"):
        digits.from_file(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(FileError, match="it is no regular file"):
            digits.from_file(tmp_path / "pipe.png")


def test_a_camera_sized_jpeg_is_decoded_small_and_a_progressive_one_is_held_to_the_limit(tmp_path):
    page = Image.fromarray(gray(draw_on_page(SEVEN))).resize((6000, 6000), Image.Resampling.BILINEAR)
    assert likeness(digits.from_file(saved(tmp_path, page, "d.jpg"))[..., 0], SEVEN) > 0.8
    with pytest.raises(FileError, match="too large to decode: 6000x6000"):
        digits.from_file(saved(tmp_path, page, "p.jpg", progressive=True))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=100)
def test_any_array_gives_a_digit_or_one_line(height, width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    try:
        digit = digits.from_array(image)
        assert digit.shape == (28, 28, 1) and digit.max() == 255
    except ByhandError as error:
        assert "blank" in str(error)


BASES = [
    encoded(),
    encoded("JPEG"),
    encoded("JPEG", progressive=True),
    encoded("GIF"),
    encoded("BMP"),
    encoded("TIFF", compression="tiff_lzw"),
    encoded("WEBP"),
    encoded("PPM"),
]


def reads_or_says_why(path, limit):
    """Fail unless the picture gives a digit, or one line of byhand's, within that much memory."""
    with peak_below(limit):
        try:
            assert digits.from_file(path).shape == (28, 28, 1)
        except ByhandError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("promise", [b"\x05\0\0\0", b"\xff\xff\xff\xff"])
def test_a_chunk_that_promises_gigabytes_gets_what_there_is(tmp_path, promise):
    data = bytearray(BASES[0])
    place = data.index(b"IDAT")
    data[place - 4 : place] = promise
    path = tmp_path / "liar.png"
    path.write_bytes(data)
    reads_or_says_why(path, len(data) + 8e6)


@given(
    st.sampled_from(BASES),
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=6),
    st.one_of(st.none(), st.integers(0, 2000)),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=400)
def test_mutated_pictures_give_a_digit_or_one_line(tmp_path, base, changes, cut):
    data = bytearray(base)
    for at, value in changes:
        data[at % (64 if at % 2 else len(data))] = value  # half of them in the headers
    path = tmp_path / "mutated.png"
    path.write_bytes(data[:cut])
    reads_or_says_why(path, len(data) + 64e6)


def test_ink_on_a_transparent_ground_is_read_in_either_color(tmp_path):
    alpha = Image.fromarray(SEVEN if SEVEN.ndim == 2 else SEVEN[..., 0]).resize((140, 140))
    found = []
    for value in (0, 255):
        ink = Image.new("RGBA", (140, 140), (value, value, value, 0))
        ink.putalpha(alpha)
        found.append(digits.from_file(saved(tmp_path, ink, f"{value}.png")))
    assert likeness(found[0][..., 0], SEVEN) > 0.8
    assert likeness(found[1][..., 0], SEVEN) > 0.8
