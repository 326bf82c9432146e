"""The recording of a network too large to run in the page: values and gradients of each layer's most active channels."""

from math import prod
from typing import Any

import numpy as np

from byhand.nn import Model
from byhand.nn.gradients import grad_cam, trace_gradients
from byhand.ops import sigmoid, softmax
from byhand.ops.op import Array
from byhand.page.snapshot import encode_base64

# Channels of a layer that are recorded, the most active ones: at most so many, about so many over all images, never fewer.
MAX_CHANNELS = 12
MAX_CHANNELS_OF_ALL_IMAGES = 16
MIN_CHANNELS = 2
MAX_VECTOR_ELEMENTS = 10_000  # larger outputs that are no feature maps are not recorded


def record_channels(model: Model, images: Array, cam: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the network's description for the page, and for each image (H, W, C) its values, gradients and Grad-CAM.

    cam: the layer of Grad-CAM's feature maps. The gradients are those of the loss against the predicted class.
    """
    graph = model.graph.up_to(model.logits)
    assert graph.input is not None
    names = [node.output.name for node in graph.nodes]
    traces, cams = [], []
    for image in images:
        logits = model.logits_of(image[None])
        truth = np.eye(logits.shape[1], dtype=logits.dtype)[logits.argmax(1)]
        grad = softmax(logits) - truth
        if model.task == "labels":  # whose loss is the mean over all labels
            grad = (sigmoid(logits) - truth) / logits.shape[1]
        traces.append(trace_gradients(model, image[None], grad))
        if cam is not None:
            scores = trace_gradients(model, image[None], truth)
            cams.append(encode_base64(grad_cam(scores[cam][0], scores[f"grad_{cam}"][0]), np.float16))
    max_channels = max(MIN_CHANNELS, min(MAX_CHANNELS, MAX_CHANNELS_OF_ALL_IMAGES // len(images)))
    found = ((name, _kept([trace[name] for trace in traces], max_channels)) for name in names)
    kept = {name: spec for name, spec in found if spec is not None}

    def encode_arrays(trace: dict[str, Array], prefix: str) -> dict[str, str]:
        return {
            name: encode_base64(_take(trace[prefix + name], spec["kept"]), np.float16)
            for name, spec in kept.items()
            if prefix + name in trace and name != model.logits.name
        }

    nodes = [{"name": node.name, "op": node.op.name, "output": node.output.name, "reads": []} for node in graph.nodes]
    spec = {"input": graph.input.name, "logits": model.logits.name, "classes": len(model.classes), "kept": kept}
    spec["nodes"] = [node for node in nodes if node["output"] in kept]
    images_of = [
        {
            "values": encode_arrays(trace, ""),
            "grads": encode_arrays(trace, "grad_"),
            "logits": encode_base64(trace[model.logits.name], np.float32),
        }
        | ({"cam": cams[k]} if cams else {})
        for k, trace in enumerate(traces)
    ]
    return spec, images_of


def _kept(values: list[Array], max_channels: int) -> dict[str, Any] | None:
    """Return which channels of a layer are kept, and the shape that is left; None for what is not recorded."""
    shape = values[0].shape
    if len(shape) != 4 or prod(shape[1:3]) == 1:
        return {"shape": list(shape), "kept": None} if prod(shape) <= MAX_VECTOR_ELEMENTS else None
    power = sum(np.abs(value.astype(np.float32)).mean((0, 1, 2)) for value in values)
    channels = np.sort(np.argsort(-np.nan_to_num(power), kind="stable")[:max_channels]).tolist()
    return {"shape": [*shape[:3], len(channels)], "kept": channels}


def _take(value: Array, channels: list[int] | None) -> Array:
    return value if channels is None else value[..., channels]
