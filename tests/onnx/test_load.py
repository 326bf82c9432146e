"""Loading of ONNX models: layouts, names, computed shapes and unsupported features."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.helper import make_node as node

import byhand as bh
from byhand.bench.onnx_suite import cases
from byhand.errors import FileError, UnsupportedError
from byhand.onnx import load
from tests.onnx.small_models import make_model, random_array, value_info, write_model


def both(model, tmp_path, images, **settings):
    """Return what byhand and onnxruntime make of images (N, C, H, W)."""
    path = write_model(model, tmp_path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"x": images})[0]
    ours = load(path, **settings)
    return ours, ours.predict(images.transpose(0, 2, 3, 1) if images.ndim == 4 else images), theirs


CONV = node("Conv", ["x", "w", "b"], ["c/1:0"], pads=[1, 1, 1, 1])
NUMBERS = {"w": random_array(4, 3, 3, 3), "b": random_array(4)}
HEAD = [
    node("GlobalAveragePool", ["r"], ["p"]),
    node("Flatten", ["p"], ["f"]),
    node("Gemm", ["f", "h"], ["y"], transB=1),
]
H = {"h": random_array(5, 4)}


def logits(tmp_path, nodes, numbers, images=None, **settings):
    images = random_array(2, 3, 8, 8, seed=9) if images is None else images
    model, ours, theirs = both(make_model(nodes, numbers, **settings), tmp_path, images)
    if model.classes:
        ours = model.logits_of(images.transpose(0, 2, 3, 1) if images.ndim == 4 else images)
    elif ours.ndim == 4:
        ours = ours.transpose(0, 3, 1, 2)
    theirs = theirs.reshape(ours.shape) if theirs.shape[2:] == (1, 1) else theirs
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    return model


def test_a_small_network(tmp_path):
    model = logits(tmp_path, [CONV, node("Relu", ["c/1:0"], ["r"]), *HEAD], NUMBERS | H)
    assert [node.name for node in model.graph.nodes][:2] == ["c_1_0", "r"]
    assert model.input_shape == (8, 8, 3)
    assert model.parameter_count == sum(weight.size for weight in (NUMBERS | H).values())


def test_channels_are_shuffled_where_they_lie(tmp_path):
    shuffle = [
        node("Reshape", ["c/1:0", "apart"], ["s1"]),
        node("Transpose", ["s1"], ["s2"], perm=[0, 2, 1, 3, 4]),
        node("Reshape", ["s2", "together"], ["r"]),
    ]
    numbers = {"apart": np.array([0, 2, 2, 8, 8]), "together": np.array([0, -1, 8, 8])}
    model = logits(tmp_path, [CONV, *shuffle, *HEAD], NUMBERS | H | numbers)
    moved = [node for node in model.graph.nodes if node.op.name == "transpose"]
    assert len(moved) == 1, "only the channels move"


def test_shapes_that_are_computed_are_known_when_the_model_is_read(tmp_path):
    flat = [
        node("Shape", ["c/1:0"], ["shape"]),
        node("Gather", ["shape", "zero"], ["n"]),
        node("Unsqueeze", ["n", "axes"], ["n1"]),
        node("Concat", ["n1", "rest"], ["wanted"], axis=0),
        node("Reshape", ["c/1:0", "wanted"], ["f"]),
        node("MatMul", ["f", "m"], ["y"]),
    ]
    numbers = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1]), "m": random_array(256, 6)}
    model = logits(tmp_path, [CONV, *flat], NUMBERS | numbers)
    assert {node.op.name for node in model.graph.nodes} == {"conv2d", "transpose", "reshape", "linear"}


@pytest.mark.parametrize(
    ("nodes", "numbers"),
    [
        ([node("Tile", ["x", "s"], ["y"])], {"s": np.array([1, 1, 0, 1])}),
        ([node("Gather", ["x", "s"], ["y"], axis=1)], {"s": np.array([], np.int64)}),
    ],
)
def test_nodes_that_leave_no_position_are_refused(nodes, numbers, tmp_path):
    with pytest.raises(FileError, match=r"it leaves nothing of axis \d; expected one position or more"):
        load(write_model(make_model(nodes, numbers), tmp_path))


def test_images_that_keep_their_channels_last(tmp_path):
    nodes = [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), node("Conv", ["t", "w"], ["r"]), *HEAD]
    images = random_array(2, 8, 8, 3)
    path = write_model(make_model(nodes, {"w": NUMBERS["w"]} | H, x=("N", 8, 8, 3)), tmp_path)
    theirs = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": images})[0]
    model = load(path)
    np.testing.assert_allclose(model.logits_of(images), theirs, rtol=1e-4, atol=1e-5)
    assert "transpose" not in {node.op.name for node in model.graph.nodes}


def test_a_batch_that_the_file_fixes_is_any_batch(tmp_path):
    nodes = [CONV, node("Reshape", ["c/1:0", "wanted"], ["f"]), node("Gemm", ["f", "m"], ["y"])]
    numbers = NUMBERS | {"wanted": np.array([4, 256]), "m": random_array(256, 6)}
    path = write_model(make_model(nodes, numbers, x=(4, 3, 8, 8)), tmp_path)
    images = random_array(4, 3, 8, 8)
    theirs = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": images})[0]
    model = load(path)
    for count in (1, 3, 4):
        ours = model.logits_of(images[:count].transpose(0, 2, 3, 1))
        np.testing.assert_allclose(ours, theirs[:count], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("nodes", "numbers"),
    [
        (
            [node("Mul", ["x", "s"], ["m"]), node("Add", ["m", "t"], ["y"])],
            {"s": random_array(3, 1, 1), "t": random_array(1, 3, 8, 8)},
        ),
        ([node("Sub", ["s", "x"], ["y"])], {"s": random_array(1)}),
        ([node("PRelu", ["x", "s"], ["y"])], {"s": random_array(3, 1, 1)}),
        (
            [node("Pad", ["x", "p", "v"], ["y"])],
            {"p": np.array([0, 1, 2, 0, 0, 2, 0, 3]), "v": np.array(1.5, np.float32)},
        ),
        ([node("Pad", ["x", "p"], ["y"], mode="reflect")], {"p": np.array([0, 0, 2, 1, 0, 0, 1, 3])}),
        ([node("Pad", ["x", "p"], ["y"], mode="edge")], {"p": np.array([0, 1, 2, 1, 0, 0, 1, 3])}),
        (
            [node("Slice", ["x", "a", "b", "c", "d"], ["y"])],
            {"a": np.array([6, 0]), "b": np.array([-9, 2]), "c": np.array([2, 1]), "d": np.array([-2, 1])},
        ),
        ([node("Gather", ["x", "i"], ["y"], axis=1)], {"i": np.array([2, 0, -1])}),
        (
            [node("Split", ["x", "n"], ["a", "b"], axis=1), node("Concat", ["b", "a", "b"], ["y"], axis=1)],
            {"n": np.array([1, 2])},
        ),
        ([node("Softmax", ["x"], ["y"], axis=1)], {}),
        ([node("LogSoftmax", ["x"], ["y"], axis=2)], {}),
        ([node("InstanceNormalization", ["x", "s", "t"], ["y"])], {"s": random_array(3), "t": random_array(3)}),
        ([node("LayerNormalization", ["x", "s"], ["y"], axis=2)], {"s": random_array(8, 8)}),
        ([node("ReduceMean", ["x", "a"], ["y"], keepdims=1)], {"a": np.array([1])}),
        ([node("ReduceSum", ["x", "a"], ["y"], keepdims=0)], {"a": np.array([-1])}),
        (
            [node("DepthToSpace", ["d"], ["y"], blocksize=2), node("Concat", ["x", "x", "x", "x"], ["d"], axis=1)][
                ::-1
            ],
            {},
        ),
        ([node("SpaceToDepth", ["x"], ["y"], blocksize=4)], {}),
        ([node("Resize", ["x", "", "s"], ["y"], mode="linear")], {"s": np.array([1, 1, 2, 1.5], np.float32)}),
        ([node("Resize", ["x", "", "", "s"], ["y"], mode="nearest", axes=[2, 3])], {"s": np.array([5, 13])}),
        ([node("LpPool", ["x"], ["y"], kernel_shape=[3, 2], p=3, strides=[2, 2], pads=[1, 0, 1, 0])], {}),
        ([node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)], {}),
        ([node("GlobalMaxPool", ["x"], ["y"])], {}),
        ([node("GlobalLpPool", ["x"], ["y"], p=2)], {}),
        (
            [node("Expand", ["p", "s"], ["y"]), node("GlobalAveragePool", ["x"], ["p"])][::-1],
            {"s": np.array([1, 3, 2, 4])},
        ),
        ([node("Tile", ["x", "s"], ["y"])], {"s": np.array([1, 2, 1, 3])}),
        ([node("MatMul", ["x", "m"], ["y"])], {"m": random_array(8, 5)}),
        (
            [
                node(
                    "ConvTranspose",
                    ["x", "w"],
                    ["y"],
                    strides=[2, 2],
                    pads=[1, 1, 0, 0],
                    output_padding=[1, 0],
                    group=3,
                )
            ],
            {"w": random_array(3, 2, 3, 2)},
        ),
        ([node("LRN", ["x"], ["y"], size=3, alpha=0.5)], {}),
        ([node("Gelu", ["x"], ["y"], approximate="tanh")], {}),
        ([node("Clip", ["x", "", "hi"], ["y"])], {"hi": np.array(0.5, np.float32)}),
        ([node("Mean", ["x", "s", "x"], ["y"])], {"s": random_array(3, 8, 8)}),
        ([node("Where", ["c", "x", "x"], ["y"])], {"c": np.ones((1, 1, 1, 1), bool)}),
        ([node("Conv", ["x", "w"], ["y"], auto_pad="SAME_LOWER", strides=[2, 2])], {"w": random_array(2, 3, 2, 3)}),
        ([node("Mish", ["x"], ["y"])], {}),
        (
            [
                node("GroupNormalization", ["d", "s", "t"], ["y"], num_groups=2),
                node("Concat", ["x", "x"], ["d"], axis=1),
            ][::-1],
            {"s": random_array(6), "t": random_array(6)},
        ),
    ],
    ids=lambda nodes: "-".join(n.op_type for n in nodes) if isinstance(nodes, list) else "",
)
def test_operators_on_images(nodes, numbers, tmp_path):
    opset = 21 if any(proto.op_type in ("Gelu", "GroupNormalization") for proto in nodes) else 18
    model = logits(tmp_path, nodes, numbers, opset=opset)
    again = tmp_path / "again.onnx"
    bh.onnx.save(model, again)
    images = random_array(2, 8, 8, 3, seed=5)
    np.testing.assert_allclose(load(again).predict(images), model.predict(images), rtol=1e-4, atol=1e-5)


def test_the_gates_of_pytorch_become_one_op(tmp_path):
    nodes = [CONV, node("Sigmoid", ["c/1:0"], ["g"]), node("Mul", ["c/1:0", "g"], ["r"]), *HEAD]
    model = logits(tmp_path, nodes, NUMBERS | H)
    assert [node.op.name for node in model.graph.nodes][:2] == ["conv2d", "silu"]


def test_one_of_several_outputs(tmp_path):
    nodes = [CONV, node("Relu", ["c/1:0"], ["r"]), *HEAD]
    path = write_model(make_model(nodes, NUMBERS | H, outputs=("y", "r")), tmp_path)
    assert load(path).output.name == "y"
    maps = load(path, output="r")
    assert maps.classes == () and maps.predict(random_array(2, 8, 8, 3)).shape == (2, 8, 8, 4)
    with pytest.raises(FileError, match=r"no output 'z'; it has y, r"):
        load(path, output="z")


def test_a_model_without_classes_is_not_trained(tmp_path):
    maps = load(write_model(make_model([CONV], NUMBERS, outputs=("c/1:0",)), tmp_path))
    with pytest.raises(bh.ArgumentError, match="no classes to learn"):
        maps.program(train=True)
    assert "(8, 8, 4)" in repr(maps)


def test_every_layer_of_a_foreign_model_can_be_seen(tmp_path):
    model = load(write_model(make_model([CONV, node("Relu", ["c/1:0"], ["r"]), *HEAD], NUMBERS | H), tmp_path))
    images = random_array(2, 8, 8, 3)
    trace = model.trace(images)
    assert trace["c_1_0"].shape == (2, 8, 8, 4)
    np.testing.assert_array_equal(trace["r"], np.maximum(trace["c_1_0"], 0))
    np.testing.assert_allclose(trace["y"], model.logits_of(images), rtol=1e-5, atol=1e-6)


def test_a_foreign_model_learns(tmp_path):
    model = load(write_model(make_model([CONV, node("Relu", ["c/1:0"], ["r"]), *HEAD], NUMBERS | H), tmp_path))
    images, labels = random_array(16, 8, 8, 3), np.arange(16) % 5
    trainer = bh.Trainer(model, bh.Adam(lr=0.02), batch_size=16)
    losses = [trainer.step(images, labels) for _ in range(300)]
    assert losses[-1] < 0.2 * losses[0]


def test_a_size_that_is_open_is_asked_for(tmp_path):
    path = write_model(
        make_model([CONV, node("Relu", ["c/1:0"], ["r"]), *HEAD], NUMBERS | H, x=("N", 3, "h", "w")), tmp_path
    )
    with pytest.raises(FileError, match=r"leaves its size open, \(N, 3, h, w\); tell it with input_shape"):
        load(path)
    assert load(path, input_shape=(12, 10, 3)).logits_of(random_array(1, 12, 10, 3)).shape == (1, 5)


def test_integer_inputs_are_pixels(tmp_path):
    nodes = [node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), node("Conv", ["f", "w"], ["r"]), *HEAD]
    model = load(write_model(make_model(nodes, {"w": NUMBERS["w"]} | H, kind=TensorProto.UINT8), tmp_path))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    np.testing.assert_allclose(model.logits_of(pixels), model.logits_of(pixels.astype(np.float32)), rtol=1e-4)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Einsum", ["x"], ["y"], name="e1")], r"Einsum 'e1' \(opset 18\): byhand has no operator Einsum"),
        ([node("Relu", ["x"], ["y"], domain="ai.acme", name="r")], r"Relu 'r' .*byhand has no operator Relu"),
        (
            [node("ArgMax", ["x"], ["i"], axis=1), node("Mul", ["i", "i"], ["y"])],
            r"ArgMax 'i' \(opset 18\): its input depends on",
        ),
        ([node("Transpose", ["x"], ["y"], perm=[1, 0, 2, 3])], r"it moves the batch from the first axis"),
        ([node("Softmax", ["x"], ["y"], axis=0)], r"it is taken over the images of a batch"),
        (
            [node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"])],
            r"the network is quantized: use the file from before",
        ),
        ([node("ReduceSum", ["x"], ["y"])], r"it reduces over the images of a batch"),
        ([node("Concat", ["x", "x"], ["y"], axis=0)], r"it concatenates the images of a batch"),
    ],
)
def test_unsupported_features_are_named(nodes, message, tmp_path):
    with pytest.raises(UnsupportedError, match=message) as caught:
        load(write_model(make_model(nodes), tmp_path))
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "model.onnx") in str(caught.value)


def test_two_images_are_one_too_many(tmp_path):
    model = make_model([node("Add", ["x", "z"], ["y"])])
    model.graph.input.append(value_info("z", (1, 3, 8, 8)))
    with pytest.raises(UnsupportedError, match=r"it has 2 inputs \(x, z\)"):
        load(write_model(model, tmp_path))


def test_functions_of_the_file_are_read(tmp_path):
    model = make_model([node("Double", ["x"], ["r"], domain="mine", by=3.0), *HEAD], {"h": random_array(5, 3)})
    body = [helper.make_node("Constant", [], ["k"]), node("Mul", ["a", "k"], ["b"])]
    attribute = body[0].attribute.add()
    attribute.name, attribute.ref_attr_name, attribute.type = "value_float", "by", 1
    model.functions.append(
        helper.make_function("mine", "Double", ["a"], ["b"], body, [helper.make_opsetid("", 18)], ["by"])
    )
    model.opset_import.append(helper.make_opsetid("mine", 1))
    images = random_array(2, 8, 8, 3)
    loaded = load(write_model(model, tmp_path))
    assert loaded.parameter_count == 15, "a constant is not learned"
    expected = 3 * images.mean((1, 2)) @ random_array(5, 3).T
    np.testing.assert_allclose(loaded.logits_of(images), expected, rtol=1e-4, atol=1e-5)


CLASSIC = (  # the networks in ONNX's own suite, with constants for weights
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)


@pytest.mark.parametrize("name", CLASSIC)
def test_classic_networks_become_models(name):
    case = next(case for case in cases(["real"]) if case.name == f"test_{name}")
    (inputs, (expected,)), *_ = case.data
    model = load(Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx")
    (image,) = (array for array in inputs if array.ndim == 4)
    softmax = model.output is not model.logits
    got = (model.predict if softmax else model.logits_of)(image.transpose(0, 2, 3, 1))
    assert len(model.classes) == 1000 and model.input_shape == (224, 224, 3)
    np.testing.assert_allclose(got, expected.reshape(1, 1000), rtol=1e-4, atol=1e-7)
