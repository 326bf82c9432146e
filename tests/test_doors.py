"""The same image through every door: `predict`, `explain`, `look`, the exported page, C and ONNX give the same probabilities.

One network for each way that images are prepared: arrays of 28 x 28 that are no digits, arrays of 32 x 32 in color, arrays in
floating point, PNG files of 10 bits, photos of which the center is cropped, digits centered as in MNIST.
"""

import base64
import io
import json
import re
import subprocess

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand.data import mnist
from tests.cli.run_cli import byhand
from tests.data.image_folders import write_image_folder
from tests.data.pixel_files import write_classes, write_png
from tests.export.compile_c import compile_c, needs_cc
from tests.page.test_page import until

TOLERANCE = 1e-5
IMAGES = 24  # to train on, of each kind
LOGITS = "Array.from(byhand.network.tensors[{!r}].data)"


def spots(side, channels, seed=0):
    """Return spots to the left or to the right, (N, H, W, C) uint8, and their labels."""
    rng, labels = np.random.default_rng(seed), np.arange(IMAGES) % 2
    y, x = np.mgrid[:side, :side] / side
    centers = np.where(labels, 0.7, 0.3)[:, None, None] + rng.uniform(-0.1, 0.1, (IMAGES, 1, 1))
    pixels = 230.0 * ((x - centers) ** 2 + (y - 0.5) ** 2 < 0.04) + rng.integers(0, 20, (IMAGES, side, side))
    return np.repeat(pixels[..., None], channels, 3).clip(0, 255).astype(np.uint8), labels


def array_set(folder, side, channels):
    images, labels = spots(side, channels)
    np.savez(folder / "set.npz", x_train=images[..., 0] if channels == 1 else images, y_train=labels)
    return folder / "set.npz", images[0], []


def float_set(folder):
    images, labels = spots(28, 1)
    images[:, 0, 0] = 255
    floats = (images / 255 * 1.000001).astype(np.float32)  # a hair above 1
    np.savez(folder / "set.npz", x_train=floats, y_train=labels)
    return folder / "set.npz", images[0], []


def ten_bits(folder):
    images = spots(32, 1)[0][..., 0].astype(np.uint16) * 4
    return write_classes(folder / "set", write_png, images // 3, "png"), images[0], []


def photos(folder):
    bh.models.create("tiny", classes=5, crop_pct=0.8).save(folder / "base.safetensors")
    root = write_image_folder(folder / "set", 8)
    return root, np.asarray(Image.open(root / "red" / "0.png")), ["--from", folder / "base.safetensors"]


def digits(folder):
    train = mnist.load()[0].take(IMAGES)
    np.savez(folder / "set.npz", x_train=train.images[..., 0], y_train=train.labels)
    page = np.full((90, 70), 235, np.uint8)
    page[20:76, 10:66] -= (np.asarray(Image.fromarray(train.images[0, ..., 0]).resize((56, 56))) * 0.8).astype(np.uint8)
    return folder / "set.npz", page, ["--reader", "digit"]


KINDS = {
    "28 x 28": lambda folder: array_set(folder, 28, 1),
    "32 x 32 color": lambda folder: array_set(folder, 32, 3),
    "floats": float_set,
    "10 bits": ten_bits,
    "photos": photos,
    "digits": digits,
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request, tmp_path_factory):
    """Return a kind's name, the folder of its run, an image file, and Python's probabilities of it."""
    folder = tmp_path_factory.mktemp("doors")
    source, image, options = KINDS[request.param](folder)
    model = [] if "--from" in options else ["tiny"]
    done = byhand("train", *model, source, "--epochs", "1", "--lr", "0.05", "--output", folder / "run", *options)
    assert done.code == 0, done.err
    assert bh.load(folder / "run").preprocessing.describe(bh.load(folder / "run").input_shape) in done.out
    path = write_png(folder / "image.png", image)
    return request.param, folder / "run", path, *expected(folder / "run", path)


def expected(run, path):
    """Return a network, the pixels of a file as its record has them, and its probabilities."""
    network = bh.load(run)
    pixels = network.preprocessing.read(path, network.input_shape)
    return network, pixels, network.predict(pixels[None])[0]


def predicted(*words):
    """Return the probabilities that `byhand predict` prints, in the order of the classes."""
    done = byhand("predict", *words, "--json")
    assert (done.code, done.err) == (0, "")
    (answer,) = json.loads(done.out)["predictions"]
    listed = answer["probabilities"]
    if isinstance(listed, dict):
        return [listed[name] for name in sorted(listed)]
    return [row["probability"] for row in sorted(listed, key=lambda row: row["index"])]


def page_data(path):
    return json.loads(re.search(rb'id="data">(.*?)</script>', path.read_bytes(), re.DOTALL)[1])


def test_the_record_is_written_and_right(kind):
    name, run, _, network, pixels, _ = kind
    record = network.preprocessing
    assert json.loads((run / "run.json").read_text())["preprocessing"] == record.to_json()
    assert record.reader == ("digit" if name == "digits" else "picture")
    assert record.crop_pct == (0.8 if name == "photos" else 1.0)
    assert record.pixel_range == {"floats": (0, 1), "10 bits": (0, 1023)}.get(name)
    if name in ("28 x 28", "32 x 32 color"):
        np.testing.assert_array_equal(pixels, spots(*network.input_shape[1:])[0][0])


def test_predict_and_explain(kind, tmp_path):
    _, run, path, _, _, wanted = kind
    np.testing.assert_allclose(predicted(run, path), wanted, atol=TOLERANCE)
    done = byhand("explain", run, path, "--json", "--output", tmp_path / "why.png")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["probability"] == pytest.approx(wanted.max(), abs=TOLERANCE) and told["index"] == wanted.argmax()
    assert byhand("trace", run, path).err == ""


def test_onnx(kind, tmp_path):
    _, run, path, network, pixels, wanted = kind
    runtime = pytest.importorskip("onnxruntime")
    assert byhand("export", run, "--onnx", tmp_path / "a.onnx").code == 0
    assert bh.load(tmp_path / "a.onnx").preprocessing == network.preprocessing
    np.testing.assert_allclose(predicted(tmp_path / "a.onnx", path), wanted, atol=TOLERANCE)
    images = np.ascontiguousarray(network.prepare(pixels[None]).transpose(0, 3, 1, 2))
    session = runtime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {session.get_inputs()[0].name: images})
    np.testing.assert_allclose(bh.softmax(scores)[0], wanted, atol=TOLERANCE)


@needs_cc
def test_c(kind, tmp_path):
    _, run, _, network, pixels, wanted = kind
    done = byhand("export", run, "--c", tmp_path / "c")
    assert done.code == 0, done.err
    name = network.name
    assert network.preprocessing.describe(network.input_shape) in (tmp_path / "c" / f"{name}.h").read_text()
    read = f'#include <stdio.h>\n#include "{name}.h"\nstatic unsigned char p[{pixels.size}];\nstatic float q[{wanted.size}];\n'
    read += f"int main(void) {{ return fread(p, 1, {pixels.size}, stdin) != {pixels.size} || "
    read += f"({name}_run(p, q), fwrite(q, 4, {wanted.size}, stdout) != {wanted.size}); }}\n"
    (tmp_path / "c" / "read.c").write_text(read)
    program = compile_c(tmp_path / "c", f"{name}.c", "read.c")
    done = subprocess.run([program], input=pixels.tobytes(), capture_output=True, check=True)
    np.testing.assert_allclose(np.frombuffer(done.stdout, np.float32), wanted, atol=TOLERANCE)


def test_look(kind, tmp_path, visit):
    _, run, path, network, pixels, wanted = kind
    assert byhand("look", run, path, "--no-open", "--output", tmp_path / "look.html").code == 0
    data = page_data(tmp_path / "look.html")["samples"]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["png"]))))
    np.testing.assert_array_equal(shown[: pixels.shape[0], : pixels.shape[1]], pixels.squeeze())
    logits = visit(tmp_path / "look.html").evaluate(LOGITS.format(network.logits.name))
    np.testing.assert_allclose(bh.softmax(np.float32([logits]))[0], wanted, atol=TOLERANCE)


def test_exported_page(kind, tmp_path, visit):
    name, run, path, network, _, wanted = kind
    assert byhand("export", run, "--html", tmp_path / "page.html").code == 0
    page = visit(tmp_path / "page.html")
    page.set_input_files(".classifier input[type=file]", path)
    if name == "10 bits":
        until(page, "document.getElementById('unreadable').textContent")
        assert "sees 8 of the 16 bits of image.png" in page.inner_text("#unreadable")
        return
    page.wait_for_selector("#photo-prediction .predicted")
    logits = page.evaluate(LOGITS.format(network.logits.name))
    # the page centers digits in its own way
    tolerance = 0.2 if name == "digits" else 1e-2 if name == "photos" else TOLERANCE
    np.testing.assert_allclose(bh.softmax(np.float32([logits]))[0], wanted, atol=tolerance)


def test_python(kind):
    name, run, _, network, pixels, wanted = kind
    if name == "floats":
        images = np.load(run.parent / "set.npz")["x_train"]
        pixels = network.preprocessing.pixels(images)[0]
        np.testing.assert_allclose(network.predict(pixels[None])[0], wanted, atol=TOLERANCE)
    snapshot = bh.load(next((run / "snapshots").glob("*"))) if (run / "snapshots").exists() else network
    for made in (network.with_flip_tta(), network.replace_head(3), snapshot):
        assert made.preprocessing == network.preprocessing


def test_scikit_learn(tmp_path):
    sklearn = pytest.importorskip("byhand.sklearn", reason="needs scikit-learn")
    images, labels = spots(28, 1)
    path = write_png(tmp_path / "image.png", images[0])
    for pixels, words in (
        (images, []),
        (images.astype(np.float32) / 255, ["--reader", "picture", "--mean", 0, "--std", 1]),
    ):
        classifier = sklearn.CNNClassifier(max_iter=1, random_state=0).fit(pixels, labels)
        classifier.model_.save(tmp_path / "model.safetensors")
        wanted = classifier.predict_proba(pixels[:1])[0]
        np.testing.assert_allclose(predicted(tmp_path / "model.safetensors", path, *words), wanted, atol=TOLERANCE)
    complaint = byhand("predict", tmp_path / "model.safetensors", path).complaint
    assert "how an image file becomes one is not known; state it with --reader picture" in complaint
