"""The page in a browser: drawing, pointing, moving and editing."""

import re
import time
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand import nn
from byhand.data import digits as digit_files
from byhand.nn.gradients import trace_gradients
from byhand.page import Look, document
from byhand.report.explain.attribution import explain
from tests.page.conftest import axe, copy

SETTLED = "() => new Promise(done => setTimeout(done, 250))"  # past the pause after which slower panels are drawn
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def settle(page):
    page.evaluate(SETTLED)


def until(page, expression, seconds=60):
    """Wait until something is so; the page itself may evaluate no text."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.05)


def number(text):
    return float(text.replace("−", "-"))


def pixels(page):
    """Return the image that the page shows, (1, 28, 28, 1) uint8."""
    return np.array(page.evaluate("Array.from(byhand.pixels)"), np.uint8).reshape(1, 28, 28, 1)


def predicted(page):
    return page.inner_text("#prediction .predicted-class b")


def draw(page, *points, touch=False):
    """Draw a stroke on the drawing pad, through points from (0, 0) to (1, 1), with the mouse or a finger."""
    box = page.locator("#drawing-pad").bounding_box()
    at = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in points]
    if touch:
        finger = page.context.new_cdp_session(page)
        steps = [
            np.add(point, np.subtract(other, point) * part)
            for point, other in pairwise(at)
            for part in (0, 0.25, 0.5, 0.75)
        ]
        for k, (x, y) in enumerate([*steps, at[-1]]):
            kind, places = ("touchMove" if k else "touchStart"), [{"x": float(x), "y": float(y)}]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    else:
        page.mouse.move(*at[0])
        page.mouse.down()
        for x, y in at[1:]:
            page.mouse.move(x, y, steps=4)
        page.mouse.up()
    settle(page)


DRAWN = {
    "1": [(0.5, 0.15), (0.5, 0.85)],
    "7": [(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)],
    "0": [(0.5 + 0.24 * np.sin(t), 0.5 - 0.34 * np.cos(t)) for t in np.linspace(0, 2 * np.pi, 13)],
}


@pytest.mark.parametrize("digit", DRAWN)
@pytest.mark.parametrize("touch", [False, True])
def test_a_drawn_digit_is_read(visit, page_file, digits, digit, touch):
    page = visit(page_file, has_touch=touch, width=390 if touch else 1440)
    page.click("#clear")
    settle(page)
    assert not pixels(page).any()
    draw(page, *DRAWN[digit], touch=touch)
    image = pixels(page)
    assert image.max() == 255 and predicted(page) == digit == str(digits[0].predict(image).argmax())
    assert page.evaluate("scrollY") == 0, "drawing does not scroll"
    ink = image[0, :, :, 0].astype(float)
    middle = [(ink * at).sum() / ink.sum() for at in np.mgrid[:28, :28]]
    np.testing.assert_allclose(middle, 14, atol=0.8)
    assert np.ptp(np.nonzero(ink.max(1))[0]) <= 20, "as MNIST's digits are"
    page.uncheck("#center")
    settle(page)
    assert not (pixels(page) == image).all()


def test_a_picture_is_opened_and_read_as_python_reads_it(visit, page_file, digits, tmp_path):
    page = visit(page_file)
    for k in (3, 8):
        source = bh.data.load("mnist")[1].images[k, ..., 0]
        Image.fromarray(255 - source).resize((196, 196)).convert("RGB").save(tmp_path / "digit.png")
        page.evaluate("byhand.showSample(0)")
        page.set_input_files("#drawing-pad-section input[type=file]", tmp_path / "digit.png")
        until(page, "byhand.sampleIndex === null")
        seen, wanted = pixels(page).astype(float), digit_files.from_file(tmp_path / "digit.png")[None].astype(float)
        assert np.abs(seen - wanted).mean() < 6 and predicted(page) == str(digits[0].predict(pixels(page)).argmax())
    (tmp_path / f"{HOSTILE.replace('/', '')}.png").write_bytes(b"no picture")
    page.set_input_files("#drawing-pad-section input[type=file]", tmp_path / f"{HOSTILE.replace('/', '')}.png")
    until(page, "document.getElementById('unreadable').textContent")
    assert "cannot open" in page.inner_text("#unreadable") and page.locator("#unreadable img").count() == 0


def test_a_pixels_sum_is_pythons(visit, page_file, digits):
    page, model = visit(page_file), digits[0]
    trace = model.trace(pixels(page))
    for layer, channel, row, column in (
        ("conv1", 2, 9, 14),
        ("conv2", 11, 3, 6),
        ("pool1", 4, 5, 5),
        ("relu2", 7, 2, 2),
    ):
        canvas = page.locator(f"#layer-{layer} .map").nth(channel).locator("canvas").first
        canvas.scroll_into_view_if_needed()
        box, (rows, columns) = canvas.bounding_box(), trace[layer].shape[1:3]
        page.mouse.move(
            box["x"] + (column + 0.5) / columns * box["width"], box["y"] + (row + 0.5) / rows * box["height"]
        )
        settle(page)
        wanted = float(trace[layer][0, row, column, channel])
        assert number(page.locator("#arithmetic .result").last.inner_text()) == pytest.approx(wanted, abs=6e-4)
        assert f"channel {channel}, row {row}, column {column}" in page.inner_text("#number-title")
        made = re.findall(r"= (−?[\d.]+(?:e−?\d+)?)$", page.inner_text("#source"), re.MULTILINE)
        assert number(made[-1]) == pytest.approx(wanted, abs=6e-4), "the last line writes it"
    assert "y[i] = 0 if" in page.inner_text("#source") and "if x[i] < 0 else x[i]" in page.inner_text("#source")


def test_a_convolutions_parts_are_shown_and_add_up(visit, page_file, digits):
    model = digits[0]
    page = visit(page_file, hash="#at=conv2.5.4.3&input=2")
    settle(page)
    trace, weight = model.trace(pixels(page)), model.parameters["conv2_weight"]
    patch = trace["pool1"][0, 4:9, 3:8]
    grids = page.locator("#arithmetic .grid")
    shown = [number(text) for text in grids.nth(0).locator("span").all_inner_texts()]
    np.testing.assert_allclose(shown, patch[..., 2].ravel(), atol=6e-3)
    kernel = [number(field.input_value()) for field in grids.nth(1).locator("input").all()]
    np.testing.assert_allclose(kernel, weight[..., 2, 5].ravel(), atol=6e-3)
    sums = [number(text) for text in grids.nth(3).locator("button").all_inner_texts()]
    np.testing.assert_allclose(sums, (patch * weight[..., 5]).sum((0, 1)), atol=6e-3)
    assert f"bias {model.parameters['conv2_bias'][5]:.3f}".replace("-", "−") in page.inner_text("#arithmetic")
    lines = page.inner_text("#source")
    assert (
        "byhand/ops/conv/conv2d.py" in lines and "total += x[n, p, q, group * depth + c] * weight[r, s, c, k]" in lines
    )
    sides = "['top', 'left', 'width', 'height'].map(name => parseFloat(document.getElementById('receptive-field').style[name]))"
    np.testing.assert_allclose(page.evaluate(sides), [600 / 28, 400 / 28, 50, 50], atol=0.01)  # it sees 14 x 14 pixels
    adds = page.locator("#filter .contribution")
    assert adds.count() == 6
    adds.nth(4).click()
    settle(page)
    assert page.evaluate("byhand.inputChannel") == 4


def test_backward_shows_every_gradient_and_one_weights_sum(visit, page_file, digits):
    model = digits[0]
    page = visit(page_file, hash="#at=conv1.3.12.12&truth=9")  # wrongly supposed: the gradient is large
    page.click("button[value=backward]")
    settle(page)
    image = pixels(page)
    wanted = trace_gradients(model, image, model.predict(image) - np.eye(10, dtype=np.float32)[[9]])
    trained = model.trace(image, np.array([9]))
    shown = number(page.locator("#arithmetic .result").first.inner_text())
    assert shown == pytest.approx(float(wanted["grad_conv1"][0, 12, 12, 3]), rel=0.06, abs=6e-5)
    assert "relu_backward_loops" in page.inner_text("#source")
    page.locator("#arithmetic .grid button").nth(7).click()  # row 1, column 2
    settle(page)
    grad = float(trained["grad_conv1_weight"][1, 2, 0, 3])
    assert "conv1_weight[1, 2, 0, 3]" in page.inner_text("#number-title")
    assert number(page.locator("#arithmetic .result").inner_text()) == pytest.approx(grad, rel=0.06, abs=6e-5)
    lines = page.inner_text("#source")
    assert (
        "grad_weight[r, s, c, k] += x[n, p, q, group * depth + c] * grad_y[n, i, j, k]" in lines
        and "more, sum" in lines
    )
    made = re.findall(r"grad_weight.* = (−?[\d.]+(?:e−?\d+)?)$|\+= .*= (−?[\d.]+(?:e−?\d+)?)$", lines, re.MULTILINE)
    assert made
    page.evaluate("byhand.select('fc2', 5, 0, 0)")
    settle(page)
    page.locator("#arithmetic table button").first.click()
    settle(page)
    assert "gradient of the loss with respect to fc2_weight[" in page.inner_text(
        "#number-title"
    ) and "linear_backward_loops" in page.inner_text("#source")


def test_the_answer_is_in_numbers(visit, page_file, digits):
    page = visit(page_file)
    logits = digits[0].logits_of(pixels(page))[0].astype(float)
    rows = [row.locator("td").all_inner_texts() for row in page.locator(".scores tbody tr").all()]
    np.testing.assert_allclose([number(row[0]) for row in rows], logits, atol=6e-3)
    np.testing.assert_allclose([number(row[1]) for row in rows], np.exp(logits - logits.max()), rtol=0.06, atol=6e-4)
    page.select_option("#prediction select", "4")
    settle(page)
    loss = float(bh.ops.softmax_cross_entropy(logits[None], np.array([4]), hand="arrays"))
    assert number(page.inner_text(".loss b")) == pytest.approx(loss, abs=6e-5)


def test_the_epoch_slider_goes_through_training(visit, page_file, digits):
    _, snapshots, _ = digits
    page = visit(page_file)
    test = bh.data.load("mnist")[1].take(300)
    for k in (0, 1):
        page.locator("#training input[type=range]").fill(str(k))
        settle(page)
        model = snapshots[k].model
        logits = page.evaluate("Array.from(byhand.network.logits.data)")
        np.testing.assert_allclose(logits, model.logits_of(pixels(page))[0], atol=0.03)  # float16
        accuracy = (model.logits_of(test.images).argmax(1) == test.labels).mean()
        assert f"{100 * accuracy:.1f}% correct" in page.inner_text("#training output")
        assert f"{100 * accuracy:.1f}%" in page.inner_text("#edits .evaluation")
    assert "snapshot=1" in page.url
    assert page.locator("#training svg").count() == 2


def test_edits_are_evaluated_at_once_on_all_test_images_and_undone(visit, page_file, digits):
    page, model = visit(page_file, hash="#at=conv1.1.10.10"), copy(digits[0])
    test = bh.data.load("mnist")[1].take(300)

    def evaluation():
        until(page, "byhand.evaluation.complete && byhand.evaluation.count === 300")
        settle(page)
        return page.inner_text("#edits .evaluation b"), page.evaluate("Array.from(byhand.network.logits.data)")

    def wanted():
        right = (model.logits_of(test.images).argmax(1) == test.labels).mean()
        return f"{100 * right:.1f}%", model.logits_of(pixels(page))[0]

    def agree():
        (shown, logits), (right, ours) = evaluation(), wanted()
        assert shown == right
        np.testing.assert_allclose(logits, ours, atol=1e-3)

    agree()
    first = page.locator("#arithmetic .grid input").first
    first.fill("-2.5")
    page.evaluate("byhand.evaluation.complete = false")  # before the edit: its evaluation may end before the next line
    first.press("Enter")
    until(page, "byhand.edits.modified")
    model.parameters["conv1_weight"][0, 0, 0, 1] = -2.5
    agree()
    assert "conv1_weight[0, 0, 0, 1]" in page.inner_text("#edits .edit-history")
    page.evaluate("byhand.evaluation.complete = false")
    page.locator("#edits button").first.click()
    model.parameters["conv1_weight"][..., 1] = 0
    model.parameters["conv1_bias"][1] = 0
    agree()
    page.locator("#layer-conv1").scroll_into_view_if_needed()  # a layer out of view is drawn when it comes into view
    until(page, "document.querySelectorAll('#layer-conv1 .map.ablated').length === 1")
    page.click("#edits button:has-text('undo')")
    page.keyboard.press("Control+z")
    settle(page)
    model.p.flat[...] = digits[0].p.flat
    agree()
    assert not page.evaluate("byhand.edits.modified")


def test_grad_cam_is_pythons(visit, page_file, digits):
    page = visit(page_file)
    settle(page)
    found = explain(digits[0], pixels(page)[0], int(page.evaluate("byhand.lossClass")))
    cam = np.array(page.evaluate("Array.from(byhand.camOverlay)")).reshape(28, 28)
    np.testing.assert_allclose(cam, found.cam, atol=1e-4 * found.cam.max())
    assert found.layer in page.inner_text("#cam-about")


def test_the_confusion_matrix_opens_its_images(visit, page_file, digits):
    page, test = visit(page_file), bh.data.load("mnist")[1].take(300)
    guesses = digits[0].logits_of(test.images).argmax(1)
    table = page.locator(".confusion-matrix tbody tr")
    for truth in range(10):
        cells = table.nth(truth).locator("td").all_inner_texts()
        assert [int(text or 0) for text in cells] == np.bincount(guesses[test.labels == truth], minlength=10).tolist()
    k = int(np.flatnonzero(guesses != test.labels)[0])
    page.locator(f".confusion-matrix [aria-label^='{test.labels[k]} predicted as {guesses[k]}:']").click()
    page.locator(".gallery [data-sample]").first.click()
    settle(page)
    assert page.evaluate("byhand.sampleIndex") == k and predicted(page) == str(guesses[k])
    assert page.locator("[data-sample][aria-pressed=true]").count() >= 1


def test_a_convolution_is_played_step_by_step_and_refuses_what_cannot_be(visit, page_file):
    page = visit(page_file)
    steps = page.locator("#convolution-steps")
    assert "= 26" in steps.locator(".formula").inner_text()
    steps.locator("button:has-text('max pooling')").click()
    assert "= 13" in steps.locator(".formula").inner_text()
    for name, value in (("size", 9), ("kernel", 3), ("stride", 2), ("padding", 1), ("dilation", 2)):
        steps.locator(f"input[aria-label={name}]").fill(str(value))
    assert f"= {bh.shapes.window((9, 9), 3, 2, 1, 2).output[0]}" in steps.locator(".formula").inner_text()
    steps.locator("input[aria-label=padding]").fill("0")
    steps.locator("input[aria-label=size]").fill("4")
    assert "impossible: the kernel spans 5 pixels" in steps.locator(".formula").inner_text()
    assert steps.locator("input[aria-label=size]").input_value() == "9"
    before = page.evaluate("byhand.convolutionSteps.position")
    steps.locator("button:has-text('next')").click()
    assert page.evaluate("byhand.convolutionSteps.position") == before + 1
    steps.locator("button:has-text('play')").click()
    until(page, f"byhand.convolutionSteps.position > {before + 2}")
    steps.locator("button:has-text('pause')").click()


def test_a_link_shows_the_same(visit, page_file):
    page = visit(page_file)
    page.click("#clear")
    draw(page, *DRAWN["7"])
    page.click("button[value=zh]")
    page.click("button[value=dark]")
    page.click("button[value=map]")
    page.evaluate("byhand.select('conv2', 3, 4, 5); byhand.pin(); byhand.edits.toggle('conv1', 2)")
    settle(page)
    other = visit(page_file, hash="#" + page.url.split("#")[1])
    settle(other)
    parts = (
        "byhand.settings, byhand.selection, Array.from(byhand.pixels), byhand.edits.history, "
        "Array.from(byhand.network.logits.data)"
    )
    state = f"JSON.stringify([{parts}])"
    assert other.evaluate(state) == page.evaluate(state)
    assert other.inner_text("#number-title") == page.inner_text("#number-title")
    wrong = "#image=99999&at=nothing.1.2.3&snapshot=-1&edits=x.1+conv1.99&drawn=zz&truth=77&weight=a.b&mode=sideways"
    broken = visit(page_file, hash=wrong)
    assert broken.evaluate("byhand.selection.layer") == "conv1" and broken.evaluate("byhand.sampleIndex") == 0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_both_languages_say_everything(visit, page_file, language):
    page = visit(page_file, locale={"en": "en-GB", "zh": "zh-CN"}[language])
    for mode in ("forward", "backward"):
        page.click(f"button[value={mode}]")
        settle(page)
        text = page.inner_text("body")
        assert "undefined" not in text and "null" not in text and "NaN" not in text
    chinese = len(re.findall(r"[\u4e00-\u9fff]", text))
    assert chinese > 300 if language == "zh" else chinese == 2  # 中文
    assert page.get_attribute("html", "lang") == {"en": "en", "zh": "zh-CN"}[language]


def test_the_keyboard_reaches_every_number(visit, page_file):
    page = visit(page_file)
    page.locator("#layer-conv2 .map").nth(2).focus()
    page.keyboard.press("Enter")
    settle(page)
    before = page.evaluate("byhand.selection")
    assert before["layer"] == "conv2" and before["channel"] == 2
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    settle(page)
    after = page.evaluate("byhand.selection")
    assert (after["row"], after["column"]) == (min(before["row"], 9) - 1, min(before["column"], 9) - 1)
    assert "pinned" in page.inner_text("#number-about")
    page.keyboard.press("Escape")
    assert "pinned" not in page.inner_text("#number-about")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("mode", "width"), [("forward", 1440), ("backward", 390)])
def test_axe_finds_no_violation(visit, page_file, scheme, mode, width):
    page = visit(page_file, color_scheme=scheme, width=width, hash=f"#mode={mode}&at=conv2.3.4.4")
    settle(page)
    page.locator(".confusion-matrix button").first.click()
    page.evaluate("document.querySelector('details').open = true")
    page.evaluate(axe())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    nodes = [(violation["id"], node) for violation in found["violations"] for node in violation["nodes"]]
    told = [f"{name}: {node['html'][:120]} {node['failureSummary']}" for name, node in nodes]
    assert not told, "\n".join(told[:12])
    assert found["passes"]


def test_names_that_hold_html_are_text(visit, tmp_path):
    train, _ = bh.data.load("mnist")
    model = bh.models.create("article", classes=[HOSTILE, *(f"{HOSTILE} {k}" for k in range(9))])
    test = train.take(20)
    path = tmp_path / "hostile.html"
    path.write_bytes(
        document(Look(model, f"{HOSTILE} & <b>co</b>", tests=test.images, labels=test.labels, classifier=True))
    )
    page = visit(path)
    settle(page)
    assert page.inner_text("h1") == f"{HOSTILE} & <b>co</b>" == page.title()
    assert HOSTILE in page.inner_text("#prediction") and page.locator("img[src=x]").count() == 0
    policy = page.get_attribute("meta[http-equiv]", "content")
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    inline = "Object.assign(document.createElement('script'), { textContent: 'globalThis.ran = 1' })"
    page.evaluate(f"document.body.append({inline})")
    assert page.evaluate("globalThis.ran") is None, "what is not the page's own does not run"
    assert all("Content Security Policy" in complaint for complaint in page.complaints)
    page.complaints.clear()


def test_a_classifier_answers_a_dropped_photo(visit, digits, tmp_path):
    path = tmp_path / "classifier.html"
    path.write_bytes(document(Look(digits[0], "digits", classifier=True)))
    page = visit(path)
    Image.fromarray(255 - bh.data.load("mnist")[1].images[0, ..., 0]).resize((280, 280)).save(tmp_path / "seven.png")
    page.set_input_files(".classifier input[type=file]", tmp_path / "seven.png")
    page.wait_for_selector("#photo-prediction .predicted")
    assert page.inner_text("#photo-prediction .predicted span") == "7" and page.is_visible("#photo")
    box = page.locator(".classifier").bounding_box()
    assert box["y"] < 200, "it comes first"


def test_a_layer_of_many_channels_or_numbers_shows_some_and_then_all(visit, tmp_path):
    images = nn.Input(8, 8, 1)
    maps = nn.ReLU()(nn.Conv2d(20, 3)(images))
    model = nn.Model(images, nn.Linear(4)(nn.Linear(400)(nn.Flatten()(maps))))
    path = tmp_path / "wide.html"
    path.write_bytes(document(Look(model)))
    page = visit(path)
    for layer, initial_count, full_count in (("conv1", 16, 20), ("fc1", 10, 14)):
        shown = page.locator(f"#layer-{layer} .map")
        assert shown.count() == initial_count
        page.click(f"#layer-{layer} .show-all")
        assert shown.count() == full_count
        page.click(f"#layer-{layer} .show-all")
        assert shown.count() == initial_count


def test_the_maps_are_saved_as_a_png(visit, page_file, tmp_path):
    page = visit(page_file)
    with page.expect_download() as waiting:
        page.click("#save")
    waiting.value.save_as(tmp_path / "maps.png")
    picture = Image.open(tmp_path / "maps.png")
    assert (
        waiting.value.suggested_filename == "lenet5-on-mnist.png"
        and picture.width > 3000
        and len(picture.getcolors(1 << 24)) > 100
    )


def test_a_live_page_loads_itself_again_when_it_is_looked_at(visit, digits, tmp_path):
    path = tmp_path / "look.html"
    path.write_bytes(document(Look(digits[0], "before", live=True)))
    page = visit(path, hash="#lang=en&at=conv2.1.2.3")
    assert page.is_visible("#reload") and "training" in page.inner_text("#notes")
    path.write_bytes(document(Look(digits[0], "after", live=True)))
    with page.expect_navigation():
        page.evaluate("dispatchEvent(new Event('focus'))")
    page.wait_for_selector("html[data-ready]")
    assert page.inner_text("h1") == "after" and page.evaluate("byhand.selection.layer") == "conv2"


def test_a_recorded_network_shows_what_python_saw(visit, tmp_path, monkeypatch):
    monkeypatch.setattr("byhand.page.html.PAGE_MAX_MACS", 1000)
    model = bh.models.create("tiny", classes=["a", "b", "c"])
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    path = tmp_path / "recorded.html"
    path.write_bytes(document(Look(model, "recorded", images)))
    page = visit(path)
    settle(page)
    assert "recorded by Python" in page.inner_text("#notes") and not page.is_visible("#convolution-steps")
    for k in (0, 1):
        page.locator("#samples button").nth(k).click()
        settle(page)
        probabilities = model.predict(images[k : k + 1])
        truth = np.eye(3, dtype=np.float32)[probabilities.argmax(1)]
        wanted = trace_gradients(model, images[k : k + 1], probabilities - truth)
        for mode, prefix in (("forward", ""), ("backward", "grad_")):
            page.click(f"button[value={mode}]")
            settle(page)
            name = page.evaluate("byhand.selection.layer")
            shown = page.evaluate(
                "(({ data, kept }) => ({ numbers: Array.from(data), kept }))(byhand.displayedTensor(byhand.selection.layer))"
            )
            expected = wanted[prefix + name][0][..., shown["kept"]]
            np.testing.assert_allclose(
                np.reshape(shown["numbers"], expected.shape), expected, atol=1e-3 * np.abs(expected).max()
            )
        page.click("button[value=forward]")
        np.testing.assert_allclose(
            page.evaluate("Array.from(byhand.network.logits.data)"), wanted[model.logits.name][0], rtol=1e-6
        )


def test_labels_have_a_probability_each(browser, tmp_path):
    x = nn.Input(9, 9, 1)
    features = nn.GlobalAvgPool2d()(nn.ReLU()(nn.Conv2d(4, 3)(x)))
    model = nn.Model(x, nn.Sigmoid()(nn.Linear(3)(features)), classes=["sky", "sea", "sun"])
    model.p.fc1_bias = [3.0, -3.0, 0.5]
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 1), np.uint8)
    (tmp_path / "labels.html").write_bytes(document(Look(model, images=image[None])))
    page = browser.new_page()
    page.goto((tmp_path / "labels.html").as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    probabilities = model.predict(image[None])[0]
    shown = [number(text.rstrip("%")) / 100 for text in page.locator("#prediction .bar").all_inner_texts()]
    np.testing.assert_allclose(shown, probabilities, atol=6e-4)
    assert page.inner_text("#prediction .predicted-class").startswith("sky ") and "sun" in predicted(page)
    assert "each label by itself" in page.inner_text("#prediction .formula")
    page.close()
