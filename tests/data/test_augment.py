"""Augmentation: each transform against a reference, independence between images, and the text form."""

import numpy as np
import pytest
from PIL import Image
from scipy.stats import beta

from byhand.data.augment import Augment, suggest
from byhand.data.augment.color import LUMA
from byhand.data.augment.mixup import beta_weights
from byhand.data.augment.registry import REGISTRY, augmentation
from byhand.data.image_warp import affine_warp, flip_and_shift
from byhand.errors import ArgumentError, ShapeError, UnknownNameError

ALL = Augment(flip=True, shift=2, rotate=20, crop=0.4, color=0.3, cutout=4, mixup=0.4)
EACH = ["flip", "shift=2", "rotate=30", "crop=0.6", "color=0.4", "cutout=5", "mixup=0.2", "flip,shift=3,cutout=4"]
SHAPES = [(12, 12, 3), (28, 28, 1), (9, 14, 4), (13, 8, 2), (8, 8, 7)]


def batch(n, shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), np.uint8)


def draw_uniforms(n, augment, seed=1):
    return np.random.default_rng(seed).random((n, augment.uniforms_per_image))


def smooth(height, width, channels=3):
    """An image whose interpolation is hardly a matter of taste."""
    y, x, c = np.mgrid[:height, :width, :channels]
    return np.rint(127 + 60 * np.sin(y / 7 + c) + 60 * np.cos(x / 9 - c)).astype(np.uint8)


# independence between images ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("text", [*EACH, str(ALL)])
def test_results_do_not_depend_on_batching_or_order(text, shape):
    augment, n = Augment.parse(text), 37
    images, uniforms = batch(n, shape), draw_uniforms(n, augment)
    others = batch(n, shape, 2) if augment.mixup else None
    before = images.copy()
    whole = augment(images, uniforms, others)
    assert (
        whole.flags.c_contiguous
        and whole.dtype == np.uint8
        and whole.shape == images.shape
        and not np.shares_memory(whole, images)
    )
    np.testing.assert_array_equal(images, before)
    assert (whole != images).any((1, 2, 3)).mean() > 0.4, "nothing happened"
    order = np.random.default_rng(3).permutation(n)
    for part in (*([i] for i in range(n)), range(5), range(5, n), order):
        part = list(part)
        other = None if others is None else others[part]
        np.testing.assert_array_equal(augment(images[part], uniforms[part], other), whole[part])


def test_more_images_than_are_worked_on_at_a_time():
    images, uniforms = batch(9, (100, 120, 3)), draw_uniforms(9, ALL)
    whole = ALL(images, uniforms, images[::-1])
    for i in range(9):
        np.testing.assert_array_equal(ALL(images[i : i + 1], uniforms[i : i + 1], images[::-1][i : i + 1])[0], whole[i])


def test_non_contiguous_images_are_augmented():
    images = batch(6, (24, 20, 4))[:, ::2, ::-1, 1:].transpose(0, 2, 1, 3)
    uniforms = draw_uniforms(6, ALL)
    assert ALL(images, uniforms, images).flags.c_contiguous
    np.testing.assert_array_equal(ALL(images, uniforms, images), ALL(images.copy(), uniforms, images.copy()))
    images.flags.writeable = False
    for text in EACH:
        augment = Augment.parse(text)
        np.testing.assert_array_equal(
            augment(images, draw_uniforms(6, augment), images),
            augment(images.copy(), draw_uniforms(6, augment), images.copy()),
        )


# each transform against a reference -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_flip_is_a_mirror_every_other_time(shape):
    images, uniforms = batch(40, shape), draw_uniforms(40, Augment(flip=True))
    got = Augment(flip=True)(images, uniforms)
    wanted = [np.fliplr(image) if u < 0.5 else image for image, u in zip(images, uniforms[:, 0])]
    np.testing.assert_array_equal(got, wanted)
    assert 10 < (uniforms < 0.5).sum() < 30


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shift_is_a_slice_of_the_reflected_image(shape, flip):
    height, width = shape[:2]
    most = min(height, width) - 1  # as far as a mirror at the border can see
    augment = Augment(flip=flip, shift=most)
    images, uniforms = batch(60, shape), draw_uniforms(60, augment)
    got, seen = augment(images, uniforms), set()
    for image, u, result in zip(images, uniforms, got):
        image = np.fliplr(image) if flip and u[0] < 0.5 else image
        down, right = (int(np.floor(uniform * (2 * most + 1))) - most for uniform in u[-2:])
        padded = np.pad(image, ((most, most), (most, most), (0, 0)), mode="reflect")
        wanted = padded[most - down : most - down + height, most - right : most - right + width]
        np.testing.assert_array_equal(result, wanted)
        seen |= {down, right}
    assert len(seen) > most and min(seen) < 0 < max(seen)


def test_every_shift_is_as_frequent_as_another():
    image = np.arange(49, dtype=np.uint8).reshape(1, 7, 7, 1)
    u = (np.arange(25) + 0.5) / 25
    grid = np.stack(np.meshgrid(u, u, indexing="ij"), -1).reshape(-1, 2)
    got = Augment(shift=2)(image.repeat(len(grid), 0), grid)
    middles, counts = np.unique(got[:, 3, 3, 0], return_counts=True)
    assert len(middles) == 25 and (counts == 25).all()


@pytest.mark.parametrize("shape", [(64, 64, 3), (48, 80, 1), (61, 40, 4)], ids=str)
def test_rotate_is_pillows(shape):
    image = smooth(*shape)
    augment = Augment(rotate=45)
    for u in (0.0, 0.2, 0.5, 0.7, 0.999):
        got = augment(image[None], np.array([[u]]))[0]
        angle = 45 * (2 * u - 1)
        pad = 40
        padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
        bands = [Image.fromarray(np.ascontiguousarray(padded[..., c])) for c in range(shape[2])]
        turned = np.stack(
            [np.asarray(band.rotate(-angle, Image.Resampling.BILINEAR, translate=(0, 0))) for band in bands], -1
        )
        wanted = turned[pad:-pad, pad:-pad].astype(int)
        difference = np.abs(got - wanted)
        assert difference.max() <= 3 and difference.mean() < 0.6, (u, difference.max(), difference.mean())
        assert u == 0.5 or np.abs(image - wanted).mean() > 5


def test_rotation_by_0_and_by_180_degrees():
    images = batch(3, (11, 16, 3))
    np.testing.assert_array_equal(Augment(rotate=90)(images, np.full((3, 1), 0.5)), images)
    np.testing.assert_array_equal(Augment(rotate=180)(images, np.zeros((3, 1))), images[:, ::-1, ::-1])
    square = batch(3, (9, 9, 3))
    quarter = Augment(rotate=90)(square, np.zeros((3, 1)))
    np.testing.assert_array_equal(quarter, np.rot90(square, 1, (1, 2)))


@pytest.mark.parametrize("shape", [(48, 48, 3), (40, 64, 1)], ids=str)
def test_crop_is_pillows_resize_of_the_part_that_is_kept(shape):
    height, width, channels = shape
    image = smooth(*shape)
    augment = Augment(crop=0.7)
    kept, aspects = [], []
    for u in draw_uniforms(60, augment):
        got = augment(image[None], u[None])[0]
        area = 1 - 0.7 * u[0]
        widest = min(4 / 3, 1 / area)
        aspect = widest ** (2 * u[1] - 1)
        wide, tall = np.sqrt(area * aspect), np.sqrt(area / aspect)
        assert max(wide, tall) <= 1 + 1e-12 and 3 / 4 - 1e-12 <= wide / tall <= 4 / 3 + 1e-12
        left, top = (1 - wide) * u[2] * width, (1 - tall) * u[3] * height
        data = (wide, 0, left, 0, tall, top)
        bands = [Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(channels)]
        wanted = np.stack(
            [
                np.asarray(band.transform((width, height), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR))
                for band in bands
            ],
            -1,
        )
        inside = np.abs(got[1:-1, 1:-1].astype(int) - wanted[1:-1, 1:-1])
        assert inside.max() <= 3 and inside.mean() < 0.7
        kept.append(area)
        aspects.append(aspect)
    assert 0.3 < min(kept) < 0.4 and 0.9 < max(kept) < 1 and max(aspects) > 1.2 and min(aspects) < 0.85


def test_a_crop_of_nothing_is_the_image():
    images = batch(4, (15, 10, 3))
    np.testing.assert_array_equal(Augment(crop=0.9)(images, np.array([[0, 0.3, 0.4, 0.9]] * 4)), images)


def test_one_resampling_moves_as_whole_pixels_do():
    """Flip and shift through the affine map, turned by nothing, are flip and shift alone."""
    images = batch(50, (14, 11, 3))
    plain, turned = Augment(flip=True, shift=5), Augment(flip=True, shift=5, rotate=10)
    uniforms = draw_uniforms(50, plain)
    through = np.insert(uniforms, 1, 0.5, axis=1)  # no turn
    np.testing.assert_array_equal(turned(images, through), plain(images, uniforms))


def test_crop_flip_rotate_shift_happen_in_that_order():
    image = smooth(64, 64)
    together = Augment(crop=0.4, flip=True, rotate=25, shift=6)
    u = np.array([0.8, 0.3, 0.6, 0.2, 0.1, 0.9, 0.8, 0.15])
    got = together(image[None], u[None])[0].astype(int)
    wanted = image[None]
    for method, part in (
        (Augment(crop=0.4), u[:4]),
        (Augment(flip=True), u[4:5]),
        (Augment(rotate=25), u[5:6]),
        (Augment(shift=6), u[6:]),
    ):
        wanted = method(wanted, part[None])
    middle = np.abs(got - wanted[0])[20:-20, 20:-20]  # at the border, reflections differ
    assert middle.max() <= 4 and middle.mean() < 1
    assert (
        sum(REGISTRY[name].uniforms for name in ("crop", "flip", "rotate", "shift")) == together.uniforms_per_image == 8
    )


def test_warped_beside_bilinear_interpolation_as_it_is_written():
    images = batch(5, (9, 13, 5))
    rng = np.random.default_rng(5)
    maps = np.array([[[1, 0, 0], [0, 1, 0]]] * 5) + rng.normal(0, 0.4, (5, 2, 3)) * [1, 1, 8]
    got = affine_warp(images, maps)
    rows, columns = (np.pad(np.arange(size), 60, mode="reflect") for size in (9, 13))
    for k in range(5):
        for i, j in np.ndindex(9, 13):
            x, y = maps[k] @ (j + 0.5, i + 0.5, 1) - 0.5
            left, top = int(np.floor(x)), int(np.floor(y))
            wanted = np.zeros(5)
            for a, b in np.ndindex(2, 2):
                share = (1 - abs(x - left - b)) * (1 - abs(y - top - a))
                wanted += share * images[k, rows[top + a + 60], columns[left + b + 60]]
            assert np.abs(got[k, i, j] - wanted).max() < 2, (k, i, j)


def jittered(image, u, color):
    """The three factors, one after the other, as they are said."""
    brightness, contrast, saturation = 1 + color * (2 * u - 1)
    weights = np.array(LUMA if image.shape[2] == 3 else [1 / image.shape[2]] * image.shape[2])
    x = image * brightness
    x = (x @ weights).mean() + (x - (x @ weights).mean()) * contrast
    if image.shape[2] == 3:
        gray = (x @ weights)[..., None]
        x = gray + (x - gray) * saturation
    return np.clip(x, 0, 255)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_color_is_brightness_contrast_and_saturation(shape):
    augment = Augment(color=0.5)
    images, uniforms = batch(20, shape), draw_uniforms(20, augment)
    got = augment(images, uniforms)
    wanted = np.stack([jittered(image, u, 0.5) for image, u in zip(images, uniforms)])
    assert np.abs(got - wanted).max() < 0.51
    np.testing.assert_array_equal(augment(images, np.full((20, 3), 0.5)), images)


def test_gray_stays_gray_and_contrast_keeps_the_mean():
    gray = np.random.default_rng(0).integers(80, 170, (8, 16, 16, 1), np.uint8)
    colors = Augment(color=0.4)(gray.repeat(3, 3), draw_uniforms(8, Augment(color=0.4)))
    assert (np.ptp(colors, axis=-1) <= 1).all()
    uniforms = np.full((8, 3), 0.5)
    uniforms[:, 1] = np.linspace(0, 0.99, 8)
    contrast = Augment(color=0.4)(gray, uniforms)
    assert np.abs(contrast.mean((1, 2, 3)) - gray.mean((1, 2, 3))).max() < 0.5
    spread = contrast.std((1, 2, 3)) / gray.std((1, 2, 3))
    np.testing.assert_allclose(spread, 1 + 0.4 * (2 * uniforms[:, 1] - 1), atol=0.01)


@pytest.mark.parametrize("side", [1, 4, 5, 8])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cutout_sets_one_square_to_the_mean(shape, side):
    augment = Augment(cutout=side)
    images, uniforms = batch(50, shape), draw_uniforms(50, augment)
    uniforms[:4] = [(0, 0), (0, 1 - 1e-9), (1 - 1e-9, 0), (1 - 1e-9, 1 - 1e-9)]
    height, width = shape[:2]
    for image, u, got in zip(images, uniforms, augment(images, uniforms)):
        wanted = image.copy()
        top, left = int(u[0] * height) - side // 2, int(u[1] * width) - side // 2
        wanted[max(top, 0) : top + side, max(left, 0) : left + side] = image.mean((0, 1)).round()
        np.testing.assert_array_equal(got, wanted)


# mixup ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.2, 0.4, 1, 2, 8, 100])
def test_mixing_is_scipys_beta(alpha):
    u = np.concatenate([np.linspace(0.0005, 0.9995, 1999), [1e-6, 1 - 1e-6]])
    np.testing.assert_allclose(beta_weights(u, alpha), beta.ppf(u, alpha + 1, alpha), atol=1e-3)
    assert (np.diff(beta_weights(np.linspace(0, 1, 5000, endpoint=False), alpha)) >= 0).all()


@pytest.mark.parametrize("alpha", [1e-9, 1e-3, 1e5, 1e9])
def test_mixing_at_the_ends_of_what_can_be_asked(alpha):
    u = np.linspace(0.01, 0.99, 99)
    weights = beta_weights(u, alpha)
    assert np.isfinite(weights).all()
    assert weights.min() > 0.99 if alpha < 0.01 else np.abs(weights - 0.5).max() < 0.01


def test_mixup_blends_before_anything_else():
    images, others = batch(30, (8, 8, 3)), batch(30, (8, 8, 3), 2)
    uniforms = draw_uniforms(30, Augment(mixup=1))
    weight = beta.ppf(uniforms[:, 0], 2, 1)[:, None, None, None]
    got = Augment(mixup=1)(images, uniforms, others)
    assert np.abs(got - (weight * images + (1 - weight) * others)).max() < 0.51 + 0.3
    both = Augment(mixup=1, flip=True, cutout=3)
    uniforms = draw_uniforms(30, both)
    rest = Augment(flip=True, cutout=3)
    mixed = Augment(mixup=1)(images, uniforms[:, :1], others)
    np.testing.assert_array_equal(both(images, uniforms, others), rest(mixed, uniforms[:, 1:]))


def test_one_label_gives_the_gradient_of_two():
    """The identity that mixup stands on here, on the loss of a logistic regression."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=4), rng.normal(size=4)
    alpha, n = 0.7, 20000
    u = (np.arange(n) + 0.5) / n

    def cross_entropy(x, label):
        return np.log1p(np.exp(-(2 * label - 1) * (x @ [1.0, -2, 0.5, 1])))

    two, weight = beta.ppf(u, alpha, alpha)[:, None], beta_weights(u, alpha)[:, None]
    # a has the label 1, b the label 0, and each comes first as often as the other
    x = two * a + (1 - two) * b
    both = (two[:, 0] * cross_entropy(x, 1) + (1 - two[:, 0]) * cross_entropy(x, 0)).mean()
    first = (
        cross_entropy(weight * a + (1 - weight) * b, 1).mean() + cross_entropy(weight * b + (1 - weight) * a, 0).mean()
    ) / 2
    assert abs(both - first) < 1e-3 * both


# edge cases -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_of_one_pixel(channels):
    images = batch(20, (1, 1, channels))
    for text in ("flip", "rotate=180", "crop=0.9", "flip,rotate=30,crop=0.5", "cutout=1"):
        augment = Augment.parse(text)
        np.testing.assert_array_equal(augment(images, draw_uniforms(20, augment)), images)
    assert Augment(color=0.5)(images, draw_uniforms(20, Augment(color=0.5))).shape == images.shape
    with pytest.raises(ArgumentError, match="shift is 1 pixels, but the images have 1 x 1; expected 0 at most"):
        Augment(shift=1)(images, draw_uniforms(20, Augment(shift=1)))


@pytest.mark.parametrize("shape", [(1, 9, 3), (9, 1, 1), (2, 30, 4)], ids=str)
def test_thin_images(shape):
    augment = Augment(flip=True, rotate=180, crop=0.8, color=0.2, cutout=1)
    images = np.full((16, *shape), 77, np.uint8)
    np.testing.assert_array_equal(
        Augment(rotate=180, crop=0.8, cutout=1)(images, np.random.default_rng(0).random((16, 7))), images
    )
    assert augment(batch(16, shape), draw_uniforms(16, augment)).shape == images.shape


@pytest.mark.parametrize("text", [*EACH, str(ALL), "none"])
def test_an_empty_batch_is_augmented(text):
    augment = Augment.parse(text)
    empty = np.zeros((0, 10, 10, 3), np.uint8)
    got = augment(empty, np.zeros((0, augment.uniforms_per_image)), empty)
    assert got.shape == empty.shape and got.dtype == np.uint8


def test_without_augmentation_images_are_copied():
    images = batch(3, (4, 4, 1))
    got = Augment()(images, np.zeros((3, 0)))
    np.testing.assert_array_equal(got, images)
    assert Augment().uniforms_per_image == 0 and not np.shares_memory(got, images)


def test_black_and_white_stay_in_range():
    for value in (0, 255):
        images = np.full((30, 12, 12, 3), value, np.uint8)
        augment = Augment(flip=True, shift=2, rotate=20, crop=0.4, cutout=4, mixup=0.4)
        np.testing.assert_array_equal(augment(images, draw_uniforms(30, augment), images), images)
    assert Augment(color=0.9)(images, draw_uniforms(30, Augment(color=0.9))).max() == 255


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shift": 8}, "shift is 8 pixels, but the images have 8 x 10; expected 7 at most"),
        ({"cutout": 9}, "cutout is 9 pixels, but the images have 8 x 10; expected 8 at most"),
    ],
)
def test_larger_than_the_image(settings, message):
    augment = Augment(**settings)
    for call in (lambda: augment.check((8, 10, 3)), lambda: augment(batch(2, (8, 10, 3)), draw_uniforms(2, augment))):
        with pytest.raises(ArgumentError, match=f"augment: {message}"):
            call()
    augment.check((9, 10, 3))


def test_arrays_that_do_not_fit():
    images = batch(2, (6, 6, 3))
    flip, mix = Augment(flip=True), Augment(mixup=1)
    with pytest.raises(ShapeError, match=r"images are float64 \(2, 6, 6, 3\); expected uint8"):
        flip(images / 255, draw_uniforms(2, flip))
    with pytest.raises(ShapeError, match=r"images are uint8 \(6, 6, 3\)"):
        flip(images[0], draw_uniforms(2, flip))
    with pytest.raises(ShapeError, match=r"uniforms are float64 \(2, 2\); expected \(2, 1\)"):
        flip(images, np.zeros((2, 2)))
    for bad in (1.0, -0.1, np.nan):
        with pytest.raises(ArgumentError, match=r"uniforms go from .*; expected \[0, 1\)"):
            flip(images, np.full((2, 1), bad))
    with pytest.raises(ShapeError, match="other images are NoneType"):
        mix(images, draw_uniforms(2, mix))
    with pytest.raises(ShapeError, match=r"other images are uint8 \(1, 6, 6, 3\); expected uint8 \(2, 6, 6, 3\)"):
        mix(images, draw_uniforms(2, mix), images[:1])


# parsing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["none", *EACH, str(ALL), "rotate=0.1", "crop=0.123456789", "mixup=1e-05"])
def test_text_round_trip(text):
    assert str(Augment.parse(text)) == text and Augment.parse(str(Augment.parse(text))) == Augment.parse(text)


def test_text_with_spaces_is_parsed():
    assert Augment.parse(" flip , shift = 2,rotate=10 ") == Augment(flip=True, shift=2, rotate=10)
    assert Augment.parse("shift=0,rotate=0") == Augment() and str(Augment(rotate=10.0)) == "rotate=10"
    assert str(Augment(shift=np.int64(3), crop=np.float32(0.5))) == "shift=3,crop=0.5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shift", "shift is ''; expected a whole number, such as shift=2"),
        ("shift=2.5", "shift is '2.5'; expected a whole number"),
        ("shift=-1", "shift is -1; expected a whole number, 0 or more"),
        ("flip=2", "flip is '2'; expected flip alone"),
        ("rotate=x", "rotate is 'x'; expected a number, such as rotate=10"),
        ("rotate=nan", "rotate is nan; expected a number, 0 or more"),
        ("rotate=181", "rotate is 181; expected 180 degrees at most"),
        ("mixup=inf", "mixup is inf; expected a number"),
        ("crop=1", "crop is 1.0; expected a number, from 0 up to 1"),
        ("color=-0.1", "color is -0.1; expected a number, from 0 up to 1"),
        ("flip,flip", "flip is given twice"),
    ],
)
def test_impossible_values_are_refused(text, message):
    with pytest.raises(ArgumentError) as caught:
        Augment.parse(text)
    assert message in str(caught.value) and str(caught.value).startswith("augment: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["flop", "", "flip,", "none,flip", "colour=0.2"])
def test_unknown_names_are_refused(text):
    with pytest.raises(UnknownNameError, match=r"there is no augmentation '.*known: color, crop, cutout, flip, mixup"):
        Augment.parse(text)


def test_a_new_augmentation_is_one_function(monkeypatch):
    """Posterization: the last bits of each pixel are cleared, on half of the images."""
    monkeypatch.setitem(REGISTRY, "posterize", None)  # removed again after the test

    @augmentation("posterize", kind=int, example=3, at_most=7, unit="bits")
    def posterize(images, uniforms, bits):
        return np.where(uniforms[0][:, None, None, None] < 0.5, images >> bits << bits, images)

    augment, images = Augment.parse("flip,posterize=3"), batch(40, (12, 12, 3))
    uniforms = draw_uniforms(40, augment)
    flipped = Augment(flip=True)(images, uniforms[:, :1])
    half = uniforms[:, 1] < 0.5
    np.testing.assert_array_equal(augment(images, uniforms)[half], flipped[half] >> 3 << 3)
    np.testing.assert_array_equal(augment(images, uniforms)[~half], flipped[~half])
    assert str(augment) == "flip,posterize=3" and augment.posterize == 3
    with pytest.raises(ArgumentError, match="posterize is 8; expected 7 bits at most"):
        Augment(posterize=8)


def test_settings_are_immutable():
    with pytest.raises(AttributeError, match="immutable"):
        Augment().flip = True
    with pytest.raises(UnknownNameError, match="no augmentation 'zoom'"):
        Augment(zoom=1)


def test_settings_of_another_type():
    for settings in ({"flip": 1}, {"shift": 2.0}, {"shift": True}, {"rotate": "10"}, {"cutout": None}):
        with pytest.raises(ArgumentError):
            Augment(**settings)


# suggestions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "classes", "text"),
    [
        ((28, 28, 1), list("0123456789"), "shift=2"),
        ((28, 28, 1), ["shirt", "shoe"], "shift=2"),
        ((64, 64, 3), list("AB"), "shift=4"),
        ((32, 32, 3), ["cat", "dog"], "flip,shift=2"),
        ((64, 64, 1), ["cat", "dog"], "flip,shift=4"),
        ((224, 224, 3), ["ants", "bees"], "flip,crop=0.3,color=0.2"),
        ((8, 8, 3), ["cat", "dog"], "flip"),
        ((1, 1, 1), [], "flip"),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else None,
)
def test_suggest(shape, classes, text):
    got = suggest(shape, classes)
    assert str(got) == text
    got.check(shape)


def test_a_shift_of_zero_changes_nothing():
    images = batch(2, (3, 4, 2))
    still = np.zeros(2, np.int64)
    np.testing.assert_array_equal(flip_and_shift(images, still, still, np.zeros(2, bool)), images)
