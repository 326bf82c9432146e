"""precision="bf16": programs, models, trainers, and what they say where there is none."""

import numpy as np
import pytest

import byhand as bh
from byhand.errors import ArgumentError
from byhand.kernels.runtime.cpu import vector_unit
from byhand.program import precision as precision_module
from byhand.train.checkpoint import SETTINGS
from tests.kernels import process

has_bfloat16 = pytest.mark.skipif(not vector_unit().bfloat16, reason="this CPU has no vdpbf16ps")
IMAGES = np.random.default_rng(0).integers(0, 256, (48, 28, 28, 1), np.uint8)
LABELS = np.arange(48) % 10


@has_bfloat16
def test_a_program_names_its_precision_and_the_algorithm():
    model = bh.models.create("lenet5", seed=0)
    text = model.program(64, train=True, precision="bf16").text
    assert text.startswith(
        '"""lenet5, 61,706 parameters, batch 64 in 4 micro-batches, training, hand compiled, precision bf16.'
    )
    assert "5, 5, 16); bfloat16" in text and "(16, 14, 14, 6); direct" in text  # one channel gains nothing
    plain = model.program(64, train=True)
    assert "precision" not in plain.text and "bfloat16" not in plain.text
    assert model.program(64, train=True, precision="bf16").precision == "bf16" and plain.precision == "float32"


@has_bfloat16
def test_what_a_program_computes_is_near_float32_and_not_the_same():
    model = bh.models.create("lenet5", seed=0)
    exact, found = model.logits_of(IMAGES), model.logits_of(IMAGES, precision="bf16")
    assert 0 < np.abs(found - exact).max() < 1e-2 * np.abs(exact).max()
    np.testing.assert_array_equal(found, model.logits_of(IMAGES, precision="bf16"))
    np.testing.assert_array_equal(exact, model.logits_of(IMAGES))
    np.testing.assert_allclose(model.predict(IMAGES, precision="bf16"), model.predict(IMAGES), atol=1e-2)
    scores = model.evaluate(IMAGES, LABELS, precision="bf16")
    assert scores["loss"] == pytest.approx(model.evaluate(IMAGES, LABELS)["loss"], rel=1e-2)


@has_bfloat16
def test_training_stays_near_float32():
    losses = {}
    for precision in ("float32", "bf16"):
        trainer = bh.Trainer(bh.models.create("lenet5", seed=0), bh.SGD(lr=0.05), batch_size=48, precision=precision)
        losses[precision] = [trainer.step(IMAGES, LABELS) for _ in range(15)]
    assert losses["bf16"] != losses["float32"]
    np.testing.assert_allclose(losses["bf16"], losses["float32"], rtol=2e-2)
    assert losses["bf16"][-1] < 0.99 * losses["bf16"][0]


@has_bfloat16
def test_a_checkpoint_keeps_the_precision(tmp_path):
    assert "precision" in SETTINGS
    trainer = bh.Trainer(bh.models.create("lenet5", seed=0), bh.SGD(lr=0.1), batch_size=48, precision="bf16")
    trainer.step(IMAGES, LABELS)
    trainer.save(tmp_path / "checkpoint.safetensors")
    loaded = bh.Trainer.load(tmp_path / "checkpoint.safetensors")
    assert loaded.precision == "bf16"
    assert loaded.step(IMAGES, LABELS) == trainer.step(IMAGES, LABELS)


@has_bfloat16
def test_fit_takes_it():
    rows = bh.models.create("lenet5", seed=0).fit(IMAGES, LABELS, epochs=1, precision="bf16", quiet=True)
    plain = bh.models.create("lenet5", seed=0).fit(IMAGES, LABELS, epochs=1, quiet=True)
    assert rows[0]["loss"] == pytest.approx(plain[0]["loss"], rel=1e-2)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("bfloat16", "write bf16"),
        ("fp16", "write bf16; CPUs have bfloat16 in place of float16"),
        ("32", "write float32"),
        ("int8", "expected float32 or bf16"),
    ],
)
def test_another_name_is_refused(name, hint):
    model = bh.models.create("lenet5")
    for call in (
        lambda: model.program(4, precision=name),
        lambda: model.predict(IMAGES, precision=name),
        lambda: bh.Trainer(model, bh.SGD(), precision=name),
    ):
        with pytest.raises(ArgumentError, match=f"there is no precision '{name}'; {hint}"):
            call()


def test_other_hands_and_float64_have_none():
    model = bh.models.create("lenet5")
    with pytest.raises(ArgumentError, match="for the compiled hand, and the hand is loops"):
        model.program(4, hand="loops", precision="bf16")
    with pytest.raises(ArgumentError, match="for the compiled hand, and the hand is arrays"):
        bh.Trainer(model, bh.SGD(), hand="arrays", precision="bf16")
    x = bh.nn.Input(8, 8, 2)
    wide = bh.nn.Model(x, bh.nn.Linear(2)(bh.nn.Flatten()(x)), dtype=np.float64)
    with pytest.raises(ArgumentError, match="for float32 models, and this one is float64"):
        wide.predict(np.zeros((1, 8, 8, 2)), precision="bf16")


ON_OTHERS = """
import warnings
import numpy as np
import byhand as bh
from tests.program.test_precision import IMAGES
model = bh.models.create("lenet5", seed=0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    found = [model.predict(IMAGES, precision="bf16") for _ in range(2)]
print(len(caught), caught[0].message)
print("precision" in model.program(48, precision="bf16").text, (found[0] == model.predict(IMAGES)).all())
"""


def test_a_cpu_without_it_computes_float32_and_says_so_once():
    said, computed = process.run(ON_OTHERS, BYHAND_TARGET="avx2").splitlines()
    assert said == f"1 {precision_module.NO_BFLOAT16}"
    assert computed == "False True"
