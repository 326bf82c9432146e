"""A network as one HTML page: its data, its translated ops and the web modules, inlined under a content security policy."""

import base64
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image

from byhand.errors import ArgumentError, NotFiniteError
from byhand.kernels import cdiv
from byhand.nn import Model
from byhand.nn.network_input import check_takes_pixels
from byhand.nn.receptive_field import last_feature_map
from byhand.nn.with_activation import as_two_classes
from byhand.ops.op import Array
from byhand.page.network import facts_of, field_centers_of, ops_of, rows_of, spec_of
from byhand.page.record import record_channels
from byhand.page.snapshot import Snapshot, describe_snapshot, encode_base64, numbers_of
from byhand.page.translate import Script, hands
from byhand.text import class_labels

MAX_TEST_IMAGES = 1000  # on which edits of the network are evaluated
MAX_IMAGE_BYTES = 4_000_000  # of all images in the page, before PNG compression
MAX_FLOAT32_PARAMETERS = 1_000_000  # larger networks are stored as float16
# Multiply-adds and parameters up to which a network runs in the page; larger for a page that opens with the classifier.
PAGE_MAX_MACS = 100_000_000
PAGE_MAX_PARAMETERS = 3_000_000
CLASSIFIER_MAX_MACS = 600_000_000
CLASSIFIER_MAX_PARAMETERS = 8_000_000
RECORDED_IMAGES = 4  # test images of a network that the page does not compute, without images from the user
NAME_MAX_LETTERS = 80  # of a class
FINITE_CHECK_IMAGES = 4  # whose answers must be finite
GENERATOR = "byhand look"  # by which its own files are known again


@dataclass(frozen=True)
class Look:
    """The contents of a page.

    images: (N, H, W, C) uint8, the reader's own; tests, labels: images that the network was not trained on, and their classes,
    as many of the first 1,000 as a page holds; snapshots: snapshots of the training; history, curve: as `Trainer.fit` leaves
    them. classifier: the page opens with the classifier, and larger networks run in the browser; live: training goes on;
    untrained: the weights are random.

    >>> import byhand as bh
    >>> look = Look(bh.models.create("article"), title="The article's network", untrained=True)
    >>> document(look).startswith(b"<!doctype html>")
    True
    """

    model: Model
    title: str = ""
    images: Array | None = None
    tests: Array | None = None
    labels: Array | None = None
    snapshots: Sequence[Snapshot] = ()
    history: Sequence[Mapping[str, Any]] = ()
    curve: Sequence[Sequence[float]] = ()
    classifier: bool = False
    live: bool = False
    untrained: bool = False


def document(look: Look) -> bytes:
    """Return the page.

    A network of one sigmoid is shown as one of two classes, one of several sigmoids with a probability of each label. Raises
    ArgumentError for a network that has no classes or takes no images, and for a classifier that is too large for a page to
    compute; NotFiniteError where it answers NaN.

    >>> import byhand as bh
    >>> page = document(Look(bh.models.create("article"), tests=bh.data.load("mnist")[1].images[:10]))
    >>> page[:15], b"<script src" in page, len(page) < 500_000
    (b'<!doctype html>', False, True)
    """
    look = replace(look, model=as_two_classes(look.model))
    model = look.model
    if not model.classes:
        raise ArgumentError(f"{model.name} has no classes: a page shows classifiers only; use `byhand trace`")
    if model.answer.activation in ("other", "hard_sigmoid"):
        raise ArgumentError(
            f"{model.name} gives probabilities that come from no logits, but a page shows logits; use byhand predict or explain"
        )
    if model.task == "labels":  # a test image of a page has one class
        look = replace(look, labels=None)
    if len(model.input_shape) != 3 or model.input_shape[2] not in (1, 3):
        raise ArgumentError(f"{model.name} takes {model.input_shape}; a page shows networks of images, gray or color")
    check_takes_pixels(model)
    script, found, refused = hands(sorted(ops_of(model)))
    rows = rows_of(model)
    facts = facts_of(model, rows)
    max_macs = CLASSIFIER_MAX_MACS if look.classifier else PAGE_MAX_MACS
    max_parameters = CLASSIFIER_MAX_PARAMETERS if look.classifier else PAGE_MAX_PARAMETERS
    where, numbers = numbers_of(model)
    computes = not refused and facts["macs"] <= max_macs and numbers.size <= max_parameters
    if look.classifier and not computes:
        why = next(iter(refused.values()), f"it has {facts['macs']:,} multiply-adds and {numbers.size:,} numbers")
        raise ArgumentError(f"{model.name} can't run in a page: {why}; --onnx writes it for other programs")
    if not np.isfinite(model.predict(_images(look)[:FINITE_CHECK_IMAGES])).all():
        raise NotFiniteError(f"{model.name} gives NaN or infinity; `byhand trace` shows where it first occurs")
    samples, tests, labels = _samples(look, computes)
    cam = last_feature_map(model)
    data: dict[str, Any] = {
        "title": look.title or model.name,
        "facts": facts,
        "layerFacts": rows,
        "fieldCenters": field_centers_of(model),
        "classes": _class_names(model),
        "task": model.task,
        "normalization": {"mean": model.mean, "std": model.std},
        "crop": model.crop_pct,
        "inverted": model.preprocessing.reader == "digit",
        "samples": samples,
        "camLayer": cam,
        "snapshots": [],
        "end": None,
        "history": [dict(row) for row in look.history],
        "curve": [list(p) for p in look.curve],
        "live": look.live,
        "untrained": look.untrained,
        "sources": script.sources,
        "half": False,
    }
    if computes:
        half = numbers.size > MAX_FLOAT32_PARAMETERS
        data |= {"spec": {**spec_of(model, found), "parameters": where}, "half": half}
        data["parameters"] = encode_base64(numbers, np.float16 if half else np.float32)
        same = [snapshot for snapshot in look.snapshots if numbers_of(snapshot.model)[0] == where]
        data["snapshots"] = [describe_snapshot(snapshot, tests, labels) for snapshot in same]
        epochs = look.history[-1]["epoch"] if look.history else 0
        data["end"] = describe_snapshot(Snapshot(0, epochs, model), tests, labels, numbers=False)
    else:
        script = Script()
        data["spec"], data["recorded"] = record_channels(model, _images(look)[: samples["count"]], cam)
        data["sources"] = {}
    return _assemble(data, script, look.classifier)


def _images(look: Look) -> Array:
    """Return the images that a page shows: the reader's own first."""
    parts = [images for images in (look.images, look.tests) if images is not None and len(images)]
    return np.concatenate(parts or [pattern(look.model.input_shape)[None]])


def pattern(shape: tuple[int, ...]) -> Array:
    """Return an image of rings (H, W, C) uint8, for a page without images.

    >>> pattern((5, 5, 1)).ravel()[:6]
    array([ 19, 233, 137, 233,  19, 233], dtype=uint8)
    """
    height, width, channels = shape
    y, x = np.mgrid[:height, :width]
    square = ((y - (height - 1) / 2) ** 2 + (x - (width - 1) / 2) ** 2)[..., None]
    return (127.5 + 110 * np.cos(square * 12 / (height + width) + 2 * np.arange(channels))).astype(np.uint8)  # type: ignore[no-any-return]


def _samples(look: Look, computes: bool) -> tuple[dict[str, Any], Array, Array]:
    """Return the images as the page gets them, and those among them that it is judged by, with their labels."""
    images, own = _images(look), 0 if look.images is None else len(look.images)
    labeled = look.tests is not None and look.labels is not None and computes
    if computes:
        count = min(len(images), own + MAX_TEST_IMAGES, max(own + 1, MAX_IMAGE_BYTES // images[0].size))
    else:
        count = own or min(len(images), RECORDED_IMAGES)
    shown = images[:count]
    labels: list[int | None] = [None] * count
    if look.labels is not None:
        labels[own:] = [int(label) for label in look.labels[: count - own]]
    columns = max(1, min(count, 8192 // images.shape[2], 40))
    samples = {
        "png": _png(shown, columns),
        "count": count,
        "shape": list(images.shape[1:]),
        "labels": labels,
        "firstTest": own,
        "tested": labeled and count > own,
    }
    tests = shown[own:] if samples["tested"] else shown[:0]
    return samples, tests, np.asarray(labels[own : own + len(tests)])


def _png(images: Array, columns: int) -> str:
    """Return images tiled into one PNG, `columns` of them side by side, in base64."""
    count, height, width, channels = images.shape
    rows = cdiv(count, columns)
    sheet = np.zeros((rows * columns, height, width, channels), np.uint8)
    sheet[:count] = images
    whole = (
        sheet.reshape(rows, columns, height, width, channels)
        .swapaxes(1, 2)
        .reshape(rows * height, columns * width, channels)
    )
    buffer = io.BytesIO()
    Image.fromarray(whole[..., 0] if channels == 1 else whole).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


# one file -------------------------------------------------------------------------------------------------------------


def _class_names(model: Model) -> list[str]:
    """Return the class names; one that is empty or that another class has too carries the class's index."""
    count = Counter(model.classes)
    labels = class_labels(model.classes, NAME_MAX_LETTERS)
    return [name if name and count[name] == 1 else label for name, label in zip(model.classes, labels)]


def _assemble(data: Mapping[str, Any], script: Script, classifier: bool) -> bytes:
    style = _read("style.css")
    code = f"\n{bundle(script)}\n"
    parts = {
        "policy": _policy(code, style),
        "title": escape(str(data["title"])),
        "style": style,
        "script": code,
        "data": _json(data),
        "version": version("byhand"),
        "generator": GENERATOR,
        "classifier": _read("classifier.html") if classifier else "",
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _read("page.html")).encode()


def _policy(code: str, style: str) -> str:
    """Return what the page may do: run its own script, use its own style, show images that it holds."""
    script, look = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (code, style))
    rules = {
        "default-src": "'none'",
        "script-src": f"'sha256-{script}'",
        "style-src": f"'sha256-{look}'",
        "img-src": "data: blob:",
        "worker-src": "blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _json(data: Mapping[str, Any]) -> str:
    """Return data as JSON in which nothing ends a script or begins a comment."""

    def plain(value: Any) -> Any:
        return value.tolist() if hasattr(value, "tolist") else str(value)

    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=plain)
    return re.sub(r"[<\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


@cache
def _read(name: str) -> str:
    return files("byhand.page").joinpath("web", name).read_text(encoding="utf-8")


IMPORT = re.compile(r"^import (\{.*?\}) from '\./([\w.-]+)';$", re.MULTILINE | re.DOTALL)
EXPORT = re.compile(r"^export (?=(?:async )?(?:const|class|function\*?) (\w+))", re.MULTILINE)


def bundle(script: Script, last: str = "app.js") -> str:
    """Return a module and all that it imports as one script: each in a scope of its own, after those that it imports.

    `hands.js` is the translated loops.
    """
    order = dict[str, str]()

    def add(name: str) -> None:
        if name in order:
            return
        text = _hands(script) if name == "hands.js" else _read(name)
        for _, other in IMPORT.findall(text):
            add(other)
        order[name] = _scope(name, text)

    add(last)
    return "\n".join(order.values())


def _hands(script: Script) -> str:
    runtime = ", ".join(EXPORT.findall(_read("runtime.js")))
    names = ", ".join(name for hand in script.functions for name in (hand, f"{hand}$traced"))
    return f"import {{ {runtime} }} from './runtime.js';\n{script}\nexport const hands = {{ {names} }};\n"


def _scope(name: str, text: str) -> str:
    """Return a module as a function that is called once, with what it exports as its result."""
    exported = ", ".join(EXPORT.findall(text))
    text = EXPORT.sub("", IMPORT.sub(lambda found: f"const {found[1]} = {_variable(found[2])};", text))
    return f"const {_variable(name)} = (() => {{\n{text}return {{ {exported} }};\n}})();\n"


def _variable(module: str) -> str:
    """Return the JavaScript variable that holds a module's exports: drawing-pad.js becomes $drawing_pad."""
    return "$" + module.removesuffix(".js").replace("-", "_")
