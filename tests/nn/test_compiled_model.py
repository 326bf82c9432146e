"""A compiled model answers as its model did when it was compiled, without allocating anything but the result."""

import copy
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.errors import ArgumentError, ShapeError
from byhand.kernels.runtime.cpu import vector_unit
from tests.nn.cases import images
from tests.nn.networks import everything, plain, small


def residual(dtype=np.float32):
    """Return a network of every kind of convolution with batch norms, which ends in a softmax; some weights are packed."""
    x = nn.Input(12, 12, 3)
    y = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(64, 3, stride=2, bias=False)(x)))
    y = nn.ReLU()(y + nn.BatchNorm()(nn.Conv2d(64, 3, padding="same", bias=False)(y)))
    y = nn.BatchNorm()(nn.Conv2d(64, 3, padding="same", groups=64)(y))
    y = nn.ReLU()(nn.Conv2d(160, 3)(y))
    y = nn.ConvTranspose2d(8, 2, stride=2)(nn.ReLU()(nn.Conv2d(160, 1)(y)))
    return nn.Model(x, nn.Softmax()(nn.Linear(5)(nn.Flatten()(y))), dtype=dtype, seed=4)


@pytest.mark.parametrize("make", [everything, small, plain, residual])
@pytest.mark.parametrize("batch", [1, 4])
def test_it_answers_as_the_model(make, batch):
    model = make(dtype=np.float32)
    for name, array in vars(model.state).items():
        if name.endswith(("_mean", "_var")):
            array[...] = np.random.default_rng(0).random(array.shape) + 0.5
    x, _ = images(model, 6)
    compiled = model.compile(batch)
    np.testing.assert_allclose(compiled.logits_of(x), model.logits_of(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(compiled.predict(x), model.predict(x), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(compiled(x), model(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(compiled.predict(x[4:]), compiled.predict(x)[4:])  # a part that is filled up


def test_it_computes_in_bfloat16_where_it_is_asked_to():
    if not vector_unit().bfloat16:
        pytest.skip("this processor has no products of bfloat16")
    model = residual()
    x, _ = images(model, 2)
    compiled = model.compile(precision="bf16")
    assert "bfloat16" in {layer.forward for layer in compiled.algorithms}
    assert not any("pack" in launch.name for launch in compiled._graph.all_launches)
    expected = model.logits_of(x)
    assert 1e-5 < np.abs(compiled.logits_of(x) - expected).max() / np.abs(expected).max() < 0.02


def test_it_tells_what_it_was_made_of():
    model = bh.models.create("lenet5")
    compiled = model.compile(batch=2)
    assert (compiled.precision, compiled.input_shape, compiled.classes) == ("float32", (28, 28, 1), model.classes)
    assert compiled.preprocessing == model.preprocessing
    with pytest.raises(ArgumentError, match="batch is 'bf16'; expected a number of images; write precision='bf16'"):
        model.compile("bf16")


def test_it_keeps_the_weights_of_its_time():
    model = residual()
    x, _ = images(model, 2)
    compiled, before = model.compile(), model.predict(x)
    model.p.flat *= 1.5
    assert not np.allclose(model.predict(x), before, atol=1e-4)
    np.testing.assert_allclose(compiled.predict(x), before, atol=1e-5)


def test_what_depends_on_weights_is_made_once_and_the_weights_released():
    model = residual()
    compiled = model.compile()
    names = [launch.name for launch in compiled._graph.all_launches]
    assert "sweep" in names and not {"pack", "pack_transposed", "fold_batch_norm"} & set(names)
    assert "packed" in {layer.forward for layer in compiled.algorithms}
    assert compiled.nbytes < 1.4 * model.p.flat.nbytes  # activations included
    assert not vars(compiled._model.p)
    assert f"{compiled!r}".startswith("<compiled model model: batch 1, ") and "packed" in f"{compiled!r}"
    assert "def step(" in str(compiled)


@pytest.mark.parametrize(
    "last",
    [[nn.Sigmoid()], [nn.HardSigmoid()], [nn.Linear(1), nn.Sigmoid()], [nn.Linear(1)], [nn.Softmax()], [nn.Tanh()]],
)
def test_every_task_is_answered(last):
    model = small(*last, seed=5)
    x = np.random.default_rng(0).random((3, 6, 6, 2))
    compiled = model.compile(2)
    np.testing.assert_allclose(compiled.predict(x), model.predict(x), atol=1e-6)
    np.testing.assert_allclose(compiled(x), model(x), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_call_allocates_its_result_alone(dtype):
    model = bh.models.create("squeezenet1_1", input_shape=(64, 64, 3))
    x = np.full((2, 64, 64, 3), -1).astype(dtype)
    compiled = model.compile(2)
    compiled.predict(x)
    tracemalloc.start()
    try:
        result = compiled.predict(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < result.nbytes + 8192 < x.nbytes


def test_threads_share_it():
    model = residual()
    x, _ = images(model, 6)
    compiled = model.compile(2)
    expected = [compiled.predict(x[i : i + 2]) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            for found, wanted in zip(pool.map(lambda i: compiled.predict(x[i : i + 2]), range(4)), expected):
                np.testing.assert_array_equal(found, wanted)


def test_images_are_checked_as_by_the_model():
    compiled = small().compile(2)
    assert compiled.predict(np.zeros((0, 6, 6, 2))).shape == (0, 4)
    with pytest.raises(ShapeError, match=r"image\[None\]"):
        compiled.predict(np.zeros((6, 6, 2)))
    with pytest.raises(ArgumentError, match="hold int64"):
        compiled.predict(np.zeros((1, 6, 6, 2), np.int64))


def test_to_compile_warns_of_no_images(recwarn):
    x = nn.Input(6, 6, 3)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(x)))
    images = np.random.default_rng(0).normal(3, 1, (20, 6, 6, 3)).astype(np.float32)
    model.fit(images, np.arange(20) % 2, epochs=1, quiet=True)
    model.compile(2)
    assert not recwarn.list


def test_it_is_no_copy_of_itself():
    compiled = small().compile()
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(ArgumentError, match="pickle the model"):
            duplicate(compiled)
