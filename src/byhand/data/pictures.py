"""Pictures in files, as Pillow reads them: whatever is wrong with one becomes one line."""

import io
import os
import warnings
from collections.abc import Callable

from PIL import Image, ImageOps, UnidentifiedImageError

from byhand.data.opening import opened
from byhand.errors import FileError

# not all that Pillow reads: for EPS it would start Ghostscript on a stranger's program
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
MOST_PIXELS = 25_000_000  # to decode: 5000 x 5000, which takes 100 MB


def read(
    path: str | os.PathLike[str], mode: str, side: int, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Return a picture the way its camera held it, decoded and converted.

    mode: "L" for grey, "RGB" for colour; side: JPEGs may be decoded at a fraction of their size, no smaller than that.
    Pictures over 25 megapixels are refused, save JPEGs that are not progressive: they are decoded at a fraction of their
    size, up to the limit of Pillow, about 89 megapixels.
    Raises FileError for a file that is missing, no picture, cut short, or too large.
    """
    with opened(path, "a picture") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks about metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            Image.init()
            # from memory: asked for the four billion bytes that a broken chunk may promise, it gives what there are
            with Image.open(io.BytesIO(file.read()), formats=[name for name in FORMATS if name in Image.OPEN]) as image:
                whole = image.size
                image.draft(mode, (side, side))
                # a progressive JPEG keeps the coefficients of the whole picture, whatever size comes out
                width, height = whole if "progressive" in image.info else image.size
                if width * height > MOST_PIXELS:
                    raise FileError(
                        f"{path} is too large to decode: {whole[0]}x{whole[1]} pixels, expected at most "
                        f"{MOST_PIXELS // 1_000_000} million; scale it down first"
                    )
                converted = convert(image)
                converted.info = image.info  # where the orientation mark is
                return ImageOps.exif_transpose(converted)
        except FileError:
            raise
        except UnidentifiedImageError:
            raise FileError(f"{path} is no picture that can be read; expected {', '.join(FORMATS)}") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise FileError(f"{path} has too many pixels: it looks like a decompression bomb; scale it down") from None
        except Exception as error:  # on broken bytes Pillow's readers raise whatever the bytes led them into
            reason = " ".join(str(error).split()) or type(error).__name__
            raise FileError(f"{path} can't be decoded: {reason}; save it anew as PNG") from None
