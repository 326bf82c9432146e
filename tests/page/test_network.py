"""The page's networks against Python: values and gradients, layer by layer."""

import base64
import json

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.nn.gradients import trace_gradients
from byhand.page.html import bundle
from byhand.page.network import ops_of, spec_of
from byhand.page.snapshot import encode_base64, numbers_of
from byhand.page.translate import hands
from byhand.report.explain.attribution import grad_cam, gradients

RUN = """({ spec, parameters, image, label, layer }) => {
  const { Network, decodeFloat32, gradCam } = globalThis.made;
  const network = new Network(spec, globalThis.made.hands, decodeFloat32(parameters));
  const text = array => {
    let raw = '';
    for (const byte of new Uint8Array(new Float32Array(array).buffer)) raw += String.fromCharCode(byte);
    return btoa(raw);
  };
  network.forward(decodeFloat32(image));
  const loss = network.backward(label), out = { loss, values: {}, grads: {} };
  for (const name in spec.values) out.values[name] = text(network.tensors[name].data);
  for (const name in network.grads) out.grads[name] = text(network.grads[name].data);
  if (layer) out.cam = text(gradCam(network.tensors[layer], network.logitGradient(label, layer)[layer]));
  return out;
}"""


def odd():
    """Return a network with something of everything: groups, dilation, strides, branches, two kinds of pooling, norms."""
    images = nn.Input(13, 11, 3)
    x = nn.Conv2d(8, (3, 2), stride=(2, 1), padding=(1, 0, 2, 1))(images)
    x = nn.BatchNorm()(x)
    x = nn.LeakyReLU(0.1)(x)
    a = nn.Conv2d(8, 3, padding=2, dilation=2, groups=4)(x)
    b = nn.AvgPool2d(3, stride=1, padding=1)(x)
    x = nn.Concat()(nn.ReLU6()(a + x), b)
    x = nn.Dropout(0.5)(nn.MaxPool2d(2, stride=2, padding="same")(x))
    return nn.Model(images, nn.Linear(5)(nn.Flatten()(nn.GELU()(x))), seed=3)


def labels():
    """Return a network of three sigmoids."""
    x = nn.Input(9, 9, 1)
    features = nn.GlobalAvgPool2d()(nn.ReLU()(nn.Conv2d(4, 3)(x)))
    return nn.Model(x, nn.Sigmoid()(nn.Linear(3)(features)), classes=["sky", "sea", "sun"])


MODELS = {
    "article": lambda: bh.models.create("article"),
    "lenet5": lambda: bh.models.create("lenet5"),
    "tiny": lambda: bh.models.create("tiny", classes=4),
    "resnet20_cifar": lambda: bh.models.create("resnet20_cifar"),
    "mirrored": lambda: bh.models.create("tiny", classes=3, input_shape=(16, 16, 3)).with_flip_tta(),
    "odd": odd,
    "labels": labels,
}


def read(text, shape):
    return np.frombuffer(base64.b64decode(text), np.float32).reshape(shape)


def close(got, wanted, name):
    scale = max(np.abs(wanted).max(), 1e-6)
    assert np.abs(got - wanted).max() <= 1e-5 * scale, name


@pytest.mark.parametrize("name", MODELS)
def test_every_number_is_what_python_computes(browser, name):
    model = MODELS[name]()
    rng = np.random.default_rng(0)
    for key, value in vars(model.state).items():  # statistics as after a training
        if value.dtype.kind == "f":
            value[...] = rng.uniform(0.5, 1.5, value.shape) if "var" in key else rng.normal(0, 0.3, value.shape)
    image = rng.random((1, *model.input_shape), np.float32) - np.float32(0.5)
    where, numbers = numbers_of(model)
    script, found, refused = hands(sorted(ops_of(model)))
    assert not refused
    label = int(model.predict(image)[0].argmin())  # where p - 1 loses no digits
    truth = np.eye(len(model.classes), dtype=np.float32)[[label]]
    layer = bh.nn.receptive_field.last_feature_map(model)
    page = browser.new_page()
    modules = "{ ...$hands, ...$network, ...$decode, ...$grad_cam }"
    page.evaluate(f"{bundle(script)}".split("const $app =")[0] + f"; globalThis.made = {modules};")
    sent = {
        "spec": spec_of(model, found) | {"parameters": where},
        "parameters": encode_base64(numbers, np.float32),
        "image": encode_base64(image, np.float32),
        "label": label,
        "layer": layer,
    }
    got = page.evaluate(RUN, json.loads(json.dumps(sent)))
    page.close()
    is_labels = model.task == "labels"
    wanted = trace_gradients(model, image, (model.predict(image) - truth) / (truth.size if is_labels else 1))
    logits = wanted[model.logits.name].astype(np.float64)
    if is_labels:
        loss = bh.ops.sigmoid_cross_entropy(logits, truth.astype(np.float64), hand="arrays")
    else:
        loss = bh.ops.softmax_cross_entropy(logits, np.array([label]), hand="arrays")
    assert got["loss"] == pytest.approx(loss, rel=1e-5)
    compared = [name for name in got["values"] if name in wanted and wanted[name].dtype.kind == "f"]
    assert len(compared) >= len([node for node in model.graph.up_to(model.logits).nodes if node.op.name != "dropout"])
    for key in compared:
        close(read(got["values"][key], wanted[key].shape), wanted[key], key)
    sent_back = [name for name in got["grads"] if f"grad_{name}" in wanted]
    assert {model.graph.input.name, model.logits.name} <= set(sent_back)
    for key in sent_back:
        close(read(got["grads"][key], wanted[f"grad_{key}"].shape), wanted[f"grad_{key}"], f"grad_{key}")
    differs = any(node.op.name in ("batch_norm", "dropout") for node in model.graph.nodes)  # while training
    if not differs and not is_labels:
        trained = model.trace(image, np.array([label]))
        for key in model.parameters:
            close(read(got["grads"][key], trained[f"grad_{key}"].shape), trained[f"grad_{key}"], f"grad_{key}")
    else:
        assert set(model.parameters) <= set(got["grads"])
    by_score = gradients(model, image, label)
    cam = grad_cam(by_score[layer][0], by_score[f"grad_{layer}"][0])
    close(read(got["cam"], cam.shape), cam, "Grad-CAM")
