"""Files of class names as other programs write them."""

import pytest

from byhand.data.label_map import read_class_names
from byhand.errors import FileError

NAMES = ("cat", "dog, hound", "猫")


@pytest.mark.parametrize(
    "data",
    [
        "cat\ndog, hound\n猫\n".encode(),
        b"\xef\xbb\xbf" + "cat\r\ndog, hound\r\n猫\r\n\r\n\r\n".encode(),
        "cat\r\ndog, hound\r\n猫\r\n".encode("utf-16"),
        "cat\r\ndog, hound\r\n猫".encode("utf-16-le"),
        "cat\rdog, hound\r猫\r".encode(),
        "cat\ndog, hound\n猫\n".encode("utf-16-be"),
        "1 dog, hound\n0 cat\n2 猫".encode(),
        "0: cat\n1: dog, hound\n2: 猫\n".encode(),
        '0,cat\n1,"dog, hound"\n2,猫\n'.encode(),
        "1\tcat\n2\tdog, hound\n3\t猫\n".encode(),
        'id,name\n2,猫\n0,cat\n1,"dog, hound"\n'.encode(),
        '["cat", "dog, hound", "猫"]'.encode(),
        '{"0": "cat", "2": "猫", "1": "dog, hound"}'.encode(),
        '{"cat": 0, "dog, hound": 1, "猫": 2}'.encode(),
        "{0: 'cat', 1: 'dog, hound', 2: '猫'}".encode(),
        '{"id2label": {"0": "cat", "1": "dog, hound", "2": "猫"}}'.encode(),
        '[{"id": 2, "name": "猫"}, {"id": 0, "name": "cat"}, {"id": 1, "name": "dog, hound"}]'.encode(),
        '{"0": ["n1", "cat"], "1": ["n2", "dog, hound"], "2": ["n3", "猫"]}'.encode(),
        "path: a\n\nnames:\n  1: dog, hound  \n  0: cat\n  # ours\n\n  2: '猫'\nnc: 3\n".encode(),
        "nc: 3\nnames:\n- cat\n- dog, hound\n- 猫\n".encode(),
        "names: ['cat', 'dog, hound', '猫']\nnc: 3\n".encode(),
        "n02084071 cat\nn02084072 dog, hound\nn02084073 猫\n".encode(),
        "n02084073 3 猫\nn02084071 1 cat\nn02084072 2 dog, hound\n".encode(),
        "1. cat\n2. dog, hound\n3. 猫\n".encode(),
        "0) cat\n1) dog, hound\n2) 猫\n".encode(),
        "0 - cat\n1 - dog, hound\n2 - 猫\n".encode(),
        "- cat\n- dog, hound\n- 猫\n".encode(),
        "('cat', 'dog, hound', '猫')".encode(),
        '{"id": 1, "name": "dog, hound"}\n{"id": 0, "name": "cat"}\n{"id": 2, "name": "猫"}\n'.encode(),
    ],
)
def test_every_form_gives_the_same_names(data, tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes(data)
    assert read_class_names(path, notes := []) == NAMES and all("read as GB 18030" in note for note in notes)


def test_one_line_is_a_list_between_commas(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("cat, dog,owl\n")
    assert read_class_names(path) == ("cat", "dog", "owl")


def test_numbers_in_names_stay(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("3.5 mm jack\n2-stroke engine\n")
    assert read_class_names(path) == ("3.5 mm jack", "2-stroke engine")
    path.write_text("7 up\n101 dalmatians\n")
    assert read_class_names(path, []) == ("7 up", "101 dalmatians")
    path.write_text("0\n1\n2\n")
    assert read_class_names(path, []) == ("0", "1", "2")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "it is empty"),
        (b"cat\n\ndog", "line 2 is empty"),
        (b"cat\0dog", "it holds null bytes"),
        (b"\x81\x8d", "it is neither UTF-8 nor Windows-1252"),
        (b"{'a': os}", "it is no list and no dict of names"),
        (b'{"0": "a", "5": "b"}', "its numbers are not 0, 1, 2"),
        (b'[{"id": 1, "name": "a"}, {"id": 3, "name": "b"}]', "its numbers are not 0, 1, 2"),
        (b"1 cat\n3 dog\n", "the numbers of its lines are not 0, 1, 2"),
        (b"5: cat\n90: dog\n", "the numbers of its lines are not 0, 1, 2"),
        (b"names:\n  cat\n  dog\n", "its block names: is no list"),
        (b"{0: 'C:\\Users'}", "is no string"),
        (b"a" * 140_000, "field larger than field limit"),
        (b"[" * 100_000, "it is no JSON|nested too deeply"),
    ],
)
def test_what_is_no_list_of_names_is_refused(data, complaint, tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes(data)
    with pytest.raises(FileError, match=complaint):
        read_class_names(path, [])
