"""Which pixel values are black and white: image files and arrays of every type, one range for a whole data set."""

import io

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand.data import find, photos
from byhand.data.image_decoding import inspect_image
from byhand.data.pixel_range import PixelExtent, TypedRange, parse_pixel_range, resolve_pixel_range
from byhand.data.preprocessing import Preprocessing
from byhand.errors import ArgumentError, FileError, UnknownNameError
from tests.data.pixel_files import write_classes, write_png, write_tiff

RAMP = np.tile(np.linspace(0, 1, 16), (12, 1))  # black to white
OPTION = "--pixel-range LOW,HIGH"


def images_of(root, **options):
    """Return the training images of a data set and its notes."""
    sets = find(root, **options).sets()
    return sets.train.images[..., 0], sets


@pytest.mark.parametrize(
    ("top", "white", "dtype", "ending"),
    [
        (1000, 1023, np.uint16, "png"),
        (4000, 4095, np.uint16, "png"),
        (16000, 16383, np.uint16, "tif"),
        (60000, 65535, np.uint16, "tif"),
        (900, 1023, np.int16, "tif"),
        (32000, 32767, np.int16, "tif"),
        (4000, 4095, np.int32, "tif"),
        (4000, 4095, np.uint32, "tif"),
        (1.0, 1, np.float32, "tif"),
        (1.04, 1, np.float32, "tif"),
        (250.0, 255, np.float32, "tif"),
    ],
)
def test_a_folder_has_one_range(tmp_path, top, white, dtype, ending):
    write = write_png if ending == "png" else write_tiff
    ramps = [(RAMP * top * part).astype(dtype) for part in (1, 0.1, 0.5, 0.8)]
    images, sets = images_of(write_classes(tmp_path / "set", write, ramps, ending))
    wanted = [
        np.clip(np.rint(ramp.astype(float) * (255 / white)), 0, 255)
        for ramp in (ramps[0], ramps[2], ramps[1], ramps[3])
    ]
    np.testing.assert_array_equal(images, wanted)
    assert sets.preprocessing == Preprocessing("picture", 1.0, (0, white))
    (note,) = [note for note in sets.notes if "becomes black" in note]
    assert np.dtype(dtype).name in note and f"0 becomes black, {white} white" in note and OPTION in note


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (-1000, 3000, np.int16),
        (0, 2**20, np.int32),
        (0, 2**32 - 1, np.uint32),
        (-1, 1, np.float32),
        (0, 16, np.float32),
    ],
)
def test_what_is_not_clear_is_refused_and_settled(tmp_path, low, high, dtype):
    ramps = [(low + RAMP * (high - low)).astype(dtype)] * 4
    root = write_classes(tmp_path / "set", write_tiff, ramps, "tif")
    with pytest.raises(FileError, match=f"{np.dtype(dtype).name}, {low}.* to {high}.*{OPTION}"):
        find(root)
    images, sets = images_of(root, pixel_range=(low, high))
    assert np.abs(images[0] - RAMP * 255).max() <= 1 and "as --pixel-range says" in sets.notes[-1]


@pytest.mark.parametrize(
    ("dtype", "byteorder"), [(np.uint8, "<"), (np.uint8, ">"), (np.uint16, "<"), (np.float32, "<")]
)
def test_white_is_zero(tmp_path, dtype, byteorder):
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    stored = ((1 - RAMP) * top).astype(dtype)
    path = write_tiff(tmp_path / "a.tif", stored, white_is_zero=True, byteorder=byteorder)
    assert np.abs(photos.from_file(path, (12, 16), 1, 1.0)[..., 0] - RAMP * 255).max() <= 1


def test_white_is_zero_of_12_bits_in_16_and_of_one_bit(tmp_path):
    stored = [((1 - RAMP) * 4095).astype(np.uint16)] * 4
    root = write_classes(tmp_path / "set", lambda path, x: write_tiff(path, x, white_is_zero=True), stored, "tif")
    assert np.abs(images_of(root)[0] - RAMP * 255).max() <= 1
    write_tiff(tmp_path / "one.tif", RAMP < 0.5, white_is_zero=True, bits=1)
    np.testing.assert_array_equal(photos.from_file(tmp_path / "one.tif", (12, 16), 1, 1.0)[..., 0], 255 * (RAMP >= 0.5))


def test_twelve_packed_bits_and_pgm_state_their_white(tmp_path):
    dark = (RAMP * 900).astype(np.uint16)
    write_tiff(tmp_path / "a.tif", dark, bits=12)
    (tmp_path / "b.pgm").write_bytes(b"P5 16 12 1023\n" + dark.astype(">u2").tobytes())
    for name, white in (("a.tif", 4095), ("b.pgm", 1023)):
        got = photos.from_file(tmp_path / name, (12, 16), 1, 1.0)[..., 0]
        assert np.abs(got - dark * (255 / white)).max() <= 1
        assert inspect_image(tmp_path / name, 0).extent is None


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", ["png", "<", ">"])
def test_color_of_16_bits_keeps_them(tmp_path, channels, kind):
    tops = np.array([1000, 500, 250, 65535][:channels])
    stored = [(RAMP[..., None] * tops * part).astype(np.uint16) for part in (1, 0.5, 1, 0.5)]
    for pixels in stored:
        pixels[..., 3:] = 65535
    write = write_png if kind == "png" else lambda path, x: write_tiff(path, x, byteorder=kind)
    sets = find(write_classes(tmp_path / "set", write, stored, "png" if kind == "png" else "tif")).sets()
    assert sets.preprocessing.pixel_range == (0, 1023) and sets.train.shape == (12, 16, 3)
    np.testing.assert_allclose(sets.train.images[0], np.rint(stored[0][..., :3] * (255 / 1023)), atol=1)


def test_transparency_of_16_bits_is_white_paper(tmp_path):
    gray = (RAMP * 65535).astype(np.uint16)
    write_png(tmp_path / "gray.png", gray, transparent=(int(gray[0, 3]),))
    got = photos.from_file(tmp_path / "gray.png", (12, 16), 1, 1.0)[0, :, 0]
    assert got[3] == 255 and got[2] < 50 and got[4] < 90
    color = np.stack([gray, gray, gray // 2], -1)
    write_png(tmp_path / "color.png", color, transparent=tuple(map(int, color[0, 3])))
    got = photos.from_file(tmp_path / "color.png", (12, 16), 3, 1.0)[0]
    assert (got[3] == 255).all() and got[2].max() < 50
    alpha = np.stack([np.zeros_like(gray), gray], -1)  # black ink, ever less transparent
    write_png(tmp_path / "alpha.png", alpha)
    got = photos.from_file(tmp_path / "alpha.png", (12, 16), 1, 1.0)[..., 0]
    assert np.abs(got - 255 * (1 - RAMP)).max() <= 1
    assert inspect_image(tmp_path / "alpha.png", 0).gray
    eight = (RAMP * 255).astype(np.uint8)
    write_png(tmp_path / "eight.png", eight, transparent=(int(eight[0, 3]),))
    assert photos.from_file(tmp_path / "eight.png", (12, 16), 1, 1.0)[0, 3, 0] == 255


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBA", "P", "P with alpha", "CMYK", "1", "L"])
def test_every_mode_is_gray_or_color_as_it_is_seen(tmp_path, mode):
    gray = Image.fromarray((RAMP * 255).astype(np.uint8))
    path, options, tolerance = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"), {}, 6 if mode == "CMYK" else 0
    image, wanted = gray.convert(mode.split()[0]) if mode != "PA" else gray.convert("LA"), np.asarray(gray).astype(int)
    if mode == "1":
        wanted = np.asarray(image) * 255
    if mode == "P with alpha":
        options, wanted = {"transparency": 0}, np.where(wanted == 0, 255, wanted)
    image.save(path, **options | ({"quality": 100} if mode == "CMYK" else {}))
    for channels in (1, 3):
        got = photos.from_file(path, (12, 16), channels, 1.0).astype(int)
        assert np.abs(got - wanted[..., None]).max() <= tolerance


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_planes(tmp_path, dtype):
    color = (RAMP[..., None] * [255, 100, 50]).astype(np.uint8)
    write_tiff(tmp_path / "a.tif", color * dtype(np.iinfo(dtype).max // 255), planar=True)
    np.testing.assert_array_equal(photos.from_file(tmp_path / "a.tif", (12, 16), 3, 1.0), color)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "color of 16 bits", "exif"])
def test_an_image_is_upright_whatever_its_orientation(tmp_path, orientation, kind):
    stored = (np.arange(12)[:, None] * 16 + np.arange(16)).astype(np.uint8)
    turned = [
        stored,
        stored[:, ::-1],
        stored[::-1, ::-1],
        stored[::-1],
        stored.T,
        stored.T[:, ::-1],
        stored.T[::-1, ::-1],
    ]
    wanted = [*turned, stored.T[::-1]][orientation - 1]
    path = tmp_path / ("a.png" if kind == "exif" else "a.tif")
    if kind == "exif":
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(stored).save(path, exif=exif)
    else:
        pixels = stored if kind == "8 bits" else stored.astype(np.uint16) * 257
        write_tiff(path, np.stack([pixels] * 3, -1) if "color" in kind else pixels, orientation=orientation)
    np.testing.assert_array_equal(photos.from_file(path, wanted.shape, 1, 1.0)[..., 0], wanted)
    assert inspect_image(path, 0).size == inspect_image(path, 10**6).size == wanted.shape


def test_files_of_8_bits_keep_theirs_beside_deep_ones(tmp_path):
    deep, plain = (RAMP * 1000).astype(np.uint16), (RAMP * 100).astype(np.uint8)
    images, sets = images_of(write_classes(tmp_path / "set", write_png, [deep, deep, plain, plain], "png"))
    np.testing.assert_array_equal(images[1], plain)
    np.testing.assert_array_equal(images[0], np.rint(deep * (255 / 1023)))
    assert "2 of 4 have more than 8 bits: pixels are uint16, 0 to 1000" in sets.notes[-1]


def test_floats_beside_integers_and_nan_are_refused(tmp_path):
    deep, floating = (RAMP * 1000).astype(np.uint16), RAMP.astype(np.float32)
    root = write_classes(tmp_path / "set", write_tiff, [deep, floating] * 2, "tif")
    with pytest.raises(FileError, match=r"uint16 and float32, 0 to 1000; .* save them as one type"):
        find(root)
    floating[3, 4] = np.nan
    write_tiff(root / "b" / "0.tif", floating)
    write_tiff(root / "b" / "1.tif", deep)
    sets = find(root).sets()
    assert sets.bad == (("b/0.tif", "holds NaN or infinity; expected finite numbers"),)


def test_one_image_alone_is_read_where_it_is_clear(tmp_path):
    for top, dtype in ((60000, np.uint16), (1, np.float32), (200, np.float32)):
        write_tiff(tmp_path / "clear.tif", (RAMP * top).astype(dtype))
        assert photos.from_file(tmp_path / "clear.tif", (12, 16), 1, 1.0).max() > 190
    for top, dtype in ((1000, np.uint16), (240, np.uint16), (30, np.float32), (100, np.int8)):
        write_tiff(tmp_path / "dark.tif", (RAMP * top).astype(dtype))
        with pytest.raises(FileError, match=OPTION):
            photos.from_file(tmp_path / "dark.tif", (12, 16), 1, 1.0)
        got = photos.from_file(tmp_path / "dark.tif", (12, 16), 1, 1.0, (0, top))
        assert np.abs(got[..., 0] - RAMP * 255).max() <= 3
    assert Preprocessing("picture", 1.0, (0, 1023)).read(tmp_path / "clear.tif", (12, 16, 1)).max() > 40


def test_the_first_of_several_frames_is_told(tmp_path):
    frames = [Image.fromarray(np.full((12, 16), 100 * k, np.uint8)) for k in (1, 2)]
    root = write_classes(
        tmp_path / "set", lambda path, x: Image.fromarray(x).save(path), [np.asarray(frames[0])] * 4, "gif"
    )
    frames[0].save(root / "a" / "0.gif", save_all=True, append_images=frames[1:])
    frames[0].save(root / "a" / "2.tif", save_all=True, append_images=frames[1:])
    images, sets = images_of(root)
    assert (images == 100).all() and "2 of 5: several pages or frames, the first is taken" in sets.notes


@pytest.mark.parametrize(
    ("name", "advice"),
    [("a.heic", "save it as JPEG"), ("a.CR2", "develop it"), ("a.dcm", "convert it"), ("a.tif", "a broken TIFF")],
)
def test_other_formats_get_advice(tmp_path, name, advice):
    (tmp_path / name).write_bytes(b"II*\0 no image")
    with pytest.raises(FileError, match=advice):
        photos.from_file(tmp_path / name)


# arrays ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "top", "white"),
    [
        (np.float32, 1 + 1e-6, 1),
        (np.float64, 1.02, 1),
        (np.float32, 254.9, 255),
        (np.int16, 1000, 1023),
        (np.int64, 255, 255),
        (np.uint16, 65535, 65535),
        (np.int64, 1, 1),
        (bool, 1, 1),
    ],
)
def test_arrays_have_one_range(tmp_path, dtype, top, white):
    train, test = (np.stack([(RAMP * top * part).astype(dtype)] * 4) for part in (1, 0.25))
    y = np.arange(4) % 2
    np.savez(
        tmp_path / "a.npz", x_train=test, y_train=y, x_test=train, y_test=y
    )  # the largest value is in the test set
    sets = find(tmp_path / "a.npz").sets()
    assert sets.preprocessing == Preprocessing("picture", 1.0, (0, white))
    for images, array in ((sets.test.images, train), (sets.train.images, test)):
        np.testing.assert_array_equal(images[..., 0], np.clip(np.rint(array.astype(float) * (255 / white)), 0, 255))
    assert len(sets.notes) == (white != 255)


def test_arrays_that_are_not_clear_are_refused_and_settled(tmp_path):
    y = np.arange(4) % 2
    for low, high, dtype in ((-1, 1, np.float32), (0, 16, np.float64), (-1024, 3071, np.int16), (0, 70000, np.int64)):
        np.savez(tmp_path / "a.npz", images=np.stack([(low + RAMP * (high - low)).astype(dtype)] * 4), labels=y)
        with pytest.raises(FileError, match=OPTION):
            find(tmp_path / "a.npz")
        images, sets = images_of(tmp_path / "a.npz", pixel_range=(low, high))
        assert np.abs(images - RAMP * 255).max() <= 1 and sets.preprocessing.pixel_range == (low, high)
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8), np.uint8), labels=y)
    assert find(tmp_path / "a.npz", pixel_range=(0, 9)).pixel_range == (0, 9)


def test_the_option_and_the_record_are_checked():
    for wrong in ("", "5", "1,0", "0,nan", "a,b", "1,2,3"):
        with pytest.raises(ArgumentError, match="--pixel-range is"):
            parse_pixel_range(wrong)
    for wrong in (
        {"reader": "eye"},
        {"crop_pct": 2},
        {"pixel_range": [1, 0]},
        {"mean": "x"},
        {"more": 1},
        [],
        None,
        {"std": {}},
    ):
        with pytest.raises(FileError, match="its preprocessing is"):
            Preprocessing.from_json(wrong)
    with pytest.raises(UnknownNameError):
        Preprocessing("eye")
    with pytest.raises(ArgumentError, match="std is 0"):
        bh.models.create("article", std=0)
    assert resolve_pixel_range(PixelExtent(("uint16",), 0, 0)) == (0, 1)


def test_floats_that_look_like_pixels_are_warned_of_once(recwarn):
    model = bh.models.create("article")
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1))
    with pytest.warns(UserWarning, match="go up to 25.*from -0.5 to 0.5.*model.preprocessing.pixels"):
        model.predict(images.astype(float))
    model.predict(images.astype(float))
    model.predict(model.prepare(images.astype(np.uint8)))
    np.testing.assert_array_equal(
        model.predict(model.preprocessing.pixels(images.astype(float))), model.predict(images.astype(np.uint8))
    )
    assert not recwarn.list
    with pytest.raises(ArgumentError, match="int64; expected uint8"):
        model.predict(images)


def test_floats_that_look_like_pixels_are_warned_of_in_training():
    rng, labels = np.random.default_rng(0), np.arange(4) % 2
    images = rng.integers(0, 256, (4, 28, 28, 1)).astype(np.float32)
    trainer = bh.Trainer(bh.models.create("article", classes=2), bh.SGD(lr=0.001), batch_size=4)
    with pytest.warns(UserWarning, match="go up to 25"):
        trainer.fit(bh.data.Dataset(images, labels, ("a", "b")), epochs=1, quiet=True)
    assert trainer.model.preprocessing.reader == "array"
    trainer.model.predict(images)  # as it was trained
    with pytest.raises(ArgumentError, match="--reader picture, --mean and --std"):
        trainer.model.preprocessing.read("a.png", (28, 28, 1))
    trainer = bh.Trainer(bh.models.create("article"), bh.SGD(lr=0.001), batch_size=4)
    trainer.fit(bh.data.load("mnist")[0].take(4), epochs=1, quiet=True)
    assert trainer.model.preprocessing.reader == "digit"


def test_a_training_in_python_records_what_load_did(tmp_path):
    images = np.random.default_rng(0).integers(0, 1024, (8, 28, 28), np.uint16)
    root = write_classes(tmp_path / "set", write_png, images, "png")
    for pixel_range in (None, (0, 4095)):
        train, _ = bh.data.load(root, pixel_range=pixel_range)
        trainer = bh.Trainer(bh.models.create("article", train.classes), bh.SGD(lr=0.001), batch_size=4)
        trainer.fit(train, epochs=1, quiet=True)
        record = trainer.model.preprocessing
        assert (record.crop_pct, record.pixel_range) == (1.0, pixel_range or (0, 1023))
    assert bh.data.load("mnist", reader="picture")[0].take(2).preprocessing.reader == "picture"


def test_a_range_of_another_kind_of_pixels_is_not_applied(tmp_path):
    record = Preprocessing("picture", 1.0, TypedRange(0, 1, "float"))
    write_tiff(tmp_path / "a.tif", (RAMP * 65535).astype(np.uint16))
    assert np.abs(record.read(tmp_path / "a.tif", (12, 16, 1))[..., 0] - RAMP * 255).max() <= 1
    record = Preprocessing("picture", 1.0, TypedRange(0, 1023, "integer"))
    assert record.range_note(tmp_path / "a.tif").endswith(
        f"0 to 65535, clipped to the training's 0 to 1023; {OPTION} says otherwise"
    )
    write_tiff(tmp_path / "a.tif", RAMP.astype(np.float32))
    assert np.abs(record.read(tmp_path / "a.tif", (12, 16, 1))[..., 0] - RAMP * 255).max() <= 1
    assert "the training integers" in record.range_note(tmp_path / "a.tif")
    assert np.abs(record.pixels(RAMP) - RAMP * 255).max() <= 1
    again = Preprocessing.from_json(record.to_json())
    assert record.to_json()["pixel_kind"] == again.pixel_range.kind == "integer"


@pytest.mark.parametrize(
    ("pixel_range", "value", "level"), [((0, 1000), 0.9, 0), ((-1024, 3071), 0, 64), ((0, 1000), 500, 128)]
)
def test_a_dim_image_of_floats_has_the_range_of_its_set(tmp_path, pixel_range, value, level):
    flat = np.full((12, 16), value, np.float32)
    ramps = [RAMP.astype(np.float32) * 1000, flat, flat, flat]
    images, sets = images_of(write_classes(tmp_path / "set", write_tiff, ramps, "tif"), pixel_range=pixel_range)
    assert (images == level).all(axis=(1, 2)).sum() == 3
    assert sets.preprocessing.pixel_range.kind == "float"
    write_tiff(tmp_path / "a.tif", flat)
    assert (sets.preprocessing.read(tmp_path / "a.tif", (12, 16, 1)) == level).all()


@pytest.mark.parametrize(("given", "level"), [(None, 255), ((0, 1), 255), ((0, 255), 1)])
def test_bytes_of_0_and_1_are_black_and_white(tmp_path, given, level):
    ones = np.eye(8, dtype=np.uint8)[None].repeat(4, 0)
    np.savez(tmp_path / "a.npz", images=ones, labels=np.arange(4) % 2)
    images, sets = images_of(tmp_path / "a.npz", pixel_range=given)
    np.testing.assert_array_equal(images, ones * level)
    assert given == (0, 255) or any("1 white" in note for note in sets.notes)
    np.testing.assert_array_equal(sets.preprocessing.pixels(ones), ones * level)
    np.testing.assert_array_equal(sets.preprocessing.pixels(images), images)


def test_half_floats_whose_sum_overflows_are_finite(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.full((4, 8, 8), 40000, np.float16), labels=np.arange(4) % 2)
    assert images_of(tmp_path / "a.npz", pixel_range=(0, 50000))[0].min() == 204


def test_a_jpeg_of_two_pictures_is_one_page(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12)).save(buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (16, 12))])
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    assert inspect_image(tmp_path / "a.jpg", 0).notes == ()
