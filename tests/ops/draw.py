"""Random calls of ops, drawn from each op's `sample` by hypothesis or by a seed."""

from functools import partial

import numpy as np
from hypothesis import strategies as st


class Seeded:
    """A `SampleSource` (ops/op.py) that a seed decides; `numbers` says which fill its arrays: normal, ties or smooth."""

    def __init__(self, seed, numbers=None):
        self.random, self.numbers = np.random.default_rng(seed), numbers or normal

    def integer(self, least, most):
        return int(self.random.integers(least, most, endpoint=True))

    def choice(self, options):
        options = list(options)
        return options[self.integer(0, len(options) - 1)]

    def array(self, *shape):
        return self.numbers(self.random, shape)

    def integers(self, *shape, below):
        return self.random.integers(0, below, shape)


class Drawn(Seeded):
    """A `SampleSource` whose shapes and attributes hypothesis picks and shrinks when a test fails; numbers are from a seed."""

    def __init__(self, data, numbers=None):
        numbers = numbers or data.draw(st.sampled_from([normal, ties]), label="numbers")
        super().__init__(data.draw(st.integers(0, 2**32 - 1), label="seed"), numbers)
        self.data = data

    def integer(self, least, most):
        return self.data.draw(st.integers(least, most))

    def choice(self, options):
        return self.data.draw(st.sampled_from(list(options)))


def normal(random, shape):
    return random.standard_normal(shape)


def ties(random, shape):
    """Small whole numbers: equal maxima and kinks (at 0, 3 and 6, as some samples take multiples) are common."""
    return random.integers(-2, 3, shape).astype(float)


def smooth(random, shape):
    """Numbers from -2 to 2 that keep away from every kink: no two of them close, none near 0 or 1; no two arrays alike."""
    size = int(np.prod(shape))
    places = random.permutation(2 * size)[:size].reshape(shape)
    return (places - size + random.uniform(0.25, 0.35)) * 2 / size


# an op's inputs by name: arrays, one tuple of arrays (`xs`), or None --------------------------------------------------


def each(function, value):
    """Return function(value), for a tuple of arrays a tuple of results, for None None."""
    if value is None:
        return None
    return tuple(map(function, value)) if isinstance(value, tuple) else function(value)


def cast_inputs(op, inputs, dtype):
    """Return a sample's inputs by name, in the types that the hands take."""
    return {
        name: each(partial(np.array, dtype=op.dtypes.get(name, dtype)), value)
        for name, value in zip(op.inputs, inputs, strict=True)
    }


def copies(inputs):
    """Return private copies of inputs by name."""
    return {name: each(np.array, value) for name, value in inputs.items()}


def unregistered(op):
    """Return a copy of an op beside the registry, for a test to change; `copy.copy` returns the op itself."""
    changed = object.__new__(type(op))
    vars(changed).update(vars(op))
    return changed


def plan(op, inputs, attributes):
    """Return what the op's contract makes of inputs by name."""
    return op.infer([each(np.shape, value) for value in inputs.values()], attributes)


def with_gradient(op, inputs):
    """Return the names of the inputs that are there and have a gradient."""
    return [name for name in op.differentiable if inputs[name] is not None]


# layouts: each returns a private copy of an array that lies in memory in another way -----------------------------------


def contiguous(array):
    return np.array(array, order="C")


def strided(array):
    return _filled(np.empty([2 * size for size in array.shape], array.dtype)[_every(array, 2)], array)


def backwards(array):
    return _filled(np.empty(array.shape, array.dtype)[_every(array, -1)], array)


def transposed(array):
    return np.array(array, order="F")


def odd_offset(array):
    return _filled(np.empty(array.size + 1, array.dtype)[1:].reshape(array.shape), array)


LAYOUTS = (contiguous, strided, backwards, transposed, odd_offset)


def _every(array, step):
    return (..., *(slice(None, None, step),) * array.ndim)


def _filled(view, array):
    view[...] = array
    return view
