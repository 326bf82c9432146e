"""Formats of image files and their suffixes."""

from PIL import Image

from byhand.data.folders import image_files_below
from byhand.data.image_formats import FORMATS, IMAGE_SUFFIXES


def test_pillow_knows_each_suffix_by_the_same_format():
    Image.init()
    for name, suffixes in FORMATS.items():
        if name in Image.OPEN:  # AVIF and JPEG 2000 depend on how Pillow was built
            assert {Image.EXTENSION.get(suffix) for suffix in suffixes} == {name}


def test_a_folder_finds_the_files_of_every_format(tmp_path):
    for suffix in IMAGE_SUFFIXES:
        (tmp_path / f"image{suffix.upper()}").touch()
    (tmp_path / "image.txt").touch()
    assert {path.suffix.lower() for path in image_files_below(tmp_path)} == set(IMAGE_SUFFIXES)
