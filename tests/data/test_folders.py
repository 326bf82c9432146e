"""Image folders: classes, splits, notes and errors; npz files."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand.data import find, splits
from byhand.data.class_names import natural_key
from byhand.data.folders import discover_folders
from byhand.errors import ArgumentError, FileError, UnknownNameError
from tests.data.image_folders import COLORS, labels_match_colors, noisy_image, write_image_folder, write_striped_folder


def test_a_folder_a_class_is_split_the_same_way_each_time(tmp_path):
    root = write_image_folder(tmp_path / "colors", count=10)
    train, held_out = bh.data.load(root)
    again, _ = bh.data.load(root)
    other, _ = bh.data.load(root, seed=1)
    assert train.classes == ("blue", "green", "red") and labels_match_colors(train) and labels_match_colors(held_out)
    assert np.bincount(train.labels).tolist() == [8, 8, 8] and np.bincount(held_out.labels).tolist() == [2, 2, 2]
    assert not set(train.files) & set(held_out.files) and len(train.files) == 24
    assert train.files == again.files != other.files
    np.testing.assert_array_equal(train.images, again.images)


def test_a_presplit_folder_keeps_its_parts(tmp_path):
    for part, count in (("train", 4), ("valid", 2), ("test", 3)):
        write_image_folder(tmp_path / part, count, start=10 * count)
    found = find(tmp_path).sets()
    assert {part: len(dataset) for part, dataset in found.parts.items()} == {"train": 12, "val": 6, "test": 9}
    assert all(labels_match_colors(dataset) for dataset in found.parts.values())
    assert found.held_out is found.val


def test_a_class_missing_from_val_shifts_no_label(tmp_path):
    write_image_folder(tmp_path / "train")
    write_image_folder(tmp_path / "val", 3, classes=("blue", "red"), start=50)
    found = find(tmp_path).sets()
    assert labels_match_colors(found.val) and set(found.val.labels) == {0, 2}
    assert any("val holds no image of green" in note for note in splits.data_warnings(found))


def test_a_class_missing_from_train_is_dropped_with_a_note(tmp_path):
    write_image_folder(tmp_path / "train", classes=("blue", "red"))
    write_image_folder(tmp_path / "val", 3, start=50)
    found = find(tmp_path).sets()
    assert found.train.classes == ("blue", "red") == found.val.classes
    assert labels_match_colors(found.val) and len(found.val) == 6
    assert "val has green, which train has not: 3 left out" in found.notes


def test_gray_stays_gray_and_its_size(tmp_path):
    found = find(write_striped_folder(tmp_path / "stripes"))
    assert found.shape == (28, 28, 1) and not found.photos
    train = found.sets().train
    assert train.shape == (28, 28, 1) and found.sets().preprocessing.crop_pct == 1.0
    first = np.asarray(Image.open(tmp_path / "stripes" / train.files[0]))
    np.testing.assert_array_equal(train.images[0, ..., 0], first)
    assert found.sets().notes == ("each folder of stripes is a class", "every image is 28 x 28, taken as it is")


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 1)])
def test_tiny_images_keep_their_size(tmp_path, size):
    train = find(write_image_folder(tmp_path / "tiny", 3, size=size)).sets().train
    assert train.shape == (size[1], size[0], 3)


def test_resizing_and_color_conversion_are_reported(tmp_path):
    root = write_image_folder(tmp_path / "mixed", 4, size=(300, 200))
    noisy_image(COLORS["red"], (90, 120)).convert("L").save(root / "red" / "gray.png")
    clear = noisy_image(COLORS["red"], (200, 200)).convert("RGBA")
    clear.putalpha(128)
    clear.save(root / "red" / "clear.png")
    found = find(root)
    told = found.sets().notes
    assert found.shape == (128, 128, 3)
    assert told == (
        "each folder of mixed is a class",
        "images of 3 sizes, 120 x 90 to 200 x 300: resized so that 128 x 128 takes all of the shorter side, the rest cut off",
        "1 of 14 are gray: made color, three times the same channel",
        "1 of 14: transparent, put on white paper",
    )
    assert "14 of 14 are in color" not in str(told)
    assert any("13 of 14 are in color: made gray" in note for note in found.sets((64, 64, 1)).notes)


def test_large_images_of_one_size_are_downscaled_with_a_note(tmp_path):
    found = find(write_image_folder(tmp_path / "large", 2, size=(320, 240)))
    assert found.shape == (128, 128, 3) and found.photos
    _, note = found.sets().notes
    assert note.startswith("images of 240 x 320: resized so that 128 x 128")
    assert found.sets((240, 320, 3)).notes[1:] == ("every image is 240 x 320, taken as it is",)


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "JPG", "ppm"])
def test_every_format_is_read(tmp_path, ending):
    train, _ = bh.data.load(write_image_folder(tmp_path / "colors", 3, ending=ending))
    assert len(train) == 6 and labels_match_colors(train)


def test_the_first_frame_of_a_gif_is_read(tmp_path):
    root = write_image_folder(tmp_path / "moving", 2)
    frames = [Image.new("RGB", (40, 30), COLORS[name]) for name in ("red", "green", "blue")]
    frames[0].save(root / "red" / "moving.gif", save_all=True, append_images=frames[1:])
    train = find(root).sets().train
    image = train.images[train.files.index(str(Path("red", "moving.gif")))]
    assert np.abs(image - np.array(COLORS["red"])).max() < 5


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, turn):
    upright = np.zeros((20, 30, 3), np.uint8)
    upright[:8, :10] = 255  # bright above, on the left
    stored = {  # what a camera held that way would have written (EXIF 2.32, figure 4.6.4.A.1)
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[turn]
    exif = Image.Exif()
    exif[0x0112] = turn
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.ascontiguousarray(stored)).save(
            tmp_path / name / "x.jpg", exif=exif, quality=100, subsampling=0
        )
    found = find(tmp_path)
    assert found.shape == (20, 30, 3)
    assert np.abs(found.sets().train.images.astype(int) - upright).max() < 60
    large = find(tmp_path).sets((40, 60, 3)).train.images  # decoded by another way
    assert large[:, :12, :16].min() > 200 and large[:, 20:].max() < 60 and large[:, :, 26:].max() < 60


def bad_files(root):
    """Put every kind of bad file among the reds; return what is said of each."""
    red = root / "red"
    whole = (root / "red" / "0.png").read_bytes()
    noisy_image(COLORS["red"], (400, 300)).save(red / "cut.jpg")
    (red / "cut.jpg").write_bytes((red / "cut.jpg").read_bytes()[:3000])
    (red / "cut.png").write_bytes(whole[:200])
    (red / "text.jpg").write_text("this is no picture")
    (red / "empty.jpg").touch()
    bomb = Image.new("1", (40_000, 40_000))
    bomb.save(red / "bomb.png")
    os.mkfifo(red / "pipe.jpg")
    (red / "gone.jpg").symlink_to("nowhere.jpg")
    return {
        "cut.jpg": "can't be decoded",
        "cut.png": "can't be decoded",
        "text.jpg": "is no image that can be read",
        "empty.jpg": "is no image that can be read",
        "bomb.png": "too many pixels",
        "pipe.jpg": "no regular file",
        "gone.jpg": "there is no such file",
    }


@pytest.mark.parametrize("stream", [False, True])
def test_bad_files_are_skipped_and_reported(tmp_path, stream):
    root = write_image_folder(tmp_path / "colors", 4)
    expected = bad_files(root)
    found = find(root).sets(stream=stream)
    told = {Path(name).name: reason for name, reason in found.bad}
    assert set(told) == set(expected)
    for name, reason in expected.items():
        assert reason in told[name], told[name]
        assert "\n" not in told[name] and str(tmp_path) not in told[name]
    assert len(found.train) == 12 and labels_match_colors(found.train)


def test_duplicates_across_the_split_are_reported(tmp_path):
    write_image_folder(tmp_path / "train", 4)
    write_image_folder(tmp_path / "val", 2, start=40)
    copied = (tmp_path / "train" / "red" / "1.png").read_bytes()
    (tmp_path / "val" / "red" / "copy.png").write_bytes(copied)
    (tmp_path / "val" / "blue" / "wrong.png").write_bytes(copied)
    # Other bytes, same pixels.
    Image.open(tmp_path / "train" / "red" / "2.png").save(tmp_path / "val" / "red" / "same.bmp")
    notes = splits.data_warnings(find(tmp_path).sets())
    red = Path("train", "red", "1.png")
    assert len(notes) == 2
    assert notes[0].startswith("3 images stand both in train and in val, which flatters the accuracy: ")
    assert f"{red} = {Path('val', 'red', 'copy.png')}" in notes[0] and "same.bmp" in notes[0]
    assert notes[1].startswith("1 image has a copy with another label: ") and "wrong.png" in notes[1]


def test_duplicates_stay_in_the_same_part(tmp_path):
    root = write_image_folder(tmp_path / "colors", 6)
    for number in range(6):
        (root / "red" / f"copy{number}.png").write_bytes((root / "red" / "0.png").read_bytes())
    for seed in range(8):
        split = find(root).sets().split(0.3, seed)
        assert splits.data_warnings(split) == () or "both" not in str(splits.data_warnings(split))
        assert len(split.val) + len(split.train) == 24


def test_names_in_any_alphabet_with_spaces(tmp_path):
    names = ("猫 и собаки", "café au lait", 'a\'b "c"')
    root = write_image_folder(tmp_path / "ünï cödé", 3, classes=names)
    train, _ = bh.data.load(root)
    assert set(train.classes) == set(names) and train.name == "ünï cödé"


def test_the_same_name_is_the_same_class_however_it_is_spelled(tmp_path):
    write_image_folder(tmp_path / "train", 3, classes=("caf\u00e9", "tea"))
    write_image_folder(tmp_path / "val", 2, classes=("cafe\u0301", "tea"), start=20)
    found = find(tmp_path).sets()
    assert found.train.classes == ("caf\u00e9", "tea") == found.val.classes and len(found.val) == 4


def test_a_file_name_that_is_not_utf8_is_printable(tmp_path):
    root = write_image_folder(tmp_path / "colors", 3, classes=("blue", "red"))
    (root / "red").rename(os.fsdecode(os.fsencode(root) + b"/r\xffd"))
    train, _ = bh.data.load(root)
    json.dumps(train.classes).encode()
    assert train.classes == ("blue", "rÿd") and train.classes[1].encode()


def test_numeric_class_names_are_sorted_by_value(tmp_path):
    train, _ = bh.data.load(write_image_folder(tmp_path / "n", 2, classes=tuple(map(str, range(12)))))
    assert train.classes == tuple(map(str, range(12)))
    assert sorted(["x10", "x9", "X1"], key=natural_key) == ["X1", "x9", "x10"]


def test_links_in_a_circle_end(tmp_path):
    root = write_image_folder(tmp_path / "colors", 3)
    (root / "red" / "again").symlink_to(root / "red")
    (root / "red" / "up").symlink_to(root)
    found = discover_folders(root)
    reds = [path for path, label in found.parts["all"] if label == "red"]
    assert sorted({path.name for path in reds}) == ["0.png", "1.png", "2.png"]
    assert any("links to one that was seen already" in note for note in found.notes)


def test_deeper_folders_belong_to_the_class_above(tmp_path):
    root = write_image_folder(tmp_path / "colors", 3)
    (root / "red" / "more" / "still").mkdir(parents=True)
    noisy_image(COLORS["red"]).save(root / "red" / "more" / "still" / "x.png")
    train = find(root).sets().train
    assert train.classes == ("blue", "green", "red") and str(Path("red", "more", "still", "x.png")) in train.files


def test_system_files_are_ignored(tmp_path):
    root = write_image_folder(tmp_path / "colors", 3)
    for name in (".ipynb_checkpoints", "__MACOSX", ".git"):
        write_image_folder(root / name, 1)
    (root / "red" / "._0.png").write_bytes(b"x")
    (root / "red" / "Thumbs.db").write_bytes(b"x")
    found = find(root).sets()
    assert found.train.classes == ("blue", "green", "red") and not found.bad


def test_other_files_and_empty_classes_are_reported(tmp_path):
    root = write_image_folder(tmp_path / "colors", 3)
    (root / "red" / "notes.txt").write_text("x")
    (root / "empty").mkdir()
    noisy_image(COLORS["red"]).save(root / "loose.png")
    notes = find(root).sets().notes
    assert "the folder empty holds no image: left out" in notes
    assert "files that are no images by their names are left out: 1 .txt" in notes
    assert "1 image directly in colors belongs to no class: left out" in notes


def test_an_unreadable_folder_is_reported(tmp_path):
    root = write_image_folder(tmp_path / "colors", 3)
    (root / "secret").mkdir()
    noisy_image(COLORS["red"]).save(root / "secret" / "x.png")
    (root / "secret").chmod(0)
    (root / "red" / "0.png").chmod(0)
    code = (
        "import os, resource, sys\n"
        "from PIL import Image\n"
        "from byhand.data import file_source, find, photos\n"  # before its files can't be read any more
        "Image.init()\n"
        "os.geteuid() or os.setuid(65534)\n"
        "found = find(sys.argv[1]).sets()\n"
        "print(dict(found.bad), len(found.train))\n"
    )
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.is_relative_to(tempfile.gettempdir()) and parent != Path(tempfile.gettempdir()):
            parent.chmod(parent.stat().st_mode | 0o755)
    try:
        done = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=False)
    finally:
        (root / "secret").chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert "'secret': \"the folder can't be read: Permission denied\"" in done.stdout
    assert "0.png': 'Permission denied" in done.stdout and done.stdout.strip().endswith(" 8")


def test_a_path_through_a_locked_folder_is_refused(tmp_path, monkeypatch):
    def forbidden(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", forbidden)  # as Path.exists does below such a folder, for anyone but root
    with pytest.raises(FileError, match=r"can't load .*: Permission denied; expected mnist, a folder"):
        find(tmp_path / "secret" / "photos")


def test_one_class_is_not_enough(tmp_path):
    with pytest.raises(ArgumentError, match="has only the class 'red'; a classifier needs two classes"):
        find(write_image_folder(tmp_path / "red", 3, classes=("red",))).sets()


def test_one_image_a_class(tmp_path):
    root = write_image_folder(tmp_path / "single", 1)
    found = find(root).sets()
    assert len(found.train) == 3
    assert "no class has two images: nothing could be set aside to validate on" in found.split(0.2, 0).notes
    with pytest.raises(ArgumentError, match="no class has two images"):
        bh.data.load(root)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(FileError, match="no image is in a class's folder; expected a folder a class"):
        find(tmp_path)
    noisy_image(COLORS["red"]).save(tmp_path / "x.png")
    with pytest.raises(FileError, match="holds 1 image, but no folder of a class"):
        find(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jpg").write_text("no")
    with pytest.raises(FileError, match="none of 1 images can be read; the first: "):
        find(tmp_path)
    with pytest.raises(UnknownNameError, match="there is no data set, folder or file 'minst'; did you mean 'mnist'"):
        find("minst")
    with pytest.raises(FileError, match="there is no such folder or file"):
        find(tmp_path / "nowhere")
    (tmp_path / "data.bin").touch()
    with pytest.raises(FileError, match="it is a file of another kind"):
        find(tmp_path / "data.bin")


def test_a_streamed_set_is_the_same_set(tmp_path):
    root = write_image_folder(tmp_path / "colors", 6, size=(80, 70))
    here, there = find(root).sets((32, 32, 3)), find(root).sets((32, 32, 3), stream=True)
    assert isinstance(here.train.images, np.ndarray) and not isinstance(there.train.images, np.ndarray)
    np.testing.assert_array_equal(here.train.images, there.train.images[:])
    np.testing.assert_array_equal(here.train.images[[5, 2]], there.train.images[[5, 2]])
    np.testing.assert_array_equal(here.train.images[4:7, 3:5, 1], there.train.images[4:7, 3:5, 1])
    first, other = here.split(0.3, 3), there.split(0.3, 3)
    assert len(first.val) == len(other.val) and any("decoded while training" in note for note in other.notes)


# npz ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [("x_train", "y_train", "x_test", "y_test"), ("images", "labels", "test_images", "test_labels")]
)
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_an_npz(tmp_path, names, channels):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (9, 8, 8, *channels), np.uint8), np.arange(9) % 3]
    # As MedMNIST has them.
    arrays += [rng.integers(0, 256, (5, 8, 8, *channels), np.uint8), (np.arange(5) % 3)[:, None]]
    np.savez_compressed(tmp_path / "set.npz", **dict(zip(names, arrays)))
    train, test = bh.data.load(tmp_path / "set.npz")
    assert train.shape == (8, 8, *(channels or (1,))) and train.classes == ("0", "1", "2")
    np.testing.assert_array_equal(train.images.reshape(arrays[0].shape), arrays[0])
    np.testing.assert_array_equal(test.labels, arrays[3][:, 0])


def test_an_npz_with_names(tmp_path):
    images, labels = np.zeros((4, 2, 2), np.uint8), np.array(["cat", "dog", "cat", "ant"])
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    train = find(tmp_path / "a.npz").sets().train
    assert train.classes == ("ant", "cat", "dog") and train.labels.tolist() == [1, 2, 1, 0]
    np.savez(tmp_path / "b.npz", images=images, labels=[0, 1, 1, 0], classes=np.array(["no", "yes"]))
    assert find(tmp_path / "b.npz").sets().train.classes == ("no", "yes")


class Executed:
    def __reduce__(self):
        return (os.system, ("touch executed",))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(3)}, "expected x_train and y_train, or images and labels"),
        ({"images": np.zeros((2, 3)), "labels": [0, 1]}, "have the shape"),
        ({"images": np.full((2, 3, 3), -1), "labels": [0, 1]}, "int64, -1 to -1; .* --pixel-range LOW,HIGH"),
        ({"images": np.zeros((2, 3, 3), np.uint8), "labels": [0, 1_000_001]}, "no class numbers from 0"),
        ({"images": np.zeros((2, 3, 3), np.uint8), "labels": [[0, 1], [1, 1]]}, "expected \\(N,\\), class numbers"),
        ({"images": np.zeros((2, 3, 3), np.uint8), "labels": [0, 5], "classes": np.array(["a"])}, "names 1 classes"),
        ({"images": np.full((2, 3, 3), np.nan, np.float32), "labels": [0, 1]}, "image 0 of train holds NaN"),
        (
            {"images": np.array([Executed()] * 2, object), "labels": [0, 1]},
            "holds Python objects, which are not unpickled",
        ),
    ],
    ids=["names", "axes", "range", "negative", "several", "classes", "nan", "pickle"],
)
def test_an_npz_with_wrong_arrays_is_refused(tmp_path, monkeypatch, arrays, message):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FileError, match=message):
        find(tmp_path / "a.npz")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("cut", [0, 3, 50, 400])
def test_a_truncated_npz_is_refused(tmp_path, cut):
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 3, 3), np.uint8), labels=[0, 1])
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:cut])
    with pytest.raises(FileError, match="can't read"):
        find(tmp_path / "a.npz")


def test_an_npz_larger_than_its_file_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 3, 3), np.uint8), labels=[0, 1])
    data = (tmp_path / "a.npz").read_bytes().replace(b"(2, 3, 3)", b"(2e9,3,3)".replace(b"2e9", b"999"))
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(FileError):
        find(tmp_path / "a.npz")


def test_memory_of_the_container_decides_what_is_decoded(tmp_path, monkeypatch):
    root = write_image_folder(tmp_path / "set", 2)
    monkeypatch.setattr("byhand.data.file_source.available_memory", lambda: 1000.0)
    assert "the images stay in their files" in " / ".join(find(root).sets().notes)
    monkeypatch.setattr("byhand.files.available_memory", lambda: 1000.0)
    monkeypatch.setattr("byhand.files.UNCHECKED_BYTES", 0)
    with pytest.raises(FileError, match=r"decoded images of .* of memory, .*stream"):
        find(root).sets(stream=False)
