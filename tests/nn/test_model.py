"""The Model: predictions, preprocessing, buffers and errors."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.data import Preprocessing
from byhand.errors import ArgumentError, ShapeError, UnknownNameError
from byhand.export import to_c
from byhand.graph import Tensor
from byhand.ops import HANDS
from byhand.page import Look, document
from tests.nn.cases import images
from tests.nn.gradients import check_gradients
from tests.nn.networks import everything, small

# predict --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [everything, small, lambda dtype: bh.models.create("article", dtype=dtype)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predict_gives_probabilities_with_both_hands(make, dtype):
    model = make(dtype=dtype)
    x, _ = images(model, 3)
    found = {hand: model.predict(x, hand=hand) for hand in HANDS}
    tolerance = 1e-6 if dtype == np.float32 else 1e-13
    for p in found.values():
        assert p.shape == (3, len(model.classes)) and p.dtype == dtype and (p >= 0).all()
        np.testing.assert_allclose(p.sum(1), 1, atol=tolerance)
        np.testing.assert_allclose(p, found["arrays"], atol=tolerance)
        assert p.std() > 5e-4  # the article's first weights are small


@pytest.mark.parametrize("batch_size", [1, 2, 5, 7, 100])
def test_batch_size_does_not_matter(batch_size):
    model = everything(dtype=np.float32)
    x, _ = images(model, 7)
    p = model.predict(x, batch_size=batch_size)
    np.testing.assert_allclose(p, model.predict(x), atol=1e-6)
    np.testing.assert_allclose(p, np.concatenate([model.predict(image[None]) for image in x]), atol=1e-6)


def test_a_prediction_is_the_callers_own():
    model = small()
    x, _ = images(model, 2)
    first = model.logits_of(x)
    kept = first.copy()
    model.logits_of(x + 1)
    np.testing.assert_array_equal(first, kept)


def test_predict_is_the_softmax_of_the_logits():
    model = small(dtype=np.float64)
    x, _ = images(model)
    z = model.logits_of(x)
    np.testing.assert_allclose(model.predict(x), np.exp(z) / np.exp(z).sum(1, keepdims=True), rtol=1e-12)


def test_predict_neither_drops_out_nor_moves_a_state():
    model = everything()
    x, _ = images(model)
    before = {name: array.copy() for name, array in vars(model.state).items()}
    first = model.predict(x)
    np.testing.assert_array_equal(first, model.predict(x))
    for name, array in vars(model.state).items():
        np.testing.assert_array_equal(array, before[name])
    model.state.norm1_running_mean += 1  # it is the running statistics that count
    assert np.abs(model.predict(x) - first).max() > 1e-4


def test_a_last_softmax_changes_nothing():
    with_softmax, without = small(nn.Softmax(), dtype=np.float64), small(dtype=np.float64)
    x, labels = images(without)
    np.testing.assert_array_equal(with_softmax.p.flat, without.p.flat)
    np.testing.assert_array_equal(with_softmax.predict(x), without.predict(x))
    assert with_softmax.output.name == "softmax1" and with_softmax.logits.name == "fc1"
    first, other = with_softmax.trace(x, labels), without.trace(x, labels)
    assert first.keys() == other.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], other[name])
    assert str(with_softmax.program(4, train=True)) == str(without.program(4, train=True))
    assert "softmax1" not in str(with_softmax.program(4))


def test_a_softmax_within_stays():
    x = nn.Input(4)
    model = nn.Model(x, nn.Linear(3)(nn.Softmax()(x)), dtype=np.float64)
    assert model.logits.name == "fc1" and "softmax(" in str(model.program(2))
    check_gradients(model, *images(model))


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "2"])
def test_a_batch_size_is_a_whole_number(batch_size):
    with pytest.raises(ArgumentError, match=r"batch_size is .*; expected a whole number, 1 or more"):
        small().predict(np.zeros((1, 6, 6, 2)), batch_size=batch_size)
    with pytest.raises(ArgumentError, match=r"batch is .*; expected a whole number, 1 or more"):
        small().program(batch_size)


def test_an_unknown_hand():
    with pytest.raises(UnknownNameError, match="there is no hand 'array'; did you mean 'arrays'"):
        small().predict(np.zeros((1, 6, 6, 2)), hand="array")


# prepare --------------------------------------------------------------------------------------------------------------


def test_uint8_pixels_are_scaled():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 2)).astype(np.uint8)
    np.testing.assert_allclose(small(dtype=np.float64).prepare(pixels), pixels / 255 - 0.5, atol=1e-15)
    normalized = small(mean=0.2, std=0.5, dtype=np.float64)
    np.testing.assert_allclose(normalized.prepare(pixels), (pixels / 255 - 0.2) / 0.5, atol=1e-14)
    each = small(mean=(0.1, 0.6), std=[2, 0.25], dtype=np.float64)
    expected = np.stack([(pixels[..., 0] / 255 - 0.1) / 2, (pixels[..., 1] / 255 - 0.6) / 0.25], -1)
    np.testing.assert_allclose(each.prepare(pixels), expected, atol=1e-14)
    assert small().prepare(pixels).dtype == np.float32
    np.testing.assert_allclose(each.predict(pixels), each.predict(expected), atol=1e-14)


def test_floating_point_is_taken_as_it_is():
    model = small(mean=0.2, std=0.5)
    for dtype in (np.float16, np.float32, np.float64):
        x = np.random.default_rng(0).standard_normal((2, 6, 6, 2)).astype(dtype)
        prepared = model.prepare(x)
        assert prepared.dtype == np.float32 and prepared.flags.c_contiguous
        np.testing.assert_array_equal(prepared, x.astype(np.float32))
    strided = np.zeros((2, 2, 6, 6)).transpose(0, 2, 3, 1)
    assert not strided.flags.c_contiguous and model.prepare(strided).flags.c_contiguous
    assert model.prepare(np.zeros((1, 6, 6, 2)).tolist()).shape == (1, 6, 6, 2)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((6, 6, 2), "; for a single image, give image[None]"),
        ((2, 6, 6, 1), ""),
        ((2, 2, 6, 6), "; channels come last here: images.transpose(0, 2, 3, 1)"),
        ((2, 2, 6, 7), ""),
        ((6, 6), ""),
        ((), ""),
        ((1, 2, 6, 6, 2), ""),
    ],
)
def test_images_of_another_shape(shape, hint):
    got = shape or (1,)
    for call in (small().prepare, small().predict, lambda x: small().trace(x, [0])):
        with pytest.raises(ShapeError) as error:
            call(np.zeros(shape))
        expected = f"model: images have the shape {got}; expected (N, 6, 6, 2){hint}"
        assert str(error.value) in (expected, expected.replace("(1,)", "()"))


def test_a_missing_channel_axis_has_its_hint():
    model = bh.models.create("article")
    for shape in ((5, 28, 28), (1, 28, 28)):
        with pytest.raises(ShapeError, match=r"expected \(N, 28, 28, 1\); add the channel axis: images\[..., None\]$"):
            model.predict(np.zeros(shape))
    with pytest.raises(ShapeError, match=r"give image\[None\]$"):
        model.predict(np.zeros((28, 28, 1)))


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int8, bool, np.complex128, "U1", object])
def test_images_that_hold_something_else(dtype):
    with pytest.raises(ArgumentError, match=r"model: images hold .*; expected uint8 \(0 to 255\) or floating point"):
        small().prepare(np.zeros((1, 6, 6, 2), dtype))


# buffers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_are_views_of_one_aligned_buffer(dtype):
    model = everything(dtype=dtype)
    for values, prefix in ((model.p, ""), (model.g, "grad_")):
        assert values.flat.ctypes.data % 64 == 0 and values.flat.dtype == dtype
        assert values.flat.shape == (model.parameter_count,)
        start = values.flat.ctypes.data
        for name, array in model.parameters.items():
            view = vars(values)[prefix + name]
            assert view.ctypes.data == start and view.shape == array.shape and view.flags.c_contiguous
            start += view.nbytes
        assert start == values.flat.ctypes.data + values.flat.nbytes  # no gap, nothing left
    model.p.flat[...] = 3
    assert all((array == 3).all() for array in model.parameters.values())
    assert not np.shares_memory(model.p.flat, model.g.flat)


def test_a_network_without_parameters():
    x = nn.Input(2, 2, 3)
    model = nn.Model(x, nn.GlobalAvgPool2d()(x), dtype=np.float64)
    assert model.parameter_count == 0 and model.parameters == {} and model.p.flat.shape == (0,)
    x, labels = images(model)
    np.testing.assert_allclose(model.logits_of(x), x.mean((1, 2)))
    check_gradients(model, x, labels)
    untouched = nn.Input(3)
    np.testing.assert_array_equal(nn.Model(untouched, untouched).logits_of(np.eye(3)), np.eye(3))


def test_two_models_on_one_graph_do_not_see_each_other():
    x = nn.Input(5, 5, 1)
    trunk = nn.Flatten()(nn.Conv2d(2, 3, name="trunk")(x))
    first = nn.Model(x, nn.Linear(3, name="first")(trunk), dtype=np.float64)
    second = nn.Model(x, nn.Linear(2, name="second")(trunk), dtype=np.float64)
    assert list(first.parameters) == ["trunk_weight", "trunk_bias", "first_weight", "first_bias"]
    assert list(second.parameters) == ["trunk_weight", "trunk_bias", "second_weight", "second_bias"]
    assert "second" not in str(first.program(2)) and [row.layer for row in second.summary().rows][-1] == "second"
    for model in (first, second):
        check_gradients(model, *images(model))
    assert not np.shares_memory(first.p.flat, second.p.flat)


# errors ---------------------------------------------------------------------------------------------------------------


def make(output=None, **settings):
    x = nn.Input(4, 4, 2)
    return nn.Model(x, nn.Sequential(nn.Flatten(), nn.Linear(3)) if output is None else output, **settings)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Model(5, nn.Linear(3)), ArgumentError, "Model: inputs is a int; expected an nn.Input"),
        (lambda: make(5), ArgumentError, "the outputs must be made from the nn.Input that is given as inputs"),
        (lambda: make(lambda x: 5), ArgumentError, "the outputs must be made from the nn.Input"),
        (lambda: make(nn.Flatten()(nn.Input(3))), ArgumentError, "the outputs must be made from the nn.Input"),
        (
            lambda: make(lambda x: x),
            ShapeError,
            r"output <input images \(N, 4, 4, 2\)> is not \(N, classes\); end with",
        ),
        (lambda: make(nn.Conv2d(3)), ShapeError, r"output <value conv1 \(N, 2, 2, 3\)> is not \(N, classes\)"),
        (lambda: make(name="a b"), ArgumentError, "the name 'a b' may hold only letters, digits"),
        (lambda: make(name=""), ArgumentError, "the name '' may hold only"),
        (lambda: make(name='x"""'), ArgumentError, "may hold only"),
        (lambda: make(name="ü"), ArgumentError, "may hold only"),
        (lambda: make(dtype=np.float16), ArgumentError, "dtype is .*float16.*; expected float32 or float64"),
        (lambda: make(dtype=int), ArgumentError, "expected float32 or float64"),
        (
            lambda: make(dtype="single precision"),
            ArgumentError,
            "dtype is single precision; expected float32 or float64",
        ),
        (lambda: make(classes=["a", "b"]), ArgumentError, "got 2 class names for 3 outputs"),
        (lambda: make(classes=[]), ArgumentError, "got 0 class names for 3 outputs"),
        (lambda: make(seed=-1), ArgumentError, "Model: seed is -1; expected a whole number, 0 or more"),
        (lambda: make(seed=0.5), ArgumentError, "Model: seed is 0.5"),
        (
            lambda: make(mean=(0.1, 0.2, 0.3)),
            ArgumentError,
            r"mean is \(0.1, 0.2, 0.3\); expected a number, or 2 of them",
        ),
        (lambda: make(mean="gray"), ArgumentError, "mean is 'gray'; expected a number"),
        (lambda: make(std=float("nan")), ArgumentError, "std is nan; expected a number"),
        (lambda: make(std=(1.0, 0.0)), ArgumentError, "std is 0; expected numbers to divide by"),
        (lambda: make(std=0), ArgumentError, "std is 0"),
    ],
)
def test_errors_of_a_model(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_tensor_within_a_network_is_no_input():
    x = nn.Input(4)
    y = nn.ReLU()(x)
    with pytest.raises(ArgumentError, match=r"the outputs must be made from the nn.Input that is given as inputs"):
        nn.Model(y, nn.Linear(2)(y))


def test_an_output_without_the_batch():
    x = nn.Input(1)
    with pytest.raises(ShapeError, match=r"the first axis of the output <.* \(N, 1\)> is not the batch; keep it first"):
        nn.Model(x, nn.Transpose(1, 0)(x))
    weight = x.graph.add_tensor("weight", (1, 4), "parameter")
    with pytest.raises(ShapeError, match="is not the batch"):
        nn.Model(x, weight)


def test_classes_have_names():
    assert make().classes == ("0", "1", "2")
    assert make(classes=["ant", "bee", 3]).classes == ("ant", "bee", "3")
    assert make(classes=np.array(["a", "b", "c"])).classes == ("a", "b", "c")


def test_ways_to_write_a_dtype():
    for dtype in (np.float64, "float64", float, np.dtype("f8")):
        assert make(dtype=dtype).dtype == np.float64 and make(dtype=dtype).p.flat.dtype == np.float64
    assert make().dtype == make(dtype="f4").dtype == np.float32


def test_outputs_may_be_a_function_or_a_tensor():
    x = nn.Input(3)
    y = nn.Linear(2)(x + x)
    assert isinstance(y, Tensor)
    first, other = nn.Model(x, y), nn.Model(nn.Input(3), lambda x: nn.Linear(2)(x + x))
    np.testing.assert_array_equal(first.p.flat, other.p.flat)
    assert repr(first) == "<model model: (3,) -> 2 classes, 8 parameters>"


def test_a_model_keeps_only_the_last_few_programs():
    model = bh.models.create("article")
    for count in range(1, 30):
        model.predict(np.zeros((count, 28, 28, 1), np.uint8))
    assert len(model._programs) <= 8
    kept = model.program(29)
    assert model.program(29) is kept


@pytest.mark.parametrize("settings", [{"classes": ["cat"]}, {"task": "classes"}, {"classes": 1}])
def test_one_output_is_no_class(settings):
    with pytest.raises(ArgumentError, match=r"one output is no class, .*expected task='labels' with two names"):
        make(lambda x: nn.Linear(1)(nn.Flatten()(x)), **settings)


def test_classes_may_be_a_count_and_an_array_of_names():
    assert make(classes=3).classes == ("0", "1", "2")
    with pytest.raises(ArgumentError, match="got 2 class names for 3 outputs"):
        make(classes=2)
    assert make().replace_head(np.array(["a", "b"])).classes == ("a", "b")


def test_parameters_are_copied_and_pickled():
    parameters = make().parameters
    for other in (copy.copy(parameters), copy.deepcopy(parameters), pickle.loads(pickle.dumps(parameters))):
        assert type(other) is type(parameters) and list(other) == list(parameters)
        assert all(np.array_equal(other[name], array) for name, array in parameters.items())


def test_a_network_trained_on_floats_takes_no_pixels(tmp_path):
    x = nn.Input(8, 8, 1)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(x)), preprocessing=Preprocessing("array"))
    pixels = np.zeros((2, 8, 8, 1), np.uint8)
    refused = pytest.raises(
        ArgumentError, match=r"trained on floating point arrays: .*--reader picture, --mean and --std"
    )
    with refused:
        model.predict(pixels)
    with refused:
        document(Look(model, classifier=True))
    with refused:
        to_c(model, tmp_path)
    assert model.predict(pixels / 255).shape == (2, 2)
    model.preprocessing = Preprocessing(mean=0.0)
    assert model.predict(pixels).shape == (2, 2)


def test_a_warning_waits_for_the_check():
    x = nn.Input(8, 8, 1)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(x)))
    with pytest.raises(ShapeError, match=r"images have the shape \(1,\)"):
        model.predict(0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(model.predict(np.full((1, 8, 8, 1), np.nan))).all()


@pytest.mark.parametrize("groups", [1, 2])
def test_what_is_no_probability_is_told(groups):
    x = nn.Input(4)
    p = nn.Softmax()(nn.Linear(3)(x))
    mean = p + nn.Softmax()(nn.Linear(3)(x))  # adds up to 2
    model = nn.Model(x, mean if groups == 2 else p * p, classes=["a", "b", "c"])
    with pytest.raises(ArgumentError, match=r"are no probabilities that add up to 1: .*expected task='numbers'"):
        model.predict(np.ones((2, 4)))


def test_an_output_of_more_numbers_than_there_are_classes_is_refused_at_once():
    x = nn.Input(8)
    with pytest.raises(ArgumentError, match="outputs are too many for classes"):
        nn.Model(x, nn.Linear(10**14)(x))
