"""PyTorch as a peer of the bench: eager or torch.compile, in one of its two memory layouts."""

from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from byhand.bench.convolutions import Case, Passes
from byhand.bench.layer_calls import LayerCall, layer_calls, symmetric_padding
from byhand.bench.network import Network
from byhand.nn import Model


class Peer:
    """PyTorch; layout: contiguous (NCHW) or channels_last (NHWC)."""

    package = "torch"

    def __init__(self, layout: str = "contiguous", threads: int = 1, compiled: bool = False) -> None:
        torch: Any = import_module("torch")  # a peer, never a dependency
        self.torch, self.compiled = torch, compiled
        self.memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        torch.set_num_threads(threads)

    def network(self, model: Model, lr: float, momentum: float) -> "TorchNetwork":
        """Return the model as PyTorch has it, with the same weights."""
        return TorchNetwork(model, lr, momentum, self.torch, self.memory, self.compiled)

    def convolution(self, case: Case) -> Passes:
        """Return a function for each pass of a convolution: the ops that autograd calls, without its bookkeeping."""
        torch: Any = self.torch
        x, weight, grad = case.arrays()
        x, grad = (torch.from_numpy(a).permute(0, 3, 1, 2).contiguous(memory_format=self.memory) for a in (x, grad))
        w = torch.from_numpy(weight).permute(3, 2, 0, 1).contiguous(memory_format=self.memory)
        stride, padding = [case.stride] * 2, [case.kernel // 2] * 2

        @torch.inference_mode()  # type: ignore[untyped-decorator]
        def backward(*which: bool) -> Any:
            setting = [None, stride, padding, [1, 1], False, [0, 0], case.groups, [*which, False]]
            return torch.ops.aten.convolution_backward(grad, x, w, *setting)[which.index(True)]

        forward = torch.inference_mode()(lambda: torch.conv2d(x, w, None, stride, padding, 1, case.groups))
        return {
            "forward": lambda: forward().permute(0, 2, 3, 1),
            "backward data": lambda: backward(True, False).permute(0, 2, 3, 1),
            "backward weights": lambda: backward(False, True).permute(2, 3, 1, 0),
        }


class TorchNetwork(Network):
    """A module and its optimiser."""

    def __init__(self, model: Model, lr: float, momentum: float, torch: Any, memory: Any, compiled: bool) -> None:
        self.torch, self.lr, self.memory = torch, lr, memory
        self.mean, self.std = (
            torch.tensor(value, dtype=torch.float32).reshape(-1, 1, 1) for value in (model.mean, model.std)
        )
        self.module = module(model, torch).to(memory_format=memory)
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=lr, momentum=momentum, fused=True)
        self.loss_of, self.logits_of = self._loss, self._logits
        if compiled:
            self.loss_of, self.logits_of = (torch.compile(f, dynamic=False) for f in (self._loss, self._logits))

    def _logits(self, images: Any) -> Any:
        x = images.permute(0, 3, 1, 2).to(self.torch.float32, memory_format=self.memory)
        return self.module(x.div_(255).sub_(self.mean).div_(self.std))

    def _loss(self, images: Any, labels: Any) -> Any:
        return self.torch.nn.functional.cross_entropy(self._logits(images), labels)

    def step(self, images: Any, labels: Any) -> Any:
        """Do one update."""
        if not self.module.training:
            self.module.train()
        self.optimizer.param_groups[0]["lr"] = self.lr
        loss = self.loss_of(self.torch.from_numpy(images), self.torch.from_numpy(labels))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def logits(self, images: Any) -> Any:
        """Return the logits."""
        if self.module.training:
            self.module.eval()
        with self.torch.inference_mode():
            return self.logits_of(self.torch.from_numpy(np.array(images))).numpy()


def module(model: Model, torch: Any) -> Any:
    """Return a module with a generated forward, a line for each layer, as a person would write it."""
    calls = layer_calls(model, channels_first=True)
    uses = [name for call in calls for name in call.inputs]
    lines, layers = [], {}
    for call in calls:
        if call.op == "add":
            lines.append(f"    {call.name} = {' + '.join(call.inputs)}\n")
        else:
            layers[call.name] = _layer(call, torch, alone=uses.count(call.inputs[0]) == 1)
            lines.append(f"    {call.name} = self.{call.name}({call.inputs[0]})\n")
    assert model.graph.input is not None
    text = f"def forward(self, {model.graph.input.name}):\n{''.join(lines)}    return {calls[-1].name}\n"
    written: dict[str, Any] = {}
    exec(text, written)
    network = type("Written", (torch.nn.Module,), {"forward": written["forward"]})()
    for name, layer in layers.items():
        network.add_module(name, layer)
    return network


def _layer(call: LayerCall, torch: Any, alone: bool) -> Any:
    """Return one layer with its weights; alone: nothing else reads its input, so that a ReLU may write over it."""
    nn, given = torch.nn, call.attributes
    values = {key: torch.from_numpy(value) for key, value in call.values.items() if key != "key"}
    if call.op == "conv2d":
        filters, depth, *kernel = values["weight"].shape
        layer: Any = nn.Conv2d(
            depth * given["groups"], filters, tuple(kernel), given["stride"], symmetric_padding(given["padding"]),
            given["dilation"],
            given["groups"], bias="bias" in values,
        )  # fmt: skip
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
