"""color: jitter of brightness, contrast and saturation, each multiplied by a factor from 1 - color to 1 + color.

    image * brightness;   mean + (image - mean) * contrast;   gray + (image - gray) * saturation

gray is a pixel's luma, mean that of the whole image; images without three channels have no saturation.
"""

import numpy as np

from byhand.data.augment.registry import augmentation
from byhand.data.image_warp import channel_sums
from byhand.shapes import Array

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue (ITU-R BT.601)


@augmentation("color", uniforms=3, example=0.2, below=1)
def color(images: Array, uniforms: Array, strength: float) -> Array:
    """Jitter brightness, contrast and saturation, and clip once: all three are linear, one product and one sum a channel."""
    brightness, contrast, saturation = 1 + strength * (2 * uniforms - 1)
    height, width, channels = images.shape[1:]
    has_saturation = channels == len(LUMA)
    luma = LUMA if has_saturation else (1 / channels,) * channels
    mean = sum(weight * total for weight, total in zip(luma, channel_sums(images).T)) / (height * width)
    offset = brightness * (1 - contrast) * mean
    own, gray = brightness * contrast, 0.0 * saturation  # the factors of the channel itself, and of gray
    if has_saturation:
        own, gray = own * saturation, own * (1 - saturation)
    own, gray, offset = (factor.astype(np.float32)[:, None, None] for factor in (own, gray, offset))
    if has_saturation:
        offset = offset + gray * sum(np.float32(weight) * images[..., c] for c, weight in enumerate(luma))
    result = np.empty_like(images)
    for c in range(channels):
        jittered = own * images[..., c]
        jittered += offset
        result[..., c] = np.clip(np.rint(jittered, out=jittered), 0, 255, out=jittered)
    return result
