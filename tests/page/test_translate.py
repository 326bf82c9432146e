"""The loops of every op, translated to JavaScript and run in a browser, against Python."""

import json
import re

import numpy as np
import pytest

from byhand.ops.op import REGISTRY, tree_leaves
from byhand.page.expressions import Untranslatable
from byhand.page.html import EXPORT, IMPORT, bundle
from byhand.page.translate import Script, hands
from tests.ops.draw import Seeded, cast_inputs, each, plan, with_gradient
from tests.ops.test_conformance import blank, run

FUSED = {"conv2d_relu", "conv2d_block", "conv2d_max_pool", "batch_norm_relu", "linear_relu"}  # no graph holds these
REFUSED = {"dropout", "resize"}  # the first does nothing in the page; networks with the second are recorded
SEEDS = 8
RUN = """cases => {
  const { hands, Tensor } = globalThis.translated;
  const read = value => value === null ? null : Array.isArray(value) ? value.map(read)
    : new Tensor(value.shape, Float64Array.from(value.numbers, Number));
  const write = value => value === null ? null : Array.isArray(value) ? value.map(write) : Array.from(value.data, String);
  const tracer = { first: () => 0, end: array => array.size };
  const methods = ['enterLoop', 'nextIteration', 'leaveLoop', 'beginStatement', 'endStatement', 'recordStore', 'recordFill'];
  for (const name of methods) tracer[name] = () => {};
  return cases.map(({ hand, given, attributes }) => ['', '$traced'].map(kind => {
    const values = given.map(read);
    if (kind) hands[hand + kind](tracer, ...values, attributes); else hands[hand](...values, attributes);
    return values.map(write);
  }));
}"""


@pytest.fixture(scope="module")
def translated():
    return hands(sorted(set(REGISTRY) - FUSED))


@pytest.fixture
def window(browser, translated):
    """Return a window in which the translated hands are there."""
    script = bundle(translated[0], "hands.js")
    page = browser.new_page()
    page.evaluate(f"{script}; globalThis.translated = {{ ...$hands, ...$runtime }};")
    yield page
    page.close()


def encoded(value):
    if value is None or isinstance(value, tuple):
        return value and [encoded(item) for item in value]
    return {"shape": list(value.shape), "numbers": [str(number) for number in np.asarray(value, float).ravel()]}


def cases(op, forward, backward):
    """Yield calls as a browser gets them, and what Python's loops make of them."""
    for seed in range(SEEDS):
        values, attributes = op.sample(Seeded(seed))
        if "training" in attributes:
            attributes["training"] = False
        inputs = cast_inputs(op, values, np.float64)
        call = plan(op, inputs, attributes)
        reads = {name: value for name, value in inputs.items() if name not in op.state}
        states = {name: inputs[name] for name in op.state}
        writes = {name: blank(shape, op.dtypes.get(name, np.float64)) for name, shape in call.shapes.items()} | states
        made = run(op, "loops", "forward", reads, writes, call.attributes)
        arguments = dict.fromkeys(op.forward_arguments) | reads | writes
        yield (
            forward,
            [arguments[name] for name in op.forward_arguments],
            call.attributes,
            [made.get(name) for name in op.forward_arguments],
        )
        reads |= {name: made[name] for name in op.outputs}
        reads[f"grad_{op.outputs[0]}"] = np.random.default_rng(seed).standard_normal(call.shapes[op.outputs[0]])
        writes = {
            f"grad_{name}": each(lambda array: blank(array.shape, np.float64), inputs[name])
            for name in with_gradient(op, inputs)
        }
        made = run(op, "loops", "backward", reads, writes, call.attributes)
        arguments = dict.fromkeys(op.backward_arguments) | reads | writes | states
        yield (
            backward,
            [arguments[name] for name in op.backward_arguments],
            call.attributes,
            [made.get(name) for name in op.backward_arguments],
        )


def test_the_loops_of_every_op_do_in_the_page_what_they_do_in_python(window, translated):
    _, found, refused = translated
    assert set(refused) == REFUSED and set(found) == set(REGISTRY) - FUSED - REFUSED
    for name, (forward, backward) in found.items():
        drawn = list(cases(REGISTRY[name], forward, backward))
        sent = [
            {"hand": hand, "given": [encoded(argument) for argument in given], "attributes": attributes}
            for hand, given, attributes, _ in drawn
        ]
        answers = window.evaluate(RUN, json.loads(json.dumps(sent, default=int)))
        compared = 0
        for (hand, _, _, wanted), ways in zip(drawn, answers):
            for way in ways:  # plain, and told
                for array, numbers in zip(wanted, way):
                    for part, texts in zip(tree_leaves([array]), numbers if isinstance(array, tuple) else [numbers]):
                        if part is not None:
                            got = np.array([float(text) for text in texts]).reshape(part.shape)
                            np.testing.assert_allclose(got, part, rtol=1e-9, atol=1e-9, err_msg=f"{name}, {hand}")
                            compared += 1
        assert compared >= 4 * SEEDS


def test_untranslatable_code_is_refused():
    def loops(x, y):
        for i in range(0, len(x), 2):
            y[i] = x[i]

    with pytest.raises(Untranslatable, match=r"loops holds 'range\(0, len\(x\), 2\)'"):
        Script().add(loops, "loops")
    script, found, refused = hands(["relu", "resize"])
    assert set(found) == {"relu"} and set(refused) == {"resize"} and "resize" not in str(script)


def test_translated_source_marks_the_elements_that_a_line_reads():
    script = Script()
    script.add(REGISTRY["conv2d"].hands["loops"].forward, "conv")
    source = script.sources["conv"]
    assert source["file"] == "ops/conv/conv2d.py" and source["name"] == "conv2d_loops"
    line = next(k for k, text in enumerate(source["lines"], 1) if "total +=" in text)
    text = source["lines"][line - 1]
    assert [text[first:end] for first, end in source["reads"][line]] == [
        "x[n, p, q, group * depth + c]",
        "weight[r, s, c, k]",
    ]
    assert line in source["listed"]


def test_every_module_of_the_page_is_read_and_its_imports_exist():
    from importlib.resources import files

    web = files("byhand.page").joinpath("web")
    modules = {path.name: path.read_text(encoding="utf-8") for path in web.iterdir() if path.name.endswith(".js")}
    exported = {name: set(EXPORT.findall(text)) for name, text in modules.items()} | {"hands.js": {"hands"}}
    reached, left = set(), ["app.js"]
    while left:
        name = left.pop()
        reached.add(name)
        for names, other in IMPORT.findall(modules.get(name, "")):
            wanted = {name.strip() for name in names.strip("{} \n").split(",") if name.strip()}
            assert wanted <= exported[other], f"{name} wants {wanted - exported[other]} of {other}"
            assert all(modules[name].count(imported) > 1 for imported in wanted), (
                f"{name} has no use for all of {wanted}"
            )
            left += [other] if other not in reached else []
    assert reached == {*modules, "hands.js"}
    assert all(text.count("\n") < 400 for text in modules.values())


def test_the_ops_that_the_page_names_are_in_the_registry():
    from importlib.resources import files

    text = files("byhand.page").joinpath("web", "translations.js").read_text(encoding="utf-8")
    languages = re.findall(r"\n  kinds: \{\n(.*?)\n  \},", text, re.DOTALL)
    assert len(languages) == 2
    for kinds in languages:
        assert set(re.findall(r"^ +(\w+):", kinds, re.MULTILINE)) <= set(REGISTRY)
