"""Checks inside the network, from one forward and backward pass: dead ReLUs, vanishing and exploding gradients."""

from collections.abc import Sequence
from math import ceil

import numpy as np

from byhand.graph import Node
from byhand.ops.op import Array, tree_leaves
from byhand.report.diagnosis_input import TRACE_MIN_IMAGES, DiagnosisInput, Finding
from byhand.report.doctor.registry import check

RELUS = ("relu", "relu6")
DEAD_MIN_FRACTION = 0.40  # of a layer's units: a warning
DEAD_SERIOUS_FRACTION = 0.90  # of a layer's units: serious
VANISHING_MAX_RATIO = 1e-3  # gradient-to-weight ratio of the first layers over that of the last layer
EXPLODING_MIN_RATIO = 100.0  # gradient-to-weight ratio: SGD at a learning rate of 0.001 changes such weights by 10%
WEIGHTED_OPS = ("conv2d", "linear", "conv_transpose2d")
LISTED_LAYERS = 4  # in the evidence


@check("dead ReLUs", stage="gradients")
def dead_relus(inputs: DiagnosisInput) -> Finding | str | None:
    """ReLUs are 0 for every image: their gradient is 0, and the weights before them stop learning.

    A unit is a channel of a convolution at any position, or an element of a vector. Sources: Lu, Shin, Su & Karniadakis 2019,
    "Dying ReLU and Initialization", arXiv 1903.06733; Karpathy's notes for CS231n see 40% dead at too high a learning rate,
    the threshold here: a few units that react to rare images only are normal. ReLUs of frozen layers are left out: no training
    changes them, and images of a few classes use only part of a pretrained network's units.
    """
    nodes = inputs.model.graph.nodes
    if not any(node.op.name in RELUS for node in nodes):
        return "the network has no ReLU"
    names = _trained_relus(nodes)
    if not names:
        return "the layers before the ReLUs are frozen"
    images = 0
    alive: dict[str, Array] = {name: np.zeros(1, bool) for name in names}
    for activations in inputs.activations():
        images += len(activations[names[0]])
        for name in names:
            axes = tuple(range(activations[name].ndim - 1))
            alive[name] = alive[name] | (activations[name] > 0).any(axis=axes)
    if images < TRACE_MIN_IMAGES:
        return f"fewer than {TRACE_MIN_IMAGES} images"
    layers = [(name, int((~units).sum()), units.size) for name, units in alive.items()]
    affected = [(name, dead, size) for name, dead, size in layers if dead >= DEAD_MIN_FRACTION * size]
    affected.sort(key=lambda layer: -layer[1] / layer[2])
    if not affected:
        return None
    listed = ", ".join(f"{dead:,} of {size:,} in {name}" for name, dead, size in affected[:LISTED_LAYERS])
    more = f" and {len(affected) - LISTED_LAYERS} more layers" if len(affected) > LISTED_LAYERS else ""
    all_dead, all_units = sum(dead for _, dead, _ in layers), sum(size for _, _, size in layers)
    return Finding(
        "dead ReLUs",
        "serious" if any(dead >= DEAD_SERIOUS_FRACTION * size for _, dead, size in affected) else "warning",
        f"units that are 0 for all {images} images: {listed}{more}; {all_dead / all_units:.0%} of all {all_units:,} units",
        "a smaller learning rate, or learning rate warmup; He initialization (`initializer='he'`) with biases of 0; batch norm"
        " before the ReLUs, or LeakyReLU. Dead units don't recover: train again from new weights",
    )


@check("exploding gradients", stage="gradients")
def exploding_gradients(inputs: DiagnosisInput) -> Finding | str | None:
    """A gradient is more than 100 times its weights: even a learning rate of 0.001 changes them by 10% a step.

    That is a hundred times the healthy ratio. Ten classic networks stay below 75 at initialization, and far below once trained.
    Source: Pascanu, Mikolov & Bengio 2012, arXiv 1211.5063, which proposes gradient clipping.
    """
    ratios = gradient_to_weight_ratios(inputs)
    if not ratios:
        return "no layer with weights learns"
    name = max(ratios, key=lambda layer: ratios[layer] if np.isfinite(ratios[layer]) else np.inf)
    if np.isfinite(ratios[name]) and ratios[name] <= EXPLODING_MIN_RATIO:
        return None
    return Finding(
        "exploding gradients",
        "serious",
        f"the gradient of {name} is {ratios[name]:.3g} times its weights (root mean squares); above {EXPLODING_MIN_RATIO:g}, a"
        " learning rate of 0.001 changes them by 10% a step",
        "gradient clipping, clip_norm=1; batch norm; an initialization that keeps the variance (He's for ReLU); a much smaller"
        " learning rate; check the input scale",
    )


@check("vanishing gradients", stage="gradients")
def vanishing_gradients(inputs: DiagnosisInput) -> Finding | str | None:
    """The gradient-to-weight ratio of the first third of the layers is below a thousandth of the last layer's.

    Sources: Bengio, Simard & Frasconi 1994; Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward
    neural networks". With one learning rate for all layers, such a layer stands still while the last one learns. Of ten classic
    networks at initialization none is below a sixtieth; later layers may be, where a scale starts near 0 (ConvNeXt).
    """
    ratios = gradient_to_weight_ratios(inputs)
    if len(ratios) < 3:
        return "fewer than three layers with weights learn"
    values, names = list(ratios.values()), list(ratios)
    early, last = max(values[: ceil(len(values) / 3)]), values[-1]
    if not last or not np.isfinite(last) or not early < VANISHING_MAX_RATIO * last:
        return None
    if not early and isinstance(dead_relus(inputs), Finding):
        return None  # dead ReLUs are the cause, and reported as such
    first = values[0]
    factor = f"; it shrinks {(last / first) ** (1 / (len(values) - 1)):.1f} times per layer" if first else ""
    return Finding(
        "vanishing gradients",
        "serious",
        f"the gradient-to-weight ratio of {names[0]}, the first of {len(ratios)} layers, is {first:.1e}, that of the last"
        f" {last:.1e}{factor}",
        "ReLU in place of sigmoid or tanh; batch norm; residual connections (`y + x`, as in ResNet); an initialization that"
        " keeps the variance: He's for ReLU, Glorot's for tanh; fewer layers",
    )


def _trained_relus(nodes: Sequence[Node]) -> list[str]:
    """Return the names of the outputs of the ReLUs that come after a layer whose parameters learn."""
    learned: set[str] = set()  # values that depend on a parameter
    for node in nodes:
        tensors = tree_leaves(node.inputs.values())
        if any(tensor.kind == "parameter" or tensor.name in learned for tensor in tensors):
            learned.add(node.output.name)
    return [node.output.name for node in nodes if node.op.name in RELUS and node.output.name in learned]


def gradient_to_weight_ratios(inputs: DiagnosisInput) -> dict[str, float]:
    """Return the root mean square of each layer's gradient over that of its weights, in the order of the layers.

    A step of plain SGD changes the weights by the learning rate times this ratio; about 0.001 in all is healthy (Karpathy's
    notes for CS231n).
    """
    ratios = {}
    for node in inputs.model.graph.nodes:
        weight = node.inputs.get("weight")
        if node.op.name in WEIGHTED_OPS and weight is not None and f"grad_{weight.name}" in inputs.trace:
            size = _rms(inputs.model.parameters[weight.name])
            ratios[node.name] = _rms(inputs.trace[f"grad_{weight.name}"]) / size if size else 0.0
    return ratios


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
