"""A C program as the tests run it: compiled strictly, fed images, what it writes read back; and networks of many ops."""

import shutil
import subprocess
from math import prod
from pathlib import Path

import numpy as np
import pytest

from byhand import nn, ops
from byhand.export.files import Examples, texts

CC = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
needs_cc = pytest.mark.skipif(CC is None, reason="there is no C compiler: cc, gcc or clang")
STRICT = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow"]
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
FEED = """
#include <stdio.h>
#include "{prefix}.h"
int main(void)
{{
    static unsigned char image[{pixels}];
    static float result[{outputs}];
    while (fread(image, 1, {pixels}, stdin) == {pixels}) {{
        {prefix}_run(image, result);
        fwrite(result, sizeof(float), {outputs}, stdout);
    }}
    return 0;
}}
"""


def compile_c(folder, *names, flags=(), out="program"):
    """Compile files of a folder into a program there; fails with what the compiler says."""
    command = [CC, *STRICT, *flags, *names, "-lm", "-o", out]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    assert not done.stderr
    return Path(folder) / out


def run_c(source, images, folder, flags=SANITIZED):
    """Return what a program makes of images (N, H, W, C): (N, outputs); under sanitizers, unless other flags are given."""
    network = source.network
    files = texts(source, Examples(images[:1], np.zeros((1, network.output.size))))
    for name in (f"{source.prefix}.h", f"{source.prefix}.c"):
        (folder / name).write_bytes(files[name])
    outputs = network.output.size
    (folder / "feed.c").write_text(FEED.format(prefix=source.prefix, pixels=prod(network.input.shape), outputs=outputs))
    program = compile_c(folder, f"{source.prefix}.c", "feed.c", flags=flags)
    done = subprocess.run([program], input=np.ascontiguousarray(images).tobytes(), capture_output=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()[:3000]
    return np.frombuffer(done.stdout, np.float32).reshape(len(images), outputs)


def pixels(shape, count, seed=0):
    """Return random images, one of them black and one white."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    images[0], images[-1] = 0, 255
    return images


# networks without classes, which give what each of many ops makes, side by side --------------------------------------


def constant(x, *shape):
    """Return a parameter of a graph, such as arithmetic has beside a tensor."""
    graph = x.graph
    return graph.add_tensor(graph.free_name("constant"), shape, "parameter", None, lambda rng, s: rng.normal(size=s))


def together(images, *parts):
    """Return the model that gives all parts in one row, its norms and biases drawn at random."""
    joined = ops.concat(tuple(ops.flatten(part) for part in parts)) if len(parts) > 1 else parts[0]
    model = nn.Model(images, joined, classes=(), mean=0.4, std=0.3)
    rng = np.random.default_rng(5)
    for name, values in model.parameters.items():
        if name.endswith(("bias", "beta")):
            values[...] = rng.normal(size=values.shape)
        if name.endswith("gamma"):
            values[...] = rng.normal(1, 0.5, values.shape)
    for name, values in vars(model.state).items():
        if name.endswith("mean"):
            values[...] = rng.normal(size=values.shape)
        if name.endswith("var"):
            values[...] = rng.uniform(0.3, 2, values.shape)
    return model


def convolutions():
    x = nn.Input(9, 7, 4)
    settings = (
        (6, 3, {}),
        (6, (3, 2), {"stride": (2, 1), "padding": (1, 2, 0, 3)}),
        (4, 3, {"dilation": (2, 1), "padding": "same"}),
        (6, 3, {"groups": 2, "padding": 1, "stride": 2}),
        (8, 3, {"groups": 4, "padding": "same"}),  # depthwise, two filters a channel
        (5, 1, {"bias": False}),
        (3, (9, 7), {}),
        (2, 2, {"padding": 3, "stride": 3}),  # windows that see nothing of the image
    )
    parts = [nn.Conv2d(count, kernel, **more)(x) for count, kernel, more in settings]
    parts.append(nn.ReLU()(nn.BatchNorm()(nn.Conv2d(5, 3)(x))))
    parts.append(nn.ReLU6()(nn.BatchNorm()(nn.Conv2d(4, 3, groups=4)(x))))
    return together(x, *parts)


def dense():
    x = nn.Input(3, 2, 4)
    y = ops.linear(x, constant(x, 4, 7), ops.neg(constant(x, 7)))  # of each pixel
    z = nn.Linear(9)(nn.ReLU()(nn.BatchNorm()(nn.Linear(11)(nn.Flatten()(y)))))
    return together(x, y, z, nn.ReLU()(y), nn.BatchNorm()(nn.Flatten()(y)), nn.Dropout(0.5)(z), nn.Scale(0.5)(z))


def pools():
    x = nn.Input(9, 8, 3)
    y = nn.Conv2d(4, 3, padding="same")(x)
    parts = [
        nn.MaxPool2d(2)(y),
        nn.MaxPool2d(3, stride=2, padding=1)(y),
        nn.MaxPool2d((2, 3), stride=2, ceil_mode=True)(y),
    ]
    parts += [ops.max_pool(y, kernel=3, stride=1, padding=(0, 2, 1, 0), dilation=2), nn.AvgPool2d(2)(y)]
    parts += [
        ops.avg_pool(y, kernel=3, stride=2, padding=(1, 1, 0, 2), ceil_mode=True, count_include_pad=include)
        for include in (True, False)
    ]
    parts += [ops.avg_pool(y, kernel=(4, 3), stride=(3, 2), ceil_mode=True), ops.avg_pool(y, kernel=(9, 8))]
    parts += [nn.GlobalAvgPool2d()(y), ops.global_avg_pool(y, keepdims=True)]
    return together(x, *parts)


def curves():
    x = nn.Input(6, 5, 3)
    y = nn.Conv2d(6, 3)(x)
    part = ops.sigmoid(y)  # between 0 and 1
    made = [
        op(y) for op in (ops.tanh, ops.silu, ops.gelu, ops.hard_swish, ops.softplus, ops.softsign, ops.neg, ops.abs)
    ]
    made += [op(part) for op in (ops.sqrt, ops.exp, ops.log, ops.erf, ops.reciprocal)]
    made += [ops.leaky_relu(y, slope=0.2), ops.hard_sigmoid(y), ops.hard_sigmoid(y, alpha=0.25, beta=0.25)]
    made += [ops.elu(y, alpha=0.7), ops.selu(y), ops.celu(y, alpha=1.5), ops.relu(y), ops.relu6(y)]
    made += [ops.clip(y, low=-0.3, high=0.4), part, ops.softmax(y)]
    return together(x, *made)


def arithmetic():
    x = nn.Input(5, 4, 3)
    a, b = nn.Conv2d(6, 3, padding="same")(x), nn.Conv2d(6, 1)(x)
    gate = ops.sigmoid(ops.global_avg_pool(a, keepdims=True))  # (1, 1, C)
    made = [ops.add(a, b), ops.multiply(a, b), ops.multiply(a, gate), ops.multiply(gate, a), ops.subtract(a, b)]
    made += [
        ops.relu(ops.add(a, b)),
        ops.relu6(ops.add(b, gate)),
        ops.add(a, a),
        ops.add(ops.relu(a), constant(x, 5, 4, 6)),
    ]
    made += [ops.multiply(ops.relu(a), constant(x, 1, 5, 1, 6)), ops.add(ops.relu(a), constant(x, 6))]
    made += [ops.subtract(constant(x, 6), ops.relu(b)), ops.multiply(nn.Conv2d(2, 1)(x), constant(x, 2))]
    return together(x, *made)


def rarer():
    """What int8 leaves to float32."""
    x = nn.Input(6, 5, 3)
    a, b = nn.Conv2d(4, 3, padding="same")(x), nn.Conv2d(4, 1)(x)
    part = ops.sigmoid(a)
    made = [
        ops.maximum(a, b),
        ops.minimum(a, b),
        ops.divide(a, ops.exp(b)),
        ops.power(part, b),
        ops.prelu(a, constant(x, 4)),
    ]
    made += [ops.divide(constant(x, 4), part), ops.divide(ops.relu(a), constant(x, 1))]
    made += [
        getattr(ops, f"reduce_{name}")(a, axes=(1, 2)) for name in ("sum", "mean", "max", "min", "prod", "l1", "l2")
    ]
    made += [ops.reduce_mean(a, axes=3, keepdims=True), ops.reduce_max(a, axes=2)]
    made += [ops.resize(a, size=(9, 4), mode="linear"), ops.resize(a, size=(3, 8), mode="cubic")]
    return together(x, *made)


def norms():
    x = nn.Input(5, 4, 3)
    y = nn.ReLU()(nn.Conv2d(8, 3, padding="same")(x))
    norm, whole = nn.BatchNorm()(y), nn.LayerNorm()(y)
    made = [norm, nn.ReLU()(nn.BatchNorm()(y)), whole, nn.ReLU()(norm)]
    made += [
        ops.lrn(y, size=3, alpha=0.5),
        ops.lrn(y, size=4, alpha=0.3, beta=0.5, bias=2.0),
        ops.lrn(y, size=2, beta=1.0),
    ]
    return together(x, *made)


def moves():
    x = nn.Input(6, 5, 3)
    y = nn.Conv2d(6, 3, padding="same")(x)
    small = ops.tanh(nn.Conv2d(2, 1)(x))  # of another range
    made = [ops.pad(y, padding=(1, 0, 2, 3)), ops.pad(y, padding=1, value=-0.5), ops.channel_shuffle(y, groups=3)]
    made += [ops.slice(y, starts=(1, 4, -1), stops=(6, None, None), axes=(1, 2, 3), steps=(2, -2, -1))]
    made += [ops.transpose(y, axes=(0, 2, 1, 3)), ops.transpose(y, axes=(0, 3, 1, 2)), ops.concat((y, small, y))]
    made += [ops.concat((y, ops.relu(y)), axis=1), ops.reshape(ops.transpose(y, axes=(0, 3, 2, 1)), shape=(10, 18))]
    made += [ops.resize(y, size=(12, 10)), ops.resize(y, size=(4, 7), nearest="floor", coordinates="asymmetric")]
    made += [ops.slice(x, starts=(1,), stops=(3,), axes=(3,))]  # of the image itself
    return together(x, *made)


def residual():
    """A residual, a depthwise convolution and a concat, as networks have them, with three classes."""
    x = nn.Input(12, 12, 3)
    y = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(8, 3, padding="same", bias=False)(x)))
    z = nn.ReLU6()(nn.BatchNorm()(nn.Conv2d(8, 3, padding="same", groups=8, bias=False)(y)))
    y = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(8, 1, bias=False)(z)) + y)
    y = ops.concat((y, nn.MaxPool2d(3, stride=1, padding=1)(y), nn.ReLU()(nn.Conv2d(4, 3, padding="same")(y))))
    y = nn.Linear(3)(nn.GlobalAvgPool2d()(nn.AvgPool2d(2)(y)))
    return nn.Model(
        x, nn.Softmax()(y), classes=("a", "b", "c"), mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.25], name="residual"
    )


BOTH = (convolutions, dense, pools, curves, arithmetic, norms, moves, residual)  # networks that int8 has too
ALL = (*BOTH, rarer)
