"""A network of byhand's beside its twin in PyTorch, which has torchvision's module names: the same weights, the same logits.

The twin's weights are drawn, written as torchvision's are found (safetensors, its names), and read by `load_torchvision`.
"""

from math import prod

import numpy as np
import torch
from safetensors.torch import save_file

import byhand as bh
from byhand import nn

TOLERANCE = 2e-5  # of the largest logit: float32, some hundred layers one after the other


def count(twin):
    """Return how many numbers a twin learns."""
    return sum(parameter.numel() for parameter in twin.parameters())


def model(architecture, name, image=None, classes=None, **settings):
    """Return a model of an architecture, by default for the images and classes that it was made for."""
    images = nn.Input(*(image or architecture.image))
    return nn.Model(images, architecture.build(images, classes or architecture.classes), name=name, **settings)


def parameter_count(architecture, name, classes=None):
    """Return how many numbers an architecture learns at its own image size; no memory is asked for."""
    return model(architecture, name, classes=classes, seed=None).parameter_count


def draw(twin, seed=0):
    """Fill a twin with random numbers: every one differs from what it is born with, and signals keep their size."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in twin.state_dict().items():
            if name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.ndim > 1:
                value.normal_(0, (2 / prod(value.shape[1:])) ** 0.5, generator=generator)
            elif value.is_floating_point():
                value.normal_(0, 0.1, generator=generator)
    return twin.eval()


def difference(ours, twin, path, images=2, hand="compiled"):
    """Return how far the logits of a model are from its drawn twin's, relative to the largest of them; both of one dtype."""
    twin = draw(twin).to(torch.float64 if ours.dtype == np.float64 else torch.float32)
    save_file(twin.state_dict(), path / "twin.safetensors")
    ours.load_torchvision(path / "twin.safetensors")
    x = np.random.default_rng(1).standard_normal((images, *ours.input_shape)).astype(np.float32)
    with torch.no_grad():
        theirs = twin(torch.from_numpy(x.transpose(0, 3, 1, 2).astype(ours.dtype))).numpy()
    largest = np.abs(theirs).max()
    assert np.isfinite(theirs).all() and (np.ptp(theirs, axis=0) > 0.01 * largest).any(), "the images look alike"
    logits = ours.logits_of(x, hand=hand)
    assert logits.shape == theirs.shape
    return float(np.abs(logits - theirs).max() / largest)


def learns(ours, steps=8, images=4, lr=0.001):
    """Return (the loss before, the loss after) some steps on a few images, each of a class of its own.

    Of a network with dropout and no batch norm it is the loss without dropout, which would hide what is learnt.
    """
    x = np.random.default_rng(2).standard_normal((images, *ours.input_shape))
    labels = np.arange(images) % len(ours.classes)
    ops = {node.op.name for node in ours.graph.nodes}
    quiet = "dropout" in ops and "batch_norm" not in ops
    trainer = bh.Trainer(ours, bh.Adam(lr=lr))
    losses = []
    for _ in range(steps):
        losses.append(float(bh.softmax_cross_entropy(ours.logits_of(x), labels)) if quiet else 0.0)
        loss = trainer.step(x, labels)
        losses[-1] = losses[-1] if quiet else loss
    assert np.isfinite(losses).all()
    return losses[0], losses[-1]
