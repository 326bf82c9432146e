"""Convolution algorithms: choice, forced choice and agreement."""

import numpy as np
import pytest

import byhand as bh
from byhand.errors import ArgumentError, UnknownNameError
from byhand.kernels import capture
from byhand.kernels.conv import algorithm
from byhand.kernels.conv.algorithm import ALGORITHMS, Problem, choose, force, supports
from byhand.kernels.conv.problem import PASSES, ConvShape, Pooling
from byhand.kernels.microkernel.microkernel import no_epilogue
from byhand.kernels.runtime.launch_graph import fixed_weights
from byhand.ops.conv.conv2d import conv_shape
from byhand.ops.conv.linear import matrix_shape
from byhand.ops.fused.conv2d_max_pool import conv2d_max_pool

SHAPES = {  # images, weight, groups, padding, stride
    "small": ((2, 7, 9, 3), (3, 3, 3, 5), 1, 1, 1),
    "large": ((2, 9, 8, 64), (3, 3, 64, 96), 1, 1, 2),
    "many pixels": ((3, 28, 21, 32), (3, 3, 32, 256), 1, 0, 1),
    "grouped": ((2, 8, 8, 12), (3, 3, 4, 66), 3, 1, 1),
    "depthwise": ((2, 11, 12, 35), (3, 3, 1, 35), 35, 1, 1),
}


def problem(pass_name, name, dtype=np.float32):
    """Return a problem, and the arguments of its pass: the array that it writes stands where it stands in each signature."""
    x_shape, w_shape, groups, padding, stride = SHAPES[name]
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(w_shape).astype(dtype)
    call = bh.conv2d.contract(x_shape, w_shape, padding=padding, stride=stride, groups=groups)
    shape = conv_shape(x_shape, w_shape, call.shapes["y"], **call.attributes)
    grad = rng.standard_normal(call.shapes["y"]).astype(dtype)
    return Problem(pass_name, shape, len(x), x.itemsize), {
        "forward": (x, weight, np.empty_like(grad), algorithm_epilogue(x, weight, grad), shape),
        "backward_data": (weight, grad, np.empty_like(x), shape),
        "backward_weights": (x, grad, np.empty_like(weight), shape),
    }[pass_name]


def algorithm_epilogue(x, weight, y):
    """Return an epilogue with all its steps."""
    from byhand.kernels.conv import epilogue

    rng = np.random.default_rng(1)
    bias, scale = (rng.standard_normal(weight.shape[3]).astype(x.dtype) for _ in range(2))
    return epilogue(x, bias, scale, rng.standard_normal(y.shape).astype(x.dtype), relu=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("pass_name", PASSES)
def test_all_algorithms_that_apply_do_the_same(pass_name, name, dtype):
    asked, arguments = problem(pass_name, name, dtype)
    able = [algorithm for algorithm in ALGORITHMS.values() if supports(algorithm, asked)]
    assert choose(asked) in able
    results = []
    for candidate in able:
        arguments[2].fill(np.nan)
        candidate.launcher(pass_name)(*arguments)
        results.append(arguments[2].copy())
    unit = (1 if dtype is np.float32 else 2e-9) * largest_sum(pass_name, arguments)
    for result, candidate in zip(results, able):
        np.testing.assert_allclose(result, results[0], rtol=0, atol=candidate.error * unit)


def largest_sum(pass_name, arguments):
    """Return the largest sum of |x * weight| that an element of a result adds up: the unit of an algorithm's error."""
    arguments = tuple(abs(value) if isinstance(value, np.ndarray) else value for value in arguments)
    out = arguments[2]
    if pass_name == "forward":
        arguments = (*arguments[:3], no_epilogue(out.reshape(-1)[:0]), arguments[4])
    chosen = {"backward_weights": "direct"}.get(pass_name, "packed")
    shape = arguments[-1]
    ALGORITHMS["depthwise" if shape.depthwise else chosen].launcher(pass_name)(*arguments)
    return out.max()


@pytest.mark.parametrize(
    "x, filters, stride", [((2, 3, 5, 1024), 130, 1), ((1, 5, 7, 512), 128, 2), ((2, 3, 5, 48), 1024, 1)]
)
def test_pixels_a_multiple_of_4_kb_apart_are_copied(x, filters, stride):
    """1x1 convolutions by `packed`, against a matrix product; with 40 pixels or 1100, its two ways."""
    rng = np.random.default_rng(0)
    for images in (x[0], 80):
        shape = images, *x[1:]
        x_array, weight = (rng.standard_normal(size, np.float32) for size in (shape, (1, 1, x[3], filters)))
        grad_y = rng.standard_normal((images, -(-x[1] // stride), -(-x[2] // stride), filters), np.float32)
        with force("packed"):
            y = bh.conv2d(x_array, weight, stride=stride, hand="compiled")
            grad_x, grad_weight, _ = bh.conv2d.backward(grad_y, x_array, weight, stride=stride, hand="compiled")
        np.testing.assert_allclose(y, x_array[:, ::stride, ::stride] @ weight[0, 0], rtol=0, atol=1e-3)
        expected = np.zeros_like(x_array)
        expected[:, ::stride, ::stride] = grad_y @ weight[0, 0].T
        np.testing.assert_allclose(grad_x, expected, rtol=0, atol=1e-3)
        expected = np.tensordot(x_array[:, ::stride, ::stride], grad_y, ((0, 1, 2), (0, 1, 2)))
        np.testing.assert_allclose(grad_weight[0, 0], expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", ["small", "large", "grouped"])
def test_filters_that_are_fixed_are_packed_once_and_give_the_same_bits(name):
    _, (x, weight, y, epilogue, shape) = problem("forward", name)
    with force("packed"):
        algorithm.forward(x, weight, y, epilogue, shape)
        expected = y.copy()
        with fixed_weights(weight):
            graph, _ = capture(algorithm.forward, x, weight, y, epilogue, shape)
    weight.fill(np.nan)  # the panels hold them
    y.fill(np.nan)
    graph.run()
    assert [launch.name for launch in graph.all_launches] == ["sweep"]
    np.testing.assert_array_equal(y, expected)


POOLED = {  # images, weight, groups, padding, stride of the pooling
    "small patch": ((2, 9, 9, 1), (3, 3, 1, 6), 1, 0, 2),
    "padded": ((3, 10, 8, 6), (3, 3, 6, 20), 1, 1, 2),
    "overlapping": ((2, 9, 9, 8), (3, 3, 4, 6), 2, 1, 1),
    "depthwise": ((2, 9, 9, 5), (3, 3, 1, 5), 5, 1, 2),
}


def pooled_problem(name):
    """Return (the backward_weights of a max-pooled convolution, the inputs of the op, its attributes)."""
    x, weight, groups, padding, stride = POOLED[name]
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(size).astype(np.float32) for size in (x, weight, weight[3:])]
    call = bh.conv2d.contract(x, weight, padding=padding, groups=groups)
    shape = conv_shape(x, weight, call.shapes["y"], **call.attributes)
    pooling = Pooling((2, 2), (stride, stride), (0, 0, 0, 0), (1, 1))
    attributes = {"groups": groups, "padding": padding, "pool_kernel": 2, "pool_stride": stride, "relu": True}
    return Problem("backward_weights", shape, x[0], 4, pooling=pooling), inputs, attributes


@pytest.mark.parametrize("name", POOLED)
def test_all_algorithms_of_a_max_pooled_convolution_do_the_same(name):
    asked, inputs, attributes = pooled_problem(name)
    y = conv2d_max_pool(*inputs, **attributes)
    grad = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    expected = conv2d_max_pool.backward(grad, *inputs, hand="arrays", **attributes)
    able = set()
    for pass_name in ("backward_weights", "backward_data"):
        passed = asked._replace(pass_name=pass_name)
        assert choose(passed) is ALGORITHMS["sparse"]
        able |= {algorithm.name for algorithm in ALGORITHMS.values() if supports(algorithm, passed)}
    able -= {"bfloat16", "winograd2x2_bfloat16"}  # with it, another pixel may be the maximum
    assert len(able) >= 2
    for forced in able:
        with force(forced):
            found = conv2d_max_pool.backward(grad, *inputs, **attributes)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def test_a_dense_algorithm_can_be_forced_on_a_max_pooled_convolution():
    asked, inputs, attributes = pooled_problem("padded")
    shapes = [array.shape for array in inputs]
    call = conv2d_max_pool.infer(shapes, attributes)
    assert conv2d_max_pool.algorithms(shapes, call, 4) == {"y": "direct", "grad_x": "sparse", "grad_weight": "sparse"}
    with force("direct"):
        assert conv2d_max_pool.algorithms(shapes, call, 4)["grad_weight"] == choose(asked).name == "direct"
    with force("packed"):  # it has no backward_weights
        assert conv2d_max_pool.algorithms(shapes, call, 4)["grad_x"] == "packed"
        assert choose(asked).name == "sparse"
    with force("sparse"):  # without a pooling, it has no pass
        assert choose(asked._replace(pooling=None)).name == "direct"


def test_sparse_does_not_apply_to_many_weights():
    asked, _, _ = pooled_problem("padded")
    large = asked._replace(shape=asked.shape._replace(depth=512, filters_per_group=512))
    assert choose(large).name == "winograd2x2"
    with (
        force("sparse"),
        pytest.raises(ArgumentError, match="sparse does not apply to the backward_weights of a conv2d_max_pool"),
    ):
        choose(large)


def test_every_problem_has_an_algorithm():
    for name in SHAPES:
        for pass_name in PASSES:
            assert any(supports(algorithm, problem(pass_name, name)[0]) for algorithm in ALGORITHMS.values())


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("small", ("direct", "packed", "direct")),
        ("many pixels", ("winograd4x4",) * 3),
        ("depthwise", ("depthwise",) * 3),
    ],
)
def test_the_expected_algorithm_is_chosen(name, chosen):
    assert tuple(choose(problem(pass_name, name)[0]).name for pass_name in PASSES) == chosen


@pytest.mark.parametrize(("rows", "forward", "data"), [(1, "gemv", "transposed"), (64, "packed", "transposed")])
def test_linear_chooses_through_the_same_door(rows, forward, data):
    found = algorithm.names(matrix_shape((1024, 512), rows, 1), 1, 4, matrix=True)
    assert (found["forward"], found["backward_data"], found["backward_weights"]) == (forward, data, "direct")


def test_one_can_be_forced(monkeypatch):
    small, _ = problem("forward", "small")
    with force("packed"):
        assert choose(small).name == "packed"
        assert choose(small._replace(pass_name="backward_weights")).name == "direct"  # packed has no such pass
    assert choose(small).name == "direct"
    monkeypatch.setenv("BYHAND_CONV", "packed")
    assert choose(small).name == "packed"
    with force("direct"):
        assert choose(small).name == "direct"


def test_a_forced_algorithm_that_does_not_apply_is_refused(monkeypatch):
    monkeypatch.setenv("BYHAND_CONV", "direct")
    x, weight = np.zeros((1, 5, 5, 4), np.float32), np.zeros((3, 3, 1, 4), np.float32)
    with pytest.raises(ArgumentError) as raised:
        bh.conv2d(x, weight, groups=4)
    assert str(raised.value) == (
        "the forced algorithm direct does not apply to the forward of a conv2d of 4 -> 4 channels, 3x3, stride (1, 1); "
        "use depthwise"
    )


def test_a_name_that_none_has_is_refused(monkeypatch):
    monkeypatch.setenv("BYHAND_CONV", "winograt")
    with pytest.raises(UnknownNameError, match="there is no convolution algorithm 'winograt'"):
        bh.conv2d(np.zeros((1, 5, 5, 1)), np.zeros((3, 3, 1, 4)))


def test_the_flops_of_a_shape():
    pixel = (1, 1)
    shape = ConvShape((5, 4), (5, 4), pixel, pixel, (0, 0, 0, 0), pixel, 1, 3, 7)
    assert Problem("forward", shape, 2, 4).flops == 2 * 2 * 20 * 21


def test_a_program_names_the_algorithms():
    model = bh.models.create("lenet5", seed=0)
    text = model.program(batch=4, train=True).text
    assert "5, 5, 16); direct" in text
    assert "grad_x: transposed, grad_weight: direct" in text
    with force("packed"):
        assert "5, 5, 16); packed" in model.program(batch=4, train=False).text
    assert "direct" not in model.program(batch=4, hand="arrays").text
