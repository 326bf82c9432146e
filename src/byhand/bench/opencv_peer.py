"""OpenCV's module dnn as a peer of the bench: inference only."""

from importlib import import_module

import numpy as np

from byhand.bench.inference import Predict
from byhand.bench.onnx_peer import graph_of, nchw
from byhand.nn import Model
from byhand.ops.op import Array


class Peer:
    """OpenCV."""

    def __init__(self, threads: int = 1) -> None:
        self.cv2 = import_module("cv2")
        self.cv2.setNumThreads(threads)

    def predictor(self, model: Model, images: Array) -> Predict:
        """Return the call that returns the logits of images; they are converted to NCHW before."""
        graph = np.frombuffer(graph_of(model, len(images)).SerializeToString(), np.uint8)
        network, inputs = self.cv2.dnn.readNetFromONNX(graph), nchw(images)

        def predict() -> Array:
            network.setInput(inputs)
            return network.forward()  # type: ignore[no-any-return]

        return predict
