"""Gradient check of a network by central differences in float64."""

import numpy as np

STEP = 1e-6


def check_gradients(model, images, labels, *, hand="arrays", numbers=12, tolerance=2e-6):
    """Hold `trace`'s gradient of every parameter and of the images against differences of its loss.

    At most `numbers` places of each array are tried, picked by a fixed seed.
    """
    assert model.dtype == np.float64, "differences need float64"
    images, rng = np.array(images, np.float64), np.random.default_rng(0)
    trace = model.trace(images, labels, hand=hand)
    name = model.graph.input.name
    checked = 0
    for key, array in {**model.parameters, name: images}.items():
        grad = trace[f"grad_{key}"]
        assert grad.shape == array.shape
        for i in rng.permutation(array.size)[:numbers]:
            value = array.flat[i]
            losses = []
            for moved in (value + STEP, value - STEP):
                array.flat[i] = moved
                losses.append(float(model.trace(images, labels, hand=hand)["loss"]))
            array.flat[i] = value
            difference = (losses[0] - losses[1]) / (2 * STEP)
            assert abs(grad.flat[i] - difference) <= tolerance * max(1, abs(difference)), (key, int(i), difference)
            checked += abs(difference) > 10 * tolerance
    assert checked, "every gradient is as good as zero: this shows nothing"
