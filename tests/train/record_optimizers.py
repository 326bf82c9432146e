"""A script that records PyTorch's steps of the optimizers and of LeNet-5.

    python -m tests.train.record_optimizers        writes tests/train/recorded.npz, the same bytes each time

Of LeNet-5 it keeps a few numbers of each array, and sums over all of it.
"""

from pathlib import Path

import numpy as np

import byhand as bh
from tests.oracle import TORCH

PATH = Path(__file__).with_name("recorded.npz")

# optimizers: a step's gradients are given, not computed from p, so that no error feeds on itself ----------------------

STEPS = 20
SIZE = 7
OPTIMIZERS = {
    "sgd": bh.SGD(lr=0.1),
    "sgd, decay": bh.SGD(lr=0.1, weight_decay=0.3),
    "sgd, momentum": bh.SGD(lr=0.05, momentum=0.9),
    "sgd, momentum, decay": bh.SGD(lr=0.05, momentum=0.5, weight_decay=0.1),
    "sgd, nesterov": bh.SGD(lr=0.05, momentum=0.9, nesterov=True),
    "sgd, nesterov, decay": bh.SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": bh.Adam(lr=0.02),
    "adam, all set": bh.Adam(lr=0.02, beta1=0.7, beta2=0.95, eps=1e-3, weight_decay=0.2),
    "adam, no means": bh.Adam(lr=0.02, beta1=0.0, beta2=0.0, eps=0.1),
    "adamw": bh.AdamW(lr=0.02),
    "rmsprop": bh.RMSprop(lr=0.02),
    "rmsprop, all set": bh.RMSprop(lr=0.02, alpha=0.8, eps=1e-3, momentum=0.5, weight_decay=0.2),
    "adamw, all set": bh.AdamW(lr=0.02, beta1=0.7, beta2=0.95, eps=1e-3, weight_decay=0.2),
}


def problem(dtype=np.float64):
    """Return the first parameters (SIZE,) and the gradients (STEPS, SIZE), small and large ones."""
    rng = np.random.default_rng(20)
    gradients = rng.standard_normal((STEPS, SIZE)) * 10.0 ** np.arange(-3, SIZE - 3)
    return rng.standard_normal(SIZE).astype(dtype), gradients.astype(dtype)


def torch_steps(name, dtype=np.float64):
    """Return what PyTorch's optimizer makes of the problem: the parameters after each step, (STEPS, SIZE)."""
    import torch

    start, gradients = problem(dtype)
    ours, p = OPTIMIZERS[name], torch.tensor(start, requires_grad=True)
    settings = {"lr": ours.lr, "weight_decay": ours.weight_decay}
    if isinstance(ours, bh.RMSprop):
        settings |= {"alpha": ours.alpha, "eps": ours.eps, "momentum": ours.momentum}
    elif isinstance(ours, bh.Adam):
        settings |= {"betas": (ours.beta1, ours.beta2), "eps": ours.eps}
    else:
        settings |= {"momentum": ours.momentum, "nesterov": ours.nesterov}
    optimizer, after = getattr(torch.optim, type(ours).__name__)([p], **settings), []
    for gradient in gradients:
        p.grad = torch.tensor(gradient)
        optimizer.step()
        after.append(p.detach().numpy().copy())
    return np.array(after)


# LeNet-5: three steps of SGD with momentum ----------------------------------------------------------------------------

BATCH = 8
LENET_STEPS = 3
LENET_SGD = bh.SGD(lr=0.05, momentum=0.9)


def lenet():
    """Return LeNet-5 in float64, its first values drawn here, so that they stay what they are."""
    model, rng = bh.models.create("lenet5", dtype=np.float64), np.random.default_rng(5)
    for parameter in model.parameters.values():
        parameter[...] = rng.standard_normal(parameter.shape) / np.sqrt(max(1, parameter[..., 0].size))
    return model


def lenet_batch():
    """Return images (N, 28, 28, 1) uint8 and labels (N,)."""
    rng = np.random.default_rng(6)
    return rng.integers(0, 256, (BATCH, 28, 28, 1), np.uint8), rng.integers(0, 10, BATCH)


def torch_lenet(model, images, labels):
    """Return PyTorch's training of the same network: {"loss": (steps,), "grad_<name>", the first step's, "<name>", at the end}.

    Weights are carried over: filters (R, S, C, K) -> (K, C, R, S); the first linear layer reads the flattened (C, H, W)
    there, (H, W, C) here.
    """
    import torch
    from torch import nn

    twin = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    ).double()
    layers = [layer for layer in twin if hasattr(layer, "weight")]
    names = [name.removesuffix("_weight") for name in model.parameters if name.endswith("_weight")]
    with torch.no_grad():
        for name, layer in zip(names, layers, strict=True):
            layer.weight.copy_(torch.tensor(to_torch_layout(model.parameters[f"{name}_weight"])))
            layer.bias.copy_(torch.tensor(model.parameters[f"{name}_bias"]))
    optimizer = torch.optim.SGD(twin.parameters(), lr=LENET_SGD.lr, momentum=LENET_SGD.momentum)
    x, found = torch.tensor(images.transpose(0, 3, 1, 2) / 255 - 0.5), {"loss": []}
    for step in range(LENET_STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(twin(x), torch.tensor(labels))
        loss.backward()
        found["loss"].append(loss.item())
        if step == 0:
            for name, layer in zip(names, layers):
                found[f"grad_{name}_weight"], found[f"grad_{name}_bias"] = (
                    to_byhand_layout(layer.weight.grad),
                    to_byhand_layout(layer.bias.grad),
                )
        optimizer.step()
    for name, layer in zip(names, layers):
        found[f"{name}_weight"], found[f"{name}_bias"] = to_byhand_layout(layer.weight), to_byhand_layout(layer.bias)
    return {name: np.array(value) for name, value in found.items()}


def to_torch_layout(weight):
    """Return a weight of byhand's in PyTorch's layout."""
    if weight.ndim == 4:
        return weight.transpose(3, 2, 0, 1).copy()
    if len(weight) == 400:  # 5 x 5 x 16
        return weight.reshape(5, 5, 16, -1).transpose(3, 2, 0, 1).reshape(-1, 400)
    return weight.T.copy()


def to_byhand_layout(tensor):
    """Return a weight (or bias) of PyTorch's in byhand's layout."""
    array = tensor.detach().numpy().copy()
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    if array.ndim == 2 and array.shape[1] == 400:
        return array.reshape(-1, 16, 5, 5).transpose(2, 3, 1, 0).reshape(400, -1)
    return array.T


def digest(array):
    """Return a few numbers of an array that any wrong number changes: some of it, and weighted sums over all of it."""
    flat = np.ravel(array)
    weights = np.random.default_rng(7).uniform(0.5, 1.5, (3, flat.size))
    return np.concatenate([flat[:: max(1, flat.size // 5)][:5], weights @ flat])


def write(path=PATH):
    images, labels = lenet_batch()
    file = {f"optimizer: {name}": torch_steps(name) for name in OPTIMIZERS}
    file |= {f"lenet: {name}": digest(value) for name, value in torch_lenet(lenet(), images, labels).items()}
    np.savez_compressed(path, **file)


def read(kind, path=PATH):
    """Return the records of one kind by name."""
    with np.load(path, allow_pickle=False) as file:
        return {name.removeprefix(f"{kind}: "): file[name] for name in file.files if name.startswith(f"{kind}: ")}


if __name__ == "__main__":
    if TORCH is None:
        raise SystemExit("PyTorch is not installed, and its results are what is recorded")
    write()
