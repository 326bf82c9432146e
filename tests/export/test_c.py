"""Export to C: the files, the report, and no partial output."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from byhand import nn
from byhand.data import Dataset
from byhand.errors import ArgumentError, FileError, ShapeError
from byhand.export import c_files, to_c
from byhand.export.c_source import STACK_BYTES
from byhand.export.int8_reference import probabilities
from byhand.export.lowering import lower
from byhand.export.quantization import quantize
from tests.export.compile_c import CC, SANITIZER_FLAGS, compile_c, needs_cc, random_pixels


@pytest.fixture(scope="module", params=[False, True], ids=["float32", "int8"])
def exported(request, lenet5, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("c") / "new" / "folder"
    train, test = digits
    return to_c(lenet5, folder, int8=request.param, train=train, test=test.take(2000)), folder


def test_three_files_are_written(exported):
    assert (
        sorted(path.name for path in exported[1].iterdir())
        == sorted(exported[0].files)
        == ["lenet5.c", "lenet5.h", "main.c"]
    )


@needs_cc
def test_main_reproduces_the_results_of_python(exported):
    result = subprocess.run(
        [compile_c(exported[1], *sources(exported), flags=SANITIZER_FLAGS)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert result.stdout.count(": ok\n") == 8 and "8 of 8 images as in Python" in result.stdout
    assert "image 0 (label 7): 7, " in result.stdout


@needs_cc
def test_main_detects_a_wrong_weight(exported, tmp_path):
    for name in exported[0].files:
        shutil.copy(exported[1] / name, tmp_path)
    path = tmp_path / "lenet5.c"
    text = path.read_text()
    head, tail = text.split("fc3_bias[10] = {\n", 1)
    path.write_text(
        f"{head}fc3_bias[10] = {{\n    {'99' if exported[0].dtype == 'int8' else '9.5f'}, {tail.split(',', 1)[1].lstrip()}"
    )
    text = path.read_text() if exported[0].dtype == "float32" else path.read_text().replace("\n    99,", "\n    9999,")
    path.write_text(text)
    result = subprocess.run([compile_c(tmp_path, *sources(exported))], capture_output=True, text=True, check=False)
    assert result.returncode == 1 and "WRONG" in result.stdout


def sources(exported):
    return [name for name in exported[0].files if name.endswith(".c")]


def test_the_program_has_no_dependencies(exported):
    text = "".join((exported[1] / name).read_text() for name in ("lenet5.c", "lenet5.h"))
    assert set(re.findall(r"#include (\S+)", text)) <= {'"lenet5.h"', "<stdint.h>", "<math.h>"}
    code = re.sub(r"/\*.*?\*/|\"[^\"]*\"", "", text, flags=re.DOTALL)
    assert not re.search(
        r"\b(malloc|calloc|realloc|free|alloca|printf|puts|fopen|exit|assert|goto|double|long)\b", code
    )
    assert code.isascii() and max(map(len, text.splitlines())) <= 128
    outside = re.findall(r"^(?!static|typedef|struct|#|extern|void|const char|\s|\{|\}|$).*", code, flags=re.MULTILINE)
    assert not outside  # all but the names of the classes and the one function is static
    if exported[0].dtype == "int8":
        floats = [line for line in code.splitlines() if "float" in line and "exponentials" not in line]
        assert all("probabilities" in line or "softmax" in line or "float sum = 0.0f" in line for line in floats)


@needs_cc
def test_ram_flash_and_stack_agree_with_the_compiler(exported, tmp_path):
    if (nm := shutil.which("nm")) is None:
        pytest.skip("there is no nm")
    usage = ["-c", "-fstack-usage"] if "gcc" in version() or "GCC" in version() else ["-c"]
    compile_c(exported[1], "lenet5.c", flags=usage, out=str(tmp_path / "lenet5.o"))
    listed = subprocess.run(
        [nm, "-S", "--radix=d", tmp_path / "lenet5.o"], capture_output=True, text=True, check=True
    ).stdout
    sizes = dict.fromkeys("bBrRdDtT", 0)
    for line in listed.splitlines():
        if len(parts := line.split()) == 4 and parts[2] in sizes:
            sizes[parts[2]] += int(parts[1])
    assert sizes["b"] == exported[0].ram_bytes and sizes["B"] == 0
    constants = sum(sizes[kind] for kind in "rRdD")
    assert 0.98 < exported[0].flash_bytes / constants < 1.02  # pointers have 8 bytes here, texts of their own
    frames = [int(line.split("\t")[1]) for path in tmp_path.glob("*.su") for line in path.read_text().splitlines()]
    if len(usage) > 1:
        assert frames and sum(sorted(frames)[-2:]) <= STACK_BYTES


def version():
    return subprocess.run([CC, "--version"], capture_output=True, text=True, check=True).stdout


def test_the_report(exported):
    report = exported[0]
    assert [row.name for row in report.layer_errors] == ["relu1", "pool1", "relu2", "pool2", "relu3", "relu4", "fc3"]
    assert all(0 <= row.float32_mean <= row.float32_max < 1e-4 for row in report.layer_errors)
    assert report.test_images == 2000 and report.compared_images == 16 and 0.93 < report.accuracy_float32 < 1
    if report.dtype == "float32":
        assert (report.calibration_images, report.accuracy_int8) == (0, None) and report.layer_errors[
            0
        ].int8_snr is None
    else:
        assert report.calibration_images == 512 and abs(report.accuracy_int8 - report.accuracy_float32) <= 0.003
        assert all(25 < row.int8_snr < 60 and row.int8_mean < row.int8_max for row in report.layer_errors)


def test_int8_takes_a_quarter(lenet5, digits, tmp_path):
    float32 = to_c(lenet5, tmp_path / "a")
    int8 = to_c(lenet5, tmp_path / "b", int8=True, train=digits[0].take(64))
    assert 3.5 < float32.flash_bytes / int8.flash_bytes < 4 and 3.9 < float32.ram_bytes / int8.ram_bytes < 4.1
    assert (int8.test_images, int8.accuracy_int8, float32.accuracy_float32) == (0, None, None)


def test_accuracies_are_those_of_predict_and_of_the_int8_reference(lenet5, digits, tmp_path):
    train, test = digits[0].take(50), digits[1].take(300)
    report = to_c(lenet5, tmp_path / "c", int8=True, train=train, test=test)
    quantized = quantize(lower(lenet5), train.images)
    assert report.accuracy_float32 == (lenet5.predict(test.images).argmax(1) == test.labels).mean()
    assert report.accuracy_int8 == (probabilities(quantized, test.images).argmax(1) == test.labels).mean()


@needs_cc
def test_without_data_random_images_are_reproduced(tmp_path):
    x = nn.Input(5, 5, 2)
    model = nn.Model(x, nn.Linear(3)(nn.Flatten()(nn.Conv2d(2, 3)(x))), name="tiny")
    report = to_c(model, tmp_path / "c")
    assert report.accuracy_float32 is None
    result = subprocess.run(
        [compile_c(tmp_path / "c", "tiny.c", "main.c")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0 and "label" not in result.stdout and "8 of 8" in result.stdout


def test_the_header_says_what_is_written_and_how_images_are_prepared(lenet5, tmp_path):
    to_c(lenet5, tmp_path / "c")
    (header,) = (tmp_path / "c").glob("*.h")
    text = " ".join(header.read_text().split())
    assert "writes the probability of each class." in text
    assert f"itself: {lenet5.preprocessing.describe(lenet5.input_shape)}" in text


@needs_cc
@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
def test_a_network_without_classes_writes_its_output(int8, tmp_path):
    x = nn.Input(5, 5, 1)
    model = nn.Model(x, nn.Conv2d(2, 3)(x), classes=(), name="edges")
    train = Dataset(random_pixels((5, 5, 1), 9), np.zeros(9, int), ("a",))
    to_c(model, tmp_path / "c", int8=int8, train=train)
    assert "#define EDGES_OUTPUTS 18" in (tmp_path / "c" / "edges.h").read_text()
    result = subprocess.run(
        [compile_c(tmp_path / "c", "edges.c", "main.c")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_a_float64_model_is_exported_in_float32(tmp_path):
    x = nn.Input(4, 4, 1)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(x)), dtype=np.float64)
    report = to_c(model, tmp_path / "c")
    assert report.layer_errors[0].float32_max < 1e-6


# errors, and that they leave no files -------------------------------------------------------------------------


def test_int8_needs_calibration_images(lenet5, tmp_path):
    with pytest.raises(ArgumentError, match="lenet5: int8 is calibrated on images; expected a training set"):
        to_c(lenet5, tmp_path / "c", int8=True)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Dataset(np.zeros((2, 8, 8, 1), np.uint8), np.zeros(2, int), tuple("0123456789")), "images have the shape"),
        (Dataset(np.zeros((2, 28, 28, 1), np.float32), np.zeros(2, int), tuple("0123456789")), "holds float32"),
        (Dataset(np.zeros((2, 28, 28, 1), np.uint8), np.zeros(2, int), ("0", "1")), "has 10 classes .* the data has 2"),
    ],
)
def test_data_that_does_not_fit_is_refused(data, message, lenet5, tmp_path):
    with pytest.raises((ArgumentError, ShapeError), match=message):
        to_c(lenet5, tmp_path / "c", test=data)
    assert not (tmp_path / "c").exists()


def test_a_folder_with_files_is_left_alone(lenet5, tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(FileError, match="exists already, and is not empty"):
        to_c(lenet5, tmp_path)
    with pytest.raises(FileError, match="is a file; expected a folder"):
        to_c(lenet5, tmp_path / "mine")
    with pytest.raises(FileError, match="mine is a file; expected a folder"):
        to_c(lenet5, tmp_path / "mine" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"] and (tmp_path / "mine").read_text() == "x"


@pytest.mark.parametrize("fails", ["lenet5.h", "lenet5.c", "main.c"])
def test_no_file_is_left_when_one_fails(fails, lenet5, tmp_path, monkeypatch):
    def full(path, data):
        if path.name == fails:
            raise FileError(f"can't write {path}: No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(c_files, "write_whole", full)
    with pytest.raises(FileError, match="No space left"):
        to_c(lenet5, tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "c").mkdir()
    with pytest.raises(FileError, match="No space left"):
        to_c(lenet5, tmp_path / "c")
    assert not list((tmp_path / "c").iterdir())


def test_the_same_network_gives_the_same_bytes(lenet5, digits, tmp_path):
    for name in "ab":
        to_c(lenet5, tmp_path / name, int8=True, train=digits[0].take(40), test=digits[1].take(20))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_model_is_not_changed(lenet5, digits, tmp_path):
    before = {name: values.copy() for name, values in lenet5.parameters.items()}
    to_c(lenet5, tmp_path / "c", int8=True, train=digits[0].take(40))
    assert all(np.array_equal(values, before[name]) for name, values in lenet5.parameters.items())
