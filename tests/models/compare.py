"""Comparison of a network with its PyTorch twin: logits, losses and training."""

from math import prod

import numpy as np
import torch
from safetensors.torch import save_file

import byhand as bh
from tests.models.table import Learning, Logits
from tests.models.twins import TWINS


def count(twin):
    """Return the number of parameters of a twin."""
    return sum(parameter.numel() for parameter in twin.parameters())


def draw(twin, seed=0):
    """Fill a twin with random numbers: each differs from its initial value, and activations keep their scale."""
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


def same_weights(model, twin, folder):
    """Draw a twin's weights, write them as torchvision's are published (safetensors), and read them into the model."""
    draw(twin).to(torch.float64 if model.dtype == np.float64 else torch.float32)
    save_file(twin.state_dict(), folder / "twin.safetensors")
    model.load_torchvision(folder / "twin.safetensors")
    (folder / "twin.safetensors").unlink()


def difference(model, twin, folder, images=2, hand="compiled"):
    """Return the distance of a model's logits from its twin's, relative to the largest of them; both have one dtype."""
    same_weights(model, twin, folder)
    x = np.random.default_rng(1).standard_normal((images, *model.input_shape)).astype(np.float32)
    with torch.no_grad():
        theirs = twin(torch.from_numpy(x.transpose(0, 3, 1, 2).astype(model.dtype))).numpy()
    largest = np.abs(theirs).max()
    assert np.isfinite(theirs).all() and (np.ptp(theirs, axis=0) > 0.01 * largest).any(), "the images look alike"
    logits = model.logits_of(x, hand=hand)
    assert logits.shape == theirs.shape
    return float(np.abs(logits - theirs).max() / largest)


def logits_differ(name, case: Logits, folder):
    """Return the difference of an architecture's logits from its twin's in one case of the table."""
    classes = case.classes or (None if case.image is None else 10)
    # Every parameter comes from the file.
    model = bh.models.create(name, classes, case.image, seed=None, dtype=case.dtype)
    twin = TWINS[name](classes=len(model.classes), **case.twin)
    return difference(model, twin, folder, hand=case.hand)


def losses_agree(model, twin, lr, momentum):
    """Take four steps of SGD on both sides, which have the same weights, and compare each loss."""
    x = np.random.default_rng(3).standard_normal((8, *model.input_shape)).astype(np.float32)
    labels = np.arange(8)
    trainer = bh.Trainer(model, bh.SGD(lr=lr, momentum=momentum))
    sgd = torch.optim.SGD(twin.train().parameters(), lr=lr, momentum=momentum)
    images, classes = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(labels)
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(twin(images), classes)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        ours = trainer.step(x, labels)
        assert abs(ours - loss.item()) < 1e-3 * abs(loss.item())


def learns(model, case: Learning):
    """Assert that a few steps on a few images, each of a class of its own, lower the loss by the factor of the case.

    Of a network with dropout and no batch norm it is the loss without dropout, whose noise would hide the progress.
    """
    x = np.random.default_rng(2).standard_normal((4, *model.input_shape))
    labels = np.arange(4) % len(model.classes)
    ops = {node.op.name for node in model.graph.nodes}
    trainer, losses = bh.Trainer(model, bh.Adam(lr=case.lr)), []
    for step in range(case.steps):
        quiet = "dropout" in ops and "batch_norm" not in ops and step in (0, case.steps - 1)
        before = float(bh.softmax_cross_entropy(model.logits_of(x), labels)) if quiet else None
        loss = trainer.step(x, labels)
        losses.append(loss if before is None else before)
    assert np.isfinite(losses).all() and losses[-1] < case.factor * losses[0], losses
