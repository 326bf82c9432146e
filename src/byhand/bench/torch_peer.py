"""PyTorch as a peer of the bench: eager or torch.compile, in one of its two memory layouts, float32 or bfloat16 autocast."""

import operator
from functools import partial, reduce
from importlib import import_module
from types import ModuleType
from typing import Any, SupportsFloat

import numpy as np

from byhand.bench.convolutions import ConvCase, Passes
from byhand.bench.layer_calls import LayerCall, layer_calls, symmetric_padding
from byhand.bench.peer_network import PeerNetwork
from byhand.kernels.conv.problem import BF16, FLOAT32
from byhand.nn import Model
from byhand.ops.op import Array

TorchTensor = Any  # torch.Tensor: PyTorch is a peer, never a dependency, also not of the type checker
TorchModule = Any  # torch.nn.Module


class Peer:
    """PyTorch; layout: contiguous (NCHW) or channels_last (NHWC); precision: "float32", or "bf16" for autocast to bfloat16."""

    package = "torch"

    def __init__(
        self, layout: str = "contiguous", threads: int = 1, compiled: bool = False, precision: str = FLOAT32
    ) -> None:
        self.torch, self.compiled, self.bf16 = import_module("torch"), compiled, precision == BF16
        self.memory_format = self.torch.channels_last if layout == "channels_last" else self.torch.contiguous_format
        self.torch.set_num_threads(threads)

    def network(self, model: Model, lr: float, momentum: float) -> "TorchNetwork":
        """Return the model as PyTorch has it, with the same weights."""
        return TorchNetwork(self, model, lr, momentum)

    def convolution(self, case: ConvCase) -> Passes:
        """Return a function for each pass of a convolution: the ops that autograd calls, without its bookkeeping."""
        torch, memory_format = self.torch, self.memory_format
        x, weight, grad = case.arrays()
        x, grad = (torch.from_numpy(a).permute(0, 3, 1, 2).contiguous(memory_format=memory_format) for a in (x, grad))
        w = torch.from_numpy(weight).permute(3, 2, 0, 1).contiguous(memory_format=memory_format)
        if self.bf16:
            x, grad, w = (tensor.bfloat16() for tensor in (x, grad, w))
        stride, padding = [case.stride] * 2, [case.kernel // 2] * 2

        def run_forward() -> TorchTensor:
            return torch.conv2d(x, w, None, stride, padding, 1, case.groups)

        @torch.inference_mode()  # type: ignore[untyped-decorator]
        def backward(*which: bool) -> TorchTensor:
            setting = [None, stride, padding, [1, 1], False, [0, 0], case.groups, [*which, False]]
            return torch.ops.aten.convolution_backward(grad, x, w, *setting)[which.index(True)]

        forward = torch.inference_mode()(run_forward)
        return {
            "forward": lambda: Result(forward().permute(0, 2, 3, 1)),
            "backward_data": lambda: Result(backward(True, False).permute(0, 2, 3, 1)),
            "backward_weights": lambda: Result(backward(False, True).permute(2, 3, 1, 0)),
        }


class Result:
    """A result as `np.asarray` takes it: NumPy has no bfloat16. Nothing is converted while calls are timed."""

    def __init__(self, tensor: TorchTensor) -> None:
        self.tensor = tensor

    def __array__(self, dtype: object = None, copy: bool | None = None) -> Array:
        """Return it as a float32 array."""
        return self.tensor.float().numpy()  # type: ignore[no-any-return]


class TorchNetwork(PeerNetwork):
    """A module and its optimizer."""

    def __init__(self, peer: Peer, model: Model, lr: float, momentum: float) -> None:
        self.torch, self.lr, self.memory_format = peer.torch, lr, peer.memory_format
        self.mean, self.std = (
            self.torch.tensor(value, dtype=self.torch.float32).reshape(-1, 1, 1) for value in (model.mean, model.std)
        )
        self.module = as_module(model, self.torch).to(memory_format=self.memory_format)
        self.optimizer = self.torch.optim.SGD(self.module.parameters(), lr=lr, momentum=momentum, fused=True)
        self.autocast = partial(self.torch.autocast, "cpu", self.torch.bfloat16, enabled=peer.bf16)
        self.loss_of, self.logits_of = self._loss, self._logits
        if peer.compiled:
            self.loss_of, self.logits_of = (self.torch.compile(f, dynamic=False) for f in (self._loss, self._logits))

    def _logits(self, images: TorchTensor) -> TorchTensor:
        x = images.permute(0, 3, 1, 2).to(self.torch.float32, memory_format=self.memory_format)
        return self.module(x.div_(255).sub_(self.mean).div_(self.std))

    def _loss(self, images: TorchTensor, labels: TorchTensor) -> TorchTensor:
        return self.torch.nn.functional.cross_entropy(self._logits(images), labels)

    def step(self, images: Array, labels: Array) -> SupportsFloat:
        """Do one update."""
        if not self.module.training:
            self.module.train()
        self.optimizer.param_groups[0]["lr"] = self.lr
        with self.autocast():
            loss = self.loss_of(self.torch.from_numpy(images), self.torch.from_numpy(labels))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()  # type: ignore[no-any-return]

    def logits(self, images: Array) -> Array:
        """Return the logits."""
        if self.module.training:
            self.module.eval()
        with self.torch.inference_mode(), self.autocast():
            return self.logits_of(self.torch.from_numpy(np.array(images))).float().numpy()  # type: ignore[no-any-return]


def as_module(model: Model, torch: ModuleType) -> TorchModule:
    """Return the model as a torch.nn.Module, built as a torch.fx graph: a call for each layer, in the model's order."""
    calls = layer_calls(model, channels_first=True)
    readers = [name for call in calls for name in call.inputs]
    graph, layers = torch.fx.Graph(), torch.nn.Module()
    assert model.graph.input is not None
    values = {model.graph.input.name: graph.placeholder("images")}
    for call in calls:
        inputs = [values[name] for name in call.inputs]
        if call.op == "add":
            values[call.name] = reduce(lambda x, y: graph.call_function(operator.add, (x, y)), inputs)
        else:
            layers.add_module(call.name, _layer(call, torch, alone=readers.count(call.inputs[0]) == 1))
            values[call.name] = graph.call_module(call.name, (inputs[0],))
    graph.output(values[calls[-1].name])
    return torch.fx.GraphModule(layers, graph)


def _layer(call: LayerCall, torch: ModuleType, alone: bool) -> TorchModule:
    """Return one layer with its weights; alone: nothing else reads its input, so that a ReLU may write over it."""
    nn, given = torch.nn, call.attributes
    values = {key: torch.from_numpy(value) for key, value in call.values.items() if key != "key"}
    layer: TorchModule
    if call.op == "conv2d":
        filters, depth, *kernel = values["weight"].shape
        settings = {name: given[name] for name in ("stride", "dilation", "groups")}
        settings |= {"padding": symmetric_padding(given["padding"]), "bias": "bias" in values}
        layer = nn.Conv2d(depth * given["groups"], filters, tuple(kernel), **settings)
    elif call.op == "linear":
        layer = nn.Linear(values["weight"].shape[1], values["weight"].shape[0], bias="bias" in values)
    elif call.op == "batch_norm":
        layer = nn.BatchNorm2d(len(values["gamma"]), eps=given["eps"], momentum=given["momentum"])
        values["weight"], values["bias"] = values.pop("gamma"), values.pop("beta")
    elif call.op == "max_pool":
        layer = nn.MaxPool2d(given["kernel"], given["stride"], symmetric_padding(given["padding"]), given["dilation"])
    elif call.op == "global_avg_pool":
        layer = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    elif call.op == "dropout":
        layer = nn.Dropout(given["rate"])
    else:
        layer = {"relu": partial(nn.ReLU, inplace=alone), "flatten": nn.Flatten}[call.op]()
    with torch.no_grad():
        for name, value in values.items():
            getattr(layer, name).copy_(value)
    return layer
