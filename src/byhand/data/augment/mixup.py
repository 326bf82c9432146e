"""mixup: an image blended with another, as weight * image + (1 - weight) * other, weight ~ Beta(alpha + 1, alpha).

The image keeps its own label. The loss is linear in the label, so that the weighted labels of both images with a weight from
Beta(alpha, alpha) have the same gradient, in expectation, as one label with a weight from Beta(alpha + 1, alpha).

Sources: Zhang et al. 2017, arXiv 1710.09412; Huszár 2017, "mixup: data-dependent data augmentation" (one label).
"""

from functools import lru_cache

import numpy as np

from byhand.data.augment.registry import MIX, augmentation
from byhand.shapes import Array

TABLE_STEPS = 2**13  # of the inverted distribution function


@augmentation("mixup", stage=MIX, example=0.2)
def mixup(images: Array, uniforms: Array, alpha: float, others: Array) -> Array:
    """Blend each image with another."""
    weight = beta_weights(uniforms[0], alpha).astype(np.float32)[:, None, None, None]
    blend: Array = np.rint(weight * images + (1 - weight) * others).astype(np.uint8)
    return blend


def beta_weights(uniforms: Array, alpha: float) -> Array:
    """Return weights from Beta(alpha + 1, alpha), one for each uniform number, by the inverted distribution function.

    >>> beta_weights(np.array([0.0, 0.5]), 1).round(3)
    array([0.   , 0.707])
    """
    probabilities, weights = _beta_table(alpha)
    return np.interp(uniforms, probabilities, weights)


@lru_cache(16)
def _beta_table(alpha: float) -> tuple[Array, Array]:
    """Return values of the distribution function of Beta(alpha + 1, alpha), and the weights that have them.

    Its density has a pole at weight 1 where alpha < 1. With 1 - weight = v^p and p = max(1, 1/alpha) there is none:

        density dv ~ weight^alpha * v^(p alpha - 1)

    v = 1 - w^2, with even steps of w, has the finest steps near weight 0, where v moves the weight most.
    """
    power = max(1.0, 1 / alpha)

    def weights_at(w: Array) -> tuple[Array, Array]:
        log_v = np.log1p(-w * w)
        return log_v, -np.expm1(power * log_v)

    edges = np.linspace(0, 1, TABLE_STEPS + 1)
    log_v, weight = weights_at((edges[1:] + edges[:-1]) / 2)
    with np.errstate(divide="ignore"):
        density = alpha * np.log(weight) + (power * alpha - 1) * log_v
        edge_weights = weights_at(edges)[1]
    cumulated = np.concatenate([[0], np.cumsum(np.exp(density - density.max()) * np.diff(edges**2))])
    return cumulated / cumulated[-1], edge_weights
