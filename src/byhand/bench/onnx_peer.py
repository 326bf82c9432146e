"""onnxruntime as a peer of the bench: inference only."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from byhand.bench.inference import Predict
from byhand.bench.layer_calls import LayerCall, layer_calls
from byhand.bench.peer_network import PeerNetwork
from byhand.errors import ArgumentError
from byhand.nn import Model
from byhand.onnx.save import as_onnx as exported
from byhand.ops.op import Array

if TYPE_CHECKING:
    import onnx

Session = Any  # onnxruntime.InferenceSession: a peer, never a dependency


class Peer:
    """onnxruntime."""

    predict_program = """
import numpy as np
import onnxruntime
from PIL import Image
file, photo, size = sys.argv[1:]
pixels = np.asarray(Image.open(photo).convert("RGB").resize((int(size), int(size))), np.float32)
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
(logits,) = session.run(None, {session.get_inputs()[0].name: pixels.transpose(2, 0, 1)[None] / 255})
print(logits[0].argsort()[::-1][:5])
"""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def network(self, model: Model, lr: float, momentum: float) -> "OnnxNetwork":
        """Return the model as onnxruntime has it, with the same weights."""
        return OnnxNetwork(model, self.threads)

    def predictor(self, model: Model, images: Array) -> Predict:
        """Return the call that returns the logits of images; they are converted to NCHW before."""
        run, inputs = session(graph_of(model, len(images)), self.threads).run, {_input_name(model): nchw(images)}
        return lambda: run(None, inputs)[0]


def graph_of(model: Model, batch: int) -> "onnx.ModelProto":
    """Return a model as `byhand export` writes it, for a fixed batch: its compilers need not expect another one."""
    proto: onnx.ModelProto = exported(model)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    return proto


def nchw(images: Array) -> Array:
    """Return images as ONNX graphs take them."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def session(proto: "onnx.ModelProto", threads: int) -> Session:
    """Return a session of onnxruntime."""
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    return runtime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


class OnnxNetwork(PeerNetwork):
    """A session of onnxruntime."""

    def __init__(self, model: Model, threads: int) -> None:
        self.session = session(as_onnx(model), threads)

    def step(self, images: Array, labels: Array) -> float:
        """Raise ArgumentError: onnxruntime does not train."""
        raise ArgumentError("onnxruntime does not train")

    def logits(self, images: Array) -> Array:
        """Return the logits."""
        return self.session.run(None, {"pixels": images})[0]  # type: ignore[no-any-return]


def as_onnx(model: Model) -> "onnx.ModelProto":
    """Return an ONNX model of a chain of layers, from uint8 images (N, H, W, C) to logits."""
    import onnx  # noqa: PLC0415  (a peer, never a dependency)

    helper, kinds = onnx.helper, onnx.TensorProto
    constants = {
        name: np.asarray(value, np.float32)
        for name, value in (("levels", 255), ("mean", model.mean), ("std", model.std))
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["numbers"], to=kinds.FLOAT),
        helper.make_node("Div", ["numbers", "levels"], ["fractions"]),
        helper.make_node("Sub", ["fractions", "mean"], ["centered"]),
        helper.make_node("Div", ["centered", "std"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], [_input_name(model)], perm=[0, 3, 1, 2]),
    ]
    calls = layer_calls(model, channels_first=True)
    for call in calls:
        named = {f"{call.name}_{part}": value for part, value in call.values.items()}
        constants |= named
        kind, attributes = _node(call)
        nodes.append(helper.make_node(kind, [*call.inputs, *named], [call.name], **attributes))
    graph = helper.make_graph(
        nodes,
        model.name,
        [helper.make_tensor_value_info("pixels", kinds.UINT8, ["N", *model.input_shape])],
        [helper.make_tensor_value_info(calls[-1].name, kinds.FLOAT, ["N", len(model.classes)])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _input_name(model: Model) -> str:
    return model.graph.input.name if model.graph.input else ""


def _node(call: LayerCall) -> tuple[str, dict[str, Any]]:
    """Return a layer's ONNX operator and its attributes."""
    given = call.attributes
    if call.op in ("conv2d", "max_pool"):
        top, bottom, left, right = given["padding"]
        window = {"strides": given["stride"], "dilations": given["dilation"], "pads": (top, left, bottom, right)}
        if call.op == "conv2d":
            return "Conv", window | {"group": given["groups"]}
        return "MaxPool", window | {"kernel_shape": given["kernel"]}
    if call.op == "linear":
        return "Gemm", {"transB": 1}
    return {"relu": "Relu", "flatten": "Flatten", "add": "Add"}[call.op], {}
