"""What configurations of the Hugging Face Hub and of timm say of a network's images: mean, std, crop, order of the channels.

    preprocessor_config.json    transformers: value = (pixel * rescale_factor - offset - image_mean) / image_std
    pretrained_cfg              timm, in config.json: mean, std, crop_pct, crop_mode

`byhand` prepares pixels as (pixel / 255 - mean) / std, so that factor and offset become part of mean and std.
"""

from __future__ import annotations

from typing import Any

from byhand.data.label_map import MAX_BYTES

MAX_NUMBERS_LENGTH = 200  # characters of a mean, a std or a size
NUMBER_KEYS = (("mean", "image_mean", "norm_mean", "img_mean"), ("std", "image_std", "norm_std", "img_std"))
UNIT_MAX_NUMBER = 2  # a larger mean or std is of pixels from 0 to 255
OFFSET_KEYS = ("rescale_offset", "offset")  # EfficientNet's and ViViT's: pixels from -1
WHITE = 255
ROUNDING = 0.01  # of a factor such as 0.0039
SMALL_EDGE = 384  # ConvNeXt's crop_pct is for smaller images


def read_processor(processor: dict[str, Any]) -> dict[str, Any]:
    """Return what a preprocessor_config.json says: mean, std, crop_pct, squashed, bgr; raises nothing.

    >>> read_processor({"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False})["mean"]
    [0.5, 0.5, 0.5]
    """
    mean, std = _mean_and_std(processor)
    rescales = processor.get("do_rescale") is True or "rescale_factor" in processor
    if processor.get("do_normalize") is False or (rescales and not mean and not std):
        mean, std = [0.0] * 3, [1.0] * 3
    found = _crop(processor)
    if processor.get("do_flip_channel_order") is True:
        found["bgr"] = True
    if not mean or not std:
        return found
    if processor.get("include_top") is True:  # EfficientNet divides by std once more
        std = [number**2 for number in std]
    scale = _white(processor, mean)
    offset = 1.0 if any(processor.get(key) is True for key in OFFSET_KEYS) else 0.0
    if scale != 1 or offset:
        mean, std = [(number + offset) / scale for number in mean], [number / scale for number in std]
    return found | normalization(mean, std)


def read_timm(config: dict[str, Any]) -> dict[str, Any]:
    """Return mean, std, crop_pct and squashed of timm's config.json; {} of another's."""
    cfg = config.get("pretrained_cfg", config)
    if not isinstance(cfg, dict):
        return {}
    mean, std = _mean_and_std(cfg)
    found = normalization(mean, std) if mean and std else {}
    if cfg.get("crop_mode") == "squash":
        return found | {"squashed": True}
    crop = cfg.get("crop_pct")
    return found | ({"crop_pct": crop} if _is_fraction(crop) else {})


def normalization(mean: list[float], std: list[float]) -> dict[str, Any]:
    """Return mean and std for pixels from 0 to 1; those of pixels from 0 to 255 are told by their size.

    >>> normalization([127.5], [])
    {'mean': 0.5, 'std': 0.00392156862745098}
    """
    found: dict[str, Any] = {}
    scale = 255.0 if any(number > UNIT_MAX_NUMBER for number in [*mean, *std]) else 1.0
    if scale > 1:  # where one is missing, pixels from 0 to 255 are only divided, or only subtracted from
        mean, std = mean or [0.0], std or [1.0]
    for key, numbers in (("mean", mean), ("std", std)):
        if len(numbers) in (1, 3) and (key == "mean" or all(numbers)):
            found[key] = [number / scale for number in numbers]
            found[key] = found[key][0] if len(numbers) == 1 else found[key]
    return found


def read_numbers(text: str) -> list[float]:
    """Return the numbers in a metadata entry such as [224, 224] or 0.5,0.5,0.5; [] where it holds none."""
    words = text.strip().strip("[]()").replace(",", " ").split() if len(text) <= MAX_NUMBERS_LENGTH else []
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return []
    return numbers if all(abs(number) < MAX_BYTES for number in numbers) else []


def _mean_and_std(config: dict[str, Any]) -> list[list[float]]:
    """Return the numbers of mean and std; [] for one that is missing."""
    return [
        next((read_numbers(str(config[key])) for key in keys if isinstance(config.get(key), (list, int, float))), [])
        for keys in NUMBER_KEYS
    ]


def _white(processor: dict[str, Any], mean: list[float]) -> float:
    """Return the value that a white pixel has before mean and std; 1 where they are told by their size."""
    if processor.get("do_rescale") is False:  # pixels of 0 to 255, or, with a mean of smaller numbers, scaled before
        return 1.0 if any(mean) else float(WHITE)
    factor = processor.get("rescale_factor")
    if not isinstance(factor, (int, float)) or isinstance(factor, bool) or not 0 < factor <= 1:
        return 1.0
    white = WHITE * float(factor)
    return 1.0 if abs(white - 1) < ROUNDING else white


def _crop(processor: dict[str, Any]) -> dict[str, Any]:
    """Return crop_pct, or squashed, of a preprocessor_config.json; {} where it tells neither."""
    size = processor.get("size")
    edge = size.get("shortest_edge") if isinstance(size, dict) else size
    if processor.get("do_resize") is False:
        return {}
    if processor.get("do_center_crop") is True:
        crop = processor.get("crop_size")
        crop = crop.get("height") if isinstance(crop, dict) else crop
        sides = [side for side in (crop, edge) if isinstance(side, int) and not isinstance(side, bool)]
        return {"crop_pct": sides[0] / sides[1]} if len(sides) == 2 and 0 < sides[0] <= sides[1] else {}
    if _is_fraction(processor.get("crop_pct")) and isinstance(edge, int):
        return {"crop_pct": processor["crop_pct"]} if edge < SMALL_EDGE else {"squashed": True}
    is_stretched = isinstance(size, dict) and {"height", "width"} <= size.keys()
    return {"squashed": True} if is_stretched or isinstance(size, int) else {}


def _is_fraction(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1
