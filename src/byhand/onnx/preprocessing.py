"""What is done to an image before it is an ONNX network's input: as byhand or another exporter noted, or as the graph shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from byhand.data.preprocessing import Preprocessing
from byhand.onnx.input_scale import BYTES, InputScale
from byhand.onnx.readers.constant import FLOATING_TYPES

COLOR_CHANNELS = 3
MEAN_TOLERANCE = 0.02  # of the range of pixels, between two means that are the same


def read_preprocessing(
    metadata: dict[str, Any], elem_type: int, channels: int, scale: InputScale | None, notes: list[str]
) -> Preprocessing:
    """Return the preprocessing that byhand wrote into a file; else as its metadata say, else pixels as its graph expects them.

    scale: of the normalization in the graph; notes: gets what is left out, or assumed. Without any sign pixels go from 0 to 1,
    those of an input of integers from 0 to 255.
    """
    if "preprocessing" in metadata:
        record = Preprocessing.from_json(metadata["preprocessing"])
        if record.crop_pct is not None and (record.mean, record.std) == (0.0, 1.0):  # of a training: known, see below
            record = replace(record, mean=[0.0] * channels, std=[1.0] * channels)
        return record
    given = {key: metadata[key] for key in ("mean", "std") if key in metadata}
    crop_pct = metadata.get("crop_pct")
    if metadata.get("squashed"):
        notes.append(
            "its configuration stretches images to the network's size: byhand takes their largest centered part of that shape"
        )
        crop_pct = 1.0
    # Other exporters write the three numbers of color images for any network; byhand's own must fit.
    in_color = [key for key, value in given.items() if isinstance(value, list) and len(value) == COLOR_CHANNELS]
    if in_color and channels != COLOR_CHANNELS:
        notes.append(
            f"its metadata '{in_color[0]}' has {len(metadata[in_color[0]])} numbers, but its images have {channels} channels:"
            " its mean and std are not used; --mean and --std say them"
        )
        given = {}
    if scale is not None and (not given or scale.white == BYTES or _is_same(given.get("mean"), scale)):
        if given or elem_type in FLOATING_TYPES:
            twice = ", and not as its metadata's mean and std say" if given else ""
            notes.append(
                f"its graph normalizes the image itself: it gets pixels from 0 to {scale.white:g}{twice}; --mean and --std say"
                " otherwise"
            )
        # Lists: known, where the numbers 0 and 1 stand for what no file says.
        return Preprocessing(crop_pct=crop_pct, mean=[0.0] * channels, std=[1 / scale.white] * channels)
    default = 1.0 if elem_type in FLOATING_TYPES else 1 / BYTES
    return Preprocessing.from_json({"mean": 0.0, "std": default, "crop_pct": crop_pct} | given)


def _is_same(mean: Any, scale: InputScale) -> bool:
    """Tell whether a mean of pixels from 0 to 1 is the one that the graph subtracts."""
    if mean is None or not np.any(scale.mean != 0) or len({np.size(mean), len(scale.mean), 1}) > 2:
        return False
    return bool(np.all(np.abs(np.asarray(mean) - scale.mean / scale.white) < MEAN_TOLERANCE))


def reverse_channels(graph: onnx.GraphProto, image: str, axis: int) -> None:
    """Put a node before a graph that reverses an image's channels, red, green and blue, for a network of the other order."""
    reversed_name, order = f"{image}_reversed", f"{image}_channel_order"
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == image:
                node.input[i] = reversed_name
    graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), order))
    graph.node.insert(0, helper.make_node("Gather", [image, order], [reversed_name], axis=axis))
