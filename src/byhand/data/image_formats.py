"""Image formats that are read, and the suffixes of their files. This module stands alone, as Pillow is slow to import."""

# Pillow's name of a format: the suffixes. Not all that Pillow reads: for EPS it would run Ghostscript on an untrusted program.
FORMATS = {
    "AVIF": (".avif",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "PNG": (".png", ".apng"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
MAX_PIXELS = 25_000_000  # to decode: 5000 x 5000, which takes 100 MB
IMAGE_SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)

_HEIC = "HEIC is not read; save it as JPEG (an iPhone does: Settings, Camera, Formats, Most Compatible)"
_RAW = "a camera's raw file holds no finished picture; develop it to JPEG, PNG or TIFF"
_MEDICAL = "expected a picture; convert it to PNG or TIFF of 16 bits"
# What to do with files of other formats, by their suffix.
ADVICE = {
    **dict.fromkeys((".heic", ".heif", ".hif"), _HEIC),
    **dict.fromkeys((".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".raw", ".rw2"), _RAW),
    **dict.fromkeys((".dcm", ".dicom", ".nii"), _MEDICAL),
    **dict.fromkeys((".exr", ".hdr"), "light without a white; make it a PNG, JPEG or TIFF of 16 bits"),
    **dict.fromkeys((".npy", ".npz"), "an array is no image file; give it to model.predict, or save it as PNG"),
    **dict.fromkeys((".ico", ".psd", ".tga", ".xcf"), "save it as PNG"),
    ".svg": "a drawing has no pixels; export it as PNG",
    ".pdf": "a document is no picture; export its page as PNG",
}
