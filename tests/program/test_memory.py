"""The arena: no two arrays that are needed at the same time overlap, and it is hardly larger than what backward needs."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import byhand as bh
from byhand import nn
from byhand.ops import HANDS
from byhand.program.buffers import ALIGNMENT, allocate, place, size_of, total
from tests.nn.cases import images
from tests.nn.networks import everything, plain

NAME = re.compile(r"arena\.(\w+)")
VIEW = re.compile(r"# arena\.(\w+) is arena\.(\w+), laid out anew")


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
        (one, other)
        for i, one in enumerate(names)
        for other in names[i + 1 :]
        if needed[one][0] <= needed[other][1] and needed[other][0] <= needed[one][1]
        and places[one] < places[other] + sizes[other] and places[other] < places[one] + sizes[one]
    ]  # fmt: skip


# drawn programs -------------------------------------------------------------------------------------------------------


@st.composite
def drawn(draw):
    """Return (arena, lines, kept, views): calls that name a few arrays each, some of which are views of others."""
    names = [f"a{i}" for i in range(draw(st.integers(1, 9)))]
    kinds = st.tuples(st.lists(st.integers(1, 40), max_size=3).map(tuple), st.sampled_from([np.uint8, np.float64]))
    arena = {name: draw(kinds) for name in names}
    calls = draw(st.lists(st.lists(st.sampled_from(names), min_size=1, max_size=3), max_size=12))
    lines = [f"op({', '.join(f'arena.{name}' for name in call)}, axis=1)" for call in calls]
    kept, views = draw(st.sets(st.sampled_from(names), max_size=2)), {}
    for i, base in enumerate(draw(st.lists(st.sampled_from(names), max_size=3))):
        view = f"v{i}"
        bases = {**views, **dict.fromkeys(names)}
        of = draw(st.sampled_from([base, *views]))
        arena[view], views[view] = ((size_of(*arena[of]),), np.uint8), bases[of] or of
        lines += [f"# arena.{view} is arena.{of}, laid out anew"]
        again = draw(st.lists(st.sampled_from([view, *names]), max_size=3))
        lines += [f"op_backward(arena.{name})" for name in again]
    return arena, lines, kept, views


@given(drawn())
def test_what_is_needed_at_the_same_time_does_not_overlap(program):
    arena, lines, kept, views = program
    places = place(arena, lines, kept, views)
    sizes = {name: size_of(*one) for name, one in arena.items()}
    needed, bases = spans(lines, kept)
    assert bases.keys() <= views.keys() and not overlaps(sizes, places, needed, bases)
    assert all(places[view] == places[base] for view, base in views.items())
    assert all(start % ALIGNMENT == 0 and start >= 0 for start in places.values()) and places.keys() == arena.keys()
    assert total(arena, places) <= sum(sizes[name] for name in arena if name not in views)
    arrays = allocate(arena, places)
    for name, (shape, dtype) in arena.items():
        assert arrays[name].shape == shape and arrays[name].dtype == dtype and arrays[name].flags.c_contiguous
        assert arrays[name].ctypes.data % ALIGNMENT == 0


@pytest.mark.parametrize("seed", range(40))
def test_many_arrays_of_many_sizes_do_not_overlap(seed):
    """Gaps that are filled in part, which needs more arrays than are drawn above."""
    rng = np.random.default_rng(seed)
    names = [f"a{i}" for i in range(40)]
    arena = {name: ((64 * int(rng.integers(1, 30)),), np.uint8) for name in names}
    lines = [""] * 30
    for name in names:
        first, last = sorted(rng.integers(0, 30, 2))
        lines[first] += f" arena.{name}"
        lines[min(last, first + 8)] += f" arena.{name}"
    places = place(arena, lines, (), {})
    assert not overlaps({name: shape[0] for name, (shape, _) in arena.items()}, places, *spans(lines))


@given(drawn())
def test_running_drawn_lines_reads_what_was_written(program):
    """Each line writes its own number to the arrays it names; they still hold it when a later line reads them."""
    arena, lines, kept, views = program
    arrays, wrote = allocate(arena, place(arena, lines, kept, views)), {}
    for number, line in enumerate(lines):
        for name in NAME.findall(line) if not line.startswith("#") else ():
            base = views.get(name, name)
            assert base not in wrote or (arrays[base] == wrote[base]).all()
            wrote[base] = number
            arrays[base][...] = number
    for name in kept & wrote.keys():
        assert (arrays[name] == wrote[name]).all()


def test_a_broken_place_is_seen():
    arena = dict.fromkeys("abc", ((16,), np.float64))
    lines = ["op(arena.a)", "op(arena.a, arena.b)", "op(arena.b, arena.c)"]
    sizes, (needed, bases) = dict.fromkeys("abc", 128), spans(lines)
    good = place(arena, lines, (), {})
    assert good["a"] == good["c"] != good["b"] and not overlaps(sizes, good, needed, bases)
    for broken in (good | {"b": good["a"]}, good | {"b": good["a"] + 64}, good | {"c": good["b"] - 64}):
        assert overlaps(sizes, broken, needed, bases)
    assert overlaps(sizes, good, *spans(lines, ["a"])) == [("a", "c")]
    seen = spans([*lines, "# arena.v is arena.a, laid out anew", "op(arena.v)"])
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
    """Return a program's lines, a call a line, of forward and of backward; of the lanes' function where there are lanes."""
    body = text[re.search(r"^def (lane|step)", text, re.M).start() :].split("\n\n\n")[0]
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
    parts = [part.arena for part in getattr(program.arena, "lanes", [])] or [program.arena]
    sizes = {key: array.nbytes for key, array in vars(parts[0]).items()}
    least, summed = (len(parts) * size for size in needed_by_backward(program.text, sizes))
    assert (" lanes, " in program.text) == (len(parts) > 1) and least <= summed
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
def test_in_real_programs_nothing_overlaps_that_is_needed(make, settings):
    program = make().program(8, train=True, hand="compiled", **settings)
    parts = [part.arena for part in getattr(program.arena, "lanes", [])] or [program.arena]
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
    if len(parts) > 1:  # lanes share nothing
        owners = [{id(memory(a)) for n, a in vars(p).items() if n not in ("loss", "probabilities")} for p in parts]
        assert all(one.isdisjoint(other) for i, one in enumerate(owners) for other in owners[:i])
    assert all(array.ctypes.data % array.itemsize == 0 for array in every)


@pytest.mark.parametrize("settings", [{}, {"train": True}, {"train": True, "keep": True}])
@pytest.mark.parametrize("hand", ["arrays", "compiled"])
def test_what_is_kept_is_allocated_once(hand, settings):
    """The last layer's outputs lie in `outputs`; of the arena's memory every byte is some other array's."""
    program = plain().program(512, hand=hand, **settings)
    parts = [part.arena for part in getattr(program.arena, "lanes", [])] or [program.arena]
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
        assert kept > 1000 and (~taken).sum() < ALIGNMENT * (1 + len(rest)) < kept


@pytest.mark.parametrize("hand", HANDS)
def test_a_trace_keeps_every_array_apart(hand):
    model = plain()
    trace = model.trace(*images(model, 2), hand=hand)
    places = sorted((array.ctypes.data, array.nbytes) for array in trace.values())
    assert all(start + size <= after for (start, size), (after, _) in pairwise(places))
