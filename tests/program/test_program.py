"""Programs: the printed text is what runs, it is reproducible, and no name becomes code."""

import ast
import copy
import difflib
import linecache
import os
import re
import subprocess
import sys
import traceback
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.errors import ArgumentError
from byhand.nn.model import flat_views
from byhand.ops import HANDS
from byhand.train.optim import update
from tests.nn.cases import ALL, images
from tests.nn.networks import everything, plain, small
from tests.program.kinds import KINDS, UPDATE


def duplicate(values, model, prefix=""):
    """Return copies of a model's parameters or gradients, as views of one buffer again."""
    same = flat_views(model.graph.of_kind("parameter"), model.dtype, prefix)
    same.flat[...] = values.flat
    return same


def arguments(model, program, count=4):
    """Return all that an updating program takes."""
    x, labels = images(model, count)
    return [x.astype(model.dtype), labels, model.p, model.g, model.state, program.arena, SimpleNamespace()]


def arrays(namespace):
    """Return the arrays of a namespace by name: of an arena with micro-batches, those of all of them."""
    found = {name: value for name, value in vars(namespace).items() if name != "micro_batches"}
    for i, part in enumerate(getattr(namespace, "micro_batches", ())):
        found |= {f"{name} of micro-batch {i}": value for name, value in arrays(part.arena).items()}
    return found


# the printed text is what runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [everything, small, plain])
def test_executing_the_text_gives_the_same_bits(hand, dtype, make):
    """The compiled hand's launches, written down once and run again, are what the text says; so are micro-batches."""
    models, optimizer = [make(dtype=dtype) for _ in range(3)], update(bh.SGD(), None, hand)
    programs = [model.program(4, train=True, hand=hand, update=optimizer) for model in models]
    run, by_hand, before = map(arguments, models, programs)
    namespace = {}
    exec(str(programs[1]), namespace)
    for t in (1, 2, 3):
        with np.errstate(all="ignore"):
            again = namespace["step"](*by_hand, lr=0.1, t=t)
        loss = programs[0](*run, lr=0.1, t=t)
        assert loss.tobytes() == again.tobytes()
    for first, other in zip(map(arrays, run[2:6]), map(arrays, by_hand[2:6])):
        assert first.keys() == other.keys()
        for name, array in first.items():
            assert array.tobytes() == other[name].tobytes(), name
    assert np.abs(run[2].flat - before[2].flat).max() > 1e-3  # it did learn
    assert abs(programs[2](*before, lr=0.1, t=1) - loss) > 1e-3


def test_the_functions_stand_in_the_programs_file(cache):
    program = everything().program(2, train=True)
    code = program.module.step.__code__
    assert code.co_filename == str(program.path) == program.module.__file__
    assert program.path.parent == cache and re.fullmatch(r"program_[0-9a-f]{16}\.py", program.path.name)
    assert program.path.read_bytes() == str(program).encode() == program.text.encode()
    assert code.co_firstlineno == 1 + str(program).splitlines().index("def step(pixels, labels, p, g, state, arena):")
    assert program.module.__doc__ == ast.literal_eval(program.text[: program.text.index("\n\nfrom ")])


def test_the_name_of_the_file_is_the_hash_of_its_text():
    model = everything()
    paths = {model.program(batch, train).path for batch in (2, 3) for train in (True, False)}
    assert len(paths) == 4
    assert model.program(2).path == everything().program(2).path


def test_a_debugger_finds_every_line():
    program = everything().program(3, train=True)
    program.module  # noqa: B018 - now it may be run
    for number, line in enumerate(str(program).splitlines(keepends=True), 1):
        assert linecache.getline(str(program.path), number) == line


def test_a_traceback_shows_the_line_that_failed():
    model = everything()
    program = model.program(2)
    with pytest.raises(AttributeError, match="norm2_gamma") as error:
        p = SimpleNamespace(**{k: v for k, v in vars(model.p).items() if k != "norm2_gamma"})
        program(np.zeros((2, 8, 8, 2)), p, model.state, program.arena)
    frame = traceback.extract_tb(error.value.__traceback__)[-1]
    assert frame.filename == str(program.path) and "p.norm2_gamma" in frame.line
    assert frame.line == str(program).splitlines()[frame.lineno - 1].strip()


def test_a_tampered_file_is_not_run_but_rewritten(cache):
    model = everything()
    x, _ = images(model, 2)
    expected = model.logits_of(x)
    path = model.program(2).path
    ran = cache / "ran"
    evil = f"open({str(ran)!r}, 'w').close()\ndef step(*arguments, **settings):\n    raise SystemExit\n"
    path.write_text(evil)
    model = everything()
    np.testing.assert_array_equal(model.logits_of(x), expected)
    assert path.read_text() == str(model.program(2)) and not ran.exists()

    late = everything().program(2)  # tampered with between the writing and the running
    late.path.write_text(evil)
    assert "raise SystemExit" not in late.text
    result = late(x, model.p, model.state, late.arena)
    np.testing.assert_array_equal(result, expected)
    assert not ran.exists()


def test_a_file_cut_short_or_gone_is_written_again():
    path = everything().program(2).path
    for spoil in (lambda: path.write_bytes(b""), lambda: path.write_bytes(path.read_bytes()[:-5]), path.unlink):
        spoil()
        program = everything().program(2)
        assert program.path == path and path.read_text() == str(program)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]  # and no temporary file stays


# the cache ------------------------------------------------------------------------------------------------------------


def test_the_cache_folder_is_the_environments(tmp_path, monkeypatch):
    for name in ("one", "two"):
        monkeypatch.setenv("BYHAND_CACHE", str(tmp_path / name))
        model = everything()
        model.predict(images(model, 2)[0])
        program = model.program(2)
        assert program.path.parent == tmp_path / name / "programs" and program.path.exists()
        assert program.module.step.__code__.co_filename == str(program.path)
    monkeypatch.delenv("BYHAND_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert everything().program(2).path.parent == tmp_path / "xdg" / "byhand" / "programs"


def test_a_cache_that_cannot_be_written_still_works(tmp_path, monkeypatch):
    blocked = tmp_path / "a_file"
    blocked.write_text("no folder")
    monkeypatch.setenv("BYHAND_CACHE", str(blocked / "cache"))
    model = everything()
    x, _ = images(model, 2)
    assert model.predict(x).shape == (2, 3)
    path = model.program(2).path
    assert path.exists() and tmp_path not in path.parents and path.read_text() == str(model.program(2))
    assert blocked.read_text() == "no folder"


@pytest.mark.skipif(os.name == "nt" or (hasattr(os, "getuid") and os.getuid() == 0), reason="root may write anywhere")
def test_a_read_only_cache_still_works(cache):
    cache.mkdir(parents=True)
    cache.chmod(0o500)
    try:
        path = everything().program(2).path
        assert path.exists() and path.parent != cache
    finally:
        cache.chmod(0o700)


# the text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("make", "batch"), [(everything, 8), (small, 2), (plain, 2)])
def test_another_hand_changes_the_imports_and_the_header(kind, make, batch):
    """Where there are no micro-batches: there are none in networks with a state, and none of less than four images."""
    model = make()
    programs = {hand: str(model.program(batch, hand=hand, **kind)).split("\n\n\ndef step") for hand in HANDS}
    # Comments name a hand's algorithms.
    calls = {hand: re.sub(r" +# .*", "", body) for hand, (_, body) in programs.items()}
    for hand, (head, _) in programs.items():
        assert calls[hand] == calls["loops"] and not any(f"_{other}" in head for other in HANDS if other != hand)
        swapped = head.replace(f"hand {hand}", "hand loops").replace(f"_{hand} as ", "_loops as ")
        assert ast.dump(ast.parse(swapped)) == ast.dump(ast.parse(programs["loops"][0]))
    assert len({head for head, _ in programs.values()}) == len(HANDS)


@pytest.mark.parametrize("kind", KINDS)
def test_two_builds_give_the_same_text(kind):
    first, other = (str(everything().program(5, **kind)) for _ in range(2))
    assert first == other, "\n".join(difflib.unified_diff(first.splitlines(), other.splitlines()))


def test_the_text_does_not_depend_on_pythons_hash_seed():
    code = (
        "from byhand.models import create\n"
        "model = create('lenet5')\n"
        "print(model.program(2), model.program(2, train=True, input_gradient=True), end='')"
    )
    model = bh.models.create("lenet5")
    expected = f"{model.program(2)} {model.program(2, train=True, input_gradient=True)}"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert found.stdout == expected


def test_a_program_can_be_read():
    model = everything()
    program, kept = (model.program(64, train=True, hand="arrays", keep=keep) for keep in (False, True))
    text = str(program)
    flops, size, apart = re.match(
        r'"""everything, 396 parameters, batch 64, training, hand arrays\.\n\n([\d,]+) FLOPs per image, forward\.\n'
        r"The arena, memory for all arrays between the ops, takes ([\d.]+) MB \(([\d.]+) MB without reuse\)\.\n",
        text.replace(f"{model.parameter_count:,} parameters", "396 parameters"),
    ).groups()
    calls, _ = model.graph.with_loss(model.logits, 0.0).plan(64, training=True)
    assert int(flops.replace(",", "")) == sum(call.flops for name, call in calls.items() if name != "loss") // 64
    every = sum(-(-array.nbytes // 64) * 64 for array in vars(kept.arena).values())  # in cache lines
    assert re.search(r"takes ([\d.]+) MB\.", str(kept))[1] == f"{every / 1e6:.1f}"
    assert float(size) < float(apart) <= every / 1e6
    assert repr(program) == f"<program {text.splitlines()[0].strip(chr(34) + '.')}>"
    body = text[text.index("def step") :]
    order = [
        "# forward",
        "conv1_weight",
        "softmax_cross_entropy(",
        "# backward, from the last layer to the first",
        "linear_backward(",
        "conv2d_backward(pixels",
        "return arena.loss",
    ]
    places = [body.index(part) for part in order]
    assert places == sorted(places)
    assert re.search(
        r"conv2d\(pixels, p\.conv1_weight, None, arena\.conv1,\s[^#]*\) +# \(64, 8, 8, 2\) -> \(64, 8, 8, 4\)\n", body
    )
    forward = ast.parse(body[: body.index("# backward")].rstrip()).body[0].body
    called = [call.value.func.id for call in forward]
    assert called[0] == "conv2d" and called[-2:] == ["linear", "softmax_cross_entropy"]
    kept_step = ast.parse(str(kept)[str(kept).index("def step") : str(kept).index("# backward")].rstrip()).body[0]
    assert [call.value.func.id for call in kept_step.body] == [
        *(node.op.name for node in model.graph.nodes),
        "softmax_cross_entropy",
    ]
    lines = [line.partition("  # ")[0] for line in text.splitlines()[1:]]
    assert max(map(len, lines)) <= 120 and max(map(len, text.splitlines())) < 170
    updating = str(model.program(64, train=True, update=UPDATE, hand="arrays"))
    assert updating.splitlines()[-2:] == ["    update(p, g, optimizer, lr=lr, t=t)", "    return arena.loss"]
    assert (
        "def update(p, g, optimizer, *, lr, t):" in updating and "    double_step(p.flat, g.flat, lr=lr)\n" in updating
    )
    assert "def step(pixels, labels, p, g, state, arena, optimizer, *, lr, t):" in updating
    assert "backward" not in str(model.program(64)) and "labels" not in str(model.program(64))


@pytest.mark.parametrize("case", [case for _, case in ALL], ids=[name for name, _ in ALL])
def test_a_program_holds_nothing_but_calls(case):
    model, _ = case.model()
    for kind, batch in [(kind, batch) for kind in KINDS for batch in (3, 12)]:
        program = model.program(batch, hand="compiled", **kind)
        tree = ast.parse(str(program))
        docstring, *imports = [statement for statement in tree.body if not isinstance(statement, ast.FunctionDef)]
        functions = {statement.name: statement for statement in tree.body if isinstance(statement, ast.FunctionDef)}
        parts = "micro_batch" in functions
        assert isinstance(docstring, ast.Expr) and all(isinstance(statement, ast.ImportFrom) for statement in imports)
        imported = {
            alias.asname or alias.name: getattr(import_module(statement.module), alias.name)
            for statement in imports
            for alias in statement.names
        }
        assert imported == {name: callee.function for name, callee in program._file.callees.items()}
        assert all(statement.module.startswith(("byhand.ops.", "byhand.kernels.reductions")) for statement in imports)
        assert functions.keys() == {"step", *["micro_batch"] * parts}
        assert (" in 4 micro-batches, " in docstring.value.value) == parts
        loop, *rest = functions["step"].body[:-1] if parts else [None, *functions["step"].body[:-1]]
        assert isinstance(functions["step"].body[-1], ast.Return)
        if parts:
            assert batch == 12 and isinstance(loop, ast.For) and ast.unparse(loop.iter) == "arena.micro_batches"
            (call,) = loop.body
            assert call.value.func.id == "micro_batch"
            rest += functions["micro_batch"].body
        for line in rest:
            if isinstance(line, ast.Assign):
                assert ast.unparse(line) == f"arena.grad_loss[...] = {0.25 if parts else 1.0}"
            else:
                assert isinstance(line, ast.Expr) and line.value.func.id in imported
        called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert called - {"float", "micro_batch"} == imported.keys()  # and nothing imported for nothing


def test_inference_uses_running_statistics_and_no_dropout():
    x = nn.Input(5)
    y = nn.Dropout(0.9)(nn.BatchNorm()(nn.Dropout(0.5)(x)))
    model = nn.Model(x, y, dtype=np.float64)
    rng = np.random.default_rng(0)
    model.state.norm1_running_mean[...] = rng.standard_normal(5)
    model.state.norm1_running_var[...] = rng.uniform(1, 2, 5)
    x, labels = images(model)
    expected = (x - model.state.norm1_running_mean) / np.sqrt(model.state.norm1_running_var + 1e-5)
    np.testing.assert_allclose(model.logits_of(x), expected, rtol=1e-12)
    text = str(model.program(4))
    assert text.count("training=False") == 3 and "training=True" not in text
    assert str(model.program(4, train=True)).count("training=True") == 5  # three forward; backward stops at the norm
    trace = model.trace(x, labels)
    assert np.abs(trace["dropout2"] - expected).max() > 0.5


def test_input_gradient_is_there_where_asked_for():
    model = everything()
    plain, asked = model.program(2, train=True), model.program(2, train=True, input_gradient=True)
    assert "grad_pixels" not in str(plain) and "arena.grad_pixels" in str(asked)
    assert not hasattr(plain.arena, "grad_pixels") and asked.arena.grad_pixels.shape == (2, 8, 8, 2)
    x, labels = images(model, 2)
    g = [duplicate(model.g, model, "grad_") for _ in range(2)]
    for program, gradients in zip((plain, asked), g):
        program(x, labels, model.p, gradients, copy.deepcopy(model.state), program.arena)
    np.testing.assert_array_equal(g[0].flat, g[1].flat)
    assert g[0].flat.any() and asked.arena.grad_pixels.any()


@pytest.mark.parametrize("case", [case for _, case in ALL], ids=[name for name, _ in ALL])
@pytest.mark.parametrize("hand", HANDS)
def test_without_the_images_gradient_the_others_are_the_same(case, hand):
    model, _ = case.model()
    x, labels = images(model)
    program, g = model.program(4, train=True, hand=hand), duplicate(model.g, model, "grad_")
    loss = program(x, labels, model.p, g, copy.deepcopy(model.state), program.arena)
    trace = model.trace(x, labels, hand=hand)
    np.testing.assert_allclose(loss, trace["loss"], rtol=1e-14)  # in micro-batches, sums have another order
    largest = max([1e-9, *(np.abs(trace[f"grad_{name}"]).max() for name in model.parameters)])
    for name in model.parameters:
        np.testing.assert_allclose(vars(g)[f"grad_{name}"], trace[f"grad_{name}"], rtol=0, atol=1e-13 * largest)


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("settings", [{"input_gradient": True}, {"input_gradient": True, "keep": True}, {}])
@pytest.mark.parametrize("make", [everything, small, plain])
def test_every_gradient_is_written_anew(make, settings, hand):
    """A program's results do not depend on what was in its arena or in the gradients before."""
    runs = []
    for filling in (0, 3.5):
        model = make()
        program = model.program(4, train=True, hand=hand, **settings)
        x, labels, p, g, state, arena, _ = arguments(model, program)
        for array in (*arrays(arena).values(), g.flat):
            array[...] = filling
        program(x, labels, p, g, state, arena)
        runs.append({**arrays(arena), **vars(g), **vars(state)})
    for name in runs[0]:
        np.testing.assert_array_equal(runs[0][name], runs[1][name], err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_arena_has_the_models_type(dtype):
    program = everything(dtype=dtype).program(2, train=True, keep=True)
    kinds = {name: array.dtype for name, array in vars(program.arena).items()}
    other = {name: kind for name, kind in kinds.items() if kind.kind != "f"}
    assert other.keys() == {"pool1_argmax", "dropout1_mask"} and other["dropout1_mask"] == np.uint8
    assert {kind for name, kind in kinds.items() if name not in other} == {np.dtype(dtype)}


def test_smoothing_goes_into_the_loss():
    model = everything()
    assert "label_smoothing=0.1)" in str(model.program(2, train=True, label_smoothing=0.1))
    assert "label_smoothing=0.0)" in str(model.program(2, train=True))
    with pytest.raises(ArgumentError, match=r"^loss: label_smoothing is 2"):
        model.program(2, train=True, label_smoothing=2)


def test_a_batch_too_large_for_memory():
    model = bh.models.create("article")
    for batch in (10**12, 10**16):
        for settings in ({"train": True}, {"train": True, "keep": True}, {"train": False}):
            with pytest.raises(
                ArgumentError,
                match=r"a batch of this network takes [\d,]+\.\d GB of memory.*; use a smaller batch, or smaller images",
            ):
                model.program(batch, **settings).arena  # noqa: B018
            with pytest.raises(ArgumentError, match=r"of memory.*; use a smaller batch"):
                model.program(batch, **settings).images  # noqa: B018
    assert model.program(10**12).text.startswith('"""article')


# programs of one model ------------------------------------------------------------------------------------------------


def test_models_of_one_name_and_shape_share_nothing_but_text():
    first, other = everything(seed=1), everything(seed=2)
    x, _ = images(first, 2)
    assert first.program(2).path == other.program(2).path
    assert np.abs(first.logits_of(x) - other.logits_of(x)).max() > 1e-3


def test_a_program_is_kept():
    model = everything()
    assert model.program(2) is model.program(2)
    assert model.program(2) is not model.program(3) and model.program(2) is not model.program(2, train=True)


def test_a_module_of_its_own_calls_what_replaces_an_op():
    model, called = plain(), []
    program = model.program(4, train=True, hand="arrays")
    name = next(name for name, callee in program.callees.items() if name.startswith("linear") and not callee.backward)
    original = program.callees[name]

    def watched(*arrays, **attributes):
        called.append(len(arrays))
        original.function(*arrays, **attributes)

    x, labels = images(model, 4)
    arguments = x, labels, model.p, model.g, model.state, program.arena
    module = program.load(program.callees | {name: original._replace(function=watched)})
    assert module.step(*arguments) == program.module.step(*arguments) and called
    assert module is not program.module and getattr(program.module, name) is not watched
    with pytest.raises(ArgumentError, match=r"^the program calls no 'conv9' that could be replaced$"):
        program.load(program.callees | {"conv9": original})


@pytest.mark.parametrize("hand", ["arrays", "compiled"])
def test_the_update_is_a_function_of_the_module(hand):
    """Data-parallel training calls it on gradients that ranks have summed."""
    model = plain()
    module = model.program(4, train=True, hand=hand, update=update(bh.SGD(), None, hand)).module
    before = model.p.flat.copy()
    gradient = np.arange(model.p.flat.size, dtype=model.dtype)
    module.update(model.p, SimpleNamespace(flat=gradient), None, lr=0.5, t=1)
    np.testing.assert_array_equal(model.p.flat, before - 0.5 * gradient)
