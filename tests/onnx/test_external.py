"""External data: read from a file in the model's folder, refused elsewhere."""

import os

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node as node

from byhand.errors import FileError
from byhand.onnx import load
from tests.memory import peak_below
from tests.onnx.small_models import make_model, random_array, write_model

NUMBERS = random_array(3, 1, 1)
BYTES = NUMBERS.nbytes
X = random_array(2, 8, 8, 3)


@pytest.fixture
def folder(tmp_path):
    """A model's folder, numbers in it, in a folder in it, and around it."""
    home = tmp_path / "model"
    (home / "deep").mkdir(parents=True)
    for place in (home, home / "deep", tmp_path):
        (place / "numbers.bin").write_bytes(bytes(64) + NUMBERS.tobytes())
        (place / "plain.bin").write_bytes(NUMBERS.tobytes())
    return home


def write_external_model(folder, dims=(3, 1, 1), kind=TensorProto.FLOAT, **where):
    """Write a model that adds to x what it keeps elsewhere."""
    model = make_model([node("Add", ["x", "k"], ["y"])], x=(1, 3, 8, 8))
    tensor = model.graph.initializer.add(name="k", dims=dims, data_type=kind, data_location=TensorProto.EXTERNAL)
    for key, said in where.items():
        tensor.external_data.add(key=key, value=str(said))
    return write_model(model, folder)


def added(path):
    np.testing.assert_allclose(load(path).predict(X), X + NUMBERS.reshape(3), rtol=1e-6)


def refused(path, says):
    with pytest.raises(FileError, match=says) as found, peak_below(1_500_000):
        load(path)
    assert str(path) in str(found.value)
    assert str(found.value).isprintable()


@pytest.mark.parametrize(
    "location", ["plain.bin", "./plain.bin", "deep/plain.bin", "deep//plain.bin", "deep\\plain.bin"]
)
def test_numbers_in_the_folder(location, folder):
    added(write_external_model(folder, location=location))


def test_a_part_of_a_file(folder):
    added(write_external_model(folder, location="numbers.bin", offset=64, length=BYTES))
    added(write_external_model(folder, location="numbers.bin", offset=64))
    added(write_external_model(folder, location="plain.bin", length=BYTES, checksum="0" * 40))


def test_the_folder_may_be_called_by_a_link(folder):
    (folder.parent / "link").symlink_to(folder)
    write_external_model(folder, location="plain.bin")
    added(folder.parent / "link" / "model.onnx")


@pytest.mark.parametrize(
    "location",
    [
        "../plain.bin",
        "deep/../plain.bin",
        "deep/../../plain.bin",
        "..\\plain.bin",
        "/etc/passwd",
        "//etc/passwd",
        "\\etc\\passwd",
        "C:\\numbers.bin",
        "c:plain.bin",
        "\\\\server\\share",
        "file:///etc/passwd",
        "http://example.com/numbers",
        "",
        ".",
        "..",
        "/",
        "./",
    ],
)
def test_a_path_that_leaves_the_folder(location, folder):
    refused(write_external_model(folder, location=location), "expected a file in the model's folder")


def test_a_missing_path_is_refused(folder):
    refused(write_external_model(folder), "expected a file in the model's folder")
    refused(write_external_model(folder, offset=0, length=BYTES), "expected a file in the model's folder")


def test_links(folder):
    outside = folder.parent / "plain.bin"
    (folder / "soft.bin").symlink_to(outside)
    (folder / "inner.bin").symlink_to("plain.bin")
    (folder / "zero.bin").symlink_to("/dev/zero")
    (folder / "lost.bin").symlink_to("nowhere")
    (folder / "up").symlink_to(folder.parent)
    for location in ("soft.bin", "inner.bin", "zero.bin", "lost.bin", "up/plain.bin"):
        refused(write_external_model(folder, location=location), "which is a link")
    os.link(outside, folder / "hard.bin")
    refused(write_external_model(folder, location="hard.bin"), "hard link")


def test_a_path_that_is_no_regular_file_is_refused(folder):
    os.mkfifo(folder / "fifo")
    for location in ("deep", "fifo", "missing.bin", "plain.bin/more", "a" * 5000, "plain.bin\0"):
        refused(write_external_model(folder, location=location), "no file|too long|null")


@pytest.mark.parametrize(
    "where",
    [
        {"offset": 1},
        {"offset": BYTES},
        {"offset": 2**62},
        {"offset": 10**30},
        {"offset": -4},
        {"offset": "four"},
        {"offset": "1.0"},
        {"offset": ""},
        {"offset": "9" * 5000},
        {"length": BYTES - 1},
        {"length": BYTES + 1},
        {"length": 0},
        {"length": -BYTES},
        {"length": "x"},
        {"length": 2**62},
    ],
    ids=range(15),
)
def test_a_part_that_is_not_there(where, folder):
    refused(write_external_model(folder, location="plain.bin", **where), "no ONNX model")


@pytest.mark.parametrize("dims", [(4, 1, 1), (2, 1, 1), (2**40,), (2**62, 2**62), (-3, 1, 1), (1,) * 100], ids=range(6))
def test_a_shape_that_does_not_fit_the_file(dims, folder):
    refused(write_external_model(folder, dims, location="plain.bin"), "no ONNX model")


@pytest.mark.parametrize(
    "kind", [TensorProto.STRING, TensorProto.INT4, TensorProto.COMPLEX64, TensorProto.UNDEFINED, 99, -1]
)
def test_numbers_of_another_type(kind, folder):
    refused(write_external_model(folder, kind=kind, location="plain.bin"), "model.onnx")


def test_control_characters_in_a_path(folder):
    refused(write_external_model(folder, location="\x1b[31mred\n\x07"), "red")


def test_a_constant_with_external_data_is_read(folder):
    constant = node("Constant", [], ["k"], value=TensorProto(name="v", dims=[3, 1, 1], data_type=1))
    tensor = constant.attribute[0].t
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="plain.bin")
    added(write_model(make_model([constant, node("Add", ["x", "k"], ["y"])], x=(1, 3, 8, 8)), folder))
    tensor.external_data[0].value = "../plain.bin"
    constant.attribute[0].t.CopyFrom(tensor)
    refused(
        write_model(make_model([constant, node("Add", ["x", "k"], ["y"])], x=(1, 3, 8, 8)), folder), "model's folder"
    )


def test_a_backend_has_no_folder():
    from byhand.onnx import backend

    model = make_model([node("Add", ["x", "k"], ["y"])], x=(1, 3, 8, 8))
    tensor = model.graph.initializer.add(name="k", dims=[1], data_type=1, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="plain.bin")
    with pytest.raises(FileError, match="model's folder"):
        backend.prepare(model).run([X.transpose(0, 3, 1, 2)])
