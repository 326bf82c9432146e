"""C syntax: identifiers, string literals and numbers."""

import subprocess

import numpy as np
import pytest

from byhand import nn
from byhand.export.c_text import RESERVED, identifier, literal, number_lines, string_literal
from byhand.export.float32_program import write_program
from byhand.export.lowering import lower
from tests.export.compile_c import compile_c, needs_cc, random_pixels, run_c

NASTY = (
    "plain",
    "",
    'a "quote"',
    "back\\slash",
    "two\nlines\ttab\r",
    "??/ ??) trigraphs??!",
    "caf\u00e9 \u4e2d\u6587 \U0001f600",
    "%s %d %n",
    "*/ end /* begin",
    "7 digits after \x01" + "7",
    "\x7f\x80",
    "// comment \\",
    "a" * 3000,
    "\ud800",
)


@needs_cc
def test_a_string_is_what_c_prints(tmp_path):
    texts = [text for text in NASTY if "\0" not in text]
    prints = "".join(f"    fputs({string_literal(text)}, stdout); putchar(0);\n" for text in texts)
    (tmp_path / "a.c").write_text(f"#include <stdio.h>\nint main(void)\n{{\n{prints}    return 0;\n}}\n")
    done = subprocess.run([compile_c(tmp_path, "a.c", flags=["-Wtrigraphs"])], capture_output=True, check=True)
    printed = done.stdout.split(b"\0")[:-1]
    for text, ours in zip(texts, printed, strict=True):
        assert ours == text.encode("utf-8", "replace")[: len(ours)] and len(ours) == min(
            1000, len(text.encode("utf-8", "replace"))
        )
    assert all(string_literal(text).isascii() for text in NASTY)


def test_a_long_string_is_cut_between_characters():
    assert string_literal("é" * 2000) == '"' + "\\303\\251" * 500 + '"'
    assert string_literal("a" + "é" * 2000) == '"a' + "\\303\\251" * 499 + '"'


@pytest.mark.parametrize("name", [*sorted(RESERVED), "INFINITY", "NAN", "9", "a-b.c", "", "é", "x" * 500])
def test_identifiers_are_valid(name):
    made = identifier(name)
    assert made.isidentifier() and made.isascii() and made not in RESERVED and len(made) <= 63
    assert made != identifier(name, {made})


@needs_cc
def test_numbers_are_read_back_bit_for_bit(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**32, 4000, dtype=np.uint32).view(np.float32)
    values = np.concatenate(
        [values[np.isfinite(values)], np.float32([0, -0.0, 1e-45, 3.4028235e38, 16777217, 0.1, 1 / 3])]
    )
    text = "\n".join(number_lines(values))
    (tmp_path / "a.c").write_text(
        f"#include <stdio.h>\nstatic const float v[{values.size}] = {{\n{text}\n}};\n"
        f"int main(void)\n{{\n    fwrite(v, 4, {values.size}, stdout);\n    return 0;\n}}\n"
    )
    done = subprocess.run([compile_c(tmp_path, "a.c")], capture_output=True, check=True)
    assert done.stdout == values.tobytes()
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("value", [0.1, -2.5, 1e-30, 6.0, 1e38, 16777216.0])
def test_a_literal_is_exact(value):
    assert np.float32(literal(value)[:-1]) == np.float32(value) and literal(value).endswith("f")


@needs_cc
def test_names_of_layers_and_classes_are_harmless(tmp_path):
    x = nn.Input(4, 4, 1, name="image")
    y = nn.Conv2d(2, 3, name="conv2d")(x)
    y = nn.ReLU(name="exp")(y)
    y = nn.Linear(4, name="double")(nn.Flatten(name="INFINITY")(nn.Conv2d(3, 1, name="main")(y)))
    y = nn.Linear(len(NASTY), name="lenet_run")(nn.ReLU(name="struct_")(y))
    model = nn.Model(x, y, name="int", classes=NASTY)
    images = random_pixels((4, 4, 1), 5)
    source = write_program(lower(model))
    ours = run_c(source, images, tmp_path)
    np.testing.assert_allclose(ours, model.predict(images), atol=1e-5)
    assert source.prefix == "int_"


@needs_cc
@pytest.mark.parametrize("name", ["2-in.1", "conv2d", "A", "clamp", "a" * 90])
def test_a_model_may_have_any_name(name, tmp_path):
    x = nn.Input(3, 3, 1)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(nn.Conv2d(2, 2)(x))), name=name)
    images = random_pixels((3, 3, 1), 3)
    np.testing.assert_allclose(run_c(write_program(lower(model)), images, tmp_path), model.predict(images), atol=1e-5)
