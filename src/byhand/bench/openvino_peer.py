"""OpenVINO as a peer of the bench: inference only."""

from importlib import import_module

from byhand.bench.inference import Predict
from byhand.bench.onnx_peer import graph_of, nchw
from byhand.kernels.conv.problem import FLOAT32
from byhand.nn import Model
from byhand.ops.op import Array


class Peer:
    """OpenVINO; precision: "float32", or "default" for its own choice, bfloat16 on a CPU that multiplies it."""

    def __init__(self, threads: int = 1, precision: str = FLOAT32) -> None:
        self.core = import_module("openvino").Core()
        self.settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        if precision == FLOAT32:
            self.settings["INFERENCE_PRECISION_HINT"] = "f32"

    def predictor(self, model: Model, images: Array) -> Predict:
        """Return the call that returns the logits of images; they are converted to NCHW before."""
        network = self.core.read_model(graph_of(model, len(images)).SerializeToString(), b"")
        request = self.core.compile_model(network, "CPU", self.settings).create_infer_request()
        inputs, output = [nchw(images)], request.get_output_tensor(0)

        def predict() -> Array:
            request.infer(inputs, share_inputs=True)
            return output.data  # type: ignore[no-any-return]

        return predict
