"""TIFF files that Pillow does not read, or reads wrong: their samples, decoded by hand.

Floating point of 16 and 64 bits or in color, signed and 32-bit color, planes of more than 8 bits, WhiteIsZero of all depths,
packed samples of 9 to 15 bits, big-endian BigTIFF; in strips or tiles, uncompressed or deflated, with a predictor.
Source: Adobe, "TIFF Revision 6.0", 1992, and its Technical Note 3 for floating point prediction.
"""

import struct
import zlib
from itertools import product
from typing import NamedTuple

import numpy as np

from byhand.data.deep_image import DeepImage
from byhand.data.image_formats import MAX_PIXELS
from byhand.errors import FileError
from byhand.files import check_memory
from byhand.shapes import Array

MAX_SAMPLES = 16  # a pixel
MAX_VALUES = 1_000_000  # of a tag
FILL_ORDER = 266
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, BYTE_COUNTS, PLANES = 273, 274, 277, 278, 279, 284
PREDICTOR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTE_COUNTS = 317, 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT = 338, 339
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
UNCOMPRESSED, DEFLATED = 1, (8, 32946)
NO_PREDICTOR, DIFFERENCES, FLOAT_DIFFERENCES = 1, 2, 3
PREMULTIPLIED, OPACITY = 1, 2  # extra samples
INTEGER_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # of a tag's values: struct's letter
KINDS = {1: "u", 2: "i", 3: "f"}  # of samples: NumPy's letter
DEPTHS = {"u": (*range(1, 17), 32, 64), "i": (8, 16, 32, 64), "f": (16, 32, 64)}
WHOLE_BYTES = (8, 16, 32, 64)  # bits
Tags = dict[int, tuple[int, ...]]


class TiffImage(NamedTuple):
    """The first image of a TIFF: its samples as they are stored, how it is turned, and whether others follow."""

    deep: DeepImage
    orientation: int
    has_more_pages: bool


def is_tiff(data: bytes) -> bool:
    """Return whether a file begins as a TIFF does."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff(data: bytes, path: object) -> TiffImage:
    """Return the first image of a TIFF. Raises FileError for a broken one, and for what this module does not know."""
    try:
        return _read(data, path)
    except (struct.error, KeyError, ValueError, IndexError, OverflowError, zlib.error) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} can't be decoded: a broken TIFF; save it anew as PNG") from None


def _read(data: bytes, path: object) -> TiffImage:
    order = "<" if data[:2] == b"II" else ">"
    tags, next_page = _tags(data, order)
    (width,), (height,) = tags[WIDTH], tags[LENGTH]
    count = tags.get(SAMPLES, (1,))[0]
    bits, formats = tags.get(BITS, (1,)), tags.get(SAMPLE_FORMAT, (1,))
    compression, predictor = tags.get(COMPRESSION, (1,))[0], tags.get(PREDICTOR, (NO_PREDICTOR,))[0]
    photometric, extra = tags.get(PHOTOMETRIC, (-1,))[0], tags.get(EXTRA_SAMPLES, ())
    kind = KINDS.get(formats[0], "")
    colors = 3 if photometric == RGB else 1
    if min(width, height) < 1 or not colors <= count <= MAX_SAMPLES or width * height > MAX_PIXELS:
        raise FileError(f"{path} claims {width} x {height} pixels of {count} samples; expected fewer, gray or color")
    known = photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB) and compression in (UNCOMPRESSED, *DEFLATED)
    known = known and len(set(bits)) == len(set(formats)) == 1 and bits[0] in DEPTHS.get(kind, ())
    known = known and predictor in ((NO_PREDICTOR, FLOAT_DIFFERENCES) if kind == "f" else (NO_PREDICTOR, DIFFERENCES))
    known = known and tags.get(FILL_ORDER, (1,))[0] == 1 and (predictor == NO_PREDICTOR or bits[0] in WHOLE_BYTES)
    has_alpha = count > colors and len(extra) > 0 and extra[0] in (PREMULTIPLIED, OPACITY)
    if not known or (count > colors and photometric != RGB and not (count == colors + 1 and has_alpha)):
        raise FileError(
            f"{path} is a TIFF of a kind that is not read ({count} samples of {bits[0]} bits, photometric interpretation "
            f"{photometric}, compression {compression}); save it anew as gray or color of 8 or 16 bits"
        )
    check_memory(width * height * count * max(2, bits[0] // 8) * 2, str(path))
    samples = _samples(data, tags, order, np.dtype(f"{order}{kind}{_item_bytes(bits[0])}"), bits[0])
    alpha = None
    if has_alpha:
        opaque = 1.0 if kind == "f" else float(2 ** bits[0] - 1)
        alpha = np.clip(samples[..., colors] / opaque, 0, 1)
    samples = samples[..., :colors] if colors == 3 else samples[..., 0]
    if alpha is not None and extra[0] == PREMULTIPLIED:
        shown = np.maximum(alpha if colors == 1 else alpha[..., None], 1 / 65535)
        samples = (samples / shown).clip(0, 1 if kind == "f" else 2 ** bits[0] - 1).astype(samples.dtype)
    if kind == "f" and not np.isfinite(samples).all():
        raise FileError(f"{path} holds NaN or infinity; expected finite numbers")
    white = float(2 ** bits[0] - 1) if kind == "u" and bits[0] not in WHOLE_BYTES else None
    white = 255.0 if kind == "u" and bits[0] == 8 else white
    deep = DeepImage(samples, white, photometric == WHITE_IS_ZERO, alpha)
    return TiffImage(deep, tags.get(ORIENTATION, (1,))[0], bool(next_page))


def _item_bytes(bits: int) -> int:
    """Return the bytes of the array element that holds a sample."""
    return next(size for size in (1, 2, 4, 8) if bits <= 8 * size)


def _tags(data: bytes, order: str) -> tuple[Tags, int]:
    """Return the integer tags of the first directory, and the place of the next one, 0 where there is none."""
    big = data[2:4] in (b"+\0", b"\0+")
    place_letter, size = ("Q", 8) if big else ("I", 4)
    (place,) = struct.unpack_from(order + place_letter, data, size)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, place)
    place += 8 if big else 2
    if count > len(data) // 12:
        raise ValueError
    tags: Tags = {}
    for _ in range(count):
        tag, kind, number = struct.unpack_from(order + "HH" + place_letter, data, place)
        if kind in INTEGER_TYPES and number <= MAX_VALUES:
            letters = f"{order}{number}{INTEGER_TYPES[kind]}"
            inline = struct.calcsize(letters) <= size
            at = place + 4 + size if inline else struct.unpack_from(order + place_letter, data, place + 4 + size)[0]
            tags[tag] = struct.unpack_from(letters, data, at)
        place += 4 + 2 * size
    return tags, struct.unpack_from(order + place_letter, data, place)[0]


def _samples(data: bytes, tags: Tags, order: str, dtype: "np.dtype[np.generic]", bits: int) -> Array:
    """Return the samples (H, W, C) of all strips or tiles, in the machine's byte order."""
    (width,), (height,), count = tags[WIDTH], tags[LENGTH], tags.get(SAMPLES, (1,))[0]
    tiled = TILE_OFFSETS in tags
    columns = tags[TILE_WIDTH][0] if tiled else width
    rows = tags[TILE_LENGTH][0] if tiled else min(tags.get(ROWS_PER_STRIP, (height,))[0], height)
    offsets = tags[TILE_OFFSETS if tiled else OFFSETS]
    counts = tags[TILE_BYTE_COUNTS if tiled else BYTE_COUNTS]
    planes = count if tags.get(PLANES, (1,))[0] == 2 else 1
    depth = count // planes
    if min(rows, columns) < 1 or rows * columns * depth > 4 * MAX_PIXELS:
        raise ValueError
    places = list(product(range(planes), range(0, height, rows), range(0, width, columns)))
    if len(offsets) < len(places) or len(counts) < len(places):
        raise ValueError
    samples = np.empty((height, width, count), dtype.newbyteorder("="))
    for (plane, top, left), offset, size in zip(places, offsets, counts):
        kept_rows = rows if tiled else min(rows, height - top)
        block = _block(data[offset : offset + size], tags, (kept_rows, columns, depth), dtype, bits)
        shape = samples[top : top + kept_rows, left : left + columns, plane * depth : (plane + 1) * depth].shape
        samples[top : top + kept_rows, left : left + columns, plane * depth : (plane + 1) * depth] = block[
            : shape[0], : shape[1]
        ]
    return samples


def _block(packed: bytes, tags: Tags, shape: tuple[int, int, int], dtype: "np.dtype[np.generic]", bits: int) -> Array:
    """Return the samples of a strip or a tile (rows, columns, C)."""
    rows, columns, depth = shape
    row_bytes = -(-columns * depth * bits // 8)
    if tags.get(COMPRESSION, (1,))[0] in DEFLATED:
        packed = zlib.decompressobj().decompress(packed, rows * row_bytes)
    if len(packed) < rows * row_bytes:
        raise ValueError
    stored = np.frombuffer(packed, np.uint8, rows * row_bytes).reshape(rows, row_bytes)
    predictor = tags.get(PREDICTOR, (NO_PREDICTOR,))[0]
    if predictor == FLOAT_DIFFERENCES:  # of bytes; then all first bytes of a row, all second ones, ..., big-endian
        sums = np.cumsum(stored.reshape(rows, -1, depth), axis=1, dtype=np.uint8).reshape(rows, dtype.itemsize, -1)
        values = np.ascontiguousarray(sums.transpose(0, 2, 1)).view(dtype.newbyteorder(">"))
        return values.reshape(shape).astype(dtype.newbyteorder("="))
    if bits not in WHOLE_BYTES:
        single = np.unpackbits(stored, axis=1)[:, : columns * depth * bits].reshape(rows, -1, bits)
        whole = np.zeros(single.shape[:2], dtype.newbyteorder("="))
        for k in range(bits):
            whole = whole << 1 | single[..., k]
        return whole.reshape(shape)
    values = stored.view(dtype).reshape(shape).astype(dtype.newbyteorder("="))
    if predictor == DIFFERENCES:
        return np.cumsum(values, axis=1, dtype=values.dtype)
    return values
