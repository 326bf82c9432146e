"""Text files in the encodings that other programs write."""

import pytest

from byhand.data.text_files import SAMPLE_BYTES, read_text, text_encoding
from byhand.errors import FileError

LINES = ("0 café", "1 dog, hound", "2 bird")
CHINESE_LINES = ("猫咪", "狗", "小鸟, 鸟")


def write(path, lines, encoding, end="\n"):
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode(encoding))
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "gb18030"]
)
def test_every_encoding_and_line_end_gives_the_same_text(encoding, end, tmp_path):
    for lines in (LINES, CHINESE_LINES):
        if lines == (LINES if encoding == "gb18030" else CHINESE_LINES) and encoding in ("gb18030", "cp1252"):
            continue
        text, note = read_text(write(tmp_path / "a.txt", lines, encoding, end), "names", 1 << 16)
        assert text.split("\n") == [*lines, ""]
        assert ("save it as UTF-8" in note) == (encoding in ("cp1252", "gb18030"))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"cat\0dog" * 100, "it holds null bytes"),
        (b"cat\n" * SAMPLE_BYTES + b"\0", "it holds null bytes"),  # behind the sample
        (b"\x00\xff\x13" * 100, "it holds null bytes"),
        (b"\x81\x8d\x8f", "it is neither UTF-8 nor Windows-1252"),
        (b"\xff\xfea", "it is not UTF-16, as it begins"),
        (b"a" * 70_000, "has more than 65,536 bytes; expected names, at most 65,536"),
    ],
)
def test_what_is_no_text_is_refused(data, complaint, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(FileError, match=complaint):
        read_text(path, "names", 1 << 16)


def test_a_letter_may_lie_across_the_chunks(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a" * ((1 << 20) - 1) + "é".encode())
    assert text_encoding(path, "a text") == ("utf-8", "")


def test_what_is_missing_is_told(tmp_path):
    with pytest.raises(FileError, match="there is no such file; expected names"):
        read_text(tmp_path / "a.txt", "names", 9)
