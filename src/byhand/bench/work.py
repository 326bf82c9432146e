"""What is measured: a network, a batch, and how each peer does one training step on it.

A step is data in, loss, backward, update. Every peer starts from byhand's own first weights and sees the same batches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from byhand import data, models
from byhand.nn import Model
from byhand.ops import HANDS
from byhand.train import SGD, Trainer

Step = Callable[[Any, Any], float]  # (images uint8, labels) -> loss
LR = 0.01


@dataclass(frozen=True)
class Work:
    """One row of the table: training steps of an architecture on MNIST, `batch` images each."""

    title: str
    model: str
    batch: int

    def batches(self, count: int = 16) -> list[tuple[Any, Any]]:
        """Return the batches that every peer goes through in turn."""
        train, _ = data.load("mnist")
        size = self.batch
        parts = [slice(i * size, (i + 1) * size) for i in range(count)]
        return [(train.images[part].copy(), train.labels[part].copy()) for part in parts]

    def peers(self) -> list[str]:
        """Return who takes part; the loops only where a step is one image: they take a second for each of LeNet-5's."""
        return [peer for peer in PEERS if peer != "byhand loops" or self.batch == 1]


WORKS = {
    "article": Work("the article's net, batch 1, training", "article", 1),
    "article64": Work("the article's net, batch 64, training", "article", 64),
    "lenet5": Work("LeNet-5, batch 64, training", "lenet5", 64),
}


def byhand_step(work: Work, hand: str) -> Step:
    """Return a training step of byhand's."""
    return Trainer(models.create(work.model), SGD(lr=LR), batch_size=work.batch, hand=hand).step


def torch_step(work: Work, layout: str, threads: int) -> Step:
    """Return a training step of PyTorch's, eager, in one of its two memory layouts."""
    import torch  # noqa: PLC0415  (a peer, never a dependency)

    torch.set_num_threads(threads)
    network = _in_torch(models.create(work.model), torch)
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    network = network.to(memory_format=memory)
    optimizer = torch.optim.SGD(network.parameters(), lr=LR)

    def step(images: Any, labels: Any) -> float:
        x = torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32, memory_format=memory).div_(255).sub_(0.5)
        loss = torch.nn.functional.cross_entropy(network(x), torch.from_numpy(labels))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(loss.detach())

    return step


def _in_torch(model: Model, torch: Any) -> Any:
    """Return a plain chain of layers (all that is measured so far) as PyTorch has it, with the same weights."""
    nn, layers, maps = torch.nn, [], (0, 0, 0)
    for node in model.graph.nodes:
        name, shape = node.op.name, node.output.shape
        weights = {
            key: model.parameters[t.name] for key, t in node.inputs.items() if t is not None and t.kind == "parameter"
        }
        if name == "conv2d":
            weight = np.ascontiguousarray(weights["weight"].transpose(3, 2, 0, 1))
            pads = node.attributes["padding"] if isinstance(node.attributes["padding"], int) else 0
            layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], padding=pads, bias="bias" in weights)
        elif name == "linear":
            weight = weights["weight"]
            if maps[0] * maps[1] * maps[2] == len(weight):  # PyTorch flattens (C, H, W), byhand (H, W, C)
                weight = weight.reshape(*maps, -1).transpose(2, 0, 1, 3).reshape(len(weight), -1)
            weight = np.ascontiguousarray(weight.T)
            layer = nn.Linear(weight.shape[1], weight.shape[0])
        else:
            layers.append({"relu": nn.ReLU, "flatten": nn.Flatten}[name]() if name != "max_pool" else nn.MaxPool2d(2))
            maps = shape[1:] if len(shape) == 4 else maps
            continue
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight))
            if "bias" in weights:
                layer.bias.copy_(torch.from_numpy(weights["bias"]))
        layers.append(layer)
    return nn.Sequential(*layers)


PEERS: dict[str, Callable[[Work], Step]] = {
    **{f"byhand {hand}": lambda work, hand=hand: byhand_step(work, hand) for hand in HANDS},  # type: ignore[misc]
    **{
        f"PyTorch {layout}, {threads} thread{'s' if threads > 1 else ''}": (
            lambda work, layout=layout, threads=threads: torch_step(work, layout, threads)  # type: ignore[misc]
        )
        for layout in ("contiguous", "channels_last")
        for threads in (1, 2)
    },
}
