"""Commands `byhand look`, `byhand train --look` and `byhand export --html`."""

import base64
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand.data import mnist
from tests.cli.run_cli import byhand, small_mnist


def data_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a short training, watched by a page."""
    folder = tmp_path_factory.mktemp("look")
    small_mnist(folder / "data")
    done = byhand(
        "train", "article", folder / "data", "--epochs", "2", "--lr", "0.02", "--output", folder / "run", "--look"
    )
    assert done.code == 0, done.err
    assert f"watch the training:  {folder / 'run' / 'look.html'}" in done.out
    assert f"next:  byhand look {folder / 'run'}" in done.out
    return folder / "run"


def test_a_training_that_is_watched_leaves_the_whole_page(run):
    data = data_of(run / "look.html")
    assert not data["live"] and data["title"] == "article on data" and len(data["history"]) == 2
    assert [snapshot["step"] for snapshot in data["snapshots"]] == [step for step, _ in bh.Run(run).snapshots()]
    assert data["samples"]["count"] == 300 and len(data["curve"]) > 10
    assert not list(run.glob(".*.part"))


def test_a_run_is_looked_at(run, tmp_path):
    before = (run / "look.html").read_bytes()
    done = byhand("look", run, "--no-open")
    assert done.code == 0 and not done.err
    size = (run / "look.html").stat().st_size
    told = f"wrote {run / 'look.html'}, {size / 1e6:.2f} MB: one self-contained HTML file"
    assert done.out.splitlines() == [told]
    data = data_of(run / "look.html")
    watched = json.loads(re.search(rb'id="data">(.*?)</script>', before, re.DOTALL)[1])
    assert data["end"]["predictions"] == watched["end"]["predictions"]
    assert data["history"][-1]["accuracy"] == watched["history"][-1]["accuracy"]
    test, model = bh.data.find(str(run.parent / "data")).sets().test, bh.load(run)
    predictions = np.frombuffer(base64.b64decode(data["end"]["predictions"]), np.uint16)
    accuracy = float((model.logits_of(test.images).argmax(1) == test.labels).mean())
    assert data["end"]["accuracy"] == pytest.approx(accuracy) and len(predictions) == 300


def test_the_newest_run_is_looked_at_where_none_is_named(run, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(run)
    done = byhand("look", "--no-open", "--output", "page.html", folder=tmp_path)
    assert done.code == 0 and (tmp_path / "page.html").exists()
    assert byhand("look", folder=tmp_path / "runs").complaint.startswith("there is no finished run in runs")


def test_an_architecture_a_file_and_an_onnx_file_are_looked_at(run, tmp_path):
    from byhand import onnx

    Image.fromarray(mnist.test_images()[0]).save(tmp_path / "seven.png")
    onnx.save(bh.load(run), tmp_path / "mine.onnx")
    model = bh.load(run)
    model.save(tmp_path / "mine.safetensors")
    for name in ("lenet5", "mine.onnx", "mine.safetensors"):
        done = byhand("look", name, "seven.png", "--no-open", folder=tmp_path)
        assert done.code == 0, done.err
        data = data_of(tmp_path / f"{name.split('.')[0]}-look.html")
        assert data["untrained"] == (name == "lenet5") and data["samples"]["firstTest"] == 1
        assert "parameters" in data
    assert data["samples"]["count"] == 1 and data["samples"]["labels"] == [None] and not data["inverted"]
    assert byhand("look", "mine.onnx", "seven.png", "--no-open", "--reader", "digit", folder=tmp_path).code == 0
    data = data_of(tmp_path / "mine-look.html")
    assert data["samples"]["count"] == 1001 and data["samples"]["labels"][0] is None and data["inverted"]


def test_a_page_is_written_over_and_nothing_else_is(run, tmp_path):
    assert byhand("look", "article", "--no-open", folder=tmp_path).code == 0
    assert byhand("look", "article", "--no-open", folder=tmp_path).code == 0
    (tmp_path / "mine.html").write_text("mine")
    for words in (("look", "article", "--output", "mine.html"), ("export", run, "--html", "mine.html")):
        predictions = byhand(*words, folder=tmp_path).complaint
        assert (
            predictions == "mine.html exists already and was not written by byhand; choose another file with --output"
        )
        assert (tmp_path / "mine.html").read_text() == "mine"


def test_a_run_whose_data_are_gone_is_still_looked_at(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    settings = json.loads((tmp_path / "run" / "run.json").read_text()) | {"data": str(tmp_path / "gone")}
    (tmp_path / "run" / "run.json").write_text(json.dumps(settings))
    done = byhand("look", tmp_path / "run", "--no-open")
    assert done.code == 0 and done.err.startswith("no test images, as the data of")
    data = data_of(tmp_path / "run" / "look.html")
    assert not data["samples"]["tested"] and data["snapshots"] and "accuracy" not in data["end"]


def test_a_run_is_exported_as_a_page_that_answers(run, tmp_path):
    done = byhand("export", run, "--html")
    assert done.code == 0 and done.out.startswith(f"wrote {run / 'classifier.html'}, ")
    assert "classifier" in (run / "classifier.html").read_text()
    done = byhand("export", run, "--html", tmp_path / "page.html", "--onnx", tmp_path / "model.onnx", "--json")
    told = json.loads(done.out)
    assert told["html"] == {"file": str(tmp_path / "page.html"), "bytes": (tmp_path / "page.html").stat().st_size}
    assert told["onnx"]["file"] == str(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("look", "nothing"), "no model 'nothing'"),
        (("look", "article", "missing.png"), "missing.png"),
        (("look", "article", *["a.png"] * 17), "a page shows up to 16 images; got 17"),
        (("look", "article", "--output", "no/folder/page.html"), "can't write no/folder/page.html"),
        (("export", "article", "--html"), "article is an untrained architecture: train it first"),
        (("export", "efficientnet_lite0", "page.html"), "page.html is the HTML file of --html; give --html with it"),
        (
            ("export", "efficientnet_lite0", "out.onnx"),
            "FILE is the HTML file of --html; for ONNX give --onnx out.onnx",
        ),
        (("look", "article", "--output", "."), "can't write"),
    ],
)
def test_an_impossible_request_is_one_line(words, message, tmp_path):
    done = byhand(*words, folder=tmp_path)
    assert done.code == 2 and message in done.complaint
    assert list(tmp_path.iterdir()) == []
