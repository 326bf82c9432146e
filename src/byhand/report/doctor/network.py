"""What the doctor sees inside the network, from one forward and backward pass: dead ReLUs, and gradients that fade or swell."""

from math import ceil

import numpy as np

from byhand.ops.op import Array
from byhand.report.diagnosis_input import SOME, Case, Finding

RELUS = ("relu", "relu6")
DEAD, HOPELESS = 0.40, 0.90  # of a layer's units
FADED = 1e-3  # the first layers' gradient beside their weights, as a part of the last layer's
SWOLLEN = 100.0  # the same ratio: a step of SGD at a rate of 0.001 changes such weights by 10 %
WEIGHED = ("conv2d", "linear", "conv_transpose")


def dead_relus(case: Case) -> Finding | str | None:
    """Count the ReLUs that give 0 for every image: their gradient is 0, and what leads to them can't learn.

    A unit is a channel of a convolution, at any place in the image, or a number of a vector. Sources: Lu, Shin, Su &
    Karniadakis 2019, "Dying ReLU and Initialization", arXiv 1903.06733; Karpathy's notes for CS231n see 40 % dead where the
    learning rate is too high, which is the limit here: a few units that wait for rare images are no disease.
    """
    names = [node.output.name for node in case.model.graph.nodes if node.op.name in RELUS]
    if not names:
        return "the network has no ReLU"
    images = 0
    alive: dict[str, Array] = {name: np.zeros(1, bool) for name in names}
    for traced in case.activations():
        images += len(traced[names[0]])
        for name in names:
            alive[name] = alive[name] | (traced[name] > 0).any(axis=tuple(range(traced[name].ndim - 1)))
    if images < SOME:
        return f"fewer than {SOME} images"
    layers = [(name, int((~some).sum()), some.size) for name, some in alive.items()]
    sick = sorted((one for one in layers if one[1] >= DEAD * one[2]), key=lambda one: -one[1] / one[2])
    if not sick:
        return None
    told = ", ".join(f"{count:,} of {size:,} in {name}" for name, count, size in sick[:4])
    more = f" and {len(sick) - 4} more layers" if len(sick) > 4 else ""
    dead, units = sum(one[1] for one in layers), sum(one[2] for one in layers)
    return Finding(
        "dead ReLUs",
        "serious" if any(one[1] >= HOPELESS * one[2] for one in sick) else "warning",
        f"of {images} images, none makes these units positive: {told}{more}; {dead / units:.0%} of all {units:,} units",
        "a smaller learning rate, or one that is warmed up: one step too long throws units where no gradient reaches them; He's"
        " initial values (`initializer='he'`) and biases of 0; batch norms before the ReLUs, or LeakyReLU, which can't die."
        " Dead units don't come back: train anew",
    )


def ratios(case: Case) -> dict[str, float]:
    """Return the gradient's root mean square beside the weights', layer by layer from the image on.

    A step of plain SGD changes the weights by the learning rate times this, as a part of what they are; about 0.001 of them
    is healthy (Karpathy's notes for CS231n).
    """
    found = {}
    for node in case.model.graph.nodes:
        weight = node.inputs.get("weight")
        if node.op.name in WEIGHED and weight is not None and f"grad_{weight.name}" in case.traced:
            size = _rms(case.model.parameters[weight.name])
            found[node.name] = _rms(case.traced[f"grad_{weight.name}"]) / size if size else 0.0
    return found


def vanishing(case: Case) -> Finding | str | None:
    """See whether the gradient reaches the first third of the layers: a thousandth leaves them as they were drawn.

    Sources: Bengio, Simard & Frasconi 1994; Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward
    neural networks", looks at the layers in the same way. At one learning rate for all, a layer with a thousandth of the
    last one's ratio stands still while that one learns. Of ten classic networks, as they are drawn, none has less than a
    sixtieth; later layers may have, where a scale begins near 0 (ConvNeXt).
    """
    found = ratios(case)
    if len(found) < 3:
        return "fewer than three layers with weights learn"
    values, names = list(found.values()), list(found)
    early, last = max(values[: ceil(len(values) / 3)]), values[-1]
    if not last or not np.isfinite(last) or not early < FADED * last:
        return None
    if not early and isinstance(dead_relus(case), Finding):
        return None  # a layer that is dead lets nothing through
    first = values[0]
    each = f"; it shrinks {(last / first) ** (1 / (len(values) - 1)):.1f} times a layer" if first else ""
    return Finding(
        "vanishing gradients",
        "serious",
        f"beside its weights, the gradient of {names[0]}, the first of {len(found)} layers, is {first:.1e}, that of the last"
        f" {last:.1e}{each}",
        "ReLU in place of sigmoid or tanh; batch norms; shortcuts (`y + x`, as in ResNets); initial values that keep the"
        " variance: He's for ReLU, Glorot's for tanh; fewer layers",
    )


def exploding(case: Case) -> Finding | str | None:
    """See whether steps can be small: a gradient 100 times its weights changes them by 10 % even at a rate of 0.001.

    That is a hundred times what is healthy. Ten classic networks stay below 75 as they are drawn, and far below when trained.
    Source: Pascanu, Mikolov & Bengio 2012, arXiv 1211.5063, which also gives the cure, the longest gradient allowed.
    """
    found = ratios(case)
    if not found:
        return "no layer with weights learns"
    name = max(found, key=lambda one: found[one] if np.isfinite(found[one]) else np.inf)
    if np.isfinite(found[name]) and found[name] <= SWOLLEN:
        return None
    return Finding(
        "exploding gradients",
        "serious",
        f"the gradient of {name} is {found[name]:.3g} times its weights (root mean squares); from {SWOLLEN:g} on, a learning"
        " rate of 0.001 changes them by 10 % a step",
        "a longest gradient, clip_norm=1; batch norms; initial values that keep the variance (He's for ReLU); a look at the"
        " input scale; a learning rate far smaller",
    )


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
