"""Small networks that together hold every op that can be exported to C."""

import numpy as np

from byhand import nn, ops


def constant(x, *shape):
    """Return a random parameter of a graph, as an operand of arithmetic."""
    graph = x.graph
    return graph.add_tensor(graph.free_name("constant"), shape, "parameter", None, lambda rng, s: rng.normal(size=s))


def side_by_side(images, *parts):
    """Return the model whose output is all parts flattened and concatenated, with random norms and biases."""
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
        (2, 2, {"padding": 3, "stride": 3}),  # windows in the padding only
    )
    parts = [nn.Conv2d(count, kernel, **more)(x) for count, kernel, more in settings]
    parts.append(nn.ReLU()(nn.BatchNorm()(nn.Conv2d(5, 3)(x))))
    parts.append(nn.ReLU6()(nn.BatchNorm()(nn.Conv2d(4, 3, groups=4)(x))))
    return side_by_side(x, *parts)


def dense():
    x = nn.Input(3, 2, 4)
    y = ops.linear(x, constant(x, 4, 7), ops.neg(constant(x, 7)))  # pixel by pixel
    z = nn.Linear(9)(nn.ReLU()(nn.BatchNorm()(nn.Linear(11)(nn.Flatten()(y)))))
    return side_by_side(x, y, z, nn.ReLU()(y), nn.BatchNorm()(nn.Flatten()(y)), nn.Dropout(0.5)(z), nn.Scale(0.5)(z))


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
    return side_by_side(x, *parts)


def elementwise():
    x = nn.Input(6, 5, 3)
    y = nn.Conv2d(6, 3)(x)
    positive = ops.sigmoid(y)
    outputs = [
        op(y) for op in (ops.tanh, ops.silu, ops.gelu, ops.hard_swish, ops.softplus, ops.softsign, ops.neg, ops.abs)
    ]
    outputs += [op(positive) for op in (ops.sqrt, ops.exp, ops.log, ops.erf, ops.reciprocal)]
    outputs += [ops.leaky_relu(y, slope=0.2), ops.hard_sigmoid(y), ops.hard_sigmoid(y, alpha=0.25, beta=0.25)]
    outputs += [ops.elu(y, alpha=0.7), ops.selu(y), ops.celu(y, alpha=1.5), ops.relu(y), ops.relu6(y)]
    outputs += [ops.clip(y, low=-0.3, high=0.4), positive, ops.softmax(y)]
    return side_by_side(x, *outputs)


def arithmetic():
    x = nn.Input(5, 4, 3)
    a, b = nn.Conv2d(6, 3, padding="same")(x), nn.Conv2d(6, 1)(x)
    gate = ops.sigmoid(ops.global_avg_pool(a, keepdims=True))  # (1, 1, C)
    outputs = [ops.add(a, b), ops.multiply(a, b), ops.multiply(a, gate), ops.multiply(gate, a), ops.subtract(a, b)]
    outputs += [
        ops.relu(ops.add(a, b)),
        ops.relu6(ops.add(b, gate)),
        ops.add(a, a),
        ops.add(ops.relu(a), constant(x, 5, 4, 6)),
    ]
    outputs += [ops.multiply(ops.relu(a), constant(x, 1, 5, 1, 6)), ops.add(ops.relu(a), constant(x, 6))]
    outputs += [ops.subtract(constant(x, 6), ops.relu(b)), ops.multiply(nn.Conv2d(2, 1)(x), constant(x, 2))]
    return side_by_side(x, *outputs)


def float32_only():
    """Ops that int8 does not have."""
    x = nn.Input(6, 5, 3)
    a, b = nn.Conv2d(4, 3, padding="same")(x), nn.Conv2d(4, 1)(x)
    positive = ops.sigmoid(a)
    outputs = [
        ops.maximum(a, b),
        ops.minimum(a, b),
        ops.divide(a, ops.exp(b)),
        ops.power(positive, b),
        ops.prelu(a, constant(x, 4)),
    ]
    outputs += [ops.divide(constant(x, 4), positive), ops.divide(ops.relu(a), constant(x, 1))]
    outputs += [
        getattr(ops, f"reduce_{name}")(a, axes=(1, 2)) for name in ("sum", "mean", "max", "min", "prod", "l1", "l2")
    ]
    outputs += [ops.reduce_mean(a, axes=3, keepdims=True), ops.reduce_max(a, axes=2)]
    outputs += [ops.resize(a, size=(9, 4), mode="linear"), ops.resize(a, size=(3, 8), mode="cubic")]
    return side_by_side(x, *outputs)


def normalizations():
    x = nn.Input(5, 4, 3)
    y = nn.ReLU()(nn.Conv2d(8, 3, padding="same")(x))
    norm, layer_norm = nn.BatchNorm()(y), nn.LayerNorm()(y)
    outputs = [norm, nn.ReLU()(nn.BatchNorm()(y)), layer_norm, nn.ReLU()(norm)]
    outputs += [
        ops.lrn(y, size=3, alpha=0.5),
        ops.lrn(y, size=4, alpha=0.3, beta=0.5, bias=2.0),
        ops.lrn(y, size=2, beta=1.0),
    ]
    return side_by_side(x, *outputs)


def movement():
    x = nn.Input(6, 5, 3)
    y = nn.Conv2d(6, 3, padding="same")(x)
    small = ops.tanh(nn.Conv2d(2, 1)(x))  # of another range
    outputs = [ops.pad(y, padding=(1, 0, 2, 3)), ops.pad(y, padding=1, value=-0.5), ops.channel_shuffle(y, groups=3)]
    outputs += [ops.slice(y, starts=(1, 4, -1), stops=(6, None, None), axes=(1, 2, 3), steps=(2, -2, -1))]
    outputs += [ops.transpose(y, axes=(0, 2, 1, 3)), ops.transpose(y, axes=(0, 3, 1, 2)), ops.concat((y, small, y))]
    outputs += [ops.concat((y, ops.relu(y)), axis=1), ops.reshape(ops.transpose(y, axes=(0, 3, 2, 1)), shape=(10, 18))]
    outputs += [ops.resize(y, size=(12, 10)), ops.resize(y, size=(4, 7), nearest="floor", coordinates="asymmetric")]
    outputs += [ops.slice(x, starts=(1,), stops=(3,), axes=(3,))]  # of the image itself
    return side_by_side(x, *outputs)


def residual():
    """A classifier with a residual, a depthwise convolution and a concat."""
    x = nn.Input(12, 12, 3)
    y = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(8, 3, padding="same", bias=False)(x)))
    z = nn.ReLU6()(nn.BatchNorm()(nn.Conv2d(8, 3, padding="same", groups=8, bias=False)(y)))
    y = nn.ReLU()(nn.BatchNorm()(nn.Conv2d(8, 1, bias=False)(z)) + y)
    y = ops.concat((y, nn.MaxPool2d(3, stride=1, padding=1)(y), nn.ReLU()(nn.Conv2d(4, 3, padding="same")(y))))
    y = nn.Linear(3)(nn.GlobalAvgPool2d()(nn.AvgPool2d(2)(y)))
    return nn.Model(
        x, nn.Softmax()(y), classes=("a", "b", "c"), mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.25], name="residual"
    )


INT8_NETWORKS = (convolutions, dense, pools, elementwise, arithmetic, normalizations, movement, residual)
FLOAT32_NETWORKS = (*INT8_NETWORKS, float32_only)
