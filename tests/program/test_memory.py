"""The arena: live buffers do not overlap, and little memory is wasted."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import byhand as bh
from byhand import nn
from byhand.kernels.runtime.cpu import CACHE_LINE_BYTES
from byhand.ops import HANDS
from byhand.program.buffers import ArraySpec, LiveRange, allocate, arena_bytes, assign_offsets
from tests.nn.cases import images
from tests.nn.networks import everything, plain

NAME = re.compile(r"arena\.(\w+)")
VIEW = re.compile(r"# arena\.(\w+) is a view of arena\.(\w+)")


def spans(lines, kept=()):
    """Return, for each array that lines name, the first and the last line in which a number in it is needed.

    A view is its base: what is read from one is what was written to the other.
    """
    bases, found = {}, {}
    for number, line in enumerate(lines):
        view = VIEW.search(line)
        if view:
            bases[view[1]] = bases.get(view[2], view[2])
        for name in NAME.findall(line):
            base = bases.get(name, name)
            found.setdefault(base, [number, number])[1] = number
    found |= {name: [-1, len(lines)] for name in kept}
    return found | {name: found[base] for name, base in bases.items()}, bases


def overlaps(sizes, places, needed, bases):
    """Return the pairs of arrays that share memory while both are needed."""
    names = [name for name in sizes if name in needed and sizes[name] and name not in bases]
    return [
        (name, other)
        for i, name in enumerate(names)
        for other in names[i + 1 :]
        if needed[name][0] <= needed[other][1]
        and needed[other][0] <= needed[name][1]
        and places[name] < places[other] + sizes[other]
        and places[other] < places[name] + sizes[name]
    ]


# random live ranges ---------------------------------------------------------------------------------------------------


@st.composite
def live_ranges(draw):
    """Return (array specs, live ranges) of a few arrays."""
    names = [f"a{i}" for i in range(draw(st.integers(1, 9)))]
    shapes, dtypes = st.lists(st.integers(1, 40), max_size=3).map(tuple), st.sampled_from([np.uint8, np.float64])
    specs = {name: ArraySpec(draw(shapes), draw(dtypes)) for name in names}
    lines = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)
    return specs, {name: LiveRange(*draw(lines)) for name in names}


def placed(specs, live):
    return assign_offsets({name: spec.aligned_bytes for name, spec in specs.items()}, live)


@given(live_ranges())
def test_buffers_alive_at_the_same_time_do_not_overlap(program):
    specs, live = program
    offsets = placed(specs, live)
    sizes = {name: spec.aligned_bytes for name, spec in specs.items()}
    assert offsets.keys() == specs.keys() and not overlaps(sizes, offsets, live, {})
    assert all(offset % CACHE_LINE_BYTES == 0 and offset >= 0 for offset in offsets.values())
    assert arena_bytes(specs, offsets) <= sum(sizes.values())
    arrays = allocate(specs, offsets)
    for name, (shape, dtype) in specs.items():
        assert arrays[name].shape == shape and arrays[name].dtype == dtype and arrays[name].flags.c_contiguous
        assert arrays[name].ctypes.data % CACHE_LINE_BYTES == 0


@pytest.mark.parametrize("seed", range(40))
def test_many_arrays_of_many_sizes_do_not_overlap(seed):
    """Gaps that are filled in part, which needs more arrays than are drawn above."""
    rng = np.random.default_rng(seed)
    sizes = {f"a{i}": 64 * int(rng.integers(1, 30)) for i in range(40)}
    lines = [sorted(rng.integers(0, 30, 2).tolist()) for _ in sizes]
    live = {name: LiveRange(first, min(last, first + 8)) for name, (first, last) in zip(sizes, lines)}
    assert not overlaps(sizes, assign_offsets(sizes, live), live, {})


@given(live_ranges())
def test_arrays_hold_what_was_written_while_they_are_live(program):
    """In each line every live array holds the number that was written when it became live."""
    specs, live = program
    arrays = allocate(specs, placed(specs, live))
    for line in range(13):
        for number, (name, (first, last)) in enumerate(live.items()):
            if line == first:
                arrays[name][...] = number
            if first <= line <= last and line > first:
                assert (arrays[name] == number).all()


def test_a_wrong_offset_is_detected():
    lines = ["op(arena.a)", "op(arena.a, arena.b)", "op(arena.b, arena.c)"]
    sizes, (needed, bases) = dict.fromkeys("abc", 128), spans(lines)
    good = assign_offsets(sizes, {name: LiveRange(*lines) for name, lines in needed.items()})
    assert good["a"] == good["c"] != good["b"] and not overlaps(sizes, good, needed, bases)
    for broken in (good | {"b": good["a"]}, good | {"b": good["a"] + 64}, good | {"c": good["b"] - 64}):
        assert overlaps(sizes, broken, needed, bases)
    assert overlaps(sizes, good, *spans(lines, ["a"])) == [("a", "c")]
    seen = spans([*lines, "# arena.v is a view of arena.a", "op(arena.v)"])
    assert overlaps(sizes | {"v": 128}, good | {"v": good["a"]}, *seen) == [("a", "c")]


# real programs --------------------------------------------------------------------------------------------------------


def vgg():
    """Return a small network of the kind of VGG: convolutions in pairs, the first of them the largest."""
    layers = []
    for filters in (16, 32, 64):
        for _ in range(2):
            layers += [nn.Conv2d(filters, 3, padding="same"), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Model(nn.Input(24, 24, 3), nn.Sequential(*layers, nn.Flatten(), nn.Linear(64), nn.ReLU(), nn.Linear(10)))


def residual(size=16, filters=(8, 16), outputs=5, **settings):
    """Return a small residual network with batch norm, as ResNet-20's."""
    x = nn.Input(size, size, 3)
    y = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(filters[0], 3, padding="same", bias=False)(x)))
    for stride, width in enumerate(filters, 1):
        for step in (stride, 1):
            z = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(width, 3, stride=step, padding="same", bias=False)(y)))
            z = nn.BatchNorm()(nn.Conv2d(width, 3, padding="same", bias=False)(z))
            short = nn.BatchNorm()(nn.Conv2d(width, 1, stride=step, bias=False)(y)) if step > 1 else y
            y = nn.ReLU()(z + short)
    return nn.Model(x, nn.Linear(outputs)(nn.GlobalAvgPool2d()(y)), name="residual", **settings)


NETWORKS = {"lenet5": lambda: bh.models.create("lenet5"), "vgg": vgg, "residual": residual, "plain": plain}


def calls(text):
    """Return a program's lines, a call a line, of forward and of backward; of a micro-batch where there are such."""
    body = text[re.search(r"^def (micro_batch|step)", text, re.M).start() :].split("\n\n\n")[0]
    joined = re.sub(r",(  # [^\n]*)?\n +", ", ", body.split("# update")[0])
    forward, backward = joined.split("# backward")
    return forward.splitlines()[1:], backward.splitlines()[1:]


def needed_by_backward(text, sizes):
    """Return (the most bytes that backward needs in one line; those that it needs at all of its own, summed).

    The first: what forward wrote and this or a later line of backward names, and the gradients (`grad_...`) that an earlier
    or this line has written and this or a later one reads. No arena in this order of calls is smaller. The second: what
    forward wrote and backward names anywhere, and the gradients of the line where they take most. A view counts as its base.
    """
    forward, backward = calls(text)
    alive, bases = spans([*forward, *backward])
    start, own = len(forward), [name for name in alive if name not in bases]
    saved = [name for name in own if alive[name][0] < start <= alive[name][1]]
    gradients = [name for name in own if alive[name][0] >= start]
    assert all(name.startswith("grad_") for name in gradients) and not any(name.startswith("grad_") for name in saved)

    def most(names):
        return max(
            sum(sizes[name] for name in names if alive[name][0] <= line <= alive[name][1])
            for line in range(start, start + len(backward))
        )

    return most(own), sum(sizes[name] for name in saved) + most(gradients)


@pytest.mark.parametrize("hand", ["arrays", "compiled"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_arena_is_hardly_larger_than_what_backward_needs(name, hand):
    program = NETWORKS[name]().program(32, train=True, hand=hand)
    parts = [part.arena for part in getattr(program.arena, "micro_batches", [])] or [program.arena]
    sizes = {key: array.nbytes for key, array in vars(parts[0]).items()}
    least, summed = (len(parts) * size for size in needed_by_backward(program.text, sizes))
    assert (" micro-batches, " in program.text) == (len(parts) > 1) and least <= summed
    taken = {id(array): array for part in parts for array in map(memory, vars(part).values())}
    size = sum(array.nbytes for array in taken.values())
    assert least <= size  # or the sum is of what is not there
    assert size <= 1.1 * least, f"{size / least:.2f} times what backward needs"
    kept = sum(array.nbytes for array in vars(NETWORKS[name]().program(32, train=True, keep=True).arena).values())
    assert size < kept / 1.5, "and far smaller than with a place for each"


def memory(array):
    """Return the memory that an array is a view of."""
    while array.base is not None:
        array = array.base
    return array


@pytest.mark.parametrize("settings", [{}, {"input_gradient": True}, {"keep": True}])
@pytest.mark.parametrize("make", [everything, *NETWORKS.values()])
def test_live_buffers_of_real_programs_do_not_overlap(make, settings):
    program = make().program(8, train=True, hand="compiled", **settings)
    parts = [part.arena for part in getattr(program.arena, "micro_batches", [])] or [program.arena]
    forward, backward = calls(program.text)
    for part in parts:
        found = {name: array for name, array in vars(part).items() if isinstance(array, np.ndarray)}
        places = {name: array.ctypes.data for name, array in found.items()}
        kept = found if "keep" in settings else ["loss", "probabilities"]
        sizes = {name: array.nbytes for name, array in found.items()}
        alive, bases = spans([*forward, *backward], kept)
        assert not overlaps(sizes, places, alive, bases)
        assert all(places[view] == places[base] for view, base in bases.items()) and not (bases and "keep" in settings)
        assert alive.keys() <= found.keys()
    every = [array for part in parts for array in vars(part).values()]
    if len(parts) > 1:  # micro-batches share nothing
        owners = [{id(memory(a)) for n, a in vars(p).items() if n not in ("loss", "probabilities")} for p in parts]
        assert all(owner.isdisjoint(other) for i, owner in enumerate(owners) for other in owners[:i])
    assert all(array.ctypes.data % array.itemsize == 0 for array in every)


@pytest.mark.parametrize("settings", [{}, {"train": True}, {"train": True, "keep": True}])
@pytest.mark.parametrize("hand", ["arrays", "compiled"])
def test_a_preserved_buffer_is_allocated_once(hand, settings):
    """The last layer's outputs lie in `outputs`; of the arena's memory every byte is some other array's."""
    program = plain().program(512, hand=hand, **settings)
    parts = [part.arena for part in getattr(program.arena, "micro_batches", [])] or [program.arena]
    for part in parts:
        arrays = {name: array for name, array in vars(part).items() if isinstance(array, np.ndarray)}
        rest = [array for name, array in arrays.items() if name not in program.outputs]
        pieces = {id(memory(array)): memory(array) for array in rest}
        (piece,) = pieces.values()
        taken = np.zeros(piece.nbytes, bool)
        for array in rest:
            start = array.ctypes.data - piece.ctypes.data
            taken[start : start + array.nbytes] = True
        kept = max(arrays[name].nbytes for name in program.outputs)
        assert kept > 1000 and (~taken).sum() < CACHE_LINE_BYTES * (1 + len(rest)) < kept


@pytest.mark.parametrize("hand", HANDS)
def test_a_trace_keeps_every_array_apart(hand):
    model = plain()
    trace = model.trace(*images(model, 2), hand=hand)
    places = sorted((array.ctypes.data, array.nbytes) for array in trace.values())
    assert all(start + size <= after for (start, size), (after, _) in pairwise(places))
