"""Image files with pixels of every kind, written byte by byte where Pillow can't: 16-bit color PNGs, TIFFs with any tags."""

import struct
import zlib

import numpy as np

SEPARATED = 5  # TIFF's photometric interpretation of CMYK
KINDS = {"u": 1, "i": 2, "f": 3}  # TIFF's SampleFormat


def write_tiff(
    path,
    pixels,
    *,
    white_is_zero=False,
    orientation=1,
    planar=False,
    byteorder="<",
    bits=None,
    photometric=None,
    **layout,
):
    """Write an array (H, W) or (H, W, C) as an uncompressed TIFF; bits: 1 or 12, packed, else those of its type.

    layout: predictor=1, 2 or 3, of deflated samples.
    """
    height, width, *channels = pixels.shape
    count = channels[0] if channels else 1
    if bits == 1:
        data = np.packbits(pixels.astype(bool), axis=1).tobytes()
    elif bits == 12:
        a, b = pixels[:, ::2].astype(int), pixels[:, 1::2].astype(int)
        data = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], -1).astype(np.uint8).tobytes()
    else:
        data = (pixels.transpose(2, 0, 1) if planar else pixels).astype(pixels.dtype.newbyteorder(byteorder)).tobytes()
    bits = bits or 8 * pixels.dtype.itemsize
    data = _deflated(pixels, byteorder, **layout) if layout else data
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * count), 259: (3, [1])}
    if photometric is None:
        photometric = 2 if count >= 3 else 0 if white_is_zero else 1
    tags |= {262: (3, [photometric]), 274: (3, [orientation]), 277: (3, [count])}
    size = len(data) // count if planar else len(data)
    if layout:
        tags |= {259: (3, [8]), 317: (3, [layout["predictor"]])}
    tags |= {278: (4, [height]), 284: (3, [2 if planar else 1]), 339: (3, [KINDS.get(pixels.dtype.kind, 1)] * count)}
    offsets = [8 + k * size for k in range(count if planar else 1)]
    tags |= {273: (4, offsets), 279: (4, [size] * len(offsets))}
    if count in (2, 4) and photometric != SEPARATED:
        tags[338] = (3, [2])
    first, extra, entries = 8 + len(data) + len(data) % 2, b"", b""
    behind = first + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(byteorder + {3: "H", 4: "I"}[kind] * len(values), *values)
        if len(packed) > 4:
            packed, extra = (
                struct.pack(byteorder + "I", behind + len(extra)),
                extra + packed + b"\0" * (len(packed) % 2),
            )
        entries += struct.pack(byteorder + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    head = (b"II*\0" if byteorder == "<" else b"MM\0*") + struct.pack(byteorder + "I", first)
    folder = struct.pack(byteorder + "H", len(tags)) + entries + b"\0" * 4
    path.write_bytes(head + data + b"\0" * (len(data) % 2) + folder + extra)
    return path


def _deflated(pixels, byteorder, predictor):
    """Return samples as they are (1), as differences along a row (2), or of their bytes, big-endian (3), compressed."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if predictor == 2:
        pixels = np.diff(pixels, axis=1, prepend=np.zeros_like(pixels[:, :1]))
    if predictor == 3:
        stored = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(len(pixels), -1).view(np.uint8)
        planes = stored.reshape(len(pixels), -1, pixels.itemsize).transpose(0, 2, 1)
        planes = planes.reshape(len(pixels), -1, pixels.shape[2])
        pixels = np.diff(planes, axis=1, prepend=np.zeros_like(planes[:, :1]))
    return zlib.compress(pixels.astype(pixels.dtype.newbyteorder(byteorder)).tobytes())


def write_png(path, pixels, transparent=None):
    """Write an array (H, W) or (H, W, 1 to 4) of uint8 or uint16 as a PNG; transparent: the color of its tRNS chunk."""
    height, width, *channels = pixels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels[0] if channels else 1]
    bits = 8 * pixels.dtype.itemsize
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))]
    if transparent is not None:
        chunks.append((b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)))
    chunks += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    return path


def write_classes(root, write, images, ending):
    """Write images of two classes, root/a/0.ENDING, root/b/0.ENDING, ... by `write(path, pixels)`; return root."""
    for number, pixels in enumerate(images):
        folder = root / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / f"{number // 2}.{ending}", pixels)
    return root
