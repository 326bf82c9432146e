"""The page as a file: content, size and errors, without a browser."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.ops import get
from byhand.page import Look, document, html
from byhand.page.html import pattern
from byhand.page.snapshot import Snapshot


def data_of(page):
    """Return what Python put into a page."""
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page.decode(), re.DOTALL)[1]
    )


def test_lenet5_with_ten_moments_and_a_thousand_images_is_under_three_megabytes():
    model, test = bh.models.create("lenet5"), bh.data.load("mnist")[1].take(1000)
    rng = np.random.default_rng(0)
    model.p.flat[...] = rng.normal(size=model.p.flat.size)  # numbers that nothing shortens
    snapshots = [Snapshot(step, step / 938, model) for step in range(9)]
    page = document(Look(model, tests=test.images, labels=test.labels, snapshots=snapshots))
    assert len(page) < 3_000_000
    data = data_of(page)
    assert data["samples"]["count"] == 1000 and len(data["snapshots"]) == 9
    numbers = np.frombuffer(base64.b64decode(data["parameters"]), "<f4")
    np.testing.assert_array_equal(numbers, model.p.flat)
    predictions = np.frombuffer(base64.b64decode(data["end"]["predictions"]), "<u2")
    np.testing.assert_array_equal(predictions, model.logits_of(test.images).argmax(1))


def test_the_policy_names_exactly_what_the_page_holds():
    page = document(Look(bh.models.create("article"))).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    for tag, rule in (("style", "style-src"), ('script type="module"', "script-src")):
        text = re.search(f"<{tag}>(.*?)</{tag.split()[0]}>", page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert not re.findall(r"""(?:src|href)=["'](?!#)[^"']""", page)
    assert "http" not in re.sub("http-equiv|http://www.w3.org/2000/svg", "", page.split('id="data"')[0])
    assert not re.search(r"\son\w+=|\sstyle=", page.split("<script")[0]), "no inline handler, no inline style"


@pytest.mark.parametrize("name", ["</script><script>x", "<!--", "{{data}}", "a\\b", '"quoted"'])
def test_any_name_goes_in_and_comes_out(name):
    model = bh.models.create("article", classes=[name, *"abcdefghi"])
    page = document(Look(model, title=name))
    assert data_of(page)["classes"][0] == name == data_of(page)["title"]
    assert page.count(b"<script") == 2 and b"<!--" not in page.split(b"<body>")[1]


def test_marks_of_text_direction_do_not_reach_the_page():
    names = ["\u202ecat", "\x1b[31mdog", "\u2028"]
    page = document(Look(bh.models.create("lenet5", classes=names)))
    assert "\u202e" not in page.decode() and data_of(page)["classes"] == ["?cat", "?[31mdog", "?"]


def test_infinity_and_a_model_without_weights_are_written(tmp_path):
    images = nn.Input(6, 6, 1)
    clipped = images.apply_op(get("clip"), {"x": images}, {"low": 0.0, "high": np.inf})
    model = nn.Model(images, nn.Flatten()(nn.MaxPool2d(3)(clipped)))
    data = data_of(document(Look(model)))
    assert {"inf"} <= {str(value) for node in data["spec"]["nodes"] for value in node["attributes"].values()}
    assert data["parameters"] == "" and data["facts"]["parameters"] == 0


def test_a_network_that_is_too_large_is_recorded_and_no_classifier(monkeypatch):
    model = bh.models.create("squeezenet1_1", classes=7)
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    data = data_of(document(Look(model, images=images)))
    assert "parameters" not in data and len(data["recorded"]) == 2 and data["samples"]["count"] == 2
    kept = data["spec"]["kept"]
    shapes = {node.output.name: node.output.shape[1:] for node in model.graph.up_to(model.logits).nodes}
    trace = model.trace(images[1:])
    for node in data["spec"]["nodes"]:
        tensor = kept[node["output"]]
        assert len(tensor["shape"]) == len(shapes[node["output"]]) + 1
        if node["output"] != model.logits.name:
            values = np.frombuffer(base64.b64decode(data["recorded"][1]["values"][node["output"]]), "<f2").reshape(
                tensor["shape"]
            )
            wanted = trace[node["output"]][..., tensor["kept"]] if tensor["kept"] else trace[node["output"]]
            np.testing.assert_allclose(values, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())
    monkeypatch.setattr(html, "CLASSIFIER_MAX_MACS", 1000)
    with pytest.raises(bh.ArgumentError, match=r"squeezenet1_1 can't run in a page: it has [\d,]+ multiply-adds"):
        document(Look(model, images=images, classifier=True))


def test_an_unsupported_model_is_refused_in_one_line():
    images = nn.Input(8, 8, 4)
    with pytest.raises(bh.ArgumentError, match="a page shows networks of images, gray or color"):
        document(Look(nn.Model(images, nn.Linear(3)(nn.Flatten()(images)))))
    images = nn.Input(8, 8, 3)
    maps = nn.Model(images, nn.Conv2d(4, 3)(images), classes=())
    with pytest.raises(bh.ArgumentError, match="has no classes: a page shows classifiers only"):
        document(Look(maps))


def test_an_op_that_is_not_translated_is_recorded_or_refused():
    images = nn.Input(8, 8, 1)
    model = nn.Model(images, nn.Linear(3)(nn.Flatten()(nn.Resize((16, 16))(images))))
    assert "recorded" in data_of(document(Look(model)))
    with pytest.raises(bh.ArgumentError, match="can't run in a page: resize_loops holds"):
        document(Look(model, classifier=True))


def test_snapshots_of_another_network_are_left_out():
    model, other = bh.models.create("article"), bh.models.create("lenet5")
    data = data_of(document(Look(model, snapshots=[Snapshot(0, 0.0, model), Snapshot(5, 1.0, other)])))
    assert [snapshot["step"] for snapshot in data["snapshots"]] == [0]


def test_without_a_picture_there_is_a_pattern():
    data = data_of(document(Look(bh.models.create("tiny"))))
    assert data["samples"]["count"] == 1 and not data["samples"]["tested"]
    assert np.ptp(pattern((32, 32, 3))) > 200
